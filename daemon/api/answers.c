/* What all kinds of answers share: what is asked for, and what stands around the entries. */
#include "api/answers.h"

#include "api/kpis.h"
#include "codec/time_text.h"
#include "util/error.h"

#include <stdio.h>
#include <string.h>

/* By enum kpi_answer_kind. */
static const struct answers_station *const stations[] = {
    [KPI_ANSWER_TABLE] = &tables_station,
    [KPI_ANSWER_FUNNEL] = &funnels_station,
    [KPI_ANSWER_EXPERIMENT] = &experiments_station,
};

enum {
    N_STATIONS = sizeof(stations) / sizeof(stations[0]),
};

bool answers_takes(const struct answers_page *page, const struct kpi_answer *answer)
{
    return answer->n_values ? page->broken_down : page->whole;
}

bool answers_in_time(const struct answers_page *page, kpi_time start)
{
    return start >= page->from && start < page->to;
}

void answers_add_by(struct json *json, cJSON *item, const struct kpi_breakdown_info *breakdown,
                    const struct kpi_answer *answer)
{
    cJSON *by = json_object(json, item, "by");

    for (uint32_t i = 0; i < answer->n_values; i++) {
        const char *name = breakdown->dimensions[i].name.data; /* terminated, and the plan's */

        if (answer->values[i].data)
            json_add_string(json, by, name, answer->values[i]);
        else
            json_add_null(json, by, name);
    }
}

void answers_add_suppressed(struct json *json, cJSON *array, const char *kind,
                            struct kpi_string name, const struct kpi_breakdown_info *by)
{
    cJSON *entry = json_object(json, array, NULL);
    struct kpi_answer key = {.n_values = by->n_dimensions};

    for (uint32_t i = 0; i < key.n_values; i++)
        key.values[i] = KPI_VALUE_SUPPRESSED;
    json_add_string(json, entry, kind, name);
    answers_add_by(json, entry, by, &key);
    json_add_text(json, entry, "state", "suppressed");
}

void answers_add_count(struct json *json, cJSON *item, const char *key, int64_t n)
{
    if (n < 0)
        json_add_null(json, item, key);
    else
        json_add_integer(json, item, key, n);
}

void answers_add_time(struct json *json, cJSON *item, const char *key, const struct kpi_plan *plan,
                      kpi_time time)
{
    const struct kpi_zone *zone = kpi_plan_zone(plan, 0);
    kpi_day day = kpi_zone_day(zone, time);
    kpi_time start = kpi_zone_day_start(zone, day);

    /* The offset that the day began with, unless the clock was changed since, by less than half a
     * day: then the next day's begin tells. */
    if (kpi_zone_day_start(zone, day + 1) - start != KPI_DAY && time - start >= 12 * KPI_HOUR)
        start = kpi_zone_day_start(zone, ++day);
    json_add_time(json, item, key, time, day * KPI_DAY - start);
}

/* --- what is asked for --- */

/* "2026-11-11", a day of the default zone. */
static bool read_date(const char *text, const struct kpi_plan *plan, kpi_time *ret_time)
{
    unsigned year, month, day;
    int length = 0;

    if (sscanf(text, "%4u-%2u-%2u%n", &year, &month, &day, &length) != 3 || length != 10 ||
        text[length] || !time_text_date_exists(year, month, day))
        return false;
    *ret_time =
        kpi_zone_day_start(kpi_plan_zone(plan, 0), (kpi_day)time_text_days(year, month, day));
    return true;
}

/* Absent: *ret_time stays. */
static bool read_time(const char *text, const struct kpi_plan *plan, kpi_time *ret_time)
{
    return !text || read_date(text, plan, ret_time) ||
           time_text_parse(text, strlen(text), ret_time) == 0;
}

/* What the filter leaves of one; `by` of several is "*" or absent. */
static bool read_by(const char *by, const struct kpi_breakdown_info *breakdown,
                    struct answers_page *page)
{
    bool all = by && strcmp(by, "*") == 0;

    page->whole = !by || all;
    page->broken_down = by && breakdown && (all || kpis_is_called(breakdown, by));
    return page->whole || page->broken_down;
}

static int open_page(struct answers_page *page, const struct view *view)
{
    *page = (struct answers_page){
        .view = view,
        .plan = kpi_layout_plan(view->layout),
        .as_of = view->answers_as_of,
        .from = INT64_MIN,
        .to = INT64_MAX,
    };
    return view_answers(view, &page->answers);
}

static bool is_named(struct kpi_string name, const char *text)
{
    return strlen(text) == name.length && memcmp(name.data, text, name.length) == 0;
}

/* Adds those of a kind that the filter leaves. 0, ANSWERS_E_NAME, ANSWERS_E_BY or -ENOMEM. */
static int add_kind(struct json *json, cJSON *root, const struct answers_station *station,
                    struct answers_page *page, const struct answers_filter *filter)
{
    cJSON *array = json_array(json, root, station->key);
    bool found = !filter->name;
    int r = 0;

    for (uint32_t i = 0; i < station->count(page->plan) && r == 0; i++) {
        if (filter->name && !is_named(station->name(page->plan, i), filter->name))
            continue;
        found = true;
        if (!read_by(filter->by, station->by(page->plan, i), page))
            return ANSWERS_E_BY;
        r = station->add(json, array, page, i);
    }
    return r < 0 ? error_trace(r) : found ? 0 : ANSWERS_E_NAME;
}

int answers_write(char **ret_text, size_t *ret_size, const struct view *view,
                  enum kpi_answer_kind kind, const struct answers_filter *filter)
{
    struct answers_page page;
    struct json json = {0};
    cJSON *root;
    int r = open_page(&page, view);

    if (r < 0)
        return error_trace(r);
    if (!read_time(filter->from, page.plan, &page.from) ||
        !read_time(filter->to, page.plan, &page.to))
        return ANSWERS_E_TIME;
    root = json_object(&json, NULL, NULL);
    json_add_time(&json, root, "as_of", page.as_of, 0);
    json_add_bool(&json, root, "complete", view->answers_complete);
    r = add_kind(&json, root, stations[kind], &page, filter);
    if (r) {
        cJSON_Delete(root);
        return r;
    }
    return json_end(&json, root, ret_text, ret_size);
}

int answers_add_all(struct json *json, cJSON *root, const struct view *view)
{
    const struct answers_filter all = {.by = "*"};
    struct answers_page page;
    int r = open_page(&page, view);

    for (unsigned i = 0; i < N_STATIONS && r == 0; i++) {
        if (stations[i] && stations[i]->count(page.plan) > 0)
            r = add_kind(json, root, stations[i], &page, &all);
    }
    return r < 0 ? error_trace(r) : 0;
}
