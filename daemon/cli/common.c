/* What subcommands share. */
#include "cli/cli.h"

#include "codec/mapping.h"
#include "util/secret_key.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

int cli_usage(const char *command, const char *text, const char *argument)
{
    (void)fprintf(stderr, "kpid %s: %s%s%s\nTry: kpid %s --help\n", command, text,
                  argument ? ": " : "", argument ? argument : "", command);
    return EX_USAGE;
}

static void print_line(void *userdata, const char *text)
{
    (void)fputs(text, stderr);
}

struct config *cli_config(const char *path, uint32_t n_shards, kpi_time now, int *ret_exit)
{
    const struct config_report report = {.line = print_line, .now = now};
    struct config *config = NULL;
    int r;

    r = config_load(&config, path, n_shards, &report);
    if (r == 0)
        return config;
    if (r < 0)
        (void)fprintf(stderr, "kpid: %s: %s\n", path, strerror(-r));
    *ret_exit = r < 0 ? EX_SOFTWARE : EX_CONFIG;
    return NULL;
}

const char *cli_only_topic(const struct config *config)
{
    return config->kafka.n_topics == 1 ? config->kafka.topics[0] : NULL;
}

bool cli_topic(const char *command, const struct config *config, const char *given,
               const char **ret_topic)
{
    const struct mappings *mappings = config->mappings;

    *ret_topic = given ? given : cli_only_topic(config);
    if (*ret_topic)
        return true;
    for (uint32_t i = 0; mappings && i < mappings->n_mappings; i++) {
        if (mappings->mappings[i].n_topics > 0) {
            (void)cli_usage(command, "--topic is needed: mappings differ by topic", NULL);
            return false;
        }
    }
    return true;
}

void cli_replay_key(const struct config *config, uint8_t ret_key[SECRET_KEY_BYTES])
{
    uint64_t state = 0;

    if (config->state.key_file && secret_key_read(config->state.key_file, ret_key) == 0)
        return;
    /* splitmix64: XXH3 wants a secret without pattern. */
    for (unsigned i = 0; i < SECRET_KEY_BYTES; i += sizeof(state)) {
        uint64_t word = state += 0x9e3779b97f4a7c15;

        word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
        word = (word ^ word >> 27) * 0x94d049bb133111eb;
        word ^= word >> 31;
        memcpy(ret_key + i, &word, sizeof(word));
    }
}
