/* A campaign while it is read, and its targets. */
#pragma once

#include "config/load.h"

/* A campaign being read; `phases` is its own, not yet const. */
struct campaign_draft {
    struct load *load;
    struct kpi_campaign_definition *campaign;
    struct kpi_phase_definition *phases;
    bool has_days;   /* start and end are known: phases and targets can be resolved */
    bool has_phases; /* and all phases, too */
};

/* targets.c: reads the targets of a campaign whose days and phases are known. 0 or -ENOMEM. */
int load_targets(struct campaign_draft *draft, const struct doc_node *node);
