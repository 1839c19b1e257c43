/* A bump allocator over a list of blocks. */
#include "util/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char bytes[];
};

enum {
    BLOCK_BYTES = 64 * 1024
};

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;
    size_t rounded = (size + 15) & ~(size_t)15;
    void *p;

    if (rounded < size || rounded > SIZE_MAX / 2)
        return NULL;
    if (!block || block->size - block->used < rounded) {
        size_t room = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;

        block = calloc(1, sizeof(*block) + room);
        if (!block)
            return NULL;
        block->size = room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    p = block->bytes + block->used;
    block->used += rounded;
    return p;
}

char *arena_copy(struct arena *arena, const char *data, size_t length)
{
    char *p = arena_alloc(arena, length + 1);

    if (p && length)
        memcpy(p, data, length);
    return p;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    int n;
    char *p;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return NULL;
    p = arena_alloc(arena, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(args, format);
    (void)vsnprintf(p, (size_t)n + 1, format, args); /* it fits: the length was measured */
    va_end(args);
    return p;
}

void *arena_grow(struct arena *arena, void *items, uint32_t n, uint32_t *capacity, size_t size)
{
    uint32_t larger = n < 8 ? 16 : 2 * n;
    void *p;

    if (n < *capacity)
        return items;
    if (larger < n)
        return NULL;
    p = arena_alloc(arena, (size_t)larger * size);
    if (!p)
        return NULL;
    if (items)
        memcpy(p, items, (size_t)n * size);
    *capacity = larger;
    return p;
}

void arena_deinit(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
}
