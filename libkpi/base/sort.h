/* Sorting in place. */
#pragma once

#include <kpi/base.h>

/* A heap sort: libkpi sorts without asking the C library, whose qsort() may allocate. */
typedef int (*kpi_compare_fn)(const void *a, const void *b);
void kpi_sort(void *array, size_t n, size_t size, kpi_compare_fn compare);
