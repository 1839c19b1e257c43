/* Blocks below 2 MiB: from mimalloc if it was found at build time, else from the C library. */
#pragma once

#include <stddef.h>

/* Like kpi_mem.resize: 64-byte aligned if new_size is a multiple of 64, else 16. */
void *memory_small_resize(void *pointer, size_t old_size, size_t new_size);
