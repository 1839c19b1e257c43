/*
 * Messages taken by programs.
 *
 * Values are taken by the same functions as those of native events, each with the place where it
 * stands, so the rules of fields and the order of reasons are the same by construction. What is
 * added here comes before that: the first of several paths, tables of values, units of time, the
 * sign of an amount.
 */
#include "codec/event_mapped.h"

#include "codec/cloudevents.h"
#include "codec/event_program.h"
#include "codec/time_text.h"
#include "codec/value_text.h"
#include "util/utf8.h"

#include <strings.h>

/* --- values --- */

/* One message on its way. */
struct reader {
    struct event_program *program;
    struct event_mapped_message *message;
    struct event_take *take;
    const struct event_origin *origin;
    const struct event_candidate *candidate;
    bool negated; /* the amount's sign has turned the type, and is dropped */
    bool skipped;
};

enum value_kind {
    VALUE_ABSENT,
    VALUE_STRING, /* of JSON */
    VALUE_PLAIN,  /* a number or bool of JSON; `text` stands at `at` */
    VALUE_NESTED,
    VALUE_TEXT, /* from elsewhere than JSON: whatever it reads as */
};

struct value {
    enum value_kind kind;
    struct kpi_string text; /* not of what is nested */
    bool has_nul;
    const uint8_t *at;
};

/* A string's content, unescaped once. */
static struct kpi_string slot_string(struct reader *reader, struct event_slot *slot)
{
    struct event_mapped_message *message = reader->message;
    char *to = message->arena + message->arena_used;

    if (slot->has_string)
        return slot->string;
    slot->has_string = true;
    if (slot->text.escaped) {
        slot->string = (struct kpi_string){to, json_unescape(&slot->text, to)};
        message->arena_used += slot->string.length;
    } else {
        slot->string.data = message->bytes + (slot->text.data - message->copy);
        slot->string.length = slot->text.length;
    }
    return slot->string;
}

static struct value slot_value(struct reader *reader, uint16_t index)
{
    struct event_slot *slot =
        event_paths_slot(reader->program->paths, index, reader->take->message);
    struct value value = {.kind = VALUE_ABSENT, .at = slot->at};

    switch ((enum event_slot_kind)slot->kind) {
    case EVENT_SLOT_ABSENT:
        break;
    case EVENT_SLOT_STRING:
        value.kind = VALUE_STRING;
        value.text = slot_string(reader, slot);
        value.has_nul = slot->text.has_nul;
        break;
    case EVENT_SLOT_PLAIN:
        value.kind = VALUE_PLAIN;
        value.text = (struct kpi_string){(const char *)slot->at, slot->length};
        break;
    case EVENT_SLOT_NESTED:
        value.kind = VALUE_NESTED;
        break;
    case EVENT_SLOT_HEADER:
        value.kind = VALUE_TEXT;
        value.text = slot->string;
        value.has_nul = slot->text.has_nul;
        break;
    }
    return value;
}

/* A text that stands nowhere in the message comes before all that does. */
static struct value text_value(const struct reader *reader, struct kpi_string text)
{
    return (struct value){VALUE_TEXT, text, false, reader->message->copy};
}

/* What the mapping's paths lead to: the first value that is there. */
static struct value path_value(struct reader *reader, const struct event_taking *taking)
{
    struct value value = {.kind = VALUE_ABSENT};

    for (uint32_t i = 0; i < taking->reading.n_places && value.kind == VALUE_ABSENT; i++)
        value = slot_value(reader, taking->slots[i]);
    return value;
}

/* --- times --- */

/*
 * Digits, and a fraction that is cut at microseconds. A number of JSON, or text that may be
 * anything: false if it is no such number.
 */
static bool number_time(struct kpi_string text, enum mapping_unit unit, kpi_time *ret_time)
{
    static const int64_t factors[] = {[MAPPING_UNIT_S] = KPI_SECOND,
                                      [MAPPING_UNIT_MS] = KPI_MILLISECOND,
                                      [MAPPING_UNIT_US] = 1,
                                      [MAPPING_UNIT_NS] = 1};
    int64_t weight = factors[unit] / 10, time = 0;
    size_t i = 0;

    for (; i < text.length && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        if (__builtin_mul_overflow(time, 10, &time) ||
            __builtin_add_overflow(time, text.data[i] - '0', &time))
            return false;
    }
    if (i == 0 || __builtin_mul_overflow(time, factors[unit], &time))
        return false;
    if (unit == MAPPING_UNIT_NS)
        time /= 1000;
    if (i < text.length && text.data[i] == '.') {
        if (++i == text.length)
            return false;
        for (; i < text.length && text.data[i] >= '0' && text.data[i] <= '9'; i++, weight /= 10) {
            if (__builtin_add_overflow(time, weight * (text.data[i] - '0'), &time))
                return false;
        }
    }
    *ret_time = time;
    return i == text.length;
}

static void time_take(struct reader *reader, const struct event_taking *taking,
                      const struct value *value)
{
    enum mapping_unit unit = taking->reading.entry->unit;
    kpi_time time;

    if (unit != MAPPING_UNIT_PRESET && number_time(value->text, unit, &time))
        event_take_time(reader->take, time, value->at);
    else if (value->kind != VALUE_PLAIN)
        event_take_string(reader->take, &taking->key, value->text, value->has_nul, value->at);
    else if (unit == MAPPING_UNIT_PRESET && reader->candidate->preset->numbers_ms)
        event_take_other(reader->take, &taking->key, value->at, value->text.length);
    else
        event_take_refuse(reader->take, KPI_REFUSAL_TIME, value->at);
}

/* 0, or what it is refused as. */
static enum kpi_refusal time_read(const struct value *value, kpi_time *ret_time)
{
    if (value->kind == VALUE_STRING && !value->has_nul &&
        time_text_parse(value->text.data, value->text.length, ret_time) == 0)
        return KPI_REFUSAL_NONE;
    return KPI_REFUSAL_TIME;
}

/* A time that the message does not tell itself, made of three others. False: not of these. */
static bool skewed_time_take(struct reader *reader)
{
    const struct event_candidate *candidate = reader->candidate;
    struct value original, sent, received;
    kpi_time time, sent_at, received_at = reader->origin->record_time;

    if (candidate->original == EVENT_PROGRAM_NO_SLOT)
        return false;
    original = slot_value(reader, candidate->original);
    sent = slot_value(reader, candidate->sent);
    received = slot_value(reader, candidate->received);
    if (original.kind == VALUE_ABSENT)
        return false;
    if (time_read(&original, &time)) {
        event_take_refuse(reader->take, KPI_REFUSAL_TIME, original.at);
        return true;
    }
    if (received.kind != VALUE_ABSENT && time_read(&received, &received_at)) {
        event_take_refuse(reader->take, KPI_REFUSAL_TIME, received.at);
        return true;
    }
    if (sent.kind != VALUE_ABSENT && time_read(&sent, &sent_at)) {
        event_take_refuse(reader->take, KPI_REFUSAL_TIME, sent.at);
        return true;
    }
    if (sent.kind != VALUE_ABSENT && received_at != KPI_TIME_NONE)
        time += received_at - sent_at; /* all within years 0-9999, so nothing overflows */
    event_take_time(reader->take, time, original.at);
    return true;
}

/* --- taking --- */

static bool is_natural(struct kpi_string text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return true;
}

static void plain_take(struct reader *reader, const struct event_taking *taking,
                       const struct value *value)
{
    bool is_id = taking->key.kind == EVENT_KEY_ID || taking->key.kind == EVENT_KEY_SOURCE;

    if (is_id && taking->reading.given && is_natural(value->text))
        event_take_string(reader->take, &taking->key, value->text, false, value->at);
    else
        event_take_other(reader->take, &taking->key, value->at, value->text.length);
}

/* A number from text that is not JSON's, of which the whole must be one. */
static void number_text_take(struct reader *reader, const struct event_taking *taking,
                             const struct value *value)
{
    const unsigned allowed = VALUE_TEXT_EXPONENT | VALUE_TEXT_ZEROS_BEYOND_6;
    kpi_decimal number;

    switch (value_text_parse_decimal(value->text.data, value->text.length, allowed, &number)) {
    case 0:
        event_take_other(reader->take, &taking->key, (const uint8_t *)value->text.data,
                         value->text.length);
        break;
    case VALUE_TEXT_E_SYNTAX:
        event_take_misfit(reader->take, &taking->key, value->at);
        break;
    default:
        event_take_refuse(reader->take, KPI_REFUSAL_NUMBER, value->at);
        break;
    }
}

static void text_take(struct reader *reader, const struct event_taking *taking,
                      const struct value *value)
{
    struct kpi_string text = value->text;

    if (taking->key.kind == EVENT_KEY_NUMBER)
        number_text_take(reader, taking, value);
    else if (taking->key.kind != EVENT_KEY_BOOL)
        event_take_string(reader->take, &taking->key, text, value->has_nul, value->at);
    else if (kpi_string_equal(text, KPI_STRING("true")) ||
             kpi_string_equal(text, KPI_STRING("false")))
        event_take_other(reader->take, &taking->key, (const uint8_t *)text.data, text.length);
    else
        event_take_misfit(reader->take, &taking->key, value->at);
}

/* The table of values; false: the value goes no further. */
static bool translate(struct reader *reader, const struct event_taking *taking, struct value *value)
{
    const struct mapping_entry *entry = taking->reading.entry;
    const struct mapping_value *found;

    if (entry->n_values == 0 || value->kind == VALUE_NESTED)
        return true;
    found = mapping_value_find(entry->values, entry->n_values, value->text);
    if (found) {
        value->kind = VALUE_TEXT;
        value->text = found->to;
        value->has_nul = false;
        return true;
    }
    if (entry->other == MAPPING_OTHER_REFUSE)
        event_take_misfit(reader->take, &taking->key, value->at);
    reader->skipped |= entry->other == MAPPING_OTHER_SKIP;
    return entry->other == MAPPING_OTHER_KEEP;
}

/* A number's or decimal's text says that it is below zero. */
static bool is_negative(struct kpi_string text)
{
    if (text.length == 0 || text.data[0] != '-')
        return false;
    for (size_t i = 1; i < text.length; i++) {
        if (text.data[i] >= '1' && text.data[i] <= '9')
            return true;
        if (text.data[i] == 'e' || text.data[i] == 'E')
            return false;
    }
    return false;
}

/* A negative amount may make another type of the event. */
static void sign_take(struct reader *reader)
{
    const struct event_taking *amount = reader->candidate->amount;
    const struct kpi_field *type = &reader->take->event->type;
    const struct mapping_value *turned;
    struct value value;

    if (!amount || !reader->take->has_type)
        return;
    value = path_value(reader, amount);
    if (value.kind == VALUE_ABSENT || value.kind == VALUE_NESTED || !is_negative(value.text))
        return;
    turned = mapping_value_find(amount->reading.entry->negative, amount->reading.entry->n_negative,
                                (struct kpi_string){type->string, type->length});
    if (!turned)
        return;
    reader->negated = true;
    event_take_string(reader->take, &reader->candidate->takings[MAPPING_TYPE].key, turned->to,
                      false, value.at);
}

static void value_take(struct reader *reader, const struct event_taking *taking, struct value value)
{
    if (reader->negated && taking == reader->candidate->amount) {
        value.text.data++;
        value.text.length--;
        value.at += value.kind == VALUE_PLAIN;
    }
    if (value.kind == VALUE_NESTED)
        event_take_misfit(reader->take, &taking->key, value.at);
    else if (taking->key.kind == EVENT_KEY_TIME)
        time_take(reader, taking, &value);
    else if (value.kind == VALUE_STRING)
        event_take_string(reader->take, &taking->key, value.text, value.has_nul, value.at);
    else if (value.kind == VALUE_PLAIN)
        plain_take(reader, taking, &value);
    else
        text_take(reader, taking, &value);
}

/* What stands in for a value that is not there. */
static void absent_take(struct reader *reader, const struct event_taking *taking)
{
    const struct mapping_reading *reading = &taking->reading;
    struct kpi_string text = reading->constant.data ? reading->constant : reading->absent;

    if (taking->key.kind == EVENT_KEY_TIME && !reading->given && skewed_time_take(reader))
        return;
    if (text.data)
        value_take(reader, taking, text_value(reader, text));
    else if (reading->absent_record && reader->origin->record_time != KPI_TIME_NONE)
        event_take_time(reader->take, reader->origin->record_time, reader->message->copy);
}

static void one_take(struct reader *reader, const struct event_taking *taking)
{
    const struct event_candidate *candidate = reader->candidate;
    struct value value = path_value(reader, taking);

    if (taking->key.kind == EVENT_KEY_TYPE && candidate->call != EVENT_PROGRAM_NO_SLOT &&
        !taking->reading.given && value.kind == VALUE_STRING &&
        kpi_string_equal(value.text, candidate->preset->call))
        value = slot_value(reader, candidate->call);
    if (value.kind == VALUE_ABSENT)
        absent_take(reader, taking);
    else if (translate(reader, taking, &value))
        value_take(reader, taking, value);
}

/* --- which mapping --- */

static bool condition_holds(struct reader *reader, const struct event_condition *condition)
{
    struct value value = slot_value(reader, condition->slot);

    if (value.kind == VALUE_ABSENT || value.kind == VALUE_NESTED)
        return false;
    for (uint32_t i = 0; i < condition->of->n_values; i++) {
        if (kpi_string_equal(condition->of->values[i], value.text))
            return true;
    }
    return false;
}

static const struct event_candidate *choose(struct reader *reader)
{
    for (uint32_t i = 0; i < reader->program->n_candidates; i++) {
        const struct event_candidate *candidate = &reader->program->candidates[i];
        uint32_t held = 0;

        while (held < candidate->n_conditions &&
               condition_holds(reader, &candidate->conditions[held]))
            held++;
        if (held == candidate->n_conditions)
            return candidate;
    }
    return NULL;
}

/* Is the data of a structured CloudEvent JSON? */
static bool data_is_json(struct reader *reader)
{
    const struct event_candidate *candidate = reader->candidate;
    struct value type;

    if (candidate->data == EVENT_PROGRAM_NO_SLOT || reader->program->binary)
        return true;
    if (slot_value(reader, candidate->data_base64).kind != VALUE_ABSENT)
        return false;
    type = slot_value(reader, candidate->data_type);
    return type.kind != VALUE_STRING || cloudevents_type_is_json(type.text) ||
           slot_value(reader, candidate->data).kind == VALUE_ABSENT;
}

static bool header_names(const struct event_program_header *wanted, const char *name)
{
    if (kpi_string_equal(wanted->name, KPI_STRING("datacontenttype")))
        return strcasecmp(name, "content-type") == 0;
    return strncmp(name, "ce_", 3) == 0 && strlen(name + 3) == wanted->name.length &&
           memcmp(name + 3, wanted->name.data, wanted->name.length) == 0;
}

/* Fills the slots of headers. */
static void headers_take(struct reader *reader)
{
    const struct event_program *program = reader->program;
    uint64_t message = reader->take->message;

    for (uint32_t i = 0; i < reader->origin->n_headers; i++) {
        const struct event_header *header = &reader->origin->headers[i];
        struct event_slot *slot;

        for (uint32_t j = 0; j < program->n_headers && header->value; j++) {
            if (!header_names(&program->headers[j], header->name))
                continue;
            if (event_paths_slot(program->paths, program->headers[j].slot, message)->kind)
                event_take_refuse(reader->take, KPI_REFUSAL_DUPLICATE_KEY, reader->message->copy);
            if (!utf8_valid(header->value, header->size))
                event_take_refuse(reader->take, KPI_REFUSAL_UTF8, reader->message->copy);
            slot = event_paths_slot_put(program->paths, program->headers[j].slot, message);
            slot->kind = EVENT_SLOT_HEADER;
            slot->at = reader->message->copy;
            slot->string = (struct kpi_string){header->value, header->size};
            slot->text.has_nul = header->size > 0 && memchr(header->value, 0, header->size);
        }
    }
}

/* The mapping is known: everything that it names. */
static void all_take(struct reader *reader)
{
    const struct event_candidate *candidate = reader->candidate;

    for (uint32_t i = 0; i < candidate->n_takings; i++) {
        if (i == MAPPING_ROLES)
            sign_take(reader);
        if (candidate->takings[i].in_plan)
            one_take(reader, &candidate->takings[i]);
    }
    if (candidate->preset->needs_id && (!reader->take->has_id || !reader->take->has_source))
        event_take_refuse(reader->take, KPI_REFUSAL_ID, reader->message->copy + EVENT_BYTES_MAX);
}

enum kpi_refusal event_mapped_decode(struct event_program *program,
                                     struct event_mapped_message *message, struct event_take *take,
                                     const struct event_origin *origin)
{
    struct reader reader = {.program = program, .message = message, .take = take, .origin = origin};
    struct event_paths_scan scan = {.message = take->message, .scratch = message->arena};
    const uint8_t *p = event_paths_scan(program->paths, &scan, message->begin);

    if (!p)
        return scan.problem;
    if (json_skip_space(p) != message->copy + message->size)
        return KPI_REFUSAL_JSON;
    if (scan.duplicate_at)
        event_take_refuse(take, KPI_REFUSAL_DUPLICATE_KEY, scan.duplicate_at);
    if (program->binary)
        headers_take(&reader);
    reader.candidate = choose(&reader);
    if (!reader.candidate)
        return KPI_REFUSAL_MAPPING;
    message->mapping = reader.candidate->mapping;
    if (!data_is_json(&reader))
        return KPI_REFUSAL_ENCODING;
    all_take(&reader);
    if (reader.skipped)
        return KPI_REFUSAL_SKIPPED;
    return event_take_finish(take, message->bytes, message->size, origin);
}
