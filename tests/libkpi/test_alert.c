/*
 * Tests libkpi/alert/alert.c: that targets fire at the distances of the plans, after `hold`, at the
 * right level, in every mode of deviation; that they clear at half the band; and that nothing but a
 * judged value moves them.
 */
#include <kpi/alert.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define T0 (INT64_C(1700000000) * KPI_SECOND)

/* Participation rate, target 65 %, 10 percentage points, fires at once, at least 100 reached. */
static struct kpi_target target_65(void)
{
    return (struct kpi_target){
        .value = 0.65,
        .deviation = KPI_DEVIATION_POINTS,
        .deviation_amount = 0.10,
        .band = 0.10,
        .better = KPI_BETTER_UP,
        .from = KPI_TIME_NONE,
        .to = KPI_TIME_NONE,
        .sample_min = 100,
    };
}

static struct kpi_alert fresh(void)
{
    return (struct kpi_alert){.since = KPI_TIME_NONE, .deviating_since = KPI_TIME_NONE};
}

static struct kpi_observation seen(double value)
{
    return (struct kpi_observation){
        .value = {
            .state = KPI_VALUE_OK,
            .value = value,
            .numerator = {.kind = KPI_NUMBER_COUNT, .real = value * 1000},
            .denominator = {.kind = KPI_NUMBER_COUNT, .value = 1000, .real = 1000},
            .complete = 1,
            .counts_from = KPI_TIME_NONE,
        }};
}

static enum kpi_transition look(struct kpi_alert *alert, const struct kpi_target *target,
                                double value, kpi_time now)
{
    const struct kpi_observation observation = seen(value);

    return kpi_alert_step(alert, target, &observation, now);
}

static struct kpi_alert fired(const struct kpi_target *target, double value)
{
    struct kpi_alert alert = fresh();

    look(&alert, target, value, T0);
    assert_int_equal(look(&alert, target, value, T0 + target->hold),
                     target->hold ? KPI_TRANSITION_FIRING : KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_FIRING);
    return alert;
}

/* The numbers of the plans: is there an alert at this value? */
static void test_acceptance_numbers(void **state)
{
    const struct kpi_target points = target_65();
    struct kpi_target relative = target_65(), roi = target_65(), complaints = target_65();
    size_t i;

    relative.deviation = KPI_DEVIATION_RELATIVE;
    relative.band = 0.1 * 0.65;
    roi.value = 4;
    roi.band = 0.1 * 4;
    complaints.value = 0.005;
    complaints.band = 0.1 * 0.005;
    complaints.better = KPI_BETTER_DOWN;

    const struct {
        const struct kpi_target *target;
        double value;
        bool fires;
    } cases[] = {
        {&points, 0.549, true},       {&points, 0.551, false},
        {&points, 0.55, true},        {&relative, 0.584, true},
        {&relative, 0.586, false},    {&relative, 0.585, true},
        {&points, 0.95, false},       {&roi, 3.6, true},
        {&roi, 3.61, false},          {&complaints, 0.0055, true},
        {&complaints, 0.0054, false}, {&complaints, 0.0001, false},
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kpi_alert alert = fresh();

        assert_int_equal(look(&alert, cases[i].target, cases[i].value, T0),
                         cases[i].fires ? KPI_TRANSITION_FIRING : KPI_TRANSITION_NONE);
    }
}

enum mode {
    RELATIVE,    /* 65 %, 10 % */
    POINTS,      /* 65 %, 10 points */
    MULTIPLE,    /* 1:4, 0.5 */
    MONEY,       /* 100,000 on either side, 20,000 */
    DURATION,    /* 480 s, 60 s */
    COMPLAINTS,  /* at most 100, 15 */
    REWARD,      /* at most 1:4, 25 %: what is above 1:5 is told */
    INTERACTION, /* at most 1,000, by 2 */
    SHARE,       /* 1 on either side, by 0.9 */
    BUYERS,      /* 900, by 1.5 */
};

static struct kpi_target target_of(enum mode mode)
{
    static const struct {
        double value;
        enum kpi_deviation deviation;
        double amount;
        enum kpi_better better;
    } modes[] = {
        [RELATIVE] = {0.65, KPI_DEVIATION_RELATIVE, 0.1, KPI_BETTER_UP},
        [POINTS] = {0.65, KPI_DEVIATION_POINTS, 0.1, KPI_BETTER_UP},
        [MULTIPLE] = {4, KPI_DEVIATION_ABSOLUTE, 0.5, KPI_BETTER_UP},
        [MONEY] = {100000, KPI_DEVIATION_ABSOLUTE, 20000, KPI_BETTER_BAND},
        [DURATION] = {480, KPI_DEVIATION_ABSOLUTE, 60, KPI_BETTER_UP},
        [COMPLAINTS] = {100, KPI_DEVIATION_ABSOLUTE, 15, KPI_BETTER_DOWN},
        [REWARD] = {4, KPI_DEVIATION_RELATIVE, 0.25, KPI_BETTER_DOWN},
        [INTERACTION] = {1000, KPI_DEVIATION_FACTOR, 2, KPI_BETTER_DOWN},
        [SHARE] = {1, KPI_DEVIATION_FACTOR, 0.9, KPI_BETTER_BAND},
        [BUYERS] = {900, KPI_DEVIATION_FACTOR, 1.5, KPI_BETTER_UP},
    };
    struct kpi_target target = target_65();

    target.deviation = modes[mode].deviation;
    target.deviation_amount = modes[mode].amount;
    target.better = modes[mode].better;
    assert_true(kpi_target_set(&target, modes[mode].value));
    return target;
}

/* At each edge, and just within it. */
static void test_levels_in_every_mode(void **state)
{
    static const struct {
        enum mode mode;
        double value;
        enum kpi_alert_level level;
    } cases[] = {
        {RELATIVE, 0.586, KPI_LEVEL_NONE},       {RELATIVE, 0.585, KPI_LEVEL_GENERAL},
        {RELATIVE, 0.584, KPI_LEVEL_GENERAL},    {RELATIVE, 0.521, KPI_LEVEL_GENERAL},
        {RELATIVE, 0.52, KPI_LEVEL_SERIOUS},     {RELATIVE, 0.456, KPI_LEVEL_SERIOUS},
        {RELATIVE, 0.455, KPI_LEVEL_CRITICAL},   {POINTS, 0.551, KPI_LEVEL_NONE},
        {POINTS, 0.55, KPI_LEVEL_GENERAL},       {POINTS, 0.549, KPI_LEVEL_GENERAL},
        {POINTS, 0.35, KPI_LEVEL_CRITICAL},      {MULTIPLE, 3.501, KPI_LEVEL_NONE},
        {MULTIPLE, 3.5, KPI_LEVEL_GENERAL},      {MULTIPLE, 3.001, KPI_LEVEL_GENERAL},
        {MULTIPLE, 3, KPI_LEVEL_SERIOUS},        {MULTIPLE, 2.501, KPI_LEVEL_SERIOUS},
        {MULTIPLE, 2.5, KPI_LEVEL_CRITICAL},     {MULTIPLE, 9, KPI_LEVEL_NONE},
        {MONEY, 80000.01, KPI_LEVEL_NONE},       {MONEY, 80000, KPI_LEVEL_GENERAL},
        {MONEY, 119999.99, KPI_LEVEL_NONE},      {MONEY, 120000, KPI_LEVEL_GENERAL},
        {MONEY, 140000, KPI_LEVEL_SERIOUS},      {MONEY, 40000, KPI_LEVEL_CRITICAL},
        {DURATION, 420.001, KPI_LEVEL_NONE},     {DURATION, 420, KPI_LEVEL_GENERAL},
        {COMPLAINTS, 114, KPI_LEVEL_NONE},       {COMPLAINTS, 115, KPI_LEVEL_GENERAL},
        {COMPLAINTS, 129, KPI_LEVEL_GENERAL},    {COMPLAINTS, 130, KPI_LEVEL_SERIOUS},
        {COMPLAINTS, 145, KPI_LEVEL_CRITICAL},   {COMPLAINTS, 0, KPI_LEVEL_NONE},
        {REWARD, 4.99, KPI_LEVEL_NONE},          {REWARD, 5, KPI_LEVEL_GENERAL},
        {REWARD, 5.01, KPI_LEVEL_GENERAL},       {INTERACTION, 1999, KPI_LEVEL_NONE},
        {INTERACTION, 2000, KPI_LEVEL_GENERAL},  {INTERACTION, 3999, KPI_LEVEL_GENERAL},
        {INTERACTION, 4000, KPI_LEVEL_SERIOUS},  {INTERACTION, 7999, KPI_LEVEL_SERIOUS},
        {INTERACTION, 8000, KPI_LEVEL_CRITICAL}, {INTERACTION, 1, KPI_LEVEL_NONE},
        {SHARE, 0.9001, KPI_LEVEL_NONE},         {SHARE, 0.9, KPI_LEVEL_GENERAL},
        {SHARE, 1.1111, KPI_LEVEL_NONE},         {SHARE, 1 / 0.9, KPI_LEVEL_GENERAL},
        {SHARE, 0.8101, KPI_LEVEL_GENERAL},      {SHARE, 0.81, KPI_LEVEL_SERIOUS},
        {SHARE, 1 / 0.81, KPI_LEVEL_SERIOUS},    {SHARE, 0.729, KPI_LEVEL_CRITICAL},
        {SHARE, 0, KPI_LEVEL_CRITICAL}, /* no power of 0.9 comes as low */
        {SHARE, -1, KPI_LEVEL_CRITICAL},         {BUYERS, 601, KPI_LEVEL_NONE},
        {BUYERS, 600, KPI_LEVEL_GENERAL},        {BUYERS, 401, KPI_LEVEL_GENERAL},
        {BUYERS, 400, KPI_LEVEL_SERIOUS},        {BUYERS, 266.7, KPI_LEVEL_SERIOUS},
        {BUYERS, 800 / 3.0, KPI_LEVEL_CRITICAL}, {BUYERS, 10000, KPI_LEVEL_NONE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct kpi_target target = target_of(cases[i].mode);
        struct kpi_alert alert = fresh();

        look(&alert, &target, cases[i].value, T0);
        if (alert.level != cases[i].level)
            fail_msg("%u at %g: %s", cases[i].mode, cases[i].value,
                     kpi_alert_level_name(alert.level));
    }
}

static void test_clears_at_half_the_band_in_every_mode(void **state)
{
    static const struct {
        enum mode mode;
        double fires, stays, clears;
    } cases[] = {
        {RELATIVE, 0.584, 0.6175, 0.6176},   {POINTS, 0.549, 0.6, 0.6001},
        {MULTIPLE, 3.5, 3.75, 3.751},        {MONEY, 120000, 110000, 109999.99},
        {MONEY, 80000, 90000, 90000.01},     {DURATION, 420, 450, 450.001},
        {COMPLAINTS, 115, 107.5, 107},       {REWARD, 5.01, 4.5, 4.49},
        {INTERACTION, 2000, 1414.3, 1414.2}, {SHARE, 0.9, 0.9486, 0.9487},
        {SHARE, 1.112, 1.0541, 1.054},       {BUYERS, 600, 734.8, 734.9},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct kpi_target target = target_of(cases[i].mode);
        struct kpi_alert alert = fired(&target, cases[i].fires);

        assert_int_equal(look(&alert, &target, cases[i].stays, T0 + 1), KPI_TRANSITION_NONE);
        assert_int_equal(look(&alert, &target, cases[i].clears, T0 + 2), KPI_TRANSITION_RESOLVED);
    }
}

static void test_edges_are_one_band_off(void **state)
{
    for (int mode = RELATIVE; mode <= BUYERS; mode++) {
        struct kpi_target target = target_of((enum mode)mode);
        const double edge = target.better == KPI_BETTER_DOWN ? target.band : -target.band;
        double low, high;

        assert_float_equal(kpi_target_distance(&target, target.value + edge), 1, 1e-9);
        kpi_target_edges(&target, &low, &high);
        target.better = KPI_BETTER_BAND;
        assert_true(low < target.value && target.value < high);
        assert_float_equal(kpi_target_distance(&target, low), 1, 1e-9);
        assert_float_equal(kpi_target_distance(&target, high), 1, 1e-9);
    }
}

static void test_no_band_around_nothing(void **state)
{
    static const struct {
        enum mode mode;
        double value;
        bool has_band;
    } cases[] = {
        {MULTIPLE, 0, true},      {MULTIPLE, -3, true}, {RELATIVE, 0, false},
        {RELATIVE, -3, true},     {BUYERS, 0, false},   {BUYERS, -3, false},
        {INTERACTION, -3, false}, {SHARE, 0, false},    {MULTIPLE, NAN, false},
        {SHARE, INFINITY, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kpi_target target = target_of(cases[i].mode);

        assert_int_equal(kpi_target_set(&target, cases[i].value), cases[i].has_band);
        assert_int_equal(isnan(target.band), !cases[i].has_band);
        assert_int_equal(isnan(target.value), !cases[i].has_band);
    }
}

static void test_distance_counts_the_bad_side(void **state)
{
    struct kpi_target target = target_65();

    assert_float_equal(kpi_target_distance(&target, 0.45), 2, 1e-9);
    assert_float_equal(kpi_target_distance(&target, 0.85), 0, 0);
    target.better = KPI_BETTER_DOWN;
    assert_float_equal(kpi_target_distance(&target, 0.45), 0, 0);
    assert_float_equal(kpi_target_distance(&target, 0.85), 2, 1e-9);
    target.better = KPI_BETTER_BAND;
    assert_float_equal(kpi_target_distance(&target, 0.45), 2, 1e-9);
    assert_float_equal(kpi_target_distance(&target, 0.85), 2, 1e-9);
    assert_true(isnan(kpi_target_distance(&target, NAN)));
    assert_true(isnan(kpi_target_distance(&target, INFINITY)));
}

static void test_levels_by_distance(void **state)
{
    const struct kpi_target target = target_65();
    static const struct {
        double value;
        enum kpi_alert_level level;
    } cases[] = {
        {0.55, KPI_LEVEL_GENERAL}, {0.46, KPI_LEVEL_GENERAL},  {0.45, KPI_LEVEL_SERIOUS},
        {0.36, KPI_LEVEL_SERIOUS}, {0.35, KPI_LEVEL_CRITICAL}, {0, KPI_LEVEL_CRITICAL},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kpi_alert alert = fresh();

        assert_int_equal(look(&alert, &target, cases[i].value, T0), KPI_TRANSITION_FIRING);
        assert_int_equal(alert.level, cases[i].level);
    }
}

static void test_fires_after_hold(void **state)
{
    struct kpi_target target = target_65();
    struct kpi_alert alert = fresh();

    target.hold = 5 * KPI_MINUTE;
    assert_int_equal(look(&alert, &target, 0.5, T0), KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_PENDING);
    assert_int_equal(alert.deviating_since, T0);
    assert_int_equal(look(&alert, &target, 0.5, T0 + 5 * KPI_MINUTE - 1), KPI_TRANSITION_NONE);
    assert_int_equal(look(&alert, &target, 0.44, T0 + 5 * KPI_MINUTE), KPI_TRANSITION_FIRING);
    assert_int_equal(alert.status, KPI_ALERT_FIRING);
    assert_int_equal(alert.level, KPI_LEVEL_SERIOUS);
    assert_int_equal(alert.deviating_since, T0);
    assert_int_equal(alert.since, T0 + 5 * KPI_MINUTE);
    assert_int_equal(alert.sequence, 1);
    assert_int_equal(alert.firing_sequence, 1);
}

/* A deviation must be seen throughout `hold`: whatever interrupts it starts the clock anew. */
static void test_pending_is_forgotten(void **state)
{
    struct kpi_target target = target_65();
    struct kpi_observation interruptions[6];
    static const enum kpi_alert_status shown[] = {KPI_ALERT_OK,      KPI_ALERT_STALE,
                                                  KPI_ALERT_NO_DATA, KPI_ALERT_UNDEFINED,
                                                  KPI_ALERT_NO_DATA, KPI_ALERT_OK};
    size_t i;

    for (i = 0; i < 6; i++)
        interruptions[i] = seen(0.5);
    interruptions[0] = seen(0.57);
    interruptions[1].stale = true;
    interruptions[2].value.state = KPI_VALUE_NO_DATA;
    interruptions[3].value.state = KPI_VALUE_UNDEFINED;
    interruptions[4].value.complete = 0;
    interruptions[5].value.denominator.real = 99;

    target.hold = KPI_MINUTE;
    for (i = 0; i < 6; i++) {
        struct kpi_alert alert = fresh();

        look(&alert, &target, 0.5, T0);
        assert_int_equal(alert.status, KPI_ALERT_PENDING);
        assert_int_equal(kpi_alert_step(&alert, &target, &interruptions[i], T0 + 59 * KPI_SECOND),
                         KPI_TRANSITION_NONE);
        assert_int_equal(alert.status, shown[i]);
        assert_true(alert.deviating_since == KPI_TIME_NONE);
        assert_int_equal(alert.since, T0 + 59 * KPI_SECOND);
        assert_int_equal(look(&alert, &target, 0.5, T0 + 60 * KPI_SECOND), KPI_TRANSITION_NONE);
        assert_int_equal(look(&alert, &target, 0.5, T0 + 119 * KPI_SECOND), KPI_TRANSITION_NONE);
        assert_int_equal(look(&alert, &target, 0.5, T0 + 120 * KPI_SECOND), KPI_TRANSITION_FIRING);
    }
}

static void test_level_rises_but_does_not_fall(void **state)
{
    const struct kpi_target target = target_65();
    struct kpi_alert alert = fired(&target, 0.5);

    assert_int_equal(look(&alert, &target, 0.42, T0 + 1), KPI_TRANSITION_FIRING);
    assert_int_equal(alert.level, KPI_LEVEL_SERIOUS);
    assert_int_equal(alert.sequence, 2);
    assert_int_equal(alert.firing_sequence, 1);
    assert_int_equal(alert.since, T0);
    assert_int_equal(alert.deviating_since, T0);
    assert_int_equal(look(&alert, &target, 0.5, T0 + 2), KPI_TRANSITION_NONE);
    assert_int_equal(alert.level, KPI_LEVEL_SERIOUS);
    assert_int_equal(look(&alert, &target, 0.42, T0 + 3), KPI_TRANSITION_NONE);
    assert_int_equal(look(&alert, &target, 0.1, T0 + 4), KPI_TRANSITION_FIRING);
    assert_int_equal(alert.level, KPI_LEVEL_CRITICAL);
    assert_int_equal(alert.sequence, 3);
}

static void test_clears_below_half_the_band(void **state)
{
    const struct kpi_target target = target_65();
    struct kpi_alert alert = fired(&target, 0.5);

    assert_int_equal(look(&alert, &target, 0.56, T0 + 1), KPI_TRANSITION_NONE);
    assert_int_equal(look(&alert, &target, 0.60, T0 + 2), KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_FIRING);
    assert_int_equal(look(&alert, &target, 0.601, T0 + 3), KPI_TRANSITION_RESOLVED);
    assert_int_equal(alert.status, KPI_ALERT_OK);
    assert_int_equal(alert.level, KPI_LEVEL_NONE);
    assert_int_equal(alert.sequence, 2);
    assert_int_equal(alert.since, T0 + 3);
    assert_true(alert.deviating_since == KPI_TIME_NONE);
    assert_int_equal(look(&alert, &target, 0.5, T0 + 4), KPI_TRANSITION_FIRING);
    assert_int_equal(alert.sequence, 3);
    assert_int_equal(alert.firing_sequence, 3);
}

static void test_firing_survives_what_is_inconclusive(void **state)
{
    const struct kpi_target target = target_65();
    struct kpi_observation observations[7];
    size_t i;

    for (i = 0; i < 7; i++)
        observations[i] = seen(0.65);
    observations[0].stale = true;
    observations[1].value.state = KPI_VALUE_NO_DATA;
    observations[2].value.state = KPI_VALUE_UNDEFINED;
    observations[3].value.complete = 0;
    observations[4].value.denominator.real = 99;
    observations[5].value.value = NAN;
    observations[6].value.counts_from = T0;

    for (i = 0; i < 7; i++) {
        struct kpi_alert alert = fired(&target, 0.5);

        assert_int_equal(kpi_alert_step(&alert, &target, &observations[i], T0 + KPI_DAY),
                         KPI_TRANSITION_NONE);
        assert_int_equal(alert.status, KPI_ALERT_FIRING);
        assert_int_equal(alert.since, T0);
    }
}

static void test_a_value_that_began_late_does_not_fire(void **state)
{
    const struct kpi_target target = target_65();
    struct kpi_observation observation = seen(0.1);
    struct kpi_alert alert = fresh();

    observation.value.counts_from = T0 - KPI_DAY;
    assert_int_equal(kpi_alert_step(&alert, &target, &observation, T0), KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_STALE);
}

static void test_sample_is_denominator_or_else_numerator(void **state)
{
    const struct kpi_target target = target_65();
    struct kpi_observation observation = seen(0.1);
    struct kpi_alert alert = fresh();

    observation.value.denominator.real = 99;
    assert_int_equal(kpi_alert_step(&alert, &target, &observation, T0), KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_OK);
    observation.value.denominator = (struct kpi_number){.kind = KPI_NUMBER_NONE};
    observation.value.numerator.real = 99;
    assert_int_equal(kpi_alert_step(&alert, &target, &observation, T0), KPI_TRANSITION_NONE);
    observation.value.numerator.real = 100;
    assert_int_equal(kpi_alert_step(&alert, &target, &observation, T0), KPI_TRANSITION_FIRING);
}

static void test_judged_only_in_its_time(void **state)
{
    struct kpi_target target = target_65();
    struct kpi_observation observation = seen(0.1);
    struct kpi_alert alert = fresh();

    target.from = T0;
    target.to = T0 + KPI_HOUR;
    assert_int_equal(look(&alert, &target, 0.1, T0 - 1), KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_OK);
    assert_int_equal(look(&alert, &target, 0.1, T0), KPI_TRANSITION_FIRING);
    assert_int_equal(look(&alert, &target, 0.1, T0 + KPI_HOUR - 1), KPI_TRANSITION_NONE);
    observation.stale = true; /* that its time is over is known without data */
    assert_int_equal(kpi_alert_step(&alert, &target, &observation, T0 + KPI_HOUR),
                     KPI_TRANSITION_RESOLVED);
    assert_int_equal(look(&alert, &target, 0.1, T0 + KPI_DAY), KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_OK);
    assert_int_equal(alert.sequence, 2);
}

/* A target that is there again needs all of its patience again, and no id twice. */
static void test_what_is_removed_ends(void **state)
{
    struct kpi_target target = target_65();
    struct kpi_alert alert = fired(&target, 0.5);

    assert_int_equal(kpi_alert_end(&alert, T0 + 1), KPI_TRANSITION_RESOLVED);
    assert_int_equal(alert.status, KPI_ALERT_OK);
    assert_int_equal(alert.sequence, 2);
    assert_int_equal(kpi_alert_end(&alert, T0 + 2), KPI_TRANSITION_NONE);
    assert_int_equal(alert.since, T0 + 1);
    target.hold = KPI_MINUTE;
    assert_int_equal(look(&alert, &target, 0.5, T0 + 3), KPI_TRANSITION_NONE);
    assert_int_equal(alert.status, KPI_ALERT_PENDING);
    assert_int_equal(kpi_alert_end(&alert, T0 + 4), KPI_TRANSITION_NONE);
    assert_int_equal(look(&alert, &target, 0.5, T0 + KPI_HOUR), KPI_TRANSITION_NONE);
    assert_int_equal(look(&alert, &target, 0.5, T0 + KPI_HOUR + KPI_MINUTE), KPI_TRANSITION_FIRING);
    assert_int_equal(alert.sequence, 3);
}

static void test_clock_set_back_restarts_hold(void **state)
{
    struct kpi_target target = target_65();
    struct kpi_alert alert = fresh();

    target.hold = KPI_MINUTE;
    look(&alert, &target, 0.5, T0);
    assert_int_equal(look(&alert, &target, 0.5, T0 - KPI_DAY), KPI_TRANSITION_NONE);
    assert_int_equal(look(&alert, &target, 0.5, T0 - KPI_DAY + KPI_MINUTE), KPI_TRANSITION_FIRING);
}

static void test_names(void **state)
{
    static const char *const statuses[] = {"ok",      "pending", "firing",
                                           "no_data", "stale",   "undefined"};
    static const char *const levels[] = {"none", "general", "serious", "critical"};
    int i;

    for (i = KPI_ALERT_OK; i <= KPI_ALERT_UNDEFINED; i++)
        assert_string_equal(kpi_alert_status_name((enum kpi_alert_status)i), statuses[i]);
    for (i = KPI_LEVEL_NONE; i <= KPI_LEVEL_CRITICAL; i++)
        assert_string_equal(kpi_alert_level_name((enum kpi_alert_level)i), levels[i]);
}

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static struct kpi_observation random_observation(uint64_t *seed)
{
    struct kpi_observation observation = seen((double)(next(seed) % 1000) / 1000);

    switch (next(seed) % 10) {
    case 0:
        observation.stale = true;
        break;
    case 1:
        observation.value.state = KPI_VALUE_NO_DATA;
        break;
    case 2:
        observation.value.state = KPI_VALUE_UNDEFINED;
        break;
    case 3:
        observation.value.complete = 0;
        break;
    case 4:
        observation.value.denominator.real = 5;
        break;
    default:
        break;
    }
    return observation;
}

/* What holds of every step, whatever came before. */
static void check_step(const struct kpi_alert *before, const struct kpi_alert *after,
                       enum kpi_transition transition, const struct kpi_target *target,
                       const struct kpi_observation *observation, kpi_time now)
{
    const bool judged = !observation->stale && observation->value.state == KPI_VALUE_OK &&
                        observation->value.complete > 0 &&
                        observation->value.denominator.real >= 100;
    const bool in_time = now < target->to;

    assert_int_equal(after->sequence, before->sequence + (transition != KPI_TRANSITION_NONE));
    if (transition == KPI_TRANSITION_FIRING) {
        assert_true(judged && in_time);
        assert_int_equal(after->status, KPI_ALERT_FIRING);
        assert_true(after->level > before->level || before->status != KPI_ALERT_FIRING);
        assert_true(now - after->deviating_since >= target->hold);
    }
    if (transition == KPI_TRANSITION_RESOLVED) {
        assert_true(judged || !in_time);
        assert_int_equal(before->status, KPI_ALERT_FIRING);
        assert_int_equal(after->status, KPI_ALERT_OK);
    }
    if (transition == KPI_TRANSITION_NONE)
        assert_int_equal(before->status == KPI_ALERT_FIRING, after->status == KPI_ALERT_FIRING);
    assert_int_equal(after->level != KPI_LEVEL_NONE, after->status == KPI_ALERT_FIRING);
    assert_int_equal(after->deviating_since != KPI_TIME_NONE,
                     after->status == KPI_ALERT_FIRING || after->status == KPI_ALERT_PENDING);
}

static void test_random_walk(void **state)
{
    struct kpi_target target = target_65();
    unsigned n_fired = 0, n_resolved = 0;
    uint64_t seed;
    int i;

    target.hold = 2 * KPI_SECOND;
    for (seed = 1; seed <= 50; seed++) {
        uint64_t bits = seed * 0x9e3779b97f4a7c15u;
        struct kpi_alert alert = fresh();
        kpi_time now = T0;

        target.to = T0 + 900 * KPI_SECOND;
        for (i = 0; i < 1000; i++) {
            const struct kpi_observation observation = random_observation(&bits);
            const struct kpi_alert before = alert;
            enum kpi_transition transition;

            transition = kpi_alert_step(&alert, &target, &observation, now);
            check_step(&before, &alert, transition, &target, &observation, now);
            n_fired += transition == KPI_TRANSITION_FIRING;
            n_resolved += transition == KPI_TRANSITION_RESOLVED;
            now += (kpi_time)(next(&bits) % (3 * KPI_SECOND));
        }
        assert_int_not_equal(alert.status, KPI_ALERT_FIRING); /* its time is over */
    }
    assert_true(n_fired > 500 && n_resolved > 500); /* the walk goes somewhere */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acceptance_numbers),
        cmocka_unit_test(test_levels_in_every_mode),
        cmocka_unit_test(test_clears_at_half_the_band_in_every_mode),
        cmocka_unit_test(test_edges_are_one_band_off),
        cmocka_unit_test(test_no_band_around_nothing),
        cmocka_unit_test(test_distance_counts_the_bad_side),
        cmocka_unit_test(test_levels_by_distance),
        cmocka_unit_test(test_fires_after_hold),
        cmocka_unit_test(test_pending_is_forgotten),
        cmocka_unit_test(test_level_rises_but_does_not_fall),
        cmocka_unit_test(test_clears_below_half_the_band),
        cmocka_unit_test(test_firing_survives_what_is_inconclusive),
        cmocka_unit_test(test_a_value_that_began_late_does_not_fire),
        cmocka_unit_test(test_sample_is_denominator_or_else_numerator),
        cmocka_unit_test(test_judged_only_in_its_time),
        cmocka_unit_test(test_what_is_removed_ends),
        cmocka_unit_test(test_clock_set_back_restarts_hold),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_random_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
