#include "plan_fake.h"

static const struct kpi_field_spec fields[PLAN_FAKE_FIELDS] = {
    [PLAN_FAKE_CAMPAIGN] = {{"campaign", 8}, KPI_USE_STRING},
    [PLAN_FAKE_CHANNEL] = {{"channel", 7}, KPI_USE_STRING},
    [PLAN_FAKE_VARIANT] = {{"variant", 7}, KPI_USE_STRING},
    [PLAN_FAKE_AMOUNT] = {{"amount", 6}, KPI_USE_AMOUNT},
    [PLAN_FAKE_SCORE] = {{"score", 5}, KPI_USE_NUMBER},
    [PLAN_FAKE_INCENTIVE] = {{"incentive", 9}, KPI_USE_BOOL},
    [PLAN_FAKE_LONG] = {{"a_key_of_more_than_thirty_two_bytes", 35}, KPI_USE_NUMBER},
    [PLAN_FAKE_UNICODE] = {{"渠道", 6}, KPI_USE_STRING},
    [PLAN_FAKE_ANY] = {{"label", 5}, KPI_USE_ANY},
};

const struct kpi_plan plan_fake = {fields, PLAN_FAKE_FIELDS};

uint32_t kpi_plan_n_fields(const struct kpi_plan *plan)
{
    return plan->n_fields;
}

const struct kpi_field_spec *kpi_plan_field(const struct kpi_plan *plan, uint32_t field)
{
    return &plan->fields[field];
}
