/*
 * Any bytes: kpid's decoder and cJSON, used strictly, refuse the message for the same reason or
 * read the same event. The decoder lives on from input to input, as in the daemon, so what it has
 * learned from earlier messages is part of what is tried.
 */
#include "decoder_key.h"
#include "event_reference.h"
#include "plan_fake.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct event_decoder_options options = {&plan_fake, decoder_key, "CNY"};
    static const struct event_origin origin = {
        .topic_hash = 1, .partition = 2, .offset = 3, .record_time = KPI_TIME_NONE};
    static struct event_decoder *decoder;
    const char *difference;

    if (!decoder && event_decoder_new(&decoder, &options) < 0)
        abort();
    event_decoder_reset(decoder);
    difference = event_reference_compare(decoder, (const char *)data, size, &origin);
    if (difference) {
        fprintf(stderr, "read differently: %s\n", difference);
        abort();
    }
    return 0;
}
