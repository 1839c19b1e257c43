/*
 * A plan that is nothing but its list of fields: all that the decoder asks of one. Linked instead
 * of libkpi.
 */
#pragma once

#include <kpi/plan.h>

struct kpi_plan {
    const struct kpi_field_spec *fields;
    uint32_t n_fields;
};

/*
 * The fields that the decoder's tests, fuzz target and bench want: campaign, channel, variant, page
 * (strings), amount, score and count (numbers), incentive (bool).
 */
extern const struct kpi_plan plan_fake;

enum {
    PLAN_FAKE_CAMPAIGN,
    PLAN_FAKE_CHANNEL,
    PLAN_FAKE_VARIANT,
    PLAN_FAKE_AMOUNT,
    PLAN_FAKE_SCORE,
    PLAN_FAKE_INCENTIVE,
    PLAN_FAKE_LONG, /* a key longer than what is predicted */
    PLAN_FAKE_UNICODE,
    PLAN_FAKE_FIELDS,
};

/* The decoder's secret in tests: any bytes that are not all alike. */
extern const uint8_t plan_fake_key[192];
