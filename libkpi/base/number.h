/*
 * Whole numbers of up to 128 bits as bytes, as kpi_buffer_number() writes those of 64. There is one
 * form of each: a last byte of 0 behind others is refused.
 */
#pragma once

#include "base/buffer.h"

static inline void kpi_number_put(struct kpi_buffer *buffer, unsigned __int128 number)
{
    for (; number >= 0x80; number >>= 7)
        kpi_buffer_u8(buffer, (uint8_t)(number | 0x80));
    kpi_buffer_u8(buffer, (uint8_t)number);
}

static inline void kpi_number_put_signed(struct kpi_buffer *buffer, __int128 number)
{
    kpi_number_put(buffer, (unsigned __int128)number << 1 ^ (unsigned __int128)(number >> 127));
}

/* A number of up to `bits`; else 0, and the reader has failed. */
static inline unsigned __int128 kpi_number_get(struct kpi_reader *reader, unsigned bits)
{
    unsigned __int128 number = 0;

    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = kpi_reader_u8(reader);

        if (bits - shift < 7 && (byte & 0x7f) >> (bits - shift))
            break;
        number |= (unsigned __int128)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift)
                break;
            return number;
        }
    }
    reader->failed = true;
    return 0;
}

static inline __int128 kpi_number_get_signed(struct kpi_reader *reader, unsigned bits)
{
    unsigned __int128 number = kpi_number_get(reader, bits);

    return (__int128)(number >> 1) ^ -(__int128)(number & 1);
}
