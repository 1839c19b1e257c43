#include "spec/starts.h"

static void start_add(struct kpi_row *start, const struct kpi_row *other)
{
    if (other->n_events == KPI_START_WHOLE)
        return;
    if (start->n_events == KPI_START_WHOLE || other->value > start->value)
        start->value = other->value;
    if (other->n_events > start->n_events)
        start->n_events = other->n_events;
}

void kpi_starts_add(const struct kpi_program *program, struct kpi_row *starts,
                    const struct kpi_row *other)
{
    for (uint32_t i = 0; i < program->n_instances; ++i)
        start_add(&starts[i], &other[i]);
}

/* Of an instance, and those of its levels up to the leaf's. */
static struct kpi_row start_of(const struct kpi_program *program, const struct kpi_row *starts,
                               uint32_t instance, uint32_t level)
{
    struct kpi_row start = starts[instance];

    while (program->instances[instance].level < level) {
        instance = program->instances[instance].above;
        start_add(&start, &starts[instance]);
    }
    return start;
}

/*
 * The instants that a leaf is about. What a first day or a gauge's reading is depends on all that
 * is kept: a day more, because whole days are.
 */
static void leaf_span(const struct kpi_plan *plan, const struct kpi_range *range, bool all,
                      kpi_time as_of, kpi_time ret_span[2])
{
    const struct kpi_zone *zone = &plan->zones[plan->campaigns[range->campaign].zone];

    ret_span[0] = kpi_zone_day_start(zone, range->start_day) + range->start_minute * KPI_MINUTE;
    ret_span[1] = kpi_zone_day_start(zone, range->end_day) + range->end_minute * KPI_MINUTE;
    if (all && as_of > INT64_MIN / 2)
        ret_span[0] = as_of - plan->program.keep - KPI_DAY;
}

static void judge(const struct kpi_row *start, const kpi_time span[2], kpi_time as_of,
                  struct kpi_value *value)
{
    kpi_time end = span[1] < as_of ? span[1] : as_of;
    double share = 0;

    if (start->n_events == KPI_START_WHOLE ||
        (start->n_events == KPI_START_FROM && start->value <= span[0]))
        return;
    if (start->n_events == KPI_START_FROM && start->value < end)
        share = (double)(end - start->value) / (double)(span[1] - span[0]);
    if (share < value->complete)
        value->complete = share;
    if (start->value > value->counts_from)
        value->counts_from = start->value;
}

void kpi_starts_judge(const struct kpi_plan *plan, const struct kpi_inputs *inputs,
                      const struct kpi_leaf *leaf, const struct kpi_row *starts,
                      const struct kpi_scope *scope, kpi_time as_of, struct kpi_value *value)
{
    const struct kpi_program *program = &plan->program;
    bool gauge = leaf->kind == KPI_LEAF_GAUGE, cohorts = leaf->kind == KPI_LEAF_RETAINED;
    bool recurring = cohorts && leaf->cohort == KPI_TABLE_RECURRING;
    const uint32_t *instances = leaf->instance;
    struct kpi_range range, first;
    struct kpi_row start;
    kpi_time span[2];
    uint32_t zone;

    if (!kpi_leaf_range(plan, scope, leaf, &range))
        return;
    zone = plan->campaigns[range.campaign].zone;
    if (gauge) /* has no groups: a breakdown's leaf is that of the whole */
        instances = program->leaves[leaf - inputs->leaves].instance;
    start =
        start_of(program, starts, instances[zone], leaf->kind == KPI_LEAF_USERS ? leaf->level : 0);
    /* A reading since then is the latest there is. */
    if (gauge && start.n_events == KPI_START_FROM &&
        kpi_leaf_rows(inputs, (uint32_t)(leaf - inputs->leaves))->n_events >= start.value)
        return;
    first = range;
    if (recurring) /* first days of their periods */
        first.start_day = kpi_period_start(leaf->basis, program->week_start, range.start_day);
    leaf_span(plan, &first, gauge || (cohorts && !recurring) || leaf->kind == KPI_LEAF_FIRST_TIME,
              as_of, span);
    judge(&start, span, as_of, value);
    if (!cohorts)
        return;
    leaf_span(plan, &range, false, as_of, span);
    judge(&starts[leaf->return_instance[zone]], span, as_of, value);
}
