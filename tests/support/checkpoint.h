/* Small checkpoints for the tests of the store: made, committed and compared. */
#pragma once

#include "store/store.h"

/* A store for the server at url, owner "test:1", patient (10 s) unless the test sets time-outs. */
struct store *checkpoint_store(const char *url, const char *group, const char *owner);

/* One topic "app", read up to next. */
struct store_position checkpoint_position(int64_t next);

/* An object of that name; data borrowed. NULL: removes. */
struct kpi_object checkpoint_object(const char *name, const char *data);

/* Commits these objects under the generation behind the manifest's, at that offset. */
int checkpoint_commit(struct store *store, struct store_manifest *manifest, int64_t next,
                      const struct kpi_object *objects, uint32_t n_objects);

/* "name=data;name=data;" of all objects in order, static buffer; fails the test if loading fails.
 */
const char *checkpoint_text(struct store *store, const struct store_manifest *manifest);
