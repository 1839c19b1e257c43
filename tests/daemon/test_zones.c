/*
 * Claims: the tables of local days agree with the C library, zone by zone and day by day, from 2000
 * to 2100: before a day's first instant the date is an earlier one, at it the date is this one or,
 * where the zone skipped it, a later one; and so do hours, around every change of the clocks and at
 * random times between. Damaged zone files are refused, never read past their
 * end.
 */
#include "config/scalar.h"
#include "config/tzif.h"
#include "config/zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include <kpi/plan.h>

static struct kpi_zone load_zone(struct arena *arena, const char *name)
{
    struct kpi_zone zone;
    int r = zones_load(&zone, name, arena);

    if (r)
        fail_msg("%s: %d", name, r);
    return zone;
}

static kpi_time start_of(const struct kpi_zone *zone, int year, int month, int day)
{
    return zone->day_starts[scalar_day(year, month, day) - zone->first_day];
}

/* The local date by the C library, whose TZ has been set. */
static kpi_day date_at(time_t seconds)
{
    struct tm tm;

    assert_non_null(localtime_r(&seconds, &tm));
    return scalar_day(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static void compare_with_libc(const char *name, uint32_t step)
{
    struct arena arena = {0};
    struct kpi_zone zone = load_zone(&arena, name);
    uint32_t i;

    assert_int_equal(setenv("TZ", name, 1), 0);
    tzset();
    for (i = 0; i <= zone.n_days; i += step) {
        kpi_time start = zone.day_starts[i];
        kpi_day day = zone.first_day + (kpi_day)i;

        if (start % KPI_SECOND != 0) /* a skipped date: see apia_skipped_a_day */
            continue;
        if (date_at(start / KPI_SECOND) < day || date_at(start / KPI_SECOND - 1) >= day)
            fail_msg("%s: day %d begins at %lld", name, day, (long long)start);
    }
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
    arena_deinit(&arena);
}

static void agrees_with_libc_every_day(void **state)
{
    static const char *const names[] = {
        "UTC",
        "Asia/Shanghai",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Asia/Beirut",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Asia/Gaza",
        "Europe/Dublin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "America/Nuuk",
        "Antarctica/Troll",
        "Asia/Tehran",
        "America/Asuncion",
    };
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        compare_with_libc(names[i], 1);
}

/* All zones, in steps that are prime to weeks and years. */
static void agrees_with_libc_in_all_zones(void **state)
{
    FILE *list = fopen("/usr/share/zoneinfo/tzdata.zi", "re");
    char line[256];
    unsigned n = 0;

    if (!list)
        skip();
    while (fgets(line, sizeof(line), list)) {
        char name[64];

        if (sscanf(line, "Z %63s", name) == 1) {
            compare_with_libc(name, 61);
            n++;
        }
    }
    (void)fclose(list);
    assert_true(n > 300);
}

static void hour_compare(const struct kpi_zone *zone, time_t seconds)
{
    struct tm tm;

    assert_non_null(localtime_r(&seconds, &tm));
    if (kpi_zone_clock(zone, KPI_CLOCK_HOUR, seconds * KPI_SECOND) != tm.tm_hour)
        fail_msg("%.*s: at %lld it is not %d o'clock", (int)zone->name.length, zone->name.data,
                 (long long)seconds, tm.tm_hour);
}

static void hours_agree_with_libc(void **state)
{
    static const char *const names[] = {
        "UTC",
        "Asia/Shanghai",
        "Europe/Berlin",
        "America/Sao_Paulo",
        "Asia/Kathmandu",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Pacific/Apia",
        "America/Asuncion",
        "Antarctica/Troll",
    };
    const time_t first = 946944000, last = 4102272000; /* 2000-01-04 to 2099-12-30 */
    uint64_t random = 20261123;
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct arena arena = {0};
        struct kpi_zone zone = load_zone(&arena, names[i]);
        uint32_t k;

        assert_int_equal(setenv("TZ", names[i], 1), 0);
        tzset();
        for (k = 0; k < zone.n_changes; k++) {
            time_t at = zone.changes[k].at / KPI_SECOND;

            for (int minutes = -90; at > first && minutes <= 24 * 60; minutes += 15)
                hour_compare(&zone, at + minutes * 60);
        }
        for (k = 0; k < 20000; k++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            hour_compare(&zone, first + (time_t)(random >> 33) % (last - first));
        }
        assert_int_equal(unsetenv("TZ"), 0);
        tzset();
        arena_deinit(&arena);
    }
}

/* Out of kpi_zone_day(), the C library and a calendar on paper: it was a Sunday. */
static void a_day_set_back_over_midnight_is_one_day(void **state)
{
    struct arena arena = {0};
    struct kpi_zone zone = load_zone(&arena, "America/St_Johns");
    kpi_time midnight = start_of(&zone, 2009, 11, 1); /* at 00:01 clocks went back to 23:01 */

    assert_int_equal(kpi_zone_clock(&zone, KPI_CLOCK_HOUR, midnight), 0);
    assert_int_equal(kpi_zone_clock(&zone, KPI_CLOCK_HOUR, midnight + 2 * KPI_MINUTE), 23);
    assert_int_equal(kpi_zone_clock(&zone, KPI_CLOCK_WEEKDAY, midnight + 2 * KPI_MINUTE), 7);
    assert_int_equal(kpi_zone_clock(&zone, KPI_CLOCK_MONTHDAY, midnight + 2 * KPI_MINUTE), 1);
    arena_deinit(&arena);
}

static void days_rise_strictly_in_all_cases(void **state)
{
    static const char *const names[] = {"Pacific/Apia", "Pacific/Fakaofo", "America/St_Johns"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct arena arena = {0};
        struct kpi_zone zone = load_zone(&arena, names[i]);
        uint32_t d;

        assert_int_equal(zone.first_day, SCALAR_DAY_MIN);
        assert_int_equal(zone.n_days, SCALAR_DAY_MAX - SCALAR_DAY_MIN);
        for (d = 0; d < zone.n_days; d++)
            assert_true(zone.day_starts[d] < zone.day_starts[d + 1]);
        arena_deinit(&arena);
    }
}

static void midnight_that_is_skipped_begins_at_the_change(void **state)
{
    struct arena arena = {0};
    struct kpi_zone zone = load_zone(&arena, "America/Sao_Paulo");

    /* 2017-10-14T23:59:59-03:00 was followed by 2017-10-15T01:00:00-02:00 */
    assert_true(start_of(&zone, 2017, 10, 15) == INT64_C(1508036400) * KPI_SECOND);
    assert_true(start_of(&zone, 2017, 10, 16) == INT64_C(1508119200) * KPI_SECOND);
    arena_deinit(&arena);
}

static void midnight_that_comes_twice_begins_the_first_time(void **state)
{
    struct arena arena = {0};
    struct kpi_zone zone = load_zone(&arena, "America/St_Johns");

    /* at 2006-10-29T00:01-02:30 clocks went back to 2006-10-28T23:01-03:30 */
    assert_true(start_of(&zone, 2006, 10, 29) == INT64_C(1162089000) * KPI_SECOND);
    arena_deinit(&arena);
}

static void apia_skipped_a_day(void **state)
{
    struct arena arena = {0};
    struct kpi_zone zone = load_zone(&arena, "Pacific/Apia");
    kpi_time after = INT64_C(1325239200) * KPI_SECOND; /* 2011-12-31T00:00:00+14:00 */

    assert_true(start_of(&zone, 2011, 12, 29) == after - KPI_DAY);
    assert_true(start_of(&zone, 2011, 12, 30) == after - 1);
    assert_true(start_of(&zone, 2011, 12, 31) == after);
    arena_deinit(&arena);
}

static void years_beyond_the_table_follow_the_footer(void **state)
{
    struct arena arena = {0};
    struct kpi_zone zone = load_zone(&arena, "America/New_York");

    /* 2090-07-01T00:00:00-04:00, 2090-12-01T00:00:00-05:00 */
    assert_true(start_of(&zone, 2090, 7, 1) == scalar_day(2090, 7, 1) * KPI_DAY + 4 * KPI_HOUR);
    assert_true(start_of(&zone, 2090, 12, 1) == scalar_day(2090, 12, 1) * KPI_DAY + 5 * KPI_HOUR);
    arena_deinit(&arena);
}

static void names_that_are_no_zone(void **state)
{
    static const char *const names[] = {
        "",
        "Asia/Shangai",
        "../../../etc/passwd",
        "/usr/share/zoneinfo/UTC",
        "Asia",
        "tzdata.zi",
        "zone1970",
        "Asia//Tokyo",
        "Asia/",
        "Asia/Tokyo ",
        "leapseconds",
    };
    struct arena arena = {0};
    struct kpi_zone zone;
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(zones_load(&zone, names[i], &arena), ZONES_E_UNKNOWN);
    arena_deinit(&arena);
}

static void names_are_suggested(void **state)
{
    static const char *const table[][2] = {
        {"Asia/Shangai", "Asia/Shanghai"},  {"asia/shanghai", "Asia/Shanghai"},
        {"Shanghai", "Asia/Shanghai"},      {"Asia/Beijing", "Asia/Shanghai"},
        {"Europe/Berlni", "Europe/Berlin"}, {"new_york", "America/New_York"},
    };
    struct arena arena = {0};
    const char *name;
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(zones_suggest(table[i][0], &arena, &name), 0);
        assert_non_null(name);
        assert_string_equal(name, table[i][1]);
    }
    assert_int_equal(zones_suggest("Middle-earth/Shire", &arena, &name), 0);
    assert_null(name);
    arena_deinit(&arena);
}

static void without_zone_data_there_is_utc(void **state)
{
    struct arena arena = {0};
    struct kpi_zone zone;

    assert_int_equal(setenv("TZDIR", "/nonexistent", 1), 0);
    assert_int_equal(zones_load(&zone, "UTC", &arena), 0);
    assert_true(start_of(&zone, 2026, 11, 1) == scalar_day(2026, 11, 1) * KPI_DAY);
    assert_int_equal(zones_load(&zone, "Asia/Shanghai", &arena), ZONES_E_NO_DATA);
    assert_int_equal(unsetenv("TZDIR"), 0);
    arena_deinit(&arena);
}

/* --- TZif by hand --- */

static size_t put_header(unsigned char *p, char version, unsigned n_times, unsigned n_types,
                         unsigned n_leap)
{
    memset(p, 0, 44);
    memcpy(p, "TZif", 4);
    p[4] = (unsigned char)version;
    p[31] = (unsigned char)n_leap;
    p[35] = (unsigned char)n_times;
    p[39] = (unsigned char)n_types;
    p[43] = 4;
    return 44;
}

/* One type of offset 0, named "UTC", and a footer. */
static size_t put_file(unsigned char *p, const char *footer)
{
    size_t n = put_header(p, '2', 0, 1, 0);

    memset(p + n, 0, 10);
    n += 10;
    n += put_header(p + n, '2', 0, 1, 0);
    memset(p + n, 0, 10);
    n += 10;
    return n + (size_t)sprintf((char *)p + n, "\n%s\n", footer);
}

static void footers_are_understood(void **state)
{
    /* offset on 2050-07-01 and 2050-12-31T12:00 of rules that tables of today rarely use */
    static const struct {
        const char *rule;
        int july, december;
    } table[] = {
        {"UTC0", 0, 0},
        {"AAA0BBB,M3.2.0,M11.1.0", 3600, 0},
        {"AAA0BBB-2,J60/0,J300/0", 7200, 0},
        {"AAA0BBB,59/0,299/0", 3600, 0},
        {"<+00>0<+01>,M3.5.0/-1,M10.5.0/26:30:15", 3600, 0},
        {"AAA0BBB,M10.1.0,M3.2.0/3", 0, 3600}, /* south */
        {"AAA0BBB,0/0,J365/25", 3600, 3600},   /* all year */
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct arena arena = {0};
        unsigned char bytes[256];
        size_t size = put_file(bytes, table[i].rule);
        int64_t times[2] = {scalar_day(2050, 7, 1) * INT64_C(86400),
                            scalar_day(2050, 12, 31) * INT64_C(86400) + 43200};
        int found[2] = {-1, -1}, k;
        struct tzif tzif;
        uint32_t s;

        assert_int_equal(tzif_parse(&tzif, bytes, size, 2060, &arena), 0);
        for (s = 0; s < tzif.n_segments; s++) {
            for (k = 0; k < 2; k++)
                found[k] = tzif.segments[s].at <= times[k] ? tzif.segments[s].offset : found[k];
        }
        if (found[0] != table[i].july || found[1] != table[i].december)
            fail_msg("%s: %d %d", table[i].rule, found[0], found[1]);
        arena_deinit(&arena);
    }
}

static void damaged_files_are_refused(void **state)
{
    static const char *const rules[] = {
        "X",
        "AAA",
        "AAA0BBB",
        "AAA0BBB,M3.2.0",
        "AAA0BBB,M13.2.0,M11.1.0",
        "AAA0BBB,M3.6.0,M1.1.0",
        "AAA0BBB,J0,J5",
        "AAA0BBB,M3.2.0,M11.1.0x",
        "<AAA0",
        "AAA99",
        "AAA0BBB,M3.2.0/200,M1.1.0",
    };
    struct arena arena = {0};
    unsigned char bytes[256];
    struct tzif tzif;
    size_t size, i;

    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        size = put_file(bytes, rules[i]);
        if (tzif_parse(&tzif, bytes, size, 2060, &arena) != TZIF_E_INVALID)
            fail_msg("%s", rules[i]);
    }
    /* every prefix, in a block of its own so that a sanitizer sees a read behind its end */
    size = put_file(bytes, "AAA0BBB,M3.2.0,M11.1.0");
    for (i = 0; i < size - 1; i++) {
        unsigned char *cut = malloc(i ? i : 1);

        assert_non_null(cut);
        memcpy(cut, bytes, i);
        if (tzif_parse(&tzif, cut, i, 2060, &arena) == 0)
            assert_true(i >= 44 + 10 + 44 + 10); /* whole but for its footer */
        free(cut);
    }
    arena_deinit(&arena);
}

static void leap_seconds_are_refused(void **state)
{
    struct arena arena = {0};
    unsigned char bytes[256] = {0};
    size_t n = put_header(bytes, 0, 0, 1, 1);
    struct tzif tzif;

    assert_int_equal(tzif_parse(&tzif, bytes, n + 10 + 8, 2060, &arena), TZIF_E_LEAPS);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_libc_every_day),
        cmocka_unit_test(agrees_with_libc_in_all_zones),
        cmocka_unit_test(hours_agree_with_libc),
        cmocka_unit_test(a_day_set_back_over_midnight_is_one_day),
        cmocka_unit_test(days_rise_strictly_in_all_cases),
        cmocka_unit_test(midnight_that_is_skipped_begins_at_the_change),
        cmocka_unit_test(midnight_that_comes_twice_begins_the_first_time),
        cmocka_unit_test(apia_skipped_a_day),
        cmocka_unit_test(years_beyond_the_table_follow_the_footer),
        cmocka_unit_test(names_that_are_no_zone),
        cmocka_unit_test(names_are_suggested),
        cmocka_unit_test(without_zone_data_there_is_utc),
        cmocka_unit_test(footers_are_understood),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(leap_seconds_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
