/*
 * Building text without stdio: messages on the stack, canonical texts in memory.
 */
#pragma once

#include <kpi/base.h>
#include <stdarg.h>

/*
 * With `mem` the text grows (and `failed` says that it could not); without, it is cut at capacity.
 * May be embedded; owns its data if mem is set.
 */
struct kpi_writer {
    const struct kpi_mem *mem;
    char *data;
    size_t length, capacity;
    bool failed;
};

/* A writer on a buffer of the stack. */
#define KPI_WRITER_ON(buffer) ((struct kpi_writer){.data = (buffer), .capacity = sizeof(buffer)})

void kpi_writer_deinit(struct kpi_writer *writer);

static inline struct kpi_string kpi_writer_string(const struct kpi_writer *writer)
{
    return (struct kpi_string){writer->data, writer->length};
}

void kpi_writer_add(struct kpi_writer *writer, const char *data, size_t length);
void kpi_writer_string_add(struct kpi_writer *writer, struct kpi_string string);
/* 1.5 for 1500000: no trailing zeros, no exponent. */
void kpi_writer_decimal_add(struct kpi_writer *writer, kpi_decimal number);
/* 16 lower-case hexadecimal digits. */
void kpi_writer_hex_add(struct kpi_writer *writer, uint64_t number);
/* In double quotes, with " and \ escaped. */
void kpi_writer_quoted_add(struct kpi_writer *writer, struct kpi_string string);

/*
 * %s a C string, %S a struct kpi_string, %d an int64_t, %x a uint64_t as 16 digits, %n a
 * kpi_decimal.
 */
void kpi_writer_format(struct kpi_writer *writer, const char *format, ...);
void kpi_writer_vformat(struct kpi_writer *writer, const char *format, va_list arguments);
