/*
 * A plan: definitions compiled once, immutable afterwards and shared by all threads (reference
 * counted, the one atomic in libkpi).
 *
 * A plan knows which fields an event must give (the decoder asks), what to store (the engine asks)
 * and how KPIs come out of what shards report (kpi/report.h).
 */
#pragma once

#include <kpi/base.h>
#include <kpi/definition.h>
#include <kpi/diag.h>
#include <kpi/event.h>

struct kpi_plan;

enum {
    KPI_PLAN_E_INVALID = 1, /* errors were reported to diag; there is no plan */
};

/* Sizes that definitions may reach; more is an error with its position. */
enum {
    KPI_FIELDS_MAX = 64,
    KPI_ATTRIBUTES_MAX = 64,
    KPI_MEASURES_MAX = 1024,
    KPI_KPIS_MAX = 1024,
    KPI_CAMPAIGNS_MAX = 1000,
    KPI_ZONES_MAX = 64,
    KPI_EXPRESSION_BYTES_MAX = 4096,
    KPI_EXPRESSION_DEPTH_MAX = 32,
    KPI_LEVELS_MAX = 16,     /* n of users(n) */
    KPI_GAUGES_MAX = 64,     /* that formulas name */
    KPI_DIMENSIONS_MAX = 64, /* and as many segments */
    KPI_BREAKDOWNS_MAX = 64, /* different ones of all KPIs */
    KPI_BREAKDOWN_DIMENSIONS_MAX = 4,
    KPI_SESSION_FIELDS_MAX = 4, /* of one kind of session, beside the campaign */
    KPI_SET_VALUES_MAX = 32,    /* n of set(field, n) */
    KPI_TABLES_MAX = 64,
    KPI_TABLE_PERIODS_MAX = 400, /* and cohorts or periods shown; and brackets */
    KPI_EXPERIMENTS_MAX = 64,
};

#define KPI_SESSION_GAP_MAX (7 * KPI_DAY)

/*
 * Compiles definitions. All errors are reported to diag, at their origins.
 * Returns 0, KPI_PLAN_E_INVALID or -ENOMEM. The caller owns one reference.
 */
int kpi_plan_new(struct kpi_plan **ret_plan, const struct kpi_definitions *definitions,
                 const struct kpi_mem *mem, struct kpi_diag *diag);
struct kpi_plan *kpi_plan_ref(struct kpi_plan *plan);
struct kpi_plan *kpi_plan_unref(struct kpi_plan *plan); /* NULL is fine; returns NULL */
void kpi_plan_unrefp(struct kpi_plan **plan);

/* Hash of all that decides results; independent of order and of names of unused things. */
uint64_t kpi_plan_fingerprint(const struct kpi_plan *plan);
/* How long cells are kept. */
kpi_duration kpi_plan_keep(const struct kpi_plan *plan);

/* What a field is used as. A decoder refuses another kind (KPI_REFUSAL_FIELD). */
enum kpi_field_use {
    KPI_USE_STRING,
    KPI_USE_NUMBER,
    KPI_USE_BOOL,
    KPI_USE_AMOUNT, /* the field `amount`: decimal string or number, not negative, in `currency` */
    KPI_USE_ANY,    /* a string, number or bool, as it comes: nothing but a dimension uses it */
};

struct kpi_field_spec {
    struct kpi_string name; /* JSON key; of a nested field its path: props.sku */
    enum kpi_field_use use;
};

/* Field 0 is always `campaign`. The envelope (id, source, type, user, time, currency) is not
 * listed. */
uint32_t kpi_plan_n_fields(const struct kpi_plan *plan);
const struct kpi_field_spec *kpi_plan_field(const struct kpi_plan *plan, uint32_t field);

struct kpi_kpi_info {
    struct kpi_string name;
    struct kpi_string title_en, title_zh; /* never empty */
    struct kpi_string formula;            /* canonical text */
    /* what its measures are, as written: "orders: count where type == "purchase"; …" */
    struct kpi_string measures;
    enum kpi_unit unit;
    enum kpi_better better;
    uint64_t fingerprint; /* of the definition with its measures, without zone */
};

uint32_t kpi_plan_n_kpis(const struct kpi_plan *plan);
const struct kpi_kpi_info *kpi_plan_kpi(const struct kpi_plan *plan, uint32_t kpi);

struct kpi_dimension_info {
    struct kpi_string name;
    struct kpi_string title_en, title_zh; /* never empty */
};

/* What KPIs are broken down by: dimensions in the order of their names. */
struct kpi_breakdown_info {
    uint32_t n_dimensions;
    struct kpi_dimension_info dimensions[KPI_BREAKDOWN_DIMENSIONS_MAX];
};

/* In the order of their names, one dimension after the other. */
uint32_t kpi_plan_n_breakdowns(const struct kpi_plan *plan);
const struct kpi_breakdown_info *kpi_plan_breakdown(const struct kpi_plan *plan,
                                                    uint32_t breakdown);
/* Is this KPI broken down so? */
bool kpi_plan_breaks_down(const struct kpi_plan *plan, uint32_t breakdown, uint32_t kpi);

/*
 * Does a formula name quantiles? Their rows are not done before kpi_rows_fill_quantiles()
 * (kpi/supplement.h).
 */
bool kpi_plan_has_quantiles(const struct kpi_plan *plan);

/* Has kpi_engine_supplement() anything to say: breakdowns or quantiles? */
static inline bool kpi_plan_has_supplement(const struct kpi_plan *plan)
{
    return kpi_plan_n_breakdowns(plan) > 0 || kpi_plan_has_quantiles(plan);
}

struct kpi_phase_info {
    struct kpi_string name;
    kpi_day start_day, end_day;
};

struct kpi_budget_part {
    struct kpi_string name;
    kpi_decimal amount;
};

struct kpi_campaign_info {
    struct kpi_string id;
    uint32_t zone;
    kpi_day start_day, end_day;
    const struct kpi_phase_info *phases;
    uint32_t n_phases;
    kpi_decimal audience, budget; /* KPI_TIME_NONE if not given */
    const struct kpi_budget_part *budget_parts;
    uint32_t n_budget_parts;
};

uint32_t kpi_plan_n_campaigns(const struct kpi_plan *plan);
const struct kpi_campaign_info *kpi_plan_campaign(const struct kpi_plan *plan, uint32_t campaign);

/* The zones, their tables owned by the plan; at least one: 0 is the plan's own, in which days are
 * counted where no campaign has a say. */
uint32_t kpi_plan_n_zones(const struct kpi_plan *plan);
const struct kpi_zone *kpi_plan_zone(const struct kpi_plan *plan, uint32_t zone);

/* The day that a time falls on, or INT32_MIN if the zone's table does not reach it. Branch-light.
 */
kpi_day kpi_zone_day(const struct kpi_zone *zone, kpi_time time);
/* The instant at which a day begins; clamped to the table's ends. */
kpi_time kpi_zone_day_start(const struct kpi_zone *zone, kpi_day day);

/* What the clocks and calendars of a zone show. */
enum kpi_clock {
    KPI_CLOCK_HOUR,     /* 0 … 23 */
    KPI_CLOCK_WEEKDAY,  /* 1, Monday … 7 */
    KPI_CLOCK_MONTHDAY, /* 1 … 31 */
    KPI_CLOCK_COUNT,
};

/*
 * Reads one of them; -1 if the zone's table does not reach that time. The day is that of
 * kpi_zone_day(), also where clocks are set back over midnight and the hour is 23 once more.
 */
int32_t kpi_zone_clock(const struct kpi_zone *zone, enum kpi_clock clock, kpi_time time);

/*
 * What an engine keeps for a plan: a measure in a zone, by campaign or of everybody (return
 * measures of retained()), or an attribute. Going on under another plan, state of equal fingerprint
 * stays.
 */
struct kpi_state_info {
    struct kpi_string name; /* of the definition; of the first if some mean the same */
    struct kpi_string zone; /* empty for an attribute */
    bool is_attribute;      /* or of an experiment, which is one, too */
    bool is_experiment;
    bool by_campaign;
    const struct kpi_breakdown_info *by; /* NULL: not broken down */
    uint32_t level;                      /* measures of users: seen at least so often; else 0 */
    uint64_t fingerprint;
};

uint32_t kpi_plan_n_states(const struct kpi_plan *plan);
void kpi_plan_state(const struct kpi_plan *plan, uint32_t state, struct kpi_state_info *ret_info);

/* Is there anything that kpi_engine_answers() answers? */
bool kpi_plan_has_answers(const struct kpi_plan *plan);
/* Groups of fewer users are not shown (kpi_supplement_suppress()). 0: all are. */
uint32_t kpi_plan_min_group(const struct kpi_plan *plan);

/* What limits look-back: days of events that are kept, rounded up. */
uint32_t kpi_plan_keep_days(const struct kpi_plan *plan);

/* The sorts of scopes that KPIs are reported in, campaign and phases as one. */
struct kpi_scope;
uint32_t kpi_plan_n_grains(const struct kpi_plan *plan);
const struct kpi_scope *kpi_plan_grain(const struct kpi_plan *plan, uint32_t grain);
/* Is any KPI reported in scopes of this sort? */
bool kpi_plan_has_grain(const struct kpi_plan *plan, const struct kpi_scope *sort);

struct kpi_target; /* kpi/alert.h */
uint32_t kpi_plan_n_targets(const struct kpi_plan *plan);
const struct kpi_target *kpi_plan_target(const struct kpi_plan *plan, uint32_t target);
