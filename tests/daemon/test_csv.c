/*
 * Claims: CSV is cut as RFC 4180 says and where csv.h is lenient or strict, however the bytes are
 * cut into pieces; a bad record is told by its line and costs only itself; rows become the JSON
 * that csv_json.h promises.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/csv.h"
#include "codec/csv_json.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Reads the bytes in pieces of `piece` as one does from a file, and writes each record as
 * `line:[cell][cell]` or `line!outcome`, one after the other.
 */
static void read_all(const char *bytes, size_t size, size_t piece, char *ret_text)
{
    static struct csv_reader reader;
    size_t at = 0, end = 0;

    csv_reader_init(&reader);
    *ret_text = '\0';
    for (;;) {
        struct csv_record record;
        size_t used;
        int r = csv_reader_next(&reader, bytes + at, end - at, end == size && piece > 0, &used,
                                &record);

        assert_true(used <= end - at);
        at += used;
        if (r == CSV_E_END)
            return;
        if (r == CSV_E_MORE) {
            assert_true(end - at <= CSV_RECORD_BYTES_MAX + 1);
            assert_true(end < size || piece > 0);
            end = size - end > piece ? end + piece : size;
            continue;
        }
        ret_text += sprintf(ret_text, "%llu", (unsigned long long)reader.line);
        if (r > 0)
            ret_text += sprintf(ret_text, "!%d", r);
        else
            ret_text += sprintf(ret_text, ":");
        for (uint32_t i = 0; r == 0 && i < record.n_cells && i < CSV_CELLS_MAX; i++)
            ret_text +=
                sprintf(ret_text, "[%.*s]", (int)record.cells[i].length, record.cells[i].data);
        ret_text += sprintf(ret_text, " ");
    }
}

static void check(const char *bytes, size_t size, const char *expected)
{
    char text[1000];

    for (size_t piece = 1; piece <= size + 1; piece++) {
        read_all(bytes, size, piece, text);
        assert_string_equal(text, expected);
    }
}

static void test_what_is_csv(void **state)
{
    static const struct {
        const char *bytes, *records;
    } must_parse[] = {
        {"", ""},
        {"\xef\xbb\xbf", ""},
        {"a,b\n1,2\n", "1:[a][b] 2:[1][2] "},
        {"a,b\r\n1,2\r\n", "1:[a][b] 2:[1][2] "},
        {"a,b\r1,2\r", "1:[a][b] 2:[1][2] "},
        {"a,b\n1,2", "1:[a][b] 2:[1][2] "},
        {"\xef\xbb\xbf\"a\",b\n", "1:[a][b] "},
        {"a\xef\xbb\xbf\n", "1:[a\xef\xbb\xbf] "},
        {"\xef\xbb", "1:[\xef\xbb] "},
        {",\n,,\n", "1:[][] 2:[][][] "},
        {"\n\r\na\n", "1: 2: 3:[a] "},
        {"\"\"\n\"\",\"\"\n", "1:[] 2:[][] "},
        {"\"a,b\",c\n", "1:[a,b][c] "},
        {"\"a\"\"b\",\"\"\"\",\"\"\"c\"\"\"\n", "1:[a\"b][\"][\"c\"] "},
        {"\"two\nlines\r\nthree\",x\ny\n", "1:[two\nlines\r\nthree][x] 4:[y] "},
        {"5\" pipe,a\"b\"\n", "1:[5\" pipe][a\"b\"] "},
        {" a , \"b\" \n", "1:[ a ][ \"b\" ] "},
        {"杯,\"渠道\"\n", "1:[杯][渠道] "},
        {"a\r\r\nb", "1:[a] 2: 3:[b] "},
    };

    for (size_t i = 0; i < sizeof(must_parse) / sizeof(must_parse[0]); i++)
        check(must_parse[i].bytes, strlen(must_parse[i].bytes), must_parse[i].records);
}

static void test_what_is_not(void **state)
{
    /* 3: CSV_E_QUOTE, 4: CSV_E_UNCLOSED */
    static const struct {
        const char *bytes, *records;
    } must_not_parse[] = {
        {"\"a\"b,c\nd\n", "1!3 2:[d] "},
        {"\"a\" ,c\nd\n", "1!3 2:[d] "},
        {"\"a\"b\"\nc\"\n", "1!3 2:[c\"] "},
        {"x,\"a\n\"b\"c,\"d\ne\"\n\nf\n", "1!3 4: 5:[f] "},
        {"a\n\"b\nc\n", "1:[a] 2!4 "},
        {"\"", "1!4 "},
        {"\"a\"b,\"c", "1!4 "},
    };

    for (size_t i = 0; i < sizeof(must_not_parse) / sizeof(must_not_parse[0]); i++)
        check(must_not_parse[i].bytes, strlen(must_not_parse[i].bytes), must_not_parse[i].records);
}

static void test_a_zero_byte_is_a_byte(void **state)
{
    static struct csv_reader reader;
    struct csv_record record;
    size_t used;

    csv_reader_init(&reader);
    assert_int_equal(csv_reader_next(&reader, "a\0b,\"\0\"\n", 8, true, &used, &record), 0);
    assert_int_equal(record.n_cells, 2);
    assert_int_equal(record.cells[0].length, 3);
    assert_memory_equal(record.cells[0].data, "a\0b", 3);
    assert_int_equal(record.cells[1].length, 1);
}

/* A record of n bytes (within quotes: of many lines), and a small one behind it. */
static size_t make_large(char *bytes, size_t n, bool quoted)
{
    memset(bytes, quoted ? '\n' : 'x', n);
    if (quoted)
        bytes[0] = bytes[n - 1] = '"';
    memcpy(bytes + n, "\r\ny\n", 4);
    return n + 4;
}

static void test_a_record_has_a_largest_size(void **state)
{
    static char bytes[5 * CSV_RECORD_BYTES_MAX], text[5 * CSV_RECORD_BYTES_MAX];
    static const size_t pieces[] = {1000,
                                    4096,
                                    CSV_RECORD_BYTES_MAX,
                                    CSV_RECORD_BYTES_MAX + 1,
                                    CSV_RECORD_BYTES_MAX + 2,
                                    sizeof(bytes)};

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        read_all(bytes, make_large(bytes, CSV_RECORD_BYTES_MAX, false), pieces[i], text);
        assert_int_equal(strlen(text), strlen("1:[] 2:[y] ") + CSV_RECORD_BYTES_MAX);
        read_all(bytes, make_large(bytes, CSV_RECORD_BYTES_MAX + 1, false), pieces[i], text);
        assert_string_equal(text, "1!5 2:[y] ");
        read_all(bytes, make_large(bytes, 4 * CSV_RECORD_BYTES_MAX, false), pieces[i], text);
        assert_string_equal(text, "1!5 2:[y] ");
        /* 4 * 65536 bytes less two quotes are the line ends within it. */
        read_all(bytes, make_large(bytes, 4 * CSV_RECORD_BYTES_MAX, true), pieces[i], text);
        assert_string_equal(text, "1!5 262144:[y] ");
    }
}

static void test_cells_beyond_the_most_are_counted(void **state)
{
    static struct csv_reader reader;
    static char bytes[2 * CSV_CELLS_MAX];
    struct csv_record record;
    size_t used;

    memset(bytes, ',', sizeof(bytes));
    csv_reader_init(&reader);
    assert_int_equal(csv_reader_next(&reader, bytes, sizeof(bytes), true, &used, &record), 0);
    assert_int_equal(record.n_cells, sizeof(bytes) + 1);
}

/* Columns whose name begins with s are wanted as strings, with v as values. */
static enum csv_want want(const void *userdata, struct kpi_string name)
{
    assert_ptr_equal(userdata, "u");
    return name.data[0] == 's'   ? CSV_WANT_STRING
           : name.data[0] == 'v' ? CSV_WANT_VALUE
                                 : CSV_WANT_NOT;
}

static int header_read(const char *header, struct csv_json **ret_json, uint32_t columns[2])
{
    static struct csv_reader reader;
    struct csv_record record;
    size_t used;

    csv_reader_init(&reader);
    assert_int_equal(csv_reader_next(&reader, header, strlen(header), true, &used, &record), 0);
    return csv_json_new(ret_json, &record, want, "u", columns);
}

static void check_row(const char *header, const char *row, const char *expected)
{
    static struct csv_reader reader;
    char *text = malloc(CSV_JSON_BYTES_MAX);
    struct csv_json *json = NULL;
    struct csv_record record;
    uint32_t columns[2];
    size_t size;

    assert_int_equal(header_read(header, &json, columns), 0);
    csv_reader_init(&reader);
    assert_int_equal(csv_reader_next(&reader, row, strlen(row), true, &size, &record), 0);
    if (expected) {
        assert_int_equal(csv_json_write(json, &record, text, &size), 0);
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(text, expected, size);
    } else {
        assert_int_equal(csv_json_write(json, &record, text, &size), CSV_JSON_E_CELLS);
    }
    assert_null(csv_json_free(json));
    free(text);
}

static void test_rows_become_json(void **state)
{
    check_row("v,s", "1,1", "{\"v\":1,\"s\":\"1\"}");
    check_row("v,s", "\"1\",\"1\"", "{\"v\":1,\"s\":\"1\"}");
    check_row("v,s", ",1", "{\"s\":\"1\"}");
    check_row("v,s", "\"\",\"\"", "{}");
    check_row("v,s", "1", "{\"v\":1}");
    check_row("v,s", "1,2,", NULL);
    check_row("v,,s", "1,2,3", "{\"v\":1,\"s\":\"3\"}");
    check_row("v,other", "a,1", "{\"v\":\"a\",\"other\":1}");
    check_row("s", "\"q\"\"\\\n\x01 杯\"", "{\"s\":\"q\\\"\\\\\\u000a\\u0001 杯\"}");
    check_row("\"v\"\"\n\"", "x", "{\"v\\\"\\u000a\":\"x\"}");
}

static void test_what_reads_as_a_number_or_bool(void **state)
{
    static const char *const as_they_stand[] = {"0",   "-0",    "10",     "1.50", "-0.5",
                                                "1e9", "1E+05", "2.5e-3", "true", "false"};
    static const char *const strings[] = {"01", "+1", "1.", ".5",  "-",    "1e",     "1e+", "0x1",
                                          "1 ", " 1", "1-", "NaN", "null", "truely", "yes"};
    char expected[40];

    for (size_t i = 0; i < sizeof(as_they_stand) / sizeof(as_they_stand[0]); i++) {
        (void)sprintf(expected, "{\"v\":%s}", as_they_stand[i]);
        check_row("v", as_they_stand[i], expected);
        (void)sprintf(expected, "{\"s\":\"%s\"}", as_they_stand[i]);
        check_row("s", as_they_stand[i], expected);
    }
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        (void)sprintf(expected, "{\"v\":\"%s\"}", strings[i]);
        check_row("v", strings[i], expected);
    }
    check_row("v", "True", "{\"v\":true}");
    check_row("v", "FALSE", "{\"v\":false}");
}

static void test_a_header_is_judged(void **state)
{
    static char many[2 * CSV_CELLS_MAX + 2];
    struct csv_json *json = NULL;
    uint32_t columns[2] = {7, 7};

    assert_int_equal(header_read("v,x,,,s,x", &json, columns), CSV_JSON_E_EQUAL);
    assert_int_equal(columns[0], 1);
    assert_int_equal(columns[1], 5);
    assert_int_equal(header_read("a,b", &json, columns), CSV_JSON_E_UNKNOWN);
    assert_int_equal(header_read("\n", &json, columns), CSV_JSON_E_UNKNOWN);
    memset(many, ',', sizeof(many) - 1);
    assert_int_equal(header_read(many, &json, columns), CSV_JSON_E_MANY);
    assert_null(json);
}

static void test_the_largest_row_has_room(void **state)
{
    static struct csv_reader reader;
    static char header[CSV_RECORD_BYTES_MAX], row[CSV_RECORD_BYTES_MAX];
    char *text = malloc(CSV_JSON_BYTES_MAX); /* exactly: the address sanitizer looks on */
    struct csv_record record;
    struct csv_json *json = NULL;
    uint32_t columns[2];
    size_t size;

    memset(header, 1, sizeof(header));
    memset(row, 1, sizeof(row));
    memcpy(header, "v", 1);
    csv_reader_init(&reader);
    assert_int_equal(csv_reader_next(&reader, header, sizeof(header), true, &size, &record), 0);
    assert_int_equal(csv_json_new(&json, &record, want, "u", columns), 0);
    csv_reader_init(&reader);
    assert_int_equal(csv_reader_next(&reader, row, sizeof(row), true, &size, &record), 0);
    assert_int_equal(csv_json_write(json, &record, text, &size), 0);
    assert_int_equal(size, 6 * (sizeof(header) - 1) + 1 + 6 * sizeof(row) + 7);
    (void)csv_json_free(json);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_csv),
        cmocka_unit_test(test_what_is_not),
        cmocka_unit_test(test_a_zero_byte_is_a_byte),
        cmocka_unit_test(test_a_record_has_a_largest_size),
        cmocka_unit_test(test_cells_beyond_the_most_are_counted),
        cmocka_unit_test(test_rows_become_json),
        cmocka_unit_test(test_what_reads_as_a_number_or_bool),
        cmocka_unit_test(test_a_header_is_judged),
        cmocka_unit_test(test_the_largest_row_has_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
