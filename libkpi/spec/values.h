/*
 * Values of dimensions: their canonical order, lists of them as they stand in a growing block, and
 * as bytes: u8 how many, and of each a number of variable length, its length + 1 (0: none), and its
 * bytes.
 */
#pragma once

#include "base/buffer.h"

#include <kpi/plan.h>

/* As many as a breakdown has at most. */
struct kpi_values {
    uint32_t n;
    uint32_t lengths[KPI_BREAKDOWN_DIMENSIONS_MAX];
    size_t at; /* the bytes of all of them: place in the block */
};

/* None comes before all others, which are in order of their bytes; then the shorter list. */
int kpi_values_compare(const struct kpi_string *a, uint32_t n_a, const struct kpi_string *b,
                       uint32_t n_b);

/* Copies them to the end of the block, which remembers failures. */
struct kpi_values kpi_values_store(struct kpi_buffer *block, const struct kpi_string *values,
                                   uint32_t n);
/* They again, borrowed from the block. Returns the place behind their bytes. */
size_t kpi_values_get(const struct kpi_values *stored, const struct kpi_buffer *block,
                      struct kpi_string *ret_values);

void kpi_values_encode(struct kpi_buffer *buffer, const struct kpi_string *values, uint32_t n);
/* Borrowed from the reader's bytes. False: bytes that were not made of values. */
bool kpi_values_decode(struct kpi_reader *reader, struct kpi_string *ret_values, uint32_t *ret_n);
