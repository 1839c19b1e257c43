/*
 * Tables of local days for libkpi, from the system's zone data ($TZDIR, else /usr/share/zoneinfo).
 * Neither the environment's TZ nor the C library's zone is touched.
 */
#pragma once

#include "util/arena.h"

#include <kpi/definition.h>

enum {
    ZONES_E_UNKNOWN = 1, /* no such zone */
    ZONES_E_NO_DATA,     /* the system has no zone data at all */
    ZONES_E_INVALID,     /* its file is damaged, or counts leap seconds */
};

/*
 * The days from 2000-01-01 to 2100-01-01 (excluded) of a zone, in the arena. A day begins with the
 * first instant of its date, also where midnight is skipped or comes twice. A date that a zone
 * skipped altogether (Apia, 2011-12-30) is given the last microsecond of the day before, as entries
 * must rise; the day after it begins when it truly did. UTC needs no data. 0, ZONES_E_… or -ENOMEM.
 */
int zones_load(struct kpi_zone *ret_zone, const char *name, struct arena *arena);

/*
 * The known zone that an unknown name probably means, in the arena: other case, a city without its
 * continent, a slip of the pen. *ret_name is NULL if there is none. 0 or -ENOMEM.
 */
int zones_suggest(const char *name, struct arena *arena, const char **ret_name);
