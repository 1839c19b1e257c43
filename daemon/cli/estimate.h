/* kpid check --users: what a configuration will take of memory. */
#pragma once

#include "cli/cli.h"

#include <kpi/estimate.h>

/*
 * Prints a table of bytes by kind, a shard and in all, and what was assumed. Of the stream, users,
 * values, days and n_shards are given (days 0: what is kept).
 */
void estimate_print(const struct config *config, struct kpi_estimate_stream stream);
