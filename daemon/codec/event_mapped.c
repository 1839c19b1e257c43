/* Programs for topics: what their mappings are compiled to, and which one reads a message. */
#include "codec/event_mapped.h"

#include "codec/cloudevents.h"
#include "codec/event_program.h"

#include <assert.h>
#include <stdlib.h>

/* Programs that topics with the same mappings share. */
struct programs {
    uint64_t mappings;            /* a bit for each */
    struct event_program *plain;  /* NULL: in native form */
    struct event_program *binary; /* NULL: no mapping reads headers */
};

struct event_mapped {
    struct arena arena;
    struct mappings *mappings;
    struct programs *programs;
    uint32_t n_programs;
    const struct programs **topics; /* [0]: a topic that is not known */
    uint32_t n_topics;
};

static uint64_t mappings_of(const struct event_program_options *options)
{
    uint64_t mask = 0;

    static_assert(MAPPINGS_MAX <= 64, "a bit for each");
    for (uint32_t i = 0; i < options->n_mappings; i++)
        mask |= (uint64_t)mapping_is_for(&options->mappings[i], options->topic) << i;
    return mask;
}

static int make_programs(struct programs *programs, struct event_program_options options)
{
    int r = 0;

    if (!event_program_is_native(&options))
        r = event_program_new(&programs->plain, &options);
    options.binary = true;
    if (r == 0 && event_program_reads_headers(&options))
        r = event_program_new(&programs->binary, &options);
    return r;
}

static int add_topic(struct event_mapped *mapped, struct event_program_options options,
                     const char *topic)
{
    struct programs *programs = mapped->programs;
    uint64_t mask;
    int r;

    options.topic = (struct kpi_string){topic, topic ? strlen(topic) : 0};
    mask = mappings_of(&options);
    while (programs < mapped->programs + mapped->n_programs && programs->mappings != mask)
        programs++;
    if (programs == mapped->programs + mapped->n_programs) {
        r = make_programs(programs, options);
        if (r < 0)
            return r;
        programs->mappings = mask;
        mapped->n_programs++;
    }
    mapped->topics[mapped->n_topics++] = programs;
    return 0;
}

static int build(struct event_mapped *mapped, const struct event_decoder_options *options)
{
    const struct event_program_options program = {
        .arena = &mapped->arena,
        .plan = options->plan,
        .mappings = mapped->mappings ? mapped->mappings->mappings : NULL,
        .n_mappings = mapped->mappings ? mapped->mappings->n_mappings : 0,
    };
    uint32_t n_topics = 1 + options->n_topics;
    int r;

    mapped->programs = arena_alloc(&mapped->arena, n_topics * sizeof(*mapped->programs));
    mapped->topics = arena_alloc(&mapped->arena, n_topics * sizeof(*mapped->topics));
    if (!mapped->programs || !mapped->topics)
        return -ENOMEM;
    r = add_topic(mapped, program, NULL);
    for (uint32_t i = 0; i < options->n_topics && r == 0; i++)
        r = add_topic(mapped, program, options->topics[i]);
    return r;
}

int event_mapped_new(struct event_mapped **ret_mapped, const struct event_decoder_options *options)
{
    bool has_mappings = options->mappings && options->mappings->n_mappings > 0;
    struct event_mapped *mapped;

    if (!has_mappings && !event_program_is_nested(options->plan)) {
        *ret_mapped = NULL;
        return 0;
    }
    mapped = calloc(1, sizeof(*mapped));
    if (!mapped)
        return -ENOMEM;
    mapped->mappings = mappings_ref(options->mappings);
    if (build(mapped, options) < 0) {
        (void)event_mapped_free(mapped);
        return -ENOMEM;
    }
    *ret_mapped = mapped;
    return 0;
}

struct event_mapped *event_mapped_free(struct event_mapped *mapped)
{
    if (!mapped)
        return NULL;
    (void)mappings_unref(mapped->mappings);
    arena_deinit(&mapped->arena);
    free(mapped);
    return NULL;
}

static const struct programs *programs_of(const struct event_mapped *mapped, uint32_t topic)
{
    assert(topic < mapped->n_topics);
    return mapped->topics[topic];
}

bool event_mapped_wants_headers(const struct event_mapped *mapped, uint32_t topic)
{
    return programs_of(mapped, topic)->binary;
}

enum kpi_refusal event_mapped_choose(struct event_mapped *mapped, const struct event_origin *origin,
                                     struct event_program **ret_program)
{
    const struct programs *programs = programs_of(mapped, origin->topic);
    struct kpi_string type;

    *ret_program = programs->plain;
    if (!programs->binary)
        return KPI_REFUSAL_NONE;
    switch (cloudevents_mode(origin->headers, origin->n_headers, &type)) {
    case CLOUDEVENTS_UNREADABLE:
        return KPI_REFUSAL_ENCODING;
    case CLOUDEVENTS_BINARY:
        *ret_program = programs->binary;
        return cloudevents_type_is_json(type) ? KPI_REFUSAL_NONE : KPI_REFUSAL_ENCODING;
    case CLOUDEVENTS_STRUCTURED:
    case CLOUDEVENTS_UNTOLD:
        break;
    }
    return KPI_REFUSAL_NONE;
}
