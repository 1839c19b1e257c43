/* Lines looked at twice: decoded, and taken apart. */
#include "cli/sample.h"

#include "cli/cli.h"
#include "codec/event_json.h"
#include "codec/mapping.h"
#include "codec/time_text.h"
#include "codec/value_text.h"
#include "util/memory.h"
#include "util/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct mapping native = {.name = {"native", 6}};

struct reader {
    struct sample *sample;
    struct event_decoder *decoder;
    struct kpi_batch *batch; /* of which one event is used */
    const struct kpi_plan *plan;
    uint32_t topic;
};

static void *keep(struct sample *sample, size_t size)
{
    void *memory = arena_alloc(&sample->arena, size);

    sample->no_memory |= !memory;
    return memory;
}

/* --- texts --- */

/* Cut to what a column holds; what a terminal would obey is replaced. */
static void text_set(struct sample_text *to, const char *text, size_t length)
{
    size_t n = 0, i = 0, step;
    uint32_t code;

    for (; i < length; i += step) {
        step = utf8_decode(text + i, length - i, &code);
        if (step == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            step = step ? step : 1;
            to->text[n++] = '?';
        } else {
            memcpy(to->text + n, text + i, step);
            n += step;
        }
        if (n > sizeof(to->text) - sizeof("…") - 4) {
            i += step;
            break;
        }
    }
    (void)strcpy(to->text + n, i < length ? "…" : ""); /* room was kept */
}

/* Who a user is is not for the screen: three characters tell one form of id from another. */
static void shorten(struct sample_text *text)
{
    size_t n = 0, length = strlen(text->text);
    uint32_t code;

    for (unsigned i = 0; i < 3 && n < length; i++)
        n += utf8_decode(text->text + n, length - n, &code);
    if (n < length)
        (void)strcpy(text->text + n, "…"); /* an example has room for it */
}

static enum sample_kind kind_of(const cJSON *value)
{
    if (cJSON_IsString(value))
        return SAMPLE_STRING;
    if (cJSON_IsNumber(value))
        return SAMPLE_NUMBER;
    if (cJSON_IsBool(value))
        return SAMPLE_BOOL;
    return cJSON_IsObject(value) ? SAMPLE_OBJECT : SAMPLE_LIST;
}

static void value_text(struct sample_text *to, const cJSON *value)
{
    char *printed;

    if (cJSON_IsString(value)) {
        text_set(to, value->valuestring, strlen(value->valuestring));
        return;
    }
    printed = cJSON_PrintUnformatted(value);
    text_set(to, printed ? printed : "", printed ? strlen(printed) : 0);
    cJSON_free(printed);
}

/* --- what an event wants --- */

static char *joined(struct sample *sample, const struct mapping_reading *reading)
{
    char *text = keep(sample, 1);

    for (uint32_t i = 0; i < reading->n_places && text; i++) {
        struct kpi_string base = reading->places[i].base, path = reading->places[i].path;

        text = arena_format(&sample->arena, "%s%s%.*s%s%.*s", text, i ? ", " : "", (int)base.length,
                            base.data ? base.data : "", base.length ? "." : "", (int)path.length,
                            path.data);
    }
    if (text && reading->constant.data)
        text = arena_format(&sample->arena, "(%.*s)", (int)reading->constant.length,
                            reading->constant.data);
    sample->no_memory |= !text;
    return text;
}

static void reading_of(const struct reader *reader, const struct mapping *mapping, uint32_t want,
                       struct mapping_reading *ret_reading)
{
    if (want < MAPPING_ROLES)
        mapping_reading_role(mapping, (enum mapping_role)want, ret_reading);
    else
        mapping_reading_field(mapping, kpi_plan_field(reader->plan, want - MAPPING_ROLES)->name,
                              ret_reading);
}

static bool wants_make(struct reader *reader, struct sample_group *group)
{
    struct sample *sample = reader->sample;

    group->n_wants = MAPPING_ROLES + kpi_plan_n_fields(reader->plan);
    group->wants = keep(sample, group->n_wants * sizeof(*group->wants));
    for (uint32_t i = 0; i < group->n_wants && group->wants; i++) {
        struct mapping_reading reading;

        reading_of(reader, group->mapping, i, &reading);
        if (i < MAPPING_ROLES) {
            group->wants[i].name = mapping_role_name((enum mapping_role)i);
        } else {
            struct kpi_string name = kpi_plan_field(reader->plan, i - MAPPING_ROLES)->name;

            group->wants[i].name = arena_copy(&sample->arena, name.data, name.length);
        }
        group->wants[i].from = joined(sample, &reading);
        sample->no_memory |= !group->wants[i].name;
    }
    return !sample->no_memory;
}

static struct sample_group *group_get(struct reader *reader, const struct mapping *mapping,
                                      const struct kpi_field *type)
{
    struct sample *sample = reader->sample;
    struct sample_group **at = &sample->groups, *group;

    for (; *at; at = &(*at)->next) {
        if ((*at)->mapping != mapping || !(*at)->type != !type)
            continue;
        if (!type || (strlen((*at)->type) == type->length &&
                      memcmp((*at)->type, type->string, type->length) == 0))
            return *at;
    }
    group = keep(sample, sizeof(*group));
    if (!group)
        return NULL;
    group->mapping = mapping;
    if (type) {
        group->type = arena_copy(&sample->arena, type->string, type->length);
        sample->no_memory |= !group->type;
    }
    if (!wants_make(reader, group))
        return NULL;
    *at = group;
    return group;
}

/* The value at base.path, or NULL: cJSON's word, not the decoder's. */
static const cJSON *find(const cJSON *root, const struct mapping_place *place)
{
    const struct kpi_string paths[] = {place->base, place->path};

    for (unsigned i = 0; i < 2 && root; i++) {
        char buffer[MAPPING_PATH_BYTES_MAX], name[MAPPING_PATH_BYTES_MAX + 1];
        struct kpi_string key;
        size_t offset = 0;

        while (root && mapping_path_next(paths[i], &offset, buffer, &key)) {
            (void)snprintf(name, sizeof(name), "%.*s", (int)key.length, key.data); /* fits */
            root = cJSON_IsObject(root) ? cJSON_GetObjectItemCaseSensitive(root, name) : NULL;
        }
    }
    return root && !cJSON_IsNull(root) ? root : NULL;
}

static void field_text(struct sample_text *to, const struct kpi_field *field)
{
    char number[VALUE_TEXT_BYTES_MAX];

    switch (field->kind) {
    case KPI_FIELD_STRING:
        text_set(to, field->string, field->length);
        break;
    case KPI_FIELD_NUMBER:
        text_set(to, number, value_text_format_decimal(field->number, number));
        break;
    case KPI_FIELD_BOOL:
        text_set(to, field->number ? "true" : "false", field->number ? 4 : 5);
        break;
    default:
        break;
    }
}

/* What it is in the event, for what the first event of the group has. */
static void becomes(struct sample_want *want, uint32_t index, const struct kpi_event *event)
{
    char time[TIME_TEXT_BYTES_MAX];

    if (want->becomes.text[0])
        return;
    if (index == MAPPING_TIME)
        text_set(&want->becomes, time, time_text_format_utc(event->time, time));
    else if (index == MAPPING_TYPE)
        field_text(&want->becomes, &event->type);
    else if (index >= MAPPING_ROLES)
        field_text(&want->becomes, &event->fields[index - MAPPING_ROLES]);
}

static void group_add(struct reader *reader, struct sample_group *group, const cJSON *root,
                      const struct kpi_event *event)
{
    group->n++;
    for (uint32_t i = 0; i < group->n_wants; i++) {
        struct sample_want *want = &group->wants[i];
        struct mapping_reading reading;
        const cJSON *value = NULL;

        reading_of(reader, group->mapping, i, &reading);
        for (uint32_t j = 0; j < reading.n_places && !value; j++)
            value = find(root, &reading.places[j]);
        if (group->type)
            becomes(want, i, event);
        if (!value)
            continue;
        if (want->n++ == 0) {
            value_text(&want->example, value);
            if (i == MAPPING_USER)
                shorten(&want->example);
        }
        want->kinds |= 1u << kind_of(value);
    }
}

/* --- what is not read --- */

static struct sample_rest *rest_get(struct sample *sample, const struct mapping *mapping)
{
    struct sample_rest **at = &sample->rests;

    while (*at && (*at)->mapping != mapping)
        at = &(*at)->next;
    if (!*at) {
        *at = keep(sample, sizeof(**at));
        if (*at)
            (*at)->mapping = mapping;
    }
    return *at;
}

static void path_add(struct sample *sample, struct sample_rest *rest, const char *path,
                     const cJSON *value)
{
    struct sample_path **at = &rest->paths;
    uint64_t hash;

    while (*at && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    if (!*at) {
        *at = keep(sample, sizeof(**at));
        if (!*at)
            return;
        (*at)->path = path;
        value_text(&(*at)->example, value);
        rest->n_paths++;
    }
    (*at)->n++;
    (*at)->kinds |= 1u << kind_of(value);
    hash = cJSON_IsString(value) ? XXH3_64bits(value->valuestring, strlen(value->valuestring))
                                 : XXH3_64bits(&value->valuedouble, sizeof(value->valuedouble)) +
                                       (uint64_t)value->type;
    for (unsigned i = 0; i < (*at)->n_distinct; i++) {
        if ((*at)->distinct[i] == hash)
            return;
    }
    if ((*at)->n_distinct < SAMPLE_DISTINCT_MAX)
        (*at)->distinct[(*at)->n_distinct++] = hash;
}

/* A key as a path writes it. */
static char *path_key(struct sample *sample, const char *before, const char *key)
{
    size_t n_odd = 0;
    char *text, *to;

    for (const char *p = key; *p; p++)
        n_odd += *p == '"' || *p == '\\';
    if (*key && !strchr(key, '.') && !strchr(key, '"'))
        return arena_format(&sample->arena, "%s%s%s", before, *before ? "." : "", key);
    text = to = keep(sample, strlen(before) + strlen(key) + n_odd + 4);
    if (!text)
        return NULL;
    to += sprintf(to, "%s%s\"", before, *before ? "." : "");
    for (; *key; key++) {
        if (*key == '"' || *key == '\\')
            *to++ = '\\';
        *to++ = *key;
    }
    *to = '"';
    return text;
}

static bool is_read(const struct reader *reader, const struct mapping *mapping, const cJSON *root,
                    const cJSON *value)
{
    uint32_t n = MAPPING_ROLES + kpi_plan_n_fields(reader->plan);

    for (uint32_t i = 0; mapping && i < n; i++) {
        struct mapping_reading reading;

        reading_of(reader, mapping, i, &reading);
        for (uint32_t j = 0; j < reading.n_places; j++) {
            if (find(root, &reading.places[j]) == value)
                return true;
        }
    }
    return false;
}

/* Objects are gone through; lists have no paths, and are only told of. */
static void rest_add(struct reader *reader, struct sample_rest *rest, const cJSON *root,
                     const cJSON *object, const char *before)
{
    const cJSON *value;

    cJSON_ArrayForEach(value, object)
    {
        char *path;

        if (cJSON_IsNull(value) || is_read(reader, rest->mapping, root, value))
            continue;
        path = path_key(reader->sample, before, value->string);
        reader->sample->no_memory |= !path;
        if (!path)
            return;
        if (cJSON_IsObject(value))
            rest_add(reader, rest, root, value, path);
        else
            path_add(reader->sample, rest, path, value);
    }
}

/* --- lines --- */

/* Is it JSON with members, whatever else is wrong with it? */
static bool is_object(enum kpi_refusal refusal)
{
    return refusal == KPI_REFUSAL_NONE ||
           (refusal >= KPI_REFUSAL_DUPLICATE_KEY && refusal <= KPI_REFUSAL_MAPPING);
}

static void take_line(struct reader *reader, const char *line, size_t size)
{
    struct sample *sample = reader->sample;
    struct kpi_event *event = &reader->batch->events[0];
    struct event_origin origin = {
        .offset = (int64_t)++sample->n_lines, .record_time = KPI_TIME_NONE, .topic = reader->topic};
    enum kpi_refusal refusal;
    const struct mapping *mapping;
    struct sample_group *group;
    struct sample_rest *rest;
    cJSON *root;

    event_decoder_reset(reader->decoder);
    refusal = event_decode(reader->decoder, line, size, &origin, event);
    mapping = event_decoder_mapping(reader->decoder);
    if (!mapping && refusal != KPI_REFUSAL_MAPPING)
        mapping = &native;
    sample->n_events += refusal == KPI_REFUSAL_NONE;
    sample->n_skipped += refusal == KPI_REFUSAL_SKIPPED;
    if (refusal != KPI_REFUSAL_NONE && sample->n_refused[refusal]++ == 0)
        sample->first_refused[refusal] = sample->n_lines;
    if (!is_object(refusal))
        return;
    root = cJSON_ParseWithLength(line, size);
    if (mapping) {
        group = group_get(reader, mapping, refusal == KPI_REFUSAL_NONE ? &event->type : NULL);
        if (group)
            group_add(reader, group, root, event);
    }
    rest = rest_get(sample, mapping);
    if (rest) {
        rest->n++;
        rest_add(reader, rest, root, root, "");
    }
    cJSON_Delete(root);
}

static int read_lines(struct reader *reader, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int r;

    while (reader->sample->n_lines < SAMPLE_LINES_MAX && !reader->sample->no_memory &&
           (size = getline(&line, &room, file)) >= 0) {
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            size--;
        take_line(reader, line, (size_t)size);
    }
    r = ferror(file) ? -EIO : 0;
    free(line);
    return reader->sample->no_memory ? -ENOMEM : r;
}

static int reader_init(struct reader *reader, const struct config *config, const char *topic)
{
    uint8_t key[EVENT_KEY_BYTES];
    int r = kpi_batch_new(&reader->batch, config->plan, &memory_kpi);

    cli_replay_key(config, key);
    if (r == 0)
        r = event_decoder_new(&reader->decoder,
                              &(struct event_decoder_options){.plan = config->plan,
                                                              .key = key,
                                                              .currency = config->currency,
                                                              .mappings = config->mappings,
                                                              .topics = &topic,
                                                              .n_topics = topic != NULL});
    return r;
}

int sample_read(struct sample *sample, const struct config *config, const char *path,
                const char *topic)
{
    struct reader reader = {.sample = sample, .plan = config->plan, .topic = topic != NULL};
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    int r;

    *sample = (struct sample){.config = config};
    if (!file)
        return -errno;
    r = reader_init(&reader, config, topic);
    if (r == 0)
        r = read_lines(&reader, file);
    (void)event_decoder_free(reader.decoder);
    (void)kpi_batch_free(reader.batch);
    if (!standard)
        (void)fclose(file);
    return r;
}

void sample_deinit(struct sample *sample)
{
    arena_deinit(&sample->arena);
}
