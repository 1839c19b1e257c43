/*
 * Any bytes as CSV: the records are the same whether the bytes come whole or in pieces; what was
 * read, written out in quotes, reads as the same cells; and rows under the first record as header
 * are JSON that cJSON reads back as those cells.
 */
#include "codec/csv.h"
#include "codec/csv_json.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    INPUT_MAX = 16 * 1024,
};

/* One that is handed everything, and one that is handed `piece` more bytes whenever it asks. */
struct stream {
    struct csv_reader reader;
    const char *bytes;
    size_t at, end, size, piece;
};

static int stream_next(struct stream *stream, struct csv_record *ret_record)
{
    for (;;) {
        size_t used;
        int r =
            csv_reader_next(&stream->reader, stream->bytes + stream->at, stream->end - stream->at,
                            stream->end == stream->size, &used, ret_record);

        CHECK(used <= stream->end - stream->at);
        stream->at += used;
        if (r != CSV_E_MORE)
            return r;
        CHECK(stream->end < stream->size);
        stream->end += stream->piece;
        if (stream->end > stream->size)
            stream->end = stream->size;
    }
}

static void check_equal(const struct csv_record *a, const struct csv_record *b)
{
    CHECK(a->n_cells == b->n_cells);
    for (uint32_t i = 0; i < a->n_cells && i < CSV_CELLS_MAX; i++)
        CHECK(kpi_string_equal(a->cells[i], b->cells[i]));
}

static void check_written_again(const struct csv_record *record)
{
    static struct csv_reader reader;
    static char text[2 * INPUT_MAX + 3 * CSV_CELLS_MAX];
    struct csv_record again;
    size_t used, size = 0;

    if (record->n_cells == 0 || record->n_cells > CSV_CELLS_MAX)
        return;
    for (uint32_t i = 0; i < record->n_cells; i++) {
        if (i)
            text[size++] = ',';
        text[size++] = '"';
        for (size_t j = 0; j < record->cells[i].length; j++) {
            if (record->cells[i].data[j] == '"')
                text[size++] = '"';
            text[size++] = record->cells[i].data[j];
        }
        text[size++] = '"';
    }
    csv_reader_init(&reader);
    CHECK(csv_reader_next(&reader, text, size, true, &used, &again) == 0);
    CHECK(used == size);
    check_equal(record, &again);
}

static enum csv_want want(const void *userdata, struct kpi_string name)
{
    return name.length % 2 ? CSV_WANT_STRING : CSV_WANT_VALUE;
}

/* named: which columns have a name. */
static void check_row(const struct csv_json *json, const bool *named,
                      const struct csv_record *record)
{
    static char text[CSV_JSON_BYTES_MAX];
    cJSON *object, *item;
    size_t size;

    if (csv_json_write(json, record, text, &size) != 0)
        return;
    CHECK(size <= sizeof(text));
    object = cJSON_ParseWithLength(text, size);
    CHECK(object);
    item = object->child;
    for (uint32_t i = 0; i < record->n_cells; i++) {
        struct kpi_string cell = record->cells[i];

        if (!named[i] || cell.length == 0)
            continue;
        CHECK(item);
        if (cJSON_IsString(item) && !memchr(cell.data, 0, cell.length))
            CHECK(cell.length == strlen(item->valuestring) &&
                  memcmp(cell.data, item->valuestring, cell.length) == 0);
        item = item->next;
    }
    CHECK(!item);
    cJSON_Delete(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stream whole, pieces;
    static bool named[CSV_CELLS_MAX];
    struct csv_json *json = NULL;
    bool first = true;

    if (size < 1 || size > INPUT_MAX)
        return 0;
    /* The first byte says how large the pieces are. */
    whole.bytes = pieces.bytes = (const char *)data + 1;
    whole.size = pieces.size = whole.end = size - 1;
    whole.at = pieces.at = pieces.end = 0;
    pieces.piece = 1 + data[0] % 32;
    csv_reader_init(&whole.reader);
    csv_reader_init(&pieces.reader);
    for (;;) {
        struct csv_record a, b;
        int r = stream_next(&whole, &a);

        CHECK(stream_next(&pieces, &b) == r);
        CHECK(whole.reader.line == pieces.reader.line);
        if (r == CSV_E_END)
            break;
        CHECK(r == 0 || r == CSV_E_QUOTE || r == CSV_E_UNCLOSED);
        if (r > 0)
            continue;
        check_equal(&a, &b);
        check_written_again(&a);
        if (json)
            check_row(json, named, &a);
        else if (first)
            CHECK(csv_json_new(&json, &a, want, NULL, (uint32_t[2]){0}) >= 0);
        for (uint32_t i = 0; first && i < a.n_cells && i < CSV_CELLS_MAX; i++)
            named[i] = a.cells[i].length > 0;
        first = false;
    }
    CHECK(whole.at == whole.size && pieces.at == pieces.size);
    (void)csv_json_free(json);
    return 0;
}
