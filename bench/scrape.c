/*
 * What a scrape costs: /metrics of at least 10,000 series, written and compressed, and /api/v1/kpis
 * of all values. Prints the median and the worst of 50 runs.
 *
 *   scrape [CAMPAIGNS]     default 80, of 6 scopes, 6 KPIs and up to 4 families each
 */
#include "status_fixture.h"
#include "view_fixture.h"

#include "api/http.h"
#include "api/kpis.h"
#include "api/metrics.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    N_RUNS = 50,
};

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void print(const char *name, int64_t *us, size_t size)
{
    qsort(us, N_RUNS, sizeof(*us), compare);
    printf("%-28s median %6.2f ms, worst %6.2f ms, %zu bytes\n", name, (double)us[N_RUNS / 2] / 1e3,
           (double)us[N_RUNS - 1] / 1e3, size);
}

static struct view *make_view(uint32_t n_campaigns)
{
    struct view *view = view_fixture_new(n_campaigns);

    for (uint32_t campaign = 0; campaign < n_campaigns; campaign++) {
        for (int scope = 0; scope < FIXTURE_SCOPES; scope++) {
            for (int kpi = 0; kpi < FIXTURE_KPIS; kpi++)
                view_fixture_set(view, campaign, (enum view_fixture_scope)scope,
                                 (enum view_fixture_kpi)kpi, KPI_VALUE_OK,
                                 1000000 + scope * 7919 + campaign * 104729, 2000003 + kpi);
        }
    }
    return view;
}

static unsigned count_samples(const char *text, size_t size)
{
    unsigned n = 0;

    for (size_t i = 0; i < size; i++)
        n += text[i] == '\n' && i + 1 < size && text[i + 1] != '#';
    return n;
}

static void bench_metrics(const struct view *view, enum exposition_format format, const char *name)
{
    struct api_status status = status_fixture();
    int64_t write_us[N_RUNS], zip_us[N_RUNS];
    size_t size = 0, zipped_size = 0;
    unsigned n_samples = 0;

    for (int i = 0; i < N_RUNS; i++) {
        int64_t begun = clock_monotonic_us(), written;
        void *zipped;
        char *text;

        if (metrics_write(&text, &size, format, view, &status) < 0)
            exit(EXIT_FAILURE);
        written = clock_monotonic_us();
        if (http_gzip(text, size, &zipped, &zipped_size) < 0)
            exit(EXIT_FAILURE);
        write_us[i] = written - begun;
        zip_us[i] = clock_monotonic_us() - written;
        n_samples = count_samples(text, size);
        free(zipped);
        free(text);
    }
    printf("%s: %u series\n", name, n_samples);
    print("  write", write_us, size);
    print("  gzip", zip_us, zipped_size);
}

static void bench_kpis(const struct view *view)
{
    int64_t us[N_RUNS];
    size_t size = 0;

    for (int i = 0; i < N_RUNS; i++) {
        int64_t begun = clock_monotonic_us();
        char *text;

        if (kpis_write(&text, &size, view, &(struct kpis_filter){0}, UINT64_MAX) != 0)
            exit(EXIT_FAILURE);
        us[i] = clock_monotonic_us() - begun;
        free(text);
    }
    print("/api/v1/kpis, all values", us, size);
}

int main(int argc, char **argv)
{
    struct view *view = make_view(argc > 1 ? (uint32_t)atoi(argv[1]) : 80);

    bench_metrics(view, EXPOSITION_TEXT, "/metrics, text 0.0.4");
    bench_metrics(view, EXPOSITION_OPENMETRICS, "/metrics, OpenMetrics 1.0");
    bench_kpis(view);
    (void)view_unref(view);
    return EXIT_SUCCESS;
}
