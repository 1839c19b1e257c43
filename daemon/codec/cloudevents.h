/*
 * What the Kafka binding of CloudEvents 1.0 says about a record: which mode it is in, and whether
 * its data is JSON.
 */
#pragma once

#include <kpi/base.h>

struct event_header;

enum cloudevents_mode {
    CLOUDEVENTS_UNTOLD,     /* no header says so: structured, or no CloudEvent */
    CLOUDEVENTS_STRUCTURED, /* the value is the whole event */
    CLOUDEVENTS_BINARY,     /* attributes are headers, the value is the data */
    CLOUDEVENTS_UNREADABLE, /* a batch, which the binding does not allow, or an event not in JSON */
};

/* *ret_type is the content type, of length 0 if there is none; borrowed from the headers. */
enum cloudevents_mode cloudevents_mode(const struct event_header *headers, uint32_t n_headers,
                                       struct kpi_string *ret_type);

/* Is data of this media type JSON: any/json, any/x+json, or nothing said? Case does not matter. */
bool cloudevents_type_is_json(struct kpi_string type);
