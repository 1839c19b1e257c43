/*
 * The bytes of a file of events: as they are, or unpacked if the file begins as gzip does. Members
 * of gzip may follow one another, with zero bytes between and behind them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay_source;

enum {
    REPLAY_SOURCE_E_DAMAGED = 1, /* gzip that is cut off or wrong: replay_source_damage() */
};

/* "-" is standard input. 0 or a negative errno, -EISDIR for a directory. */
int replay_source_new(struct replay_source **ret_source, const char *path);
struct replay_source *replay_source_free(struct replay_source *source); /* NULL is fine */

/*
 * Reads up to size (> 0) bytes; *ret_n is 0 at the end only. 0, REPLAY_SOURCE_E_DAMAGED or a
 * negative errno.
 */
int replay_source_read(struct replay_source *source, char *bytes, size_t size, size_t *ret_n);

/* Bytes of the file that have been read, packed ones if it is packed. */
uint64_t replay_source_position(const struct replay_source *source);

/* After REPLAY_SOURCE_E_DAMAGED: what is wrong, borrowed, and *ret_at: at which byte of the file.
 */
const char *replay_source_damage(const struct replay_source *source, uint64_t *ret_at);
