/*
 * Messages for people who wrote a definition. libkpi does not print: whoever compiles passes a
 * `struct kpi_diag` and gets every message, not only the first.
 */
#pragma once

#include <kpi/base.h>

/*
 * A piece of a definition and where it came from. `origin` means nothing to libkpi: it is handed
 * back with a message (the config layer keeps an index of file, line and column there). 0: no
 * origin.
 */
struct kpi_text {
    const char *data;
    uint32_t length;
    uint32_t origin;
};

enum kpi_severity {
    KPI_SEVERITY_ERROR,
    KPI_SEVERITY_WARNING,
};

struct kpi_message {
    enum kpi_severity severity;
    uint32_t origin;           /* of the kpi_text that the message is about */
    uint32_t offset;           /* bytes into that text */
    uint32_t length;           /* bytes it is about; 0 is a point */
    struct kpi_string text;    /* a sentence without final dot; valid during the call */
    struct kpi_string suggest; /* what was probably meant, or empty */
};

struct kpi_diag {
    void (*report)(void *userdata, const struct kpi_message *message);
    void *userdata;
    unsigned n_errors; /* counted by libkpi; set to 0 by the caller */
};
