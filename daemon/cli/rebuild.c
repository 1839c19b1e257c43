/*
 * kpid rebuild: opens Kafka and Redis beside a running daemon, has the state made (rebuild.h),
 * shows how far it is, and says or waits for what comes next.
 */
#include "cli/cli.h"
#include "cli/replay_progress.h"
#include "rebuild.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/memory.h"
#include "util/secret_key.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: kpid rebuild -c FILE [--accept-missing]\n\n"
    "A KPI that a reload brings counts from then on and says so (counts_from). This fills it: it "
    "reads the log\n"
    "from its beginning with the definitions of FILE, in a process of its own, while the running "
    "kpid goes on,\n"
    "and leaves the state in Redis. Every kpid of the group that runs these definitions takes it "
    "over within\n"
    "seconds, in one step for each shard, and reads the rest of the log itself. So either\n\n"
    "  kill -HUP PID                       first reload FILE: new KPIs count from now on\n"
    "  kpid rebuild -c FILE                then fill them; waits until it is taken over\n\n"
    "or\n\n"
    "  kpid rebuild -c NEW.yaml            while the old definitions run\n"
    "  mv NEW.yaml kpid.yaml; kill -HUP PID   new KPIs are whole at once\n\n"
    "It may be killed or begun anew at any time: state that nobody takes over goes after a day. "
    "It reads as the\n"
    "group does, but does not join it, and needs the secret key file of the daemon.\n\n"
    "  -c, --config FILE       the configuration with the new definitions\n"
    "      --accept-missing    the log does not reach back as far as state is kept: let all KPIs "
    "count from\n"
    "                          its beginning, also those that are whole now\n";

enum {
    DRAW_US = 200000,
    LINE_US = 10000000,  /* where there is no terminal */
    RELOAD_US = 1000000, /* for a reload; and then a checkpoint tells what runs */
    RELOAD_US_MAX = 3000000,
    PATIENCE_US = 60000000,
};

struct face {
    int64_t began, drawn;
    bool terminal, shown;
};

static void format(const struct rebuild *rebuild, int64_t elapsed, char *line, size_t size)
{
    double seconds = (double)elapsed / 1e6, part = 1;
    double rate = elapsed > 0 ? (double)rebuild->n_read / seconds : 0;
    char left[40] = "?";

    if (rebuild->n_read < rebuild->n_all)
        part = (double)rebuild->n_read / (double)rebuild->n_all;
    if (part > 0)
        (void)replay_progress_format_seconds(left, sizeof(left), seconds * (1 - part) / part);
    (void)snprintf(line, size,
                   "%3.0f %%  %lld of %lld records  shard %u of %u  %.0f records/s  %s left",
                   100 * part, (long long)rebuild->n_read, (long long)rebuild->n_all,
                   rebuild->shard + 1, rebuild->n_shards, rate, left);
}

static void on_progress(void *userdata, const struct rebuild *rebuild)
{
    struct face *face = userdata;
    int64_t now = clock_monotonic_us();
    char line[200];

    if (now - face->drawn < (face->terminal ? DRAW_US : LINE_US))
        return;
    face->drawn = now;
    face->shown = face->terminal;
    format(rebuild, now - face->began, line, sizeof(line));
    (void)fprintf(stderr, face->terminal ? "\r%s\x1b[K" : "%s\n", line);
}

static void clear(struct face *face)
{
    if (face->shown)
        (void)fputs("\r\x1b[K", stderr);
    face->shown = false;
}

static int say(const struct rebuild *rebuild, int r)
{
    if (r == 0)
        return 0;
    (void)fprintf(stderr, "kpid rebuild: %s\n",
                  r < 0               ? strerror(-r)
                  : rebuild->error[0] ? rebuild->error
                                      : "the log is not what it was");
    return r < 0 ? EX_SOFTWARE : r == REBUILD_E_MISSING ? EX_DATAERR : EX_UNAVAILABLE;
}

/* What was staged is of the definitions that run: waits until it is taken over. */
static int wait_taken(struct rebuild *rebuild)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    int64_t moved = clock_monotonic_us();
    uint32_t n = 0, n_before = 0;
    int r;

    while (n < rebuild->n_shards) {
        (void)nanosleep(&pause, NULL);
        r = rebuild_taken(rebuild, &n);
        if (r != 0)
            return say(rebuild, r);
        if (n != n_before)
            moved = clock_monotonic_us();
        n_before = n;
        if (clock_monotonic_us() - moved > PATIENCE_US) {
            (void)fprintf(
                stderr,
                "kpid rebuild: %u of %u shards were taken over: is kpid running? It takes "
                "the others over when it does, within a day\n",
                n, rebuild->n_shards);
            return EX_UNAVAILABLE;
        }
    }
    (void)printf("taken over by the running kpid\n");
    (void)store_staged_withdraw(rebuild->store); /* it expires, too */
    return 0;
}

/* Do the definitions run that were rebuilt? They may have been reloaded just now. */
static int look_running(struct rebuild *rebuild, bool *ret_running)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    int64_t patience = rebuild->config->checkpoint.interval + RELOAD_US;
    int64_t deadline = clock_monotonic_us() + (patience < RELOAD_US_MAX ? patience : RELOAD_US_MAX);
    int r = rebuild_is_running(rebuild, ret_running);

    while (r == 0 && !*ret_running && clock_monotonic_us() < deadline) {
        (void)nanosleep(&pause, NULL);
        r = rebuild_is_running(rebuild, ret_running);
    }
    return r;
}

static int finish(struct rebuild *rebuild, const char *path)
{
    time_t seconds = rebuild->missing / KPI_SECOND;
    bool running = false;
    char text[32];
    struct tm tm;
    int r;

    (void)printf("%lld records read, %u shard%s ready\n", (long long)rebuild->n_read,
                 rebuild->n_shards, rebuild->n_shards == 1 ? "" : "s");
    if (rebuild->missing != KPI_TIME_NONE) {
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
        (void)printf("the log does not reach back further: KPIs count from %s\n", text);
    }
    (void)fflush(stdout);
    r = look_running(rebuild, &running);
    if (r != 0)
        return say(rebuild, r);
    if (running)
        return wait_taken(rebuild);
    (void)printf("no kpid runs these definitions yet: reload all instances with %s (kill -HUP) "
                 "within a day, and they take it over\n",
                 path);
    return 0;
}

static int run(struct rebuild *rebuild, const char *path)
{
    struct face face = {.began = clock_monotonic_us(), .terminal = isatty(STDERR_FILENO)};
    int r;

    face.drawn = face.began;
    rebuild->progress = on_progress;
    rebuild->userdata = &face;
    r = rebuild_stage(rebuild);
    clear(&face);
    return r == 0 ? finish(rebuild, path) : say(rebuild, r);
}

static int open_store(struct rebuild *rebuild, const struct config *config, const uint8_t *key)
{
    const struct store_options options = {
        .url = config->redis.url,
        .username = config->redis.username,
        .password = config->redis.password,
        .group = config->kafka.group,
        .owner = "kpid rebuild",
        .connect_timeout_us = 5 * KPI_SECOND,
        .command_timeout_us = 10 * KPI_SECOND,
    };
    bool durable;
    int r;

    if (store_new(&rebuild->store, &options) < 0)
        return EX_SOFTWARE;
    r = store_check(rebuild->store, secret_key_fingerprint(key), &durable);
    if (r == 0)
        return 0;
    (void)fprintf(stderr, "kpid rebuild: Redis: %s\n", store_error(rebuild->store));
    return EX_UNAVAILABLE;
}

static int open_intake(struct rebuild *rebuild, const struct config *config)
{
    int r =
        intake_new(&rebuild->intake, &(struct intake_options){.config = config, .n_workers = 1});

    if (r == 0)
        r = intake_check(rebuild->intake, &rebuild->n_shards);
    if (r > 0)
        (void)fprintf(stderr, "kpid rebuild: Kafka: %s\n", intake_error(rebuild->intake));
    return r == 0 ? 0 : r == INTAKE_E_AWAY ? EX_UNAVAILABLE : r > 0 ? EX_CONFIG : EX_SOFTWARE;
}

static int check_config(const struct config *config, const char *path, uint8_t *key)
{
    const char *what = !config->kafka.brokers    ? "names no Kafka"
                       : !config->redis.url      ? "names no redis.url: there is nothing to rebuild"
                       : !config->state.key_file ? "names no state.key_file"
                                                 : NULL;

    if (what) {
        (void)fprintf(stderr, "kpid rebuild: %s %s\n", path, what);
        return EX_CONFIG;
    }
    if (secret_key_read(config->state.key_file, key) == 0)
        return 0;
    (void)fprintf(stderr, "kpid rebuild: %s cannot be read, or is not the key of the daemon\n",
                  config->state.key_file);
    return EX_CONFIG;
}

/* `first` was loaded before the number of shards was known, which limits depend on. */
static int rebuild_with(struct config *first, const char *path, bool accept_missing)
{
    struct rebuild rebuild = {.accept_missing = accept_missing};
    uint8_t key[SECRET_KEY_BYTES];
    struct config *config = NULL;
    int code;

    code = check_config(first, path, key);
    /* What is refused was told when it was read first. */
    free(first->kafka.dead_letter_topic);
    first->kafka.dead_letter_topic = NULL;
    if (code == 0)
        code = open_store(&rebuild, first, key);
    if (code == 0)
        code = open_intake(&rebuild, first);
    if (code == 0)
        config = cli_config(path, rebuild.n_shards, 0, &code);
    if (config) {
        rebuild.config = config;
        rebuild.key = key;
        code = run(&rebuild, path);
    }
    (void)intake_free(rebuild.intake);
    (void)store_free(rebuild.store);
    (void)config_free(config);
    explicit_bzero(key, sizeof(key));
    return code;
}

int cli_rebuild(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"accept-missing", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    bool accept_missing = false;
    const char *path = NULL;
    struct config *config;
    int option, code = 0;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'm':
            accept_missing = true;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            return cli_usage("rebuild", "unknown option", NULL);
        }
    }
    if (!path)
        return cli_usage("rebuild", "-c FILE is needed", NULL);
    if (optind < argc)
        return cli_usage("rebuild", "unexpected argument", argv[optind]);
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT);
    memory_expect_much();
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a core would hold user ids and the key */
    config = cli_config(path, 0, 0, &code);
    if (!config)
        return code;
    code = rebuild_with(config, path, accept_missing);
    (void)config_free(config);
    return code;
}
