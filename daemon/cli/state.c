/* kpid state digest: the canonical digest of every stored shard, computed from its checkpoint. */
#include "cli/cli.h"

#include "store/store.h"
#include "util/log.h"
#include "util/memory.h"
#include "util/secret_key.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char help[] = "usage: kpid state digest -c FILE [--shards N]\n\n"
                           "  kpid state digest -c kpid.yaml    a line a shard: shard, digest, and "
                           "the offsets it is of\n\n"
                           "Two states of the same definitions at the same offsets have the same "
                           "digest, whoever computed\n"
                           "them. Reads the checkpoint only: a running kpid is not disturbed.\n\n"
                           "      --shards N      stop after N shards (until one is missing)\n";

static int load_object(void *userdata, const struct kpi_object *object)
{
    return kpi_engine_load(userdata, object);
}

static int print_shard(const struct store_manifest *manifest, struct kpi_engine *engine)
{
    uint8_t digest[16];

    if (kpi_engine_digest(engine, digest) < 0)
        return EX_SOFTWARE;
    (void)printf("%u ", manifest->shard);
    for (unsigned i = 0; i < sizeof(digest); i++)
        (void)printf("%02x", digest[i]);
    for (uint32_t i = 0; i < manifest->n_positions; i++)
        (void)printf(" %s:%" PRId64, manifest->positions[i].topic, manifest->positions[i].next);
    (void)printf("\n");
    return 0;
}

/* One shard: 0, -1 if there is none, or an exit code. */
static int digest_shard(const struct config *config, struct store *store, uint32_t shard)
{
    KPI_CLEANUP(kpi_engine_freep) struct kpi_engine *engine = NULL;
    struct store_manifest *manifest = NULL;
    int r, code = EX_UNAVAILABLE;

    r = store_peek(store, shard, &manifest);
    if (r == 0 && manifest->n_positions == 0) {
        (void)store_manifest_free(manifest);
        return -1;
    }
    if (r == 0)
        r = kpi_engine_new(&engine, config->plan, &memory_kpi);
    if (r == 0)
        r = store_load(store, manifest, load_object, engine);
    if (r != 0) {
        (void)fprintf(stderr, "kpid state: shard %u: %s\n", shard,
                      r < 0 ? strerror(-r) : store_error(store));
        code = r < 0 ? EX_SOFTWARE : r == STORE_E_CORRUPT ? EX_DATAERR : EX_UNAVAILABLE;
    } else if (kpi_engine_load_end(engine) != 0) {
        (void)fprintf(stderr, "kpid state: shard %u: the stored state is damaged\n", shard);
        code = EX_DATAERR;
    } else {
        code = print_shard(manifest, engine);
    }
    (void)store_manifest_free(manifest);
    return code;
}

static int digest_all(const struct config *config, uint32_t n_shards)
{
    struct store *store;
    int code = 0;
    uint32_t n = 0;

    if (store_new(&store, &(struct store_options){
                              .url = config->redis.url,
                              .username = config->redis.username,
                              .password = config->redis.password,
                              .group = config->kafka.group,
                              .owner = "kpid state",
                              .connect_timeout_us = 5000000,
                              .command_timeout_us = 10000000,
                          }) < 0)
        return EX_SOFTWARE;
    while (n < n_shards && code == 0) {
        code = digest_shard(config, store, n);
        n += code == 0;
    }
    (void)store_free(store);
    if (code == -1 && n == 0) {
        (void)fprintf(stderr, "kpid state: nothing is stored for group %s\n", config->kafka.group);
        return EX_DATAERR;
    }
    return code == -1 ? 0 : code;
}

int cli_state(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"shards", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    unsigned long n_shards = UINT32_MAX;
    const char *path = NULL;
    struct config *config;
    int option, code = 0;
    char *end;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 's':
            n_shards = strtoul(optarg, &end, 10);
            if (*end || n_shards == 0)
                return cli_usage("state", "--shards is a number, not", optarg);
            break;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            return cli_usage("state", "unknown option", NULL);
        }
    }
    if (optind + 1 != argc || strcmp(argv[optind], "digest") != 0)
        return cli_usage("state", "what about the state? kpid state digest", NULL);
    if (!path)
        return cli_usage("state", "-c FILE is needed", NULL);
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT);
    config = cli_config(path, 0, 0, &code);
    if (!config)
        return code;
    if (!config->redis.url) {
        (void)fprintf(stderr, "kpid state: %s names no redis.url\n", path);
        code = EX_CONFIG;
    } else {
        code = digest_all(config, (uint32_t)(n_shards > UINT32_MAX ? UINT32_MAX : n_shards));
    }
    (void)config_free(config);
    return code;
}
