/*
 * TZif files (RFC 8536), the zone data of the system: when a zone's offset from UTC changes. Years
 * beyond the table come from the POSIX TZ rule in the footer.
 */
#pragma once

#include "util/arena.h"

#include <stdbool.h>

/* From `at` (seconds since 1970) local time is UTC + offset seconds. */
struct tzif_segment {
    int64_t at;
    int32_t offset;
};

/* Ascending; [0].at is INT64_MIN. Adjacent ones may have the same offset. */
struct tzif {
    struct tzif_segment *segments;
    uint32_t n_segments;
};

enum {
    TZIF_E_INVALID = 1, /* not a TZif file, or a damaged one */
    TZIF_E_LEAPS,       /* it counts leap seconds (right/…) */
};

/* Reads bytes; changes by the footer are listed to the end of year_last. 0, TZIF_E_… or -ENOMEM. */
int tzif_parse(struct tzif *ret_tzif, const unsigned char *bytes, size_t size, int year_last,
               struct arena *arena);
