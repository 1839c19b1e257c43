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
            .alert = find(userdata, target),
            .value = {.state = KPI_VALUE_NO_DATA},
            .scope = target->scope_pattern,
        };
        if (scope_text_find(view->layout, &target->scope_pattern, &scope)) {
            alert->scope = *kpi_layout_scope(view->layout, scope);
            alert->value = view->values[(size_t)scope * n_kpis + target->kpi];
        }
        alert->distance = alert->value.state == KPI_VALUE_OK
                              ? kpi_target_distance(target, alert->value.value)
                              : __builtin_nan("");
    }
}
