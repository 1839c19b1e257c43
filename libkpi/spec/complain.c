/*
 * Messages are made in a buffer of the stack, so that reporting an error cannot fail itself.
 */
#include "spec/complain.h"

struct kpi_place kpi_place_text(const struct kpi_text *text)
{
    return (struct kpi_place){text->origin, 0, text->length};
}

struct kpi_place kpi_place_node(const struct kpi_text *text, const struct kpi_node *node)
{
    return (struct kpi_place){text->origin, node->offset, node->length};
}

static void complain(struct kpi_diag *diag, enum kpi_severity severity, struct kpi_place place,
                     struct kpi_string suggest, const char *format, va_list arguments)
{
    char buffer[512];
    struct kpi_writer writer = KPI_WRITER_ON(buffer);
    struct kpi_message message;

    kpi_writer_vformat(&writer, format, arguments);
    message = (struct kpi_message){
        .severity = severity,
        .origin = place.origin,
        .offset = place.offset,
        .length = place.length,
        .text = kpi_writer_string(&writer),
        .suggest = suggest,
    };
    if (severity == KPI_SEVERITY_ERROR)
        ++diag->n_errors;
    diag->report(diag->userdata, &message);
}

void kpi_error(struct kpi_diag *diag, struct kpi_place place, struct kpi_string suggest,
               const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(diag, KPI_SEVERITY_ERROR, place, suggest, format, arguments);
    va_end(arguments);
}

void kpi_warning(struct kpi_diag *diag, struct kpi_place place, struct kpi_string suggest,
                 const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    complain(diag, KPI_SEVERITY_WARNING, place, suggest, format, arguments);
    va_end(arguments);
}
