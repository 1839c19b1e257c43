/* The table of kpid check --users. */
#include "cli/estimate.h"

#include <stdio.h>

enum {
    DAILY_PART = 10,     /* one user of so many comes on a day */
    EVENTS_OF_USER = 10, /* and has so many events */
};

/* "1,234,567" */
static const char *with_commas(char text[32], uint64_t number)
{
    char digits[24];
    size_t n = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    return text;
}

/* Three digits that count, as people say it. */
static const char *as_size(char text[32], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    unsigned unit = 0;

    for (; value >= 999.5 && unit < 4; unit++)
        value /= 1024;
    (void)snprintf(text, 32, "%.*f %s", unit == 0 || value >= 99.95 ? 0 : 1, value, units[unit]);
    return text;
}

static void print_line(const char *kind, uint64_t bytes, uint32_t n_shards, const char *what)
{
    char each[32], all[32];

    (void)printf("%-11s %10s %10s%s%s\n", kind, as_size(each, bytes),
                 as_size(all, bytes * n_shards), *what ? "  " : "", what);
}

void estimate_print(const struct config *config, struct kpi_estimate_stream stream)
{
    struct kpi_estimate bytes;
    char users[32], daily[32];

    stream.days = stream.days ? stream.days : kpi_plan_keep_days(config->plan);
    stream.users_daily = (stream.users + DAILY_PART - 1) / DAILY_PART;
    stream.events_daily = stream.users_daily * EVENTS_OF_USER;
    kpi_plan_estimate(config->plan, &stream, &bytes);
    (void)printf("%-11s %10s %10s\n", "memory", "a shard", "in all");
    print_line("users", bytes.users, stream.n_shards, "the table of users");
    print_line("attributes", bytes.attributes, stream.n_shards, "what is known of each user");
    print_line("sets", bytes.sets, stream.n_shards, "distinct users by measure, campaign and day");
    print_line("answers", bytes.answers, stream.n_shards, "the latest or first of users");
    if (bytes.sketches > 0)
        print_line("sketches", bytes.sketches, stream.n_shards, "values of quantiles by window");
    print_line("unions", bytes.unions, stream.n_shards, "users of campaigns, phases, rolling days");
    print_line("dedupe", bytes.dedupe, stream.n_shards, "event ids in the window");
    print_line("cells", bytes.cells, stream.n_shards, "counts and sums");
    print_line("total", bytes.total, stream.n_shards, "");
    (void)printf("\nFor %s users in %u days on %u shard%s, if %s of them come on a day, with %d "
                 "events each,\nare seen by every measure, and answer once. The process itself, "
                 "librdkafka's queues and a\ncheckpoint under way come on top.\n",
                 with_commas(users, stream.users), stream.days, stream.n_shards,
                 stream.n_shards == 1 ? "" : "s", with_commas(daily, stream.users_daily),
                 EVENTS_OF_USER);
}
