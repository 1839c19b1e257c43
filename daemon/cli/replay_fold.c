/* Files of events into engines: see replay_fold.h. */
#include "cli/replay_fold.h"

#include "cli/cli.h"
#include "codec/event_json.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 20)
#define PROGRESS_US  100000

int replay_fold_new(struct replay_fold **ret_fold, const struct config *config, uint32_t n_shards)
{
    struct replay_fold *fold = calloc(1, sizeof(*fold));
    uint8_t key[EVENT_KEY_BYTES];
    int r = 0;

    if (!fold)
        return error_origin(-ENOMEM);
    fold->config = config;
    fold->n_shards = n_shards;
    fold->progress = isatty(STDERR_FILENO);
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
                              &(struct event_decoder_options){
                                  .plan = config->plan, .key = key, .currency = config->currency});
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

static void refuse(struct replay_fold *fold, enum kpi_refusal refusal, struct replay_place place)
{
    fold->n_outcomes[KPI_OUTCOME_REFUSED]++;
    if (fold->n_refusals[refusal]++ == 0)
        fold->first_refusal[refusal] = place;
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

static int flush_all(struct replay_fold *fold)
{
    int r = 0;

    for (uint32_t i = 0; i < fold->n_shards && r == 0; i++)
        r = flush(fold, i);
    event_decoder_reset(fold->decoder);
    return r;
}

kpi_time replay_fold_time(struct replay_fold *fold, const char *bytes, size_t size)
{
    struct kpi_event *decoded = &fold->batches[fold->n_shards]->events[0];
    struct event_origin origin = {.record_time = KPI_TIME_NONE};
    enum kpi_refusal refusal = event_decode(fold->decoder, bytes, size, &origin, decoded);

    event_decoder_reset(fold->decoder);
    return refusal == KPI_REFUSAL_NONE ? decoded->time : KPI_TIME_NONE;
}

int replay_fold_event(struct replay_fold *fold, const char *bytes, size_t size,
                      const struct event_origin *origin, struct replay_place place)
{
    struct kpi_event *decoded = &fold->batches[fold->n_shards]->events[0];
    enum kpi_refusal refusal;
    struct kpi_field *fields;
    struct kpi_event *event;
    struct kpi_batch *batch;
    uint32_t shard;

    refusal = event_decode(fold->decoder, bytes, size, origin, decoded);
    if (refusal != KPI_REFUSAL_NONE) {
        refuse(fold, refusal, place);
        return 0;
    }
    shard = (uint32_t)((decoded->flags & KPI_EVENT_HAS_USER ? decoded->user : decoded->id) %
                       fold->n_shards);
    batch = fold->batches[shard];
    event = &batch->events[batch->n_events];
    fields = event->fields;
    *event = *decoded;
    event->fields = fields;
    memcpy(fields, decoded->fields, kpi_plan_n_fields(fold->config->plan) * sizeof(*fields));
    fold->places[shard][batch->n_events] = place;
    return ++batch->n_events == KPI_BATCH_MAX ? flush(fold, shard) : 0;
}

static int take_line(struct replay_fold *fold, const char *line, size_t size)
{
    struct replay_place place = {fold->file, ++fold->line};
    struct event_origin origin = {
        .topic_hash = fold->file_hash,
        .record_time = KPI_TIME_NONE,
        .offset = (int64_t)fold->line,
    };

    if (size > 0 && line[size - 1] == '\r')
        size--;
    return replay_fold_event(fold, line, size, &origin, place);
}

static void show_progress(const struct replay_fold *fold, uint64_t n_read, uint64_t n_all,
                          int64_t begun, bool last)
{
    double seconds = (double)(clock_monotonic_us() - begun) / 1e6;
    double rate = seconds > 0 ? (double)fold->line / seconds : 0;
    double left = n_read ? seconds * (double)(n_all - n_read) / (double)n_read : 0;
    char bar[31];

    for (unsigned i = 0; i < sizeof(bar) - 1; i++)
        bar[i] = n_all && i * n_all < n_read * (sizeof(bar) - 1) ? '#' : '.';
    bar[sizeof(bar) - 1] = '\0';
    if (n_all)
        (void)fprintf(stderr, "\r[%s] %3.0f %%  %.0f events/s  %.0f s left \x1b[K%s", bar,
                      100.0 * (double)n_read / (double)n_all, rate, last ? 0 : left,
                      last ? "\n" : "");
    else
        (void)fprintf(stderr, "\r%llu events  %.0f events/s \x1b[K%s",
                      (unsigned long long)fold->line, rate, last ? "\n" : "");
}

/* Takes the whole lines of the buffer; returns how many bytes they are, or a negative errno. */
static ssize_t take_lines(struct replay_fold *fold, const char *buffer, size_t size, bool last)
{
    size_t at = 0;

    while (at < size) {
        const char *end = memchr(buffer + at, '\n', size - at);
        size_t length = end ? (size_t)(end - (buffer + at)) : size - at;
        int r;

        /* A line longer than the buffer is taken in parts: each is refused, none is lost sight of.
         */
        if (!end && !last && !(at == 0 && size == BUFFER_BYTES))
            break;
        r = take_line(fold, buffer + at, length);
        if (r < 0)
            return r;
        at += length + (end != NULL);
    }
    return (ssize_t)at;
}

static int read_lines(struct replay_fold *fold, int fd, char *buffer, uint64_t n_all)
{
    int64_t begun = clock_monotonic_us(), shown = 0;
    uint64_t n_read = 0;
    size_t held = 0;

    for (;;) {
        ssize_t n = read(fd, buffer + held, BUFFER_BYTES - held);
        ssize_t taken;
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        held += (size_t)n;
        n_read += (uint64_t)n;
        taken = take_lines(fold, buffer, held, n == 0);
        if (taken < 0)
            return (int)taken;
        r = flush_all(fold); /* strings of the events are in the buffer */
        if (r < 0)
            return r;
        held -= (size_t)taken;
        memmove(buffer, buffer + taken, held);
        if (fold->progress && (n == 0 || clock_monotonic_us() - shown > PROGRESS_US)) {
            show_progress(fold, n_read, n_all, begun, n == 0);
            shown = clock_monotonic_us();
        }
        if (n == 0)
            return 0;
    }
}

int replay_fold_file(struct replay_fold *fold, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    struct stat status = {0};
    char *buffer;
    int fd, r;

    fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || S_ISDIR(status.st_mode)) {
        (void)fprintf(stderr, "kpid replay: %s: %s\n", path,
                      strerror(S_ISDIR(status.st_mode) ? EISDIR : errno));
        if (fd >= 0 && !standard)
            (void)close(fd);
        return REPLAY_E_FILE;
    }
    buffer = malloc(BUFFER_BYTES);
    fold->file = path;
    fold->file_hash = XXH3_64bits(path, strlen(path));
    fold->line = 0;
    r = buffer
            ? read_lines(fold, fd, buffer, S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0)
            : -ENOMEM;
    free(buffer);
    if (!standard)
        (void)close(fd);
    if (r < 0 && r != -ENOMEM) {
        (void)fprintf(stderr, "kpid replay: %s: %s\n", path, strerror(-r));
        return REPLAY_E_FILE;
    }
    return r;
}

int replay_fold_end(struct replay_fold *fold)
{
    return flush_all(fold);
}

struct view *replay_view(const struct replay_fold *fold, kpi_time at)
{
    struct kpi_engine_stats stats;
    struct kpi_layout *layout;
    struct kpi_row *sum, *rows;
    struct view *view = NULL;
    uint32_t n_rows;

    if (at == KPI_TIME_NONE) {
        at = 0;
        for (uint32_t i = 0; i < fold->n_shards; i++) {
            kpi_engine_stats(fold->engines[i], &stats);
            at = stats.newest_event > at ? stats.newest_event : at;
        }
    }
    if (kpi_layout_new(&layout, fold->config->plan, at, &memory_kpi) < 0)
        return NULL;
    n_rows = kpi_layout_n_rows(layout);
    sum = calloc(n_rows + 1, sizeof(*sum));
    rows = calloc(n_rows + 1, sizeof(*rows));
    for (uint32_t i = 0; sum && rows && i < fold->n_shards; i++) {
        if (kpi_engine_report(fold->engines[i], layout, rows) < 0) {
            free(rows);
            rows = NULL;
            break;
        }
        (void)kpi_rows_add(sum, rows, n_rows); /* an overflow marks its row */
    }
    if (sum && rows)
        view = view_of_rows(layout, sum, at);
    free(sum);
    free(rows);
    (void)kpi_layout_unref(layout);
    return view;
}
