/*
 * Funnels as JSON. An entry is a funnel, of all users or of those whose first event had the values
 * in "by":
 *
 *   {"funnel":"pay","title":{"en":"Pay","zh":"支付"},"order":"ordered","within_seconds":604800,
 *    "lateness_seconds":3600,"late_events":0,"definition":"00c0ffee00c0ffee",
 *    "steps":[{"step":"exposure","users":100,"of_first":1,"of_previous":1,
 *              "median_seconds":null,"mean_seconds":null},
 *             {"step":"purchase","users":5,"of_first":0.05,"of_previous":0.05,
 *              "median_seconds":60,"mean_seconds":71.5}],
 *    "whole":{"users":5,"median_seconds":60,"mean_seconds":71.5},
 *    "trend":[{"start":"2026-11-01T00:00:00+08:00","mature":false,"users":[100,5]}]}
 *
 * What they mean is said in kpi/funnel.h: a step's times are from the step before, those of the
 * whole from the first step to the last. of_previous is of the last step before that is not
 * optional. "counts_from" is there if what was before that time is missing. In any order step k is
 * "k of n". A share of nothing, and the time of nobody, is null; so is a trend that min_group
 * hides. Behind what is broken down stands {"funnel":"pay","by":{"channel":"__suppressed__"},
 * "state":"suppressed"} if not all of it is shown.
 */
#include "api/answers.h"

#include "util/error.h"
#include "util/memory.h"

#include <kpi/funnel.h>
#include <math.h>
#include <stdio.h>

static const char *const order_names[] = {"ordered", "strict", "any"};

struct writing {
    struct json *json;
    const struct answers_page *page;
    const struct kpi_funnel_info *info;
};

static struct kpi_string funnel_name(const struct kpi_plan *plan, uint32_t index)
{
    return kpi_plan_funnel(plan, index)->name;
}

static const struct kpi_breakdown_info *funnel_by(const struct kpi_plan *plan, uint32_t index)
{
    return kpi_plan_funnel(plan, index)->by;
}

static void add_share(struct json *json, cJSON *item, const char *key, uint64_t users, uint64_t of)
{
    json_add_real(json, item, key, of ? (double)users / (double)of : NAN);
}

static void add_times(struct json *json, cJSON *item, const struct kpi_funnel_times *times)
{
    json_add_real(json, item, "median_seconds", times->median);
    json_add_real(json, item, "mean_seconds", times->mean);
}

static void add_step_name(const struct writing *writing, cJSON *item, uint32_t step)
{
    const struct kpi_funnel_info *info = writing->info;
    char text[32];

    if (info->order != KPI_FUNNEL_ANY) {
        json_add_string(writing->json, item, "step", info->steps[step].name);
        return;
    }
    (void)snprintf(text, sizeof(text), "%u of %u", step + 1, info->n_steps); /* it fits */
    json_add_text(writing->json, item, "step", text);
}

static void add_steps(const struct writing *writing, cJSON *entry,
                      const struct kpi_funnel_group *group)
{
    const struct kpi_funnel_info *info = writing->info;
    cJSON *array = json_array(writing->json, entry, "steps");
    uint64_t previous = group->steps[0].users;

    for (uint32_t i = 0; i < info->n_steps; i++) {
        const struct kpi_funnel_times *step = &group->steps[i];
        cJSON *item = json_object(writing->json, array, NULL);

        add_step_name(writing, item, i);
        if (info->steps[i].optional)
            json_add_bool(writing->json, item, "optional", true);
        json_add_integer(writing->json, item, "users", (int64_t)step->users);
        add_share(writing->json, item, "of_first", step->users, group->steps[0].users);
        add_share(writing->json, item, "of_previous", step->users, previous);
        add_times(writing->json, item, step);
        if (!info->steps[i].optional)
            previous = step->users;
    }
}

static void add_trend(const struct writing *writing, cJSON *entry,
                      const struct kpi_funnel_group *group)
{
    const struct kpi_plan *plan = writing->page->plan;
    cJSON *array;

    if (group->days_hidden) {
        json_add_null(writing->json, entry, "trend");
        return;
    }
    array = json_array(writing->json, entry, "trend");
    for (uint32_t i = 0; i < group->n_days; i++) {
        const struct kpi_funnel_day *day = &group->days[i];
        cJSON *item = json_object(writing->json, array, NULL), *users;

        answers_add_time(writing->json, item, "start", plan,
                         kpi_zone_day_start(kpi_plan_zone(plan, 0), day->day));
        json_add_bool(writing->json, item, "mature", day->mature);
        users = json_array(writing->json, item, "users");
        for (uint32_t k = 0; k < writing->info->n_steps; k++)
            json_add_integer(writing->json, users, NULL, (int64_t)day->users[k]);
    }
}

static void add_title(struct json *json, cJSON *entry, const struct kpi_funnel_info *info)
{
    cJSON *title = json_object(json, entry, "title");

    json_add_string(json, title, "en", info->title_en);
    json_add_string(json, title, "zh", info->title_zh);
}

static void add_group(const struct writing *writing, cJSON *array,
                      const struct kpi_funnel_result *result, const struct kpi_funnel_group *group,
                      bool by)
{
    const struct kpi_funnel_info *info = writing->info;
    struct json *json = writing->json;
    cJSON *entry = json_object(json, array, NULL), *whole;
    struct kpi_answer key = {.n_values = by ? info->by->n_dimensions : 0};

    json_add_string(json, entry, "funnel", info->name);
    add_title(json, entry, info);
    json_add_text(json, entry, "order", order_names[info->order]);
    if (by) {
        memcpy(key.values, group->values, sizeof(key.values));
        answers_add_by(json, entry, info->by, &key);
    }
    json_add_real(json, entry, "within_seconds", (double)info->within / (double)KPI_SECOND);
    json_add_real(json, entry, "lateness_seconds", (double)info->lateness / (double)KPI_SECOND);
    json_add_integer(json, entry, "late_events", (int64_t)result->n_late);
    if (result->counts_from != KPI_TIME_NONE)
        json_add_time(json, entry, "counts_from", result->counts_from, 0);
    json_add_hash(json, entry, "definition", info->fingerprint);
    add_steps(writing, entry, group);
    whole = json_object(json, entry, "whole");
    json_add_integer(json, whole, "users", (int64_t)group->whole.users);
    add_times(json, whole, &group->whole);
    add_trend(writing, entry, group);
}

static int add_entries(const struct writing *writing, cJSON *array, uint32_t index, bool by)
{
    const struct answers_page *page = writing->page;
    const struct kpi_funnel_question question = {
        .from = page->from, .to = page->to, .by = by, .as_of = page->as_of};
    struct kpi_funnel_result *result;
    int r = kpi_funnel_ask(page->plan, page->answers, index, &question, &memory_kpi, &result);

    if (r < 0)
        return error_origin(r);
    for (uint32_t i = 0; i < result->n_groups; i++)
        add_group(writing, array, result, &result->groups[i], by);
    if (result->suppressed)
        answers_add_suppressed(writing->json, array, "funnel", writing->info->name,
                               writing->info->by);
    (void)kpi_funnel_result_free(result);
    return 0;
}

static int funnels_add(struct json *json, cJSON *array, const struct answers_page *page,
                       uint32_t index)
{
    const struct writing writing = {json, page, kpi_plan_funnel(page->plan, index)};
    int r = page->whole ? add_entries(&writing, array, index, false) : 0;

    if (r == 0 && page->broken_down)
        r = add_entries(&writing, array, index, true);
    return r < 0 ? error_trace(r) : 0;
}

const struct answers_station funnels_station = {
    .key = "funnels",
    .count = kpi_plan_n_funnels,
    .name = funnel_name,
    .by = funnel_by,
    .add = funnels_add,
};
