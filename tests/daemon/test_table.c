/*
 * Columns of a table line up on a terminal, also where Chinese characters take two cells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/table.h"

static void test_width(void **state)
{
    static const struct {
        const char *text;
        unsigned width;
    } table[] = {
        {"", 0},  {"abc", 3}, {"大促", 4}, {"618 大促", 8}, {"e\xcc\x81", 1},
        {"é", 1}, {"ｗ", 2},  {"\xff", 1}, {"\x1b", 1},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(table_width(table[i].text), table[i].width);
}

static void test_columns_line_up(void **state)
{
    static const struct table_column columns[] = {{"CAMPAIGN", false}, {"N", true}, {"X", false}};
    struct table *table = table_new(columns, 3);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    table_add(table, "618 大促活动");
    table_add_format(table, "%d", 7);
    table_add(table, "a");
    table_add(table, "plain");
    table_add_format(table, "%d", 12345);
    table_add(table, "b");
    assert_int_equal(table_print(table, out), 0);
    fclose(out);
    assert_string_equal(text, "CAMPAIGN          N  X\n"
                              "618 大促活动      7  a\n"
                              "plain         12345  b\n");
    free(text);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_columns_line_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
