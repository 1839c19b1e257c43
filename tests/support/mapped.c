#include "mapped.h"
#include "decoder_key.h"

#include "codec/time_text.h"
#include "codec/value_text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

static const char plan_object[1];
#define PLAN ((const struct kpi_plan *)plan_object)

static struct kpi_field_spec specs[MAPPED_FIELDS_MAX];
static uint32_t n_specs;
static struct kpi_field values[MAPPED_FIELDS_MAX];
static struct kpi_event event = {.fields = values};
static char line[4096];

uint32_t __real_kpi_plan_n_fields(const struct kpi_plan *plan);
uint32_t __wrap_kpi_plan_n_fields(const struct kpi_plan *plan);
const struct kpi_field_spec *__real_kpi_plan_field(const struct kpi_plan *plan, uint32_t field);
const struct kpi_field_spec *__wrap_kpi_plan_field(const struct kpi_plan *plan, uint32_t field);

uint32_t __wrap_kpi_plan_n_fields(const struct kpi_plan *plan)
{
    return plan == PLAN ? n_specs : __real_kpi_plan_n_fields(plan);
}

const struct kpi_field_spec *__wrap_kpi_plan_field(const struct kpi_plan *plan, uint32_t field)
{
    return plan == PLAN ? &specs[field] : __real_kpi_plan_field(plan, field);
}

static enum kpi_field_use use_of(const char *word, size_t length)
{
    if (length == 6 && memcmp(word, "number", 6) == 0)
        return KPI_USE_NUMBER;
    if (length == 4 && memcmp(word, "bool", 4) == 0)
        return KPI_USE_BOOL;
    return length == 6 ? KPI_USE_AMOUNT : KPI_USE_STRING;
}

static void set_fields(const char *fields)
{
    n_specs = 0;
    while (*fields) {
        size_t length = strcspn(fields, " "), name = strcspn(fields, " :");

        assert(n_specs < MAPPED_FIELDS_MAX);
        specs[n_specs].name = (struct kpi_string){fields, name};
        specs[n_specs++].use =
            name < length ? use_of(fields + name + 1, length - name - 1) : KPI_USE_STRING;
        fields += length + (fields[length] == ' ');
    }
}

static void collect(void *userdata, const char *text)
{
    struct mapped *mapped = userdata;
    size_t before = strlen(mapped->messages);

    mapped->messages = realloc(mapped->messages, before + strlen(text) + 1);
    assert(mapped->messages);
    memcpy(mapped->messages + before, text, strlen(text) + 1);
}

int mapped_new(struct mapped *mapped, const char *config, const char *fields, const char *topic)
{
    const struct config_report report = {collect, mapped};
    int fd = memfd_create("mapped", MFD_CLOEXEC), r;
    char path[64];

    assert(fd >= 0 && write(fd, config, strlen(config)) == (ssize_t)strlen(config));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    *mapped = (struct mapped){.messages = calloc(1, 1)};
    r = config_load(&mapped->config, path, 1, &report);
    close(fd);
    set_fields(fields);
    if (r == 0)
        r = event_decoder_new(&mapped->decoder,
                              &(struct event_decoder_options){.plan = PLAN,
                                                              .key = decoder_key,
                                                              .currency = mapped->config->currency,
                                                              .mappings = mapped->config->mappings,
                                                              .topics = &topic,
                                                              .n_topics = 1});
    return r;
}

void mapped_free(struct mapped *mapped)
{
    (void)event_decoder_free(mapped->decoder);
    (void)config_free(mapped->config);
    free(mapped->messages);
}

static size_t tell_field(char *to, size_t size, uint32_t i)
{
    const struct kpi_field *field = &values[i];
    char number[VALUE_TEXT_BYTES_MAX];
    struct kpi_string name = specs[i].name;

    switch (field->kind) {
    case KPI_FIELD_STRING:
        return (size_t)snprintf(to, size, " %.*s=%.*s", (int)name.length, name.data,
                                (int)field->length, field->string);
    case KPI_FIELD_NUMBER:
        value_text_format_decimal(field->number, number);
        return (size_t)snprintf(to, size, " %.*s=%s", (int)name.length, name.data, number);
    case KPI_FIELD_BOOL:
        return (size_t)snprintf(to, size, " %.*s=%s", (int)name.length, name.data,
                                field->number ? "true" : "false");
    default:
        return 0;
    }
}

const char *mapped_tell(struct mapped *mapped, const char *bytes, size_t size,
                        const struct event_origin *origin)
{
    enum kpi_refusal refusal;
    char time[TIME_TEXT_BYTES_MAX];
    size_t n;

    event_decoder_reset(mapped->decoder);
    memset(values, 0xa5, sizeof(values));
    refusal = event_decode(mapped->decoder, bytes, size, origin, &event);
    if (refusal) {
        snprintf(line, sizeof(line), "refused: %s", kpi_refusal_name(refusal));
        return line;
    }
    time_text_format_utc(event.time, time);
    n = (size_t)snprintf(line, sizeof(line), "%.*s %s%s%s", (int)event.type.length,
                         event.type.string, time, event.flags & KPI_EVENT_HAS_ID ? " id" : "",
                         event.flags & KPI_EVENT_HAS_USER ? " user" : "");
    for (uint32_t i = 0; i < n_specs; i++) {
        n += tell_field(line + n, sizeof(line) - n, i);
        assert(n < sizeof(line));
    }
    return line;
}

const struct kpi_event *mapped_event(void)
{
    return &event;
}

uint64_t mapped_hash(const char *text)
{
    return XXH3_64bits_withSecret(text, strlen(text), decoder_key, sizeof(decoder_key));
}
