/*
 * Memory that is freed at once: of one load of the configuration, of what a decoder is built from.
 * Zeroed, aligned to 16 bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
};

#define ARENA_INIT                                                                                 \
    (struct arena)                                                                                 \
    {                                                                                              \
        NULL                                                                                       \
    }

/* NULL: no memory. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy of length bytes and a terminating NUL. */
char *arena_copy(struct arena *arena, const char *data, size_t length);
char *arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * Room for one more item: returns items, or a copy twice as large if *capacity is n; NULL if there
 * is no memory (the old items stay).
 */
void *arena_grow(struct arena *arena, void *items, uint32_t n, uint32_t *capacity, size_t size);
void arena_deinit(struct arena *arena);
