/*
 * Bytes being written and bytes being read, little-endian, as all that leaves the process.
 *
 * A buffer remembers that an allocation failed, a reader that it was asked for more than there is;
 * so that a caller checks once, at the end.
 */
#pragma once

#include <kpi/base.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "objects are written as memory holds them");

struct kpi_buffer {
    const struct kpi_mem *mem;
    uint8_t *data;
    size_t size, size_max;
    bool failed;
};

void kpi_buffer_deinit(struct kpi_buffer *buffer);

/* Room for `size` more bytes, whose content is the caller's to write; NULL if there is no memory.
 */
void *kpi_buffer_extend(struct kpi_buffer *buffer, size_t size);

static inline void kpi_buffer_add(struct kpi_buffer *buffer, const void *data, size_t size)
{
    void *at = kpi_buffer_extend(buffer, size);

    if (at && size)
        memcpy(at, data, size);
}

static inline void kpi_buffer_u8(struct kpi_buffer *buffer, uint8_t value)
{
    kpi_buffer_add(buffer, &value, sizeof(value));
}

static inline void kpi_buffer_u16(struct kpi_buffer *buffer, uint16_t value)
{
    kpi_buffer_add(buffer, &value, sizeof(value));
}

static inline void kpi_buffer_u32(struct kpi_buffer *buffer, uint32_t value)
{
    kpi_buffer_add(buffer, &value, sizeof(value));
}

static inline void kpi_buffer_u64(struct kpi_buffer *buffer, uint64_t value)
{
    kpi_buffer_add(buffer, &value, sizeof(value));
}

/* Numbers of variable length, 7 bits a byte: small ones are short; signed: small ones of either
 * sign. */
void kpi_buffer_number(struct kpi_buffer *buffer, uint64_t number);
void kpi_buffer_signed(struct kpi_buffer *buffer, int64_t number);

struct kpi_reader {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct kpi_reader kpi_reader_make(const void *data, size_t size)
{
    return (struct kpi_reader){.at = data, .end = (const uint8_t *)data + size};
}

/* The next `size` bytes as a reader of their own; a failed and empty one if there are fewer. */
static inline struct kpi_reader kpi_reader_take(struct kpi_reader *reader, size_t size)
{
    struct kpi_reader taken = {.at = reader->at, .end = reader->at};

    if ((size_t)(reader->end - reader->at) < size) {
        reader->failed = taken.failed = true;
        return taken;
    }
    taken.end = reader->at = reader->at + size;
    return taken;
}

/* Copies the next bytes; zeroes if there are fewer. */
static inline void kpi_reader_get(struct kpi_reader *reader, void *ret_data, size_t size)
{
    struct kpi_reader taken = kpi_reader_take(reader, size);

    if (taken.failed)
        memset(ret_data, 0, size);
    else if (size)
        memcpy(ret_data, taken.at, size);
}

static inline uint8_t kpi_reader_u8(struct kpi_reader *reader)
{
    uint8_t value;

    kpi_reader_get(reader, &value, sizeof(value));
    return value;
}

static inline uint16_t kpi_reader_u16(struct kpi_reader *reader)
{
    uint16_t value;

    kpi_reader_get(reader, &value, sizeof(value));
    return value;
}

static inline uint32_t kpi_reader_u32(struct kpi_reader *reader)
{
    uint32_t value;

    kpi_reader_get(reader, &value, sizeof(value));
    return value;
}

static inline uint64_t kpi_reader_u64(struct kpi_reader *reader)
{
    uint64_t value;

    kpi_reader_get(reader, &value, sizeof(value));
    return value;
}

/* As kpi_buffer_number() and kpi_buffer_signed() write them; 0 if there is none. */
uint64_t kpi_reader_number(struct kpi_reader *reader);
int64_t kpi_reader_signed(struct kpi_reader *reader);

static inline size_t kpi_reader_left(const struct kpi_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* All was there, and nothing is left. */
static inline bool kpi_reader_done(const struct kpi_reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}
