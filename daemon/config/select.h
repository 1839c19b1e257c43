/* What of the catalogue a configuration takes: the setting `catalogue`. */
#pragma once

#include "config/load.h"

/*
 * Takes out of the catalogue's tree what nobody asks for: kept are the KPIs that the setting names
 * (`all`: all of them), what the definitions of the other sources name, and whatever those are made
 * of. roots[0] is the catalogue's; roots may be NULL. 0 or -ENOMEM.
 */
int load_select(struct load *load, struct doc_node *const *roots, uint32_t n_roots);
