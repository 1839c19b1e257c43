/*
 * The strict JSON scanner. Containers are walked with a bit per level instead of recursion, so
 * depth costs no stack, and white space, numbers and literals are plain byte loops: strings are
 * where the bytes are, and those have json_skip_plain().
 */
#include "codec/json_scan.h"

const uint8_t json_plain_bytes[256] = {
    [0x20 ... 0x21] = 1,
    [0x23 ... 0x5b] = 1,
    [0x5d ... 0x7f] = 1,
};

static const uint8_t *json_fail(enum kpi_refusal problem, enum kpi_refusal *ret_problem)
{
    *ret_problem = problem;
    return NULL;
}

const uint8_t *json_skip_space_run(const uint8_t *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

static bool json_continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/*
 * One character of two to four bytes, in the table of well-formed sequences of Unicode 15, 3.9
 * (D92): no overlong forms, no surrogates, nothing beyond U+10FFFF. NULL if it is none. Stops at
 * the first byte that does not fit, so the padding ends a cut sequence.
 */
static const uint8_t *utf8_scan(const uint8_t *p)
{
    uint8_t first = p[0];

    if (first < 0xc2)
        return NULL;
    if (first < 0xe0)
        return json_continues(p[1]) ? p + 2 : NULL;
    if (first < 0xf0) {
        uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : 0xbf;

        return p[1] >= low && p[1] <= high && json_continues(p[2]) ? p + 3 : NULL;
    }
    if (first < 0xf5) {
        uint8_t low = first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xf4 ? 0x8f : 0xbf;

        return p[1] >= low && p[1] <= high && json_continues(p[2]) && json_continues(p[3]) ? p + 4
                                                                                           : NULL;
    }
    return NULL;
}

/* The value of four hexadecimal digits, or -1. */
static int32_t hex4_get(const uint8_t *p)
{
    int32_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint8_t c = p[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            value = value << 4 | ((c | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static bool surrogate_is_high(int32_t unit)
{
    return (unit & 0xfc00) == 0xd800;
}

static bool surrogate_is_low(int32_t unit)
{
    return unit >= 0 && (unit & 0xfc00) == 0xdc00;
}

/* p is at the backslash of \uXXXX. A high surrogate takes the low one behind it along. */
static const uint8_t *scan_unicode_escape(const uint8_t *p, struct json_text *text,
                                          enum kpi_refusal *ret_problem)
{
    int32_t unit = hex4_get(p + 2);

    if (unit < 0)
        return json_fail(KPI_REFUSAL_JSON, ret_problem);
    if (surrogate_is_high(unit)) {
        if (p[6] != '\\' || p[7] != 'u' || !surrogate_is_low(hex4_get(p + 8)))
            return json_fail(KPI_REFUSAL_UTF8, ret_problem);
        return p + 12;
    }
    if (surrogate_is_low(unit))
        return json_fail(KPI_REFUSAL_UTF8, ret_problem);
    if (unit == 0)
        text->has_nul = true;
    return p + 6;
}

static const uint8_t *scan_escape(const uint8_t *p, struct json_text *text,
                                  enum kpi_refusal *ret_problem)
{
    text->escaped = true;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        return scan_unicode_escape(p, text, ret_problem);
    default:
        return json_fail(KPI_REFUSAL_JSON, ret_problem);
    }
}

const uint8_t *json_scan_special(const uint8_t *p, struct json_text *text,
                                 enum kpi_refusal *ret_problem)
{
    if (*p == '\\')
        return scan_escape(p, text, ret_problem);
    if (*p < 0x20)
        return json_fail(KPI_REFUSAL_JSON, ret_problem);

    /* Chinese text comes in runs: stay here until they end. */
    do {
        p = utf8_scan(p);
        if (!p)
            return json_fail(KPI_REFUSAL_UTF8, ret_problem);
    } while (*p >= 0x80);
    return p;
}

static inline bool json_is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') <= 9;
}

static inline const uint8_t *skip_digits(const uint8_t *p)
{
    while (json_is_digit(*p))
        p++;
    return p;
}

static const uint8_t *scan_number(const uint8_t *p, enum kpi_refusal *ret_problem)
{
    if (*p == '-')
        p++;
    if (!json_is_digit(*p))
        return json_fail(KPI_REFUSAL_JSON, ret_problem);
    p = *p == '0' ? p + 1 : skip_digits(p);
    if (*p == ',') /* which most numbers end with */
        return p;
    if (*p == '.') {
        if (!json_is_digit(p[1]))
            return json_fail(KPI_REFUSAL_JSON, ret_problem);
        p = skip_digits(p + 2);
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        if (!json_is_digit(*p))
            return json_fail(KPI_REFUSAL_JSON, ret_problem);
        p = skip_digits(p);
    }
    return p;
}

static const uint8_t *scan_literal(const uint8_t *p, const char *literal, size_t length,
                                   enum kpi_refusal *ret_problem)
{
    if (memcmp(p, literal, length) != 0)
        return json_fail(KPI_REFUSAL_JSON, ret_problem);
    return p + length;
}

/* What follows (a comma, a bracket, the end) is looked at by the caller: "truex" fails there. */
static const uint8_t *scan_scalar(const uint8_t *p, enum kpi_refusal *ret_problem)
{
    if (json_is_digit(*p))
        return scan_number(p, ret_problem);
    switch (*p) {
    case '"':
        return json_skip_string(p + 1, ret_problem);
    case 't':
        return scan_literal(p, "true", 4, ret_problem);
    case 'f':
        return scan_literal(p, "false", 5, ret_problem);
    case 'n':
        return scan_literal(p, "null", 4, ret_problem);
    default:
        return scan_number(p, ret_problem);
    }
}

/* From the quote of a key to the value behind the colon. */
static inline __attribute__((always_inline)) const uint8_t *scan_key(const uint8_t *p,
                                                                     enum kpi_refusal *ret_problem)
{
    if (*p != '"')
        return json_fail(KPI_REFUSAL_JSON, ret_problem);
    p = json_skip_string(p + 1, ret_problem);
    if (!p)
        return NULL;
    if (*p != ':') {
        p = json_skip_space(p);
        if (*p != ':')
            return json_fail(KPI_REFUSAL_JSON, ret_problem);
    }
    return json_skip_space(p + 1);
}

/* p is at the bracket that opens; level depth + 1 is its own. */
static const uint8_t *scan_container(const uint8_t *p, unsigned depth, unsigned depth_max,
                                     enum kpi_refusal *ret_problem)
{
    unsigned base = depth;
    uint64_t objects = 0; /* bit 0: the innermost open container is an object */
    uint8_t closer = 0;   /* of that container */

    for (;;) {
        bool opened = false;

        if (*p == '"') {
            p = json_skip_string(p + 1, ret_problem);
        } else if (*p == '{' || *p == '[') {
            if (depth == depth_max)
                return json_fail(KPI_REFUSAL_DEPTH, ret_problem);
            depth++;
            objects = objects << 1 | (*p == '{');
            closer = objects & 1 ? '}' : ']';
            p = json_skip_space(p + 1);
            opened = *p != closer;
        } else {
            p = scan_scalar(p, ret_problem);
        }
        if (!p)
            return NULL;
        if (!opened) {
            /* A value has ended, or an empty container is about to. */
            while (*p != ',') {
                p = json_skip_space(p);
                if (*p == ',')
                    break;
                if (*p != closer)
                    return json_fail(KPI_REFUSAL_JSON, ret_problem);
                p++;
                depth--;
                if (depth == base)
                    return p;
                objects >>= 1;
                closer = objects & 1 ? '}' : ']';
            }
            p = json_skip_space(p + 1);
        }
        if (objects & 1) {
            p = scan_key(p, ret_problem);
            if (!p)
                return NULL;
        }
    }
}

const uint8_t *json_scan_value(const uint8_t *p, unsigned depth, unsigned depth_max,
                               enum kpi_refusal *ret_problem)
{
    if (*p == '{' || *p == '[')
        return scan_container(p, depth, depth_max, ret_problem);
    return scan_scalar(p, ret_problem);
}

static char *utf8_put(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static char short_escape_get(uint8_t letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return (char)letter; /* quote, backslash, slash */
    }
}

size_t json_unescape(const struct json_text *text, char *to)
{
    const uint8_t *p = text->data, *end = p + text->length;
    char *start = to;

    while (p < end) {
        uint32_t code;

        if (*p != '\\') {
            *to++ = (char)*p++;
            continue;
        }
        if (p[1] != 'u') {
            *to++ = short_escape_get(p[1]);
            p += 2;
            continue;
        }
        code = (uint32_t)hex4_get(p + 2);
        p += 6;
        if (surrogate_is_high((int32_t)code)) {
            code = 0x10000 + ((code & 0x3ff) << 10) + ((uint32_t)hex4_get(p + 2) & 0x3ff);
            p += 6;
        }
        to = utf8_put(to, code);
    }
    return (size_t)(to - start);
}
