/*
 * Names of scopes to scopes and back: see kpi/scope.h.
 */
#include "spec/grains.h"
#include "spec/plan.h"
#include "spec/text.h"

#include <assert.h>

#define COUNT_MAX 10000

static const char *const kind_names[] = {
    [KPI_SCOPE_CAMPAIGN] = "campaign", [KPI_SCOPE_PHASE] = "phase", [KPI_SCOPE_DAY] = "day",
    [KPI_SCOPE_ROLLING] = "rolling",   [KPI_SCOPE_WEEK] = "week",   [KPI_SCOPE_MONTH] = "month",
    [KPI_SCOPE_QUARTER] = "quarter",   [KPI_SCOPE_YEAR] = "year",   [KPI_SCOPE_MINUTES] = "minutes",
};

bool kpi_scope_alike(const struct kpi_scope *a, const struct kpi_scope *b)
{
    return a->kind == b->kind && a->unit == b->unit && a->count == b->count &&
           a->minutes == b->minutes;
}

const char *kpi_scope_kind_name(const struct kpi_scope *scope)
{
    if (scope->kind == KPI_SCOPE_MINUTES && scope->minutes == 60)
        return "hour";
    return kind_names[scope->kind];
}

bool kpi_grain_minutes_valid(uint32_t minutes)
{
    return minutes > 0 && minutes < 1440 &&
           (60 % minutes == 0 || (minutes % 60 == 0 && 1440 % minutes == 0));
}

/* --- reading --- */

/* Takes n digits off the front (0: as many as there are, up to 5); false if there are none. */
static bool take_number(struct kpi_string *text, size_t n, uint32_t *ret_number)
{
    size_t i = 0;

    *ret_number = 0;
    if (!n && text->length > 1 && text->data[0] == '0' && text->data[1] >= '0' &&
        text->data[1] <= '9')
        return false; /* there is one way to write a number */
    while (i < text->length && i < (n ? n : 5) && text->data[i] >= '0' && text->data[i] <= '9')
        *ret_number = 10 * *ret_number + (uint32_t)(text->data[i++] - '0');
    if (i == 0 || (n && i < n))
        return false;
    text->data += i;
    text->length -= i;
    return true;
}

/* Takes these bytes off the front, if they are there. */
static bool take(struct kpi_string *text, struct kpi_string what)
{
    if (text->length < what.length || memcmp(text->data, what.data, what.length) != 0)
        return false;
    text->data += what.length;
    text->length -= what.length;
    return true;
}

static bool take_word(struct kpi_string *text, const char *word)
{
    return take(text, (struct kpi_string){word, strlen(word)});
}

/* "5m" and "2h": the minutes of a window. */
static bool take_minutes(struct kpi_string *text, uint32_t *ret_minutes)
{
    if (!take_number(text, 0, ret_minutes))
        return false;
    if (take_word(text, "h"))
        *ret_minutes *= 60;
    else if (!take_word(text, "m"))
        return false;
    return true;
}

static int set_minutes(struct kpi_scope *scope, uint32_t minutes)
{
    scope->unit = KPI_SCOPE_MINUTES;
    scope->minutes = minutes;
    return kpi_grain_minutes_valid(minutes) ? 0 : KPI_SCOPE_NAME_E_MINUTES;
}

int kpi_scope_name_parse_rolling(struct kpi_string text, struct kpi_scope_name *ret_name)
{
    static const struct {
        const char *word;
        enum kpi_scope_kind unit;
        uint32_t minutes;
    } units[] = {
        {"mo", KPI_SCOPE_MONTH, 0},  {"d", KPI_SCOPE_DAY, 0},  {"w", KPI_SCOPE_WEEK, 0},
        {"q", KPI_SCOPE_QUARTER, 0}, {"y", KPI_SCOPE_YEAR, 0}, {"h", KPI_SCOPE_MINUTES, 60},
    };
    struct kpi_scope scope = {.kind = KPI_SCOPE_ROLLING};
    uint32_t minutes;
    int r = KPI_SCOPE_NAME_E_UNKNOWN;

    if (!take_number(&text, 0, &scope.count))
        return r;
    if (take_word(&text, "x")) {
        if (take_minutes(&text, &minutes) && text.length == 0)
            r = set_minutes(&scope, minutes);
    } else if (kpi_string_equal(text, KPI_STRING("m"))) {
        r = KPI_SCOPE_NAME_E_ROLLING;
    } else {
        for (size_t i = 0; i < sizeof(units) / sizeof(*units); ++i) {
            if (text.length == strlen(units[i].word) && take_word(&text, units[i].word)) {
                scope.unit = units[i].unit;
                scope.minutes = units[i].minutes;
                r = 0;
                break;
            }
        }
    }
    if (r == 0 && (scope.count == 0 || scope.count > COUNT_MAX))
        r = KPI_SCOPE_NAME_E_COUNT;
    if (r == 0)
        *ret_name = (struct kpi_scope_name){.scope = scope};
    return r;
}

/* "2026-11-11" and its beginnings, as far as the kind has them. */
static bool take_date(struct kpi_string *text, enum kpi_scope_kind kind, kpi_day *ret_day)
{
    uint32_t year, month = 1, day = 1, quarter;

    if (!take_number(text, 4, &year))
        return false;
    if (kind == KPI_SCOPE_QUARTER) {
        if (!take_word(text, "-Q") || !take_number(text, 1, &quarter) || quarter < 1 || quarter > 4)
            return false;
        month = 3 * quarter - 2;
    } else if (kind != KPI_SCOPE_YEAR && (!take_word(text, "-") || !take_number(text, 2, &month))) {
        return false;
    }
    if (kind != KPI_SCOPE_QUARTER && kind != KPI_SCOPE_YEAR && kind != KPI_SCOPE_MONTH &&
        (!take_word(text, "-") || !take_number(text, 2, &day)))
        return false;
    *ret_day = kpi_day_of_date((int32_t)year, month, day);
    return *ret_day != INT32_MIN;
}

/* "T20" of an hour, "T20:05" of a window; an hour may go beyond 23. */
static bool take_time(struct kpi_string *text, struct kpi_scope *scope)
{
    uint32_t hour, minute = 0;

    if (!take_word(text, "T") || !take_number(text, 2, &hour))
        return false;
    if (scope->minutes != 60 &&
        (!take_word(text, ":") || !take_number(text, 2, &minute) || minute > 59))
        return false;
    scope->start_minute = 60 * hour + minute;
    return scope->start_minute % scope->minutes == 0;
}

/* What stands behind the colon of a day, week … or window. */
static int parse_start(struct kpi_string text, struct kpi_scope_name *name)
{
    struct kpi_scope *scope = &name->scope;

    if (!take_date(&text, scope->kind, &scope->start_day))
        return KPI_SCOPE_NAME_E_UNKNOWN;
    if (scope->kind == KPI_SCOPE_MINUTES && !take_time(&text, scope))
        return KPI_SCOPE_NAME_E_UNKNOWN;
    name->has_start = true;
    return text.length == 0 ? 0 : KPI_SCOPE_NAME_E_UNKNOWN;
}

/* The word before the colon, or all of the text. */
static int parse_kind(struct kpi_string word, struct kpi_scope_name *name)
{
    struct kpi_scope *scope = &name->scope;
    uint32_t minutes;

    scope->count = 1;
    for (size_t kind = 0; kind < sizeof(kind_names) / sizeof(*kind_names); ++kind) {
        if (kpi_string_equal(word,
                             (struct kpi_string){kind_names[kind], strlen(kind_names[kind])})) {
            scope->kind = scope->unit = (enum kpi_scope_kind)kind;
            name->any = kind == KPI_SCOPE_ROLLING || kind == KPI_SCOPE_MINUTES;
            return 0;
        }
    }
    scope->kind = KPI_SCOPE_MINUTES;
    if (kpi_string_equal(word, KPI_STRING("hour")))
        return set_minutes(scope, 60);
    if (!take_minutes(&word, &minutes) || word.length > 0)
        return KPI_SCOPE_NAME_E_UNKNOWN;
    return set_minutes(scope, minutes);
}

int kpi_scope_name_parse(struct kpi_string text, struct kpi_scope_name *ret_name)
{
    const char *colon = text.length ? memchr(text.data, ':', text.length) : NULL;
    size_t length = colon ? (size_t)(colon - text.data) : text.length;
    struct kpi_string rest = {text.data + length + 1, text.length - length - !!colon};
    struct kpi_scope_name name = {0};
    int r = parse_kind((struct kpi_string){text.data, length}, &name);

    if (r == 0 && colon) {
        if (name.scope.kind == KPI_SCOPE_PHASE && rest.length > 0)
            name.phase = rest;
        else if (name.scope.kind == KPI_SCOPE_ROLLING)
            r = kpi_scope_name_parse_rolling(rest, &name);
        else if (name.any || name.scope.kind <= KPI_SCOPE_PHASE)
            r = KPI_SCOPE_NAME_E_UNKNOWN;
        else
            r = parse_start(rest, &name);
    }
    if (r == 0)
        *ret_name = name;
    return r;
}

bool kpi_scope_name_fits(const struct kpi_scope_name *name, const struct kpi_plan *plan,
                         const struct kpi_scope *scope)
{
    if (name->any)
        return name->scope.kind == scope->kind;
    if (!kpi_scope_alike(&name->scope, scope))
        return false;
    if (name->phase.length > 0 &&
        !kpi_string_equal(plan->campaigns[scope->campaign].phases[scope->phase].name, name->phase))
        return false;
    return !name->has_start || (name->scope.start_day == scope->start_day &&
                                name->scope.start_minute == scope->start_minute);
}

/* --- writing --- */

/* At least two digits. */
static void add_two(struct kpi_writer *writer, uint32_t number)
{
    kpi_writer_format(writer, number < 10 ? "0%d" : "%d", (int64_t)number);
}

static void add_date(struct kpi_writer *writer, const struct kpi_scope *scope)
{
    uint32_t month, day;
    int32_t year;

    kpi_day_date(scope->start_day, &year, &month, &day);
    kpi_writer_format(writer, ":%d", (int64_t)year);
    if (scope->kind == KPI_SCOPE_YEAR)
        return;
    if (scope->kind == KPI_SCOPE_QUARTER) {
        kpi_writer_format(writer, "-Q%d", (int64_t)(month + 2) / 3);
        return;
    }
    kpi_writer_format(writer, "-");
    add_two(writer, month);
    if (scope->kind == KPI_SCOPE_MONTH)
        return;
    kpi_writer_format(writer, "-");
    add_two(writer, day);
    if (scope->kind != KPI_SCOPE_MINUTES)
        return;
    kpi_writer_format(writer, "T");
    add_two(writer, scope->start_minute / 60);
    if (scope->minutes != 60) {
        kpi_writer_format(writer, ":");
        add_two(writer, scope->start_minute % 60);
    }
}

void kpi_scope_sort_add(struct kpi_writer *writer, const struct kpi_scope *scope)
{
    static const char *const units[] = {
        [KPI_SCOPE_DAY] = "d",     [KPI_SCOPE_WEEK] = "w", [KPI_SCOPE_MONTH] = "mo",
        [KPI_SCOPE_QUARTER] = "q", [KPI_SCOPE_YEAR] = "y",
    };

    if (scope->kind == KPI_SCOPE_MINUTES && scope->minutes != 60) {
        kpi_writer_format(writer, "%dm", (int64_t)scope->minutes);
        return;
    }
    kpi_writer_format(writer, "%s", kpi_scope_kind_name(scope));
    if (scope->kind != KPI_SCOPE_ROLLING)
        return;
    kpi_writer_format(writer, ":%d", (int64_t)scope->count);
    if (scope->unit != KPI_SCOPE_MINUTES)
        kpi_writer_format(writer, "%s", units[scope->unit]);
    else if (scope->minutes == 60)
        kpi_writer_format(writer, "h");
    else
        kpi_writer_format(writer, "x%dm", (int64_t)scope->minutes);
}

size_t kpi_scope_name_format(char ret_text[KPI_SCOPE_NAME_BYTES_MAX], const struct kpi_plan *plan,
                             const struct kpi_scope *scope, bool one)
{
    struct kpi_writer writer = {.data = ret_text, .capacity = KPI_SCOPE_NAME_BYTES_MAX - 1};

    kpi_scope_sort_add(&writer, scope);
    if (scope->kind == KPI_SCOPE_PHASE) {
        kpi_writer_format(&writer, ":");
        kpi_writer_string_add(&writer, plan->campaigns[scope->campaign].phases[scope->phase].name);
    } else if (one && scope->kind != KPI_SCOPE_CAMPAIGN && scope->kind != KPI_SCOPE_ROLLING) {
        add_date(&writer, scope);
    }
    ret_text[writer.length] = '\0';
    return writer.length;
}
