#include "cli/replay_progress.h"

#include "util/clock.h"

#include <stdio.h>

#define EVERY_US 200000

void replay_progress_init(struct replay_progress *progress, uint64_t n_all)
{
    int64_t now = clock_monotonic_us();

    *progress = (struct replay_progress){.n_all = n_all, .began = now, .drawn = now};
}

int replay_progress_format_seconds(char *text, size_t size, double seconds)
{
    uint64_t s = (uint64_t)seconds + 1; /* not 0 before the end */

    if (s < 60)
        return snprintf(text, size, "%llu s", (unsigned long long)s);
    if (s < 3600)
        return snprintf(text, size, "%llu min %02llu s", (unsigned long long)(s / 60),
                        (unsigned long long)(s % 60));
    return snprintf(text, size, "%llu h %02llu min", (unsigned long long)(s / 3600),
                    (unsigned long long)(s / 60 % 60));
}

void replay_progress_format(const struct replay_progress *progress, uint64_t n_bytes,
                            uint64_t n_events, int64_t elapsed,
                            char ret_line[REPLAY_PROGRESS_LINE_BYTES_MAX])
{
    static const char full[] = "####################", rest[] = "....................";
    double seconds = (double)elapsed / 1e6;
    double rate = elapsed > 0 ? (double)n_events / seconds : 0;
    const int width = sizeof(full) - 1;
    char left[40] = "?";
    double part, unit;
    int n;

    if (progress->n_all == 0) {
        (void)snprintf(ret_line, REPLAY_PROGRESS_LINE_BYTES_MAX,
                       "%.1f MB  %llu events  %.0f events/s", (double)n_bytes / 1e6,
                       (unsigned long long)n_events, rate);
        return;
    }
    part = n_bytes < progress->n_all ? (double)n_bytes / (double)progress->n_all : 1;
    if (part > 0)
        (void)replay_progress_format_seconds(left, sizeof(left), seconds * (1 - part) / part);
    n = (int)(part * width);
    unit = progress->n_all < 1000000000 ? 1e6 : 1e9;
    (void)snprintf(ret_line, REPLAY_PROGRESS_LINE_BYTES_MAX,
                   "[%.*s%.*s] %3.0f %%  %.1f of %.1f %s  %.0f events/s  %s left", n, full,
                   width - n, rest, 100 * part, (double)n_bytes / unit,
                   (double)progress->n_all / unit, unit < 1e9 ? "MB" : "GB", rate, left);
}

void replay_progress_update(struct replay_progress *progress, uint64_t n_bytes, uint64_t n_events)
{
    char line[REPLAY_PROGRESS_LINE_BYTES_MAX];
    int64_t now = clock_monotonic_us();

    if (now - progress->drawn < EVERY_US)
        return;
    progress->shown = true;
    progress->drawn = now;
    replay_progress_format(progress, progress->n_done + n_bytes, progress->n_events + n_events,
                           now - progress->began, line);
    (void)fprintf(stderr, "\r%s\x1b[K", line);
}

void replay_progress_next(struct replay_progress *progress, uint64_t n_bytes, uint64_t n_events)
{
    progress->n_done += n_bytes;
    progress->n_events += n_events;
}

void replay_progress_clear(struct replay_progress *progress)
{
    if (progress->shown)
        (void)fputs("\r\x1b[K", stderr);
    progress->shown = false;
}
