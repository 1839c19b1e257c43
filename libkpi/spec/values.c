/* Values of dimensions: see values.h. */
#include "spec/values.h"
#include "base/number.h"

enum {
    VALUE_BYTES_MAX = 256,
    NONE = UINT32_MAX, /* length of a value that is none */
};

static int compare(struct kpi_string a, struct kpi_string b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int r;

    if (!a.data || !b.data)
        return (a.data != NULL) - (b.data != NULL);
    r = length > 0 ? memcmp(a.data, b.data, length) : 0;
    return r != 0 ? r : (a.length > b.length) - (a.length < b.length);
}

int kpi_values_compare(const struct kpi_string *a, uint32_t n_a, const struct kpi_string *b,
                       uint32_t n_b)
{
    for (uint32_t i = 0; i < n_a && i < n_b; ++i) {
        int r = compare(a[i], b[i]);

        if (r != 0)
            return r;
    }
    return (n_a > n_b) - (n_a < n_b);
}

struct kpi_values kpi_values_store(struct kpi_buffer *block, const struct kpi_string *values,
                                   uint32_t n)
{
    struct kpi_values stored = {.n = n, .at = block->size};

    for (uint32_t i = 0; i < n; ++i) {
        stored.lengths[i] = values[i].data ? (uint32_t)values[i].length : NONE;
        if (values[i].data)
            kpi_buffer_add(block, values[i].data, values[i].length);
    }
    return stored;
}

size_t kpi_values_get(const struct kpi_values *stored, const struct kpi_buffer *block,
                      struct kpi_string *ret_values)
{
    size_t at = stored->at;

    for (uint32_t i = 0; i < stored->n; ++i) {
        uint32_t length = stored->lengths[i];

        if (length == NONE) {
            ret_values[i] = (struct kpi_string){0};
            continue;
        }
        /* an empty value is none of nothing: it points somewhere */
        ret_values[i] = (struct kpi_string){length ? (const char *)block->data + at : "", length};
        at += length;
    }
    return at;
}

void kpi_values_encode(struct kpi_buffer *buffer, const struct kpi_string *values, uint32_t n)
{
    kpi_buffer_u8(buffer, (uint8_t)n);
    for (uint32_t i = 0; i < n; ++i) {
        kpi_number_put(buffer, values[i].data ? values[i].length + 1 : 0);
        kpi_buffer_add(buffer, values[i].data, values[i].length);
    }
}

bool kpi_values_decode(struct kpi_reader *reader, struct kpi_string *ret_values, uint32_t *ret_n)
{
    uint32_t n = kpi_reader_u8(reader);

    if (reader->failed || n > KPI_BREAKDOWN_DIMENSIONS_MAX)
        return false;
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t length = (uint32_t)kpi_number_get(reader, 32);
        struct kpi_reader taken;

        ret_values[i] = (struct kpi_string){0};
        if (length == 0)
            continue;
        if (length - 1 > VALUE_BYTES_MAX)
            return false;
        taken = kpi_reader_take(reader, length - 1);
        ret_values[i] = (struct kpi_string){(const char *)taken.at, length - 1};
    }
    *ret_n = n;
    return true;
}
