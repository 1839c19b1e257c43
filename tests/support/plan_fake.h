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

/* The fields that the decoder's tests and fuzz target want. */
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
    PLAN_FAKE_ANY,
    PLAN_FAKE_FIELDS,
};
