/*
 * Memory that lives and dies together: the parts of a plan, and the scratch of its compiler.
 *
 * Failure is sticky: after the first failed allocation `failed` stays set, so that a compiler may
 * go on for a while and its caller looks once.
 */
#pragma once

#include <kpi/base.h>

struct kpi_pool_block;

/* May be embedded; owns its blocks. */
struct kpi_pool {
    const struct kpi_mem *mem;
    struct kpi_pool_block *head;
    bool failed;
};

void kpi_pool_init(struct kpi_pool *pool, const struct kpi_mem *mem);
void kpi_pool_deinit(struct kpi_pool *pool);

/* Zeroed, aligned to 16 bytes. size 0 gives a valid pointer. NULL (and failed) without memory. */
void *kpi_pool_alloc(struct kpi_pool *pool, size_t size);
/* A copy; its data is terminated, and never NULL unless failed. */
struct kpi_string kpi_pool_string(struct kpi_pool *pool, struct kpi_string string);
void *kpi_pool_copy(struct kpi_pool *pool, const void *data, size_t size);
/* Gives back what was handed out, for another round of scratch work; one block is kept. */
void kpi_pool_reset(struct kpi_pool *pool);

/* A growing array of elements of one size. May be embedded; owns its data. */
struct kpi_vector {
    const struct kpi_mem *mem;
    void *data;
    uint32_t n, capacity;
    uint32_t element;
    bool failed;
};

void kpi_vector_init(struct kpi_vector *vector, const struct kpi_mem *mem, size_t element);
void kpi_vector_deinit(struct kpi_vector *vector);
/* Appends a zeroed element and returns it, valid until the next push; NULL (and failed) if none. */
void *kpi_vector_push(struct kpi_vector *vector);
