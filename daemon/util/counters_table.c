/* counters.def as a table: for /metrics and the docs. */
#include "counters.h"

static const char *value_result(unsigned i)
{
    static const char *const names[] = {"applied", "duplicate", "conflict", "refused", "skipped"};

    return names[i];
}

static const char *value_reason(unsigned i)
{
    /* What is skipped is no refusal: it is counted as a result. */
    return i == KPI_REFUSAL_NONE || i == KPI_REFUSAL_SKIPPED
               ? NULL
               : kpi_refusal_name((enum kpi_refusal)i);
}

static const char *value_code(unsigned i)
{
    static const char *const names[] = {"200", "304", "400", "404", "405", "408", "413",
                                        "414", "417", "431", "500", "503", "505"};

    return names[i];
}

static const char *value_level(unsigned i)
{
    static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

    return names[i];
}

#define LABEL_NONE   NULL, NULL
#define LABEL_RESULT "result", value_result
#define LABEL_REASON "reason", value_reason
#define LABEL_CODE   "code", value_code
#define LABEL_LEVEL  "level", value_level

#define COUNTER(name, family, unit, labels, help)                                                  \
    {COUNTERS_KIND_COUNTER, family,                                                                \
     COUNTERS_UNIT_##unit,  help,                                                                  \
     LABEL_##labels,        COUNTERS_LABELS_##labels,                                              \
     counters.name,         NULL},
#define GAUGE(name, family, unit, labels, help)                                                    \
    {COUNTERS_KIND_GAUGE,  family,                                                                 \
     COUNTERS_UNIT_##unit, help,                                                                   \
     LABEL_##labels,       COUNTERS_LABELS_##labels,                                               \
     counters.name,        NULL},
#define HISTOGRAM(name, family, help)                                                              \
    {COUNTERS_KIND_HISTOGRAM, family, COUNTERS_UNIT_SECONDS, help, NULL, NULL, 0, NULL,            \
     &counters.name},

static const struct counters_entry table[] = {
#include "counters.def"
};

const struct counters_entry *counters_table(unsigned *ret_n_entries)
{
    *ret_n_entries = sizeof(table) / sizeof(table[0]);
    return table;
}
