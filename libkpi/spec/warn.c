/*
 * What is right and yet hardly meant: reported as warnings once everything has compiled.
 */
#include "spec/compile.h"

/* Marks the attributes that a condition asks for. */
static void mark(const struct kpi_cond *cond, bool *used)
{
    if (!cond)
        return;
    if (cond->kind == KPI_COND_ATTRIBUTE || cond->kind == KPI_COND_ATTRIBUTE_TIME)
        used[cond->index] = true;
    for (uint32_t i = 0; i < cond->n_sessions; ++i)
        used[cond->sessions[i]] = true;
    for (const struct kpi_cond *child = cond->first; child; child = child->next)
        mark(child, used);
}

/* Marks those that a measure names beside its conditions. */
static void mark_measure(const struct kpi_compile *compile, const struct kpi_measure_work *measure,
                         bool *used)
{
    const struct kpi_attribute_work *named[] = {measure->at, measure->campaign, measure->sum,
                                                measure->less};

    mark(measure->where, used);
    mark(measure->answer, used);
    for (size_t i = 0; i < sizeof(named) / sizeof(*named); ++i) {
        if (named[i])
            used[named[i] - compile->attributes] = true;
    }
}

/* Attributes that nothing else than themselves and other unused ones ask for. */
static void attributes_unused(struct kpi_compile *compile)
{
    bool used[KPI_ATTRIBUTES_MAX] = {false}, walked[KPI_ATTRIBUTES_MAX] = {false};
    bool more = true;

    for (uint32_t i = 0; i < compile->n_measures; ++i)
        mark_measure(compile, &compile->measures[i], used);
    for (uint32_t i = 0; i < compile->n_dimensions; ++i) {
        mark(compile->dimensions[i].where, used);
        if (compile->dimensions[i].kind == KPI_DIMENSION_ATTRIBUTE)
            used[compile->dimensions[i].index] = true;
    }
    for (uint32_t i = 0; i < compile->n_funnels; ++i) {
        for (uint32_t k = 0; k < compile->funnels[i].n_conditions; ++k)
            mark(compile->funnels[i].conditions[k].where, used);
    }
    for (uint32_t i = 0; i < compile->in->n_experiments; ++i) {
        for (unsigned part = 0; part < KPI_EXPERIMENT_PARTS; ++part)
            mark(compile->experiments[i].parts[part].cond, used);
    }
    while (more) {
        more = false;
        for (uint32_t i = 0; i < compile->n_attributes; ++i) {
            if (!used[i] || walked[i])
                continue;
            mark(compile->attributes[i].where, used);
            walked[i] = more = true;
        }
    }
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        const struct kpi_text *name = &compile->attributes[i].definition->name;

        if (!used[i])
            kpi_warning(
                compile->diag, kpi_place_text(name), KPI_NO_SUGGESTION,
                compile->attributes[i].kind == KPI_ATTRIBUTE_SESSION
                    ? "nothing counts the sessions \"%S\"; they take memory for each user"
                    : "nothing asks for the attribute \"%S\"; it takes memory for each user",
                kpi_text_string(name));
    }
}

static bool ends_in(struct kpi_string name, const char *word)
{
    size_t length = strlen(word);

    return name.length >= length && memcmp(name.data + name.length - length, word, length) == 0 &&
           (name.length == length || name.data[name.length - length - 1] == '_');
}

/*
 * Does a field's name say that nearly each event or user has a value of its own? campaign_id and
 * city_id do not.
 */
static bool is_unbounded(struct kpi_string field)
{
    static const char *const words[] = {
        "id",       "user",     "user_id",    "userid",  "uid",        "member_id", "openid",
        "unionid",  "device",   "device_id",  "session", "session_id", "order_id",  "order_no",
        "trace_id", "event_id", "request_id", "phone",   "mobile",     "email",     "ip",
        "uuid",     "guid",     "imei",       "idfa",    "url",        "token",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); ++i) {
        bool whole = field.length == strlen(words[i]);

        if (ends_in(field, words[i]) && (whole || i > 0)) /* "id" alone: not as an ending */
            return true;
    }
    return false;
}

static void values_unbounded(struct kpi_compile *compile)
{
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        const struct kpi_attribute_work *attribute = &compile->attributes[i];

        if ((attribute->kind != KPI_ATTRIBUTE_FIRST && attribute->kind != KPI_ATTRIBUTE_LAST &&
             attribute->kind != KPI_ATTRIBUTE_SET) ||
            compile->fields[attribute->field].use != KPI_USE_STRING ||
            !is_unbounded(compile->fields[attribute->field].name))
            continue;
        kpi_warning(compile->diag, kpi_place_text(&attribute->definition->aggregate),
                    KPI_NO_SUGGESTION,
                    "\"%S\" looks like a field with a value of its own for each event or user; "
                    "beyond limits.values (%d) all become __other__",
                    compile->fields[attribute->field].name, (int64_t)compile->in->values_max);
    }
    for (uint32_t i = 0; i < compile->n_dimensions; ++i) {
        const struct kpi_dimension_work *dimension = &compile->dimensions[i];

        if (dimension->kind != KPI_DIMENSION_FIELD ||
            !is_unbounded(compile->fields[dimension->index].name))
            continue;
        kpi_warning(compile->diag, kpi_place_text(dimension->name), KPI_NO_SUGGESTION,
                    "\"%S\" looks like a field with a value of its own for each event or user; "
                    "beyond %d of them all become __other__",
                    compile->fields[dimension->index].name, (int64_t)dimension->values_max);
    }
}

void kpi_warn(struct kpi_compile *compile)
{
    attributes_unused(compile);
    values_unbounded(compile);
}
