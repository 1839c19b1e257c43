/*
 * The strict JSON scanner under event_json.c: RFC 8259 and UTF-8, nothing else.
 *
 * It reads a copy of the message that ends in JSON_SCAN_PADDING zero bytes. A zero byte is never
 * part of valid JSON, so every scan stops there by itself, and a read of 16 bytes stays inside the
 * copy. Whoever calls compares the end with the message's own at the very end: a zero inside a
 * message is an error before that.
 *
 * All functions take the position of what they scan and return the one behind it, or NULL with
 * *ret_problem set to the first problem: KPI_REFUSAL_JSON, _UTF8 or _DEPTH.
 */
#pragma once

#include <kpi/event.h>

#include <endian.h>

/* KPID_PORTABLE leaves the vector form out, so that a test can try the other one on any machine. */
#if defined(__SSE2__) && !defined(KPID_PORTABLE)
#include <emmintrin.h>
#define JSON_SCAN_SSE2 1
#else
#define JSON_SCAN_SSE2 0
#endif

enum {
    JSON_SCAN_PADDING = 64,
};

/* A string's content as it stands between the quotes. */
struct json_text {
    const uint8_t *data;
    size_t length;
    bool escaped; /* holds a backslash: json_unescape() before use */
    bool has_nul; /* holds the escape of U+0000 */
};

extern const uint8_t
    json_plain_bytes[256]; /* 1: stands for itself inside a string, one byte long */

/* Writes the padding, behind the copy. */
static inline void json_pad(uint8_t *end)
{
#if JSON_SCAN_SSE2
    for (unsigned i = 0; i < JSON_SCAN_PADDING; i += 16) /* memset() would be a call */
        _mm_storeu_si128((__m128i *)(end + i), _mm_setzero_si128());
#else
    memset(end, 0, JSON_SCAN_PADDING);
#endif
}

/* Skips to the first byte that ends a run of plain ones: quote, backslash, control, not ASCII. */
static inline const uint8_t *json_skip_plain(const uint8_t *p)
{
#if JSON_SCAN_SSE2
    for (;; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        /* Only the top bits count. The signed difference is below zero for control characters and
         * for bytes from 0x80; gcc makes four instructions of a comparison here. */
        __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
                                   _mm_subs_epi8(v, _mm_set1_epi8(0x20)));
        uint64_t mask = (uint32_t)_mm_movemask_epi8(odd);

        if (mask)
            return p + __builtin_ctzll(mask);
    }
#else
    while (json_plain_bytes[*p])
        p++;
    return p;
#endif
}

const uint8_t *json_skip_space_run(const uint8_t *p);

static inline const uint8_t *json_skip_space(const uint8_t *p)
{
    return *p > ' ' ? p : json_skip_space_run(p);
}

/* p is at an escape, a character beyond ASCII, or what may not be in a string. */
const uint8_t *json_scan_special(const uint8_t *p, struct json_text *text,
                                 enum kpi_refusal *ret_problem);

/* p is behind the opening quote; the result is behind the closing one. */
static inline const uint8_t *json_scan_string(const uint8_t *p, struct json_text *ret_text,
                                              enum kpi_refusal *ret_problem)
{
    ret_text->data = p;
    ret_text->escaped = false;
    ret_text->has_nul = false;
    for (;;) {
        p = json_skip_plain(p);
        if (__builtin_expect(*p == '"', 1))
            break;
        p = json_scan_special(p, ret_text, ret_problem);
        if (!p)
            return NULL;
    }
    ret_text->length = (size_t)(p - ret_text->data);
    return p + 1;
}

/* As json_scan_string(), for a string that nobody wants. */
static inline const uint8_t *json_skip_string(const uint8_t *p, enum kpi_refusal *ret_problem)
{
    struct json_text text;
    const uint8_t *end = json_skip_plain(p);

    if (__builtin_expect(*end == '"', 1))
        return end + 1;
    return json_scan_string(p, &text, ret_problem);
}

/* How many of the eight bytes at p, from the first on, are digits. */
static inline unsigned json_count_digits8(const uint8_t *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    x = le64toh(x) ^ 0x3030303030303030;
    /* Bit 7 of each byte that is none; a carry out of one spoils only those behind it. */
    x = ((x + 0x7676767676767676) | x) & 0x8080808080808080;
    return x ? (unsigned)__builtin_ctzll(x) / 8 : 8;
}

/* Any value. `depth` is how many objects and arrays are open already, depth_max how many may be. */
const uint8_t *json_scan_value(const uint8_t *p, unsigned depth, unsigned depth_max,
                               enum kpi_refusal *ret_problem);

/* A number or literal, which p is known to begin one of. */
static inline const uint8_t *json_scan_bare(const uint8_t *p, enum kpi_refusal *ret_problem)
{
    unsigned n_digits = json_count_digits8(p), n_fraction = 0;
    const uint8_t *end = p + n_digits;

    /* Most have up to seven digits, and up to seven behind a point. */
    if (n_digits - 1 < 7 && (*p != '0' || n_digits == 1)) {
        if (*end == '.') {
            n_fraction = json_count_digits8(end + 1);
            end += 1 + n_fraction;
        }
        if ((n_fraction - 1 < 7 || end == p + n_digits) && (*end | 0x20) != 'e')
            return end;
    }
    return json_scan_value(p, 0, 0, ret_problem);
}

/*
 * Writes the text that a scanned string stands for, at most text->length bytes; returns how many.
 * `to` needs room for text->length bytes.
 */
size_t json_unescape(const struct json_text *text, char *to);
