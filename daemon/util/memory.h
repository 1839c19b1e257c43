/*
 * The daemon's allocator for libkpi: mimalloc or malloc for small blocks, huge-page advised
 * mappings for blocks of 2 MiB and more. Thread-safe. Counts bytes.
 */
#pragma once

#include <kpi/base.h>

extern const struct kpi_mem memory_kpi;

/*
 * For a process that is going to hold much for long: small blocks come from huge pages too, as far
 * as the kernel has any, and free pages are kept for some seconds. Before there are threads.
 */
void memory_expect_much(void);

uint64_t memory_bytes(void); /* now allocated through memory_kpi */
