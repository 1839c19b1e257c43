/*
 * A kpi_mem for tests: malloc, counted, whose n-th allocation can be made to fail, and which
 * notices a size that is not told truly.
 */
#pragma once

#include <assert.h>
#include <kpi/base.h>
#include <stdlib.h>

struct counting_mem {
    struct kpi_mem mem;
    uint64_t n_calls;
    uint64_t fail_at; /* the call (counted from 1) that fails, and all after it; 0: none */
    size_t bytes;     /* now allocated */
};

static inline void *counting_mem_resize(void *userdata, void *pointer, size_t old_size,
                                        size_t new_size)
{
    struct counting_mem *counting = userdata;
    size_t *block = pointer ? (size_t *)((char *)pointer - 64) : NULL;
    void *fresh = NULL;

    assert(!block || *block == old_size);
    assert(block || old_size == 0);
    if (new_size) {
        if (++counting->n_calls == counting->fail_at && counting->fail_at) {
            counting->fail_at++;
            return NULL;
        }
        fresh = aligned_alloc(64, 64 + (new_size + 63) / 64 * 64);
        assert(fresh);
        *(size_t *)fresh = new_size;
        fresh = (char *)fresh + 64;
        if (block)
            memcpy(fresh, pointer, old_size < new_size ? old_size : new_size);
        counting->bytes += new_size;
    }
    counting->bytes -= old_size;
    free(block);
    return fresh;
}

static inline void counting_mem_init(struct counting_mem *counting)
{
    *counting = (struct counting_mem){.mem = {counting_mem_resize, counting}};
}

/* A reproducible stream of numbers (splitmix64). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
