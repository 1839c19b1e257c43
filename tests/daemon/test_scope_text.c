/*
 * Scopes as text: everything that is written is read back as the same pattern, people's other
 * spellings are read, what is no scope is refused by reason, and a pattern finds its scope in a
 * layout: a bare "day" the running one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scope_text.h"
#include "view_fixture.h"

static struct view *view;

static int parse(const char *text, struct kpi_scope *ret_pattern)
{
    return scope_text_parse((struct kpi_string){text, strlen(text)}, kpi_layout_plan(view->layout),
                            0, ret_pattern);
}

static void test_every_scope_is_read_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < FIXTURE_SCOPES; i++) {
        char text[KPI_SCOPE_NAME_BYTES_MAX];
        struct kpi_scope pattern;
        uint32_t found;

        scope_text_format(text, kpi_layout_plan(view->layout), kpi_layout_scope(view->layout, i));
        assert_int_equal(parse(text, &pattern), 0);
        assert_true(scope_text_find(view->layout, &pattern, &found));
        assert_int_equal(found, i);
    }
}

static void test_other_spellings(void **state)
{
    static const struct {
        const char *text;
        uint32_t scope;
        const char *again;
    } spellings[] = {
        {"campaign", FIXTURE_CAMPAIGN, "campaign"},
        {"burst", FIXTURE_BURST, "phase:burst"},
        {"phase burst", FIXTURE_BURST, "phase:burst"},
        {"rolling 7d", FIXTURE_ROLLING, "rolling:7d"},
        {"day 2026-11-10", FIXTURE_YESTERDAY, "day:2026-11-10"},
        {"day", FIXTURE_TODAY, "day"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        char again[KPI_SCOPE_NAME_BYTES_MAX];
        struct kpi_scope pattern;
        uint32_t found;

        assert_int_equal(parse(spellings[i].text, &pattern), 0);
        assert_true(scope_text_find(view->layout, &pattern, &found));
        assert_int_equal(found, spellings[i].scope);
        scope_text_format(again, kpi_layout_plan(view->layout), &pattern);
        assert_string_equal(again, spellings[i].again);
    }
}

static void test_what_is_no_scope(void **state)
{
    static const struct {
        const char *text;
        int outcome;
    } wrong[] = {
        {"", SCOPE_TEXT_E_UNKNOWN},
        {"campaigns", SCOPE_TEXT_E_UNKNOWN},
        {"campaign 2026-11-01", SCOPE_TEXT_E_UNKNOWN},
        {"brust", SCOPE_TEXT_E_UNKNOWN},
        {"phase", SCOPE_TEXT_E_UNKNOWN},
        {"phase ", SCOPE_TEXT_E_UNKNOWN},
        {"phase day", SCOPE_TEXT_E_UNKNOWN},
        {"day ", SCOPE_TEXT_E_UNKNOWN},
        {"day 2026-02-30", SCOPE_TEXT_E_UNKNOWN},
        {"day 2026-2-3", SCOPE_TEXT_E_UNKNOWN},
        {"day 2026-11-031", SCOPE_TEXT_E_UNKNOWN},
        {"day burst", SCOPE_TEXT_E_UNKNOWN},
        {"day +026-11-03", SCOPE_TEXT_E_UNKNOWN},
        {"rolling 7", SCOPE_TEXT_E_UNKNOWN},
        {"rolling 0d", SCOPE_TEXT_E_UNKNOWN},
        {"rolling d", SCOPE_TEXT_E_UNKNOWN},
        {"rolling -7d", SCOPE_TEXT_E_UNKNOWN},
        {"rolling 10001d", SCOPE_TEXT_E_UNKNOWN},
    };
    struct kpi_scope pattern;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(parse(wrong[i].text, &pattern), wrong[i].outcome);
}

static void test_a_day_to_come_is_not_found(void **state)
{
    struct kpi_scope pattern;
    uint32_t found;

    (void)state;
    assert_int_equal(parse("day 2026-11-12", &pattern), 0);
    assert_false(scope_text_find(view->layout, &pattern, &found));
    assert_int_equal(parse("rolling 5d", &pattern), 0);
    assert_false(scope_text_find(view->layout, &pattern, &found));
}

static int setup(void **state)
{
    (void)state;
    view = view_fixture_new(2);
    return view ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    view = view_unref(view);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_scope_is_read_back),
        cmocka_unit_test(test_other_spellings),
        cmocka_unit_test(test_what_is_no_scope),
        cmocka_unit_test(test_a_day_to_come_is_not_found),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
