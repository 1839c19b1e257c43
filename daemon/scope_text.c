/* Scopes to text and back. */
#include "scope_text.h"

/* Is a certain place in time meant? Else the pattern has none, and begins where it ends. */
static bool is_certain(const struct kpi_scope *pattern)
{
    return pattern->start_day != pattern->end_day;
}

static bool find_phase(const struct kpi_campaign_info *campaign, struct kpi_string name,
                       uint32_t *ret_phase)
{
    for (uint32_t i = 0; i < campaign->n_phases; i++) {
        if (kpi_string_equal(campaign->phases[i].name, name)) {
            *ret_phase = i;
            return true;
        }
    }
    return false;
}

/* A phase by its bare name, whatever that is. */
static int parse_phase(struct kpi_string text, const struct kpi_campaign_info *campaign,
                       struct kpi_scope *pattern)
{
    *pattern = (struct kpi_scope){.kind = KPI_SCOPE_PHASE,
                                  .unit = KPI_SCOPE_PHASE,
                                  .count = 1,
                                  .campaign = pattern->campaign};
    return find_phase(campaign, text, &pattern->phase) ? 0 : SCOPE_TEXT_E_UNKNOWN;
}

int scope_text_parse(struct kpi_string text, const struct kpi_plan *plan, uint32_t campaign,
                     struct kpi_scope *ret_pattern)
{
    const struct kpi_campaign_info *info = kpi_plan_campaign(plan, campaign);
    struct kpi_scope pattern = {.campaign = campaign};
    char copy[KPI_SCOPE_NAME_BYTES_MAX];
    struct kpi_scope_name name;
    char *space;

    if (parse_phase(text, info, &pattern) == 0) {
        *ret_pattern = pattern;
        return 0;
    }
    if (text.length >= sizeof(copy))
        return SCOPE_TEXT_E_UNKNOWN;
    memcpy(copy, text.data, text.length);
    space = memchr(copy, ' ', text.length);
    if (space)
        *space = ':';
    if (kpi_scope_name_parse((struct kpi_string){copy, text.length}, &name) != 0 || name.any)
        return SCOPE_TEXT_E_UNKNOWN;
    pattern = name.scope;
    pattern.campaign = campaign;
    pattern.end_day = name.has_start ? pattern.start_day + 1 : pattern.start_day;
    if (pattern.kind == KPI_SCOPE_PHASE && !find_phase(info, name.phase, &pattern.phase))
        return SCOPE_TEXT_E_UNKNOWN;
    *ret_pattern = pattern;
    return 0;
}

void scope_text_format(char ret_text[KPI_SCOPE_NAME_BYTES_MAX], const struct kpi_plan *plan,
                       const struct kpi_scope *scope)
{
    (void)kpi_scope_name_format(ret_text, plan, scope,
                                scope->kind == KPI_SCOPE_PHASE || is_certain(scope) ||
                                    scope->start_minute != scope->end_minute);
}

bool scope_text_find(const struct kpi_layout *layout, const struct kpi_scope *pattern,
                     uint32_t *ret_scope)
{
    bool found = false;

    for (uint32_t i = 0; i < kpi_layout_n_scopes(layout); i++) {
        const struct kpi_scope *scope = kpi_layout_scope(layout, i);
        bool begun = scope->kind == KPI_SCOPE_MINUTES && scope->end > kpi_layout_as_of(layout);

        if (scope->campaign != pattern->campaign || !kpi_scope_alike(scope, pattern) ||
            (scope->kind == KPI_SCOPE_PHASE && scope->phase != pattern->phase) ||
            (is_certain(pattern) ? scope->start_day != pattern->start_day ||
                                       scope->start_minute != pattern->start_minute
                                 : begun))
            continue;
        *ret_scope = i; /* they are in order: the last one is the present one */
        found = true;
    }
    return found;
}
