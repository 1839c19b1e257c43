/* Events into engines: see replay_fold.h. Files are read in replay_file.c. */
#include "cli/replay_fold.h"

#include "cli/cli.h"
#include "codec/event_json.h"
#include "util/error.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(REPLAY_HELD_BYTES_MAX + EVENT_BYTES_MAX <= (size_t)KPI_BATCH_MAX * EVENT_BYTES_MAX,
               "the decoder keeps that many bytes until event_decoder_reset()");

int replay_fold_new(struct replay_fold **ret_fold, const struct config *config, const char *topic,
                    uint32_t n_shards)
{
    struct replay_fold *fold = calloc(1, sizeof(*fold));
    uint8_t key[EVENT_KEY_BYTES];
    int r = 0;

    if (!fold)
        return error_origin(-ENOMEM);
    fold->config = config;
    fold->n_shards = n_shards;
    fold->topic = topic != NULL;
    if (topic)
        fold->topic_name = (struct kpi_string){topic, strlen(topic)};
    fold->from = INT64_MIN;
    fold->to = INT64_MAX;
    fold->engines = calloc(n_shards, sizeof(*fold->engines));
    fold->batches = calloc((size_t)n_shards + 1, sizeof(*fold->batches));
    fold->places = calloc(n_shards, sizeof(*fold->places));
    if (!fold->engines || !fold->batches || !fold->places)
        r = -ENOMEM;
    for (uint32_t i = 0; i < n_shards && r == 0; i++)
        r = kpi_engine_new(&fold->engines[i], config->plan, &memory_kpi);
    for (uint32_t i = 0; i <= n_shards && r == 0; i++)
        r = kpi_batch_new(&fold->batches[i], config->plan, &memory_kpi);
    cli_replay_key(config, key);
    if (r == 0)
        r = event_decoder_new(&fold->decoder,
                              &(struct event_decoder_options){.plan = config->plan,
                                                              .key = key,
                                                              .currency = config->currency,
                                                              .mappings = config->mappings,
                                                              .topics = &topic,
                                                              .n_topics = topic != NULL});
    if (r < 0) {
        (void)replay_fold_free(fold);
        return error_origin(r);
    }
    *ret_fold = fold;
    return 0;
}

struct replay_fold *replay_fold_free(struct replay_fold *fold)
{
    if (!fold)
        return NULL;
    for (uint32_t i = 0; fold->engines && i < fold->n_shards; i++)
        (void)kpi_engine_free(fold->engines[i]);
    for (uint32_t i = 0; fold->batches && i <= fold->n_shards; i++)
        (void)kpi_batch_free(fold->batches[i]);
    (void)event_decoder_free(fold->decoder);
    free(fold->engines);
    free(fold->batches);
    free(fold->places);
    free(fold);
    return NULL;
}

const char *replay_refusal_name(unsigned refusal)
{
    switch (refusal) {
    case REPLAY_REFUSAL_QUOTE:
        return "quote";
    case REPLAY_REFUSAL_CELLS:
        return "cells";
    default:
        return kpi_refusal_name((enum kpi_refusal)refusal);
    }
}

/* Shards are applied one after the other: the first refusal is the one that stood first. */
static void refuse(struct replay_fold *fold, unsigned refusal, struct replay_place place)
{
    struct replay_place *first = &fold->first_refusal[refusal];

    fold->n_outcomes[KPI_OUTCOME_REFUSED]++;
    if (fold->n_refusals[refusal]++ == 0 || (first->file == place.file && place.line < first->line))
        *first = place;
}

unsigned replay_fold_first(const struct replay_fold *fold, struct replay_place *ret_place)
{
    unsigned refusal = 0;

    for (unsigned i = 1; i < REPLAY_REFUSAL_COUNT; i++) {
        if (fold->n_refusals[i] == 0 || (refusal && fold->first_refusal[i].line > ret_place->line))
            continue;
        refusal = i;
        *ret_place = fold->first_refusal[i];
    }
    return refusal;
}

static int flush(struct replay_fold *fold, uint32_t shard)
{
    struct kpi_batch *batch = fold->batches[shard];
    int r;

    if (batch->n_events == 0)
        return 0;
    r = kpi_engine_apply(fold->engines[shard], batch);
    if (r < 0)
        return error_trace(r);
    for (unsigned i = 0; i < batch->n_events; i++) {
        if (batch->events[i].outcome == KPI_OUTCOME_REFUSED)
            refuse(fold, batch->events[i].refusal, fold->places[shard][i]);
        else
            fold->n_outcomes[batch->events[i].outcome]++;
    }
    batch->n_events = 0;
    return 0;
}

int replay_fold_end(struct replay_fold *fold)
{
    int r = 0;

    for (uint32_t i = 0; i < fold->n_shards && r == 0; i++)
        r = flush(fold, i);
    event_decoder_reset(fold->decoder);
    if (r == 0 && fold->strict && fold->n_outcomes[KPI_OUTCOME_REFUSED] > 0)
        return REPLAY_E_REFUSED;
    return r;
}

kpi_time replay_fold_time(struct replay_fold *fold, const char *bytes, size_t size)
{
    struct kpi_event *decoded = &fold->batches[fold->n_shards]->events[0];
    struct event_origin origin = {.record_time = KPI_TIME_NONE, .topic = fold->topic};
    enum kpi_refusal refusal = event_decode(fold->decoder, bytes, size, &origin, decoded);

    event_decoder_reset(fold->decoder);
    return refusal == KPI_REFUSAL_NONE ? decoded->time : KPI_TIME_NONE;
}

/* Strict: what is still held may be refused, too, and stand before. */
static int judge(struct replay_fold *fold)
{
    return fold->strict && fold->n_outcomes[KPI_OUTCOME_REFUSED] > 0 ? replay_fold_end(fold) : 0;
}

int replay_fold_refuse(struct replay_fold *fold, unsigned refusal, struct replay_place place)
{
    refuse(fold, refusal, place);
    return judge(fold);
}

/* Is the event inside of [from, to)? */
static bool is_inside(struct replay_fold *fold, const struct kpi_event *event)
{
    if (event->time >= fold->from && event->time < fold->to)
        return true;
    if (fold->n_outside++ == 0)
        fold->outside_min = fold->outside_max = event->time;
    fold->outside_min = event->time < fold->outside_min ? event->time : fold->outside_min;
    fold->outside_max = event->time > fold->outside_max ? event->time : fold->outside_max;
    return false;
}

/* Moves a decoded event to the end of its shard's batch. */
static uint32_t distribute(struct replay_fold *fold, const struct kpi_event *decoded)
{
    uint32_t shard =
        (uint32_t)((decoded->flags & KPI_EVENT_HAS_USER ? decoded->user : decoded->id) %
                   fold->n_shards);
    struct kpi_batch *batch = fold->batches[shard];
    struct kpi_event *event = &batch->events[batch->n_events];
    struct kpi_field *fields = event->fields;

    *event = *decoded;
    event->fields = fields;
    memcpy(fields, decoded->fields, kpi_plan_n_fields(fold->config->plan) * sizeof(*fields));
    return shard;
}

int replay_fold_event(struct replay_fold *fold, const char *bytes, size_t size,
                      const struct event_origin *origin, struct replay_place place)
{
    /* With one shard there is nothing to choose: the event is decoded where it belongs. */
    struct kpi_batch *batch = fold->batches[fold->n_shards == 1 ? 0 : fold->n_shards];
    struct kpi_event *event = &batch->events[batch->n_events];
    enum kpi_refusal refusal = event_decode(fold->decoder, bytes, size, origin, event);
    uint32_t shard = 0;
    int r;

    if (refusal == KPI_REFUSAL_SKIPPED) {
        fold->n_skipped++;
        return 0;
    }
    if (refusal != KPI_REFUSAL_NONE)
        return replay_fold_refuse(fold, refusal, place);
    if (!is_inside(fold, event))
        return 0;
    if (fold->n_shards > 1)
        shard = distribute(fold, event);
    fold->places[shard][fold->batches[shard]->n_events++] = place;
    if (fold->batches[shard]->n_events < KPI_BATCH_MAX)
        return 0;
    r = flush(fold, shard);
    return r < 0 ? r : judge(fold);
}

static kpi_time newest_event(const struct replay_fold *fold)
{
    kpi_time newest = 0;

    for (uint32_t i = 0; i < fold->n_shards; i++) {
        struct kpi_engine_stats stats;

        kpi_engine_stats(fold->engines[i], &stats);
        newest = stats.newest_event > newest ? stats.newest_event : newest;
    }
    return newest;
}

/* What engines say at a moment, added up. */
struct sum {
    struct kpi_layout *layout;
    struct kpi_row *rows, *scratch;
    struct kpi_supplement **supplements; /* NULL: there are none */
    uint32_t n_supplements;
};

static void sum_deinit(struct sum *sum)
{
    for (uint32_t i = 0; i < sum->n_supplements; i++)
        (void)kpi_supplement_unref(sum->supplements[i]);
    free(sum->supplements);
    free(sum->rows);
    free(sum->scratch);
    (void)kpi_layout_unref(sum->layout);
}

static int sum_init(struct sum *sum, const struct replay_fold *fold, kpi_time at)
{
    uint32_t n_rows;
    int r;

    *sum = (struct sum){0};
    r = kpi_layout_new(&sum->layout, fold->config->plan, at, &memory_kpi);
    if (r < 0)
        return error_origin(r);
    n_rows = kpi_layout_n_rows(sum->layout);
    sum->rows = calloc(n_rows + 1, sizeof(*sum->rows));
    sum->scratch = calloc(n_rows + 1, sizeof(*sum->scratch));
    if (kpi_plan_has_supplement(fold->config->plan))
        sum->supplements = calloc(fold->n_shards, sizeof(struct kpi_supplement *));
    if (!sum->rows || !sum->scratch ||
        (!sum->supplements && kpi_plan_has_supplement(fold->config->plan))) {
        sum_deinit(sum);
        return error_origin(-ENOMEM);
    }
    return 0;
}

static int sum_add(struct sum *sum, struct kpi_engine *engine)
{
    int r = kpi_engine_report(engine, sum->layout, sum->scratch);

    if (r < 0)
        return error_origin(r);
    (void)kpi_rows_add(sum->layout, sum->rows, sum->scratch); /* an overflow marks its row */
    if (!sum->supplements)
        return 0;
    r = kpi_engine_supplement(engine, sum->layout, &sum->supplements[sum->n_supplements]);
    if (r < 0)
        return error_origin(r);
    sum->n_supplements++;
    return 0;
}

/* NULL: no memory. */
static struct view *sum_view(struct sum *sum, kpi_time at)
{
    const struct kpi_supplement *const *parts =
        (const struct kpi_supplement *const *)sum->supplements;
    struct view *view;

    if (kpi_rows_fill_quantiles(sum->layout, parts, sum->n_supplements, &memory_kpi, sum->rows) < 0)
        return NULL;
    view = view_of_rows(sum->layout, sum->rows, at);
    if (kpi_plan_n_breakdowns(kpi_layout_plan(sum->layout)) == 0)
        return view;
    for (uint32_t i = 0; view && i < sum->n_supplements; i++) {
        if (view_add_groups(view, sum->supplements[i]) < 0)
            view = view_unref(view);
    }
    return view;
}

static int add_answers(struct kpi_engine *engine, const struct kpi_layout *layout,
                       struct view *view)
{
    struct kpi_answers *answers;
    int r;

    if (!kpi_plan_has_answers(kpi_layout_plan(layout)))
        return 0;
    r = kpi_engine_answers(engine, layout, &answers);
    if (r < 0)
        return error_origin(r);
    r = view_add_answers(view, answers);
    (void)kpi_answers_unref(answers);
    return r < 0 ? error_trace(r) : 0;
}

struct view *replay_view(const struct replay_fold *fold, kpi_time at)
{
    struct view *view = NULL;
    struct sum sum;
    int r;

    if (at == KPI_TIME_NONE)
        at = newest_event(fold);
    r = sum_init(&sum, fold, at);
    if (r < 0)
        return NULL;
    for (uint32_t i = 0; i < fold->n_shards && r == 0; i++)
        r = sum_add(&sum, fold->engines[i]);
    if (r == 0)
        view = sum_view(&sum, at);
    for (uint32_t i = 0; view && i < fold->n_shards; i++) {
        if (add_answers(fold->engines[i], sum.layout, view) < 0)
            view = view_unref(view);
    }
    sum_deinit(&sum);
    return view;
}
