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
