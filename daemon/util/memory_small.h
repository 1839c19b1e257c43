/* Blocks below 2 MiB: from mimalloc if it was found at build time, else from the C library. */
#pragma once

#include <stddef.h>

/*
 * From now on asks for huge pages under the small blocks too, and keeps pages that are free for
 * some seconds, as buffers of messages come and go all the time; nothing where the allocator
 * cannot. What MIMALLOC_… variables in the environment say goes before.
 */
void memory_small_expect_much(void);

/* Like kpi_mem.resize: 64-byte aligned if new_size is a multiple of 64, else 16. */
void *memory_small_resize(void *pointer, size_t old_size, size_t new_size);
