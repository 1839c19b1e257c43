/* Scopes to text and back. */
#include "scope_text.h"

#include <stdio.h>
#include <time.h>

enum {
    DATE_BYTES = 11,
};

/* "2026-11-03" of a day since 1970. */
static void format_date(char ret_text[DATE_BYTES], kpi_day day)
{
    time_t seconds = (time_t)day * (KPI_DAY / KPI_SECOND);
    struct tm date;

    (void)gmtime_r(&seconds, &date);
    if (strftime(ret_text, DATE_BYTES, "%Y-%m-%d", &date) == 0)
        ret_text[0] = '\0'; /* a year of more than four digits */
}

/* Exactly as it is written back, so that 2026-02-30 and 2026-1-1 are none. */
static bool parse_date(struct kpi_string text, kpi_day *ret_day)
{
    char copy[DATE_BYTES], again[DATE_BYTES];
    struct tm date = {0};
    kpi_day day;

    if (text.length != DATE_BYTES - 1)
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    if (sscanf(copy, "%4d-%2d-%2d", &date.tm_year, &date.tm_mon, &date.tm_mday) != 3)
        return false;
    date.tm_year -= 1900;
    date.tm_mon -= 1;
    day = (kpi_day)(timegm(&date) / (KPI_DAY / KPI_SECOND));
    format_date(again, day);
    *ret_day = day;
    return strcmp(copy, again) == 0;
}

static bool parse_days(struct kpi_string text, uint32_t *ret_days)
{
    uint32_t days = 0;

    if (text.length < 2 || text.length > 5 || text.data[text.length - 1] != 'd')
        return false;
    for (size_t i = 0; i + 1 < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        days = 10 * days + (uint32_t)(text.data[i] - '0');
    }
    *ret_days = days;
    return days > 0;
}

/* Takes "word " or "word:" off the front. */
static bool take_word(struct kpi_string *text, const char *word)
{
    size_t length = strlen(word);

    if (text->length <= length || memcmp(text->data, word, length) != 0 ||
        (text->data[length] != ' ' && text->data[length] != ':'))
        return false;
    text->data += length + 1;
    text->length -= length + 1;
    return true;
}

static int parse_phase(struct kpi_string text, const struct kpi_campaign_info *campaign,
                       struct kpi_scope *pattern)
{
    pattern->kind = KPI_SCOPE_PHASE;
    for (pattern->phase = 0; pattern->phase < campaign->n_phases; pattern->phase++) {
        if (kpi_string_equal(campaign->phases[pattern->phase].name, text))
            return 0;
    }
    return SCOPE_TEXT_E_UNKNOWN;
}

int scope_text_parse(struct kpi_string text, const struct kpi_plan *plan, uint32_t campaign,
                     struct kpi_scope *ret_pattern)
{
    const struct kpi_campaign_info *info = kpi_plan_campaign(plan, campaign);
    struct kpi_scope pattern = {.kind = KPI_SCOPE_CAMPAIGN, .campaign = campaign};
    int r = 0;

    if (kpi_string_equal(text, KPI_STRING("campaign"))) {
        ; /* as it stands */
    } else if (kpi_string_equal(text, KPI_STRING("day"))) {
        pattern.kind = KPI_SCOPE_DAY;
    } else if (parse_phase(text, info, &pattern) == 0) {
        ; /* by its bare name, whatever that is */
    } else if (take_word(&text, "day")) {
        pattern = (struct kpi_scope){.kind = KPI_SCOPE_DAY, .campaign = campaign};
        r = parse_date(text, &pattern.start_day) ? 0 : SCOPE_TEXT_E_DATE;
        pattern.end_day = pattern.start_day + 1;
    } else if (take_word(&text, "rolling")) {
        pattern = (struct kpi_scope){.kind = KPI_SCOPE_ROLLING, .campaign = campaign};
        r = parse_days(text, &pattern.days) ? 0 : SCOPE_TEXT_E_DAYS;
    } else {
        r = take_word(&text, "phase") ? parse_phase(text, info, &pattern) : SCOPE_TEXT_E_UNKNOWN;
    }
    if (r == 0)
        *ret_pattern = pattern;
    return r;
}

void scope_text_format(char ret_text[SCOPE_TEXT_BYTES_MAX], const struct kpi_plan *plan,
                       const struct kpi_scope *scope)
{
    struct kpi_string phase;
    char date[DATE_BYTES];

    switch (scope->kind) {
    case KPI_SCOPE_CAMPAIGN:
        (void)strcpy(ret_text, "campaign");
        break;
    case KPI_SCOPE_PHASE:
        phase = kpi_plan_campaign(plan, scope->campaign)->phases[scope->phase].name;
        (void)snprintf(ret_text, SCOPE_TEXT_BYTES_MAX, "phase:%.*s", (int)phase.length, phase.data);
        break;
    case KPI_SCOPE_DAY:
        format_date(date, scope->start_day);
        if (scope->start_day == scope->end_day)
            (void)strcpy(ret_text, "day");
        else
            (void)snprintf(ret_text, SCOPE_TEXT_BYTES_MAX, "day:%s", date);
        break;
    case KPI_SCOPE_ROLLING:
        (void)snprintf(ret_text, SCOPE_TEXT_BYTES_MAX, "rolling:%ud", scope->days);
        break;
    }
}

bool scope_text_find(const struct kpi_layout *layout, const struct kpi_scope *pattern,
                     uint32_t *ret_scope)
{
    bool any_day = pattern->start_day == pattern->end_day;
    bool found = false;

    for (uint32_t i = 0; i < kpi_layout_n_scopes(layout); i++) {
        const struct kpi_scope *scope = kpi_layout_scope(layout, i);

        if (scope->campaign != pattern->campaign || scope->kind != pattern->kind ||
            (scope->kind == KPI_SCOPE_PHASE && scope->phase != pattern->phase) ||
            (scope->kind == KPI_SCOPE_ROLLING && scope->days != pattern->days) ||
            (scope->kind == KPI_SCOPE_DAY && !any_day && scope->start_day != pattern->start_day))
            continue;
        *ret_scope = i; /* days are in order: the last one is today */
        found = true;
    }
    return found;
}
