/*
 * The other JSON pages. Both return 0 or -ENOMEM; the text is the caller's, free().
 *
 * /api/v1/alerts:
 * {"as_of","complete","leader","alerts":[{"fingerprint","campaign","kpi","title":{"en",
 * "zh"},"scope","unit","status","level","since","deviating_since","sequence","state","value",
 * "numerator","denominator","complete","definition","target","band","better","distance"}]}: every
 * target, firing or not.
 *
 * /api/v1/status: version, instance, group, checks, Kafka, Redis, reload, the plan and all shards
 * and partitions; `kpid status` prints it.
 */
#pragma once

#include "api/api.h"

#include <stddef.h>

int pages_write_alerts(char **ret_text, size_t *ret_size, const struct view *view);
/* view may be NULL: "view" is then null, and there are no shards. */
int pages_write_status(char **ret_text, size_t *ret_size, const struct view *view,
                       const struct api_status *status);
