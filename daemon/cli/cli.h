/*
 * The subcommands of kpid, one file each. Each takes what follows its name on the command line
 * (argv[0] is the name itself) and returns an exit code of sysexits. Data goes to stdout,
 * everything else to stderr.
 */
#pragma once

#include "config/config.h"

#define KPID_VERSION_STRING KPID_VERSION

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_rebuild(int argc, char **argv);
int cli_test(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_state(int argc, char **argv);
int cli_version(int argc, char **argv);

/* "kpid replay: text" on stderr, and EX_USAGE. */
int cli_usage(const char *command, const char *text, const char *argument);

/*
 * Loads FILE and prints what is wrong with it on stderr; of campaigns that are over by `now` it
 * warns, too (0: of none). NULL with *ret_exit set (78 or 70) if it cannot be used.
 */
struct config *cli_config(const char *path, uint32_t n_shards, kpi_time now, int *ret_exit);

/* The configuration's topic if it has only one, else NULL. */
const char *cli_only_topic(const struct config *config);
/*
 * The topic that the events of files are of, as decoders count them: the one that is given, else
 * the only one of the configuration; *ret_topic is NULL if there is none. Said on stderr and false
 * if one must be given, because mappings differ by topic.
 */
bool cli_topic(const char *command, const struct config *config, const char *given,
               const char **ret_topic);

/* The secret key if the configuration's file has one, else a fixed one (replay needs no secret). */
void cli_replay_key(const struct config *config, uint8_t ret_key[192]);
