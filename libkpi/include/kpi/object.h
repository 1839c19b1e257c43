/*
 * The frame around every byte string that leaves the process: what it is, which version, how long,
 * and a checksum. All integers little-endian.
 *
 *   offset 0  "kpid"   4 bytes
 *          4  kind     u16   enum kpi_object_kind
 *          6  version  u16   of the kind's layout
 *          8  length   u64   of the payload
 *         16  checksum u64   XXH3_64bits of the payload, seeded with kind << 16 | version
 *         24  payload
 */
#pragma once

#include <kpi/base.h>

#define KPI_OBJECT_HEADER_BYTES 24

enum kpi_object_kind {
    KPI_OBJECT_META = 1,   /* engine: counters, newest times, dictionary, cell directory */
    KPI_OBJECT_USERS,      /* a chunk of user hashes by dense id */
    KPI_OBJECT_ROWS,       /* attribute rows: a base chunk or a delta */
    KPI_OBJECT_CELL,       /* a cell, or a page of a hot set */
    KPI_OBJECT_SCALARS,    /* a pack of counts and sums */
    KPI_OBJECT_DEDUPE,     /* a slice of ids */
    KPI_OBJECT_SUMMARY,    /* a shard's rows */
    KPI_OBJECT_ALERT,      /* state of a target */
    KPI_OBJECT_OUTBOX,     /* a message to deliver */
    KPI_OBJECT_SUPPLEMENT, /* a shard's groups */
    KPI_OBJECT_ANSWERS,    /* a shard's answers */
};

enum {
    KPI_OBJECT_E_CORRUPT = 1,
    KPI_OBJECT_E_NEWER,
};

/* Writes the header for a payload that stands at header + KPI_OBJECT_HEADER_BYTES. */
void kpi_object_seal(void *header, enum kpi_object_kind kind, uint16_t version, size_t length);

/* Checks a frame of the expected kind, version <= version_max. 0, or KPI_OBJECT_E_…. */
int kpi_object_open(const void *data, size_t size, enum kpi_object_kind kind, uint16_t version_max,
                    uint16_t *ret_version, const void **ret_payload, size_t *ret_length);
