/*
 * The daemon's allocator for libkpi: mimalloc or malloc for small blocks, huge-page advised
 * mappings for blocks of 2 MiB and more. Thread-safe. Counts bytes.
 */
#pragma once

#include <kpi/base.h>

extern const struct kpi_mem memory_kpi;

uint64_t memory_bytes(void); /* now allocated through memory_kpi */
