/*
 * Claim: quantile(), median() and average() of formulas are those of the events, by nearest rank,
 * exactly up to 1,000 values and within 1 % above, and say which; for 1, 4 and 16 shards alike,
 * with and without a restart, also of times before; the digest knows them; a lost shard makes them
 * undefined; what cannot be said in a formula is refused where it stands.
 */
#include "counting_mem.h"
#include "engine_world.h"
#include "object_store.h"

#include <kpi/object.h>
#include <kpi/supplement.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>

enum {
    SHARDS_MAX = 16,
    N_MAX = 6000,
};

#define FIRST_DAY DAY_2026_10_25
#define NOON      (FIRST_DAY * KPI_DAY + 12 * KPI_HOUR)
#define NOW       ((FIRST_DAY + 3) * KPI_DAY + KPI_HOUR)

static struct fixture f;
static struct counting_mem counting;
static struct kpi_plan *plan;
static struct kpi_engine *engines[SHARDS_MAX];
static unsigned n_shards;
static uint64_t n_put;
static struct kpi_layout *layout;
static struct kpi_row *rows;

static void define(void)
{
    struct kpi_campaign_definition *campaign;

    fixture_init(&f);
    fixture_measure(&f, "dwell", "quantiles(duration)", "type == \"session\"");
    fixture_kpi(&f, "p90", "quantile(dwell, 0.9)", KPI_UNIT_DURATION);
    fixture_kpi(&f, "p50", "median(dwell)", KPI_UNIT_DURATION);
    fixture_kpi(&f, "average", "average(dwell)", KPI_UNIT_DURATION);
    fixture_kpi(&f, "before", "previous(median(dwell))", KPI_UNIT_DURATION);
    fixture_kpi(&f, "trailing", "trailing_median(median(dwell), 2)", KPI_UNIT_DURATION);
    fixture_kpi(&f, "spread", "quantile(dwell, 0.75) / quantile(dwell, 0.25)", KPI_UNIT_RATIO);
    campaign = fixture_campaign(&f, "a", 0);
    campaign->start_day = FIRST_DAY;
    campaign->end_day = FIRST_DAY + 10;
}

static void open_world(unsigned n)
{
    counting_mem_init(&counting);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    n_shards = n;
    n_put = 0;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(kpi_engine_new(&engines[i], plan, &counting.mem), 0);
    assert_int_equal(kpi_layout_new(&layout, plan, NOW, &counting.mem), 0);
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
}

static void close_world(void)
{
    for (unsigned i = 0; i < n_shards; i++)
        kpi_engine_free(engines[i]);
    kpi_layout_unref(layout);
    kpi_plan_unref(plan);
    free(rows);
    assert_int_equal(counting.bytes, 0);
}

static void put(unsigned shard, kpi_time time, int64_t duration)
{
    struct world_event w = {.event = {.time = time, .record_time = NOW, .flags = KPI_EVENT_HAS_ID}};
    struct kpi_batch *batch;

    w.event.id = ++n_put;
    w.event.type = string_field("session");
    world_set_field(plan, &w, "campaign", string_field("a"));
    world_set_field(plan, &w, "duration",
                    (struct kpi_field){.number = duration, .kind = KPI_FIELD_NUMBER});
    assert_int_equal(kpi_batch_new(&batch, plan, &counting.mem), 0);
    world_put(batch, plan, &w);
    assert_int_equal(kpi_engine_apply(engines[shard], batch), 0);
    assert_int_equal(batch->events[0].outcome, KPI_OUTCOME_APPLIED);
    kpi_batch_free(batch);
}

/* The rows of the first `n` shards, with quantiles of the first `n_told` of them. */
static void merge(unsigned n, unsigned n_told)
{
    struct kpi_row *part = calloc(kpi_layout_n_rows(layout), sizeof(*part));
    struct kpi_supplement *supplements[SHARDS_MAX];

    memset(rows, 0, kpi_layout_n_rows(layout) * sizeof(*rows));
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(kpi_engine_report(engines[i], layout, part), 0);
        assert_int_equal(kpi_rows_add(layout, rows, part), 0);
        assert_int_equal(kpi_engine_supplement(engines[i], layout, &supplements[i]), 0);
    }
    assert_int_equal(kpi_rows_fill_quantiles(layout,
                                             (const struct kpi_supplement *const *)supplements,
                                             n_told, &counting.mem, rows),
                     0);
    for (unsigned i = 0; i < n; i++)
        kpi_supplement_unref(supplements[i]);
    free(part);
}

static struct kpi_value value_of(const char *name, const struct kpi_scope *where)
{
    struct kpi_value value = {.state = KPI_VALUE_NO_DATA};
    uint32_t scope = 0, kpi = 0;

    while (kpi_plan_kpi(plan, kpi)->name.length != strlen(name) ||
           memcmp(kpi_plan_kpi(plan, kpi)->name.data, name, strlen(name)) != 0)
        kpi++;
    while (where && (kpi_layout_scope(layout, scope)->kind != where->kind ||
                     kpi_layout_scope(layout, scope)->start_day != where->start_day))
        scope++;
    kpi_report_value(layout, rows, scope, kpi, NOW, &value);
    return value;
}

static int64_t duration(uint64_t *seed)
{
    return (int64_t)(exp((double)(next_random(seed) % 10000) / 900) * 1e5) + 1;
}

static double nearest_rank(int64_t *numbers, size_t n, double share)
{
    qsort(numbers, n, sizeof(*numbers), naive_compare);
    return (double)numbers[(size_t)ceil(share * (double)n - 1e-9) - 1] / 1e6;
}

/* Values of the day, all at noon; the last shard has none. */
static void quantiles_of(unsigned shards, size_t n)
{
    static int64_t numbers[N_MAX];
    uint64_t seed = n + shards;
    double error = n > 1000 ? 0.01 : 0, sum = 0, p90, p50;
    struct kpi_value value;

    define();
    open_world(shards);
    for (size_t i = 0; i < n; i++) {
        numbers[i] = duration(&seed);
        sum += (double)numbers[i] / 1e6;
        put(shards > 1 ? (unsigned)(next_random(&seed) % (shards - 1)) : 0,
            NOON + (int64_t)(next_random(&seed) % 3) * KPI_DAY / 4, numbers[i]);
    }
    merge(shards, shards);
    p90 = nearest_rank(numbers, n, 0.9);
    p50 = nearest_rank(numbers, n, 0.5);
    value = value_of("p90", NULL);
    assert_int_equal(value.state, KPI_VALUE_OK);
    assert_true(fabs(value.value - p90) <= error * p90);
    assert_true(value.error == error);
    assert_int_equal(value.numerator.kind, KPI_NUMBER_MONEY);
    assert_int_equal(value.denominator.kind, KPI_NUMBER_NONE);
    value = value_of("p50", NULL);
    assert_true(fabs(value.value - p50) <= error * p50);
    value = value_of("average", NULL); /* exact, whatever there are */
    assert_true(fabs(value.value - sum / (double)n) <= 1e-9 * value.value);
    assert_true(value.error == 0);
    assert_int_equal(value.denominator.value, n);
    value = value_of("spread", NULL);
    assert_true(
        fabs(value.value - nearest_rank(numbers, n, 0.75) / nearest_rank(numbers, n, 0.25)) <=
        2.1 * error * value.value);
    close_world();
}

static void few_are_exact(void **state)
{
    for (unsigned shards = 1; shards <= SHARDS_MAX; shards *= 4) {
        quantiles_of(shards, 1);
        quantiles_of(shards, 37);
        quantiles_of(shards, 1000);
    }
}

static void many_are_within_a_percent(void **state)
{
    for (unsigned shards = 1; shards <= SHARDS_MAX; shards *= 4) {
        quantiles_of(shards, 1001);
        quantiles_of(shards, N_MAX);
    }
}

/* Which report it is, and what was cached for the one before, is nothing. */
static void days_and_those_before(void **state)
{
    static const struct kpi_scope first = {.kind = KPI_SCOPE_DAY, .start_day = FIRST_DAY},
                                  second = {.kind = KPI_SCOPE_DAY, .start_day = FIRST_DAY + 1},
                                  third = {.kind = KPI_SCOPE_DAY, .start_day = FIRST_DAY + 2};

    define();
    open_world(2);
    for (int i = 1; i <= 5; i++)
        put(i % 2, NOON, i * KPI_DECIMAL_ONE);
    merge(2, 2);
    assert_true(value_of("p50", &first).value == 3);
    assert_int_equal(value_of("p50", &second).state, KPI_VALUE_NO_DATA);
    for (int i = 1; i <= 3; i++)
        put(i % 2, NOON + KPI_DAY, 10 * i * KPI_DECIMAL_ONE);
    merge(2, 2);
    assert_true(value_of("p50", &first).value == 3);
    assert_true(value_of("p50", &second).value == 20);
    assert_true(value_of("before", &second).value == 3);
    assert_true(value_of("trailing", &third).value == 11.5);
    assert_int_equal(value_of("before", &first).state, KPI_VALUE_UNDEFINED);
    assert_true(value_of("p50", NULL).value == 4);
    put(0, NOON, 4 * KPI_DECIMAL_ONE); /* late: 1 2 3 4 4 5 */
    put(1, NOON, 4 * KPI_DECIMAL_ONE);
    merge(2, 2);
    assert_true(value_of("p50", &first).value == 4);
    assert_true(value_of("p50", &second).value == 20);
    close_world();
}

static void a_shard_that_is_not_told_of(void **state)
{
    define();
    open_world(2);
    put(0, NOON, 1);
    put(1, NOON, 2);
    merge(2, 1);
    assert_int_equal(value_of("p50", NULL).state, KPI_VALUE_UNDEFINED);
    merge(2, 2);
    assert_int_equal(value_of("p50", NULL).state, KPI_VALUE_OK);
    close_world();
}

static void a_restart_changes_nothing(void **state)
{
    static struct object_store store;
    static const size_t sizes[] = {1, 990, 30, 500};
    uint8_t digest[2][16];
    uint64_t seed = 3;
    double before;

    define();
    open_world(1);
    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        for (size_t i = 0; i < sizes[s]; i++)
            put(0, NOON + (int64_t)(i % 2) * KPI_DAY / 2, duration(&seed));
        merge(1, 1);
        before = value_of("p90", NULL).value;
        object_store_begin(&store);
        assert_int_equal(kpi_engine_save(engines[0], false, object_store_put, &store), 0);
        assert_int_equal(kpi_engine_digest(engines[0], digest[0]), 0);
        kpi_engine_free(engines[0]);
        assert_int_equal(kpi_engine_new(&engines[0], plan, &counting.mem), 0);
        assert_int_equal(object_store_load(&store, engines[0], seed % 100), 0);
        assert_int_equal(kpi_engine_digest(engines[0], digest[1]), 0);
        assert_memory_equal(digest[0], digest[1], 16);
        merge(1, 1);
        assert_true(value_of("p90", NULL).value == before);
    }
    object_store_clear(&store);
    close_world();
}

/* As many values of the same sum, and so the same scalars. */
static void other_values_have_another_digest(void **state)
{
    static const unsigned sizes[] = {2, 1002};
    uint8_t digest[2][16];

    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
        for (int other = 0; other < 2; other++) {
            define();
            open_world(1);
            for (unsigned i = 0; i < sizes[s]; i++)
                put(0, NOON, KPI_DECIMAL_ONE * (10 + (i % 2 ? -1 : 1) * (1 + other)));
            assert_int_equal(kpi_engine_digest(engines[0], digest[other]), 0);
            close_world();
        }
        assert_memory_not_equal(digest[0], digest[1], 16);
    }
}

/* Bytes with any one changed never crash, and what is left of them is refused. */
static void hostile_bytes(void **state)
{
    struct kpi_supplement *supplement, *read;
    uint8_t *bytes, *copy;
    void *encoded;
    size_t size;
    uint64_t seed = 4;

    define();
    open_world(1);
    for (unsigned i = 0; i < 1020; i++)
        put(0, NOON + (i % 51 ? 0 : KPI_DAY), duration(&seed));
    merge(1, 1);
    assert_int_equal(kpi_engine_supplement(engines[0], layout, &supplement), 0);
    assert_int_equal(kpi_supplement_encode(supplement, &counting.mem, &encoded, &size), 0);
    bytes = encoded;
    copy = malloc(size);
    for (size_t at = KPI_OBJECT_HEADER_BYTES; at < size; at++) {
        int r;

        memcpy(copy, bytes, size);
        copy[at] ^= (uint8_t)(1 << next_random(&seed) % 8);
        kpi_object_seal(copy, KPI_OBJECT_SUPPLEMENT, 2, size - KPI_OBJECT_HEADER_BYTES);
        r = kpi_supplement_decode(&read, copy, size, &counting.mem);
        assert_true(r == 0 || r == KPI_SUPPLEMENT_E_CORRUPT);
        if (r == 0) {
            const struct kpi_supplement *parts[] = {read};

            if (kpi_supplement_fits(read, layout))
                assert_int_equal(kpi_rows_fill_quantiles(layout, parts, 1, &counting.mem, rows), 0);
            kpi_supplement_unref(read);
        }
        if (at % 7)
            continue;
        kpi_object_seal(copy, KPI_OBJECT_SUPPLEMENT, 2, at - KPI_OBJECT_HEADER_BYTES);
        assert_true(kpi_supplement_decode(&read, copy, at, &counting.mem) ==
                    KPI_SUPPLEMENT_E_CORRUPT);
    }
    free(copy);
    kpi_mem_free(&counting.mem, encoded, size);
    kpi_supplement_unref(supplement);
    close_world();
}

static void out_of_memory(void **state)
{
    struct kpi_row *part;

    define();
    open_world(1);
    part = calloc(kpi_layout_n_rows(layout), sizeof(*part));
    for (unsigned i = 0; i < 1002; i++)
        put(0, NOON + (i % 3) * KPI_DAY, (int64_t)i * 1000000);
    for (uint64_t n = 1;; n++) {
        struct kpi_supplement *supplement = NULL;
        int r;

        assert_int_equal(kpi_engine_report(engines[0], layout, part), 0);
        counting.fail_at = counting.n_calls + n;
        r = kpi_engine_supplement(engines[0], layout, &supplement);
        if (r == 0) {
            const struct kpi_supplement *parts[] = {supplement};

            memcpy(rows, part, kpi_layout_n_rows(layout) * sizeof(*rows));
            r = kpi_rows_fill_quantiles(layout, parts, 1, &counting.mem, rows);
        }
        counting.fail_at = 0;
        kpi_supplement_unref(supplement);
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
    }
    assert_true(fabs(value_of("p50", NULL).value - 500) <= 5);
    free(part);
    close_world();
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *formula, *message;
        unsigned offset;
    } table[] = {
        {"100 * dwell", "\"dwell\" is many values and not one; say quantile(dwell, 0.9)", 6},
        {"quantile(dwell, 0)", "\"q\" of quantile() is a number between 0 and 1", 16},
        {"quantile(dwell, 1)", "\"q\" of quantile() is a number between 0 and 1", 16},
        {"quantile(dwell, q=90)", "\"q\" of quantile() is a number between 0 and 1", 18},
        {"quantile(dwell)", "q", 0},
        {"median(seen)", "median() takes measures with the aggregate quantiles(field)", 7},
        {"average(nothing)", "there is no measure or KPI \"nothing\"", 8},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        fixture_init(&f);
        fixture_measure(&f, "dwell", "quantiles(duration)", "");
        fixture_measure(&f, "seen", "users", "");
        fixture_kpi(&f, "x", table[i].formula, KPI_UNIT_DURATION);
        (void)fixture_campaign(&f, "a", 0);
        assert_null(fixture_plan(&f));
        for (unsigned k = 0;; k++) {
            if (f.recorder.messages[k].severity != KPI_SEVERITY_ERROR)
                continue;
            if (!strstr(f.recorder.messages[k].text, table[i].message) ||
                f.recorder.messages[k].offset != table[i].offset)
                fail_msg("%s: %u: %s", table[i].formula, f.recorder.messages[k].offset,
                         f.recorder.messages[k].text);
            break;
        }
    }
}

static void breakdowns_are_refused_if_said_so(void **state)
{
    struct kpi_breakdown_definition *by = &f.breakdowns[0];

    for (int own = 0; own < 2; own++) {
        define();
        fixture_dimension(&f, "channel", "channel", 10);
        f.breakdown_names[0] = TEXT("channel");
        *by = (struct kpi_breakdown_definition){f.breakdown_names, 1};
        if (own) {
            f.kpis[0].has_by = true;
            f.kpis[0].by = by;
            f.kpis[0].n_by = 1;
            assert_null(fixture_plan(&f));
            assert_non_null(strstr(f.recorder.messages[0].text,
                                   "\"p90\" cannot be broken down: quantiles are kept of"));
            continue;
        }
        f.in.breakdowns = by; /* of all KPIs that can be */
        f.in.n_breakdowns = 1;
        plan = fixture_plan(&f);
        assert_non_null(plan);
        assert_false(kpi_plan_breaks_down(plan, 0, 0));
        assert_true(kpi_plan_breaks_down(plan, 0, 2));
        kpi_plan_unref(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_exact),
        cmocka_unit_test(many_are_within_a_percent),
        cmocka_unit_test(days_and_those_before),
        cmocka_unit_test(a_shard_that_is_not_told_of),
        cmocka_unit_test(a_restart_changes_nothing),
        cmocka_unit_test(other_values_have_another_digest),
        cmocka_unit_test(hostile_bytes),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(breakdowns_are_refused_if_said_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
