/*
 * The output of `kpid replay -o csv`: see replay_print.h. Made of the JSON itself, so that the two
 * cannot say different things.
 */
#include "cli/replay_print.h"

#include "api/answers.h"
#include "api/kpis.h"
#include "util/error.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static void print_cell(const char *text, FILE *out)
{
    if (!strpbrk(text, ",\"\r\n")) {
        (void)fputs(text, out);
        return;
    }
    (void)fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            (void)fputc('"', out);
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

/* A member as text. Returns 0 or -ENOMEM. */
static int print_item(const cJSON *item, FILE *out)
{
    char *text;

    if (!item || cJSON_IsNull(item))
        return 0;
    if (cJSON_IsString(item) || cJSON_IsRaw(item)) { /* raw: a number, as it is written */
        print_cell(item->valuestring, out);
        return 0;
    }
    text = cJSON_PrintUnformatted(item);
    if (!text)
        return error_origin(-ENOMEM);
    print_cell(text, out);
    free(text);
    return 0;
}

/* Behind as_of. */
static const char *const columns[] = {
    "kpi",        "campaign",    "scope.kind",    "scope.start",   "scope.end",   "scope.phase",
    "scope.days", "scope.count", "scope.unit",    "scope.minutes", "by",          "unit",
    "state",      "value",       "numerator",     "denominator",   "complete",    "definition",
    "reason",     "error",       "answer.kind",   "answer.name",   "answer.part", "answer.item",
    "answer.n",   "answer.to",   "answer.mature", "answer.measure"};

/* A row of an item that has members of these names; those of "scope.kind" are of its "scope". */
static int print_row(const cJSON *as_of, const cJSON *item, FILE *out)
{
    int r = print_item(as_of, out);

    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]) && r == 0; i++) {
        bool of_scope = strncmp(columns[i], "scope.", 6) == 0;

        (void)fputc(',', out);
        r = print_item(of_scope ? get(get(item, "scope"), columns[i] + 6) : get(item, columns[i]),
                       out);
    }
    (void)fputs("\r\n", out);
    return r;
}

/* --- answers: a row a number --- */

/* Where a number stands, as the columns have it; all borrowed. */
struct place {
    const cJSON *as_of, *entry, *name, *start, *end, *n, *to, *mature;
    const char *kind, *part;
    const cJSON *item, *item_b; /* a step, an arm; or two arms that are compared */
    FILE *out;
};

/* The members that are numbers of something and not of a definition. */
static bool is_measure(const char *key)
{
    static const char *const measures[] = {"size",
                                           "users",
                                           "share",
                                           "weighted",
                                           "simple",
                                           "cohorts",
                                           "new",
                                           "returning",
                                           "resurrecting",
                                           "dormant",
                                           "or_more",
                                           "of_first",
                                           "of_previous",
                                           "median_seconds",
                                           "mean_seconds",
                                           "sessions",
                                           "open",
                                           "p90_seconds",
                                           "bounced",
                                           "bounce_rate",
                                           "error",
                                           "late_events",
                                           "units",
                                           "value",
                                           "uncertain",
                                           "x",
                                           "y",
                                           "xx",
                                           "xy",
                                           "yy",
                                           "excluded",
                                           "srm_p",
                                           "any_p",
                                           "uplift",
                                           "lower",
                                           "upper",
                                           "relative_uplift",
                                           "relative_lower",
                                           "relative_upper",
                                           "p",
                                           "p_adjusted",
                                           "significant",
                                           "verdict",
                                           "reason"};

    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        if (strcmp(measures[i], key) == 0)
            return true;
    }
    return false;
}

static void refer(struct json *json, cJSON *row, const char *key, const cJSON *item)
{
    if (item && !cJSON_AddItemReferenceToObject(row, key, (cJSON *)item))
        json->failed = true;
}

/* The item of the row: "B - A" of two arms. */
static void add_item(struct json *json, cJSON *row, const struct place *place)
{
    char text[600]; /* names of arms have 256 bytes at most, and are cut if not */

    if (!place->item_b) {
        refer(json, row, "answer.item", place->item);
        return;
    }
    (void)snprintf(text, sizeof(text), "%s - %s", place->item_b->valuestring,
                   place->item->valuestring);
    json_add_text(json, row, "answer.item", text);
}

static int print_number(const struct place *place, const char *measure, const cJSON *value)
{
    struct json json = {0};
    cJSON *row = json_object(&json, NULL, NULL), *scope = json_object(&json, row, "scope");
    int r;

    refer(&json, scope, "start", place->start);
    refer(&json, scope, "end", place->end);
    refer(&json, row, "by", get(place->entry, "by"));
    refer(&json, row, "state", get(place->entry, "state"));
    refer(&json, row, "value", value);
    refer(&json, row, "definition", get(place->entry, "definition"));
    json_add_text(&json, row, "answer.kind", place->kind);
    refer(&json, row, "answer.name", place->name);
    json_add_text(&json, row, "answer.part", place->part);
    add_item(&json, row, place);
    refer(&json, row, "answer.n", place->n);
    refer(&json, row, "answer.to", place->to);
    refer(&json, row, "answer.mature", place->mature);
    json_add_text(&json, row, "answer.measure", measure);
    r = json.failed ? error_origin(-ENOMEM) : print_row(place->as_of, row, place->out);
    cJSON_Delete(row);
    return r;
}

/* What an object says of where its numbers, and those within it, stand. */
static void enter(struct place *place, const cJSON *object)
{
    static const char *const items[] = {"step", "arm", "a"};
    const cJSON *start = get(object, "start");

    if (start && (object != place->entry || get(object, "end"))) /* of an entry it is a measure */
        place->start = start;
    place->end = get(object, "end") ? get(object, "end") : place->end;
    place->n = get(object, "n") ? get(object, "n") : place->n;
    place->to = get(object, "n") ? get(object, "to") : place->to;
    place->mature = get(object, "mature") ? get(object, "mature") : place->mature;
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        if (get(object, items[i])) {
            place->item = get(object, items[i]);
            place->item_b = get(object, "b");
        }
    }
}

/* The users of a day, by step. */
static int print_users(struct place place, const cJSON *users)
{
    const cJSON *step = get(place.entry, "steps")->child, *item;
    int r = 0;

    cJSON_ArrayForEach(item, users)
    {
        place.item = get(step, "step");
        r = r == 0 ? print_number(&place, users->string, item) : r;
        step = step->next;
    }
    return r;
}

static int print_object(struct place place, const cJSON *object);

static int print_member(const struct place *place, const cJSON *member)
{
    struct place inner = *place;
    const cJSON *child;
    int r = 0;

    if (!cJSON_IsArray(member) && !cJSON_IsObject(member))
        return is_measure(member->string) ? print_number(place, member->string, member) : 0;
    if (member->child && cJSON_IsRaw(member->child) && cJSON_IsArray(member))
        return print_users(inner, member);
    if (strcmp(member->string, "by") == 0)
        return 0;
    if (strcmp(member->string, "sums") != 0) /* else they are of the arm */
        inner.part = member->string;
    if (cJSON_IsObject(member))
        return print_object(inner, member);
    cJSON_ArrayForEach(child, member)
    {
        r = r == 0 ? print_object(inner, child) : r;
    }
    return r;
}

/* An entry or what is in it, down to the numbers; as deep as the stations of answers.h write. */
static int print_object(struct place place, const cJSON *object)
{
    const cJSON *member;
    int r = 0;

    enter(&place, object);
    cJSON_ArrayForEach(member, object)
    {
        r = r == 0 ? print_member(&place, member) : r;
    }
    return r;
}

static int print_answers(const cJSON *as_of, const cJSON *document, FILE *out)
{
    static const char *const kinds[][2] = {
        {"tables", "table"}, {"funnels", "funnel"}, {"experiments", "experiment"}};
    const cJSON *entry;
    int r = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        cJSON_ArrayForEach(entry, get(document, kinds[i][0]))
        {
            const struct place place = {.as_of = as_of,
                                        .entry = entry,
                                        .name = get(entry, kinds[i][1]),
                                        .kind = kinds[i][1],
                                        .part = "",
                                        .out = out};

            if (r == 0)
                r = get(entry, "state") ? print_number(&place, "", NULL)
                                        : print_object(place, entry);
        }
    }
    return r;
}

int replay_print_csv(const struct view *view, FILE *out)
{
    struct json json = {0};
    const cJSON *as_of, *item;
    cJSON *document;
    int r = kpis_document(&document, view, &(struct kpis_filter){.by = "*"}, UINT64_MAX);

    if (r < 0)
        return error_trace(r);
    r = answers_add_all(&json, document, view);
    (void)fputs("as_of", out);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        (void)fprintf(out, ",%s", columns[i]);
    (void)fputs("\r\n", out);
    as_of = get(document, "as_of");
    cJSON_ArrayForEach(item, get(document, "kpis"))
    {
        r = r == 0 ? print_row(as_of, item, out) : r;
    }
    if (r == 0)
        r = print_answers(as_of, document, out);
    cJSON_Delete(document);
    return r < 0 ? error_trace(r) : 0;
}
