/*
 * Sums of which no more than so much counts of each user. What a user has brought is an attribute,
 * or the difference of two; an event adds min(most, after) - min(most, before) to the measure. Over
 * the events of a user that telescopes to min(most, the user's sum), in whatever order they come,
 * also where refunds take some of it back.
 */
#include "spec/capped.h"
#include "spec/names.h"

/* The attribute that an argument names; NULL if an error was reported, here or before. */
static const struct kpi_attribute_work *sum_find(struct kpi_compile *compile,
                                                 const struct kpi_text *text,
                                                 const struct kpi_node *node)
{
    const struct kpi_attribute_work *attribute;
    uint32_t index;

    if (!kpi_attribute_named(compile, kpi_place_node(text, node), node->string, &index))
        return NULL;
    attribute = &compile->attributes[index];
    if (attribute->kind == KPI_ATTRIBUTE_SUM && !attribute->definition->reset)
        return attribute;
    kpi_error(compile->diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
              "capped() takes attributes with the aggregate sum() that are never reset");
    return NULL;
}

bool kpi_capped_read(struct kpi_compile *compile, struct kpi_measure_work *measure,
                     const struct kpi_bound *bound)
{
    const struct kpi_text *text = &measure->definition->aggregate;

    measure->aggregate = KPI_AGGREGATE_CAPPED;
    measure->sum = sum_find(compile, text, bound[0].node);
    measure->most = bound[1].integer;
    if (bound[2].node)
        measure->less = sum_find(compile, text, bound[2].node);
    return measure->sum && (measure->less || !bound[2].node);
}

void kpi_capped_write(const struct kpi_compile *compile, const struct kpi_measure_work *measure,
                      struct kpi_writer *writer)
{
    if (measure->aggregate != KPI_AGGREGATE_CAPPED)
        return;
    kpi_writer_format(writer, " of %x",
                      compile->attribute_fingerprints[measure->sum - compile->attributes]);
    if (measure->less)
        kpi_writer_format(writer, " less %x",
                          compile->attribute_fingerprints[measure->less - compile->attributes]);
    kpi_writer_format(writer, " most %d", measure->most);
}
