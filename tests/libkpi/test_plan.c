/*
 * Claims about plans: what changes a fingerprint and what does not, which instances, levels, leaves
 * and actions come out of definitions, what targets become, and that no allocation is trusted.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <spec/program.h>

static struct fixture f;

static int setup(void **state)
{
    fixture_init(&f);
    return 0;
}

static struct kpi_plan *plan_of_the_product(void)
{
    struct kpi_plan *plan;

    fixture_kpis_of_the_product(&f);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    return plan;
}

static bool is_string(struct kpi_string string, const char *expected)
{
    return kpi_string_equal(string, (struct kpi_string){expected, strlen(expected)});
}

/* Fingerprint of the first instance of a plan with one measure m. */
static uint64_t instance_fingerprint(const char *name, const char *aggregate, const char *where)
{
    struct kpi_plan *plan;
    uint64_t fingerprint;

    fixture_init(&f);
    fixture_attribute(&f, "orders", "count", "type == \"purchase\"");
    fixture_measure(&f, name, aggregate, where);
    fixture_kpi(&f, "k", name, KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_true(kpi_plan_program(plan)->n_instances >= 1);
    fingerprint = kpi_plan_program(plan)->instances[0].fingerprint;
    kpi_plan_unref(plan);
    return fingerprint;
}

static void same_meaning_same_fingerprint(void **state)
{
    static const struct {
        const char *aggregate, *where;
    } base = {"users", "type in [\"a\", \"b\"] and (channel == \"x\" or not (score >= 9))"};
    static const char *const same[] = {
        "type in ['b', 'a'] and (channel == 'x' or not (score >= 9))",
        "  type in[\"a\",\"b\"]and(channel==\"x\"or not score>=9)",
        "((type in [\"a\", \"b\", \"a\"])) and ((channel == \"x\") or (not (score >= 9.0)))",
        "(channel == \"x\" or not (score >= 9)) and type in [\"a\", \"b\"]",
        "(not (score >= 9) or channel == \"x\") and type in [\"a\", \"b\"]",
        "type in [\"a\", \"b\"] and (channel in [\"x\"] or not (9 <= score))",
        "type in ['a', 'b'] and true and (channel == 'x' or false or not not not (score >= 9))",
        "type in [\"a\", \"b\"] and (channel == \"x\" or not (score >= 18 / 2))",
        "type in [\"a\", \"b\"] and (channel == \"x\" or channel == \"x\" or not (score >= 900%))",
    };
    uint64_t fingerprint = instance_fingerprint("m", base.aggregate, base.where);

    for (size_t i = 0; i < COUNT_OF(same); ++i) {
        if (instance_fingerprint("m", base.aggregate, same[i]) != fingerprint)
            fail_msg("changed by: %s", same[i]);
    }
    assert_int_equal(instance_fingerprint("another_name", base.aggregate, base.where), fingerprint);
}

static void other_meaning_other_fingerprint(void **state)
{
    static const struct {
        const char *aggregate, *where;
    } all[] = {
        {"users", "type == \"a\""},
        {"users", ""},
        {"users", "type == \"b\""},
        {"users", "type != \"a\""},
        {"users", "not (type == \"a\")"},
        {"users", "type in [\"a\", \"b\"]"},
        {"users", "type not in [\"a\", \"b\"]"},
        {"users", "type == \"a\" and score > 3"},
        {"users", "type == \"a\" or score > 3"},
        {"users", "type == \"a\" and score >= 3"},
        {"users", "type == \"a\" and score > 4"},
        {"users", "type == \"a\" and points > 3"},
        {"users", "type == \"a\" and orders > 3"},
        {"users", "type == \"a\" and score > 3 - points"},
        {"users", "type == \"a\" and score > points - 3"},
        {"users", "type == \"a\" and score > points / 3"},
        {"users", "type == \"a\" and score > points * 3"},
        {"users", "type == \"a\" and score in [3, 4]"},
        {"users", "type == \"a\" and score not in [3, 4]"},
        {"users", "type == \"a\" and vip"},
        {"users", "type == \"a\" and vip == false"},
        {"users", "type == \"a\" and not vip"},
        {"users", "channel == \"a\""},
        {"users", "campaign == type"},
        {"users", "campaign != type"},
        {"count", "type == \"a\""},
        {"sum(amount)", "type == \"a\""},
        {"sum(score)", "type == \"a\""},
        {"latest_users(score > 3)", "type == \"a\""},
        {"latest_users(score > 4)", "type == \"a\""},
        {"latest_mean(score)", "type == \"a\""},
        {"first_users(score > 4)", "type == \"a\""},
        {"first_mean(score)", "type == \"a\""},
    };
    uint64_t fingerprints[COUNT_OF(all)];

    for (size_t i = 0; i < COUNT_OF(all); ++i) {
        fingerprints[i] = instance_fingerprint("m", all[i].aggregate, all[i].where);
        for (size_t j = 0; j < i; ++j) {
            if (fingerprints[i] == fingerprints[j])
                fail_msg("%s where %s is taken for %s where %s", all[i].aggregate, all[i].where,
                         all[j].aggregate, all[j].where);
        }
    }
}

/* The fingerprint of `m`, which asks for the attribute of this name and meaning. */
static uint64_t through_attribute(const char *name, const char *where, const char *m_where)
{
    struct kpi_plan *plan;
    uint64_t fingerprint;

    fixture_init(&f);
    fixture_attribute(&f, "zzz", "count", "type == \"other\"");
    fixture_attribute(&f, name, "count", where);
    fixture_measure(&f, "m", "users", m_where);
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    fingerprint = kpi_plan_program(plan)->instances[0].fingerprint;
    kpi_plan_unref(plan);
    return fingerprint;
}

static void an_attribute_counts_by_its_meaning(void **state)
{
    uint64_t base = through_attribute("orders", "type == \"purchase\"", "orders > 1 and vip");

    assert_int_equal(through_attribute("buys", "type == \"purchase\"", "buys > 1 and vip"), base);
    assert_int_equal(through_attribute("zz", "type == \"purchase\"", "vip and zz > 1"), base);
    assert_int_not_equal(through_attribute("orders", "type == \"refund\"", "orders > 1 and vip"),
                         base);
    assert_int_not_equal(
        through_attribute("orders", "type == \"purchase\" and zzz > 0", "orders > 1 and vip"),
        base);
    /* in a circle with itself */
    base = through_attribute("orders", "orders < 5", "orders > 1");
    assert_int_equal(through_attribute("buys", "buys < 5", "buys > 1"), base);
    assert_int_not_equal(through_attribute("buys", "buys < 6", "buys > 1"), base);
}

/* m asks for first, that for second, and that for a type. */
static uint64_t through_two_attributes(const char *type)
{
    struct kpi_plan *plan;
    uint64_t fingerprint;

    fixture_init(&f);
    fixture_attribute(&f, "first", "count", "second > 1");
    fixture_attribute(&f, "second", "count", type);
    fixture_measure(&f, "m", "users", "first > 1");
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    fingerprint = kpi_plan_program(plan)->instances[0].fingerprint;
    kpi_plan_unref(plan);
    return fingerprint;
}

static void an_attribute_behind_an_attribute_counts_too(void **state)
{
    uint64_t base = through_two_attributes("type == 'x'");

    assert_int_equal(through_two_attributes("(type) == \"x\""), base);
    assert_int_not_equal(through_two_attributes("type == 'y'"), base);
}

static void plan_fingerprint_ignores_order_and_titles(void **state)
{
    struct kpi_plan *plan = plan_of_the_product();
    uint64_t fingerprint = kpi_plan_fingerprint(plan);
    struct kpi_measure_definition measure;
    struct kpi_kpi_definition kpi;

    kpi_plan_unref(plan);
    measure = f.measures[0];
    f.measures[0] = f.measures[7];
    f.measures[7] = measure;
    kpi = f.kpis[0];
    f.kpis[0] = f.kpis[4];
    f.kpis[4] = kpi;
    f.kpis[1].title_en = TEXT("Another title");
    f.measures[2].name = TEXT("acting");
    f.kpis[1].formula = TEXT("retained(start=participants, return=acting, basis=day, at=1)");
    fixture_measure(&f, "unused", "count", "type == \"nothing\"");
    plan = fixture_plan(&f);
    assert_int_equal(kpi_plan_fingerprint(plan), fingerprint);
    kpi_plan_unref(plan);
}

static void change_keep(void)
{
    f.in.keep += 1;
}

static void change_limit(void)
{
    f.in.users_max -= 1;
}

static void change_zone(void)
{
    f.campaigns[0].zone = 1;
}

static void change_end(void)
{
    f.campaigns[0].end_day += 1;
}

static void change_filter(void)
{
    f.measures[0].where = TEXT("type == \"impression\"");
}

static void change_formula(void)
{
    f.kpis[0].formula = TEXT("participants / audience");
}

static void change_rolling(void)
{
    f.in.n_rolling = 1;
}

static void change_week(void)
{
    f.in.week_start = 6;
}

static void change_target(void)
{
    (void)fixture_target(&f, "roi", "4");
}

static void change_name(void)
{
    f.kpis[0].name = TEXT("participation");
}

static void change_attribute(void)
{
    fixture_attribute(&f, "orders", "count", "");
}

static void plan_fingerprint_covers_what_decides(void **state)
{
    static void (*const changes[])(void) = {
        change_keep,    change_limit, change_zone,   change_end,  change_filter,    change_formula,
        change_rolling, change_week,  change_target, change_name, change_attribute,
    };
    uint64_t fingerprints[COUNT_OF(changes) + 1];

    for (size_t i = 0; i <= COUNT_OF(changes); ++i) {
        struct kpi_plan *plan;

        fixture_init(&f);
        fixture_kpis_of_the_product(&f);
        (void)fixture_campaign(&f, "a", 0);
        if (i < COUNT_OF(changes))
            changes[i]();
        plan = fixture_plan(&f);
        assert_non_null(plan);
        fingerprints[i] = kpi_plan_fingerprint(plan);
        kpi_plan_unref(plan);
        for (size_t j = 0; j < i; ++j)
            assert_int_not_equal(fingerprints[i], fingerprints[j]);
    }
}

static void instances_are_shared_and_chained(void **state)
{
    struct kpi_plan *plan = plan_of_the_product();
    const struct kpi_program *program = kpi_plan_program(plan);
    uint32_t n_levels_two = 0, n_none = 0;

    /* eleven measures, of which buyers is the first level of repeat_buyers; active is asked for
     * by retained() alone, without campaign */
    assert_int_equal(program->n_instances, 11);
    for (uint32_t i = 0; i < program->n_instances; ++i) {
        const struct kpi_instance *instance = &program->instances[i];

        n_none += instance->dimensions == KPI_DIMENSIONS_NONE;
        if (instance->level == 2) {
            ++n_levels_two;
            assert_int_equal(program->instances[instance->below].level, 1);
            assert_int_equal(program->instances[instance->below].above, i);
            assert_int_equal(instance->above, KPI_NO_INDEX);
            assert_int_equal(program->instances[instance->below].condition, instance->condition);
        }
    }
    assert_int_equal(n_levels_two, 1);
    assert_int_equal(n_none, 1);
    assert_int_equal(program->n_leaves, 11); /* active is no leaf, retained() is */
    assert_int_equal(program->grains[0].n_rows, 13);
    kpi_plan_unref(plan);
}

static void measures_that_say_the_same_share_an_instance(void **state)
{
    struct kpi_plan *plan;

    fixture_measure(&f, "a", "users(3)", "type == \"x\" and score > 1");
    fixture_measure(&f, "b", "users", "score > 1 and type in ['x']");
    fixture_measure(&f, "c", "users(2)", "(score > 1) and (type == 'x')");
    fixture_measure(&f, "d", "users(2)", "1 < score and type == 'x'");
    fixture_kpi(&f, "k", "(a + b) / (c + d)", KPI_UNIT_RATIO);
    (void)fixture_campaign(&f, "one", 0);
    (void)fixture_campaign(&f, "two", 0);
    plan = fixture_plan(&f);
    assert_int_equal(kpi_plan_program(plan)->n_instances, 3);
    assert_int_equal(kpi_plan_program(plan)->n_leaves, 3);
    kpi_plan_unref(plan);
}

static void instances_exist_for_zones_of_campaigns_only(void **state)
{
    struct kpi_plan *plan;
    const struct kpi_leaf *leaf;

    fixture_measure(&f, "a", "users", "");
    fixture_kpi(&f, "k", "a", KPI_UNIT_COUNT);
    plan = fixture_plan(&f);
    assert_int_equal(kpi_plan_program(plan)->n_instances, 0);
    assert_int_equal(kpi_plan_program(plan)->n_leaves, 1);
    kpi_plan_unref(plan);
    (void)fixture_campaign(&f, "one", 2);
    (void)fixture_campaign(&f, "two", 0);
    plan = fixture_plan(&f);
    leaf = &kpi_plan_program(plan)->leaves[0];
    assert_int_equal(kpi_plan_program(plan)->n_instances, 2);
    assert_int_equal(leaf->instance[1], KPI_NO_INDEX);
    assert_int_equal(kpi_plan_program(plan)->instances[leaf->instance[2]].zone, 2);
    assert_int_equal(kpi_plan_program(plan)->instances[leaf->instance[0]].zone, 0);
    assert_int_not_equal(kpi_plan_program(plan)->instances[0].fingerprint,
                         kpi_plan_program(plan)->instances[1].fingerprint);
    kpi_plan_unref(plan);
}

static void retained_names_both_instances(void **state)
{
    struct kpi_plan *plan;
    const struct kpi_program *program;

    fixture_measure(&f, "s", "users", "type == 's'");
    fixture_measure(&f, "r", "users", "type == 'r'");
    fixture_kpi(&f, "k", "retained(start=s, return=r, basis=month, at=3)", KPI_UNIT_RATIO);
    fixture_kpi(&f, "both", "retained(s, r, week, 2, match=both)", KPI_UNIT_RATIO);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    program = kpi_plan_program(plan);
    assert_int_equal(program->n_leaves, 2);
    assert_int_equal(program->grains[0].n_rows, 6);
    for (uint32_t i = 0; i < 2; ++i) {
        const struct kpi_leaf *leaf = &program->leaves[i];
        bool both = leaf->basis == KPI_BASIS_WEEK;

        assert_int_equal(leaf->kind, KPI_LEAF_RETAINED);
        assert_int_equal(leaf->from, both ? 2 : 3);
        assert_int_equal(program->grains[0].leaf_rows[i], 3 * i);
        assert_int_equal(program->instances[leaf->instance[0]].dimensions, KPI_DIMENSIONS_CAMPAIGN);
        assert_int_equal(program->instances[leaf->return_instance[0]].dimensions,
                         both ? KPI_DIMENSIONS_CAMPAIGN : KPI_DIMENSIONS_NONE);
    }
    kpi_plan_unref(plan);
}

static const struct kpi_dispatch *dispatch_of(const struct kpi_plan *plan, const char *type)
{
    struct kpi_field field = string_field(type);

    return kpi_program_dispatch(plan, &field);
}

static void dispatch_knows_what_a_type_can_do(void **state)
{
    struct kpi_plan *plan;
    const struct kpi_dispatch *dispatch;
    const struct kpi_program *program;

    fixture_attribute(&f, "orders", "count", "type == 'purchase'");
    fixture_attribute(&f, "first", "min(time)", "");
    fixture_measure(&f, "bought", "count", "type == 'purchase' and score > 3");
    fixture_measure(&f, "acted", "users(2)", "type in active_types");
    fixture_measure(&f, "others", "count", "not (type == 'purchase')");
    fixture_measure(&f, "all", "count", "");
    fixture_kpi(&f, "k", "bought + acted + others + all", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    program = kpi_plan_program(plan);
    assert_int_equal(program->n_types, 3 + 2); /* and those that erase */

    dispatch = dispatch_of(plan, "purchase");
    assert_true(is_string(dispatch->type, "purchase"));
    assert_int_equal(dispatch->n_actions, 3); /* bought, acted once for its levels, all */
    assert_int_equal(dispatch->n_updates, 2);
    for (uint32_t i = 0; i < dispatch->n_actions; ++i) {
        const struct kpi_instance *instance = &program->instances[dispatch->actions[i].instance];
        struct kpi_field fields[2] = {string_field("a"), number_field(4)};
        struct kpi_event event = {.type = string_field("never asked"), .fields = fields};

        assert_true(instance->level <= 1);
        if (dispatch->actions[i].condition == KPI_NO_INDEX)
            continue;
        /* the residual asks for the score alone */
        assert_true(
            kpi_condition_holds(plan, dispatch->actions[i].condition, &event, NULL, NULL, NULL));
        fields[1] = number_field(3);
        assert_false(
            kpi_condition_holds(plan, dispatch->actions[i].condition, &event, NULL, NULL, NULL));
    }

    dispatch = dispatch_of(plan, "signup");
    assert_int_equal(dispatch->n_actions, 3); /* acted, others, all */
    assert_int_equal(dispatch->n_updates, 1);
    for (uint32_t i = 0; i < dispatch->n_actions; ++i)
        assert_int_equal(dispatch->actions[i].condition, KPI_NO_INDEX);

    dispatch = dispatch_of(plan, "unheard_of");
    assert_ptr_equal(dispatch, &program->types[program->n_types]);
    assert_int_equal(dispatch->n_actions, 2); /* others, all */
    assert_int_equal(dispatch->n_updates, 1);
    kpi_plan_unref(plan);
}

static void dispatch_finds_each_of_many_types(void **state)
{
    char where[40][64];
    char name[40][8];
    struct kpi_plan *plan;

    for (int i = 0; i < 40; ++i) {
        snprintf(name[i], sizeof(name[i]), "m%d", i);
        snprintf(where[i], sizeof(where[i]), "type == 't%d'", i);
        fixture_measure(&f, name[i], "count", where[i]);
        fixture_kpi(&f, name[i], name[i], KPI_UNIT_COUNT);
    }
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    for (int i = 0; i < 40; ++i) {
        char type[8];

        snprintf(type, sizeof(type), "t%d", i);
        assert_true(is_string(dispatch_of(plan, type)->type, type));
        assert_int_equal(dispatch_of(plan, type)->n_actions, 1);
    }
    kpi_plan_unref(plan);
}

static void attributes_get_slots_and_share_them(void **state)
{
    struct kpi_plan *plan;
    const struct kpi_program *program;

    fixture_attribute(&f, "orders", "count", "type == 'purchase'");
    fixture_attribute(&f, "touch", "last(campaign)", "type == 'exposure'");
    fixture_attribute(&f, "buys", "count", "type in [\"purchase\"]");
    fixture_attribute(&f, "spent", "sum(amount)", "type == 'purchase'");
    fixture_attribute(&f, "rating", "last(score)", "score > 0");
    plan = fixture_plan(&f);
    program = kpi_plan_program(plan);
    assert_int_equal(program->n_attributes, 4);
    assert_int_equal(program->n_slots, 1 + 2 + 1 + 2);
    assert_int_equal(program->attributes[1].kind, KPI_ATTRIBUTE_LAST);
    assert_true(program->attributes[1].is_string);
    assert_int_equal(program->attributes[2].slot, 3);
    assert_false(program->attributes[3].is_string);
    kpi_plan_unref(plan);
}

static void fields_are_what_expressions_use(void **state)
{
    struct kpi_plan *plan;
    static const struct {
        const char *name;
        enum kpi_field_use use;
    } expected[] = {
        {"campaign", KPI_USE_STRING}, {"amount", KPI_USE_AMOUNT}, {"spot", KPI_USE_STRING},
        {"channel", KPI_USE_STRING},  {"score", KPI_USE_NUMBER},  {"vip", KPI_USE_BOOL},
        {"weight", KPI_USE_NUMBER},   {"origin", KPI_USE_STRING}, {"alias", KPI_USE_STRING},
    };

    fixture_attribute(&f, "where_seen", "last(spot)", "");
    fixture_measure(&f, "m", "sum(amount)", "channel in ['x', 'y'] and score + 1 > 3 and vip");
    fixture_measure(&f, "n", "count", "where_seen == 'there' and weight < score");
    fixture_measure(&f, "o", "count", "origin == alias"); /* settled by what follows */
    fixture_measure(&f, "p", "count", "alias == channel");
    fixture_kpi(&f, "k", "m + n + o + p", KPI_UNIT_COUNT);
    plan = fixture_plan(&f);
    assert_int_equal(kpi_plan_n_fields(plan), COUNT_OF(expected));
    assert_true(is_string(kpi_plan_field(plan, 0)->name, "campaign"));
    for (size_t i = 0; i < COUNT_OF(expected); ++i) {
        bool found = false;

        for (uint32_t j = 0; j < kpi_plan_n_fields(plan); ++j) {
            if (!is_string(kpi_plan_field(plan, j)->name, expected[i].name))
                continue;
            found = true;
            assert_int_equal(kpi_plan_field(plan, j)->use, expected[i].use);
        }
        assert_true(found);
    }
    kpi_plan_unref(plan);
}

static void kpi_info_has_canonical_text_and_titles(void **state)
{
    struct kpi_plan *plan;

    fixture_kpis_of_the_product(&f);
    f.kpis[0].formula = TEXT("  ( participants)/((reached))");
    f.kpis[0].title_zh = TEXT("活动参与率");
    f.kpis[4].formula = TEXT("100*(promoters-detractors)/responses");
    fixture_kpi(&f, "odd", "50% of audience - -(budget / (buyers * 2)) - (buyers - 1)",
                KPI_UNIT_COUNT);
    plan = fixture_plan(&f);
    assert_true(is_string(kpi_plan_kpi(plan, 0)->formula, "participants / reached"));
    assert_true(is_string(kpi_plan_kpi(plan, 0)->title_en, "participation_rate"));
    assert_true(is_string(kpi_plan_kpi(plan, 0)->title_zh, "活动参与率"));
    assert_true(is_string(kpi_plan_kpi(plan, 1)->formula,
                          "retained(start=participants, return=active, basis=day, at=1)"));
    assert_true(
        is_string(kpi_plan_kpi(plan, 4)->formula, "100 * (promoters - detractors) / responses"));
    assert_true(is_string(kpi_plan_kpi(plan, 5)->formula,
                          "0.5 * audience - -(budget / (buyers * 2)) - (buyers - 1)"));
    kpi_plan_unref(plan);
}

static uint64_t kpi_fingerprint(const char *measure, const char *where, const char *formula)
{
    struct kpi_plan *plan;
    uint64_t fingerprint;

    fixture_init(&f);
    fixture_measure(&f, measure, "users", where);
    fixture_measure(&f, "other", "users", "type == 'other'");
    fixture_kpi(&f, "k", formula, KPI_UNIT_RATIO);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    fingerprint = kpi_plan_kpi(plan, 0)->fingerprint;
    kpi_plan_unref(plan);
    return fingerprint;
}

static void kpi_info_has_its_measures_as_written(void **state)
{
    struct kpi_plan *plan;

    fixture_attribute(&f, "first_seen", "min(time)", "");
    fixture_measure(&f, "buyers", "users", "type == \"purchase\"");
    fixture_measure(&f, "later", "sum(amount)", "type == \"purchase\" and age(first_seen) <= 5d");
    fixture_redirect(&f, "first_seen", "");
    fixture_measure(&f, "all", "count", "");
    fixture_kpi(&f, "a", "later / (all + previous(all)) * gauge(\"g\")", KPI_UNIT_COUNT);
    fixture_kpi(&f, "b", "retained(buyers, all_users, day, 1) - a", KPI_UNIT_RATIO);
    fixture_measure(&f, "all_users", "users", "");
    (void)fixture_campaign(&f, "c", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_true(is_string(kpi_plan_kpi(plan, f.in.n_kpis - 2)->measures,
                          "later: sum(amount) where type == \"purchase\" and age(first_seen) <= 5d,"
                          " at first_seen; all: count"));
    assert_true(
        is_string(kpi_plan_kpi(plan, f.in.n_kpis - 1)->measures,
                  "buyers: users where type == \"purchase\"; later: sum(amount) where type =="
                  " \"purchase\" and age(first_seen) <= 5d, at first_seen; all: count;"
                  " all_users: users"));
    kpi_plan_unref(plan);
}

static void kpi_fingerprint_is_of_meaning(void **state)
{
    uint64_t base = kpi_fingerprint("m", "type == 'x'", "m / other");

    assert_int_equal(kpi_fingerprint("n", "(type == \"x\")", "(n) / other"), base);
    assert_int_not_equal(kpi_fingerprint("m", "type == 'y'", "m / other"), base);
    assert_int_not_equal(kpi_fingerprint("m", "type == 'x'", "other / m"), base);
    assert_int_not_equal(kpi_fingerprint("m", "type == 'x'", "1 * m / other"), base);
}

static uint64_t retained_fingerprint(const char *rest, uint8_t week_start)
{
    char formula[96];
    struct kpi_plan *plan;
    uint64_t fingerprint;

    fixture_init(&f);
    f.in.week_start = week_start;
    snprintf(formula, sizeof(formula), "retained(m, m, %s)", rest);
    fixture_measure(&f, "m", "users", "");
    fixture_kpi(&f, "k", formula, KPI_UNIT_RATIO);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    fingerprint = kpi_plan_kpi(plan, 0)->fingerprint;
    kpi_plan_unref(plan);
    return fingerprint;
}

static void weeks_mean_where_they_begin(void **state)
{
    assert_int_equal(retained_fingerprint("day, 1", 0), retained_fingerprint("day, 1", 6));
    assert_int_not_equal(retained_fingerprint("week, 1", 0), retained_fingerprint("week, 1", 6));
    assert_int_not_equal(retained_fingerprint("week, 1", 0), retained_fingerprint("month, 1", 0));
}

/* What is asked for is the same however it is said, and else another KPI. */
static void a_retention_means_its_periods(void **state)
{
    static const char *const others[] = {"day, 2",
                                         "day, 2, mode=unbounded",
                                         "day, 2, mode=every",
                                         "day, from=2, to=4",
                                         "day, from=1, to=4",
                                         "day, 2, match=both",
                                         "day, 3, mode=every",
                                         "day, 2, cohort=recurring"};

    for (unsigned i = 0; i < COUNT_OF(others); i++)
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(retained_fingerprint(others[i], 0),
                                 retained_fingerprint(others[k], 0));
    assert_int_equal(retained_fingerprint("day, 2", 0),
                     retained_fingerprint("at=2, basis=day, mode=classic, cohort=first_time", 0));
    assert_int_equal(retained_fingerprint("day, from=1, to=4", 0),
                     retained_fingerprint("day, mode=bracket, to=4, from=1", 0));
}

/* Only a value of what is counted varies; what it says is of the plan's identity, not the alert's.
 */
static void targets_that_vary(void **state)
{
    static const struct {
        const char *value;
        bool varies;
    } table[] = {
        {"4", false},
        {"budget / audience", false},
        {"2 * gauge('x')", true},
        {"3 * gauge('x')", true},
        {"110% * previous(nps)", true},
        {"roi", true},
        {"0.1 * days", true},
    };
    uint64_t identity = 0, plans[COUNT_OF(table)];

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        const struct kpi_target *target;
        struct kpi_plan *plan;
        uint32_t n_kpis;

        fixture_init(&f);
        fixture_kpis_of_the_product(&f);
        n_kpis = f.in.n_kpis;
        (void)fixture_campaign(&f, "a", 0);
        (void)fixture_target(&f, "roi", table[i].value);
        plan = fixture_plan(&f);
        target = kpi_plan_target(plan, 0);
        assert_int_equal(target->varies, table[i].varies);
        assert_int_equal(isfinite(target->value) != 0, !table[i].varies);
        assert_true(kpi_string_equal(target->expression,
                                     (struct kpi_string){table[i].value, strlen(table[i].value)}));
        assert_int_equal(kpi_plan_n_kpis(plan), n_kpis); /* it is no KPI */
        if (i == 0)
            identity = target->fingerprint;
        assert_int_equal(target->fingerprint, identity);
        plans[i] = kpi_plan_fingerprint(plan);
        for (size_t k = 0; k < i; ++k)
            assert_int_not_equal(plans[i], plans[k]);
        kpi_plan_unref(plan);
        assert_int_equal(f.mem.bytes, 0);
    }
}

static void targets_get_value_band_and_scope(void **state)
{
    struct kpi_plan *plan;
    const struct kpi_target *target;

    fixture_kpis_of_the_product(&f);
    (void)fixture_campaign(&f, "a", 0);
    f.phases[0] = (struct kpi_phase_definition){TEXT("burst"), DAY_2026_11_01, DAY_2026_11_01 + 5};
    f.campaigns[0].phases = f.phases;
    f.campaigns[0].n_phases = 1;
    (void)fixture_target(&f, "participation_rate", "65%");
    fixture_target(&f, "roi", "4")->scope = TEXT("burst");
    fixture_target(&f, "nps", "50% of 80")->scope = TEXT("rolling:7d");
    *fixture_target(&f, "roi", "budget / audience * 2") = (struct kpi_target_definition){
        .kpi = TEXT("roi"),
        .value = TEXT("budget / audience * 2"),
        .deviation = KPI_DEVIATION_POINTS,
        .deviation_amount = 500000,
        .better = KPI_BETTER_BAND,
        .scope = TEXT("day"),
        .from = 5,
        .to = 10,
        .hold = KPI_MINUTE,
        .sample_min = 7,
    };
    plan = fixture_plan(&f);
    assert_int_equal(kpi_plan_n_targets(plan), 4);
    target = kpi_plan_target(plan, 0);
    assert_int_equal(target->kpi, 0);
    assert_true(fabs(target->value - 0.65) < 1e-12);
    assert_int_equal(target->deviation, KPI_DEVIATION_POINTS);
    assert_true(fabs(target->band - 0.1) < 1e-12);
    assert_int_equal(target->better, KPI_BETTER_UP);
    assert_int_equal(target->scope_pattern.kind, KPI_SCOPE_CAMPAIGN);
    target = kpi_plan_target(plan, 1);
    assert_int_equal(target->deviation, KPI_DEVIATION_RELATIVE);
    assert_true(fabs(target->band - 0.4) < 1e-12);
    assert_int_equal(target->scope_pattern.kind, KPI_SCOPE_PHASE);
    assert_int_equal(target->scope_pattern.phase, 0);
    target = kpi_plan_target(plan, 2);
    assert_true(fabs(target->value - 40) < 1e-12);
    assert_int_equal(target->scope_pattern.kind, KPI_SCOPE_ROLLING);
    assert_int_equal(target->scope_pattern.count, 7);
    assert_int_equal(target->scope_pattern.unit, KPI_SCOPE_DAY);
    target = kpi_plan_target(plan, 3);
    assert_true(fabs(target->value - 5) < 1e-12);
    assert_true(fabs(target->band - 0.5) < 1e-12);
    assert_int_equal(target->better, KPI_BETTER_BAND);
    assert_int_equal(target->scope_pattern.kind, KPI_SCOPE_DAY);
    assert_int_equal(target->from, 5);
    assert_int_equal(target->to, 10);
    assert_int_equal(target->hold, KPI_MINUTE);
    assert_int_equal(target->sample_min, 7);
    kpi_plan_unref(plan);
}

static void target_fingerprint_is_its_identity(void **state)
{
    struct kpi_plan *plan;
    uint64_t fingerprint;

    fixture_kpis_of_the_product(&f);
    (void)fixture_campaign(&f, "a", 0);
    (void)fixture_target(&f, "roi", "4");
    plan = fixture_plan(&f);
    fingerprint = kpi_plan_target(plan, 0)->fingerprint;
    kpi_plan_unref(plan);
    f.targets[0].value = TEXT("5"); /* another aim, the same alert */
    f.targets[0].scope = TEXT("campaign");
    plan = fixture_plan(&f);
    assert_int_equal(kpi_plan_target(plan, 0)->fingerprint, fingerprint);
    kpi_plan_unref(plan);
    f.targets[0].scope = TEXT("day");
    plan = fixture_plan(&f);
    assert_int_not_equal(kpi_plan_target(plan, 0)->fingerprint, fingerprint);
    kpi_plan_unref(plan);
}

static void definitions_may_go_once_the_plan_is_made(void **state)
{
    char *name = strdup("passing"), *where = strdup("type == 'gone' and where_from == 'there'");
    struct kpi_plan *plan;

    fixture_measure(&f, name, "users", where);
    fixture_kpi(&f, "k", name, KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    memset(name, 'x', strlen(name));
    memset(where, 'x', strlen(where));
    free(name);
    free(where);
    memset(f.starts, 0, sizeof(f.starts));
    assert_int_equal(dispatch_of(plan, "gone")->n_actions, 1);
    assert_true(is_string(kpi_plan_field(plan, 1)->name, "where_from"));
    assert_true(is_string(kpi_plan_kpi(plan, 0)->formula, "passing"));
    assert_int_equal(kpi_zone_day(kpi_plan_zone(plan, 0), DAY_2026_11_01 * KPI_DAY),
                     DAY_2026_11_01);
    kpi_plan_unref(plan);
}

static void a_plan_lives_as_long_as_its_references(void **state)
{
    struct kpi_plan *plan = plan_of_the_product();

    assert_ptr_equal(kpi_plan_ref(plan), plan);
    assert_null(kpi_plan_unref(plan));
    assert_true(f.mem.bytes > 0);
    kpi_plan_unrefp(&plan);
    assert_null(plan);
    assert_int_equal(f.mem.bytes, 0);
    assert_null(kpi_plan_unref(NULL));
}

static void every_failed_allocation_is_survived(void **state)
{
    struct kpi_plan *plan = NULL;
    uint64_t n_calls;
    int r = -ENOMEM;

    fixture_kpis_of_the_product(&f);
    fixture_attribute(&f, "orders", "count", "type == 'purchase' and \"wei\\\"rd\" == channel");
    fixture_measure(&f, "new_buyers", "users", "type == 'purchase' and (orders == 0 or vip)");
    fixture_kpi(&f, "share", "new_buyers / buyers", KPI_UNIT_RATIO);
    fixture_dimension(&f, "channel", "", 0);
    fixture_dimension(&f, "orders", "", 5);
    fixture_segment(&f, "newcomer", "orders == 0");
    fixture_breakdown(&f, "orders,channel");
    fixture_breakdown(&f, "newcomer");
    (void)fixture_campaign(&f, "a", 1);
    (void)fixture_target(&f, "roi", "2 + 2");
    for (n_calls = 1; r != 0; ++n_calls) {
        f.mem.n_calls = 0;
        f.mem.fail_at = n_calls;
        r = fixture_compile(&f, &plan);
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
        assert_null(plan);
        assert_int_equal(f.mem.bytes, 0);
        assert_int_equal(f.recorder.diag.n_errors, 0);
    }
    assert_true(n_calls > 50);
    kpi_plan_unref(plan);
    assert_int_equal(f.mem.bytes, 0);
}

static void a_batch_has_room_for_all_fields(void **state)
{
    struct kpi_plan *plan = plan_of_the_product();
    struct kpi_batch *batch;
    size_t bytes = f.mem.bytes;

    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), 0);
    assert_int_equal(batch->n_events, 0);
    for (unsigned i = 0; i < KPI_BATCH_MAX; ++i) {
        for (uint32_t j = 0; j < kpi_plan_n_fields(plan); ++j) {
            assert_int_equal(batch->events[i].fields[j].kind, KPI_FIELD_ABSENT);
            batch->events[i].fields[j].kind = KPI_FIELD_BOOL;
        }
    }
    assert_null(kpi_batch_free(batch));
    assert_null(kpi_batch_free(NULL));
    assert_int_equal(f.mem.bytes, bytes);
    f.mem.n_calls = 0;
    f.mem.fail_at = 1;
    assert_int_equal(kpi_batch_new(&batch, plan, &f.mem.mem), -ENOMEM);
    kpi_plan_unref(plan);
}

/* --- breakdowns --- */

/* Fingerprints of a plan with one dimension, and of the set that it makes. */
struct broken_down {
    uint64_t plan, set, kpi, dimension;
    uint32_t n_instances, n_sets;
};

static struct broken_down broken_down(const char *name, const char *of, uint32_t values,
                                      const char *where, const char *breakdown)
{
    struct broken_down result;
    struct kpi_plan *plan;

    fixture_init(&f);
    fixture_attribute(&f, "orders", "count", where);
    fixture_kpis_of_the_product(&f);
    fixture_dimension(&f, name, of, values);
    fixture_dimension(&f, "other", "town", 0);
    fixture_segment(&f, "newcomer", "orders == 0");
    fixture_breakdown(&f, breakdown);
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    result = (struct broken_down){
        .plan = kpi_plan_fingerprint(plan),
        .set = kpi_plan_program(plan)->sets[0].fingerprint,
        .kpi = kpi_plan_kpi(plan, 0)->fingerprint,
        .dimension = kpi_plan_program(plan)->dimensions[0].fingerprint,
        .n_instances = kpi_plan_program(plan)->n_instances,
        .n_sets = kpi_plan_program(plan)->n_sets,
    };
    kpi_plan_unref(plan);
    return result;
}

/* What is stored goes by what a dimension means and how many values it may have. */
static void a_dimension_counts_by_its_meaning(void **state)
{
    struct broken_down a = broken_down("channel", "", 9, "type == 'x'", "channel");
    struct broken_down b = broken_down("via", "channel", 9, "type == 'x'", "via");

    assert_true(a.set == b.set);
    assert_true(a.plan != b.plan); /* reports have other names */
    assert_true(a.kpi == b.kpi);
    assert_true(a.set != broken_down("channel", "", 10, "type == 'x'", "channel").set);
    assert_true(a.set != broken_down("channel", "city", 9, "type == 'x'", "channel").set);
    a = broken_down("d", "", 9, "type == 'x'", "d,other");
    b = broken_down("d", "", 9, "type == 'x'", "other,d");
    assert_true(a.set == b.set && a.plan == b.plan);
    a = broken_down("o", "orders", 9, "type == 'x'", "o");
    assert_true(a.set == broken_down("o", "orders", 9, "type in ['x']", "o").set);
    assert_true(a.set != broken_down("o", "orders", 9, "type == 'y'", "o").set);
    a = broken_down("d", "", 9, "type == 'x'", "newcomer");
    assert_true(a.set != broken_down("d", "", 9, "type == 'y'", "newcomer").set);
}

/* Fingerprints of what is stored of a campaign in Berlin, by clocks of the plan's own zone. */
static void by_clocks_of(uint32_t zone, const char *of, uint64_t ret[2])
{
    struct kpi_plan *plan;

    fixture_init(&f);
    f.zones[0] = f.zones[zone];
    fixture_measure(&f, "m", "count", "hour(time) == 3");
    fixture_kpi(&f, "m", "m", KPI_UNIT_COUNT);
    fixture_dimension(&f, "d", of, 0);
    fixture_breakdown(&f, "d");
    (void)fixture_campaign(&f, "a", 1);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    ret[0] = kpi_plan_program(plan)->instances[0].fingerprint;
    ret[1] = kpi_plan_program(plan)->sets[0].fingerprint;
    assert_true(kpi_plan_program(plan)->dimensions[0].values_max < 32);
    kpi_plan_unref(plan);
}

static void clocks_are_those_of_a_zone(void **state)
{
    uint64_t a[2], b[2];

    by_clocks_of(0, "hour(time)", a);
    by_clocks_of(0, "hour( time )", b);
    assert_memory_equal(a, b, sizeof(a));
    by_clocks_of(2, "hour(time)", b);
    assert_true(a[0] != b[0] && a[1] != b[1]);
    by_clocks_of(0, "weekday(time)", b);
    assert_true(a[1] != b[1]);
}

/* Two names for one thing, alone and together, are stored once. */
static void dimensions_that_mean_the_same_share_a_set(void **state)
{
    struct kpi_plan *plan;

    fixture_kpis_of_the_product(&f);
    fixture_dimension(&f, "channel", "", 0);
    fixture_dimension(&f, "via", "channel", 0);
    fixture_breakdown(&f, "channel");
    fixture_breakdown(&f, "via");
    fixture_breakdown(&f, "via,channel");
    (void)fixture_campaign(&f, "a", 0);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_int_equal(kpi_plan_n_breakdowns(plan), 3);
    assert_int_equal(kpi_plan_program(plan)->n_dimensions, 1);
    assert_int_equal(kpi_plan_program(plan)->n_sets, 1);
    kpi_plan_unref(plan);
}

/* retained() is broken down by its start; who came back came back anywhere. */
static void only_the_start_of_retained_is_broken_down(void **state)
{
    const struct kpi_program *program;
    struct kpi_plan *plan;
    unsigned n = 0;

    fixture_dimension(&f, "channel", "", 0);
    fixture_breakdown(&f, "channel");
    plan = plan_of_the_product();
    program = kpi_plan_program(plan);
    for (uint32_t i = 0; i < program->n_leaves; ++i) {
        const struct kpi_leaf *leaf = &program->breakdowns[0].leaves[i];

        assert_int_equal(program->instances[leaf->instance[0]].dimensions, KPI_DIMENSIONS_SETS);
        if (leaf->kind != KPI_LEAF_RETAINED)
            continue;
        assert_int_equal(program->instances[leaf->return_instance[0]].dimensions,
                         KPI_DIMENSIONS_NONE);
        ++n;
    }
    assert_int_equal(n, 1);
    kpi_plan_unref(plan);
}

/* A segment stands for its condition, also in a measure. */
static void a_segment_is_a_condition(void **state)
{
    static const char *const wheres[] = {"newcomer and type == 'x'", "type == 'x' and orders == 0"};
    uint64_t fingerprints[2];

    for (unsigned i = 0; i < 2; ++i) {
        struct kpi_plan *plan;

        fixture_init(&f);
        fixture_attribute(&f, "orders", "count", "");
        fixture_segment(&f, "newcomer", "orders == 0");
        fixture_measure(&f, "m", "users", wheres[i]);
        fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
        (void)fixture_campaign(&f, "a", 0);
        plan = fixture_plan(&f);
        assert_non_null(plan);
        fingerprints[i] = kpi_plan_program(plan)->instances[0].fingerprint;
        kpi_plan_unref(plan);
    }
    assert_true(fingerprints[0] == fingerprints[1]);
}

static void every_refusal_has_a_name_of_its_own(void **state)
{
    for (int i = 0; i < KPI_REFUSAL_COUNT; ++i) {
        const char *name = kpi_refusal_name((enum kpi_refusal)i);

        assert_non_null(name);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_8"), strlen(name));
        for (int j = 0; j < i; ++j)
            assert_string_not_equal(name, kpi_refusal_name((enum kpi_refusal)j));
    }
    assert_string_equal(kpi_refusal_name(KPI_REFUSAL_TOO_LARGE), "too_large");
}

/* Renaming keeps state, so names say who asked for it and nothing else. */
static void states_have_names_and_fingerprints(void **state)
{
    struct kpi_state_info info;
    struct kpi_plan *plan;
    unsigned n_levels = 0, n_attributes = 0, n_everybody = 0;

    fixture_init(&f);
    fixture_attribute(&f, "orders", "count", "type == \"purchase\"");
    fixture_measure(&f, "active", "users", "");
    fixture_measure(&f, "again", "users(3)", "type == \"purchase\" and orders > 0");
    fixture_kpi(&f, "k", "again / active", KPI_UNIT_RATIO);
    fixture_kpi(&f, "r", "retained(active, active, day, 1)", KPI_UNIT_RATIO);
    (void)fixture_campaign(&f, "a", 2);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    for (uint32_t i = 0; i < kpi_plan_n_states(plan); ++i) {
        kpi_plan_state(plan, i, &info);
        assert_int_not_equal(info.fingerprint, 0);
        if (info.is_attribute) {
            assert_true(is_string(info.name, "orders") && is_string(info.zone, ""));
            ++n_attributes;
            continue;
        }
        assert_true(is_string(info.zone, "Asia/Shanghai"));
        if (is_string(info.name, "again"))
            assert_int_equal(info.level, ++n_levels);
        else
            assert_true(is_string(info.name, "active"));
        n_everybody += !info.by_campaign;
    }
    assert_int_equal(n_levels, 3);
    assert_int_equal(n_attributes, 1);
    assert_int_equal(n_everybody, 1); /* who returns may do so anywhere */
    assert_int_equal(kpi_plan_n_states(plan), 6);
    assert_int_equal(kpi_plan_keep_days(plan), 400);
    kpi_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(same_meaning_same_fingerprint, setup),
        cmocka_unit_test(states_have_names_and_fingerprints),
        cmocka_unit_test_setup(other_meaning_other_fingerprint, setup),
        cmocka_unit_test_setup(an_attribute_counts_by_its_meaning, setup),
        cmocka_unit_test_setup(an_attribute_behind_an_attribute_counts_too, setup),
        cmocka_unit_test_setup(plan_fingerprint_ignores_order_and_titles, setup),
        cmocka_unit_test_setup(plan_fingerprint_covers_what_decides, setup),
        cmocka_unit_test_setup(instances_are_shared_and_chained, setup),
        cmocka_unit_test_setup(measures_that_say_the_same_share_an_instance, setup),
        cmocka_unit_test_setup(instances_exist_for_zones_of_campaigns_only, setup),
        cmocka_unit_test_setup(retained_names_both_instances, setup),
        cmocka_unit_test_setup(dispatch_knows_what_a_type_can_do, setup),
        cmocka_unit_test_setup(dispatch_finds_each_of_many_types, setup),
        cmocka_unit_test_setup(attributes_get_slots_and_share_them, setup),
        cmocka_unit_test_setup(fields_are_what_expressions_use, setup),
        cmocka_unit_test_setup(kpi_info_has_canonical_text_and_titles, setup),
        cmocka_unit_test_setup(kpi_info_has_its_measures_as_written, setup),
        cmocka_unit_test_setup(kpi_fingerprint_is_of_meaning, setup),
        cmocka_unit_test_setup(weeks_mean_where_they_begin, setup),
        cmocka_unit_test_setup(a_retention_means_its_periods, setup),
        cmocka_unit_test_setup(targets_get_value_band_and_scope, setup),
        cmocka_unit_test_setup(targets_that_vary, setup),
        cmocka_unit_test_setup(target_fingerprint_is_its_identity, setup),
        cmocka_unit_test_setup(definitions_may_go_once_the_plan_is_made, setup),
        cmocka_unit_test_setup(a_plan_lives_as_long_as_its_references, setup),
        cmocka_unit_test_setup(every_failed_allocation_is_survived, setup),
        cmocka_unit_test_setup(a_batch_has_room_for_all_fields, setup),
        cmocka_unit_test_setup(a_dimension_counts_by_its_meaning, setup),
        cmocka_unit_test_setup(clocks_are_those_of_a_zone, setup),
        cmocka_unit_test_setup(dimensions_that_mean_the_same_share_a_set, setup),
        cmocka_unit_test_setup(only_the_start_of_retained_is_broken_down, setup),
        cmocka_unit_test_setup(a_segment_is_a_condition, setup),
        cmocka_unit_test_setup(every_refusal_has_a_name_of_its_own, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
