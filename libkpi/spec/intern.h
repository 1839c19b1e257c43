/*
 * Numbers for hashes: the first hash is 0, the next new one 1, and so on.
 */
#pragma once

#include "spec/pool.h"

/* May be embedded; owns its tables. */
struct kpi_intern {
    struct kpi_vector hashes; /* uint64_t, by number */
    uint32_t *slots;          /* open addressing: number + 1, 0 is free */
    uint32_t n_slots;         /* a power of two */
};

void kpi_intern_init(struct kpi_intern *intern, const struct kpi_mem *mem);
void kpi_intern_deinit(struct kpi_intern *intern);

enum {
    KPI_INTERN_E_NEW = 1, /* the hash was not known before */
};

/* Finds or adds a hash. 0, KPI_INTERN_E_NEW or -ENOMEM. */
int kpi_intern_add(struct kpi_intern *intern, uint64_t hash, uint32_t *ret_number);
