#include "pages.h"

#include "api/json.h"
#include "api/kpis.h"
#include "codec/deviation.h"

#include <math.h>

static void add_deviation(struct json *json, cJSON *item, const struct view_alert *alert,
                          enum kpi_unit unit)
{
    struct deviation_figure figures[DEVIATION_FIGURES_MAX];
    char text[DEVIATION_TEXT_BYTES_MAX];
    double value = alert->value.state == KPI_VALUE_OK ? alert->value.value : NAN;
    unsigned n = deviation_figures(figures, &alert->present, unit, value);

    deviation_format(text, &alert->present, unit);
    json_add_text(json, item, "deviation", text);
    for (unsigned i = 0; i < n; i++)
        json_add_real(json, item, figures[i].name, figures[i].value);
}

static void add_alert(struct json *json, cJSON *array, const struct kpi_plan *plan,
                      const struct view_alert *alert)
{
    static const char *const betters[] = {"up", "down", "band"};
    static const char *const states[] = {"ok", "undefined", "no_data"};
    const struct kpi_target *target = &alert->present;
    const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, target->kpi);
    cJSON *item = json_object(json, array, NULL), *title;

    json_add_hash(json, item, "fingerprint", target->fingerprint);
    json_add_string(json, item, "campaign", kpi_plan_campaign(plan, target->campaign)->id);
    json_add_string(json, item, "kpi", kpi->name);
    title = json_object(json, item, "title");
    json_add_string(json, title, "en", kpi->title_en);
    json_add_string(json, title, "zh", kpi->title_zh);
    kpis_add_scope(json, item, "scope", plan, &alert->scope);
    json_add_text(json, item, "unit", kpis_unit_name(kpi->unit));
    json_add_text(json, item, "status", kpi_alert_status_name(alert->alert.status));
    json_add_text(json, item, "level", kpi_alert_level_name(alert->alert.level));
    json_add_time(json, item, "since", alert->alert.since, 0);
    json_add_time(json, item, "deviating_since", alert->alert.deviating_since, 0);
    json_add_integer(json, item, "sequence", (int64_t)alert->alert.sequence);
    kpis_add_value(json, item, &alert->value);
    json_add_real(json, item, "target", target->value);
    if (target->varies) {
        json_add_string(json, item, "target_expression", target->expression);
        json_add_text(json, item, "target_state", states[alert->aim.state]);
        if (alert->aim.state == KPI_VALUE_UNDEFINED)
            json_add_text(json, item, "target_reason", kpi_reason_name(alert->aim.reason));
    }
    add_deviation(json, item, alert, kpi->unit);
    json_add_real(json, item, "band", target->band);
    json_add_text(json, item, "better", betters[target->better]);
    json_add_real(json, item, "distance", alert->distance);
}

int pages_write_alerts(char **ret_text, size_t *ret_size, const struct view *view)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    struct json json = {0};
    cJSON *root = json_object(&json, NULL, NULL), *array;

    json_add_time(&json, root, "as_of", view->as_of, 0);
    json_add_bool(&json, root, "complete", view->complete);
    json_add_bool(&json, root, "leader", view->leader);
    array = json_array(&json, root, "alerts");
    for (uint32_t i = 0; i < view->n_alerts; i++)
        add_alert(&json, array, plan, &view->alerts[i]);
    return json_end(&json, root, ret_text, ret_size);
}
