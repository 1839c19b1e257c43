/*
 * Is a text what a setting takes? Each returns NULL, or what is wrong as the end of a sentence that
 * begins with the quoted text. The texts are terminated.
 */
#pragma once

#include <kpi/base.h>

const char *check_text(struct kpi_string text); /* at most 1024 bytes, no control characters */
const char *check_name(struct kpi_string text); /* letters, digits, . _ - */
const char *check_topic(struct kpi_string text);
const char *check_currency(struct kpi_string text); /* three capitals */
/* "host:port", port 0 only if port_min is 0; [::1]:80 for IPv6. */
const char *check_address(struct kpi_string text, unsigned port_min);
const char *check_listen(struct kpi_string text); /* an address whose port may be 0 */
/* An http or https URL with a host and no user. */
const char *check_url(struct kpi_string text);
/* redis://host[:port][/db] or unix:///path[?db=n]. */
const char *check_redis_url(struct kpi_string text);
