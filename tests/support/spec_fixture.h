/*
 * What tests of definitions need: texts, calendars, a recorder of messages, a small set of
 * definitions to vary, and events without a decoder.
 */
#pragma once

#include "counting_mem.h"

#include <kpi/plan.h>
#include <stdio.h>
#include <xxhash.h>

#define TEXT(literal)                                                                              \
    ((struct kpi_text){.data = (literal), .length = (uint32_t)strlen(literal), .origin = __LINE__})
#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

/* Days since 1970-01-01 used below. */
enum {
    DAY_2026_01_01 = 20454,
    DAY_2026_03_29 = 20541, /* summer time begins in Europe */
    DAY_2026_10_25 = 20751, /* and ends */
    DAY_2026_11_01 = 20758,
    CALENDAR_DAYS = 800, /* from 2025-12-31 */
};

/* Messages as they came, cut. */
struct recorder {
    struct kpi_diag diag;
    unsigned n_messages;
    struct {
        enum kpi_severity severity;
        uint32_t origin, offset, length;
        char text[300];
        char suggest[64];
    } messages[64];
};

static inline void recorder_report(void *userdata, const struct kpi_message *message)
{
    struct recorder *recorder = userdata;

    if (recorder->n_messages < COUNT_OF(recorder->messages)) {
        unsigned i = recorder->n_messages;

        recorder->messages[i].severity = message->severity;
        recorder->messages[i].origin = message->origin;
        recorder->messages[i].offset = message->offset;
        recorder->messages[i].length = message->length;
        snprintf(recorder->messages[i].text, sizeof(recorder->messages[i].text), "%.*s",
                 (int)message->text.length, message->text.data);
        snprintf(recorder->messages[i].suggest, sizeof(recorder->messages[i].suggest), "%.*s",
                 (int)message->suggest.length, message->suggest.data);
    }
    ++recorder->n_messages;
}

static inline void recorder_init(struct recorder *recorder)
{
    *recorder = (struct recorder){.diag = {.report = recorder_report, .userdata = recorder}};
}

/* A calendar of a zone offset_us ahead of UTC, from 2025-12-31; in summer of 2026 an hour more. */
static inline struct kpi_zone calendar(const char *name, kpi_duration offset_us, bool summer,
                                       kpi_time starts[CALENDAR_DAYS + 1])
{
    for (int i = 0; i <= CALENDAR_DAYS; ++i) {
        kpi_day day = DAY_2026_01_01 - 1 + i;
        bool in_summer = summer && day > DAY_2026_03_29 && day <= DAY_2026_10_25;

        starts[i] = day * KPI_DAY - offset_us - (in_summer ? KPI_HOUR : 0);
    }
    return (struct kpi_zone){{name, strlen(name)}, DAY_2026_01_01 - 1, CALENDAR_DAYS, starts};
}

/* Definitions with room, all that tests vary. Zone 0 is UTC, 1 Europe/Berlin, 2 Asia/Shanghai. */
struct fixture {
    struct kpi_definitions in;
    struct kpi_attribute_definition attributes[70];
    struct kpi_measure_definition measures[40];
    struct kpi_dimension_definition dimensions[70];
    struct kpi_segment_definition segments[8];
    struct kpi_breakdown_definition breakdowns[70];
    struct kpi_text breakdown_names[100];
    uint32_t n_breakdown_names;
    struct kpi_kpi_definition kpis[40];
    struct kpi_table_definition tables[40];
    struct kpi_campaign_definition campaigns[8];
    struct kpi_phase_definition phases[8];
    struct kpi_target_definition targets[8];
    struct kpi_experiment_definition experiments[KPI_EXPERIMENTS_MAX + 1];
    struct kpi_text variants[20]; /* of all of them */
    struct kpi_text active_types[4];
    struct kpi_text grains[8];
    struct kpi_text rolling[8];
    struct kpi_text kpi_grains[8]; /* for a KPI of its own */
    struct kpi_zone zones[3];
    kpi_time starts[3][CALENDAR_DAYS + 1];
    struct counting_mem mem;
    struct recorder recorder;
};

static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->zones[0] = calendar("UTC", 0, false, f->starts[0]);
    f->zones[1] = calendar("Europe/Berlin", KPI_HOUR, true, f->starts[1]);
    f->zones[2] = calendar("Asia/Shanghai", 8 * KPI_HOUR, false, f->starts[2]);
    f->active_types[0] = TEXT("signup");
    f->active_types[1] = TEXT("participation");
    f->active_types[2] = TEXT("purchase");
    f->rolling[0] = TEXT("7d");
    f->rolling[1] = TEXT("30d");
    f->in = (struct kpi_definitions){
        .attributes = f->attributes,
        .measures = f->measures,
        .dimensions = f->dimensions,
        .segments = f->segments,
        .breakdowns = f->breakdowns,
        .kpis = f->kpis,
        .tables = f->tables,
        .campaigns = f->campaigns,
        .experiments = f->experiments,
        .active_types = f->active_types,
        .n_active_types = 3,
        .zones = f->zones,
        .n_zones = 3,
        .rolling = f->rolling,
        .n_rolling = 2,
        .keep = 400 * KPI_DAY,
        .future_skew_max = 5 * KPI_MINUTE,
        .dedupe_window = KPI_DAY,
        .dedupe_ids_max = 1000000,
        .users_max = 1000000,
        .values_max = 1000,
    };
    counting_mem_init(&f->mem);
    recorder_init(&f->recorder);
}

static inline void fixture_attribute(struct fixture *f, const char *name, const char *aggregate,
                                     const char *where)
{
    f->attributes[f->in.n_attributes++] =
        (struct kpi_attribute_definition){TEXT(name), TEXT(aggregate), TEXT(where)};
}

static inline void fixture_measure(struct fixture *f, const char *name, const char *aggregate,
                                   const char *where)
{
    f->measures[f->in.n_measures++] =
        (struct kpi_measure_definition){TEXT(name), TEXT(aggregate), TEXT(where)};
}

/* Where the events of the last measure count: names of attributes, or empty. */
static inline void fixture_redirect(struct fixture *f, const char *at, const char *campaign)
{
    f->measures[f->in.n_measures - 1].at = TEXT(at);
    f->measures[f->in.n_measures - 1].campaign = TEXT(campaign);
}

static inline void fixture_dimension(struct fixture *f, const char *name, const char *of,
                                     uint32_t values_max)
{
    f->dimensions[f->in.n_dimensions++] =
        (struct kpi_dimension_definition){TEXT(name), TEXT(of), values_max};
}

static inline void fixture_segment(struct fixture *f, const char *name, const char *where)
{
    f->segments[f->in.n_segments++] =
        (struct kpi_segment_definition){.name = TEXT(name), .where = TEXT(where)};
}

/* The breakdown of a list "channel,city", whose bytes stay where they are. */
static inline struct kpi_breakdown_definition fixture_by(struct fixture *f, const char *list)
{
    struct kpi_text *first = &f->breakdown_names[f->n_breakdown_names], *name = first;

    for (const char *at = list; at; at = strchr(at, ',')) {
        at += at != list;
        *name = TEXT(at);
        name->length = (uint32_t)strcspn(at, ",");
        name++;
        f->n_breakdown_names++;
    }
    return (struct kpi_breakdown_definition){first, (uint32_t)(name - first)};
}

static inline void fixture_breakdown(struct fixture *f, const char *list)
{
    f->breakdowns[f->in.n_breakdowns++] = fixture_by(f, list);
}

static inline void fixture_kpi(struct fixture *f, const char *name, const char *formula,
                               enum kpi_unit unit)
{
    f->kpis[f->in.n_kpis++] = (struct kpi_kpi_definition){
        .name = TEXT(name), .formula = TEXT(formula), .unit = unit, .better = KPI_BETTER_UP};
}

/* Days, 10 periods, 30 shown; the rest is the test's. */
static inline struct kpi_table_definition *fixture_table(struct fixture *f, const char *name,
                                                         enum kpi_table_kind kind,
                                                         const char *start)
{
    struct kpi_table_definition *table = &f->tables[f->in.n_tables++];

    *table = (struct kpi_table_definition){
        .name = TEXT(name),
        .kind = kind,
        .start = TEXT(start),
        .basis = KPI_TABLE_DAY,
        .periods = 10,
        .over = KPI_TABLE_MONTH,
        .at_least = 1,
        .last = 30,
    };
    return table;
}

/* A campaign of November 2026. */
static inline struct kpi_campaign_definition *fixture_campaign(struct fixture *f, const char *id,
                                                               uint32_t zone)
{
    struct kpi_campaign_definition *campaign = &f->campaigns[f->in.n_campaigns++];

    *campaign = (struct kpi_campaign_definition){
        .id = TEXT(id),
        .zone = zone,
        .start_day = DAY_2026_11_01,
        .end_day = DAY_2026_11_01 + 30,
        .audience = 200000 * KPI_DECIMAL_ONE,
        .budget = 500000 * KPI_DECIMAL_ONE,
    };
    return campaign;
}

/* A target of campaign 0. */
static inline struct kpi_target_definition *fixture_target(struct fixture *f, const char *kpi,
                                                           const char *value)
{
    struct kpi_target_definition *target = &f->targets[f->campaigns[0].n_targets++];

    f->campaigns[0].targets = f->targets;
    *target = (struct kpi_target_definition){
        .kpi = TEXT(kpi),
        .value = TEXT(value),
        .better = -1,
        .from = KPI_TIME_NONE,
        .to = KPI_TIME_NONE,
    };
    return target;
}

/* An experiment of A, B and C, whose exposures are those. */
static inline struct kpi_experiment_definition *fixture_experiment(struct fixture *f,
                                                                   const char *name,
                                                                   const char *goal)
{
    struct kpi_experiment_definition *experiment = &f->experiments[f->in.n_experiments++];

    f->variants[0] = TEXT("A");
    f->variants[1] = TEXT("B");
    f->variants[2] = TEXT("C");
    *experiment = (struct kpi_experiment_definition){
        .name = TEXT(name),
        .title_en = TEXT(""),
        .title_zh = TEXT(""),
        .variants = f->variants,
        .n_variants = 3,
        .control = TEXT(""),
        .exposure = TEXT("type == \"exposure\""),
        .campaign = TEXT(""),
        .goal = TEXT(goal),
        .denominator = TEXT(""),
        .metric = -1,
        .method = KPI_METHOD_SEQUENTIAL,
        .alpha = 0.05,
        .tuning_units = 5000,
        .units_min = 100,
        .run_min = 2 * KPI_DAY,
        .from = KPI_TIME_NONE,
        .to = KPI_TIME_NONE,
    };
    return experiment;
}

static inline int fixture_compile(struct fixture *f, struct kpi_plan **ret_plan)
{
    recorder_init(&f->recorder);
    return kpi_plan_new(ret_plan, &f->in, &f->mem.mem, &f->recorder.diag);
}

/* Keeps so much, and leaves out rolling scopes that are longer. */
static inline void fixture_keep(struct fixture *f, kpi_duration keep)
{
    f->in.keep = keep;
    f->in.n_rolling = keep < 7 * KPI_DAY ? 0 : keep < 30 * KPI_DAY ? 1 : 2;
}

/* As above, of definitions that must be right; says what is wrong if they are not. */
static inline struct kpi_plan *fixture_plan(struct fixture *f)
{
    struct kpi_plan *plan = NULL;
    int r = fixture_compile(f, &plan);

    for (unsigned i = 0; r != 0 && i < f->recorder.n_messages; ++i)
        fprintf(stderr, "line %u, %u: %s\n", f->recorder.messages[i].origin,
                f->recorder.messages[i].offset, f->recorder.messages[i].text);
    return plan;
}

static inline void fixture_kpis_of_the_product(struct fixture *f)
{
    fixture_measure(f, "reached", "users", "type == \"exposure\"");
    fixture_measure(f, "participants", "users", "type == \"participation\"");
    fixture_measure(f, "active", "users", "type in active_types");
    fixture_measure(f, "buyers", "users", "type == \"purchase\"");
    fixture_measure(f, "repeat_buyers", "users(2)", "type == \"purchase\"");
    fixture_measure(f, "purchases", "sum(amount)", "type == \"purchase\"");
    fixture_measure(f, "refunds", "sum(amount)", "type == \"refund\"");
    fixture_measure(f, "cost", "sum(amount)", "type == \"spend\"");
    fixture_measure(f, "promoters", "latest_users(score >= 9)", "type == \"survey\"");
    fixture_measure(f, "detractors", "latest_users(score <= 6)", "type == \"survey\"");
    fixture_measure(f, "responses", "users", "type == \"survey\"");
    fixture_kpi(f, "participation_rate", "participants / reached", KPI_UNIT_RATIO);
    fixture_kpi(f, "retention_d1", "retained(start=participants, return=active, basis=day, at=1)",
                KPI_UNIT_RATIO);
    fixture_kpi(f, "repeat_purchase_rate", "repeat_buyers / buyers", KPI_UNIT_RATIO);
    fixture_kpi(f, "roi", "(purchases - refunds) / cost", KPI_UNIT_MULTIPLE);
    fixture_kpi(f, "nps", "100 * (promoters - detractors) / responses", KPI_UNIT_POINTS);
}

static inline struct kpi_field string_field(const char *string)
{
    return (struct kpi_field){.string = string,
                              .hash = XXH3_64bits(string, strlen(string)),
                              .length = (uint32_t)strlen(string),
                              .kind = KPI_FIELD_STRING};
}

static inline struct kpi_field number_field(double number)
{
    return (struct kpi_field){.number = (kpi_decimal)(number * 1e6 + (number < 0 ? -0.5 : 0.5)),
                              .kind = KPI_FIELD_NUMBER};
}

static inline struct kpi_field bool_field(bool value)
{
    return (struct kpi_field){.number = value, .kind = KPI_FIELD_BOOL};
}
