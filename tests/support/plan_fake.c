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
};

const struct kpi_plan plan_fake = {fields, PLAN_FAKE_FIELDS};

const uint8_t plan_fake_key[192] = {
    0x9e,         0x37, 0x79, 0xb9, 0x7f,         0x4a, 0x7c, 0x15, [32] = 0xf3,  0x9c, 0xc0, 0x60,
    0x5c,         0xed, 0xc8, 0x34, [64] = 0x10,  0x82, 0x27, 0x6b, 0xf3,         0xa2, 0x72, 0x51,
    [100] = 0x51, 0x7c, 0xc1, 0xb7, [128] = 0x27, 0x22, 0x0a, 0x94, [160] = 0x3c, 0x6e, 0xf3, 0x72,
    0xfe,         0x94, 0xf8, 0x2b, [180] = 0xa5, 0x4f, 0xf5, 0x3a, 0x5f,         0x1d, 0x36, 0xf1,
    [191] = 0x01,
};

uint32_t kpi_plan_n_fields(const struct kpi_plan *plan)
{
    return plan->n_fields;
}

const struct kpi_field_spec *kpi_plan_field(const struct kpi_plan *plan, uint32_t field)
{
    return &plan->fields[field];
}
