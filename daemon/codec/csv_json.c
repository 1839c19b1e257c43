/* Records of CSV as JSON: see csv_json.h. */
#include "codec/csv_json.h"

#include <stdlib.h>
#include <strings.h>

struct column {
    uint32_t key; /* of keys: where its `"name":` stands */
    uint32_t key_size;
    enum csv_want want;
};

struct csv_json {
    uint32_t n_columns;
    struct column *columns;
    char *keys;
};

static char *string_write(char *to, struct kpi_string string)
{
    static const char digits[16] = "0123456789abcdef";

    *to++ = '"';
    for (size_t i = 0; i < string.length; i++) {
        uint8_t byte = (uint8_t)string.data[i];

        if (byte == '"' || byte == '\\') {
            *to++ = '\\';
        } else if (byte < 0x20) {
            memcpy(to, "\\u00", 4);
            to[4] = digits[byte >> 4];
            byte = (uint8_t)digits[byte & 15];
            to += 5;
        }
        *to++ = (char)byte;
    }
    *to++ = '"';
    return to;
}

static int find_equal(const struct csv_record *header, uint32_t ret_columns[2])
{
    for (uint32_t i = 1; i < header->n_cells; i++) {
        for (uint32_t j = 0; j < i && header->cells[i].length > 0; j++) {
            if (kpi_string_equal(header->cells[i], header->cells[j])) {
                ret_columns[0] = j;
                ret_columns[1] = i;
                return CSV_JSON_E_EQUAL;
            }
        }
    }
    return 0;
}

int csv_json_new(struct csv_json **ret_json, const struct csv_record *header, csv_want_fn want,
                 const void *userdata, uint32_t ret_columns[2])
{
    struct csv_json *json;
    uint32_t n_wanted = 0;
    char *to;
    int r;

    if (header->n_cells > CSV_CELLS_MAX)
        return CSV_JSON_E_MANY;
    r = find_equal(header, ret_columns);
    if (r)
        return r;
    json = calloc(1, sizeof(*json));
    if (!json)
        return -ENOMEM;
    json->n_columns = header->n_cells;
    json->columns = calloc((size_t)header->n_cells + 1, sizeof(*json->columns));
    json->keys = to = malloc(CSV_JSON_BYTES_MAX);
    if (!json->columns || !json->keys) {
        (void)csv_json_free(json);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < header->n_cells; i++) {
        struct column *column = &json->columns[i];

        if (header->cells[i].length == 0)
            continue;
        column->key = (uint32_t)(to - json->keys);
        to = string_write(to, header->cells[i]);
        *to++ = ':';
        column->key_size = (uint32_t)(to - json->keys) - column->key;
        column->want = want(userdata, header->cells[i]);
        n_wanted += column->want != CSV_WANT_NOT;
    }
    if (n_wanted == 0) {
        (void)csv_json_free(json);
        return CSV_JSON_E_UNKNOWN;
    }
    *ret_json = json;
    return 0;
}

struct csv_json *csv_json_free(struct csv_json *json)
{
    if (!json)
        return NULL;
    free(json->columns);
    free(json->keys);
    free(json);
    return NULL;
}

static const char *digits_skip(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* By the grammar of RFC 8259, section 6. */
static bool is_number(struct kpi_string cell)
{
    const char *p = cell.data, *end = p + cell.length, *before;

    if (p < end && *p == '-')
        p++;
    before = p;
    p = p < end && *p == '0' ? p + 1 : digits_skip(p, end);
    if (p == before)
        return false;
    if (p < end && *p == '.') {
        before = ++p;
        p = digits_skip(p, end);
        if (p == before)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        before = p;
        p = digits_skip(p, end);
        if (p == before)
            return false;
    }
    return p == end;
}

static char *bytes_write(char *to, const char *data, size_t size)
{
    memcpy(to, data, size);
    return to + size;
}

static char *value_write(char *to, enum csv_want want, struct kpi_string cell)
{
    if (want != CSV_WANT_STRING) {
        if (is_number(cell))
            return bytes_write(to, cell.data, cell.length);
        if (cell.length == 4 && strncasecmp(cell.data, "true", 4) == 0)
            return bytes_write(to, "true", 4);
        if (cell.length == 5 && strncasecmp(cell.data, "false", 5) == 0)
            return bytes_write(to, "false", 5);
    }
    return string_write(to, cell);
}

int csv_json_write(const struct csv_json *json, const struct csv_record *record, char *to,
                   size_t *ret_size)
{
    char *begin = to;

    if (record->n_cells > json->n_columns)
        return CSV_JSON_E_CELLS;
    *to++ = '{';
    for (uint32_t i = 0; i < record->n_cells; i++) {
        const struct column *column = &json->columns[i];

        if (record->cells[i].length == 0 || column->key_size == 0)
            continue;
        if (to > begin + 1)
            *to++ = ',';
        to = bytes_write(to, json->keys + column->key, column->key_size);
        to = value_write(to, column->want, record->cells[i]);
    }
    *to++ = '}';
    *ret_size = (size_t)(to - begin);
    return 0;
}
