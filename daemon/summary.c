/* Published rows: see summary.h. The byte form is the struct's own, little-endian like all hosts
 * that Debian's librdkafka of this generation is built for; the object's version guards its layout.
 */
#include "summary.h"

#include "util/error.h"

#include <kpi/object.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_VERSION 1

struct summary *summary_new(uint32_t n_rows)
{
    struct summary *summary = calloc(1, sizeof(*summary) + n_rows * sizeof(struct kpi_row));

    if (summary)
        summary->n_rows = n_rows;
    return summary;
}

struct summary *summary_free(struct summary *summary)
{
    free(summary);
    return NULL;
}

static size_t summary_size(uint32_t n_rows)
{
    return sizeof(struct summary) + n_rows * sizeof(struct kpi_row);
}

int summary_encode(const struct summary *summary, void **ret_bytes, size_t *ret_size)
{
    size_t size = summary_size(summary->n_rows);
    char *bytes = malloc(KPI_OBJECT_HEADER_BYTES + size);

    if (!bytes)
        return error_origin(-ENOMEM);
    memcpy(bytes + KPI_OBJECT_HEADER_BYTES, summary, size);
    kpi_object_seal(bytes, KPI_OBJECT_SUMMARY, SUMMARY_VERSION, size);
    *ret_bytes = bytes;
    *ret_size = KPI_OBJECT_HEADER_BYTES + size;
    return 0;
}

int summary_decode(struct summary **ret_summary, const void *bytes, size_t size)
{
    struct summary *summary;
    const void *payload;
    uint16_t version;
    uint32_t n_rows;
    size_t length;

    if (kpi_object_open(bytes, size, KPI_OBJECT_SUMMARY, SUMMARY_VERSION, &version, &payload,
                        &length) != 0 ||
        length < sizeof(struct summary))
        return SUMMARY_E_CORRUPT;
    memcpy(&n_rows, (const char *)payload + offsetof(struct summary, n_rows), sizeof(n_rows));
    if (length != summary_size(n_rows))
        return SUMMARY_E_CORRUPT;
    summary = summary_new(n_rows);
    if (!summary)
        return error_origin(-ENOMEM);
    memcpy(summary, payload, length);
    *ret_summary = summary;
    return 0;
}
