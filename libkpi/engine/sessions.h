/*
 * Sessions: stretches of a user's events that are no further apart than a gap.
 *
 * Those that are *open* stand in the user's row, as an attribute does (so they are saved, digested,
 * carried over to another plan and erased with it), in the order of time: intervals that grow, and
 * merge when a late event bridges them. So they are those of the sorted stream, whatever the order
 * of arrival. A session is over when the log's time is two gaps past its last event: nothing that
 * comes less than a gap late can change it any more. Then it leaves the row and is fed as an event
 * of its own. An event that comes later than that makes a session of its own, which is over at
 * once.
 *
 * A heap says whose sessions may be over; it follows from the rows, and is made of them anew when
 * state is loaded.
 */
#pragma once

#include "base/buffer.h"
#include "spec/program.h"

#include <kpi/event.h>

struct kpi_engine;

struct kpi_sessions_due {
    kpi_time due;
    uint32_t user;
};

struct kpi_sessions {
    struct kpi_sessions_due *heap; /* the least due first */
    size_t n, n_max;
};

void kpi_sessions_free(struct kpi_engine *engine);

/*
 * Counts an event in the sessions of its user, who has a row; *late is set if it comes a gap late
 * or more, so that sessions may not be those of the sorted stream. Returns 0 or -ENOMEM.
 */
int kpi_sessions_put(struct kpi_engine *engine, const struct kpi_attribute *attribute,
                     const struct kpi_event *event, uint32_t user, bool *late);
/* Feeds the sessions that the log's time has made over. Returns 0 or -ENOMEM. */
int kpi_sessions_turn(struct kpi_engine *engine);

/*
 * Appends the times (kpi_time) at which those open sessions that feed an instance, filter or not,
 * would count if they were over. Returns 0 or -ENOMEM.
 */
int kpi_sessions_open(const struct kpi_engine *engine, uint32_t instance, struct kpi_buffer *times);

enum {
    KPI_SESSIONS_E_CORRUPT = 1,
};

/*
 * Makes the heap from rows that are of another plan, or loaded. Returns 0, -ENOMEM, or
 * KPI_SESSIONS_E_CORRUPT: rows hold what no events can have left.
 */
int kpi_sessions_restart(struct kpi_engine *engine);

/* An open session as it stands in a row: values are ids, of campaigns [0] and strings. */
struct kpi_session_open {
    kpi_time first, last;
    uint32_t n_events; /* stays at the end of its range */
    uint32_t values[1 + KPI_SESSION_FIELDS_MAX];
};

/* Reads session i of the attribute's slots; false if fewer are open. */
bool kpi_session_get(const struct kpi_session *session, const int64_t *slots, uint32_t i,
                     struct kpi_session_open *ret_open);
/* The string of a value, and its hash; NULL and 0 where there is none. */
struct kpi_string kpi_session_value(const struct kpi_engine *engine,
                                    const struct kpi_session_open *open, uint32_t value,
                                    uint64_t *ret_hash);
