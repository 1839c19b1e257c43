/*
 * What CRoaring does not do for us: judging bytes of the portable Roaring format before they are
 * believed. roaring_bitmap_portable_deserialize_safe() keeps within the bytes it is given but
 * builds unsorted arrays and overlapping runs without a word, on which later operations go astray.
 *
 * https://github.com/RoaringBitmap/RoaringFormatSpec
 */
#pragma once

#include <kpi/base.h>
#include <roaring/roaring.h>

enum {
    KPI_BITMAP_E_CORRUPT = 1,
};

/*
 * A bitmap of exactly `size` bytes whose values are all below `limit`; freed by
 * roaring_bitmap_free(). Returns 0, KPI_BITMAP_E_CORRUPT or -ENOMEM.
 */
int kpi_bitmap_decode(const void *bytes, size_t size, uint64_t limit,
                      roaring_bitmap_t **ret_bitmap);
