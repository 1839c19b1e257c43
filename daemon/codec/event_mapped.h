/*
 * Messages that are not in native form: what mappings (mapping.h) say, compiled for the topics that
 * a decoder reads.
 *
 * For each topic there is a tree of all paths that its mappings name (event_paths.h). A message is
 * walked once; then the first mapping whose conditions hold takes its values from where they are
 * (event_take.h). So it does not matter where in a message the value stands that decides. Headers
 * are a second source of values, and a message of CloudEvents in binary mode is read along a tree
 * of its own, in which `data` is the whole message.
 */
#pragma once

#include "codec/event_json.h"
#include "codec/event_take.h"

struct event_mapped;
struct event_program;

/*
 * *ret_mapped is NULL if nothing is to be mapped: no mappings, and no nested field in the plan.
 * Takes a reference to the mappings. 0 or -ENOMEM.
 */
int event_mapped_new(struct event_mapped **ret_mapped, const struct event_decoder_options *options);
struct event_mapped *event_mapped_free(struct event_mapped *mapped);

bool event_mapped_wants_headers(const struct event_mapped *mapped, uint32_t topic);

/*
 * How a message of this origin is to be read: *ret_program is NULL if it is in native form. Returns
 * KPI_REFUSAL_NONE, or _ENCODING if its headers say that it cannot be read.
 */
enum kpi_refusal event_mapped_choose(struct event_mapped *mapped, const struct event_origin *origin,
                                     struct event_program **ret_program);

/* A message in its padded copy, and the decoder's room for unescaped text. */
struct event_mapped_message {
    const char *bytes; /* as the caller has them */
    size_t size;
    const uint8_t *copy;
    const uint8_t *begin;          /* in the copy: behind the opening brace */
    char *arena;                   /* EVENT_BYTES_MAX are free */
    size_t arena_used;             /* of them, written */
    const struct mapping *mapping; /* the one that it fell under, or NULL; written */
};

/* take: as event_take.h wants it. KPI_REFUSAL_NONE or the reason. */
enum kpi_refusal event_mapped_decode(struct event_program *program,
                                     struct event_mapped_message *message, struct event_take *take,
                                     const struct event_origin *origin);
