#include "table.h"

#include "util/error.h"
#include "util/utf8.h"

#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

struct table {
    const struct table_column *columns;
    unsigned n_columns;
    char **cells;
    size_t n_cells, n_cells_max;
    bool failed;
};

struct table *table_new(const struct table_column *columns, unsigned n_columns)
{
    struct table *table = calloc(1, sizeof(*table));

    if (table) {
        table->columns = columns;
        table->n_columns = n_columns;
    }
    return table;
}

struct table *table_free(struct table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
    return NULL;
}

void table_freep(struct table **table)
{
    *table = table_free(*table);
}

/* Takes the text over; NULL is a failure. */
static void take(struct table *table, char *text)
{
    if (text && table->n_cells == table->n_cells_max) {
        size_t n = table->n_cells_max ? table->n_cells_max * 2 : 64;
        char **cells = realloc(table->cells, n * sizeof(*cells));

        if (cells) {
            table->cells = cells;
            table->n_cells_max = n;
        }
    }
    if (!text || table->n_cells == table->n_cells_max) {
        free(text);
        table->failed = true;
        return;
    }
    table->cells[table->n_cells++] = text;
}

void table_add(struct table *table, const char *text)
{
    take(table, strdup(text));
}

void table_add_format(struct table *table, const char *format, ...)
{
    char *text;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vasprintf(&text, format, arguments);
    va_end(arguments);
    take(table, n < 0 ? NULL : text);
}

/* wcwidth() knows nothing beyond ASCII in the C locale, which is what scripts run in. To make
 * another one takes as long as to print a line: there is one for all cells. */
static locale_t utf8;

static void utf8_make(void)
{
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
}

unsigned table_width(const char *text)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    locale_t old = (locale_t)0;
    size_t size = strlen(text), i = 0, n;
    unsigned width = 0;

    (void)pthread_once(&once, utf8_make);
    if (utf8)
        old = uselocale(utf8);
    for (; i < size; i += n) {
        uint32_t code = 0;
        int cells = 1;

        n = utf8_decode(text + i, size - i, &code);
        if (n > 0)
            cells = wcwidth((wchar_t)code);
        else
            n = 1;
        width += cells < 0 ? 1 : (unsigned)cells;
    }
    if (utf8)
        (void)uselocale(old);
    return width;
}

static void print_cell(FILE *out, const struct table_column *column, const char *text,
                       unsigned width, bool last)
{
    int space = (int)(width - table_width(text));

    if (column->right)
        (void)fprintf(out, "%*s%s", space, "", text);
    else
        (void)fprintf(out, "%s%*s", text, last ? 0 : space, "");
    (void)fputs(last ? "\n" : "  ", out);
}

int table_print(struct table *table, FILE *out)
{
    unsigned n = table->n_columns, *widths = calloc(n, sizeof(*widths));

    if (table->failed || !widths) {
        free(widths);
        return error_origin(-ENOMEM);
    }
    for (unsigned i = 0; i < n; i++)
        widths[i] = table_width(table->columns[i].title);
    for (size_t i = 0; i < table->n_cells; i++) {
        unsigned width = table_width(table->cells[i]);

        if (width > widths[i % n])
            widths[i % n] = width;
    }
    for (unsigned i = 0; i < n; i++)
        print_cell(out, &table->columns[i], table->columns[i].title, widths[i], i == n - 1);
    for (size_t i = 0; i < table->n_cells; i++)
        print_cell(out, &table->columns[i % n], table->cells[i], widths[i % n], i % n == n - 1);
    free(widths);
    return 0;
}
