/*
 * The presets as a table, and how a mapping is completed by its preset.
 *
 * CloudEvents 1.0: what is no event with specversion 1.0 is not taken for one, so that other
 * messages of the same topic can go to another mapping. Its user is the subject, as nothing else in
 * the specification names whom an event is about. Segment: revenue without currency is in US
 * dollars, and a time is corrected by the clock of who received it, both by Segment's own rules.
 */
#include "codec/mapping.h"

/* {} cannot stand in a macro's argument, so a list of paths is a named array. */
#define PATHS(list) .paths = (list), .n_paths = sizeof(list) / sizeof((list)[0])

/* As KPI_STRING(), which is no constant expression for some compilers. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static const struct kpi_string at_id[] = {TEXT("id")};
static const struct kpi_string at_source[] = {TEXT("source")};
static const struct kpi_string at_type[] = {TEXT("type")};
static const struct kpi_string at_user[] = {TEXT("user")};
static const struct kpi_string at_time[] = {TEXT("time")};
static const struct kpi_string at_currency[] = {TEXT("currency")};

static const struct kpi_string at_subject[] = {TEXT("subject")};
static const struct kpi_string at_data_currency[] = {TEXT("data.currency")};
static const struct kpi_string version[] = {TEXT("1.0")};
static const struct mapping_condition is_cloudevent[] = {{TEXT("specversion"), version, 1}};

static const struct kpi_string at_message_id[] = {TEXT("messageId")};
static const struct kpi_string at_any_user[] = {TEXT("userId"), TEXT("anonymousId")};
static const struct kpi_string at_timestamp[] = {TEXT("timestamp")};
static const struct kpi_string at_property_currency[] = {TEXT("properties.currency")};
static const struct kpi_string at_segment_campaign[] = {TEXT("properties.campaign"),
                                                        TEXT("context.campaign.name")};
static const struct kpi_string at_revenue[] = {TEXT("properties.revenue"),
                                               TEXT("properties.amount")};
static const struct mapping_field segment_fields[] = {
    {TEXT("campaign"), {PATHS(at_segment_campaign)}},
    {TEXT("amount"), {PATHS(at_revenue)}},
};
static const char *const segment_roots[] = {"context", "traits", NULL};

static const struct kpi_string at_uuid[] = {TEXT("uuid")};
static const struct kpi_string at_event[] = {TEXT("event")};
static const struct kpi_string at_distinct_id[] = {TEXT("distinct_id"),
                                                   TEXT("properties.distinct_id")};
static const struct kpi_string at_posthog_campaign[] = {TEXT("properties.campaign"),
                                                        TEXT("properties.utm_campaign")};
static const struct mapping_field posthog_fields[] = {
    {TEXT("campaign"), {PATHS(at_posthog_campaign)}},
};
static const char *const no_roots[] = {NULL};

static const struct mapping_entry no_entry;

static const struct mapping_preset_info
    presets[MAPPING_PRESETS] =
        {
            [MAPPING_NATIVE] =
                {
                    .name = "native",
                    .base = "",
                    .roots = no_roots,
                    .entries =
                        {
                            [MAPPING_ID] = {PATHS(at_id)},
                            [MAPPING_SOURCE] = {PATHS(at_source)},
                            [MAPPING_TYPE] = {PATHS(at_type)},
                            [MAPPING_USER] = {PATHS(at_user)},
                            [MAPPING_TIME] = {PATHS(at_time)},
                            [MAPPING_CURRENCY] = {PATHS(at_currency)},
                        },
                    .numbers_ms = true,
                },
            [MAPPING_CLOUDEVENTS] =
                {
                    .name = "cloudevents",
                    .base = "data",
                    .roots = no_roots,
                    .conditions = is_cloudevent,
                    .n_conditions = 1,
                    .entries =
                        {
                            [MAPPING_ID] = {PATHS(at_id)},
                            [MAPPING_SOURCE] = {PATHS(at_source)},
                            [MAPPING_TYPE] = {PATHS(at_type)},
                            [MAPPING_USER] = {PATHS(at_subject)},
                            [MAPPING_TIME] = {PATHS(at_time), .absent_record = true},
                            [MAPPING_CURRENCY] = {PATHS(at_data_currency)},
                        },
                    .needs_id = true,
                },
            [MAPPING_SEGMENT] =
                {
                    .name = "segment",
                    .base = "properties",
                    .roots = segment_roots,
                    .entries =
                        {
                            [MAPPING_ID] = {PATHS(at_message_id)},
                            [MAPPING_TYPE] = {PATHS(at_type)},
                            [MAPPING_USER] = {PATHS(at_any_user)},
                            [MAPPING_TIME] = {PATHS(at_timestamp), .absent_record = true},
                            [MAPPING_CURRENCY] = {PATHS(at_property_currency),
                                                  .absent = TEXT("USD")},
                        },
                    .fields = segment_fields,
                    .n_fields = sizeof(segment_fields) / sizeof(segment_fields[0]),
                    .call = TEXT("track"),
                    .call_path = TEXT("event"),
                    .received = TEXT("receivedAt"),
                    .sent = TEXT("sentAt"),
                    .original = TEXT("originalTimestamp"),
                },
            [MAPPING_POSTHOG] =
                {
                    .name = "posthog",
                    .base = "properties",
                    .roots = no_roots,
                    .entries =
                        {
                            [MAPPING_ID] = {PATHS(at_uuid)},
                            [MAPPING_TYPE] = {PATHS(at_event)},
                            [MAPPING_USER] = {PATHS(at_distinct_id)},
                            [MAPPING_TIME] = {PATHS(at_timestamp)},
                            [MAPPING_CURRENCY] = {PATHS(at_property_currency)},
                        },
                    .fields = posthog_fields,
                    .n_fields = sizeof(posthog_fields) / sizeof(posthog_fields[0]),
                },
};

const struct mapping_preset_info *mapping_preset_info(enum mapping_preset preset)
{
    return &presets[preset];
}

static void complete(struct mapping_reading *reading, const struct mapping_entry *own,
                     const struct mapping_entry *preset)
{
    const struct mapping_entry *from = own->n_paths > 0 ? own : preset;

    *reading = (struct mapping_reading){
        .entry = own,
        .constant = own->constant,
        .absent = own->absent,
        .absent_record = own->absent_record,
        .given = own->n_paths > 0,
    };
    if (own->constant.data)
        return;
    for (uint32_t i = 0; i < from->n_paths; i++)
        reading->places[reading->n_places++].path = from->paths[i];
    if (from == preset && !own->absent.data && !own->absent_record) {
        reading->absent = preset->absent;
        reading->absent_record = preset->absent_record;
    }
}

void mapping_reading_role(const struct mapping *mapping, enum mapping_role role,
                          struct mapping_reading *ret_reading)
{
    complete(ret_reading, &mapping->entries[role], &presets[mapping->preset].entries[role]);
}

static const struct mapping_entry *find_field(const struct mapping_field *fields, uint32_t n_fields,
                                              struct kpi_string name)
{
    for (uint32_t i = 0; i < n_fields; i++) {
        if (mapping_path_relate(fields[i].name, name) == MAPPING_PATHS_EQUAL)
            return &fields[i].entry;
    }
    return &no_entry;
}

/* Does the name begin with a key that stands at the top, and goes on? */
static bool is_rooted(const struct mapping_preset_info *preset, struct kpi_string name)
{
    for (const char *const *root = preset->roots; *root; root++) {
        size_t length = strlen(*root);

        if (name.length > length + 1 && memcmp(name.data, *root, length) == 0 &&
            name.data[length] == '.')
            return true;
    }
    return false;
}

void mapping_reading_field(const struct mapping *mapping, struct kpi_string name,
                           struct mapping_reading *ret_reading)
{
    const struct mapping_preset_info *preset = &presets[mapping->preset];
    size_t offset;

    *ret_reading = (struct mapping_reading){.entry = &no_entry};
    if (mapping_path_check(name, &offset))
        return;
    complete(ret_reading, find_field(mapping->fields, mapping->n_fields, name),
             find_field(preset->fields, preset->n_fields, name));
    if (ret_reading->n_places > 0 || ret_reading->constant.data)
        return;
    ret_reading->n_places = 1;
    ret_reading->places[0].path = name;
    if (!is_rooted(preset, name))
        ret_reading->places[0].base = (struct kpi_string){preset->base, strlen(preset->base)};
}

bool mapping_is_for(const struct mapping *mapping, struct kpi_string topic)
{
    if (mapping->n_topics == 0 || !topic.data)
        return true;
    for (uint32_t i = 0; i < mapping->n_topics; i++) {
        if (kpi_string_equal(mapping->topics[i], topic))
            return true;
    }
    return false;
}
