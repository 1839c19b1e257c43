/* kpid check --against: what a change would do, before it is done. */
#pragma once

#include "cli/cli.h"

/*
 * Compares a configuration with what is there now: another file, or a running daemon (`where`
 * begins with http:// or https://). Prints what is added, removed and changed, what state is kept,
 * and what needs a restart. Returns an exit code: 0, 65, 69, 70 or 78.
 */
int against_print(const struct config *config, const char *where);
