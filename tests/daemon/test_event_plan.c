/*
 * Claims: with a plan compiled by libkpi, the decoder fills exactly the fields that the definitions
 * name, each in its place in the plan and as what it is used as.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/event_json.h"
#include "counting_mem.h"
#include "decoder_key.h"

#include <stdio.h>

#define TEXT(literal) ((struct kpi_text){(literal), sizeof(literal) - 1, 0})

static void report(void *userdata, const struct kpi_message *message)
{
    fail_msg("%.*s", (int)message->text.length, message->text.data);
}

static struct kpi_plan *plan_make(const struct kpi_mem *mem)
{
    static const kpi_time day_starts[] = {0, KPI_DAY};
    static const struct kpi_zone zone = {{"UTC", 3}, 0, 1, day_starts};
    static const struct kpi_measure_definition measures[] = {
        {TEXT("revenue"), TEXT("sum(amount)"), TEXT("type == \"purchase\"")},
        {TEXT("answers"), TEXT("latest_users(score >= 9)"), TEXT("type == \"survey\"")},
        {TEXT("shares"), TEXT("users"), TEXT("type == \"share\" and incentive == false")},
        {TEXT("visits"), TEXT("count"), TEXT("channel in [\"微信\", \"app\"]")},
    };
    static const struct kpi_kpi_definition kpis[] = {
        {.name = TEXT("all"), .formula = TEXT("revenue + answers + shares + visits")}};
    const struct kpi_definitions definitions = {
        .measures = measures,
        .n_measures = 4,
        .kpis = kpis,
        .n_kpis = 1,
        .zones = &zone,
        .n_zones = 1,
        .keep = 400 * KPI_DAY,
        .users_max = 1000,
        .values_max = 10,
    };
    struct kpi_diag diag = {.report = report};
    struct kpi_plan *plan = NULL;

    assert_int_equal(kpi_plan_new(&plan, &definitions, mem, &diag), 0);
    return plan;
}

static const struct kpi_field *field_find(const struct kpi_plan *plan,
                                          const struct kpi_event *event, const char *name)
{
    for (uint32_t i = 0; i < kpi_plan_n_fields(plan); i++) {
        if (kpi_string_equal(kpi_plan_field(plan, i)->name,
                             (struct kpi_string){name, strlen(name)}))
            return &event->fields[i];
    }
    fail_msg("the plan has no field %s", name);
    return NULL;
}

static void test_fields_land_where_the_plan_has_them(void **state)
{
    static const char message[] =
        "{\"type\":\"purchase\",\"time\":1794326403120,\"channel\":\"\\u5fae信\",\"amount\":\"129."
        "90\","
        "\"score\":9.5,\"incentive\":false,\"campaign\":\"双十一\",\"variant\":\"B\"}";
    const struct event_origin origin = {.record_time = KPI_TIME_NONE};
    struct counting_mem counting;
    struct kpi_plan *plan;
    struct kpi_batch *batch;
    struct event_decoder *decoder;
    struct kpi_event *event;

    counting_mem_init(&counting);
    plan = plan_make(&counting.mem);
    assert_int_equal(kpi_plan_n_fields(plan), 5);
    assert_int_equal(kpi_batch_new(&batch, plan, &counting.mem), 0);
    assert_int_equal(
        event_decoder_new(&decoder, &(struct event_decoder_options){plan, decoder_key, "CNY"}), 0);

    event = &batch->events[KPI_BATCH_MAX - 1];
    assert_int_equal(event_decode(decoder, message, sizeof(message) - 1, &origin, event), 0);
    assert_int_equal(event->fields[0].length, strlen("双十一"));
    assert_memory_equal(event->fields[0].string, "双十一", strlen("双十一"));
    assert_memory_equal(field_find(plan, event, "channel")->string, "微信", strlen("微信"));
    assert_int_equal(field_find(plan, event, "amount")->number, 129900000);
    assert_int_equal(field_find(plan, event, "score")->number, 9500000);
    assert_int_equal(field_find(plan, event, "incentive")->kind, KPI_FIELD_BOOL);

    event_decoder_free(decoder);
    kpi_batch_free(batch);
    kpi_plan_unref(plan);
    assert_int_equal(counting.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_land_where_the_plan_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
