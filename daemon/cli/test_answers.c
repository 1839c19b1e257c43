/*
 * What a step of a test expects of tables, funnels and experiments, in the shape of their JSON:
 *
 *   tables:
 *     - {table: comeback, cohorts: [{start: 2026-11-09, size: 2, cells: [{n: 1, users: 1}]}]}
 *   funnels:
 *     - {funnel: way, by: {channel: wechat}, steps: [{step: purchase, users: 1, of_first: 1/3}]}
 *   experiments:
 *     - {experiment: theme, verdict: B, arms: [{arm: A, units: 100}, {arm: B, units: 104}]}
 *
 * Only what is written is compared. Items of a list are found by what names them: start (a date or
 * a time), n, step, arm, a and b. Counts are equal; other numbers are so to 1e-9 of what is
 * expected, or to the entry's tolerance. null is what is undefined or hidden.
 */
#include "cli/test_run.h"

#include "api/answers.h"
#include "util/error.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    IDS_MAX = 2,
    VALUES_MAX = 13,
    INNER_MAX = 4,
    PATH_BYTES = 400,
};

/* What may stand in an object of the JSON, by the key under which it, or a list of it, stands. */
struct shape {
    const char *key;
    const char *ids[IDS_MAX];       /* which tell it from others of the list */
    const char *values[VALUES_MAX]; /* texts first, as many as n_texts */
    unsigned n_texts;
    const char *inner[INNER_MAX]; /* shapes of their own */
};

static const struct shape shapes[] = {
    {"tables", {"table"}, {"mature"}, 1, {"cohorts", "means", "periods", "counts"}},
    {"funnels", {"funnel"}, {"late_events"}, 0, {"steps", "whole", "trend"}},
    {"experiments",
     {"experiment"},
     {"verdict", "reason", "winner", "excluded", "srm_p", "any_p"},
     3,
     {"arms", "comparisons"}},
    {"cohorts", {"start"}, {"size"}, 0, {"cells"}},
    {"cells", {"n"}, {"mature", "users", "share"}, 1, {NULL}},
    {"means", {"n"}, {"weighted", "simple", "cohorts"}, 0, {NULL}},
    {"periods",
     {"start"},
     {"mature", "new", "returning", "resurrecting", "dormant", "sessions", "users", "open",
      "mean_seconds", "median_seconds", "p90_seconds", "bounced", "bounce_rate"},
     1,
     {NULL}},
    {"counts", {"n"}, {"users", "or_more"}, 0, {NULL}},
    {"steps",
     {"step"},
     {"users", "of_first", "of_previous", "median_seconds", "mean_seconds"},
     0,
     {NULL}},
    {"whole", {NULL}, {"users", "median_seconds", "mean_seconds"}, 0, {NULL}},
    {"trend", {"start"}, {"mature", "users"}, 1, {NULL}},
    {"arms", {"arm"}, {"units", "value", "uncertain"}, 0, {"sums"}},
    {"sums", {NULL}, {"x", "y", "xx", "xy", "yy"}, 0, {NULL}},
    {"comparisons",
     {"a", "b"},
     {"test", "significant", "uplift", "lower", "upper", "relative_uplift", "relative_lower",
      "relative_upper", "p", "p_adjusted"},
     2,
     {NULL}},
};

static const struct shape *find_shape(const char *key)
{
    size_t i = 0;

    while (strcmp(shapes[i].key, key) != 0)
        i++;
    return &shapes[i];
}

static bool is_among(const char *const *names, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n && names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_null(const struct doc_node *node)
{
    return doc_is_empty(node) || (node->kind == DOC_SCALAR && node->plain &&
                                  (strcmp(node->value, "null") == 0 || !strcmp(node->value, "~")));
}

/* --- reading --- */

static void read_number(const struct test_reader *reader, const struct doc_node *node,
                        const char *what)
{
    struct test_exact exact;

    if (!is_null(node))
        (void)test_read_exact(reader, node, what, &exact); /* reported, and read again later */
}

/* A number, or, of the users of a day, one of each step. */
static void read_value(const struct test_reader *reader, const struct shape *shape,
                       const struct doc_node *node)
{
    const char *what = node->key->value;
    struct kpi_string text;

    if (is_among(shape->values, shape->n_texts, what)) {
        (void)(is_null(node) || load_text(&reader->file->load, node, what, &text)); /* reported */
        return;
    }
    if (strcmp(shape->key, "trend") != 0 || node->kind != DOC_SEQUENCE) {
        read_number(reader, node, what);
        return;
    }
    for (const struct doc_node *item = node->first; item; item = item->next)
        read_number(reader, item, what);
}

static void read_object(const struct test_reader *reader, const struct doc_node *node,
                        const struct shape *shape);

static void read_inner(const struct test_reader *reader, const struct doc_node *node)
{
    const struct shape *shape = find_shape(node->key->value);

    if (!shape->ids[0]) {
        read_object(reader, node, shape);
        return;
    }
    if (node->kind != DOC_SEQUENCE) {
        report_error(&reader->file->load.report, load_begin_of(node),
                     "%s: a list is expected, as [{%s: …}]", shape->key, shape->ids[0]);
        return;
    }
    for (const struct doc_node *item = node->first; item; item = item->next)
        read_object(reader, item, shape);
}

static void read_object(const struct test_reader *reader, const struct doc_node *node,
                        const struct shape *shape)
{
    struct doc_node *slots[IDS_MAX + VALUES_MAX + INNER_MAX + 3];
    struct load_field fields[IDS_MAX + VALUES_MAX + INNER_MAX + 3];
    bool is_entry = shape < find_shape("cohorts");
    struct load *load = &reader->file->load;
    const struct doc_node *child;
    struct test_exact exact;
    struct kpi_string text;
    unsigned n = 0;

    for (unsigned i = 0; i < IDS_MAX && shape->ids[i]; i++)
        fields[n++].name = shape->ids[i];
    for (unsigned i = 0; i < VALUES_MAX && shape->values[i]; i++)
        fields[n++].name = shape->values[i];
    for (unsigned i = 0; i < INNER_MAX && shape->inner[i]; i++)
        fields[n++].name = shape->inner[i];
    for (unsigned i = 0; is_entry && i < 3; i++)
        fields[n++].name = (const char *const[]){"by", "start", "tolerance"}[i];
    for (unsigned i = 0; i < n; i++)
        fields[i].node = &slots[i];
    if (!load_fields(load, node, shape->key, fields, n))
        return;
    for (unsigned i = 0; i < IDS_MAX && shape->ids[i]; i++) {
        if (slots[i])
            (void)load_text(load, slots[i], shape->ids[i], &text); /* reported */
        else
            load_missing(load, node, shape->key, shape->ids[i]);
    }
    for (child = node->first; child; child = child->next) {
        const char *key = child->key->value;

        if (is_among(shape->values, VALUES_MAX, key))
            read_value(reader, shape, child);
        else if (is_among(shape->inner, INNER_MAX, key))
            read_inner(reader, child);
        else if (strcmp(key, "tolerance") == 0)
            (void)test_read_exact(reader, child, key, &exact); /* these two: reported */
        else if (is_entry && strcmp(key, "start") == 0)
            (void)load_text(load, child, key, &text);
    }
}

/* --- names of an entry --- */

/* By enum kpi_answer_kind. */
static const struct answers_station *const stations[KPI_N_ANSWER_KINDS] = {
    &tables_station, &funnels_station, &experiments_station};

static bool find_entry(const struct test_reader *reader, const struct answers_station *station,
                       const struct doc_node *node, uint32_t *ret_index)
{
    struct load *load = &reader->file->load;
    struct suggest suggest = suggest_begin(doc_string(node));

    for (uint32_t i = 0; i < station->count(reader->plan); i++) {
        struct kpi_string name = station->name(reader->plan, i);

        if (kpi_string_equal(name, doc_string(node))) {
            *ret_index = i;
            return true;
        }
        suggest_try(&suggest, name.data); /* terminated, and the plan's */
    }
    report_error(&load->report, doc_node_place(node), "there is no %s %s", node->key->value,
                 QUOTE(doc_string(node)));
    report_suggest(&load->report, suggest.best);
    return false;
}

/* Does `by` name all that the entry is broken down by, and nothing else? */
static void read_by(const struct test_reader *reader, const struct doc_node *node,
                    const struct kpi_breakdown_info *by)
{
    const struct doc_node *child = node->kind == DOC_MAPPING ? node->first : NULL;
    uint32_t n = 0;

    for (; child && child->kind == DOC_SCALAR; child = child->next) {
        for (uint32_t i = 0; by && i < by->n_dimensions; i++)
            n += kpi_string_equal(by->dimensions[i].name, doc_string(child->key));
    }
    if (!by)
        report_error(&reader->file->load.report, load_begin_of(node), "it is not broken down");
    else if (node->kind != DOC_MAPPING || n != by->n_dimensions || n != node->n_children)
        report_error(&reader->file->load.report, load_begin_of(node),
                     "by: a value of each of its dimensions is expected, as {%s: x}",
                     by->dimensions[0].name.data);
}

static void read_entry(const struct test_reader *reader, enum kpi_answer_kind kind,
                       const struct doc_node *node)
{
    const struct shape *shape = find_shape(stations[kind]->key);
    const struct doc_node *name, *by, *child;
    bool expects = false;
    uint32_t index;

    read_object(reader, node, shape);
    if (node->kind != DOC_MAPPING || !reader->plan)
        return;
    for (child = node->first; child; child = child->next)
        expects |= is_among(shape->values, VALUES_MAX, child->key->value) ||
                   is_among(shape->inner, INNER_MAX, child->key->value);
    name = doc_get(node, shape->ids[0]);
    by = doc_get(node, "by");
    if (!name || name->kind != DOC_SCALAR || !find_entry(reader, stations[kind], name, &index))
        return;
    if (!expects)
        report_error(&reader->file->load.report, load_begin_of(node),
                     "nothing is expected: %s, %s …", shape->inner[0], shape->inner[1]);
    if (by)
        read_by(reader, by, stations[kind]->by(reader->plan, index));
}

void test_read_answers(const struct test_reader *reader, enum kpi_answer_kind kind,
                       const struct doc_node *list, struct test_step *step)
{
    step->answers[kind] = list;
    for (const struct doc_node *item = list->first; item; item = item->next)
        read_entry(reader, kind, item);
}

/* --- comparing --- */

struct comparing {
    struct test_output *output;
    const struct doc_node *tolerance; /* of the entry; NULL: none */
    char path[PATH_BYTES];            /* what is compared, for messages; cut if it is long */
};

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* As a person would write it; NULL for null. */
static const char *text_of(const cJSON *item)
{
    if (cJSON_IsBool(item))
        return cJSON_IsTrue(item) ? "true" : "false";
    return cJSON_IsString(item) || cJSON_IsRaw(item) ? item->valuestring : NULL;
}

/* A date is that of a time. */
static bool same_text(const struct doc_node *expected, const cJSON *item)
{
    const char *text = text_of(item);

    if (!text || is_null(expected))
        return !text && is_null(expected);
    if (strcmp(text, expected->value) == 0)
        return true;
    return expected->length == 10 && strlen(text) > 10 && text[10] == 'T' &&
           strncmp(text, expected->value, 10) == 0;
}

static double number_of(const struct comparing *comparing, const struct doc_node *node)
{
    const struct test_reader reader = {.file = comparing->output->file};
    struct test_exact exact;

    if (!test_read_exact(&reader, node, "", &exact))
        abort(); /* it was read before */
    return (double)exact.numerator / (double)exact.denominator;
}

static bool same_number(const struct comparing *comparing, const struct doc_node *expected,
                        const cJSON *item)
{
    const char *text = text_of(item);
    double wanted, tolerance;

    if (!text || is_null(expected))
        return !text && is_null(expected);
    wanted = number_of(comparing, expected);
    if (comparing->tolerance)
        tolerance = number_of(comparing, comparing->tolerance);
    else /* counts are exact */
        tolerance = text[strspn(text, "-0123456789")] ? 1e-9 * fabs(wanted) : 0;
    return fabs(atof(text) - wanted) <= tolerance;
}

static void differ(const struct comparing *comparing, const struct doc_node *node, const char *what,
                   const struct doc_node *expected, const char *got)
{
    test_fail(comparing->output, node, "%s", comparing->path);
    (void)fprintf(comparing->output->out, "  expected %s %s\n  got      %s %s\n", what,
                  is_null(expected) ? "null" : expected->value, what, got ? got : "null");
}

/* The users of a day by step. */
static void compare_users(const struct comparing *comparing, const struct doc_node *list,
                          const cJSON *items)
{
    const struct doc_node *node = list->first;
    const cJSON *item;

    cJSON_ArrayForEach(item, items)
    {
        if (node && !same_number(comparing, node, item))
            differ(comparing, node, "users", node, text_of(item));
        node = node ? node->next : NULL;
    }
    if (node)
        differ(comparing, node, "users", node, "of no such step");
}

static void compare_value(const struct comparing *comparing, const struct shape *shape,
                          const struct doc_node *node, const cJSON *item)
{
    const char *what = node->key->value;
    bool is_text = is_among(shape->values, shape->n_texts, what);

    if (node->kind == DOC_SEQUENCE)
        compare_users(comparing, node, item);
    else if (!(is_text ? same_text(node, item) : same_number(comparing, node, item)))
        differ(comparing, node, what, node, text_of(item));
}

/* The item of a list that a node names, or NULL. */
static const cJSON *find_item(const struct shape *shape, const struct doc_node *node,
                              const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        bool same = true;

        for (unsigned i = 0; i < IDS_MAX && shape->ids[i]; i++)
            same &= same_text(doc_get(node, shape->ids[i]), get(item, shape->ids[i]));
        if (same)
            return item;
    }
    return NULL;
}

static void compare_object(const struct comparing *comparing, const struct shape *shape,
                           const struct doc_node *node, const cJSON *object);

/* Behind the path of what it is in. */
static void extend_path(struct comparing *comparing, const struct shape *shape,
                        const struct doc_node *node)
{
    size_t n = strlen(comparing->path);

    n += (size_t)snprintf(comparing->path + n, PATH_BYTES - n, ", %s", shape->key);
    for (unsigned i = 0; i < IDS_MAX && shape->ids[i] && n < PATH_BYTES; i++)
        n += (size_t)snprintf(comparing->path + n, PATH_BYTES - n, " %s",
                              doc_get(node, shape->ids[i])->value);
}

/* What stands under a key: an object, or a list of which some items are expected. */
static void compare_inner(const struct comparing *outer, const struct doc_node *node,
                          const cJSON *inner)
{
    const struct shape *shape = find_shape(node->key->value);
    const struct doc_node *item = shape->ids[0] ? node->first : node;

    for (; item; item = shape->ids[0] ? item->next : NULL) {
        const cJSON *found = shape->ids[0] ? find_item(shape, item, inner) : inner;
        struct comparing comparing = *outer;

        extend_path(&comparing, shape, item);
        if (found) {
            compare_object(&comparing, shape, item, found);
            continue;
        }
        test_fail(outer->output, item, "%s", comparing.path);
        (void)fputs("  expected to be there\n  got      none\n", outer->output->out);
    }
}

static void compare_object(const struct comparing *comparing, const struct shape *shape,
                           const struct doc_node *node, const cJSON *object)
{
    for (const struct doc_node *child = node->first; child; child = child->next) {
        const cJSON *item = get(object, child->key->value);

        if (is_among(shape->values, VALUES_MAX, child->key->value))
            compare_value(comparing, shape, child, item);
        else if (is_among(shape->inner, INNER_MAX, child->key->value))
            compare_inner(comparing, child, item);
    }
}

/* Is it of the group that is meant, or of the whole if none is? */
static bool same_by(const struct doc_node *by, const cJSON *item)
{
    if (!by || !item)
        return !by && !item;
    for (const struct doc_node *child = by->first; child; child = child->next) {
        const cJSON *value = get(item, child->key->value);

        if (cJSON_IsNull(value) ? !is_null(child) : !same_text(child, value))
            return false;
    }
    return true;
}

/* `table by_channel channel=wechat` */
static void begin_path(struct comparing *comparing, const struct doc_node *name,
                       const struct doc_node *by)
{
    size_t n =
        (size_t)snprintf(comparing->path, PATH_BYTES, "%s %s", name->key->value, name->value);

    for (const struct doc_node *child = by ? by->first : NULL; child && n < PATH_BYTES;
         child = child->next)
        n += (size_t)snprintf(comparing->path + n, PATH_BYTES - n, " %s=%s", child->key->value,
                              is_null(child) ? "null" : child->value);
}

static void compare_entry(struct test_output *output, const struct answers_station *station,
                          const struct doc_node *node, const cJSON *entries)
{
    const struct shape *shape = find_shape(station->key);
    const struct doc_node *name = doc_get(node, shape->ids[0]), *start = doc_get(node, "start");
    const struct doc_node *by = doc_get(node, "by");
    struct comparing comparing = {.output = output, .tolerance = doc_get(node, "tolerance")};
    const cJSON *entry;

    begin_path(&comparing, name, by);
    cJSON_ArrayForEach(entry, entries)
    {
        if (same_text(name, get(entry, shape->ids[0])) && same_by(by, get(entry, "by")) &&
            (!start || same_text(start, get(entry, "start")))) {
            compare_object(&comparing, shape, node, entry);
            return;
        }
    }
    test_fail(output, node, "%s", comparing.path);
    (void)fputs("  expected to be there\n  got      none\n", output->out);
}

int test_compare_answers(struct test_output *output, const struct test_step *step,
                         const struct view *view)
{
    struct json json = {0};
    cJSON *root;
    int r;

    if (!step->answers[KPI_ANSWER_TABLE] && !step->answers[KPI_ANSWER_FUNNEL] &&
        !step->answers[KPI_ANSWER_EXPERIMENT])
        return 0;
    root = json_object(&json, NULL, NULL);
    r = answers_add_all(&json, root, view);
    if (json.failed)
        r = error_origin(-ENOMEM);
    for (unsigned kind = 0; kind < KPI_N_ANSWER_KINDS && r == 0; kind++) {
        const struct doc_node *list = step->answers[kind], *item;

        for (item = list ? list->first : NULL; item; item = item->next)
            compare_entry(output, stations[kind], item, get(root, stations[kind]->key));
    }
    cJSON_Delete(root);
    return r < 0 ? error_trace(r) : 0;
}
