#include "event_reference.h"

#include "decoder_key.h"

#include "codec/mapping.h"
#include "plan_fake.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

/* A string or number in the order of the bytes. */
struct token {
    const char *data;
    size_t length;
    bool has_nul;
};

struct lexer {
    const char *bytes;
    size_t size;
    size_t at;
    struct token *strings, *numbers;
    size_t n_strings, n_numbers;
    enum kpi_refusal problem; /* the first one */
};

/* What the reference reads. Strings are cJSON's and live as long as root. */
struct reading {
    struct lexer lexer;
    cJSON *root;
    size_t next_string, next_number;
    enum kpi_refusal refusal; /* of a field, the first one */
    struct kpi_event event;
    struct kpi_field fields[PLAN_FAKE_FIELDS];
    bool seen[6 + PLAN_FAKE_FIELDS];
    unsigned position, refused_at, currency_bad_at; /* members, counted from 1; 0: never */
    bool has_amount, has_type, has_time;
    const char *id, *source;
};

enum {
    ENVELOPE_ID,
    ENVELOPE_SOURCE,
    ENVELOPE_TYPE,
    ENVELOPE_USER,
    ENVELOPE_TIME,
    ENVELOPE_CURRENCY,
    ENVELOPE_KEYS,
};

static bool text_matches(const char *text, size_t length, const char *pattern, regmatch_t *matches,
                         size_t n_matches)
{
    /* Compiled once for each pattern of this file. */
    static struct {
        const char *pattern;
        regex_t regex;
    } known[8];
    char *copy = strndup(text, length);
    unsigned i = 0;
    bool matched;

    assert(copy);
    assert(strlen(copy) == length);
    while (known[i].pattern && known[i].pattern != pattern)
        i++;
    if (!known[i].pattern) {
        known[i].pattern = pattern;
        assert(regcomp(&known[i].regex, pattern, REG_EXTENDED) == 0);
    }
    matched = regexec(&known[i].regex, copy, n_matches, matches, 0) == 0;
    free(copy);
    return matched;
}

/* Bytes of the UTF-8 character at p, or 0: decoded to its code point, which tells overlong ones. */
static size_t utf8_length(const char *p, size_t n_left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t)*p;
    size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4;
    uint32_t code = first < 0x80 ? first : first & (0xff >> (length + 1));

    if (first >= 0x80 && first < 0xc0)
        return 0;
    if (first >= 0xf8 || length > n_left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if (((uint8_t)p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((uint8_t)p[i] & 0x3f);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

/* The code unit of the escape \uXXXX at p, or -1. */
static long escape_unit(const char *p, size_t n_left)
{
    if (n_left < 6 || p[0] != '\\' || p[1] != 'u' || strspn(p + 2, "0123456789abcdefABCDEF") < 4)
        return -1;
    return strtol((char[]){p[2], p[3], p[4], p[5], 0}, NULL, 16);
}

static bool lexer_fail(struct lexer *lexer, enum kpi_refusal problem)
{
    lexer->problem = problem;
    return false;
}

static bool lex_escape(struct lexer *lexer, struct token *token)
{
    const char *p = lexer->bytes + lexer->at;
    size_t n_left = lexer->size - lexer->at;
    long unit;

    if (n_left >= 2 && p[1] && strchr("\"\\/bfnrt", p[1])) {
        lexer->at += 2;
        return true;
    }
    unit = escape_unit(p, n_left);
    if (unit < 0)
        return lexer_fail(lexer, KPI_REFUSAL_JSON);
    if (unit >= 0xd800 && unit <= 0xdfff) {
        long low = escape_unit(p + 6, n_left - 6);

        if (unit >= 0xdc00 || low < 0xdc00 || low > 0xdfff)
            return lexer_fail(lexer, KPI_REFUSAL_UTF8);
        lexer->at += 6;
    }
    if (unit == 0)
        token->has_nul = true;
    lexer->at += 6;
    return true;
}

static bool lex_string(struct lexer *lexer)
{
    struct token *token = &lexer->strings[lexer->n_strings++];

    *token = (struct token){.data = lexer->bytes + lexer->at};
    lexer->at++;
    while (lexer->at < lexer->size) {
        const char *p = lexer->bytes + lexer->at;
        size_t length;

        if (*p == '"') {
            lexer->at++;
            return true;
        }
        if ((uint8_t)*p < 0x20)
            return lexer_fail(lexer, KPI_REFUSAL_JSON);
        if (*p == '\\') {
            if (!lex_escape(lexer, token))
                return false;
            continue;
        }
        length = utf8_length(p, lexer->size - lexer->at);
        if (length == 0)
            return lexer_fail(lexer, KPI_REFUSAL_UTF8);
        lexer->at += length;
    }
    return lexer_fail(lexer, KPI_REFUSAL_JSON);
}

static bool lex_number(struct lexer *lexer)
{
    const char *start = lexer->bytes + lexer->at;
    size_t length = 0;

    while (lexer->at + length < lexer->size && start[length] &&
           strchr("0123456789+-.eE", start[length]))
        length++;
    lexer->numbers[lexer->n_numbers++] = (struct token){start, length, false};
    lexer->at += length;
    if (!text_matches(start, length, "^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$", NULL, 0))
        return lexer_fail(lexer, KPI_REFUSAL_JSON);
    return true;
}

static bool lex_word(struct lexer *lexer)
{
    static const char *const words[] = {"true", "false", "null"};

    for (unsigned i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);

        if (lexer->size - lexer->at >= length &&
            memcmp(lexer->bytes + lexer->at, words[i], length) == 0) {
            lexer->at += length;
            return true;
        }
    }
    return lexer_fail(lexer, KPI_REFUSAL_JSON);
}

/* All tokens of the message, whatever their order. False with the first problem. */
static bool lex(struct lexer *lexer)
{
    unsigned depth = 0;

    if (lexer->size >= 3 && memcmp(lexer->bytes, "\xef\xbb\xbf", 3) == 0)
        return lexer_fail(lexer, KPI_REFUSAL_UTF8);
    while (lexer->at < lexer->size) {
        char c = lexer->bytes[lexer->at];
        bool good = true;

        if (c == '"')
            good = lex_string(lexer);
        else if (c == '-' || (c >= '0' && c <= '9'))
            good = lex_number(lexer);
        else if (c >= 'a' && c <= 'z')
            good = lex_word(lexer);
        else if (c && strchr(" \t\r\n,:{}[]", c))
            lexer->at++;
        else
            good = lexer_fail(lexer, KPI_REFUSAL_JSON);
        if (c == '{' || c == '[')
            depth++;
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if (good && depth > EVENT_DEPTH_MAX)
            good = lexer_fail(lexer, KPI_REFUSAL_DEPTH);
        if (!good)
            return false;
    }
    return true;
}

static bool is_space(const char *p, size_t length)
{
    return strspn(p, " \t\r\n") >= length;
}

/*
 * cJSON copies a number into 64 bytes and stumbles over the rest of a longer one, so such are made
 * short: their text is kept by the lexer. The whole text must be one document.
 */
static cJSON *parse(const struct lexer *lexer)
{
    char *copy = malloc(lexer->size + 1);
    const char *end = NULL;
    cJSON *root;

    assert(copy);
    if (lexer->size > 0)
        memcpy(copy, lexer->bytes, lexer->size);
    copy[lexer->size] = '\0';
    for (size_t i = 0; i < lexer->n_numbers; i++) {
        const struct token *number = &lexer->numbers[i];

        if (number->length > 40) {
            memset(copy + (number->data - lexer->bytes), ' ', number->length);
            copy[number->data - lexer->bytes] = '0';
        }
    }
    root = cJSON_ParseWithLengthOpts(copy, lexer->size, &end, 0);
    if (root) {
        if (!is_space(end, (size_t)(copy + lexer->size - end))) {
            cJSON_Delete(root);
            root = NULL;
        }
    }
    free(copy);
    return root;
}

static void note(struct reading *reading, enum kpi_refusal refusal)
{
    if (reading->refusal)
        return;
    reading->refusal = refusal;
    reading->refused_at = reading->position;
}

static int64_t number_of(const char *text, regmatch_t match)
{
    return match.rm_so < 0 ? 0 : strtoll(text + match.rm_so, NULL, 10);
}

/* RFC 3339 by pattern and timegm(). */
static bool time_read(const char *text, kpi_time *ret_time)
{
    static const char pattern[] =
        "^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})([.]([0-9]+))?"
        "([Zz]|([+-])([0-9]{2}):([0-9]{2}))$";
    regmatch_t m[13];
    struct tm tm = {0}, back;
    int64_t offset, seconds, microseconds = 0;
    char *copy;
    bool leap;
    time_t t;

    if (!text_matches(text, strlen(text), pattern, m, 13))
        return false;
    tm.tm_year = (int)number_of(text, m[1]) - 1900;
    tm.tm_mon = (int)number_of(text, m[2]) - 1;
    tm.tm_mday = (int)number_of(text, m[3]);
    t = timegm(&tm);
    gmtime_r(&t, &back);
    if (back.tm_mon != (int)number_of(text, m[2]) - 1 || back.tm_mday != number_of(text, m[3]))
        return false;
    if (number_of(text, m[4]) > 23 || number_of(text, m[5]) > 59 || number_of(text, m[6]) > 60 ||
        number_of(text, m[11]) > 23 || number_of(text, m[12]) > 59)
        return false;
    offset = number_of(text, m[11]) * 3600 + number_of(text, m[12]) * 60;
    if (m[10].rm_so >= 0 && text[m[10].rm_so] == '-')
        offset = -offset;
    leap = number_of(text, m[6]) == 60;
    seconds = t + number_of(text, m[4]) * 3600 + number_of(text, m[5]) * 60 +
              (leap ? 59 : number_of(text, m[6])) - offset;
    if (leap && ((seconds % 86400) + 86400) % 86400 != 86399)
        return false;
    if (m[8].rm_so >= 0) {
        assert(asprintf(&copy, "%.*s000000", m[8].rm_eo - m[8].rm_so, text + m[8].rm_so) > 0);
        copy[6] = '\0';
        microseconds = atoll(copy);
        free(copy);
    }
    *ret_time = seconds * 1000000 + (leap ? 999999 : microseconds);
    return *ret_time > 0 && *ret_time < (kpi_time)253402300800 * 1000000;
}

/*
 * A JSON number's value in 10^-6 by writing it out as digits. *ret_n_decimals: digits behind the
 * point less the exponent.
 */
static bool decimal_read(const char *text, size_t length, kpi_decimal *ret_value,
                         long *ret_n_decimals)
{
    const char *mantissa = text[0] == '-' ? text + 1 : text, *end = text + length;
    char *digits = calloc(1, length + 64);
    size_t n_digits = 0, n_skip;
    long exponent = 0, n_fraction = -1, n_whole;
    bool good = true;

    assert(digits);
    for (; mantissa < end && *mantissa != 'e' && *mantissa != 'E'; mantissa++) {
        if (*mantissa == '.') {
            n_fraction = 0;
            continue;
        }
        n_fraction += n_fraction >= 0;
        digits[n_digits++] = *mantissa;
    }
    n_fraction = n_fraction < 0 ? 0 : n_fraction;
    if (mantissa < end) {
        char *copy = strndup(mantissa + 1, (size_t)(end - mantissa - 1));

        assert(copy);
        exponent = strtol(copy, NULL, 10); /* saturates */
        if (exponent > 1000000)
            exponent = 1000000;
        if (exponent < -1000000)
            exponent = -1000000;
        free(copy);
    }
    *ret_n_decimals = n_fraction - exponent;
    n_skip = strspn(digits, "0");
    n_whole =
        (long)n_digits - (long)n_skip - n_fraction + exponent + 6; /* digits of value * 10^6 */
    *ret_value = 0;
    if (n_skip < n_digits) {
        char whole[21] = "";

        good = n_whole > 0 && n_whole <= 19;
        for (long i = 0; good && i < n_whole; i++)
            whole[i] = n_skip + (size_t)i < n_digits ? digits[n_skip + (size_t)i] : '0';
        for (size_t i = n_skip + (size_t)(n_whole > 0 ? n_whole : 0); good && i < n_digits; i++)
            good = digits[i] == '0';
        good = good && strtoull(whole, NULL, 10) <= INT64_MAX;
        if (good)
            *ret_value = (text[0] == '-' ? -1 : 1) * strtoll(whole, NULL, 10);
    }
    free(digits);
    return good;
}

static uint64_t keyed(const void *data, size_t length)
{
    return XXH3_64bits_withSecret(data, length, decoder_key, sizeof(decoder_key));
}

/* A value with its token, as it stands below a wanted key. */
struct member {
    const cJSON *value;
    const struct token *token; /* of a string or number */
};

static bool member_is_text(const struct member *member, size_t length_max)
{
    return cJSON_IsString(member->value) && !member->token->has_nul &&
           member->value->valuestring[0] && strlen(member->value->valuestring) <= length_max;
}

static bool member_is_natural(const struct member *member)
{
    return cJSON_IsNumber(member->value) &&
           text_matches(member->token->data, member->token->length, "^[0-9]+$", NULL, 0) &&
           (member->token->length < 19 ||
            (member->token->length == 19 &&
             memcmp(member->token->data, "9223372036854775807", 19) <= 0));
}

static void field_set_string(struct kpi_field *field, const char *string)
{
    field->kind = KPI_FIELD_STRING;
    field->string = string;
    field->length = (uint32_t)strlen(string);
    field->hash = XXH3_64bits(string, field->length);
}

static void envelope_user(struct reading *reading, const struct member *member)
{
    if (member_is_text(member, 256))
        reading->event.user = keyed(member->value->valuestring, strlen(member->value->valuestring));
    else if (member_is_natural(member))
        reading->event.user = keyed(member->token->data, member->token->length);
    else
        note(reading, KPI_REFUSAL_USER);
    reading->event.flags |= KPI_EVENT_HAS_USER;
}

static void envelope_time(struct reading *reading, const struct member *member)
{
    kpi_time time;

    reading->has_time = true;
    if (cJSON_IsString(member->value) && !member->token->has_nul &&
        time_read(member->value->valuestring, &time)) {
        reading->event.time = time;
        return;
    }
    if (member_is_natural(member)) {
        int64_t ms = strtoll(member->token->data, NULL, 10);

        if (ms > 0 && ms <= 253402300799999) {
            reading->event.time = ms * 1000;
            return;
        }
    }
    note(reading, KPI_REFUSAL_TIME);
}

static void envelope_read(struct reading *reading, unsigned key, const struct member *member)
{
    bool text256 = member_is_text(member, 256);

    switch (key) {
    case ENVELOPE_ID:
        reading->id = text256 ? member->value->valuestring : NULL;
        if (!text256)
            note(reading, KPI_REFUSAL_ID);
        break;
    case ENVELOPE_SOURCE:
        reading->source = text256 ? member->value->valuestring : NULL;
        if (!text256)
            note(reading, KPI_REFUSAL_ID);
        break;
    case ENVELOPE_TYPE:
        reading->has_type = true;
        if (member_is_text(member, 64))
            field_set_string(&reading->event.type, member->value->valuestring);
        else
            note(reading, KPI_REFUSAL_TYPE);
        break;
    case ENVELOPE_USER:
        envelope_user(reading, member);
        break;
    case ENVELOPE_TIME:
        envelope_time(reading, member);
        break;
    default:
        if ((!cJSON_IsString(member->value) || member->token->has_nul ||
             strcmp(member->value->valuestring, "CNY") != 0) &&
            !reading->currency_bad_at)
            reading->currency_bad_at = reading->position;
        break;
    }
}

static void amount_read(struct reading *reading, struct kpi_field *field,
                        const struct member *member)
{
    const char *text = NULL;
    size_t length = 0;
    long n_decimals = 0;

    reading->has_amount = true;
    if (cJSON_IsNumber(member->value)) {
        text = member->token->data;
        length = member->token->length;
    } else if (cJSON_IsString(member->value) && !member->token->has_nul &&
               text_matches(member->value->valuestring, strlen(member->value->valuestring),
                            "^-?(0|[1-9][0-9]*)([.][0-9]+)?$", NULL, 0)) {
        text = member->value->valuestring;
        length = strlen(text);
    }
    if (!text || !decimal_read(text, length, &field->number, &n_decimals) || n_decimals > 6 ||
        field->number < 0)
        note(reading, KPI_REFUSAL_AMOUNT);
    field->kind = KPI_FIELD_NUMBER;
}

static void field_read(struct reading *reading, uint32_t index, const struct member *member)
{
    enum kpi_field_use use = kpi_plan_field(&plan_fake, index)->use;
    struct kpi_field *field = &reading->fields[index];
    long n_decimals;

    if (use == KPI_USE_ANY)
        use = cJSON_IsNumber(member->value) ? KPI_USE_NUMBER
              : cJSON_IsBool(member->value) ? KPI_USE_BOOL
                                            : KPI_USE_STRING;
    switch (use) {
    case KPI_USE_STRING:
        if (cJSON_IsString(member->value) && !member->token->has_nul)
            field_set_string(field, member->value->valuestring);
        else
            note(reading, KPI_REFUSAL_FIELD);
        break;
    case KPI_USE_NUMBER:
        field->kind = KPI_FIELD_NUMBER;
        if (!cJSON_IsNumber(member->value))
            note(reading, KPI_REFUSAL_FIELD);
        else if (!decimal_read(member->token->data, member->token->length, &field->number,
                               &n_decimals))
            note(reading, KPI_REFUSAL_NUMBER);
        break;
    case KPI_USE_BOOL:
        field->kind = KPI_FIELD_BOOL;
        field->number = cJSON_IsTrue(member->value);
        if (!cJSON_IsBool(member->value))
            note(reading, KPI_REFUSAL_FIELD);
        break;
    case KPI_USE_AMOUNT:
        amount_read(reading, field, member);
        break;
    case KPI_USE_ANY: /* taken apart above */
        break;
    }
}

/* Index of a wanted key: the envelope, then the plan's fields; -1 for others. */
static int key_index(const char *name)
{
    static const char *const envelope[ENVELOPE_KEYS] = {"id",   "source", "type",
                                                        "user", "time",   "currency"};

    for (int i = 0; i < ENVELOPE_KEYS; i++) {
        if (strcmp(name, envelope[i]) == 0)
            return i;
    }
    for (int i = 0; i < PLAN_FAKE_FIELDS; i++) {
        struct kpi_string field = kpi_plan_field(&plan_fake, (uint32_t)i)->name;

        if (strlen(name) == field.length && memcmp(name, field.data, field.length) == 0)
            return ENVELOPE_KEYS + i;
    }
    return -1;
}

/* Walks a value in the order of the bytes, so that tokens and nodes stay side by side. */
static const struct token *tokens_pass(struct reading *reading, const cJSON *value)
{
    if (cJSON_IsString(value))
        return &reading->lexer.strings[reading->next_string++];
    if (cJSON_IsNumber(value)) {
        const struct token *token = &reading->lexer.numbers[reading->next_number++];

        assert(token->length > 40 || strtod(token->data, NULL) == value->valuedouble);
        return token;
    }
    for (const cJSON *child = value->child; child; child = child->next) {
        reading->next_string += cJSON_IsObject(value);
        (void)tokens_pass(reading, child); /* only the outermost value's token is asked for */
    }
    return NULL;
}

static void object_read(struct reading *reading)
{
    for (const cJSON *value = reading->root->child; value; value = value->next) {
        const struct token *name = &reading->lexer.strings[reading->next_string++];
        struct member member = {value, tokens_pass(reading, value)};
        int index = name->has_nul ? -1 : key_index(value->string);

        reading->position++;
        if (index < 0)
            continue;
        if (reading->seen[index])
            note(reading, KPI_REFUSAL_DUPLICATE_KEY);
        reading->seen[index] = true;
        if (cJSON_IsNull(value))
            continue;
        if (index < ENVELOPE_KEYS)
            envelope_read(reading, (unsigned)index, &member);
        else
            field_read(reading, (uint32_t)index - ENVELOPE_KEYS, &member);
    }
}

static void id_read(struct reading *reading, const struct event_origin *origin)
{
    uint8_t bytes[1 + 8 + 4 + 8] = {0};
    char *text;
    int length;

    if (reading->id && reading->source) {
        length = asprintf(&text, "%s%c%s", reading->source, 0, reading->id);
        assert(length > 0);
        reading->event.id = keyed(text, (size_t)length);
        free(text);
    } else if (reading->id) {
        reading->event.id = keyed(reading->id, strlen(reading->id));
    } else {
        memcpy(bytes + 1, &origin->topic_hash, 8);
        memcpy(bytes + 9, &origin->partition, 4);
        memcpy(bytes + 13, &origin->offset, 8);
        reading->event.id = keyed(bytes, sizeof(bytes));
    }
    if (reading->id)
        reading->event.flags |= KPI_EVENT_HAS_ID;
}

static enum kpi_refusal event_read(struct reading *reading, const struct event_origin *origin)
{
    uint64_t content = XXH3_64bits(reading->lexer.bytes, reading->lexer.size);

    object_read(reading);
    if (reading->currency_bad_at && reading->has_amount &&
        (!reading->refusal || reading->currency_bad_at < reading->refused_at))
        return KPI_REFUSAL_CURRENCY;
    if (reading->refusal)
        return reading->refusal;
    if (!reading->has_type)
        return KPI_REFUSAL_TYPE;
    if (!reading->has_time)
        return KPI_REFUSAL_TIME;
    id_read(reading, origin);
    reading->event.content = (uint32_t)(content ^ content >> 32);
    reading->event.record_time =
        origin->record_time == KPI_TIME_NONE ? reading->event.time : origin->record_time;
    return KPI_REFUSAL_NONE;
}

static bool field_equal(const struct kpi_field *a, const struct kpi_field *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == KPI_FIELD_ABSENT)
        return true;
    if (a->kind != KPI_FIELD_STRING)
        return a->number == b->number;
    return a->length == b->length && a->hash == b->hash &&
           memcmp(a->string, b->string, a->length) == 0;
}

static const char *event_compare(const struct kpi_event *event, const struct reading *reading)
{
    const struct kpi_event *expected = &reading->event;

    if (event->time != expected->time)
        return "time";
    if (event->record_time != expected->record_time)
        return "record time";
    if (event->flags != expected->flags)
        return "flags";
    if (event->user != expected->user)
        return "user";
    if (event->id != expected->id)
        return "id";
    if (event->content != expected->content)
        return "content";
    if (!field_equal(&event->type, &expected->type))
        return "type";
    for (unsigned i = 0; i < PLAN_FAKE_FIELDS; i++) {
        if (!field_equal(&event->fields[i], &reading->fields[i]))
            return "a field";
    }
    return NULL;
}

static bool is_syntax(enum kpi_refusal refusal)
{
    return refusal == KPI_REFUSAL_JSON || refusal == KPI_REFUSAL_UTF8 ||
           refusal == KPI_REFUSAL_DEPTH;
}

static const char *compare(const struct reading *reading, bool lexed, enum kpi_refusal refusal,
                           const struct kpi_event *event, enum kpi_refusal expected)
{
    if (!lexed || !reading->root) {
        /* Grammar may be broken before the lexer's problem, but not the other way round. */
        if (!is_syntax(refusal))
            return "not refused for its syntax";
        if (refusal == KPI_REFUSAL_JSON ? reading->root && reading->lexer.problem != refusal
                                        : reading->lexer.problem != refusal)
            return "another syntax error";
        return NULL;
    }
    if (refusal != expected)
        return "another refusal";
    return refusal == KPI_REFUSAL_NONE ? event_compare(event, reading) : NULL;
}

static void keep(struct mappings *mappings)
{
    assert(mappings == &event_reference_mappings); /* there are always references left */
}

static const struct kpi_string variant = {"variant", 7};
static const struct mapping_field as_it_is = {{"variant", 7}, {.paths = &variant, .n_paths = 1}};
static const struct mapping all = {.name = {"all", 3}, .fields = &as_it_is, .n_fields = 1};

struct mappings event_reference_mappings = {
    .n_refs = 1, .release = keep, .mappings = &all, .n_mappings = 1};

const char *event_reference_compare(struct event_decoder *decoder, const char *bytes, size_t size,
                                    const struct event_origin *origin)
{
    struct reading reading = {.lexer = {.size = size}};
    struct kpi_field fields[PLAN_FAKE_FIELDS];
    struct kpi_event event = {.fields = fields};
    enum kpi_refusal refusal = event_decode(decoder, bytes, size, origin, &event), expected;
    const char *difference;
    bool framed = size >= 5 && bytes[0] == 0;
    char *copy;
    bool lexed;

    if (framed) { /* a Confluent frame is as if it were not there */
        bytes += 5;
        reading.lexer.size = size -= 5;
    }
    if (size > EVENT_BYTES_MAX)
        return refusal == KPI_REFUSAL_TOO_LARGE ? NULL : "not too large";
    copy = calloc(1, size + 1); /* terminated, so that string functions may look at it */
    assert(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    reading.lexer.bytes = copy;
    reading.lexer.strings = calloc(size + 1, sizeof(struct token));
    reading.lexer.numbers = calloc(size + 1, sizeof(struct token));
    assert(reading.lexer.strings);
    assert(reading.lexer.numbers);
    lexed = lex(&reading.lexer);
    if (is_space(copy, size)) {
        difference = refusal == KPI_REFUSAL_EMPTY ? NULL : "not empty";
    } else if (framed && copy[strspn(copy, " \t\r\n")] != '{') {
        difference = refusal == KPI_REFUSAL_ENCODING ? NULL : "not an odd encoding";
    } else {
        reading.root = parse(&reading.lexer);
        expected = KPI_REFUSAL_NOT_OBJECT;
        if (lexed && cJSON_IsObject(reading.root))
            expected = event_read(&reading, origin);
        difference = compare(&reading, lexed, refusal, &event, expected);
    }
    cJSON_Delete(reading.root);
    free(copy);
    free(reading.lexer.strings);
    free(reading.lexer.numbers);
    return difference;
}
