/*
 * Tables on a terminal, in columns as wide as what stands in them looks: Chinese characters take
 * two cells, combining marks none.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct table;

struct table_column {
    const char *title; /* borrowed */
    bool right;        /* numbers */
};

/* columns: borrowed. NULL: no memory. */
struct table *table_new(const struct table_column *columns, unsigned n_columns);
struct table *table_free(struct table *table);
void table_freep(struct table **table);

/* The next cell, row by row; text is copied. Memory failure is told by table_print(). */
void table_add(struct table *table, const char *text);
void table_add_format(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints titles and rows. 0 or -ENOMEM. */
int table_print(struct table *table, FILE *out);

/* Cells that UTF-8 text takes on a terminal, whatever the locale. What is no character counts one.
 */
unsigned table_width(const char *text);
