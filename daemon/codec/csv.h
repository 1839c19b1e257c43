/*
 * CSV as RFC 4180 has it, read piece by piece: cells between commas, a record a line; a cell in
 * quotes may hold commas, line ends and, doubled, quotes. Leniently: a line ends in LF, CRLF or CR,
 * a byte order mark at the start is passed over, and a quote within a cell that did not begin with
 * one stands for itself. Strictly: nothing but a comma or a line end may follow a closing quote,
 * and quotes must be closed. Where a record ends is what Python's csv module says, for bad ones
 * too.
 *
 * Bytes are bytes: no encoding is assumed beyond ASCII being itself.
 */
#pragma once

#include <kpi/base.h>

enum {
    CSV_RECORD_BYTES_MAX = 64 * 1024, /* its line end not counted */
    CSV_CELLS_MAX = 1024,
};

enum {
    CSV_E_MORE = 1,  /* the record goes on behind these bytes */
    CSV_E_END,       /* no record is left */
    CSV_E_QUOTE,     /* a record with text behind a closing quote */
    CSV_E_UNCLOSED,  /* the bytes end within quotes, which began in this record */
    CSV_E_TOO_LARGE, /* a record of more than CSV_RECORD_BYTES_MAX */
};

/* Cells are borrowed from the bytes, or from the reader until its next call. */
struct csv_record {
    const struct kpi_string *cells;
    uint32_t n_cells; /* all there are, of which `cells` has the first CSV_CELLS_MAX; an empty line
                         has none */
};

struct csv_reader {
    uint64_t line; /* where the record of the last outcome began, from 1 */
    uint64_t next_line;
    size_t scanned; /* bytes of the present record that have been looked at */
    uint8_t state;
    bool begun;    /* behind the byte order mark, if there is one */
    bool bad;      /* text behind a closing quote in the present record */
    bool skipping; /* the present record is too large, and its beginning let go */
    struct kpi_string cells[CSV_CELLS_MAX];
    char text[CSV_RECORD_BYTES_MAX]; /* cells with doubled quotes */
};

/* A reader may lie anywhere; it owns nothing. */
void csv_reader_init(struct csv_reader *reader);

/*
 * Reads the next record from bytes, which follow those that the last call is done with: *ret_used
 * of them are, whatever the outcome. After CSV_E_MORE call with more bytes, of which the ones not
 * used are the first; at most CSV_RECORD_BYTES_MAX + 1 ever stay unused. `last`: nothing follows
 * these. Bad records are used up to their end. Returns 0 with *ret_record, or a CSV_E_….
 */
int csv_reader_next(struct csv_reader *reader, const char *bytes, size_t size, bool last,
                    size_t *ret_used, struct csv_record *ret_record);
