/*
 * Which columns of a CSV file are read, and as what: by the mappings for the topic of its events,
 * or as native events if there are none.
 */
#pragma once

#include "codec/csv_json.h"
#include "config/config.h"

struct replay_columns {
    const struct config *config;
    struct kpi_string topic; /* .data NULL: nobody knows, so any mapping may be theirs */
};

/* csv_want_fn; userdata is a struct replay_columns. */
enum csv_want replay_columns_want(const void *userdata, struct kpi_string name);
