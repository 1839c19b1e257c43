/*
 * Reads CSV from standard input, as it comes, and writes each record as one line: its cells as
 * hexadecimal digits, each with a comma behind it, or "bad". csv_check.py compares with Python's
 * reader.
 */
#include "codec/csv.h"

#include <stdio.h>
#include <unistd.h>

static void print(int r, const struct csv_record *record)
{
    if (r > 0)
        printf("bad");
    for (uint32_t i = 0; r == 0 && i < record->n_cells; i++) {
        for (size_t j = 0; j < record->cells[i].length; j++)
            printf("%02x", (unsigned)(uint8_t)record->cells[i].data[j]);
        printf(",");
    }
    printf("\n");
}

int main(void)
{
    static struct csv_reader reader;
    static char buffer[4 * CSV_RECORD_BYTES_MAX];
    size_t held = 0;
    bool last = false;

    csv_reader_init(&reader);
    for (;;) {
        struct csv_record record;
        size_t used;
        int r = csv_reader_next(&reader, buffer, held, last, &used, &record);

        if (r == CSV_E_END)
            return 0;
        if (r != CSV_E_MORE)
            print(r, &record);
        memmove(buffer, buffer + used, held - used);
        held -= used;
        if (r == CSV_E_MORE) {
            ssize_t n = read(STDIN_FILENO, buffer + held, 1000);

            if (n < 0)
                return 1;
            held += (size_t)n;
            last = n == 0;
        }
    }
}
