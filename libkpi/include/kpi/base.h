/*
 * The vocabulary of libkpi: time, decimals, strings and memory.
 *
 * libkpi reads no clock and asks nobody for memory on its own: times come in as arguments, memory
 * through a `struct kpi_mem` given at construction. (CRoaring, which libkpi builds its finished
 * sets on, is the one exception: version 0.2 of Debian 12 knows only malloc.)
 *
 * Every function that can fail returns 0 for success, a negative errno for what is fatal (in
 * practice -ENOMEM), or a positive outcome of its own that its header names. `ret_` outputs are
 * written on success only.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Microseconds since 1970-01-01T00:00:00Z, and differences of such. Exact in a double until 2255.
 */
typedef int64_t kpi_time;
typedef int64_t kpi_duration;

#define KPI_MILLISECOND ((kpi_duration)1000)
#define KPI_SECOND      ((kpi_duration)1000000)
#define KPI_MINUTE      (60 * KPI_SECOND)
#define KPI_HOUR        (60 * KPI_MINUTE)
#define KPI_DAY         (24 * KPI_HOUR)

/* "Not known": a time or decimal that is absent. */
#define KPI_TIME_NONE INT64_MIN

/* A number in units of 10^-6: money, scores, literals. */
typedef int64_t kpi_decimal;
#define KPI_DECIMAL_ONE ((kpi_decimal)1000000)

/* A sum that 64 bits may not hold. */
typedef __int128 kpi_wide;

/* A day counted from 1970-01-01 in some zone's own calendar; 0 is that date. */
typedef int32_t kpi_day;

/* Borrowed bytes, not terminated. */
struct kpi_string {
    const char *data;
    size_t length;
};

#define KPI_STRING(literal) ((struct kpi_string){(literal), sizeof(literal) - 1})

static inline bool kpi_string_equal(struct kpi_string a, struct kpi_string b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/*
 * Where memory comes from. One function, like realloc: old_size 0 allocates, new_size 0 frees (and
 * returns NULL), sizes are always told truly. A result is aligned to 64 bytes when new_size is a
 * multiple of 64, else to 16. NULL for new_size > 0 means failure; the old block then stays as it
 * is.
 */
struct kpi_mem {
    void *(*resize)(void *userdata, void *pointer, size_t old_size, size_t new_size);
    void *userdata;
};

static inline void *kpi_mem_alloc(const struct kpi_mem *mem, size_t size)
{
    return mem->resize(mem->userdata, NULL, 0, size);
}

/* As kpi_mem_alloc(), zeroed. */
static inline void *kpi_mem_zalloc(const struct kpi_mem *mem, size_t size)
{
    void *p = kpi_mem_alloc(mem, size);

    if (p)
        memset(p, 0, size);
    return p;
}

static inline void *kpi_mem_resize(const struct kpi_mem *mem, void *pointer, size_t old_size,
                                   size_t new_size)
{
    return mem->resize(mem->userdata, pointer, old_size, new_size);
}

/* NULL is fine. */
static inline void kpi_mem_free(const struct kpi_mem *mem, void *pointer, size_t size)
{
    if (pointer)
        (void)mem->resize(mem->userdata, pointer, size, 0);
}

/* Scope cleanup: CLEANUP(kpi_engine_freep) struct kpi_engine *engine = NULL; */
#define KPI_CLEANUP(function) __attribute__((cleanup(function)))
