/*
 * The source line that a message is about, and a line with a caret under it. The caret stands right
 * for wide (Chinese) characters and tabs. Secrets are masked, long lines are cut around the caret.
 */
#pragma once

#include "config/doc.h"

/* Two lines, each ending in a newline, or "" for a place that is nowhere. NULL: no memory. */
const char *excerpt(struct arena *arena, struct doc_place place);

/* Columns that a character takes on a terminal: 0, 1 or 2. */
unsigned excerpt_width(uint32_t character);
