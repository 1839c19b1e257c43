/* The messages of a load as JSON. */
#pragma once

#include "cli/cli.h"

/*
 * Loads FILE and prints an array of {"file","line","column","end_column","severity","message",
 * "suggestion"} in one line. Lines and columns count from 1, columns are characters of that line;
 * severity is error or warning, suggestion a text or null. Returns an exit code: 0, 78 or 70.
 */
int diagnostics_print(const char *path);
