/*
 * Two passes over each record: the first looks for its end, byte by byte through a small machine
 * that can stop anywhere, so that bytes may come in pieces and are looked at once; the second cuts
 * a whole record into cells.
 */
#include "codec/csv.h"

#include <assert.h>

enum state {
    CELL_BEGIN,  /* nothing of the cell has been seen */
    CELL_PLAIN,  /* in a cell without quotes, or behind the quotes of a bad one */
    CELL_QUOTED, /* within quotes */
    CELL_CLOSED, /* behind a quote within quotes: the closing one, or half of a doubled one */
};

void csv_reader_init(struct csv_reader *reader)
{
    reader->line = 0;
    reader->next_line = 1;
    reader->scanned = 0;
    reader->state = CELL_BEGIN;
    reader->begun = reader->bad = reader->skipping = false;
}

/* Looks on through quotes; returns behind the next quote, or end. */
static const char *quoted_scan(struct csv_reader *reader, const char *p, const char *end)
{
    const char *quote = memchr(p, '"', (size_t)(end - p));
    const char *stop = quote ? quote : end;

    while ((p = memchr(p, '\n', (size_t)(stop - p)))) {
        reader->next_line++;
        p++;
    }
    if (!quote)
        return end;
    reader->state = CELL_CLOSED;
    return quote + 1;
}

/* Looks on for the record's end: returns the CR or LF that ends it, or end. */
static const char *end_scan(struct csv_reader *reader, const char *p, const char *end)
{
    while (p < end) {
        if (reader->state == CELL_QUOTED) {
            p = quoted_scan(reader, p, end);
            continue;
        }
        if (*p == '\r' || *p == '\n')
            return p;
        if (*p == ',') {
            reader->state = CELL_BEGIN;
            p++;
        } else if (*p == '"' && reader->state != CELL_PLAIN) {
            reader->state = CELL_QUOTED;
            p++;
        } else {
            reader->bad |= reader->state == CELL_CLOSED;
            reader->state = CELL_PLAIN;
            while (p < end && *p != ',' && *p != '\r' && *p != '\n')
                p++;
        }
    }
    return end;
}

/* The content of a cell in quotes, at its opening quote. Returns behind the closing one. */
static const char *quoted_cut(const char *p, const char *end, char **text,
                              struct kpi_string *ret_cell)
{
    const char *begin = ++p;
    char *to = *text;

    for (;;) {
        const char *quote = memchr(p, '"', (size_t)(end - p));

        assert(quote); /* end_scan() has seen it */
        if (quote + 1 == end || quote[1] != '"') {
            if (p == begin) {
                *ret_cell = (struct kpi_string){begin, (size_t)(quote - begin)};
                return quote + 1;
            }
            memcpy(to, p, (size_t)(quote - p));
            to += quote - p;
            *ret_cell = (struct kpi_string){*text, (size_t)(to - *text)};
            *text = to;
            return quote + 1;
        }
        memcpy(to, p, (size_t)(quote + 1 - p));
        to += quote + 1 - p;
        p = quote + 2;
    }
}

static uint32_t record_cut(struct csv_reader *reader, const char *p, const char *end)
{
    char *text = reader->text;
    uint32_t n_cells = 0;

    if (p == end)
        return 0;
    for (;;) {
        struct kpi_string cell;

        if (p < end && *p == '"') {
            p = quoted_cut(p, end, &text, &cell);
        } else {
            const char *comma = memchr(p, ',', (size_t)(end - p));

            cell = (struct kpi_string){p, (size_t)((comma ? comma : end) - p)};
            p += cell.length;
        }
        if (n_cells < CSV_CELLS_MAX)
            reader->cells[n_cells] = cell;
        n_cells++;
        if (p == end)
            return n_cells;
        p++; /* a comma: anything else is a bad record */
    }
}

static int record_judge(const struct csv_reader *reader, size_t size)
{
    if (reader->state == CELL_QUOTED)
        return CSV_E_UNCLOSED;
    if (reader->skipping || size > CSV_RECORD_BYTES_MAX)
        return CSV_E_TOO_LARGE;
    return reader->bad ? CSV_E_QUOTE : 0;
}

/* The record [begin, end) is whole: judges it, and gets ready for the next one. */
static int record_finish(struct csv_reader *reader, const char *begin, const char *end,
                         struct csv_record *ret_record)
{
    int r = record_judge(reader, (size_t)(end - begin));

    reader->next_line++;
    reader->scanned = 0;
    reader->state = CELL_BEGIN;
    reader->bad = reader->skipping = false;
    if (r == 0)
        *ret_record = (struct csv_record){reader->cells, record_cut(reader, begin, end)};
    return r;
}

/* Passes over a byte order mark. Returns its length, or -1 if the bytes are too few to tell. */
static int mark_skip(const char *bytes, size_t size, bool last)
{
    static const char mark[3] = "\xef\xbb\xbf";

    if (memcmp(bytes, mark, size < sizeof(mark) ? size : sizeof(mark)) != 0)
        return 0;
    if (size < sizeof(mark))
        return last ? 0 : -1;
    return sizeof(mark);
}

int csv_reader_next(struct csv_reader *reader, const char *bytes, size_t size, bool last,
                    size_t *ret_used, struct csv_record *ret_record)
{
    const char *begin = bytes, *end = bytes + size, *p;

    *ret_used = 0;
    if (!reader->begun && size > 0) {
        int mark = mark_skip(bytes, size, last);

        if (mark < 0)
            return CSV_E_MORE;
        reader->begun = true;
        begin += mark;
        *ret_used = (size_t)mark;
    }
    if (begin == end && !reader->skipping)
        return last ? CSV_E_END : CSV_E_MORE;
    if (reader->scanned == 0 && !reader->skipping)
        reader->line = reader->next_line;
    p = end_scan(reader, begin + reader->scanned, end);
    if (p == end || (*p == '\r' && p + 1 == end)) {
        if (last) { /* the file ends without a line end, or in a CR */
            *ret_used = size;
            return record_finish(reader, begin, p, ret_record);
        }
        reader->scanned = (size_t)(p - begin);
        if (reader->skipping || reader->scanned > CSV_RECORD_BYTES_MAX) {
            reader->skipping = true;
            reader->scanned = 0;
            *ret_used = (size_t)(p - bytes);
        }
        return CSV_E_MORE;
    }
    *ret_used = (size_t)(p - bytes) + (*p == '\r' && p[1] == '\n' ? 2 : 1);
    return record_finish(reader, begin, p, ret_record);
}
