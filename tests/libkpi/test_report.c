/*
 * Claims about values: hand-worked KPIs, which side of a formula is which, exactness of counts and
 * money, the states, and how complete a value is.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <kpi/report.h>
#include <math.h>

#define MIDDLE   ((DAY_2026_11_01 + 15) * KPI_DAY) /* half of November is over */
#define ROWS_MAX 4096

static struct fixture f;
static struct kpi_plan *plan;
static struct kpi_layout *layout;
static struct kpi_row rows[ROWS_MAX];

static int setup(void **state)
{
    fixture_init(&f);
    memset(rows, 0, sizeof(rows));
    fixture_kpis_of_the_product(&f);
    return 0;
}

static int teardown(void **state)
{
    layout = kpi_layout_unref(layout);
    plan = kpi_plan_unref(plan);
    return f.mem.bytes == 0 ? 0 : -1;
}

/* Compiles with a KPI for each measure alone, so that rows can be found by name. */
static void make(void)
{
    uint32_t n = f.in.n_measures;

    for (uint32_t i = 0; i < n; ++i) {
        f.kpis[f.in.n_kpis++] = (struct kpi_kpi_definition){
            .name = f.measures[i].name, .formula = f.measures[i].name, .unit = KPI_UNIT_COUNT};
    }
    if (f.in.n_campaigns == 0)
        (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_int_equal(kpi_layout_new(&layout, plan, MIDDLE, &f.mem.mem), 0);
    assert_true(kpi_layout_n_rows(layout) <= COUNT_OF(rows));
}

static uint32_t kpi_index(const char *name)
{
    for (uint32_t i = kpi_plan_n_kpis(plan); i-- > 0;) {
        if (kpi_string_equal(kpi_plan_kpi(plan, i)->name, (struct kpi_string){name, strlen(name)}))
            return i;
    }
    fail_msg("no KPI %s", name);
    return 0;
}

/* The row of a measure in scope 0: the one that its own KPI sees. */
static struct kpi_row *row_of(const char *measure)
{
    uint32_t kpi = kpi_index(measure);

    for (uint32_t i = 0; i < kpi_layout_scope_rows(layout, 0); ++i) {
        struct kpi_row probe[ROWS_MAX] = {{0, 0}};
        struct kpi_value value;

        probe[i] = (struct kpi_row){1, 1};
        kpi_report_value(layout, probe, 0, kpi, 0, &value);
        if (value.state == KPI_VALUE_OK && value.numerator.value == 1)
            return &rows[i];
    }
    fail_msg("no row of %s", measure);
    return NULL;
}

/* The row of a measure that is a mean: alone it has no value to be found by. */
static struct kpi_row *row_of_sum(const char *measure)
{
    uint32_t kpi = kpi_index(measure);

    for (uint32_t i = 0; i < kpi_layout_scope_rows(layout, 0); ++i) {
        struct kpi_row probe[ROWS_MAX] = {{0, 0}};
        struct kpi_value value;

        probe[i] = (struct kpi_row){KPI_DECIMAL_ONE, 1};
        kpi_report_value(layout, probe, 0, kpi, 0, &value);
        if (value.state == KPI_VALUE_OK && value.value == 1)
            return &rows[i];
    }
    fail_msg("no row of %s", measure);
    return NULL;
}

static void put(const char *measure, int64_t value)
{
    *row_of(measure) = (struct kpi_row){value, value != 0 ? 1 : 0};
}

static struct kpi_value value_at(const char *kpi, kpi_time as_of)
{
    struct kpi_value value;
    uint64_t n_calls = f.mem.n_calls;

    kpi_report_value(layout, rows, 0, kpi_index(kpi), as_of, &value);
    assert_int_equal(f.mem.n_calls, n_calls); /* allocates nothing */
    assert_true(isfinite(value.value) && isfinite(value.numerator.real));
    assert_true(isfinite(value.denominator.real) && isfinite(value.complete));
    return value;
}

static struct kpi_value value_of(const char *kpi)
{
    return value_at(kpi, MIDDLE);
}

/* Quotients of small integers are the nearest double: equal, not just near. */
static void hand_worked_kpis(void **state)
{
    struct kpi_value value;

    make();
    put("reached", 200);
    put("participants", 130);
    put("buyers", 40);
    put("repeat_buyers", 10);
    put("purchases", INT64_C(1000100000));
    put("refunds", INT64_C(100000));
    put("cost", INT64_C(250000000));
    put("promoters", 45);
    put("detractors", 15);
    put("responses", 60);

    value = value_of("participation_rate");
    assert_int_equal(value.state, KPI_VALUE_OK);
    assert_true(value.value == 0.65);
    assert_int_equal(value.numerator.kind, KPI_NUMBER_COUNT);
    assert_int_equal(value.numerator.value, 130);
    assert_int_equal(value.denominator.kind, KPI_NUMBER_COUNT);
    assert_int_equal(value.denominator.value, 200);
    assert_true(value.complete == 0.5);

    value = value_of("repeat_purchase_rate");
    assert_true(value.value == 0.25);

    value = value_of("roi");
    assert_true(value.value == 4);
    assert_int_equal(value.numerator.kind, KPI_NUMBER_MONEY);
    assert_int_equal(value.numerator.value, INT64_C(1000000000));
    assert_true(value.numerator.real == 1000);
    assert_int_equal(value.denominator.kind, KPI_NUMBER_MONEY);
    assert_int_equal(value.denominator.value, INT64_C(250000000));

    value = value_of("nps");
    assert_true(value.value == 50);
    assert_int_equal(value.numerator.kind, KPI_NUMBER_COUNT);
    assert_int_equal(value.numerator.value, 3000);
    assert_int_equal(value.denominator.value, 60);

    put("promoters", 0);
    put("detractors", 60);
    assert_true(value_of("nps").value == -100);
}

static void sides_of_formulas(void **state)
{
    static const struct {
        const char *formula;
        double value;
        enum kpi_number_kind numerator_kind, denominator_kind;
        double numerator, denominator;
    } table[] = {
        /* buyers 40, repeat_buyers 10, purchases 1000, audience 200000, budget 500000 */
        {"buyers", 40, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, 40, 0},
        {"buyers + 1", 41, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, 41, 0},
        {"buyers - repeat_buyers", 30, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, 30, 0},
        {"-buyers", -40, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, -40, 0},
        {"buyers * repeat_buyers", 400, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, 400, 0},
        {"buyers * 0.5", 20, KPI_NUMBER_REAL, KPI_NUMBER_NONE, 20, 0},
        {"50% of buyers", 20, KPI_NUMBER_REAL, KPI_NUMBER_NONE, 20, 0},
        {"purchases", 1000, KPI_NUMBER_MONEY, KPI_NUMBER_NONE, 1000, 0},
        {"purchases * 2", 2000, KPI_NUMBER_MONEY, KPI_NUMBER_NONE, 2000, 0},
        {"2 * purchases", 2000, KPI_NUMBER_MONEY, KPI_NUMBER_NONE, 2000, 0},
        {"purchases + buyers", 1040, KPI_NUMBER_MONEY, KPI_NUMBER_NONE, 1040, 0},
        {"-purchases", -1000, KPI_NUMBER_MONEY, KPI_NUMBER_NONE, -1000, 0},
        {"purchases * purchases", 1e6, KPI_NUMBER_REAL, KPI_NUMBER_NONE, 1e6, 0},
        {"purchases / buyers", 25, KPI_NUMBER_MONEY, KPI_NUMBER_COUNT, 1000, 40},
        {"buyers / repeat_buyers / 2", 2, KPI_NUMBER_REAL, KPI_NUMBER_COUNT, 4, 2},
        {"buyers / repeat_buyers * 2", 8, KPI_NUMBER_COUNT, KPI_NUMBER_COUNT, 80, 10},
        {"buyers / (repeat_buyers / 2)", 8, KPI_NUMBER_COUNT, KPI_NUMBER_REAL, 40, 5},
        {"(buyers / repeat_buyers)", 4, KPI_NUMBER_COUNT, KPI_NUMBER_COUNT, 40, 10},
        {"1 + buyers / repeat_buyers", 5, KPI_NUMBER_REAL, KPI_NUMBER_NONE, 5, 0},
        {"-(buyers / repeat_buyers)", -4, KPI_NUMBER_REAL, KPI_NUMBER_NONE, -4, 0},
        {"buyers / audience", 40.0 / 200000, KPI_NUMBER_COUNT, KPI_NUMBER_COUNT, 40, 200000},
        {"purchases / budget", 0.002, KPI_NUMBER_MONEY, KPI_NUMBER_MONEY, 1000, 500000},
        {"audience / budget", 0.4, KPI_NUMBER_COUNT, KPI_NUMBER_MONEY, 200000, 500000},
        {"2 - 3 - 4", -5, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, -5, 0},
        {"2 - (3 - 4)", 3, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, 3, 0},
        {"sqrt(buyers * repeat_buyers) + 2", 22, KPI_NUMBER_REAL, KPI_NUMBER_NONE, 22, 0},
        {"repeat_buyers / sqrt(audience / 500)", 0.5, KPI_NUMBER_COUNT, KPI_NUMBER_REAL, 10, 20},
        {"2 + 3 * 4", 14, KPI_NUMBER_COUNT, KPI_NUMBER_NONE, 14, 0},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_value value;

        setup(NULL);
        fixture_kpi(&f, "x", table[i].formula, KPI_UNIT_COUNT);
        make();
        put("buyers", 40);
        put("repeat_buyers", 10);
        put("purchases", 1000 * KPI_DECIMAL_ONE);
        value = value_of("x");
        if (value.state != KPI_VALUE_OK || value.value != table[i].value ||
            value.numerator.kind != table[i].numerator_kind ||
            value.numerator.real != table[i].numerator ||
            value.denominator.kind != table[i].denominator_kind ||
            value.denominator.real != table[i].denominator)
            fail_msg("%s: state %d, %g = %g (%d) / %g (%d)", table[i].formula, value.state,
                     value.value, value.numerator.real, value.numerator.kind,
                     value.denominator.real, value.denominator.kind);
        assert_int_equal(teardown(NULL), 0);
    }
}

/* What is compared with: growth() has its sides, and is undefined over nothing or zero. */
static void growth_over_a_base(void **state)
{
    struct kpi_value value;

    fixture_kpi(&f, "was", "previous(purchases)", KPI_UNIT_MONEY);
    fixture_kpi(&f, "gain", "growth(purchases, previous(purchases))", KPI_UNIT_RATIO);
    fixture_kpi(&f, "half", "growth(purchases, was) / 2", KPI_UNIT_RATIO);
    make();
    put("purchases", 150 * KPI_DECIMAL_ONE);
    assert_int_equal(value_of("gain").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("gain").reason, KPI_REASON_NO_BASE);
    assert_int_equal(value_of("half").reason, KPI_REASON_NO_BASE);
    *row_of("was") = (struct kpi_row){0, 3};
    assert_int_equal(value_of("gain").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("gain").reason, KPI_REASON_DIVISION_BY_ZERO);
    assert_int_equal(value_of("half").reason, KPI_REASON_DIVISION_BY_ZERO);
    put("was", -100 * KPI_DECIMAL_ONE);
    value = value_of("gain");
    assert_int_equal(value.state, KPI_VALUE_OK);
    assert_int_equal(value.reason, KPI_REASON_NONE);
    assert_true(value.value == 2.5);
    assert_int_equal(value.numerator.value, 250 * KPI_DECIMAL_ONE);
    assert_int_equal(value.denominator.value, 100 * KPI_DECIMAL_ONE);
    assert_true(value_of("half").value == 1.25);
    put("purchases", 0); /* nothing now: no data, whatever there was */
    assert_int_equal(value_of("gain").state, KPI_VALUE_NO_DATA);
}

static void trailing_periods_without_events_are_passed_over(void **state)
{
    fixture_kpi(&f, "was1", "previous(buyers)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "was2", "previous(buyers, 2)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "was4", "previous(buyers, 4)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "mean", "trailing_mean(buyers, 4)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "median", "trailing_median(buyers, 4)", KPI_UNIT_COUNT);
    make();
    assert_int_equal(value_of("mean").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("median").state, KPI_VALUE_UNDEFINED);
    put("was1", 10);
    put("was2", 4);
    assert_true(value_of("mean").value == 7);
    assert_true(value_of("median").value == 7);
    put("was4", 1);
    assert_true(value_of("mean").value == 5);
    assert_true(value_of("median").value == 4);
    put("was4", INT64_MAX); /* there, but not to be said: not passed over */
    assert_int_equal(value_of("mean").reason, KPI_REASON_OVERFLOW);
    assert_int_equal(value_of("median").reason, KPI_REASON_OVERFLOW);
}

static void falls_in_a_row_up_to_the_period_before(void **state)
{
    fixture_kpi(&f, "was1", "previous(buyers)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "was2", "previous(buyers, 2)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "was3", "previous(buyers, 3)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "was4", "previous(buyers, 4)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "falls", "falling(buyers, 3)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "twice", "2 * falling(buyers, 2)", KPI_UNIT_COUNT);
    make();
    assert_int_equal(value_of("falls").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("falls").reason, KPI_REASON_NO_BASE);
    put("was2", 20); /* nothing is known of the last one */
    assert_int_equal(value_of("falls").reason, KPI_REASON_NO_BASE);
    put("was1", 10);
    assert_true(value_of("falls").value == 1);
    assert_int_equal(value_of("falls").state, KPI_VALUE_OK);
    assert_int_equal(value_of("falls").numerator.kind, KPI_NUMBER_COUNT);
    put("was4", 40); /* one before the gap */
    assert_true(value_of("falls").value == 1);
    put("was3", 30);
    assert_true(value_of("falls").value == 3);
    assert_true(value_of("twice").value == 4);
    put("buyers", 50); /* the present one is not over */
    assert_true(value_of("falls").value == 3);
    put("was4", 30); /* as much as after it: no fall */
    assert_true(value_of("falls").value == 2);
    put("was3", INT64_MAX);
    assert_int_equal(value_of("falls").reason, KPI_REASON_OVERFLOW);
    put("was1", 20); /* what cannot be said is behind the end of the row */
    assert_true(value_of("falls").value == 0);
}

/* A KPI in a formula stands for its own, with its sides if it is all of it. */
static void formulas_of_kpis(void **state)
{
    struct kpi_value value;

    fixture_kpi(&f, "again", "participation_rate", KPI_UNIT_RATIO);
    fixture_kpi(&f, "apart", "1 - again", KPI_UNIT_RATIO);
    make();
    put("participants", 3);
    put("reached", 4);
    value = value_of("again");
    assert_true(value.value == 0.75);
    assert_int_equal(value.numerator.value, 3);
    assert_int_equal(value.denominator.value, 4);
    assert_true(value_of("apart").value == 0.25);
}

static void days_of_the_scope(void **state)
{
    fixture_kpi(&f, "daily", "buyers / days", KPI_UNIT_COUNT);
    make(); /* November */
    put("buyers", 60);
    assert_true(value_of("daily").value == 2);
    assert_int_equal(value_of("daily").denominator.value, 30);
}

static void sums_are_exact_where_doubles_are_not(void **state)
{
    struct kpi_value value;

    fixture_kpi(&f, "net", "purchases - refunds", KPI_UNIT_MONEY);
    fixture_kpi(&f, "twice", "2 * reached", KPI_UNIT_COUNT);
    make();
    put("purchases", INT64_C(9007199254740993)); /* 2^53 + 1 */
    put("refunds", 1);
    put("reached", INT64_C(4503599627370497) * 2 + 1);
    value = value_of("net");
    assert_int_equal(value.numerator.value, INT64_C(9007199254740992));
    value = value_of("twice");
    assert_int_equal(value.numerator.value, INT64_C(18014398509481990));
}

static void nothing_seen_is_no_data(void **state)
{
    struct kpi_value value;

    fixture_kpi(&f, "constant", "audience / budget", KPI_UNIT_RATIO);
    make();
    value = value_of("participation_rate");
    assert_int_equal(value.state, KPI_VALUE_NO_DATA);
    assert_true(value.value == 0);
    value = value_of("buyers");
    assert_int_equal(value.state, KPI_VALUE_NO_DATA);
    assert_int_equal(value_of("constant").state, KPI_VALUE_OK);
    put("reached", 5); /* one leaf is enough */
    value = value_of("participation_rate");
    assert_int_equal(value.state, KPI_VALUE_OK);
    assert_true(value.value == 0);
    assert_int_equal(value_of("buyers").state, KPI_VALUE_NO_DATA);
}

static void events_without_users_are_data(void **state)
{
    make();
    *row_of("responses") = (struct kpi_row){10, 10};
    *row_of("promoters") = (struct kpi_row){0, 10}; /* answered, and nobody promotes */
    *row_of("detractors") = (struct kpi_row){0, 10};
    assert_int_equal(value_of("promoters").state, KPI_VALUE_OK);
    assert_true(value_of("nps").value == 0);
}

static void what_cannot_be_reckoned_is_undefined(void **state)
{
    struct kpi_value value;

    fixture_kpi(&f, "twice", "2 * reached", KPI_UNIT_COUNT);
    fixture_kpi(&f, "square", "purchases * purchases * purchases * purchases", KPI_UNIT_COUNT);
    fixture_kpi(&f, "sum", "reached + reached", KPI_UNIT_COUNT);
    fixture_kpi(&f, "mixed", "reached + purchases", KPI_UNIT_COUNT);
    fixture_kpi(&f, "inner", "1 + reached / buyers", KPI_UNIT_COUNT);
    make();
    put("participants", 5);
    value = value_of("participation_rate"); /* 5 / 0 */
    assert_int_equal(value.state, KPI_VALUE_UNDEFINED);
    assert_true(value.value == 0);
    assert_int_equal(value.numerator.value, 5);
    assert_int_equal(value.denominator.value, 0);
    assert_int_equal(value.denominator.kind, KPI_NUMBER_COUNT);

    put("reached", INT64_MAX - 1);
    put("purchases", 1);
    assert_int_equal(value_of("reached").state, KPI_VALUE_OK);
    assert_int_equal(value_of("twice").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("sum").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("mixed").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("inner").state, KPI_VALUE_UNDEFINED);
    put("purchases", INT64_MIN);
    assert_int_equal(value_of("square").state, KPI_VALUE_OK); /* reals reach far */
}

static void a_row_that_overflowed_is_undefined(void **state)
{
    make();
    put("participants", 5);
    put("reached", INT64_MAX);
    assert_int_equal(value_of("reached").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("reached").reason, KPI_REASON_OVERFLOW);
    assert_int_equal(value_of("reached").numerator.kind, KPI_NUMBER_NONE);
    assert_int_equal(value_of("participation_rate").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("participation_rate").reason, KPI_REASON_OVERFLOW);
    assert_int_equal(value_of("participants").state, KPI_VALUE_OK);
}

static void a_campaign_without_parameter_is_undefined(void **state)
{
    struct kpi_campaign_definition *campaign = fixture_campaign(&f, "a", 0);

    campaign->audience = campaign->budget = KPI_TIME_NONE;
    campaign->budget_parts = (struct kpi_budget_part_definition[]){
        {TEXT("base"), 20 * KPI_DECIMAL_ONE}, {TEXT("float"), 0}};
    campaign->n_budget_parts = 2;
    fixture_kpi(&f, "of_base", "cost / budget(\"base\")", KPI_UNIT_RATIO);
    fixture_kpi(&f, "of_float", "cost / budget(\"float\")", KPI_UNIT_RATIO);
    fixture_kpi(&f, "of_another", "cost / budget(\"bas\")", KPI_UNIT_RATIO);
    fixture_kpi(&f, "of_audience", "buyers / audience", KPI_UNIT_RATIO);
    fixture_kpi(&f, "of_budget", "cost / budget", KPI_UNIT_RATIO);
    make();
    put("buyers", 5);
    put("cost", 5 * KPI_DECIMAL_ONE);
    assert_int_equal(value_of("of_audience").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("of_audience").reason, KPI_REASON_NO_PARAMETER);
    assert_int_equal(value_of("of_budget").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("of_another").reason, KPI_REASON_NO_PARAMETER);
    assert_int_equal(value_of("of_float").reason, KPI_REASON_DIVISION_BY_ZERO);
    assert_true(value_of("of_base").value == 0.25);
    assert_int_equal(value_of("of_base").denominator.kind, KPI_NUMBER_MONEY);
}

/* The rows of the only retained() leaf: found by what they do to the value. */
static struct kpi_row *retained_rows(void)
{
    for (uint32_t i = 0; i + 3 <= kpi_layout_scope_rows(layout, 0); ++i) {
        struct kpi_row probe[ROWS_MAX] = {{0, 0}};
        struct kpi_value value;

        probe[i] = (struct kpi_row){3, 1};
        probe[i + 1] = (struct kpi_row){4, 1};
        probe[i + 2] = (struct kpi_row){5, 1};
        kpi_report_value(layout, probe, 0, kpi_index("retention_d1"), 0, &value);
        if (value.state == KPI_VALUE_OK && value.numerator.value == 3 &&
            value.denominator.value == 4)
            return &rows[i];
    }
    fail_msg("no rows of retained()");
    return NULL;
}

static void retention(void **state)
{
    struct kpi_row *row;
    struct kpi_value value;

    fixture_kpi(&f, "percent", "100 * retained(participants, active, day, 1)", KPI_UNIT_POINTS);
    fixture_kpi(&f, "mixed", "retained(participants, active, day, 1) * buyers", KPI_UNIT_COUNT);
    make();
    row = retained_rows();
    value = value_of("retention_d1");
    assert_int_equal(value.state, KPI_VALUE_NO_DATA);
    assert_true(value.complete == 0);

    row[2] = (struct kpi_row){80, 80}; /* started, and nothing is mature */
    value = value_of("retention_d1");
    assert_int_equal(value.state, KPI_VALUE_NO_DATA);
    assert_true(value.complete == 0);
    put("buyers", 3);
    assert_int_equal(value_of("mixed").state, KPI_VALUE_NO_DATA);

    row[1] = (struct kpi_row){60, 60}; /* mature, and nobody came back */
    value = value_of("retention_d1");
    assert_int_equal(value.state, KPI_VALUE_OK);
    assert_true(value.value == 0);
    assert_true(value.complete == 0.75);

    row[0] = (struct kpi_row){15, 15};
    value = value_of("retention_d1");
    assert_true(value.value == 0.25);
    assert_int_equal(value.numerator.kind, KPI_NUMBER_COUNT);
    assert_int_equal(value.numerator.value, 15);
    assert_int_equal(value.denominator.value, 60);
    value = value_of("percent");
    assert_true(value.value == 25);
    assert_int_equal(value.denominator.kind, KPI_NUMBER_NONE);
    assert_true(value.complete == 0.75);
    row[1].value = INT64_MAX;
    assert_int_equal(value_of("retention_d1").state, KPI_VALUE_UNDEFINED);
    assert_int_equal(value_of("percent").state, KPI_VALUE_UNDEFINED);
}

static void completeness_is_the_share_that_has_passed(void **state)
{
    kpi_time start = DAY_2026_11_01 * KPI_DAY, end = start + 30 * KPI_DAY;

    make();
    assert_true(value_at("nps", start - 1).complete == 0);
    assert_true(value_at("nps", start).complete == 0);
    assert_true(value_at("nps", start + 3 * KPI_DAY).complete == 0.1);
    assert_true(value_at("nps", end).complete == 1);
    assert_true(value_at("nps", end + KPI_DAY).complete == 1);
    assert_true(value_at("nps", KPI_TIME_NONE).complete == 0);
}

static void each_scope_has_its_rows(void **state)
{
    uint32_t n = 0, scope = 0;
    struct kpi_value value;

    make();
    scope = kpi_layout_n_scopes(layout) - 1;
    n = kpi_layout_first_row(layout, scope);
    rows[n + (uint32_t)(row_of("buyers") - rows)] = (struct kpi_row){7, 7};
    kpi_report_value(layout, rows, scope, kpi_index("buyers"), MIDDLE, &value);
    assert_int_equal(value.numerator.value, 7);
    assert_int_equal(value_of("buyers").state, KPI_VALUE_NO_DATA);
}

static void definition_tells_scopes_zones_and_kpis_apart(void **state)
{
    uint64_t seen[8];
    struct kpi_value value;
    uint32_t n_scopes;
    unsigned n = 0;

    for (int i = 0; i < 3; ++i) {
        struct kpi_campaign_definition *campaign =
            fixture_campaign(&f, (const char *[]){"a", "b", "c"}[i], i == 2 ? 1 : 0);

        campaign->phases = f.phases;
        campaign->n_phases = 2;
    }
    f.phases[0] = (struct kpi_phase_definition){TEXT("x"), DAY_2026_11_01, DAY_2026_11_01 + 1};
    f.phases[1] = (struct kpi_phase_definition){TEXT("y"), DAY_2026_11_01 + 1, DAY_2026_11_01 + 2};
    make();
    n_scopes = kpi_layout_n_scopes(layout) / 3; /* Berlin's day began as UTC's did */
    for (uint32_t i = 0; i < 6; ++i) {          /* campaign, two phases, two rolling ones, a day */
        kpi_report_value(layout, rows, i, kpi_index("nps"), 0, &value);
        seen[n++] = value.definition;
    }
    kpi_report_value(layout, rows, 6, kpi_index("nps"), 0, &value);
    assert_int_equal(value.definition, seen[5]); /* each day is the same word */
    kpi_report_value(layout, rows, n_scopes, kpi_index("nps"), 0, &value);
    assert_int_equal(value.definition, seen[0]); /* another campaign, the same definition */
    kpi_report_value(layout, rows, 2 * n_scopes, kpi_index("nps"), 0, &value);
    seen[n++] = value.definition;
    kpi_report_value(layout, rows, 0, kpi_index("roi"), 0, &value);
    seen[n++] = value.definition;
    for (unsigned i = 0; i < n; ++i) {
        for (unsigned j = 0; j < i; ++j)
            assert_int_not_equal(seen[i], seen[j]);
    }
}

static void rows_add_up(void **state)
{
    static struct kpi_row other[COUNT_OF(rows)];

    make();
    memset(other, 0, sizeof(other));
    rows[0] = (struct kpi_row){1, 2};
    rows[1] = (struct kpi_row){-5, 1};
    other[0] = (struct kpi_row){10, 20};
    other[1] = (struct kpi_row){3, 1};
    other[kpi_layout_n_rows(layout) - 1] = (struct kpi_row){7, 1};
    assert_int_equal(kpi_rows_add(layout, rows, other), 0);
    assert_int_equal(rows[0].value, 11);
    assert_int_equal(rows[0].n_events, 22);
    assert_int_equal(rows[1].value, -2);
    assert_int_equal(rows[2].n_events, 0);
    assert_int_equal(rows[kpi_layout_n_rows(layout) - 1].value, 7);
}

/* No two shards have the same reading of a gauge: the later one counts, in any order. */
static void gauges_do_not_add_up(void **state)
{
    static const struct kpi_row readings[] = {{5, 100}, {9, 300}, {7, 300}, {0, 0}};
    static struct kpi_row part[COUNT_OF(rows)];

    for (unsigned first = 0; first < COUNT_OF(readings); ++first) {
        setup(NULL);
        fixture_kpi(&f, "index", "gauge(\"index\")", KPI_UNIT_COUNT);
        make();
        for (unsigned i = 0; i < COUNT_OF(readings); ++i) {
            memset(part, 0, sizeof(part));
            part[row_of("index") - rows] = readings[(first + i) % COUNT_OF(readings)];
            assert_int_equal(kpi_rows_add(layout, rows, part), 0);
        }
        assert_int_equal(value_of("index").numerator.value, 9);
        assert_int_equal(teardown(NULL), 0);
    }
}

/* What somebody must set is told as such; what events of the campaign will bring is no data. */
static void targets_say_that_a_gauge_is_missing(void **state)
{
    static const struct {
        const char *value;
        enum kpi_value_state state;
        enum kpi_reason reason;
    } table[] = {
        {"gauge('index')", KPI_VALUE_UNDEFINED, KPI_REASON_NO_GAUGE},
        {"0.8 * gauge('index')", KPI_VALUE_UNDEFINED, KPI_REASON_NO_GAUGE},
        {"10 / gauge('index')", KPI_VALUE_UNDEFINED, KPI_REASON_NO_GAUGE},
        {"buyers * gauge('index')", KPI_VALUE_UNDEFINED, KPI_REASON_NO_GAUGE},
        {"2 * roi", KPI_VALUE_NO_DATA, KPI_REASON_NONE},
        {"110% * previous(buyers)", KPI_VALUE_UNDEFINED, KPI_REASON_NO_BASE},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_value value;

        setup(NULL);
        fixture_kpi(&f, "index", "gauge(\"index\")", KPI_UNIT_COUNT);
        (void)fixture_campaign(&f, "a", 0);
        (void)fixture_target(&f, "buyers", table[i].value);
        make();
        kpi_report_target(layout, rows, 0, kpi_plan_target(plan, 0), MIDDLE, &value);
        assert_int_equal(value.state, table[i].state);
        assert_int_equal(value.reason, table[i].reason);
        /* of a KPI it is no data */
        assert_int_equal(value_of("index").state, KPI_VALUE_NO_DATA);
        *row_of("index") = (struct kpi_row){3 * KPI_DECIMAL_ONE, 1};
        if (i == 1) {
            kpi_report_target(layout, rows, 0, kpi_plan_target(plan, 0), MIDDLE, &value);
            assert_int_equal(value.state, KPI_VALUE_OK);
            assert_true(fabs(value.value - 2.4) < 1e-12);
        }
        assert_int_equal(teardown(NULL), 0);
    }
}

/* A mean has its sum above and its number below, and is a number inside of a formula. */
static void means_have_sides(void **state)
{
    struct kpi_value value;

    fixture_measure(&f, "dwell", "mean(duration)", "type == \"session\"");
    fixture_measure(&f, "csat", "latest_mean(score)", "type == \"survey\"");
    fixture_kpi(&f, "twice", "2 * dwell", KPI_UNIT_DURATION);
    make();
    *row_of_sum("dwell") = (struct kpi_row){90 * KPI_DECIMAL_ONE, 4};
    value = value_of("dwell");
    assert_true(value.value == 22.5);
    assert_int_equal(value.numerator.kind, KPI_NUMBER_MONEY);
    assert_int_equal(value.denominator.value, 4);
    assert_true(value_of("twice").value == 45);
    assert_int_equal(value_of("csat").state, KPI_VALUE_NO_DATA);
}

static void rows_that_overflow_stay_so(void **state)
{
    static const struct kpi_row parts[] = {{INT64_MAX - 1, 1}, {5, 1}, {-10, 1}};
    static const int orders[][3] = {{0, 1, 2}, {1, 0, 2}};

    static struct kpi_row part[COUNT_OF(rows)];

    make();
    for (size_t i = 0; i < COUNT_OF(orders); ++i) {
        int worst = 0;

        rows[0] = (struct kpi_row){0, 0};
        for (int j = 0; j < 3; ++j) {
            int r;

            part[0] = parts[orders[i][j]];
            r = kpi_rows_add(layout, rows, part);

            worst = r ? r : worst;
        }
        assert_int_equal(worst, ERANGE);
        assert_int_equal(rows[0].value, INT64_MAX);
        assert_int_equal(rows[0].n_events, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hand_worked_kpis, setup, teardown),
        cmocka_unit_test(sides_of_formulas),
        cmocka_unit_test_setup_teardown(growth_over_a_base, setup, teardown),
        cmocka_unit_test_setup_teardown(falls_in_a_row_up_to_the_period_before, setup, teardown),
        cmocka_unit_test_setup_teardown(trailing_periods_without_events_are_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(formulas_of_kpis, setup, teardown),
        cmocka_unit_test_setup_teardown(days_of_the_scope, setup, teardown),
        cmocka_unit_test_setup_teardown(sums_are_exact_where_doubles_are_not, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_seen_is_no_data, setup, teardown),
        cmocka_unit_test_setup_teardown(events_without_users_are_data, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_reckoned_is_undefined, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_that_overflowed_is_undefined, setup, teardown),
        cmocka_unit_test_setup_teardown(a_campaign_without_parameter_is_undefined, setup, teardown),
        cmocka_unit_test_setup_teardown(retention, setup, teardown),
        cmocka_unit_test_setup_teardown(completeness_is_the_share_that_has_passed, setup, teardown),
        cmocka_unit_test_setup_teardown(each_scope_has_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(definition_tells_scopes_zones_and_kpis_apart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rows_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_that_overflow_stay_so, setup, teardown),
        cmocka_unit_test(gauges_do_not_add_up),
        cmocka_unit_test(targets_say_that_a_gauge_is_missing),
        cmocka_unit_test_setup_teardown(means_have_sides, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
