/*
 * The decoder's reference: cJSON, used strictly, over plan_fake. Slow and plain, and apart from the
 * hash function it shares nothing with the decoder: times go through regular expressions and
 * timegm(), decimals through digit strings.
 *
 * cJSON settles the grammar. What it lets through (control characters, white space of any kind, bad
 * UTF-8, odd numbers, U+0000, text behind the document, a BOM) is found by a lexer beside it, which
 * also keeps the text of the numbers, since cJSON has only doubles.
 */
#pragma once

#include "codec/event_json.h"

/*
 * Mappings that say what the native form says anyway, in a way that must be read as a mapping. A
 * decoder that has them is compared to the same reference.
 */
extern struct mappings event_reference_mappings;

/*
 * Decodes the message with the decoder (of plan_fake, decoder_key and CNY) and with the
 * reference. NULL if both refuse it for the same reason or read the same event, else what differs:
 * a static text.
 *
 * Of several syntax errors the reference does not always know the first; there `json` for one of
 * the others is accepted.
 */
const char *event_reference_compare(struct event_decoder *decoder, const char *bytes, size_t size,
                                    const struct event_origin *origin);
