/*
 * What all KPIs of a campaign cost: the whole catalogue, one campaign of 365 days, 1 M users who
 * come back over all of it, everything in one shard. The first report and supplement after start
 * (cold), the next ones after 64 events of today (warm), and those of the first moment of the next
 * day, when every rolling scope has moved.
 *
 *   campaign CONFIG [EVENTS]     default 12 M; CONFIG is campaign.yaml beside this file
 */
#include "spec_fixture.h"
#include "config/config.h"
#include "util/memory.h"

#include <kpi/engine.h>
#include <kpi/supplement.h>
#include <stdlib.h>
#include <time.h>

enum {
    USERS = 1000000,
    DAYS = 365,
    ROUNDS = 20, /* of warm reports */
    FIELDS_MAX = 32,
};

/* In 1/1000: how often each type comes. */
static const struct {
    const char *name;
    unsigned share;
} types[] = {
    {"exposure", 380}, {"participation", 120}, {"session", 120},   {"login", 80},
    {"like", 90},      {"comment", 30},        {"share", 30},      {"signup", 40},
    {"checkout", 35},  {"purchase", 35},       {"refund", 3},      {"survey", 15},
    {"invite", 10},    {"complaint", 2},       {"reservation", 5}, {"spend", 5},
};

static struct kpi_field type_fields[COUNT_OF(types)];

struct run {
    struct kpi_plan *plan;
    struct kpi_engine *engine;
    struct kpi_batch *batch;
    uint64_t seed;
    uint32_t fields[FIELDS_MAX]; /* of the plan, by enum */
};

enum field {
    CAMPAIGN,
    AMOUNT,
    SCORE,
    DURATION,
    QUESTION,
    INVITER,
    INVITED_AFTER,
    CATEGORY,
    BUCKET,
};

static const char *const field_names[] = {"campaign",      "amount",   "score",
                                          "duration",      "question", "inviter",
                                          "invited_after", "category", "bucket"};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void check(int r, const char *what)
{
    if (r == 0)
        return;
    (void)fprintf(stderr, "campaign: %s: %d\n", what, r);
    exit(1);
}

static void print_line(void *userdata, const char *text)
{
    (void)fputs(text, stderr);
}

static void fields_find(struct run *run)
{
    for (uint32_t f = 0; f < COUNT_OF(field_names); f++) {
        const struct kpi_string name = {field_names[f], strlen(field_names[f])};
        uint32_t i = 0;

        while (i < kpi_plan_n_fields(run->plan) &&
               !kpi_string_equal(kpi_plan_field(run->plan, i)->name, name))
            i++;
        check(i == kpi_plan_n_fields(run->plan), field_names[f]);
        run->fields[f] = i;
    }
}

static uint32_t below(struct run *run, uint32_t n)
{
    return (uint32_t)((next_random(&run->seed) >> 32) * n >> 32);
}

static unsigned pick_type(struct run *run)
{
    unsigned i = 0, at = below(run, 1000);

    while (at >= types[i].share)
        at -= types[i++].share;
    return i;
}

static struct kpi_field *field(const struct run *run, struct kpi_event *event, enum field name)
{
    return &event->fields[run->fields[name]];
}

/* What only events of this type have. */
static void fields_put(struct run *run, struct kpi_event *event, const char *type)
{
    *field(run, event, AMOUNT) = number_field((double)below(run, 500));
    if (strcmp(type, "session") == 0)
        *field(run, event, DURATION) = number_field((double)below(run, 600));
    if (strcmp(type, "survey") == 0) {
        bool csat = below(run, 2);

        *field(run, event, SCORE) =
            number_field((double)(csat ? 1 + below(run, 5) : below(run, 11)));
        *field(run, event, QUESTION) = string_field(csat ? "csat" : "nps");
    }
    if (strcmp(type, "signup") == 0 && below(run, 4) == 0) {
        *field(run, event, INVITER) = string_field("somebody");
        *field(run, event, INVITED_AFTER) = number_field((double)below(run, 100000));
    }
    if (strcmp(type, "spend") == 0) {
        *field(run, event, CATEGORY) = string_field(below(run, 2) ? "media" : "people");
        *field(run, event, BUCKET) = string_field(below(run, 2) ? "base" : "float");
    }
}

/* Half of the events are of a tenth of the users; a twentieth name no campaign. */
static void put(struct run *run, kpi_time time)
{
    struct kpi_event *event = &run->batch->events[run->batch->n_events++];
    struct kpi_field *fields = event->fields;
    uint64_t user = below(run, below(run, 2) ? USERS : USERS / 10);
    unsigned type = pick_type(run);

    memset(fields, 0, kpi_plan_n_fields(run->plan) * sizeof(*fields));
    *event = (struct kpi_event){.flags = KPI_EVENT_HAS_USER,
                                .user = XXH3_64bits(&user, sizeof(user)),
                                .time = time,
                                .record_time = time,
                                .type = type_fields[type],
                                .fields = fields};
    if (below(run, 20))
        *field(run, event, CAMPAIGN) = string_field("year");
    fields_put(run, event, types[type].name);
    if (run->batch->n_events < KPI_BATCH_MAX)
        return;
    check(kpi_engine_apply(run->engine, run->batch), "apply");
    run->batch->n_events = 0;
}

/* Rows and supplement as of a moment; returns what each has cost. */
static struct cost {
    double report, supplement;
} ask(const struct run *run, kpi_time as_of)
{
    struct kpi_supplement *supplement;
    struct kpi_layout *layout;
    struct kpi_row *rows;
    struct cost cost;

    check(kpi_layout_new(&layout, run->plan, as_of, &memory_kpi), "layout");
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    cost.report = now();
    check(kpi_engine_report(run->engine, layout, rows), "report");
    cost.supplement = now();
    cost.report = cost.supplement - cost.report;
    check(kpi_engine_supplement(run->engine, layout, &supplement), "supplement");
    cost.supplement = now() - cost.supplement;
    (void)kpi_supplement_unref(supplement);
    (void)kpi_layout_unref(layout);
    free(rows);
    return cost;
}

static void print(const char *what, struct cost cost)
{
    printf("%-28s %8.2f ms (report %.2f, supplement %.2f)\n", what, cost.report + cost.supplement,
           cost.report, cost.supplement);
    (void)fflush(stdout);
}

static int compare(const void *a, const void *b)
{
    const struct cost *x = a, *y = b;
    double first = x->report + x->supplement, second = y->report + y->supplement;

    return (first > second) - (first < second);
}

static void fill(struct run *run, kpi_time start, uint64_t n_events)
{
    double began = now();

    for (unsigned i = 0; i < COUNT_OF(types); i++)
        type_fields[i] = string_field(types[i].name);
    for (uint64_t i = 0; i < n_events; i++)
        put(run, start + (kpi_time)((double)i / (double)n_events * DAYS * (double)KPI_DAY));
    printf("%u users, %d days, %u KPIs: %llu events made and applied in %.1f s\n", USERS, DAYS,
           kpi_plan_n_kpis(run->plan), (unsigned long long)n_events, (now() - began) / 1e3);
}

int main(int argc, char **argv)
{
    const struct config_report report = {.line = print_line};
    uint64_t n_events = argc > 2 ? strtoull(argv[2], NULL, 10) : 12000000;
    struct cost warm[ROUNDS];
    struct config *config = NULL;
    struct run run = {.seed = 1};
    kpi_time start, end;

    check(argc < 2 || config_load(&config, argv[1], 1, &report), "config");
    run.plan = config->plan;
    fields_find(&run);
    check(kpi_engine_new(&run.engine, run.plan, &memory_kpi), "engine");
    check(kpi_batch_new(&run.batch, run.plan, &memory_kpi), "batch");
    start = kpi_zone_day_start(kpi_plan_zone(run.plan, kpi_plan_campaign(run.plan, 0)->zone),
                               kpi_plan_campaign(run.plan, 0)->start_day);
    end = start + DAYS * KPI_DAY - KPI_MINUTE;
    fill(&run, start, n_events);
    print("cold", ask(&run, end));
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < KPI_BATCH_MAX; i++)
            put(&run, end);
        warm[round] = ask(&run, end);
    }
    qsort(warm, ROUNDS, sizeof(*warm), compare);
    print("warm, median", warm[ROUNDS / 2]);
    print("warm, worst", warm[ROUNDS - 1]);
    print("the next day", ask(&run, end + KPI_MINUTE));
    (void)kpi_batch_free(run.batch);
    (void)kpi_engine_free(run.engine);
    (void)config_free(config);
    return 0;
}
