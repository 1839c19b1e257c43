/*
 * Where the events of a measure count: at the time, and for the campaign, that they carry; or, by
 * `at` and `campaign`, at a time and for a campaign that an attribute of the user names.
 */
#include "spec/redirect.h"

/* The attribute of a name; NULL if it is empty, or none that is right, which was reported. */
static const struct kpi_attribute_work *find(struct kpi_compile *compile,
                                             const struct kpi_text *text)
{
    uint32_t index;

    if (text->length == 0 ||
        !kpi_attribute_named(compile, kpi_place_text(text), kpi_text_string(text), &index))
        return NULL;
    return &compile->attributes[index];
}

static void fail(struct kpi_compile *compile, const struct kpi_text *text, const char *message)
{
    kpi_error(compile->diag, kpi_place_text(text), KPI_NO_SUGGESTION, "%s", message);
}

void kpi_redirect_check(struct kpi_compile *compile, struct kpi_measure_work *measure)
{
    const struct kpi_text *at = &measure->definition->at;
    const struct kpi_text *campaign = &measure->definition->campaign;
    bool is_sum =
        measure->aggregate == KPI_AGGREGATE_SUM || measure->aggregate == KPI_AGGREGATE_CAPPED;

    measure->at = find(compile, at);
    measure->campaign = find(compile, campaign);
    if (measure->at && measure->at->kind != KPI_ATTRIBUTE_MIN_TIME &&
        measure->at->kind != KPI_ATTRIBUTE_MAX_TIME)
        fail(compile, at, "\"at\" names an attribute with the aggregate min(time) or max(time)");
    /* The latest answer of a day, or the first, is told by the event's own time. */
    if (measure->at && measure->aggregate != KPI_AGGREGATE_COUNT && !is_sum &&
        measure->aggregate != KPI_AGGREGATE_LEVEL)
        fail(compile, at, "only count, sum(), mean(), capped() and users have \"at\"");
    if (measure->campaign && measure->campaign->kind == KPI_ATTRIBUTE_SET) {
        if (!is_sum || measure->is_mean)
            fail(compile, campaign,
                 "only sum() and capped() can be split among a set of campaigns");
    } else if (measure->campaign &&
               ((measure->campaign->kind != KPI_ATTRIBUTE_FIRST &&
                 measure->campaign->kind != KPI_ATTRIBUTE_LAST) ||
                compile->fields[measure->campaign->field].use != KPI_USE_STRING)) {
        fail(compile, campaign,
             "\"campaign\" names an attribute with the aggregate first(), last() or set() of a "
             "string");
    }
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
