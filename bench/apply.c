/*
 * What it costs to apply an event, and what the state of a user weighs, with the five KPIs of the
 * product, three campaigns, thirty days, half of the events of a tenth of the users; with and
 * without dedupe. Then what a report and a checkpoint cost a busy shard, and what loading it costs.
 *
 *   apply                     1 M and 10 M users
 *   apply USERS [EVENTS]      that many users; events default to three times as many
 *   apply USERS EVENTS N      the same with dedupe, all KPIs broken down by a channel of N values
 *
 * Only kpi_engine_apply() is timed (CPU time); events are made beside it, a chunk at a time.
 */
#include "spec_fixture.h"
#include "util/memory.h"

#include <inttypes.h>
#include <kpi/engine.h>
#include <kpi/supplement.h>
#include <stdlib.h>
#include <time.h>

enum {
    CHUNK = 16384, /* events made at a time */
    DAYS = 30,
    BUSY = 20000, /* events between two checkpoints */
    CHANNELS_MAX = 1000,
};

struct run {
    uint64_t n_users, n_events;
    bool dedupe;
    uint32_t n_channels; /* 0: nothing is broken down */
    struct kpi_plan *plan;
    struct kpi_engine *engine;
    struct kpi_batch *batches[CHUNK / KPI_BATCH_MAX];
    uint64_t seed, next;
    uint32_t campaign, amount, score, channel; /* fields */
    struct kpi_field channels[CHANNELS_MAX];
};

static const char *const campaigns[] = {"spring", "summer", "autumn"};

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void check(int r, const char *what)
{
    if (r == 0)
        return;
    fprintf(stderr, "apply: %s: %d\n", what, r);
    exit(1);
}

static struct kpi_plan *make_plan(bool dedupe, bool by_channel)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    fixture_kpis_of_the_product(&fixture);
    fixture_kpi(&fixture, "retention_d7",
                "retained(start=participants, return=active, basis=day, at=7)", KPI_UNIT_RATIO);
    if (by_channel) {
        fixture_dimension(&fixture, "channel", "", 0);
        fixture_breakdown(&fixture, "channel");
    }
    for (unsigned i = 0; i < COUNT_OF(campaigns); i++)
        (void)fixture_campaign(&fixture, campaigns[i], 2);
    fixture.in.users_max = UINT32_MAX;
    fixture.in.dedupe_ids_max = 50000000;
    fixture.in.dedupe_window = dedupe ? KPI_DAY : 0;
    return fixture_plan(&fixture);
}

static uint32_t field_of(const struct kpi_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); i++)
        if (kpi_plan_field(plan, i)->name.length == strlen(name) &&
            memcmp(kpi_plan_field(plan, i)->name.data, name, strlen(name)) == 0)
            return i;
    exit(1);
}

static kpi_time time_of(const struct run *run, uint64_t i)
{
    kpi_time start = DAY_2026_11_01 * KPI_DAY - 8 * KPI_HOUR;

    return start + (kpi_time)((double)i / (double)run->n_events * DAYS * (double)KPI_DAY);
}

/* Exposures and sessions mostly, as campaigns go; one answer in a survey out of fifty events. */
static const char *type_of(uint64_t random)
{
    unsigned percent = random % 100;

    return percent < 45   ? "exposure"
           : percent < 75 ? "participation"
           : percent < 85 ? "signup"
           : percent < 95 ? "purchase"
           : percent < 97 ? "refund"
           : percent < 99 ? "survey"
                          : "spend";
}

static void make_event(struct run *run, struct kpi_event *event)
{
    struct kpi_field *fields = event->fields;
    uint64_t i = run->next++, random = next_random(&run->seed);
    uint64_t user = next_random(&run->seed) % (random >> 40 & 1 ? run->n_users : run->n_users / 10);

    *event = (struct kpi_event){.time = time_of(run, i),
                                .record_time = time_of(run, i),
                                .user = XXH3_64bits(&user, sizeof(user)),
                                .id = XXH3_64bits_withSeed(&i, sizeof(i), 1),
                                .flags = KPI_EVENT_HAS_USER | KPI_EVENT_HAS_ID,
                                .type = string_field(type_of(random)),
                                .fields = fields};
    fields[run->campaign] = string_field(campaigns[random >> 32 & 3 ? random >> 34 & 1 : 2]);
    fields[run->amount] = number_field((double)(random >> 48 & 0xff));
    fields[run->score] = number_field((double)(random >> 56 & 7) + 3);
    if (run->n_channels)
        fields[run->channel] = run->channels[(random >> 16 & 0xffff) % run->n_channels];
}

/* Makes and applies n events; returns the nanoseconds of applying. */
static uint64_t apply(struct run *run, uint64_t n)
{
    uint64_t ns = 0;

    while (n) {
        unsigned n_batches = 0;
        uint64_t start;

        for (; n && n_batches < CHUNK / KPI_BATCH_MAX; n_batches++) {
            struct kpi_batch *batch = run->batches[n_batches];

            for (batch->n_events = 0; n && batch->n_events < KPI_BATCH_MAX; n--)
                make_event(run, &batch->events[batch->n_events++]);
        }
        start = cpu_ns();
        for (unsigned i = 0; i < n_batches; i++)
            check(kpi_engine_apply(run->engine, run->batches[i]), "apply");
        ns += cpu_ns() - start;
    }
    return ns;
}

/* Where a checkpoint goes: one block, as the store thread's. Objects are found again by offset. */
struct sink {
    char *bytes;
    size_t size, size_max;
    struct kpi_object *objects;
    size_t n, n_max;
};

static int take(void *userdata, const struct kpi_object *object)
{
    struct sink *sink = userdata;

    if (!object->data)
        return 0;
    if (sink->size + object->name.length + object->size > sink->size_max || sink->n == sink->n_max)
        return -ENOSPC;
    sink->objects[sink->n] =
        (struct kpi_object){{sink->bytes + sink->size, object->name.length}, NULL, object->size};
    memcpy(sink->bytes + sink->size, object->name.data, object->name.length);
    sink->size += object->name.length;
    sink->objects[sink->n++].data = sink->bytes + sink->size;
    memcpy(sink->bytes + sink->size, object->data, object->size);
    sink->size += object->size;
    return 0;
}

static void print_groups(struct run *run, struct kpi_layout *layout, struct kpi_row *rows)
{
    struct kpi_supplement *groups;
    uint64_t all, some, start;
    size_t size;
    void *bytes;

    start = cpu_ns();
    check(kpi_engine_supplement(run->engine, layout, &groups), "supplement");
    all = cpu_ns() - start;
    kpi_supplement_unref(groups);
    (void)apply(run, 1000);
    check(kpi_engine_report(run->engine, layout, rows), "report");
    start = cpu_ns();
    check(kpi_engine_supplement(run->engine, layout, &groups), "supplement");
    some = cpu_ns() - start;
    check(kpi_supplement_encode(groups, &memory_kpi, &bytes, &size), "encode");
    printf(
        "    groups      %9u of %u channels: first %.1f ms, after 1,000 events %.1f ms; %.1f kB\n",
        kpi_supplement_n_groups(groups), run->n_channels, (double)all / 1e6, (double)some / 1e6,
        (double)size / 1e3);
    kpi_mem_free(&memory_kpi, bytes, size);
    kpi_supplement_unref(groups);
}

static void print_report(struct run *run)
{
    struct kpi_layout *layout;
    struct kpi_row *rows;
    uint64_t all, some, start;

    check(kpi_layout_new(&layout, run->plan, time_of(run, run->next), &memory_kpi), "layout");
    rows = calloc(kpi_layout_n_rows(layout), sizeof(*rows));
    start = cpu_ns();
    check(kpi_engine_report(run->engine, layout, rows), "report");
    all = cpu_ns() - start;
    (void)apply(run, 1000);
    start = cpu_ns();
    check(kpi_engine_report(run->engine, layout, rows), "report");
    some = cpu_ns() - start;
    printf("    report      %9u rows: first %.1f ms, after 1,000 events %.1f ms\n",
           kpi_layout_n_rows(layout), (double)all / 1e6, (double)some / 1e6);
    if (run->n_channels)
        print_groups(run, layout, rows);
    free(rows);
    kpi_layout_unref(layout);
}

static void print_checkpoint(struct run *run)
{
    struct kpi_engine *loaded;
    struct sink sink = {.size_max = (size_t)2 << 30, .n_max = 1 << 20};
    uint64_t start, all, load, pause = 0;
    size_t size_all, size = 0;

    sink.bytes = malloc(sink.size_max);
    sink.objects = calloc(sink.n_max, sizeof(*sink.objects));
    if (!sink.bytes || !sink.objects)
        exit(1);
    memset(sink.bytes, 1, sink.size_max); /* so that the pages are there, as in a pool */
    start = cpu_ns();
    check(kpi_engine_save(run->engine, true, take, &sink), "save");
    all = cpu_ns() - start;
    size_all = sink.size;
    start = cpu_ns();
    check(kpi_engine_new(&loaded, run->plan, &memory_kpi), "new");
    for (size_t i = 0; i < sink.n; i++)
        check(kpi_engine_load(loaded, &sink.objects[i]), "load");
    check(kpi_engine_load_end(loaded), "load_end");
    load = cpu_ns() - start;
    kpi_engine_free(loaded);
    printf("    checkpoint  %9.1f MB in %zu objects: saved in %.0f ms, loaded in %.0f ms\n",
           (double)size_all / 1e6, sink.n, (double)all / 1e6, (double)load / 1e6);
    for (unsigned i = 0; i < 10; i++) {
        (void)apply(run, BUSY);
        sink.size = sink.n = 0;
        start = cpu_ns();
        check(kpi_engine_save(run->engine, false, take, &sink), "save");
        pause = cpu_ns() - start > pause ? cpu_ns() - start : pause;
        size = sink.size > size ? sink.size : size;
    }
    printf("    after %u events: pause at most %.1f ms, at most %.1f MB\n", BUSY,
           (double)pause / 1e6, (double)size / 1e6);
    free(sink.bytes);
    free(sink.objects);
}

static void channels_make(struct run *run)
{
    static char names[CHANNELS_MAX][sizeof("channel-4294967295")];

    run->channel = field_of(run->plan, "channel");
    for (uint32_t i = 0; i < run->n_channels; i++) {
        snprintf(names[i], sizeof(names[i]), "channel-%u", i);
        run->channels[i] = string_field(names[i]);
    }
}

static void print_run(uint64_t n_users, uint64_t n_events, bool dedupe, uint32_t n_channels)
{
    static struct run run;
    struct kpi_engine_stats stats;
    uint64_t ns, last_ns;

    run = (struct run){.n_users = n_users,
                       .n_events = n_events,
                       .dedupe = dedupe,
                       .seed = 1,
                       .n_channels = n_channels};
    run.plan = make_plan(dedupe, n_channels > 0);
    if (!run.plan)
        exit(1);
    run.campaign = field_of(run.plan, "campaign");
    run.amount = field_of(run.plan, "amount");
    run.score = field_of(run.plan, "score");
    if (n_channels)
        channels_make(&run);
    for (size_t i = 0; i < COUNT_OF(run.batches); i++)
        check(kpi_batch_new(&run.batches[i], run.plan, &memory_kpi), "batch");
    check(kpi_engine_new(&run.engine, run.plan, &memory_kpi), "engine");
    ns = apply(&run, n_events * 9 / 10);
    last_ns = apply(&run, n_events - n_events * 9 / 10);
    kpi_engine_stats(run.engine, &stats);
    printf("%" PRIu64 " users, %" PRIu64 " events, dedupe %s\n", stats.n_users, n_events,
           dedupe ? "on" : "off");
    printf("    apply       %9.0f ns an event, %.0f in the last tenth\n",
           (double)(ns + last_ns) / (double)n_events,
           (double)last_ns / (double)(n_events - n_events * 9 / 10));
    printf("    state       %9.1f bytes a user\n",
           (double)(stats.bytes - stats.dedupe_bytes) / (double)stats.n_users);
    if (dedupe)
        printf("    dedupe      %9.1f bytes an id, %" PRIu64 " ids\n",
               (double)stats.dedupe_bytes / (double)stats.n_dedupe_ids, stats.n_dedupe_ids);
    fflush(stdout);
    if (dedupe) {
        print_report(&run);
        print_checkpoint(&run);
    }
    kpi_engine_free(run.engine);
    for (size_t i = 0; i < COUNT_OF(run.batches); i++)
        kpi_batch_free(run.batches[i]);
    kpi_plan_unref(run.plan);
}

int main(int argc, char **argv)
{
    static const uint64_t users[] = {1000000, 10000000};
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t n_channels = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

    if (n_channels > CHANNELS_MAX) {
        fprintf(stderr, "apply: at most %d channels\n", CHANNELS_MAX);
        return 64;
    }
    for (unsigned i = 0; i < (n ? 1 : COUNT_OF(users)); i++)
        for (int dedupe = n_channels > 0; dedupe < 2; dedupe++) {
            uint64_t n_users = n ? n : users[i];
            uint64_t n_events = argc > 2 ? strtoull(argv[2], NULL, 10) : n_users * 3;

            if (n_users < 1000 || n_events < 1000) {
                fprintf(stderr, "apply: at least 1000 users and events\n");
                return 64;
            }
            print_run(n_users, n_events, dedupe, (uint32_t)n_channels);
        }
    return 0;
}
