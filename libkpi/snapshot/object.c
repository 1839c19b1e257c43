/* The frame of objects: see kpi/object.h. */
#include "base/buffer.h"

#include <kpi/object.h>
#include <xxhash.h>

static uint64_t checksum(const void *payload, size_t length, uint16_t kind, uint16_t version)
{
    return XXH3_64bits_withSeed(payload, length, (uint64_t)kind << 16 | version);
}

void kpi_object_seal(void *header, enum kpi_object_kind kind, uint16_t version, size_t length)
{
    uint8_t *bytes = header;
    uint16_t kind16 = (uint16_t)kind;
    uint64_t length64 = length;
    uint64_t sum = checksum(bytes + KPI_OBJECT_HEADER_BYTES, length, kind16, version);

    memcpy(bytes, "kpid", 4);
    memcpy(bytes + 4, &kind16, 2);
    memcpy(bytes + 6, &version, 2);
    memcpy(bytes + 8, &length64, 8);
    memcpy(bytes + 16, &sum, 8);
}

int kpi_object_open(const void *data, size_t size, enum kpi_object_kind kind, uint16_t version_max,
                    uint16_t *ret_version, const void **ret_payload, size_t *ret_length)
{
    struct kpi_reader reader = kpi_reader_make(data, size);
    char magic[4];
    uint16_t kind_found, version;
    uint64_t length, sum;

    kpi_reader_get(&reader, magic, sizeof(magic));
    kind_found = kpi_reader_u16(&reader);
    version = kpi_reader_u16(&reader);
    length = kpi_reader_u64(&reader);
    sum = kpi_reader_u64(&reader);
    if (reader.failed || memcmp(magic, "kpid", 4) != 0 || kind_found != kind ||
        length != kpi_reader_left(&reader) ||
        sum != checksum(reader.at, length, kind_found, version) || version == 0)
        return KPI_OBJECT_E_CORRUPT;
    if (version > version_max)
        return KPI_OBJECT_E_NEWER;
    *ret_version = version;
    *ret_payload = reader.at;
    *ret_length = length;
    return 0;
}
