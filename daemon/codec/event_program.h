/*
 * What the mappings of one topic are compiled to: the tree of paths, the headers that are read, and
 * for each mapping what to take from which slot.
 */
#pragma once

#include "codec/event_keys.h"
#include "codec/event_paths.h"
#include "codec/mapping.h"

enum {
    EVENT_PROGRAM_NO_SLOT = EVENT_SLOTS_MAX,
};

/* One thing of an event. */
struct event_taking {
    struct event_key key; /* of which kind and field are used */
    struct mapping_reading reading;
    uint16_t slots[MAPPING_PATHS_MAX]; /* reading.n_places of them */
    bool in_plan;                      /* false: an amount that is read for its sign only */
};

struct event_condition {
    const struct mapping_condition *of;
    uint16_t slot;
};

/* One mapping. */
struct event_candidate {
    const struct mapping *mapping;
    const struct mapping_preset_info *preset;
    struct event_condition *conditions;
    uint32_t n_conditions;
    struct event_taking *takings; /* the roles first, in their order, then fields */
    uint32_t n_takings;
    struct event_taking *amount; /* one of them that turns types, or NULL */
    /* EVENT_PROGRAM_NO_SLOT where the preset has no such rule */
    uint16_t call, received, sent, original;
    uint16_t data, data_base64, data_type;
};

struct event_program_header {
    struct kpi_string name; /* the attribute's, behind "ce_"; datacontenttype: of content-type */
    uint16_t slot;
};

struct event_program {
    struct event_paths *paths;
    struct event_candidate *candidates; /* the first that matches counts */
    uint32_t n_candidates;
    struct event_program_header *headers;
    uint32_t n_headers, headers_capacity;
    bool binary;
};

/* Without mappings: the native form, with nested fields. */
struct event_program_options {
    struct arena *arena; /* holds all of it */
    const struct kpi_plan *plan;
    const struct mapping *mappings;
    uint32_t n_mappings;
    struct kpi_string topic; /* .data NULL: of all mappings */
    bool binary;             /* for CloudEvents in binary mode */
};

/* The mappings and the plan are borrowed. 0 or -ENOMEM. */
int event_program_new(struct event_program **ret_program,
                      const struct event_program_options *options);

/*
 * Would the program do what event_json.c does by itself? So it is if the first mapping of the topic
 * is the native form as it is, and no field of the plan is nested.
 */
bool event_program_is_native(const struct event_program_options *options);
/* Is there a mapping of this topic that reads headers? */
bool event_program_reads_headers(const struct event_program_options *options);
/* Does the plan name a field by a path of several keys? */
bool event_program_is_nested(const struct kpi_plan *plan);
