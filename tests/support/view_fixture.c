#include "view_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    FIRST_DAY = 20000,
    N_DAYS = 2000,
    START_DAY = 20758, /* 2026-11-01 */
};

static kpi_time day_starts[N_DAYS + 1];

#define TEXT(literal)                                                                              \
    {                                                                                              \
        .data = (literal), .length = sizeof(literal) - 1                                           \
    }
#define TYPE_IS(name) TEXT("type == \"" name "\"")

static const struct kpi_measure_definition measures[] = {
    {TEXT("participants"), TEXT("users"), TYPE_IS("participation")},
    {TEXT("reached"), TEXT("users"), TYPE_IS("exposure")},
    {TEXT("orders"), TEXT("count"), TYPE_IS("purchase")},
    {TEXT("revenue"), TEXT("sum(amount)"), TYPE_IS("purchase")},
    {TEXT("dwell"), TEXT("sum(seconds)"), TYPE_IS("session")},
    {TEXT("sessions"), TEXT("count"), TYPE_IS("session")},
    {TEXT("promoters"), TEXT("latest_users(score >= 9)"), TYPE_IS("survey")},
    {TEXT("responses"), TEXT("users"), TYPE_IS("survey")},
};

static const struct kpi_dimension_definition dimensions[] = {{TEXT("channel")}, {TEXT("城市")}};
static const struct kpi_text names[] = {TEXT("城市"), TEXT("channel")};
/* in the plan: channel; channel and 城市; 城市 */
static const struct kpi_breakdown_definition breakdowns[] = {
    {&names[0], 1}, {&names[0], 2}, {&names[1], 1}};

static const struct kpi_kpi_definition kpis[] = {
    {TEXT("participation_rate"), TEXT("participants / reached"), TEXT("Participation rate"),
     TEXT("活动参与率"), KPI_UNIT_RATIO, KPI_BETTER_UP},
    {TEXT("orders_placed"), TEXT("orders"), TEXT("Orders"), TEXT("订单"), KPI_UNIT_COUNT,
     KPI_BETTER_UP},
    {TEXT("revenue_total"), TEXT("revenue"), TEXT("Revenue"), TEXT("收入"), KPI_UNIT_MONEY,
     KPI_BETTER_UP},
    {TEXT("dwell_mean"), TEXT("dwell / sessions"), TEXT("Dwell"), TEXT("停留"), KPI_UNIT_DURATION,
     KPI_BETTER_UP},
    {TEXT("nps"), TEXT("100 * promoters / responses"), TEXT("NPS"), TEXT("净推荐值"),
     KPI_UNIT_POINTS, KPI_BETTER_UP},
    {TEXT("roi"), TEXT("revenue / budget"), TEXT("ROI"), TEXT("投资回报"), KPI_UNIT_MULTIPLE,
     KPI_BETTER_BAND, true, &breakdowns[2], 1},
};

static const struct kpi_phase_definition phases[] = {
    {TEXT("warmup"), START_DAY, START_DAY + 9},
    {TEXT("burst"), START_DAY + 9, START_DAY + 14},
};

static const struct kpi_target_definition targets[] = {
    {.kpi = TEXT("participation_rate"),
     .value = TEXT("65%"),
     .better = -1,
     .from = KPI_TIME_NONE,
     .to = KPI_TIME_NONE,
     .hold = 5 * KPI_MINUTE,
     .sample_min = 100},
    {.kpi = TEXT("roi"),
     .value = TEXT("4"),
     .better = -1,
     .scope = TEXT("burst"),
     .from = KPI_TIME_NONE,
     .to = KPI_TIME_NONE,
     .hold = 5 * KPI_MINUTE,
     .sample_min = 100},
};

static void *resize(void *userdata, void *pointer, size_t old_size, size_t new_size)
{
    void *block;

    if (new_size == 0) {
        free(pointer);
        return NULL;
    }
    if (new_size % 64 != 0)
        return realloc(pointer, new_size);
    block = aligned_alloc(64, new_size);
    if (block && pointer)
        memcpy(block, pointer, old_size < new_size ? old_size : new_size);
    if (block)
        free(pointer);
    return block;
}

static const struct kpi_mem mem = {.resize = resize};

static void report(void *userdata, const struct kpi_message *message)
{
    fail_msg("%.*s", (int)message->text.length, message->text.data);
}

static struct kpi_plan *make_plan(uint32_t n_campaigns)
{
    static const struct kpi_text rolling[] = {{"7d", 2, 0}};
    struct kpi_campaign_definition *campaigns = calloc(n_campaigns, sizeof(*campaigns));
    char(*ids)[32] = calloc(n_campaigns, sizeof(*ids));
    struct kpi_zone zone = {KPI_STRING("Asia/Shanghai"), FIRST_DAY, N_DAYS, day_starts};
    struct kpi_diag diag = {.report = report};
    struct kpi_plan *plan = NULL;

    for (int i = 0; i <= N_DAYS; i++)
        day_starts[i] = (FIRST_DAY + i) * KPI_DAY - 8 * KPI_HOUR;
    for (uint32_t i = 0; i < n_campaigns; i++) {
        snprintf(ids[i], sizeof(ids[i]), i == 0 ? "618 大促" : "campaign-%u", i);
        campaigns[i] = (struct kpi_campaign_definition){
            .id = {.data = ids[i], .length = (uint32_t)strlen(ids[i])},
            .start_day = START_DAY,
            .end_day = START_DAY + 30,
            .audience = KPI_TIME_NONE,
            .budget = 2000 * KPI_DECIMAL_ONE,
            .phases = phases,
            .n_phases = 2,
            .targets = targets,
            .n_targets = 2,
        };
    }
    assert_int_equal(kpi_plan_new(&plan,
                                  &(struct kpi_definitions){
                                      .measures = measures,
                                      .n_measures = sizeof(measures) / sizeof(measures[0]),
                                      .dimensions = dimensions,
                                      .n_dimensions = 2,
                                      .breakdowns = breakdowns,
                                      .n_breakdowns = 2,
                                      .kpis = kpis,
                                      .n_kpis = FIXTURE_KPIS,
                                      .campaigns = campaigns,
                                      .n_campaigns = n_campaigns,
                                      .zones = &zone,
                                      .n_zones = 1,
                                      .rolling = rolling,
                                      .n_rolling = 1,
                                      .keep = 400 * KPI_DAY,
                                      .future_skew_max = 5 * KPI_MINUTE,
                                      .dedupe_window = 24 * KPI_HOUR,
                                      .dedupe_ids_max = 1000,
                                      .users_max = 1000,
                                      .values_max = 1000,
                                  },
                                  &mem, &diag),
                     0);
    free(ids);
    free(campaigns);
    return plan;
}

static void add_shards(struct view *view)
{
    view->n_shards = 2;
    view->shards = calloc(2, sizeof(*view->shards));
    view->shards[0] = (struct view_shard){
        .shard = 0,
        .owned = true,
        .present = true,
        .caught_up = true,
        .epoch = 3,
        .generation = 17,
        .lag = 0,
        .n_unsaved = 42,
        .saved_at = VIEW_FIXTURE_AS_OF - 5 * KPI_SECOND,
        .counts_from = KPI_TIME_NONE,
        .stats = {.n_applied = 1000,
                  .n_duplicates = 7,
                  .newest_record = VIEW_FIXTURE_AS_OF,
                  .newest_event = VIEW_FIXTURE_AS_OF,
                  .dedupe_window = 24 * KPI_HOUR,
                  .n_users = 300,
                  .bytes = 123456},
    };
    view->shards[1] = (struct view_shard){
        .shard = 1,
        .present = true,
        .lag = -1,
        .saved_at = KPI_TIME_NONE,
        .counts_from = KPI_TIME_NONE,
        .stats = {.newest_record = KPI_TIME_NONE, .newest_event = KPI_TIME_NONE},
    };
    view->n_partitions = 2;
    view->partitions = calloc(2, sizeof(*view->partitions));
    view->partitions[0] = (struct view_partition){.topic = "app", .partition = 0, .next = 1049};
    view->partitions[1] =
        (struct view_partition){.topic = "app", .partition = 1, .lag = -1, .next = 5};
}

static void add_alerts(struct view *view, const struct kpi_plan *plan)
{
    view->n_alerts = kpi_plan_n_targets(plan);
    view->alerts = calloc(view->n_alerts, sizeof(*view->alerts));
    for (uint32_t i = 0; i < view->n_alerts; i++) {
        const struct kpi_target *target = kpi_plan_target(plan, i);
        uint32_t scope = target->campaign * FIXTURE_SCOPES +
                         (target->kpi == FIXTURE_ROI ? FIXTURE_BURST : FIXTURE_CAMPAIGN);

        view->alerts[i] = (struct view_alert){
            .target = target,
            .present = *target,
            .alert = {.since = KPI_TIME_NONE, .deviating_since = KPI_TIME_NONE},
            .value = {.state = KPI_VALUE_NO_DATA, .counts_from = KPI_TIME_NONE},
            .scope = *kpi_layout_scope(view->layout, scope),
            .distance = __builtin_nan(""),
        };
    }
}

struct view *view_fixture_new(uint32_t n_campaigns)
{
    struct kpi_plan *plan = make_plan(n_campaigns);
    struct view *view = calloc(1, sizeof(*view));
    size_t n_values;

    view->n_references = 1;
    view->as_of = VIEW_FIXTURE_AS_OF;
    view->made_at = VIEW_FIXTURE_AS_OF;
    view->version = 1;
    view->complete = true;
    view->leader = true;
    assert_int_equal(kpi_layout_new(&view->layout, plan, view->as_of, &mem), 0);
    assert_int_equal(kpi_layout_n_scopes(view->layout), n_campaigns * FIXTURE_SCOPES);
    view->rows = calloc(kpi_layout_n_rows(view->layout), sizeof(*view->rows));
    n_values = (size_t)n_campaigns * FIXTURE_SCOPES * FIXTURE_KPIS;
    view->values = calloc(n_values, sizeof(*view->values));
    for (size_t i = 0; i < n_values; i++)
        view->values[i] =
            (struct kpi_value){.state = KPI_VALUE_NO_DATA, .counts_from = KPI_TIME_NONE};
    add_shards(view);
    add_alerts(view, plan);
    (void)kpi_plan_unref(plan); /* the layout holds another */
    return view;
}

static struct kpi_number number(enum kpi_number_kind kind, int64_t value)
{
    double real = kind == KPI_NUMBER_COUNT ? (double)value : (double)value / 1e6;

    return (struct kpi_number){.kind = kind, .value = value, .real = real};
}

void view_fixture_set(struct view *view, uint32_t campaign, enum view_fixture_scope scope,
                      enum view_fixture_kpi kpi, enum kpi_value_state state, int64_t numerator,
                      int64_t denominator)
{
    static const enum kpi_number_kind kinds[FIXTURE_KPIS][2] = {
        [FIXTURE_RATE] = {KPI_NUMBER_COUNT, KPI_NUMBER_COUNT},
        [FIXTURE_ORDERS] = {KPI_NUMBER_COUNT, KPI_NUMBER_NONE},
        [FIXTURE_REVENUE] = {KPI_NUMBER_MONEY, KPI_NUMBER_NONE},
        [FIXTURE_DWELL] = {KPI_NUMBER_REAL, KPI_NUMBER_COUNT},
        [FIXTURE_NPS] = {KPI_NUMBER_COUNT, KPI_NUMBER_COUNT},
        [FIXTURE_ROI] = {KPI_NUMBER_MONEY, KPI_NUMBER_MONEY},
    };
    struct kpi_value *value =
        &view->values[((size_t)campaign * FIXTURE_SCOPES + scope) * FIXTURE_KPIS + kpi];

    value->state = state;
    value->reason = state == KPI_VALUE_UNDEFINED ? KPI_REASON_DIVISION_BY_ZERO : KPI_REASON_NONE;
    value->numerator = number(kinds[kpi][0], numerator);
    value->denominator = number(kinds[kpi][1], denominator);
    value->value = kinds[kpi][1] == KPI_NUMBER_NONE
                       ? value->numerator.real
                       : value->numerator.real / value->denominator.real;
    value->complete = scope == FIXTURE_TODAY ? 0.5 : 1;
    value->definition = 0xc0ffee;
}

void view_fixture_add_groups(struct view *view, const struct view_fixture_group *groups,
                             uint32_t n_groups)
{
    struct kpi_supplement *supplement;

    assert_int_equal(kpi_supplement_new(&supplement, &mem), 0);
    for (uint32_t i = 0; i < n_groups; i++) {
        struct kpi_row rows[16];
        struct kpi_group group = {
            .scope = groups[i].campaign * FIXTURE_SCOPES + groups[i].scope,
            .breakdown = groups[i].breakdown,
            .n_values = groups[i].breakdown == FIXTURE_CHANNEL_CITY ? 2 : 1,
            .n_rows = groups[i].breakdown == FIXTURE_CHANNEL ? 1 : 8, /* one a measure needed */
            .rows = rows,
        };

        for (uint32_t k = 0; k < group.n_values; k++)
            if (groups[i].values[k])
                group.values[k] =
                    (struct kpi_string){groups[i].values[k], strlen(groups[i].values[k])};
        for (uint32_t k = 0; k < group.n_rows; k++)
            rows[k] = (struct kpi_row){groups[i].n, groups[i].n};
        assert_int_equal(kpi_supplement_push(supplement, &group), 0);
    }
    assert_true(kpi_supplement_fits(supplement, view->layout));
    assert_int_equal(view_add_groups(view, supplement), 0);
    (void)kpi_supplement_unref(supplement);
}
