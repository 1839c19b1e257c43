/*
 * A line of the log is one line whatever stands in its values: quoted, escaped, cut at 256 bytes,
 * whole in logfmt, JSON and for the journal; and a limit lets through what it says and counts the
 * rest.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/counters.h"
#include "util/log.h"

static char text[65536];
static int saved_stderr, capture;

static void begin(void)
{
    char path[] = "/tmp/kpid-test-log-XXXXXX";

    capture = mkstemp(path);
    assert_true(capture >= 0);
    assert_int_equal(unlink(path), 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_int_equal(dup2(capture, STDERR_FILENO), STDERR_FILENO);
}

static const char *end(void)
{
    ssize_t n = pread(capture, text, sizeof(text) - 1, 0);

    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    close(saved_stderr);
    close(capture);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* What stands behind the time stamp, whose shape is checked. */
static const char *after_time(const char *line)
{
    static const char shape[] = "ts=0000-00-00T00:00:00.000Z ";

    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == '0')
            assert_in_range(line[i], '0', '9');
        else
            assert_int_equal(line[i], shape[i]);
    }
    return line + sizeof(shape) - 1;
}

static void test_logfmt_line(void **state)
{
    begin();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("shard opened", LOG_INT("shard", -3), LOG_STRING("topic", "app"),
             LOG_DOUBLE("ratio", 0.5), LOG_STRING("none", NULL));
    assert_string_equal(after_time(end()),
                        "level=info msg=\"shard opened\" shard=-3 topic=app ratio=0.5 none=\"\"\n");
}

static void test_values_cannot_forge_lines(void **state)
{
    begin();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_warning("x", LOG_STRING("a", "1\nlevel=error msg=\"y\" \\ \x1b[2J\x7f"),
                LOG_STRING("b", "k=v"),
                LOG_STRING("c", "\xc2\x9b"
                                "31m"),
                LOG_STRING("d", "\xff 大促"));
    assert_string_equal(after_time(end()),
                        "level=warning msg=\"x\" a=\"1\\nlevel=error msg=\\\"y\\\" \\\\ "
                        "\\u001b[2J\\u007f\" b=\"k=v\" c=\"\\u009b31m\" d=\"\xef\xbf\xbd 大促\"\n");
}

static void test_values_are_cut_between_characters(void **state)
{
    char value[400], expected[600];

    /* 255 bytes of ASCII and then characters of three bytes: the first does not fit into 256. */
    memset(value, 'a', 255);
    strcpy(value + 255, "促促");
    begin();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("x", LOG_STRING("v", value));
    snprintf(expected, sizeof(expected), "level=info msg=\"x\" v=\"%.255s…\"\n", value);
    assert_string_equal(after_time(end()), expected);
}

static void test_json_line(void **state)
{
    const char *line, *rest;

    begin();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_error("it \"broke\"", LOG_INT("n", 1), LOG_STRING("s", "a b"), LOG_DOUBLE("d", 0.0 / 0.0));
    line = end();
    assert_memory_equal(line, "{\"ts\":\"", 7);
    rest = strstr(line, "\"level\"");
    assert_non_null(rest);
    assert_true(
        strcmp(rest, "\"level\":\"error\",\"msg\":\"it \\\"broke\\\"\",\"n\":1,\"s\":\"a b\","
                     "\"d\":\"nan\"}\n") == 0 ||
        strcmp(rest, "\"level\":\"error\",\"msg\":\"it \\\"broke\\\"\",\"n\":1,\"s\":\"a b\","
                     "\"d\":\"-nan\"}\n") == 0);
}

static void test_a_line_that_is_too_long_stays_whole(void **state)
{
    char value[257];
    const char *line;
    struct log_field fields[50] = {{0}};

    memset(value, '\x01', 256); /* six bytes each when escaped */
    value[256] = '\0';
    for (int i = 0; i < 49; i++)
        fields[i] = LOG_STRING("k", value);
    begin();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_line(LOG_LEVEL_INFO, "x", fields);
    line = end();
    assert_true(strlen(line) <= 8192);
    assert_true(strlen(line) > 6000);
    assert_string_equal(line + strlen(line) - 3, "\"}\n");
}

static void test_journal_prefix(void **state)
{
    char stream[64];
    struct stat status;

    begin();
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
    log_error("e");
    log_warning("w");
    log_notice("n");
    log_info("i", LOG_INT("k", 1));
    log_debug("d");
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    log_info("j", LOG_INT("k", 1));
    unsetenv("JOURNAL_STREAM");
    assert_string_equal(end(), "<3>msg=\"e\"\n<4>msg=\"w\"\n<5>msg=\"n\"\n<6>msg=\"i\" k=1\n"
                               "<7>msg=\"d\"\n<6>{\"msg\":\"j\",\"k\":1}\n");
}

static void test_another_stream_is_no_journal(void **state)
{
    begin();
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("i");
    unsetenv("JOURNAL_STREAM");
    assert_string_equal(after_time(end()), "level=info msg=\"i\"\n");
}

static void test_levels_below_are_silent_and_lines_counted(void **state)
{
    uint64_t before = counters_get(&counters.log_messages[LOG_LEVEL_INFO]);

    begin();
    log_setup(LOG_LEVEL_NOTICE, LOG_FORMAT_LOGFMT);
    log_info("no");
    log_debug("no");
    assert_string_equal(end(), "");
    assert_int_equal(counters_get(&counters.log_messages[LOG_LEVEL_INFO]), before);

    begin();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    log_info("yes");
    (void)end();
    assert_int_equal(counters_get(&counters.log_messages[LOG_LEVEL_INFO]), before + 1);
}

static void test_limit_counts_what_it_leaves_out(void **state)
{
    struct log_limit limit = LOG_LIMIT(2, 10);
    uint64_t before = counters_get(counters.log_suppressed);
    const char *line;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
    begin();
    for (int i = 0; i < 5; i++)
        log_limited(&limit, LOG_LEVEL_INFO, "a", LOG_FIELDS(LOG_INT("i", i)));
    line = end();
    assert_string_equal(after_time(strchr(line, '\n') + 1), "level=info msg=\"a\" i=1\n");
    assert_int_equal(counters_get(counters.log_suppressed), before + 3);

    begin();
    limit.refill_at -= 10 * 1000000; /* ten seconds later: one token */
    for (int i = 5; i < 7; i++)
        log_limited(&limit, LOG_LEVEL_INFO, "a", LOG_FIELDS(LOG_INT("i", i)));
    assert_string_equal(after_time(end()), "level=info msg=\"a\" suppressed=3 i=5\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt_line),
        cmocka_unit_test(test_values_cannot_forge_lines),
        cmocka_unit_test(test_values_are_cut_between_characters),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_a_line_that_is_too_long_stays_whole),
        cmocka_unit_test(test_journal_prefix),
        cmocka_unit_test(test_another_stream_is_no_journal),
        cmocka_unit_test(test_levels_below_are_silent_and_lines_counted),
        cmocka_unit_test(test_limit_counts_what_it_leaves_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
