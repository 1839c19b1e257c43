/* The targets of a plan as a view has them: see view_set_alerts(). */
#include "scope_text.h"
#include "view.h"

static bool in_time(const struct kpi_target *target, kpi_time now)
{
    return target->from <= now && (target->to == KPI_TIME_NONE || now < target->to);
}

/* Targets are in order of campaigns. */
static bool stands_for_all(const struct kpi_plan *plan, uint32_t index, kpi_time now)
{
    const struct kpi_target *target = kpi_plan_target(plan, index);
    uint32_t first = index;

    while (first > 0 && kpi_plan_target(plan, first - 1)->campaign == target->campaign)
        first--;
    for (uint32_t i = first; i < kpi_plan_n_targets(plan); i++) {
        const struct kpi_target *other = kpi_plan_target(plan, i);
        bool is_now = in_time(target, now), other_is_now = in_time(other, now);

        if (other->campaign != target->campaign)
            break;
        if (i != index && other->fingerprint == target->fingerprint &&
            (other_is_now > is_now || (other_is_now == is_now && i < index)))
            return false;
    }
    return true;
}

/* A target that varies gets the value that it has in the scope. */
static void set_present(const struct view *view, uint32_t scope, struct view_alert *alert)
{
    if (!alert->target->varies)
        return;
    kpi_report_target(view->layout, view->rows, scope, alert->target, view->as_of, &alert->aim);
    if (alert->aim.state == KPI_VALUE_OK && !kpi_target_set(&alert->present, alert->aim.value))
        alert->aim = (struct kpi_value){
            .state = KPI_VALUE_UNDEFINED,
            .reason = KPI_REASON_DIVISION_BY_ZERO, /* a deviation relative to nothing */
            .numerator = alert->aim.numerator,
            .counts_from = alert->aim.counts_from,
        };
}

struct kpi_observation view_observation(const struct view_alert *alert)
{
    struct kpi_observation observation = {.value = alert->value};

    if (alert->target->varies && alert->aim.state != KPI_VALUE_OK)
        observation.value.state = KPI_VALUE_NO_DATA;
    /* A target that lacks what was before is none to judge by, as a value is. */
    if (observation.value.counts_from == KPI_TIME_NONE)
        observation.value.counts_from = alert->aim.counts_from;
    return observation;
}

void view_set_alerts(struct view *view,
                     struct kpi_alert (*find)(const void *userdata,
                                              const struct kpi_target *target),
                     const void *userdata)
{
    const struct kpi_plan *plan = kpi_layout_plan(view->layout);
    uint32_t n_kpis = kpi_plan_n_kpis(plan);

    view->n_alerts = 0;
    for (uint32_t i = 0; i < kpi_plan_n_targets(plan); i++) {
        const struct kpi_target *target = kpi_plan_target(plan, i);
        struct view_alert *alert = &view->alerts[view->n_alerts];
        uint32_t scope;

        if (!stands_for_all(plan, i, view->made_at))
            continue;
        view->n_alerts++;
        *alert = (struct view_alert){
            .target = target,
            .present = *target,
            .alert = find(userdata, target),
            .value = {.state = KPI_VALUE_NO_DATA, .counts_from = KPI_TIME_NONE},
            .aim = {.state = KPI_VALUE_NO_DATA, .counts_from = KPI_TIME_NONE},
            .scope = target->scope_pattern,
        };
        if (scope_text_find(view->layout, &target->scope_pattern, &scope)) {
            alert->scope = *kpi_layout_scope(view->layout, scope);
            alert->value = view->values[(size_t)scope * n_kpis + target->kpi];
            set_present(view, scope, alert);
        }
        alert->distance = alert->value.state == KPI_VALUE_OK
                              ? kpi_target_distance(&alert->present, alert->value.value)
                              : __builtin_nan("");
    }
}
