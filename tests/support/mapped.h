/*
 * Mappings at work: a configuration's text and a list of fields make a decoder, and what it reads
 * of a message is told as a line of text, so that tests are tables.
 *
 * The fields are wanted whether definitions name them or not: kpi_plan_n_fields() and
 * kpi_plan_field() are wrapped by the linker for the plan that is made here.
 */
#pragma once

#include "codec/event_json.h"
#include "config/config.h"

struct mapped {
    struct config *config;
    struct event_decoder *decoder;
    char *messages; /* of the load: errors and warnings */
};

enum {
    MAPPED_FIELDS_MAX = 16
};

/*
 * fields: "campaign channel score:number vip:bool amount:amount props.sku"; topic: as in
 * event_origin.topic, "" for none. 0 or what config_load() returned. Fields and texts are borrowed.
 */
int mapped_new(struct mapped *mapped, const char *config, const char *fields, const char *topic);
void mapped_free(struct mapped *mapped);

/*
 * "purchase 2026-11-01T00:00:00Z id user campaign=c1 amount=12.5", or "refused: time". `id` stands
 * there if there is one; ids and users are hashes: see mapped_is(). Good until the next call.
 */
const char *mapped_tell(struct mapped *mapped, const char *bytes, size_t size,
                        const struct event_origin *origin);
/* The event of the last mapped_tell(). */
const struct kpi_event *mapped_event(void);
/* The hash of a user, or of an id without source. */
uint64_t mapped_hash(const char *text);
