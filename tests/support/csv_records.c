/*
 * Reads files of CSV, some bytes at a time, and writes each record as one line: its cells as
 * hexadecimal digits, each with a comma behind it, or "bad"; and "end" behind each file.
 * csv_check.py compares with Python's reader.
 */
#include "codec/csv.h"

#include <fcntl.h>
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

static int read_file(const char *path)
{
    static struct csv_reader reader;
    static char buffer[4 * CSV_RECORD_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t held = 0;
    bool last = false;

    csv_reader_init(&reader);
    for (;;) {
        struct csv_record record;
        size_t used;
        int r = csv_reader_next(&reader, buffer, held, last, &used, &record);

        if (r == CSV_E_END)
            break;
        if (r != CSV_E_MORE)
            print(r, &record);
        memmove(buffer, buffer + used, held - used);
        held -= used;
        if (r == CSV_E_MORE) {
            ssize_t n = read(fd, buffer + held, 1000);

            if (n < 0)
                return -1;
            held += (size_t)n;
            last = n == 0;
        }
    }
    printf("end\n");
    return close(fd);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (read_file(argv[i]) < 0) {
            perror(argv[i]);
            return 1;
        }
    }
    return 0;
}
