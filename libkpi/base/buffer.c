/* Growing bytes: see buffer.h. */
#include "base/buffer.h"

void kpi_buffer_deinit(struct kpi_buffer *buffer)
{
    kpi_mem_free(buffer->mem, buffer->data, buffer->size_max);
    *buffer = (struct kpi_buffer){.mem = buffer->mem};
}

void *kpi_buffer_extend(struct kpi_buffer *buffer, size_t size)
{
    void *at;

    if (buffer->failed)
        return NULL;
    if (buffer->size_max - buffer->size < size) {
        size_t size_max = buffer->size_max * 2;
        uint8_t *data;

        if (size_max < buffer->size + size)
            size_max = (buffer->size + size + 4095) / 4096 * 4096;
        data = kpi_mem_resize(buffer->mem, buffer->data, buffer->size_max, size_max);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->size_max = size_max;
    }
    at = buffer->data + buffer->size;
    buffer->size += size;
    return at;
}

void kpi_buffer_number(struct kpi_buffer *buffer, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        kpi_buffer_u8(buffer, (uint8_t)(number | 0x80));
    kpi_buffer_u8(buffer, (uint8_t)number);
}

void kpi_buffer_signed(struct kpi_buffer *buffer, int64_t number)
{
    kpi_buffer_number(buffer, (uint64_t)number << 1 ^ (uint64_t)(number >> 63));
}

uint64_t kpi_reader_number(struct kpi_reader *reader)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = kpi_reader_u8(reader);

        if (shift == 63 && byte > 1)
            break;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    reader->failed = true;
    return 0;
}

int64_t kpi_reader_signed(struct kpi_reader *reader)
{
    uint64_t number = kpi_reader_number(reader);

    return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}
