/* Published rows: see summary.h. The byte form is the struct's own, little-endian like all hosts
 * that Debian's librdkafka of this generation is built for; the object's version guards its layout.
 * Behind it stand the bytes of the supplement, if there is one.
 */
#include "summary.h"

#include "util/error.h"
#include "util/memory.h"

#include <kpi/object.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_VERSION 2

struct summary *summary_new(uint32_t n_rows)
{
    struct summary *summary = calloc(1, sizeof(*summary) + n_rows * sizeof(struct kpi_row));

    if (summary)
        summary->n_rows = n_rows;
    return summary;
}

struct summary *summary_free(struct summary *summary)
{
    if (summary)
        (void)kpi_supplement_unref(summary->supplement);
    free(summary);
    return NULL;
}

static size_t summary_size(uint32_t n_rows)
{
    return sizeof(struct summary) + n_rows * sizeof(struct kpi_row);
}

static int supplement_encode(const struct summary *summary, void **ret_bytes, size_t *ret_size)
{
    *ret_bytes = NULL;
    *ret_size = 0;
    if (!summary->supplement)
        return 0;
    return kpi_supplement_encode(summary->supplement, &memory_kpi, ret_bytes, ret_size);
}

int summary_encode(const struct summary *summary, void **ret_bytes, size_t *ret_size)
{
    size_t size = summary_size(summary->n_rows), supplement_size;
    struct summary *payload;
    void *supplement;
    char *bytes;

    if (supplement_encode(summary, &supplement, &supplement_size) < 0)
        return error_origin(-ENOMEM);
    bytes = malloc(KPI_OBJECT_HEADER_BYTES + size + supplement_size);
    if (bytes) {
        payload = (struct summary *)(bytes + KPI_OBJECT_HEADER_BYTES);
        memcpy(payload, summary, size);
        payload->supplement = NULL; /* an address means nothing elsewhere */
        if (supplement_size)
            memcpy(bytes + KPI_OBJECT_HEADER_BYTES + size, supplement, supplement_size);
        kpi_object_seal(bytes, KPI_OBJECT_SUMMARY, SUMMARY_VERSION, size + supplement_size);
        *ret_bytes = bytes;
        *ret_size = KPI_OBJECT_HEADER_BYTES + size + supplement_size;
    }
    kpi_mem_free(&memory_kpi, supplement, supplement_size);
    return bytes ? 0 : error_origin(-ENOMEM);
}

int summary_decode(struct summary **ret_summary, const void *bytes, size_t size)
{
    struct kpi_supplement *supplement = NULL;
    struct summary *summary;
    const char *payload;
    uint16_t version;
    uint32_t n_rows;
    size_t length;
    int r = 0;

    if (kpi_object_open(bytes, size, KPI_OBJECT_SUMMARY, SUMMARY_VERSION, &version,
                        (const void **)&payload, &length) != 0 ||
        version != SUMMARY_VERSION || length < sizeof(struct summary))
        return SUMMARY_E_CORRUPT;
    memcpy(&n_rows, payload + offsetof(struct summary, n_rows), sizeof(n_rows));
    size = summary_size(n_rows);
    if (length < size)
        return SUMMARY_E_CORRUPT;
    if (length > size)
        r = kpi_supplement_decode(&supplement, payload + size, length - size, &memory_kpi);
    if (r != 0)
        return r < 0 ? error_origin(r) : SUMMARY_E_CORRUPT;
    summary = summary_new(n_rows);
    if (!summary) {
        (void)kpi_supplement_unref(supplement);
        return error_origin(-ENOMEM);
    }
    memcpy(summary, payload, size);
    summary->supplement = supplement;
    *ret_summary = summary;
    return 0;
}
