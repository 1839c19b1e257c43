/*
 * Claims: the tree holds every key and text of a file with its exact place; what kpid does not read
 * (anchors, aliases, tags, merge keys, second documents, duplicate keys, depth, size) is refused
 * where it stands; syntax errors have a place and, where YAML cuts expressions, a hint; the caret
 * stands under what is meant, also behind Chinese text; secrets do not show.
 */
#include "config/doc.h"
#include "config/excerpt.h"
#include "config/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct parsed {
    struct arena arena;
    struct report report;
    struct doc_set set;
    struct doc_file *file;
    struct doc_node *root;
    int result;
    char output[64 * 1024];
};

static void collect(void *userdata, const char *text)
{
    struct parsed *p = userdata;

    assert_true(strlen(p->output) + strlen(text) < sizeof(p->output));
    strcat(p->output, text);
}

static void parse_bytes(struct parsed *p, const char *text, size_t size)
{
    struct config_report to = {collect, p};

    memset(p, 0, sizeof(*p));
    p->report.arena = &p->arena;
    p->set = (struct doc_set){.arena = &p->arena, .report = &p->report};
    assert_int_equal(doc_file_new(&p->set, "f", text, size, &p->file), 0);
    p->result = doc_parse(&p->set, p->file, &p->root);
    assert_int_equal(report_flush(&p->report, &to), 0);
}

static struct parsed *parse(const char *text)
{
    static struct parsed p;

    parse_bytes(&p, text, strlen(text));
    return &p;
}

static void release(struct parsed *p)
{
    arena_deinit(&p->arena);
}

static void assert_place(const struct doc_node *node, uint32_t line, uint32_t column)
{
    uint32_t l, c;

    doc_position(node->file, node->start, &l, &c);
    assert_int_equal(l, line);
    assert_int_equal(c, column);
}

static void nodes_know_their_places(void **state)
{
    struct parsed *p = parse("a: 1\n"
                             "名字: {zh: 活动, en: \"x\"}\n"
                             "list:\n"
                             "  - one\n"
                             "  - [two, 'it''s']\n");
    struct doc_node *name = doc_get(p->root, "名字"), *list = doc_get(p->root, "list");

    assert_int_equal(p->result, 0);
    assert_string_equal(p->output, "");
    assert_string_equal(doc_get(p->root, "a")->value, "1");
    assert_place(doc_get(p->root, "a"), 1, 4);
    assert_place(name->key, 2, 1);
    assert_place(name, 2, 5);
    assert_place(doc_get(name, "zh"), 2, 10);
    assert_place(doc_get(name, "en"), 2, 18);
    assert_int_equal(list->n_children, 2);
    assert_place(list->first, 4, 5);
    assert_place(list->first->next->first->next, 5, 11);
    assert_string_equal(list->first->next->first->next->value, "it's");
    release(p);
}

static void scalars_stay_text(void **state)
{
    static const char *const texts[] = {"no", "1e3", "08", "0x10", "true", "2026-11-01", "1_000"};
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[64];
        struct parsed *p;

        sprintf(text, "k: %s\n", texts[i]);
        p = parse(text);
        assert_int_equal(p->result, 0);
        assert_string_equal(doc_get(p->root, "k")->value, texts[i]);
        release(p);
    }
}

static void places_inside_values_are_exact_where_the_text_is(void **state)
{
    struct parsed *p = parse("plain: abc def\n"
                             "quoted: \"abc def\"\n"
                             "escaped: \"abc\\tdef\"\n"
                             "folded: abc\n  def\n");
    struct doc_place place;

    place = doc_value_place(doc_get(p->root, "plain"), 4, 3);
    assert_int_equal(place.start, 11);
    assert_int_equal(place.end, 14);
    place = doc_value_place(doc_get(p->root, "quoted"), 4, 3);
    assert_memory_equal(p->file->text + place.start, "def", 3);
    place = doc_value_place(doc_get(p->root, "escaped"), 4, 3);
    assert_int_equal(place.start, doc_get(p->root, "escaped")->start);
    place = doc_value_place(doc_get(p->root, "folded"), 4, 3);
    assert_int_equal(place.start, doc_get(p->root, "folded")->start);
    release(p);
}

static void lines_are_counted_as_editors_do(void **state)
{
    /* a byte order mark, CR LF, and characters that libyaml takes for line breaks */
    struct parsed *p = parse("\xef\xbb\xbf# \xc2\x85 \xe2\x80\xa8\r\na: 1\r\nb: 2\r\n");

    assert_int_equal(p->result, 0);
    assert_place(doc_get(p->root, "b"), 3, 4);
    release(p);
}

/* text, and what the report must contain; the tree is gone if it is no YAML */
static void refuses_what_it_does_not_read(void **state)
{
    static const struct {
        const char *text;
        const char *message;
        int result;
    } table[] = {
        {"a: &x 1\n", "f:1:4: error: anchors are not supported", 0},
        {"a: 1\nb: *x\n", "f:2:4: error: aliases are not supported", 0},
        {"a: !!int 1\n", "f:1:4: error: tags are not supported", 0},
        {"a: ! 1\n", "f:1:4: error: tags are not supported", 0},
        {"a: &l [1]\nb: &m {c: 1}\n", "f:2:4: error: anchors are not supported", 0},
        {"<<: {a: 1}\n", "f:1:1: error: merge keys are not supported", 0},
        {"? [a]\n: 1\n", "f:1:3: error: a key must be plain text", 0},
        {"a: 1\n---\nb: 2\n", "f:2:1: error: a second document begins here", DOC_E_SYNTAX},
        {"a: 1\nb: 2\na: 3\n",
         "f:3:1: error: duplicate key \"a\"\n  a: 3\n  ^\nf:1:1: note: first defined here\n", 0},
        {"x: {a: 1, b: 2, a: 3}\n", "f:1:17: error: duplicate key \"a\"", 0},
        {"a: 1\n\tb: 2\n", "not with tabs", DOC_E_SYNTAX},
        {"a: [1\n", "f:2:1: error: did not find expected ',' or ']'", DOC_E_SYNTAX},
        {"a: [1\n", "(while parsing a flow sequence that begins at 1:4)", DOC_E_SYNTAX},
        {"a: \"x\n", "f:2:1: error: found unexpected end of stream", DOC_E_SYNTAX},
        {"a: \xff\n", "f:1:4: error: invalid leading UTF-8 octet: the file must be UTF-8",
         DOC_E_SYNTAX},
        {"a: \x01\n", "f:1:4: error: control characters are not allowed", DOC_E_SYNTAX},
        {"m: {where: type in [\"a\", \"b\"]}\n", "f:1:20: error: did not find expected ',' or '}'",
         DOC_E_SYNTAX},
        {"m: {where: type in [\"a\", \"b\"]}\n",
         "put the expression in quotes or on a line of its own", DOC_E_SYNTAX},
        {"m: {agg: users, where: type == \"a: b\"}\n", "put the expression in quotes",
         DOC_E_SYNTAX},
        {"where: x == \"a: b\"\n", "put the expression in quotes", DOC_E_SYNTAX},
        {"where: \"a\" == x\n", "put all of it in other quotes", DOC_E_SYNTAX},
        {"k: {formula: retained(start=a, return=b), unit: ratio}\n",
         "f:1:14: error: YAML cuts this at the comma", 0},
        {"k: {where: type == \"a,b\"}\n", "f:1:12: error: YAML cuts this at the comma", 0},
        {"k: [f(a, b), c]\n", "f:1:5: error: YAML cuts this at the comma, inside […]", 0},
        {"k: x == \"a #b\"\n", "f:1:12: error: YAML takes # behind a blank for a comment", 0},
        {"k: {x: y == \"a #b\"}\n", "f:1:16: error: YAML takes # behind a blank for a comment",
         DOC_E_SYNTAX},
        {"k: [a] == b\n", "begins with [ or { where that is closed", DOC_E_SYNTAX},
        {"k: @b\n", "put all of it in quotes", DOC_E_SYNTAX},
        {"k: > 3\n", "put all of it in quotes", DOC_E_SYNTAX},
        {"k: & 3\n", "put all of it in quotes", DOC_E_SYNTAX},
        {"k: - b\n", "or leave the blank out", DOC_E_SYNTAX},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct parsed *p = parse(table[i].text);

        if (p->result != table[i].result || !strstr(p->output, table[i].message))
            fail_msg("%s: %d\n%s\nwanted: %s", table[i].text, p->result, p->output,
                     table[i].message);
        release(p);
    }
}

static void cut_expression_leaves_its_siblings(void **state)
{
    static const char *const texts[] = {
        "k: {formula: f(a, b, c), unit: ratio}\n",
        "k: {formula: f(a, b: c, g(d), e: f), unit: ratio}\n",
        "k: {formula: x == \"a, b\", unit: ratio}\n",
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct parsed *p = parse(texts[i]);
        struct doc_node *k = doc_get(p->root, "k");

        assert_int_equal(p->report.n_errors, 1);
        assert_int_equal(k->n_children, 2);
        assert_true(doc_get(k, "formula")->broken);
        assert_false(doc_get(k, "unit")->broken);
        assert_string_equal(doc_get(k, "unit")->value, "ratio");
        release(p);
    }
}

/* An apostrophe opens nothing, and what is never closed takes no sibling away. */
static void siblings_are_no_pieces(void **state)
{
    static const char *const texts[] = {
        "k: {en: It's all, zh: that's it}\n",
        "k: {en: (a, zh: b}\n",
        "k: [it's, that's]\n",
        "k: [(a, b]\n",
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct parsed *p = parse(texts[i]);

        assert_int_equal(p->report.n_errors, 0);
        assert_int_equal(doc_get(p->root, "k")->n_children, 2);
        release(p);
    }
}

static void depth_is_bounded(void **state)
{
    char text[128];
    struct parsed *p;
    int depth;

    for (depth = DOC_DEPTH_MAX; depth <= DOC_DEPTH_MAX + 1; depth++) {
        memset(text, 0, sizeof(text));
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        p = parse(text);
        assert_int_equal(p->result, depth > DOC_DEPTH_MAX ? DOC_E_SYNTAX : 0);
        if (depth > DOC_DEPTH_MAX)
            assert_non_null(strstr(p->output, "f:1:33: error: nested deeper than 32 levels"));
        release(p);
    }
}

static void size_is_bounded(void **state)
{
    size_t size;

    for (size = DOC_BYTES_MAX; size <= DOC_BYTES_MAX + 1; size++) {
        char path[] = "/tmp/kpid-test-doc-XXXXXX";
        int fd = mkstemp(path);
        FILE *file = fdopen(fd, "w");
        struct parsed p = {0};
        const char *error = NULL;
        size_t i;

        assert_non_null(file);
        for (i = 0; i < size; i++)
            assert_true(putc('#', file) != EOF);
        assert_int_equal(fclose(file), 0);
        p.set = (struct doc_set){.arena = &p.arena, .report = &p.report};
        assert_int_equal(doc_file_read(&p.set, path, "f", &p.file, &error),
                         size > DOC_BYTES_MAX ? DOC_E_UNREADABLE : 0);
        if (size > DOC_BYTES_MAX)
            assert_string_equal(error, "it is larger than 1 MiB");
        remove(path);
        release(&p);
    }
}

static void many_duplicates_are_found_in_time(void **state)
{
    size_t n = 60000, i, size = 0;
    char *text = malloc(n * 16);
    struct parsed *p;

    assert_non_null(text);
    for (i = 0; i < n; i++)
        size += (size_t)sprintf(text + size, "k%zu: 1\n", i % (n / 2));
    p = parse(text);
    assert_int_equal(p->report.n_errors, n / 2);
    assert_non_null(strstr(p->output, "and 29900 more\n"));
    release(p);
    free(text);
}

static void carets_stand_right(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } table[] = {
        {"a: 1\nabc: 2\nabc: 3\n", "\n  abc: 3\n  ^~~\n"},
        {"{标题: 活动, a: 1, a: 2}\n", "\n  {标题: 活动, a: 1, a: 2}\n                     ^\n"},
        {"{a: 1,\ta: 2}\n", "\n  {a: 1,\ta: 2}\n        \t^\n"},
        {"a: [1", "\n  a: [1\n       ^\n"},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct parsed *p = parse(table[i].text);

        if (!strstr(p->output, table[i].message))
            fail_msg("%s\nwanted:%s", p->output, table[i].message);
        release(p);
    }
}

static void widths_of_characters(void **state)
{
    assert_int_equal(excerpt_width('a'), 1);
    assert_int_equal(excerpt_width(0xe9), 1);    /* é */
    assert_int_equal(excerpt_width(0x6d3b), 2);  /* 活 */
    assert_int_equal(excerpt_width(0xff1a), 2);  /* fullwidth colon */
    assert_int_equal(excerpt_width(0x301), 0);   /* combining acute */
    assert_int_equal(excerpt_width(0x1f600), 2); /* an emoji */
}

static void long_lines_are_cut_around_the_caret(void **state)
{
    char text[4096];
    struct parsed *p;
    const char *source;

    sprintf(text, "{x: %0*d, a: 1, a: 2, y: %0*d}", 1000, 0, 1000, 0);
    p = parse(text);
    source = strchr(p->output, '\n') + 1;
    assert_true(strcspn(source, "\n") < 200);
    assert_non_null(strstr(source, "a: 1, a: 2"));
    release(p);
}

static void secrets_are_masked(void **state)
{
    static const char *const lines[] = {
        "{a: 1, a: 2, password: hunter2}\n",
        "{a: 1, a: 2, secret: \"hunter2\"}\n",
        "{a: 1, a: 2, sasl.password: 'hunter2'}\n",
        "{a: 1, a: 2, \"password\": \"x hunter2\"}\n",
        "{a: 1, a: 2, url: \"https://host/robot?token=hunter2\"}\n",
        "{a: 1, a: 2, url: redis://me:hunter2@host/0}\n",
        "{a: [1, password: hunter2\n", /* a syntax error: no schema has seen it */
    };
    size_t i;

    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct parsed *p = parse(lines[i]);

        assert_true(p->report.n_errors > 0);
        if (strstr(p->output, "hunter2"))
            fail_msg("%s", p->output);
        release(p);
    }
}

static void secret_files_are_shown(void **state)
{
    struct parsed *p = parse("{a: 1, a: 2, password_file: /etc/kpid/redis}\n");

    assert_non_null(strstr(p->output, "/etc/kpid/redis"));
    release(p);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    struct parsed *p = parse("a: \x1b[2J\xc2\x9b\n");

    assert_null(strchr(p->output, '\x1b'));
    assert_null(strstr(p->output, "\xc2\x9b"));
    assert_string_equal(QUOTE(KPI_STRING("a\x1b[2J")), "\"a?[2J\"");
    assert_string_equal(QUOTE(KPI_STRING("a\xc2\x9b"
                                         "2J\xc2\xa0")),
                        "\"a?2J\xc2\xa0\"");
    release(p);
}

static void quotes_are_cut_between_characters(void **state)
{
    char text[200] = "a";
    struct report_quoted quoted;
    int i;

    for (i = 0; i < 60; i++)
        strcat(text, "活");
    quoted = report_quote((struct kpi_string){text, strlen(text)});
    assert_int_equal(strlen(quoted.text), 1 + 79 + strlen("…") + 1);
}

static void messages_are_sorted_by_place(void **state)
{
    struct parsed *p = parse("x: {b: 1, b: 2}\na: &q 1\nx: 1\n");
    const char *first = strstr(p->output, "f:1:11:"), *second = strstr(p->output, "f:2:4:");
    const char *third = strstr(p->output, "f:3:1:");

    assert_true(first && second && third && first < second && second < third);
    release(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_know_their_places),
        cmocka_unit_test(scalars_stay_text),
        cmocka_unit_test(places_inside_values_are_exact_where_the_text_is),
        cmocka_unit_test(lines_are_counted_as_editors_do),
        cmocka_unit_test(refuses_what_it_does_not_read),
        cmocka_unit_test(cut_expression_leaves_its_siblings),
        cmocka_unit_test(siblings_are_no_pieces),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(many_duplicates_are_found_in_time),
        cmocka_unit_test(carets_stand_right),
        cmocka_unit_test(widths_of_characters),
        cmocka_unit_test(long_lines_are_cut_around_the_caret),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(secret_files_are_shown),
        cmocka_unit_test(control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(quotes_are_cut_between_characters),
        cmocka_unit_test(messages_are_sorted_by_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
