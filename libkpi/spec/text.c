/*
 * Text without stdio, which libkpi does not use.
 */
#include "spec/text.h"

#include <assert.h>

void kpi_writer_deinit(struct kpi_writer *writer)
{
    if (writer->mem)
        kpi_mem_free(writer->mem, writer->data, writer->capacity);
    writer->data = NULL;
    writer->length = writer->capacity = 0;
}

static bool writer_grow(struct kpi_writer *writer, size_t length)
{
    size_t capacity = writer->capacity ? writer->capacity : 128;
    char *data;

    if (!writer->mem || writer->failed)
        return false;
    while (capacity < writer->length + length)
        capacity *= 2;
    data = kpi_mem_resize(writer->mem, writer->data, writer->capacity, capacity);
    if (!data) {
        writer->failed = true;
        return false;
    }
    writer->data = data;
    writer->capacity = capacity;
    return true;
}

void kpi_writer_add(struct kpi_writer *writer, const char *data, size_t length)
{
    size_t left = writer->capacity - writer->length;

    if (length > left) {
        if (writer_grow(writer, length)) {
            left = writer->capacity - writer->length;
        } else if (writer->mem) {
            return;
        } else {
            length = left;
            /* cut between characters, not inside one */
            while (length > 0 && ((unsigned char)data[length] & 0xc0) == 0x80)
                --length;
        }
    }
    if (length > 0)
        memcpy(writer->data + writer->length, data, length);
    writer->length += length;
}

void kpi_writer_string_add(struct kpi_writer *writer, struct kpi_string string)
{
    kpi_writer_add(writer, string.data, string.length);
}

static void integer_add(struct kpi_writer *writer, uint64_t number, unsigned n_digits)
{
    char buffer[20];
    unsigned n = 0;

    do {
        buffer[sizeof(buffer) - ++n] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || n < n_digits);
    kpi_writer_add(writer, buffer + sizeof(buffer) - n, n);
}

static uint64_t magnitude(int64_t number)
{
    return number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
}

void kpi_writer_decimal_add(struct kpi_writer *writer, kpi_decimal number)
{
    uint64_t absolute = magnitude(number);
    uint64_t fraction = absolute % (uint64_t)KPI_DECIMAL_ONE;
    unsigned n_digits = 6;

    if (number < 0)
        kpi_writer_add(writer, "-", 1);
    integer_add(writer, absolute / (uint64_t)KPI_DECIMAL_ONE, 1);
    if (fraction == 0)
        return;
    while (fraction % 10 == 0) {
        fraction /= 10;
        --n_digits;
    }
    kpi_writer_add(writer, ".", 1);
    integer_add(writer, fraction, n_digits);
}

void kpi_writer_hex_add(struct kpi_writer *writer, uint64_t number)
{
    char buffer[16];

    for (unsigned i = 0; i < 16; ++i)
        buffer[i] = "0123456789abcdef"[number >> (60 - 4 * i) & 15];
    kpi_writer_add(writer, buffer, sizeof(buffer));
}

void kpi_writer_quoted_add(struct kpi_writer *writer, struct kpi_string string)
{
    kpi_writer_add(writer, "\"", 1);
    for (size_t i = 0; i < string.length; ++i) {
        if (string.data[i] == '"' || string.data[i] == '\\')
            kpi_writer_add(writer, "\\", 1);
        kpi_writer_add(writer, &string.data[i], 1);
    }
    kpi_writer_add(writer, "\"", 1);
}

void kpi_writer_vformat(struct kpi_writer *writer, const char *format, va_list arguments)
{
    const char *p;

    for (; *format; format = p) {
        if (*format != '%') {
            for (p = format; *p && *p != '%'; ++p)
                ;
            kpi_writer_add(writer, format, (size_t)(p - format));
            continue;
        }
        p = format + 2;
        switch (format[1]) {
        case 's': {
            const char *string = va_arg(arguments, const char *);

            kpi_writer_add(writer, string, strlen(string));
            break;
        }
        case 'S':
            kpi_writer_string_add(writer, va_arg(arguments, struct kpi_string));
            break;
        case 'd': {
            int64_t number = va_arg(arguments, int64_t);

            if (number < 0)
                kpi_writer_add(writer, "-", 1);
            integer_add(writer, magnitude(number), 1);
            break;
        }
        case 'x':
            kpi_writer_hex_add(writer, va_arg(arguments, uint64_t));
            break;
        case 'n':
            kpi_writer_decimal_add(writer, va_arg(arguments, kpi_decimal));
            break;
        default:
            assert(!"a known conversion");
        }
    }
}

void kpi_writer_format(struct kpi_writer *writer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    kpi_writer_vformat(writer, format, arguments);
    va_end(arguments);
}
