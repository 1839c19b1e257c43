/*
 * Any bytes: kpid's decoder and cJSON, used strictly, refuse the message for the same reason or
 * read the same event. The decoder lives on from input to input, as in the daemon, so what it has
 * learned from earlier messages, and from this one, is part of what is tried.
 */
#include "decoder_key.h"
#include "event_reference.h"
#include "plan_fake.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(struct event_decoder *decoder, const uint8_t *data, size_t size)
{
    static const struct event_origin origin = {
        .topic_hash = 1, .partition = 2, .offset = 3, .record_time = KPI_TIME_NONE};
    const char *difference;

    event_decoder_reset(decoder);
    difference = event_reference_compare(decoder, (const char *)data, size, &origin);
    if (difference) {
        fprintf(stderr, "read differently: %s\n", difference);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct event_decoder_options options = {&plan_fake, decoder_key, "CNY"};
    static const struct event_decoder_options mapped_options = {
        &plan_fake, decoder_key, "CNY", .mappings = &event_reference_mappings};
    static const char ordinary[] =
        "{\"id\":\"a\",\"type\":\"like\",\"user\":\"u\",\"time\":\"2026-11-11T00:00:03+08:00\","
        "\"campaign\":\"双十一\",\"amount\":\"1.5\",\"score\":7,\"p\":{\"a\":[1,true]}}";
    static struct event_decoder *decoder, *mapped;

    if (!decoder && (event_decoder_new(&decoder, &options) < 0 ||
                     event_decoder_new(&mapped, &mapped_options) < 0))
        abort();
    compare(mapped, data, size);
    /* The third time an event is read by what was learned from it. */
    for (unsigned i = 0; i < 3; i++)
        compare(decoder, data, size);
    /* Enough that go well, so that the decoder goes on trying what it has learned. */
    for (unsigned i = 0; i < 12; i++)
        compare(decoder, (const uint8_t *)ordinary, sizeof(ordinary) - 1);
    return 0;
}
