/* Blocks below 2 MiB: from mimalloc if it was found at build time, else from the C library. */
#pragma once

#include <stddef.h>

/*
 * Asks for huge pages under the small blocks too, from now on; nothing where the allocator cannot.
 * What MIMALLOC_LARGE_OS_PAGES in the environment says goes before.
 */
void memory_small_want_huge_pages(void);

/* Like kpi_mem.resize: 64-byte aligned if new_size is a multiple of 64, else 16. */
void *memory_small_resize(void *pointer, size_t old_size, size_t new_size);
