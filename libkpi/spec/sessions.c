/*
 * Kinds of sessions: what they keep, how many of one user can be open, and the conditions that name
 * the type of the event that one makes.
 */
#include "spec/compile.h"
#include "spec/names.h"

#include <assert.h>

/* A field by name, as if it stood in the text. KPI_NO_INDEX: an error was reported. */
static uint32_t field_of(struct kpi_compile *compile, const struct kpi_attribute_work *attribute,
                         const struct kpi_text *text, struct kpi_string name,
                         enum kpi_field_use use)
{
    struct kpi_node node = {.kind = KPI_NODE_NAME, .length = text->length, .string = name};
    struct kpi_owner owner = {"session", kpi_text_string(&attribute->definition->name)};
    uint32_t field = kpi_check_field(compile, text, &node);

    if (field == KPI_NO_INDEX || !kpi_check_use(compile, text, &node, field, use, &owner))
        return KPI_NO_INDEX;
    return field;
}

static bool has_value(const struct kpi_session *session, uint32_t field)
{
    for (uint32_t i = 0; i < session->n_values; ++i) {
        if (session->fields[i] == field)
            return true;
    }
    return false;
}

static bool fields_read(struct kpi_compile *compile, struct kpi_attribute_work *attribute)
{
    const struct kpi_session_definition *definition = attribute->definition->session;
    const struct kpi_text *name = &attribute->definition->name;
    struct kpi_session *session = &attribute->session;

    session->fields[session->n_values++] = 0; /* the campaign */
    if (definition->n_fields > KPI_SESSION_FIELDS_MAX) {
        kpi_error(compile->diag, kpi_place_text(&definition->fields[KPI_SESSION_FIELDS_MAX]),
                  KPI_NO_SUGGESTION, "a session has at most %d fields beside the campaign",
                  (int64_t)KPI_SESSION_FIELDS_MAX);
        return false;
    }
    for (uint32_t i = 0; i < definition->n_fields; ++i) {
        const struct kpi_text *text = &definition->fields[i];
        uint32_t field = field_of(compile, attribute, text, kpi_text_string(text), KPI_USE_STRING);

        if (field == KPI_NO_INDEX)
            return false;
        if (!has_value(session, field))
            session->fields[session->n_values++] = field;
    }
    session->seconds =
        field_of(compile, attribute, name, KPI_STRING("session.seconds"), KPI_USE_NUMBER);
    session->events =
        field_of(compile, attribute, name, KPI_STRING("session.events"), KPI_USE_NUMBER);
    session->day = field_of(compile, attribute, name, KPI_STRING("session.day"), KPI_USE_NUMBER);
    return session->seconds != KPI_NO_INDEX && session->events != KPI_NO_INDEX &&
           session->day != KPI_NO_INDEX;
}

/*
 * Open sessions of a user end less than two gaps before the log's time, or as far ahead of it as
 * events may be; in this stretch lie their last events, one gap or more apart, or, where midnights
 * cut, on two days.
 */
static bool room_read(struct kpi_compile *compile, struct kpi_attribute_work *attribute)
{
    struct kpi_session *session = &attribute->session;
    kpi_duration stretch = 2 * session->gap + compile->in->future_skew_max;
    int64_t n = (stretch + session->gap - 1) / session->gap;

    if (session->midnight == KPI_MIDNIGHT_CUT)
        n += 1 + stretch / (20 * KPI_HOUR); /* no day is shorter */
    session->n_open = (uint32_t)n;
    if (n <= KPI_SESSION_OPEN_MAX)
        return true;
    kpi_error(compile->diag, kpi_place_text(&attribute->definition->name), KPI_NO_SUGGESTION,
              "the gap of \"%S\" is too short, or too long: one user could have more than %d open "
              "sessions, as events may be ahead of the log by max_future_skew",
              kpi_text_string(&attribute->definition->name), (int64_t)KPI_SESSION_OPEN_MAX);
    return false;
}

bool kpi_session_read(struct kpi_compile *compile, struct kpi_attribute_work *attribute)
{
    const struct kpi_session_definition *definition = attribute->definition->session;

    assert(definition->gap > 0 && definition->gap <= KPI_SESSION_GAP_MAX && definition->max >= 0);
    attribute->kind = KPI_ATTRIBUTE_SESSION;
    attribute->session = (struct kpi_session){
        .gap = definition->gap,
        .max = definition->max,
        .midnight = definition->midnight,
        .type = KPI_NO_INDEX,
    };
    return room_read(compile, attribute) && fields_read(compile, attribute);
}

/* The part of a type behind the prefix that all sessions have; false if it is none of a session. */
static bool session_name(struct kpi_string type, struct kpi_string *ret_name)
{
    const size_t length = sizeof(KPI_SESSION_TYPE) - 1;

    if (type.length < length || memcmp(type.data, KPI_SESSION_TYPE, length) != 0)
        return false;
    *ret_name = (struct kpi_string){type.data + length, type.length - length};
    return true;
}

uint32_t kpi_session_of_type(const struct kpi_compile *compile, struct kpi_string type)
{
    struct kpi_string name;
    uint32_t index;

    if (!session_name(type, &name))
        return KPI_NO_INDEX;
    index = kpi_attribute_find(compile, name);
    return index != KPI_NO_INDEX && compile->attributes[index].definition->session ? index
                                                                                   : KPI_NO_INDEX;
}

static bool type_bind(struct kpi_compile *compile, const struct kpi_text *text,
                      struct kpi_string type, uint32_t *sessions, uint32_t *n_sessions)
{
    struct kpi_suggestion suggestion;
    struct kpi_string name;
    uint32_t index;

    if (!session_name(type, &name))
        return true;
    index = kpi_session_of_type(compile, type);
    if (index != KPI_NO_INDEX) {
        sessions[(*n_sessions)++] = index;
        return !compile->attributes[index].broken;
    }
    kpi_suggestion_init(&suggestion, name);
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        const struct kpi_attribute_definition *definition = &compile->in->attributes[i];

        if (definition->session)
            kpi_suggestion_offer(&suggestion, kpi_text_string(&definition->name));
    }
    kpi_error(compile->diag, kpi_place_text(text), suggestion.best, "there are no sessions \"%S\"",
              name);
    return false;
}

bool kpi_sessions_bind(struct kpi_compile *compile, const struct kpi_text *text,
                       struct kpi_cond *cond)
{
    bool good = true;

    if (cond->kind == KPI_COND_STRING && cond->first->kind == KPI_COND_TYPE && !cond->sessions) {
        uint32_t *sessions = kpi_pool_alloc(&compile->temp, (cond->n_list + 1) * sizeof(*sessions));

        if (!sessions)
            return false;
        for (uint32_t i = 0; i < cond->n_list; ++i)
            good &= type_bind(compile, text, cond->strings[i], sessions, &cond->n_sessions);
        cond->sessions = sessions;
    }
    for (struct kpi_cond *child = cond->first; child; child = child->next)
        good &= kpi_sessions_bind(compile, text, child);
    return good;
}

static bool names_session(const struct kpi_cond *cond)
{
    if (cond->n_sessions > 0)
        return true;
    for (const struct kpi_cond *child = cond->first; child; child = child->next) {
        if (names_session(child))
            return true;
    }
    return false;
}

void kpi_sessions_check(struct kpi_compile *compile)
{
    for (uint32_t i = 0; i < compile->n_attributes; ++i) {
        const struct kpi_attribute_work *attribute = &compile->attributes[i];

        if (attribute->definition->session && attribute->where && names_session(attribute->where))
            kpi_error(compile->diag, kpi_place_text(&attribute->definition->where),
                      KPI_NO_SUGGESTION, "sessions are made of events, not of sessions");
    }
    for (uint32_t i = 0; i < compile->n_funnels; ++i) {
        const struct kpi_funnel_work *funnel = &compile->funnels[i];

        for (uint32_t k = 0; k < funnel->n_conditions; ++k) {
            if (funnel->conditions[k].where && names_session(funnel->conditions[k].where))
                kpi_error(compile->diag, kpi_place_text(funnel->conditions[k].text),
                          KPI_NO_SUGGESTION,
                          "funnels are made of events, not of sessions, which begin before they "
                          "are counted");
        }
    }
}

void kpi_session_write(const struct kpi_compile *compile, struct kpi_writer *writer,
                       const struct kpi_attribute_work *attribute)
{
    const struct kpi_session *session = &attribute->session;

    kpi_writer_format(writer, "session %S gap %d max %d open %d",
                      kpi_text_string(&attribute->definition->name), session->gap, session->max,
                      (int64_t)session->n_open);
    if (session->midnight != KPI_MIDNIGHT_IGNORE)
        kpi_writer_format(writer, session->midnight == KPI_MIDNIGHT_CUT ? " cut %S" : " both %S",
                          compile->in->zones[0].name);
    for (uint32_t i = 1; i < session->n_values; ++i)
        kpi_writer_format(writer, " field %S", compile->field_names[session->fields[i]]);
}
