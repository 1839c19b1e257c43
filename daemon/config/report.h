/*
 * Messages about a configuration: collected, sorted by position, and rendered as
 *
 *   kpid.yaml:14:7: error: unknown key "treshold"; did you mean "threshold"?
 *         treshold: 1
 *         ^~~~~~~~
 *
 * Adding never fails for the caller: lack of memory is remembered and told at the end. No rendered
 * line shows a secret: what follows a key named password or secret, and the path of a URL, is
 * masked.
 */
#pragma once

#include "config/config.h"
#include "config/doc.h"

#include <kpi/diag.h>

struct report_message;

struct report {
    struct arena *arena;
    struct report_message *messages;
    uint32_t n_messages, messages_capacity;
    uint32_t n_errors, n_warnings;
    bool no_memory;
};

enum {
    REPORT_MESSAGES_MAX = 100, /* shown; the rest is counted */
    REPORT_KEPT_MAX = 10000,   /* collected; a file that gives more is no configuration */
};

void report_error(struct report *report, struct doc_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_warning(struct report *report, struct doc_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* To the message added last: what was probably meant (NULL is fine), and another place to look at.
 */
void report_suggest(struct report *report, const char *suggestion);
void report_note(struct report *report, struct doc_place place, const char *text);

/* Hands all messages to `to`, lines at most 100 and then "and N more". Returns 0 or -ENOMEM. */
int report_flush(struct report *report, const struct config_report *to);

/* A text from outside, fit for a message: in double quotes, cut, control characters replaced. */
struct report_quoted {
    char text[96];
};
struct report_quoted report_quote(struct kpi_string string);
#define QUOTE(string) (report_quote(string).text)
