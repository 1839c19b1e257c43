/*
 * Where the events of a measure count: at the time, and for the campaign, that they carry; or, by
 * `at` and `campaign`, at a time and for a campaign that an attribute of the user names.
 */
#include "spec/redirect.h"
#include "spec/names.h"

/* The attribute of a name; NULL if it is empty, or broken, or none, which is reported. */
static const struct kpi_attribute_work *find(struct kpi_compile *compile,
                                             const struct kpi_text *text)
{
    struct kpi_suggestion suggestion;
    uint32_t index;

    if (text->length == 0)
        return NULL;
    index = kpi_attribute_find(compile, kpi_text_string(text));
    if (index != KPI_NO_INDEX)
        return compile->attributes[index].broken ? NULL : &compile->attributes[index];
    kpi_suggestion_init(&suggestion, kpi_text_string(text));
    for (uint32_t i = 0; i < compile->n_attributes; ++i)
        kpi_suggestion_offer(&suggestion, kpi_text_string(&compile->in->attributes[i].name));
    kpi_error(compile->diag, kpi_place_text(text), suggestion.best, "there is no attribute \"%S\"",
              kpi_text_string(text));
    return NULL;
}

static void fail(struct kpi_compile *compile, const struct kpi_text *text, const char *message)
{
    kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION, "%s", message);
}

void kpi_redirect_check(struct kpi_compile *compile, struct kpi_measure_work *measure)
{
    const struct kpi_text *at = &measure->definition->at;
    const struct kpi_text *campaign = &measure->definition->campaign;

    measure->at = find(compile, at);
    measure->campaign = find(compile, campaign);
    if (measure->at && measure->at->kind != KPI_ATTRIBUTE_MIN_TIME &&
        measure->at->kind != KPI_ATTRIBUTE_MAX_TIME)
        fail(compile, at, "\"at\" names an attribute with the aggregate min(time) or max(time)");
    /* The latest answer of a day, or the first, is told by the event's own time. */
    if (measure->at && measure->aggregate != KPI_AGGREGATE_COUNT &&
        measure->aggregate != KPI_AGGREGATE_SUM && measure->aggregate != KPI_AGGREGATE_LEVEL)
        fail(compile, at, "only count, sum(), mean() and users have \"at\"");
    if (measure->campaign && ((measure->campaign->kind != KPI_ATTRIBUTE_FIRST &&
                               measure->campaign->kind != KPI_ATTRIBUTE_LAST) ||
                              compile->fields[measure->campaign->field].use != KPI_USE_STRING))
        fail(compile, campaign,
             "\"campaign\" names an attribute with the aggregate first() or last() of a string");
}

void kpi_redirect_write(const struct kpi_compile *compile, const struct kpi_measure_work *measure,
                        struct kpi_writer *writer)
{
    if (measure->at)
        kpi_writer_format(writer, " at %x",
                          compile->attribute_fingerprints[measure->at - compile->attributes]);
    if (measure->campaign)
        kpi_writer_format(writer, " for %x",
                          compile->attribute_fingerprints[measure->campaign - compile->attributes]);
}
