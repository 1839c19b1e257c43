#include "memory_small.h"

#include <stdlib.h>
#include <string.h>

void memory_small_expect_much(void)
{
}

void *memory_small_resize(void *pointer, size_t old_size, size_t new_size)
{
    void *block;

    if (new_size == 0) {
        free(pointer);
        return NULL;
    }
    if (new_size % 64 != 0)
        return realloc(pointer, new_size);
    /* There is no realloc() that keeps an alignment. */
    block = aligned_alloc(64, new_size);
    if (block && pointer) {
        memcpy(block, pointer, old_size < new_size ? old_size : new_size);
        free(pointer);
    }
    return block;
}
