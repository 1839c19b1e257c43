/* UTF-8, one character at a time: RFC 3629, so no overlong forms, no surrogates, nothing beyond
 * U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes (1 … 4) of the character that begins at bytes, and its code; 0 if there is none. */
static inline size_t utf8_decode(const char *bytes, size_t size, uint32_t *ret_code)
{
    static const uint32_t code_min[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *b = (const uint8_t *)bytes;
    size_t n, i;
    uint32_t code;

    if (size == 0)
        return 0;
    if (b[0] < 0x80) {
        *ret_code = b[0];
        return 1;
    }
    n = b[0] >= 0xf0 && b[0] < 0xf5 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || n > size)
        return 0;
    code = b[0] & (0x7f >> n);
    for (i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (b[i] & 0x3f);
    }
    if (code < code_min[n] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
        return 0;
    *ret_code = code;
    return n;
}

static inline bool utf8_valid(const char *bytes, size_t size)
{
    uint32_t code;
    size_t i = 0, n;

    for (; i < size; i += n) {
        n = utf8_decode(bytes + i, size - i, &code);
        if (n == 0)
            return false;
    }
    return true;
}
