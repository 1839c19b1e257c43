/* A world that is asked for everything: with a session, a table, a funnel and an experiment. */
#pragma once

#include "engine_world.h"

#include <kpi/answers.h>

static inline void answers_fixture(struct fixture *f)
{
    static const struct kpi_session_definition session = {.gap = 30 * KPI_MINUTE};
    static struct kpi_funnel_step_definition steps[3];
    static struct kpi_funnel_definition funnel;
    static struct kpi_text by[1];

    world_fixture(f);
    fixture_dimension(f, "channel", "", 0);
    fixture_attribute(f, "visit", "", "type == \"exposure\"");
    f->attributes[f->in.n_attributes - 1].session = &session;
    fixture_measure(f, "visits", "count", "type == \"kpid.session.visit\"");
    fixture_kpi(f, "visits", "visits", KPI_UNIT_COUNT);
    fixture_table(f, "back", KPI_TABLE_RETENTION, "reached")->back = TEXT("active");
    f->tables[0].cohort = KPI_TABLE_FIRST_EVER;
    steps[0].where = TEXT("type == \"exposure\"");
    steps[1].where = TEXT("type == \"participation\"");
    steps[2].where = TEXT("type == \"purchase\"");
    by[0] = TEXT("channel");
    funnel = (struct kpi_funnel_definition){.name = TEXT("way"),
                                            .steps = steps,
                                            .n_steps = 3,
                                            .within = KPI_DAY,
                                            .lateness = KPI_HOUR,
                                            .by = by,
                                            .n_by = 1};
    f->in.funnels = &funnel;
    f->in.n_funnels = 1;
    (void)fixture_experiment(f, "theme", "type == \"purchase\"");
}

/* An event of the stream, with a variant of the user's. */
static inline void answers_next(struct world_stream *stream, const struct kpi_plan *plan,
                                struct world_event *w)
{
    world_next(stream, plan, w);
    world_set_field(plan, w, "variant", string_field(w->event.user % 2 ? "A" : "B"));
}
