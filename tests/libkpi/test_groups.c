/*
 * Claim: groups are what a walk over all events finds, for any number of shards, with reports in
 * between, across saves, restarts and other plans; a count's groups add up to the whole; values and
 * tuples are bounded, what is beyond is __other__ and counted; what a dimension is called, or in
 * which order it stands, does not matter to the state, what it means does.
 */
#include "counting_mem.h"
#include "engine_world.h"
#include "object_store.h"

#include <kpi/object.h>
#include <kpi/supplement.h>
#include <spec/evaluate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* What the reference knows the dimensions of the test as. */
static const char *const names[] = {"channel", "city",      "score",   "vip",  "touch",
                                    "orders",  "score_was", "weekday", "keen", "newcomer"};
enum {
    CHANNEL,
    CITY,
    SCORE,
    VIP,
    TOUCH,
    ORDERS,
    SCORE_WAS,
    WEEKDAY,
    KEEN,
    NEWCOMER,
    N_NAMES,
    SHARDS_MAX = 16,
};
static_assert((int)N_NAMES <= (int)WORLD_DIMENSIONS_MAX, "room for their values");
#define NO_VALUE "\x01"

static void breakdowns_fixture(struct fixture *f, const char *prefix, bool another)
{
    static struct kpi_breakdown_definition by_touch[2];
    static char renamed[2][N_NAMES][32];
    char(*name)[32] = renamed[another];

    world_fixture(f);
    f->in.n_campaigns = 2;
    fixture_measure(f, "vips", "users", "vip");
    fixture_kpi(f, "vip_share", "vips / events", KPI_UNIT_RATIO);
    for (unsigned i = 6; i < 11; i++)
        f->kpis[i].has_by = i != 9; /* k2, k3, k4 and k6: none at all */
    for (unsigned i = f->in.n_kpis - 7; i < f->in.n_kpis - 5; i++) /* k22, k23 */
        f->kpis[i].has_by = true;
    for (unsigned i = 0; i < N_NAMES; i++)
        snprintf(name[i], sizeof(name[i]), "%s%s", prefix, names[i]);
    by_touch[another] = fixture_by(f, name[TOUCH]);
    for (unsigned i = f->in.n_kpis - 5; i < f->in.n_kpis - 1; i++) { /* k24 to k27 */
        f->kpis[i].has_by = true;
        f->kpis[i].by = &by_touch[another];
        f->kpis[i].n_by = 1;
    }
    fixture_dimension(f, name[CHANNEL], "channel", 0);
    fixture_dimension(f, name[CITY], "town", 0);
    fixture_dimension(f, name[SCORE], "score", 0);
    fixture_dimension(f, name[VIP], "vip", 0);
    fixture_dimension(f, name[TOUCH], "touch", 0);
    fixture_dimension(f, name[ORDERS], "orders", 0);
    fixture_dimension(f, name[SCORE_WAS], "score_was", 0);
    fixture_dimension(f, name[WEEKDAY], "weekday(time)", 0);
    /* a segment may name another one, also one that stands behind it */
    fixture_segment(f, name[KEEN],
                    another ? "score >= 5 and not x_newcomer" : "score >= 5 and not newcomer");
    fixture_segment(f, name[NEWCOMER], "orders == 0");
}

/* Breakdowns of all kinds of dimensions, single and together, and KPIs with their own. */
static void plan_a(struct fixture *f)
{
    static struct kpi_breakdown_definition by[2];

    breakdowns_fixture(f, "", false);
    fixture_breakdown(f, "channel");
    fixture_breakdown(f, "city,channel");
    fixture_breakdown(f, "newcomer");
    fixture_breakdown(f, "score_was");
    fixture_breakdown(f, "touch,vip");
    fixture_breakdown(f, "vip,weekday");
    by[0] = fixture_by(f, "keen");
    by[1] = fixture_by(f, "orders,vip,newcomer,score");
    f->kpis[5].has_by = true;
    f->kpis[5].by = by;
    f->kpis[5].n_by = 2;
}

/* The same dimensions under other names and in another order; one breakdown less, one more. */
static void plan_b(struct fixture *f)
{
    static struct kpi_breakdown_definition by[2];

    breakdowns_fixture(f, "x_", true);
    for (unsigned i = 0; i < f->in.n_dimensions / 2; i++) {
        struct kpi_dimension_definition kept = f->dimensions[i];

        f->dimensions[i] = f->dimensions[f->in.n_dimensions - 1 - i];
        f->dimensions[f->in.n_dimensions - 1 - i] = kept;
    }
    fixture_breakdown(f, "x_vip,x_touch");
    fixture_breakdown(f, "x_score");
    fixture_breakdown(f, "x_channel,x_city");
    fixture_breakdown(f, "x_weekday,x_vip");
    fixture_breakdown(f, "x_score_was");
    fixture_breakdown(f, "x_channel");
    by[0] = fixture_by(f, "x_vip,x_newcomer,x_score,x_orders");
    by[1] = fixture_by(f, "x_keen");
    f->kpis[5].has_by = true;
    f->kpis[5].by = by;
    f->kpis[5].n_by = 2;
}

/* --- the reference --- */

static const struct kpi_breakdown_info *looked_at;
static unsigned looked_names[KPI_BREAKDOWN_DIMENSIONS_MAX];
static const struct kpi_group *looked_for;

static int64_t slot_of(const struct naive *naive, const struct naive_event *e, unsigned attribute,
                       unsigned more)
{
    if (e->user == UINT32_MAX)
        return KPI_TIME_NONE;
    return naive->slots[e->user][naive->program->attributes[attribute].slot + more];
}

static const struct kpi_field *field_of(const struct naive *naive, const struct naive_event *e,
                                        const char *name)
{
    for (uint32_t i = 0; i < kpi_plan_n_fields(naive->plan); i++) {
        struct kpi_string is = kpi_plan_field(naive->plan, i)->name;

        if (is.length == strlen(name) && memcmp(is.data, name, is.length) == 0)
            return &e->w.fields[i];
    }
    abort();
}

static void note_string(const struct naive *naive, struct naive_event *e, unsigned i,
                        const char *field)
{
    const struct kpi_field *value = field_of(naive, e, field);

    snprintf(e->values[i], WORLD_VALUE_BYTES, "%s", value->kind ? value->string : NO_VALUE);
}

static void note_number(struct naive_event *e, unsigned i, bool absent, int64_t number)
{
    if (absent)
        snprintf(e->values[i], WORLD_VALUE_BYTES, NO_VALUE);
    else
        snprintf(e->values[i], WORLD_VALUE_BYTES, "%lld", (long long)number);
}

static void note_bool(struct naive_event *e, unsigned i, bool value)
{
    snprintf(e->values[i], WORLD_VALUE_BYTES, value ? "true" : "false");
}

/* Attributes of world_fixture() in their order: orders, spent, touch, score_was, first_seen. */
static void note(struct naive *naive, struct naive_event *e)
{
    const struct kpi_field *score = field_of(naive, e, "score"), *vip = field_of(naive, e, "vip");
    bool has_user = e->w.event.flags & KPI_EVENT_HAS_USER;
    int64_t orders = slot_of(naive, e, 0, 0), touched = slot_of(naive, e, 2, 0);
    bool newcomer;

    if (orders == KPI_TIME_NONE && has_user)
        orders = 0;
    newcomer = orders == 0;
    note_string(naive, e, CHANNEL, "channel");
    note_string(naive, e, CITY, "town");
    note_number(e, SCORE, !score->kind, score->number / 1000000);
    if (vip->kind)
        note_bool(e, VIP, vip->number);
    else
        snprintf(e->values[VIP], WORLD_VALUE_BYTES, NO_VALUE);
    snprintf(e->values[TOUCH], WORLD_VALUE_BYTES, "%s",
             touched == KPI_TIME_NONE ? NO_VALUE : naive->strings[slot_of(naive, e, 2, 1)]);
    note_number(e, ORDERS, orders == KPI_TIME_NONE, orders);
    note_number(e, SCORE_WAS, slot_of(naive, e, 3, 0) == KPI_TIME_NONE,
                slot_of(naive, e, 3, 1) / 1000000);
    note_number(e, WEEKDAY, false,
                (e->w.event.time / KPI_DAY + 3) % 7 + 1); /* 1970-01-01 was a Thursday */
    note_bool(e, KEEN, score->kind && score->number >= 5000000 && !newcomer);
    note_bool(e, NEWCOMER, newcomer);
}

/* Which of the names a dimension has, whatever its prefix. */
static unsigned name_of(struct kpi_string dimension)
{
    size_t skip = dimension.length > 2 && memcmp(dimension.data, "x_", 2) == 0 ? 2 : 0;

    for (unsigned i = 0; i < N_NAMES; i++)
        if (dimension.length - skip == strlen(names[i]) &&
            memcmp(dimension.data + skip, names[i], dimension.length - skip) == 0)
            return i;
    abort();
}

static void look_at(const struct kpi_breakdown_info *breakdown)
{
    looked_at = breakdown;
    for (uint32_t i = 0; i < breakdown->n_dimensions; i++)
        looked_names[i] = name_of(breakdown->dimensions[i].name);
}

/* The event's value of a dimension that is looked at. */
static struct kpi_string value_of(const struct naive_event *e, uint32_t dimension)
{
    const char *value = e->values[looked_names[dimension]];

    if (strcmp(value, NO_VALUE) == 0)
        return (struct kpi_string){NULL, 0};
    return (struct kpi_string){value, strlen(value)};
}

static struct kpi_group group_of(const struct naive_event *e)
{
    struct kpi_group group = {.n_values = looked_at->n_dimensions};

    for (uint32_t i = 0; i < group.n_values; i++)
        group.values[i] = value_of(e, i);
    return group;
}

static bool in_group(const struct naive *naive, const struct naive_event *e)
{
    for (uint32_t i = 0; i < looked_for->n_values; i++) {
        struct kpi_string value = value_of(e, i);

        if (!value.data != !looked_for->values[i].data ||
            !kpi_string_equal(value, looked_for->values[i]))
            return false;
    }
    return true;
}

static int order_groups(const void *a, const void *b)
{
    return kpi_group_compare(a, b);
}

/* Adds the groups of a scope and breakdown, those of which nothing was counted left out. */
static void naive_groups(const struct naive *naive, const struct kpi_layout *layout, uint32_t scope,
                         uint32_t b, struct kpi_supplement *to)
{
    const struct kpi_breakdown *breakdown = &naive->program->breakdowns[b];
    const struct kpi_scope *where = kpi_layout_scope(layout, scope);
    struct kpi_string id = kpi_plan_campaign(naive->plan, where->campaign)->id;
    struct kpi_group *groups = calloc(naive->n_events + 1, sizeof(*groups));
    struct kpi_row *rows = calloc(breakdown->n_rows, sizeof(*rows));
    size_t n = 0;

    look_at(&breakdown->info);
    for (size_t i = 0; i < naive->n_events; i++) {
        const struct naive_event *e = &naive->events[i];
        struct kpi_string is = {e->w.fields[0].string, e->w.fields[0].length};

        if (breakdown->spreads || (e->w.fields[0].kind && kpi_string_equal(is, id)))
            groups[n++] = group_of(e);
    }
    qsort(groups, n, sizeof(*groups), order_groups);
    for (size_t i = 0; i < n; i++) {
        int64_t any = 0;

        if (i > 0 && kpi_group_compare(&groups[i - 1], &groups[i]) == 0)
            continue;
        memset(rows, 0, breakdown->n_rows * sizeof(*rows));
        looked_for = &groups[i];
        for (uint32_t leaf = 0; leaf < naive->program->n_leaves; leaf++)
            if (breakdown->leaves[leaf].instance &&
                naive->program->grains[where->grain].leaf_rows[leaf] != KPI_NO_INDEX)
                naive_leaf(naive, &breakdown->leaves[leaf], where, kpi_layout_as_of(layout),
                           rows + breakdown->leaf_rows[leaf]);
        for (uint32_t k = 0; k < breakdown->n_rows; k++)
            any |= rows[k].value | rows[k].n_events;
        if (any) {
            struct kpi_group group = groups[i];

            group.scope = scope;
            group.breakdown = b;
            group.n_rows = breakdown->n_rows;
            group.rows = rows;
            assert_int_equal(kpi_supplement_push(to, &group), 0);
        }
    }
    free(groups);
    free(rows);
}

/* --- shards --- */

struct shards {
    struct counting_mem counting;
    struct fixture fixtures[2];
    struct kpi_plan *plans[2];
    unsigned plan; /* the one in force */
    struct kpi_batch *batches[2];
    unsigned n;
    struct kpi_engine *engines[SHARDS_MAX];
    struct object_store stores[SHARDS_MAX];
    struct naive *naive;
};

static struct shards shards;

static void shards_open(unsigned n)
{
    memset(&shards, 0, sizeof(shards));
    counting_mem_init(&shards.counting);
    plan_a(&shards.fixtures[0]);
    plan_b(&shards.fixtures[1]);
    for (unsigned i = 0; i < 2; i++) {
        shards.plans[i] = fixture_plan(&shards.fixtures[i]);
        assert_non_null(shards.plans[i]);
        assert_int_equal(kpi_batch_new(&shards.batches[i], shards.plans[i], &shards.counting.mem),
                         0);
    }
    shards.n = n;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(kpi_engine_new(&shards.engines[i], shards.plans[0], &shards.counting.mem),
                         0);
    shards.naive = naive_new(shards.plans[0]);
    shards.naive->note = note;
    shards.naive->in_group = in_group;
}

static void shards_close(void)
{
    for (unsigned i = 0; i < shards.n; i++) {
        kpi_engine_free(shards.engines[i]);
        object_store_clear(&shards.stores[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        kpi_batch_free(shards.batches[i]);
        kpi_plan_unref(shards.plans[i]);
    }
    naive_free(shards.naive);
    assert_int_equal(shards.counting.bytes, 0);
}

/* Events are made with the fields of plan A; another plan has them in another order. */
static void put(struct kpi_batch *batch, const struct kpi_plan *plan, const struct world_event *w)
{
    struct world_event other = *w;

    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); i++)
        for (uint32_t k = 0; k < kpi_plan_n_fields(shards.plans[0]); k++)
            if (kpi_string_equal(kpi_plan_field(plan, i)->name,
                                 kpi_plan_field(shards.plans[0], k)->name))
                other.fields[i] = w->fields[k];
    world_put(batch, plan, &other);
}

static void shards_apply(const struct world_event *w)
{
    struct kpi_batch *batch = shards.batches[shards.plan];
    enum kpi_outcome expected = naive_apply(shards.naive, w);

    batch->n_events = 0;
    put(batch, shards.plans[shards.plan], w);
    assert_int_equal(kpi_engine_apply(shards.engines[w->event.user % shards.n], batch), 0);
    assert_int_equal(batch->events[0].outcome, expected);
}

static void shard_save(unsigned shard, bool all)
{
    object_store_begin(&shards.stores[shard]);
    assert_int_equal(
        kpi_engine_save(shards.engines[shard], all, object_store_put, &shards.stores[shard]), 0);
}

/* Saves a shard and goes on with what is loaded from there. */
static void shard_restart(unsigned shard, bool all)
{
    uint8_t before[16], after[16];

    shard_save(shard, all);
    assert_int_equal(kpi_engine_digest(shards.engines[shard], before), 0);
    kpi_engine_free(shards.engines[shard]);
    assert_int_equal(
        kpi_engine_new(&shards.engines[shard], shards.plans[shards.plan], &shards.counting.mem), 0);
    for (size_t i = 0; i < shards.stores[shard].n; i++) {
        struct kpi_object object = object_store_get(&shards.stores[shard], i);

        assert_int_equal(kpi_engine_load(shards.engines[shard], &object), 0);
    }
    assert_int_equal(kpi_engine_load_end(shards.engines[shard]), 0);
    assert_int_equal(kpi_engine_digest(shards.engines[shard], after), 0);
    assert_memory_equal(before, after, 16);
}

static struct kpi_supplement *supplement_of(struct kpi_engine *engine, struct kpi_layout *layout)
{
    struct kpi_row *rows = calloc(kpi_layout_n_rows(layout) + 1, sizeof(*rows));
    struct kpi_supplement *supplement = NULL;

    assert_int_equal(kpi_engine_report(engine, layout, rows), 0);
    assert_int_equal(kpi_engine_supplement(engine, layout, &supplement), 0);
    assert_true(kpi_supplement_fits(supplement, layout));
    free(rows);
    return supplement;
}

/* All shards' groups, by way of bytes, added in an order that `turn` shifts. */
static struct kpi_supplement *merged(struct kpi_layout *layout, unsigned turn)
{
    struct kpi_supplement *sum;

    assert_int_equal(kpi_supplement_new(&sum, &shards.counting.mem), 0);
    for (unsigned i = 0; i < shards.n; i++) {
        struct kpi_engine *engine = shards.engines[(i + turn) % shards.n];
        struct kpi_supplement *part = supplement_of(engine, layout), *read;
        size_t size;
        void *bytes;

        assert_int_equal(kpi_supplement_encode(part, &shards.counting.mem, &bytes, &size), 0);
        assert_int_equal(kpi_supplement_decode(&read, bytes, size, &shards.counting.mem), 0);
        assert_int_equal(kpi_supplement_add(sum, read), 0);
        kpi_mem_free(&shards.counting.mem, bytes, size);
        kpi_supplement_unref(part);
        kpi_supplement_unref(read);
    }
    return sum;
}

static void fail_group(const char *what, const struct kpi_group *group)
{
    char text[256] = "";

    for (uint32_t i = 0; i < group->n_values; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " %.*s",
                 group->values[i].data ? (int)group->values[i].length : 4,
                 group->values[i].data ? group->values[i].data : "none");
    fail_msg("%s: scope %u breakdown %u%s", what, group->scope, group->breakdown, text);
}

static void assert_groups_equal(const struct kpi_supplement *got,
                                const struct kpi_supplement *expected, uint64_t skip)
{
    uint32_t i = 0, j = 0, n_got = kpi_supplement_n_groups(got),
             n_expected = kpi_supplement_n_groups(expected);

    while (i < n_got || j < n_expected) {
        struct kpi_group x, y;
        int order;

        if (i < n_got)
            x = kpi_supplement_group(got, i);
        if (j < n_expected)
            y = kpi_supplement_group(expected, j);
        if (i < n_got && skip >> x.breakdown & 1) {
            i++;
            continue;
        }
        order = i == n_got ? 1 : j == n_expected ? -1 : kpi_group_compare(&x, &y);
        if (order < 0)
            fail_group("not expected", &x);
        if (order > 0)
            fail_group("missing", &y);
        assert_int_equal(x.n_rows, y.n_rows);
        for (uint32_t k = 0; k < x.n_rows; k++)
            if (x.rows[k].value != y.rows[k].value || x.rows[k].n_events != y.rows[k].n_events) {
                print_error("row %u: %lld of %lld, not %lld of %lld\n", k,
                            (long long)x.rows[k].value, (long long)x.rows[k].n_events,
                            (long long)y.rows[k].value, (long long)y.rows[k].n_events);
                fail_group("other rows", &x);
            }
        i++;
        j++;
    }
}

/* What is counted by event is counted in one group of each breakdown. */
static void assert_counts_add_up(struct kpi_layout *layout, const struct kpi_supplement *groups,
                                 uint64_t skip)
{
    const struct kpi_program *program = kpi_plan_program(kpi_layout_plan(layout));
    struct kpi_row *sum = calloc(kpi_layout_n_rows(layout), sizeof(*sum));
    struct kpi_row *rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    unsigned n_compared = 0;

    for (unsigned i = 0; i < shards.n; i++) {
        assert_int_equal(kpi_engine_report(shards.engines[i], layout, rows), 0);
        assert_int_equal(kpi_rows_add(layout, sum, rows), 0);
    }
    for (uint32_t b = 0; b < program->n_breakdowns; b++) {
        const struct kpi_breakdown *breakdown = &program->breakdowns[b];

        for (uint32_t leaf = 0; leaf < program->n_leaves && !(skip >> b & 1); leaf++) {
            if (!breakdown->leaves[leaf].instance)
                continue;
            memset(rows, 0, kpi_layout_n_rows(layout) * sizeof(*rows));
            for (uint32_t i = 0; i < kpi_supplement_n_groups(groups); i++) {
                struct kpi_group group = kpi_supplement_group(groups, i);
                const struct kpi_row *row = &group.rows[breakdown->leaf_rows[leaf]];

                if (group.breakdown == b)
                    (void)kpi_row_add(&rows[group.scope], row);
            }
            for (uint32_t s = 0; s < kpi_layout_n_scopes(layout); s++) {
                uint32_t place =
                    program->grains[kpi_layout_scope(layout, s)->grain].leaf_rows[leaf];
                struct kpi_row whole;

                if (place == KPI_NO_INDEX)
                    continue;
                whole = sum[kpi_layout_first_row(layout, s) + place];

                assert_int_equal(rows[s].n_events, whole.n_events);
                if (program->leaves[leaf].kind <= KPI_LEAF_SUM)
                    assert_int_equal(rows[s].value, whole.value);
                n_compared += whole.n_events > 0;
            }
        }
    }
    assert_true(n_compared > 20);
    free(rows);
    free(sum);
}

/* skip: breakdowns (bits) that have not seen everything. */
static void compare(kpi_time as_of, uint64_t skip)
{
    struct kpi_plan *plan = shards.plans[shards.plan];
    struct kpi_supplement *expected, *got;
    struct kpi_layout *layout;

    /* the reference took down what the filters said under its own plan, of the same meaning */
    assert_int_equal(kpi_layout_new(&layout, plan, as_of, &shards.counting.mem), 0);
    assert_int_equal(kpi_supplement_new(&expected, &shards.counting.mem), 0);
    for (uint32_t scope = 0; scope < kpi_layout_n_scopes(layout); scope++)
        for (uint32_t b = 0; b < kpi_plan_n_breakdowns(plan); b++)
            if (!(skip >> b & 1))
                naive_groups(shards.naive, layout, scope, b, expected);
    got = merged(layout, 0);
    assert_true(kpi_supplement_n_groups(expected) > 100);
    assert_groups_equal(got, expected, skip);
    assert_counts_add_up(layout, got, skip);
    kpi_supplement_unref(got);
    got = merged(layout, 1); /* once more, all from the caches */
    assert_groups_equal(got, expected, skip);
    kpi_supplement_unref(got);
    kpi_supplement_unref(expected);
    kpi_layout_unref(layout);
}

static void run(unsigned n_shards, uint64_t seed, uint32_t n_events, uint32_t n_between,
                uint32_t erase)
{
    struct world_stream stream = world_stream_make(seed);
    uint64_t random = seed + 100;

    shards_open(n_shards);
    stream.places = true;
    stream.step_s = 2400;
    stream.erase = erase;
    if (n_shards > 1)
        stream.odd = 0; /* a shard does not know what is too old for another one */
    for (uint32_t i = 1; i <= n_events; i++) {
        struct world_event w;

        world_next(&stream, shards.plans[0], &w);
        shards_apply(&w);
        if (next_random(&random) % 40 == 0)
            shard_save((unsigned)(next_random(&random) % n_shards), false);
        if (next_random(&random) % 60 == 0)
            shard_restart((unsigned)(next_random(&random) % n_shards),
                          next_random(&random) % 3 == 0);
        if (i % n_between == 0)
            compare(stream.now, 0);
    }
    compare(stream.now + 3 * KPI_DAY, 0);
    shards_close();
}

static void groups_of_one_shard(void **state)
{
    run(1, 1, 520, 260, 0);
}

static void law_6_groups_of_four_shards_add_up(void **state)
{
    run(4, 2, 420, 210, 0);
}

static void law_6_groups_of_sixteen_shards_add_up(void **state)
{
    run(16, 3, 420, 420, 0);
}

static void erased_users_leave_the_groups(void **state)
{
    run(1, 6, 390, 130, 12);
}

/* One event changes few groups: all that it does change must be made anew. */
static void a_report_after_each_event_gives_the_same_groups(void **state)
{
    struct world_stream stream = world_stream_make(5);
    struct kpi_layout *layout;
    kpi_time as_of = WORLD_START + 16 * KPI_DAY;

    shards_open(1);
    stream.places = true;
    stream.step_s = 4000;
    assert_int_equal(kpi_layout_new(&layout, shards.plans[0], as_of, &shards.counting.mem), 0);
    for (uint32_t i = 0; i < 400; i++) {
        struct world_event w;

        world_next(&stream, shards.plans[0], &w);
        shards_apply(&w);
        kpi_supplement_unref(supplement_of(shards.engines[0], layout));
    }
    compare(as_of, 0);
    kpi_layout_unref(layout);
    shards_close();
}

static uint32_t breakdown_called(const struct kpi_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < kpi_plan_n_breakdowns(plan); i++) {
        const struct kpi_breakdown_info *info = kpi_plan_breakdown(plan, i);

        if (info->n_dimensions == 1 && info->dimensions[0].name.length == strlen(name) &&
            memcmp(info->dimensions[0].name.data, name, strlen(name)) == 0)
            return i;
    }
    abort();
}

static void go_on_under(unsigned plan)
{
    shards.plan = plan;
    for (unsigned i = 0; i < shards.n; i++)
        assert_int_equal(kpi_engine_replan(shards.engines[i], shards.plans[plan]), 0);
}

/* The reference's program is another one, but says the same of the same events. */
static void another_plan_keeps_what_means_the_same(void **state)
{
    struct world_stream stream = world_stream_make(4);
    uint32_t score, newcomer;

    shards_open(4);
    score = breakdown_called(shards.plans[1], "x_score");
    newcomer = breakdown_called(shards.plans[0], "newcomer");
    stream.places = true;
    stream.odd = 0;
    stream.step_s = 2400;
    for (unsigned plan = 0; plan < 3; plan++) {
        for (uint32_t i = 0; i < 150; i++) {
            struct world_event w;

            world_next(&stream, shards.plans[0], &w);
            shards_apply(&w);
        }
        if (plan == 2)
            break;
        shard_restart(plan, plan == 1);
        go_on_under(!plan);
        shard_restart(2 + plan, false); /* what another plan saved is loaded, too */
        if (!plan) {
            struct kpi_layout *layout;
            struct kpi_supplement *got;

            /* B: names are others, numbers are not; score is new and has counted nothing */
            assert_int_equal(
                kpi_layout_new(&layout, shards.plans[1], stream.now, &shards.counting.mem), 0);
            got = merged(layout, 0);
            for (uint32_t i = 0; i < kpi_supplement_n_groups(got); i++)
                assert_int_not_equal(kpi_supplement_group(got, i).breakdown, score);
            kpi_supplement_unref(got);
            kpi_layout_unref(layout);
        }
    }
    /* A again: what B did not have (newcomer) has begun anew */
    compare(stream.now, UINT64_C(1) << newcomer);
    shards_close();
}

static struct kpi_supplement *groups_in_order(struct world_event *events, size_t n, uint64_t seed,
                                              struct kpi_layout *layout)
{
    struct kpi_engine *engine;
    struct kpi_supplement *groups;

    for (size_t i = n; seed && i > 1; i--) {
        size_t k = next_random(&seed) % i;
        struct world_event kept = events[i - 1];

        events[i - 1] = events[k];
        events[k] = kept;
    }
    assert_int_equal(kpi_engine_new(&engine, shards.plans[0], &shards.counting.mem), 0);
    for (size_t i = 0; i < n; i++) {
        shards.batches[0]->n_events = 0;
        put(shards.batches[0], shards.plans[0], &events[i]);
        assert_int_equal(kpi_engine_apply(engine, shards.batches[0]), 0);
    }
    groups = supplement_of(engine, layout);
    kpi_engine_free(engine);
    return groups;
}

/* Breakdowns by attributes depend on the order, as these do; those by fields do not. */
static void law_3_order_does_not_matter_to_fields(void **state)
{
    enum {
        N = 1000
    };
    struct world_event *events = calloc(N, sizeof(*events));
    struct world_stream stream = world_stream_make(8);
    struct kpi_supplement *first, *other;
    struct kpi_layout *layout;
    uint64_t by_attributes = 0;

    shards_open(1);
    stream.places = true;
    stream.odd = stream.copies = 0;
    for (size_t i = 0; i < N; i++)
        world_next(&stream, shards.plans[0], &events[i]);
    for (uint32_t b = 0; b < kpi_plan_n_breakdowns(shards.plans[0]); b++) {
        struct kpi_string name = kpi_plan_breakdown(shards.plans[0], b)->dimensions[0].name;

        if (!kpi_string_equal(name, KPI_STRING("channel")))
            by_attributes |= UINT64_C(1) << b;
    }
    assert_int_equal(kpi_layout_new(&layout, shards.plans[0], stream.now, &shards.counting.mem), 0);
    first = groups_in_order(events, N, 0, layout);
    for (uint64_t seed = 1; seed < 4; seed++) {
        struct kpi_supplement *left;

        other = groups_in_order(events, N, seed, layout);
        assert_int_equal(kpi_supplement_new(&left, &shards.counting.mem), 0);
        for (uint32_t i = 0; i < kpi_supplement_n_groups(first); i++) {
            struct kpi_group group = kpi_supplement_group(first, i);

            if (!(by_attributes >> group.breakdown & 1))
                assert_int_equal(kpi_supplement_push(left, &group), 0);
        }
        assert_true(kpi_supplement_n_groups(left) > 100);
        assert_groups_equal(other, left, by_attributes);
        kpi_supplement_unref(left);
        kpi_supplement_unref(other);
    }
    kpi_supplement_unref(first);
    kpi_layout_unref(layout);
    free(events);
    shards_close();
}

/* --- one event after the other --- */

struct small {
    struct fixture f;
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    uint64_t next;
};

static struct small small;

static void small_open(void)
{
    counting_mem_init(&small.counting);
    small.plan = fixture_plan(&small.f);
    assert_non_null(small.plan);
    assert_int_equal(kpi_engine_new(&small.engine, small.plan, &small.counting.mem), 0);
    assert_int_equal(kpi_batch_new(&small.batch, small.plan, &small.counting.mem), 0);
}

static void small_close(void)
{
    kpi_engine_free(small.engine);
    kpi_batch_free(small.batch);
    kpi_plan_unref(small.plan);
    assert_int_equal(small.counting.bytes, 0);
    memset(&small, 0, sizeof(small));
}

/* One KPI, the count of all events, broken down as the list says. */
static void small_fixture(const char *const *lists, uint32_t values_max)
{
    memset(&small, 0, sizeof(small));
    fixture_init(&small.f);
    fixture_attribute(&small.f, "spent", "sum(amount)", "");
    fixture_measure(&small.f, "events", "count", "");
    fixture_measure(&small.f, "people", "users", "");
    fixture_kpi(&small.f, "n", "events", KPI_UNIT_COUNT);
    fixture_dimension(&small.f, "channel", "", 0);
    fixture_dimension(&small.f, "city", "", 3);
    fixture_dimension(&small.f, "spent", "", 0);
    for (; *lists; lists++)
        fixture_breakdown(&small.f, *lists);
    (void)fixture_campaign(&small.f, "a", 0);
    (void)fixture_campaign(&small.f, "b", 0);
    small.f.in.values_max = values_max;
    small.f.in.dedupe_window = 0;
}

#define SMALL_NOW ((DAY_2026_11_01 + 1) * KPI_DAY)

/* An event of one user, one after the other. */
static struct world_event small_event(const char *campaign)
{
    struct world_event w = {.event = {.time = SMALL_NOW,
                                      .record_time = SMALL_NOW,
                                      .user = 1,
                                      .id = XXH3_64bits(&small.next, sizeof(small.next)),
                                      .flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID,
                                      .type = string_field("x")}};

    small.next++;
    world_set_field(small.plan, &w, "campaign", string_field(campaign));
    return w;
}

static void small_put(const struct world_event *w)
{
    small.batch->n_events = 0;
    world_put(small.batch, small.plan, w);
    assert_int_equal(kpi_engine_apply(small.engine, small.batch), 0);
    assert_int_equal(small.batch->events[0].outcome, KPI_OUTCOME_APPLIED);
}

static void small_apply(const char *campaign, const char *channel, const char *city, double amount)
{
    struct world_event w = small_event(campaign);

    if (channel)
        world_set_field(small.plan, &w, "channel", string_field(channel));
    if (city)
        world_set_field(small.plan, &w, "city", string_field(city));
    if (amount >= 0)
        world_set_field(small.plan, &w, "amount", number_field(amount));
    small_put(&w);
}

static void small_apply_city(const char *campaign, const struct kpi_field *city)
{
    struct world_event w = small_event(campaign);

    world_set_field(small.plan, &w, "city", *city);
    small_put(&w);
}

/* "web=3 none=1 …" of a campaign's scope; values of combinations joined by +. */
static void assert_groups(uint32_t campaign, uint32_t breakdown, const char *expected)
{
    struct kpi_supplement *supplement;
    struct kpi_layout *layout;
    struct kpi_row *rows;
    char text[512] = "";

    assert_int_equal(kpi_layout_new(&layout, small.plan, SMALL_NOW, &small.counting.mem), 0);
    rows =
        calloc(kpi_layout_n_rows(layout), sizeof(*rows)); /* of gauges, which there are none of */
    supplement = supplement_of(small.engine, layout);
    for (uint32_t i = 0; i < kpi_supplement_n_groups(supplement); i++) {
        struct kpi_group group = kpi_supplement_group(supplement, i);
        const struct kpi_scope *scope = kpi_layout_scope(layout, group.scope);
        struct kpi_value value;
        size_t n = strlen(text);

        if (scope->kind != KPI_SCOPE_CAMPAIGN || scope->campaign != campaign ||
            group.breakdown != breakdown)
            continue;
        for (uint32_t k = 0; k < group.n_values; k++)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s",
                                  k   ? "+"
                                  : n ? " "
                                      : "",
                                  group.values[k].data ? (int)group.values[k].length : 4,
                                  group.values[k].data ? group.values[k].data : "none");
        kpi_supplement_value(layout, rows, &group, 0, SMALL_NOW, &value);
        assert_int_equal(value.state, KPI_VALUE_OK);
        snprintf(text + n, sizeof(text) - n, "=%.0f", value.value);
    }
    free(rows);
    assert_string_equal(text, expected);
    kpi_supplement_unref(supplement);
    kpi_layout_unref(layout);
}

static uint64_t n_other(void)
{
    struct kpi_engine_stats stats;

    kpi_engine_stats(small.engine, &stats);
    return stats.n_other;
}

/* A dimension's own bound; none and __other__ have room beside it, for all campaigns together. */
static void values_beyond_the_bound_are_other(void **state)
{
    static const char *const lists[] = {"city", NULL};

    small_fixture(lists, 1000);
    small_open();
    small_apply("a", NULL, "x", -1);
    small_apply("a", NULL, "y", -1);
    small_apply("b", NULL, "z", -1);
    small_apply("a", NULL, "late", -1);
    small_apply("a", NULL, "later", -1);
    small_apply("a", NULL, "x", -1);
    small_apply("a", NULL, NULL, -1);
    small_apply("b", NULL, "__other__", -1);
    assert_groups(0, 0, "none=1 __other__=2 x=2 y=1");
    assert_groups(1, 0, "__other__=1 z=1");
    assert_int_equal(n_other(), 3);
    small_close();
}

/* The bound of combinations is for each campaign of the plan, and for all others together. */
static void tuples_beyond_the_bound_are_other(void **state)
{
    static const char *const lists[] = {"city,channel", NULL};

    small_fixture(lists, 3);
    small_open();
    small_apply("a", "p", "x", -1);
    small_apply("a", "p", "y", -1);
    small_apply("a", "q", "x", -1);
    small_apply("a", "q", "y", -1);
    small_apply("a", "p", "x", -1);
    small_apply("b", "q", "y", -1);
    small_apply("stranger", "p", "x", -1);
    assert_groups(0, 0, "__other__+__other__=1 p+x=2 p+y=1 q+x=1");
    assert_groups(1, 0, "q+y=1");
    assert_int_equal(n_other(), 1);
    small_close();
}

/* A field that nothing else uses may be of any kind; what is written the same is the same value. */
static void kinds_of_values_are_told_by_their_text(void **state)
{
    static const char *const lists[] = {"city", NULL};
    const struct kpi_field values[] = {string_field("5"), number_field(5),      number_field(-0.5),
                                       bool_field(true),  string_field("true"), bool_field(false)};

    small_fixture(lists, 1000);
    small.f.dimensions[1].values_max = 10;
    small_open();
    for (unsigned i = 0; i < COUNT_OF(values); i++) {
        for (uint32_t k = 0; k < kpi_plan_n_fields(small.plan); k++)
            if (kpi_string_equal(kpi_plan_field(small.plan, k)->name, KPI_STRING("city")))
                assert_int_equal(kpi_plan_field(small.plan, k)->use, KPI_USE_ANY);
        small_apply_city("a", &values[i]);
    }
    assert_groups(0, 0, "-0.5=1 5=2 false=1 true=2");
    small_close();
}

/* What is read is what was before the event; numbers are their decimal text. */
static void an_attribute_is_read_as_it_stood_before(void **state)
{
    static const char *const lists[] = {"spent", NULL};

    small_fixture(lists, 1000);
    small_open();
    small_apply("a", NULL, NULL, 1.5);
    small_apply("a", NULL, NULL, 100);
    small_apply("a", NULL, NULL, -1);
    small_apply("a", NULL, NULL, -1);
    assert_groups(0, 0, "0=1 1.5=1 101.5=2");
    small_close();
}

static void nothing_is_allocated_for_values_that_are_known(void **state)
{
    static const char *const lists[] = {"city", "channel", "channel,city", "spent", NULL};
    uint64_t before;

    small_fixture(lists, 1000);
    small_open();
    for (unsigned i = 0; i < 100; i++)
        small_apply("a", i % 2 ? "p" : NULL, i % 3 ? "x" : "y", i < 4 ? 2.25 : 0);
    before = small.counting.n_calls;
    for (unsigned i = 0; i < 1000; i++)
        small_apply("a", i % 2 ? "p" : NULL, i % 3 ? "x" : "y", 0);
    assert_int_equal(small.counting.n_calls, before);
    small_close();
}

/* --- fingerprints --- */

static uint64_t plan_without_breakdowns(bool dimensions)
{
    static struct fixture f;
    struct kpi_plan *plan;
    uint64_t fingerprint;

    world_fixture(&f);
    if (dimensions)
        fixture_dimension(&f, "channel", "", 5);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    fingerprint = kpi_plan_fingerprint(plan);
    assert_int_equal(kpi_plan_n_breakdowns(plan), 0);
    assert_int_equal(kpi_plan_program(plan)->n_sets, 0);
    kpi_plan_unref(plan);
    return fingerprint;
}

static void dimensions_that_nothing_is_broken_down_by_change_nothing(void **state)
{
    assert_true(plan_without_breakdowns(false) == plan_without_breakdowns(true));
}

/* --- memory and bytes --- */

static void every_failed_allocation_is_enomem(void **state)
{
    static const char *const lists[] = {"city", "channel,city", NULL};
    struct kpi_supplement *supplement;
    struct kpi_layout *layout;
    struct kpi_row *rows;
    bool done = false;

    for (unsigned after = 0; !done; after++) {
        small_fixture(lists, 1000);
        small_open();
        small_apply("a", "p", "x", 1);
        small_apply("a", "q", "y", 1);
        assert_int_equal(kpi_layout_new(&layout, small.plan, SMALL_NOW, &small.counting.mem), 0);
        rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
        assert_int_equal(kpi_engine_report(small.engine, layout, rows), 0);
        small.counting.fail_at = small.counting.n_calls + 1 + after;
        done = kpi_engine_supplement(small.engine, layout, &supplement) == 0;
        small.counting.fail_at = 0;
        if (!done) /* it can be asked for again */
            assert_int_equal(kpi_engine_supplement(small.engine, layout, &supplement), 0);
        assert_true(kpi_supplement_n_groups(supplement) > 5);
        kpi_supplement_unref(supplement);
        kpi_layout_unref(layout);
        free(rows);
        small_close();
    }
}

/* Applying, saving, loading and going on under another plan without memory: nothing leaks. */
static void an_engine_without_memory_can_be_freed(void **state)
{
    bool done = false;

    for (unsigned after = 0; !done; after++) {
        struct kpi_engine *copy = NULL;
        struct world_event w;
        struct world_stream stream = world_stream_make(9);
        struct object_store *store = &shards.stores[0];
        int r = 0;

        shards_open(1);
        stream.places = true;
        shards.counting.fail_at = shards.counting.n_calls + 1 + after * 9;
        for (unsigned i = 0; i < 12 && r == 0; i++) {
            world_next(&stream, shards.plans[0], &w);
            shards.batches[0]->n_events = 0;
            put(shards.batches[0], shards.plans[0], &w);
            r = kpi_engine_apply(shards.engines[0], shards.batches[0]);
        }
        if (r == 0) {
            object_store_begin(store);
            r = kpi_engine_save(shards.engines[0], true, object_store_put, store);
        }
        if (r == 0)
            r = kpi_engine_new(&copy, shards.plans[0], &shards.counting.mem);
        for (size_t i = 0; i < store->n && r == 0; i++) {
            struct kpi_object object = object_store_get(store, i);

            r = kpi_engine_load(copy, &object);
        }
        if (r == 0)
            r = kpi_engine_load_end(copy);
        if (r == 0)
            r = kpi_engine_replan(copy, shards.plans[1]);
        assert_true(r == 0 || r == -ENOMEM);
        done = r == 0;
        shards.counting.fail_at = 0;
        kpi_engine_free(copy);
        shards_close();
    }
}

/* A `v` with any byte changed under a good seal is refused, or means something; it never crashes.
 */
static void hostile_dictionaries_are_refused(void **state)
{
    static const char *const lists[] = {"city", "channel,city", NULL};
    static struct object_store store;
    unsigned n_refused = 0, n_loaded = 0;
    struct stored *v;

    small_fixture(lists, 1000);
    fixture_segment(&small.f, "rich", "spent > 1");
    fixture_breakdown(&small.f, "rich");
    small_open();
    small_apply("a", "p", "x", 1);
    small_apply("a", NULL, "y", 1);
    object_store_begin(&store);
    assert_int_equal(kpi_engine_save(small.engine, true, object_store_put, &store), 0);
    v = object_store_find(&store, KPI_STRING("v"));
    assert_non_null(v);
    for (size_t at = KPI_OBJECT_HEADER_BYTES + 13; at < v->size; at++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            struct kpi_engine *copy;
            uint8_t digest[16];
            int r = 0;

            ((uint8_t *)v->data)[at] ^= (uint8_t)(1 << bit);
            kpi_object_seal(v->data, KPI_OBJECT_META, 2, v->size - KPI_OBJECT_HEADER_BYTES);
            assert_int_equal(kpi_engine_new(&copy, small.plan, &small.counting.mem), 0);
            for (size_t i = 0; i < store.n && r == 0; i++) {
                struct kpi_object object = object_store_get(&store, i);

                r = kpi_engine_load(copy, &object);
            }
            if (r == 0)
                r = kpi_engine_load_end(copy);
            assert_true(r == 0 || r == KPI_ENGINE_E_CORRUPT);
            if (r == 0)
                assert_int_equal(kpi_engine_digest(copy, digest), 0);
            n_refused += r != 0;
            n_loaded += r == 0;
            kpi_engine_free(copy);
            ((uint8_t *)v->data)[at] ^= (uint8_t)(1 << bit);
        }
    }
    assert_true(n_refused > 100 && n_loaded > 0); /* another letter is another value */
    object_store_clear(&store);
    small_close();
}

/* Bytes with any one changed, cut anywhere, with a good seal or a broken one, never crash. */
static void hostile_bytes_are_refused(void **state)
{
    static const char *const lists[] = {"city", "channel,city", NULL};
    struct kpi_supplement *supplement, *read;
    struct kpi_layout *layout;
    uint8_t *bytes, *copy;
    unsigned n_refused = 0;
    void *encoded;
    size_t size;

    small_fixture(lists, 1000);
    small_open();
    small_apply("a", "p", "x", 1);
    small_apply("a", NULL, "y", 1);
    assert_int_equal(kpi_layout_new(&layout, small.plan, SMALL_NOW, &small.counting.mem), 0);
    supplement = supplement_of(small.engine, layout);
    assert_int_equal(kpi_supplement_encode(supplement, &small.counting.mem, &encoded, &size), 0);
    bytes = encoded;
    copy = malloc(size);
    for (size_t cut = 0; cut < size; cut++) {
        memcpy(copy, bytes, size);
        assert_int_equal(kpi_supplement_decode(&read, copy, cut, &small.counting.mem),
                         KPI_SUPPLEMENT_E_CORRUPT);
        if (cut < KPI_OBJECT_HEADER_BYTES)
            continue;
        kpi_object_seal(copy, KPI_OBJECT_SUPPLEMENT, 1, cut - KPI_OBJECT_HEADER_BYTES);
        assert_int_equal(kpi_supplement_decode(&read, copy, cut, &small.counting.mem),
                         KPI_SUPPLEMENT_E_CORRUPT);
    }
    for (size_t at = KPI_OBJECT_HEADER_BYTES; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            int r;

            memcpy(copy, bytes, size);
            copy[at] ^= (uint8_t)(1 << bit);
            assert_int_equal(kpi_supplement_decode(&read, copy, size, &small.counting.mem),
                             KPI_SUPPLEMENT_E_CORRUPT);
            kpi_object_seal(copy, KPI_OBJECT_SUPPLEMENT, 1, size - KPI_OBJECT_HEADER_BYTES);
            r = kpi_supplement_decode(&read, copy, size, &small.counting.mem);
            assert_true(r == 0 || r == KPI_SUPPLEMENT_E_CORRUPT);
            n_refused += r != 0;
            if (r == 0) {
                (void)kpi_supplement_fits(read, layout); /* either, but it must not crash */
                kpi_supplement_unref(read);
            }
        }
    }
    assert_true(n_refused > size);
    kpi_object_seal(bytes, KPI_OBJECT_SUPPLEMENT, 3, size - KPI_OBJECT_HEADER_BYTES);
    assert_int_equal(kpi_supplement_decode(&read, bytes, size, &small.counting.mem),
                     KPI_SUPPLEMENT_E_NEWER);
    free(copy);
    kpi_mem_free(&small.counting.mem, encoded, size);
    kpi_supplement_unref(supplement);
    kpi_layout_unref(layout);
    small_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_one_shard),
        cmocka_unit_test(law_6_groups_of_four_shards_add_up),
        cmocka_unit_test(law_6_groups_of_sixteen_shards_add_up),
        cmocka_unit_test(erased_users_leave_the_groups),
        cmocka_unit_test(a_report_after_each_event_gives_the_same_groups),
        cmocka_unit_test(another_plan_keeps_what_means_the_same),
        cmocka_unit_test(law_3_order_does_not_matter_to_fields),
        cmocka_unit_test(values_beyond_the_bound_are_other),
        cmocka_unit_test(tuples_beyond_the_bound_are_other),
        cmocka_unit_test(kinds_of_values_are_told_by_their_text),
        cmocka_unit_test(an_attribute_is_read_as_it_stood_before),
        cmocka_unit_test(nothing_is_allocated_for_values_that_are_known),
        cmocka_unit_test(dimensions_that_nothing_is_broken_down_by_change_nothing),
        cmocka_unit_test(every_failed_allocation_is_enomem),
        cmocka_unit_test(an_engine_without_memory_can_be_freed),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(hostile_dictionaries_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
