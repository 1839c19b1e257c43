/*
 * How far replay is: one line on a terminal, drawn over itself a few times a second.
 *
 *   [#####...............]  27 %  1.4 of 5.2 GB  1520000 events/s  41 s left
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay_progress {
    bool shown;           /* the line stands there */
    uint64_t n_all;       /* bytes of all files; 0: not known */
    uint64_t n_done;      /* of the files that have been read to their end */
    uint64_t n_events;    /* likewise */
    int64_t began, drawn; /* monotonic */
};

enum {
    REPLAY_PROGRESS_LINE_BYTES_MAX = 160,
};

void replay_progress_init(struct replay_progress *progress, uint64_t n_all);

/*
 * The line for so many bytes and lines read, after so many microseconds; terminated, without
 * movements of the cursor.
 */
void replay_progress_format(const struct replay_progress *progress, uint64_t n_bytes,
                            uint64_t n_events, int64_t elapsed,
                            char ret_line[REPLAY_PROGRESS_LINE_BYTES_MAX]);

/* "41 s", "7 min 05 s", "2 h 31 min"; what snprintf() returns. */
int replay_progress_format_seconds(char *text, size_t size, double seconds);

/* Draws on stderr, if it is time again. n_bytes, n_events: of the present file. */
void replay_progress_update(struct replay_progress *progress, uint64_t n_bytes, uint64_t n_events);
/* The present file has been read to its end. */
void replay_progress_next(struct replay_progress *progress, uint64_t n_bytes, uint64_t n_events);
/* Takes the line away, so that something else may stand there. */
void replay_progress_clear(struct replay_progress *progress);
