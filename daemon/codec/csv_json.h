/*
 * Records of CSV as flat JSON objects, which is what decoders of events read: the header's names
 * are the keys, in their order.
 *
 * An empty cell, in quotes or not, is an absent key; so is a cell that a short record does not
 * have, and everything under an empty name. Else a cell is a string, unless nobody wants its column
 * as a string and it reads exactly as a JSON number, or as true or false in any case of letters:
 * then it is that. Quotes around a cell say nothing about its type, as many programs put them
 * around all cells. Bytes that are no UTF-8 are passed on for the decoder to refuse.
 */
#pragma once

#include "codec/csv.h"

struct csv_json;

enum csv_want {
    CSV_WANT_NOT,    /* nobody looks at this name */
    CSV_WANT_VALUE,  /* as whatever it looks like */
    CSV_WANT_STRING, /* always as a string */
};

/* How a column of this name is wanted. */
typedef enum csv_want (*csv_want_fn)(const void *userdata, struct kpi_string name);

enum {
    CSV_JSON_E_UNKNOWN = 1, /* no name of the header is wanted: it hardly is one */
    CSV_JSON_E_EQUAL,       /* two names are equal; their columns, from 0, are in ret_columns */
    CSV_JSON_E_MANY,        /* more than CSV_CELLS_MAX columns */
    CSV_JSON_E_CELLS,       /* a record has more cells than the header */
};

/* A row is never longer: each byte of a name or cell may need six. */
#define CSV_JSON_BYTES_MAX ((size_t)13 * CSV_RECORD_BYTES_MAX)

/* Takes the names (copied) from the header. 0, CSV_JSON_E_… or -ENOMEM. */
int csv_json_new(struct csv_json **ret_json, const struct csv_record *header, csv_want_fn want,
                 const void *userdata, uint32_t ret_columns[2]);
struct csv_json *csv_json_free(struct csv_json *json); /* NULL is fine; returns NULL */

/*
 * Writes the record to `to`, CSV_JSON_BYTES_MAX of room, not terminated. Returns 0 with *ret_size,
 * or CSV_JSON_E_CELLS.
 */
int csv_json_write(const struct csv_json *json, const struct csv_record *record, char *to,
                   size_t *ret_size);
