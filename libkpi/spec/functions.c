/*
 * The table of functions, and how calls are matched with it. A new function is an entry here and a
 * case where its role is compiled (measures.c, calls.c or retained.c).
 */
#include "spec/functions.h"
#include "spec/names.h"

#include <kpi/function.h>
#include <kpi/plan.h>

#define IN_MEASURE   (1u << KPI_ROLE_MEASURE)
#define IN_ATTRIBUTE (1u << KPI_ROLE_ATTRIBUTE)
#define IN_FORMULA   (1u << KPI_ROLE_FORMULA)
#define IN_CONDITION (1u << KPI_ROLE_CONDITION)
#define IN_DIMENSION (1u << KPI_ROLE_DIMENSION)

/* In the order of enum kpi_basis. */
static const char *const basis_words[] = {"day", "week", "month", NULL};
static const char *const match_words[] = {"start", "both", NULL};
/* In the order of enum kpi_table_mode. */
static const char *const mode_words[] = {"classic", "unbounded", "bracket", "every", NULL};
static const char *const cohort_words[] = {"first_time", "recurring", NULL};
/* In the order of the shifts by a year. */
static const char *const align_words[] = {"date", "weekday", "lunar", NULL};
static const char *const time_words[] = {"time", NULL};

#define FORMULA_ARGUMENT                                                                           \
    {                                                                                              \
        .name = "x", .kind = KPI_ARGUMENT_FORMULA                                                  \
    }
#define TIME_ARGUMENT                                                                              \
    {                                                                                              \
        .name = "time", .kind = KPI_ARGUMENT_WORD, .words = time_words                             \
    }
#define PERIODS_ARGUMENT(n_max, is_optional)                                                       \
    {                                                                                              \
        .name = "n", .kind = KPI_ARGUMENT_INTEGER, .optional = (is_optional), .min = 1,            \
        .max = (n_max)                                                                             \
    }

static const struct kpi_function functions[] = {
    {
        .id = KPI_FUNCTION_COUNT,
        .name = "count",
        .roles = IN_MEASURE | IN_ATTRIBUTE,
        .usage = "count: how many events",
    },
    {
        .id = KPI_FUNCTION_SUM,
        .name = "sum",
        .roles = IN_MEASURE | IN_ATTRIBUTE,
        .usage = "sum(field): the sum of a number field",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_MEAN,
        .name = "mean",
        .roles = IN_MEASURE,
        .usage = "mean(field): the mean of a number field over the events that have it",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_USERS,
        .name = "users",
        .roles = IN_MEASURE,
        .usage = "users or users(n): distinct users, with at least n events",
        .arguments = {{.name = "n",
                       .kind = KPI_ARGUMENT_INTEGER,
                       .optional = true,
                       .min = 1,
                       .max = KPI_LEVELS_MAX}},
    },
    {
        .id = KPI_FUNCTION_LATEST_USERS,
        .name = "latest_users",
        .roles = IN_MEASURE,
        .usage = "latest_users(condition): users whose latest event meets a condition",
        .arguments = {{.name = "condition", .kind = KPI_ARGUMENT_CONDITION}},
    },
    {
        .id = KPI_FUNCTION_LATEST_MEAN,
        .name = "latest_mean",
        .roles = IN_MEASURE,
        .usage = "latest_mean(field): the mean over users of the number in their latest event",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_FIRST_USERS,
        .name = "first_users",
        .roles = IN_MEASURE,
        .usage = "first_users(condition): users whose first event meets a condition",
        .arguments = {{.name = "condition", .kind = KPI_ARGUMENT_CONDITION}},
    },
    {
        .id = KPI_FUNCTION_FIRST_MEAN,
        .name = "first_mean",
        .roles = IN_MEASURE,
        .usage = "first_mean(field): the mean over users of the number in their first event",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_QUANTILES,
        .name = "quantiles",
        .roles = IN_MEASURE,
        .usage = "quantiles(field): all values of a number field, for quantile(), median() and "
                 "average() in formulas",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_CAPPED,
        .name = "capped",
        .roles = IN_MEASURE,
        .usage = "capped(attribute, most) or capped(attribute, most, less=ATTRIBUTE): what events "
                 "add to a user's sum, less another one, as far as that is not more than so much",
        .arguments = {{.name = "attribute", .kind = KPI_ARGUMENT_ATTRIBUTE},
                      {.name = "most", .kind = KPI_ARGUMENT_AMOUNT},
                      {.name = "less", .kind = KPI_ARGUMENT_ATTRIBUTE, .optional = true}},
    },
    {
        .id = KPI_FUNCTION_MIN,
        .name = "min",
        .roles = IN_ATTRIBUTE,
        .usage = "min(time) or min(field): when it first happened, or the least value",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_MAX,
        .name = "max",
        .roles = IN_ATTRIBUTE,
        .usage = "max(time) or max(field): when it last happened, or the greatest value",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_FIRST,
        .name = "first",
        .roles = IN_ATTRIBUTE,
        .usage = "first(field): the field's value in the earliest event",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_LAST,
        .name = "last",
        .roles = IN_ATTRIBUTE,
        .usage = "last(field): the field's value in the latest event",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD}},
    },
    {
        .id = KPI_FUNCTION_SET,
        .name = "set",
        .roles = IN_ATTRIBUTE,
        .usage = "set(field) or set(field, n): the field's values, the 8 or n that came last; for "
                 "\"campaign\" of measures",
        .arguments = {{.name = "field", .kind = KPI_ARGUMENT_FIELD},
                      {.name = "n",
                       .kind = KPI_ARGUMENT_INTEGER,
                       .optional = true,
                       .min = 2,
                       .max = KPI_SET_VALUES_MAX}},
    },
    {
        .id = KPI_FUNCTION_AGE,
        .name = "age",
        .roles = IN_CONDITION,
        .usage = "age(attribute): how long before this event the attribute's value came about",
        .arguments = {{.name = "attribute", .kind = KPI_ARGUMENT_ATTRIBUTE}},
    },
    {
        .id = KPI_FUNCTION_HOUR,
        .name = "hour",
        .roles = IN_CONDITION | IN_DIMENSION,
        .usage = "hour(time): the hour of the day at which the event was, 0 to 23",
        .arguments = {TIME_ARGUMENT},
    },
    {
        .id = KPI_FUNCTION_WEEKDAY,
        .name = "weekday",
        .roles = IN_CONDITION | IN_DIMENSION,
        .usage = "weekday(time): the day of the week, 1 (Monday) to 7 (Sunday)",
        .arguments = {TIME_ARGUMENT},
    },
    {
        .id = KPI_FUNCTION_MONTHDAY,
        .name = "monthday",
        .roles = IN_CONDITION | IN_DIMENSION,
        .usage = "monthday(time): the day of the month, 1 to 31",
        .arguments = {TIME_ARGUMENT},
    },
    {
        .id = KPI_FUNCTION_RETAINED,
        .name = "retained",
        .roles = IN_FORMULA,
        .usage =
            "retained(start=MEASURE, return=MEASURE, basis=day|week|month, at=n, "
            "match=start|both, mode=classic|unbounded|every, cohort=first_time|recurring): users "
            "seen again n periods after their first start, or their first one of each period; "
            "with mode=bracket, from=a, to=b instead of at in any of the periods a to b - 1",
        .arguments =
            {{.name = "start", .kind = KPI_ARGUMENT_MEASURE},
             {.name = "return", .kind = KPI_ARGUMENT_MEASURE},
             {.name = "basis", .kind = KPI_ARGUMENT_WORD, .words = basis_words},
             {.name = "at",
              .kind = KPI_ARGUMENT_INTEGER,
              .optional = true, /* of brackets */
              .min = 1,
              .max = 1000},
             {.name = "match", .kind = KPI_ARGUMENT_WORD, .optional = true, .words = match_words},
             {.name = "mode", .kind = KPI_ARGUMENT_WORD, .optional = true, .words = mode_words},
             {.name = "from", .kind = KPI_ARGUMENT_INTEGER, .optional = true, .max = 1000},
             {.name = "to", .kind = KPI_ARGUMENT_INTEGER, .optional = true, .max = 1000},
             {.name = "cohort",
              .kind = KPI_ARGUMENT_WORD,
              .optional = true,
              .words = cohort_words}},
    },
    {
        .id = KPI_FUNCTION_GAUGE,
        .name = "gauge",
        .roles = IN_FORMULA,
        .usage = "gauge(\"name\"): the latest value that a kpid.gauge event has given by that name",
        .arguments = {{.name = "name", .kind = KPI_ARGUMENT_STRING}},
    },
    {
        .id = KPI_FUNCTION_BUDGET,
        .name = "budget",
        .roles = IN_FORMULA,
        .usage = "budget(\"part\"): the part of that name of the campaign's budget",
        .arguments = {{.name = "part", .kind = KPI_ARGUMENT_STRING}},
    },
    {
        .id = KPI_FUNCTION_FIRST_TIME,
        .name = "first_time",
        .roles = IN_FORMULA,
        .usage = "first_time(MEASURE): users whose first event of a measure, ever, is in the scope",
        .arguments = {{.name = "measure", .kind = KPI_ARGUMENT_MEASURE}},
    },
    {
        .id = KPI_FUNCTION_USER_DAYS,
        .name = "user_days",
        .roles = IN_FORMULA,
        .usage = "user_days(MEASURE): the users of each day of the scope, added up",
        .arguments = {{.name = "measure", .kind = KPI_ARGUMENT_MEASURE}},
    },
    {
        .id = KPI_FUNCTION_QUANTILE,
        .name = "quantile",
        .roles = IN_FORMULA,
        .usage =
            "quantile(MEASURE, q): the value of a quantiles(field) measure that the share q of "
            "all do not exceed, exact up to 1,000 values, within 1 % above",
        .arguments = {{.name = "measure", .kind = KPI_ARGUMENT_MEASURE},
                      {.name = "q", .kind = KPI_ARGUMENT_SHARE}},
    },
    {
        .id = KPI_FUNCTION_MEDIAN,
        .name = "median",
        .roles = IN_FORMULA,
        .usage = "median(MEASURE): quantile(MEASURE, 0.5)",
        .arguments = {{.name = "measure", .kind = KPI_ARGUMENT_MEASURE}},
    },
    {
        .id = KPI_FUNCTION_AVERAGE,
        .name = "average",
        .roles = IN_FORMULA,
        .usage = "average(MEASURE): the exact mean of the values of a quantiles(field) measure",
        .arguments = {{.name = "measure", .kind = KPI_ARGUMENT_MEASURE}},
    },
    {
        .id = KPI_FUNCTION_TOTAL,
        .name = "total",
        .roles = IN_FORMULA,
        .usage = "total(x): x over all events, not only those of the campaign",
        .arguments = {FORMULA_ARGUMENT},
    },
    {
        .id = KPI_FUNCTION_MATURE,
        .name = "mature",
        .roles = IN_FORMULA,
        .usage = "mature(x, n): x over the days of the scope that are over for n days",
        .arguments = {FORMULA_ARGUMENT, PERIODS_ARGUMENT(400, false)},
    },
    {
        .id = KPI_FUNCTION_TRAILING,
        .name = "trailing",
        .roles = IN_FORMULA,
        .usage = "trailing(x, n): x over the n days that end with the scope",
        .arguments = {FORMULA_ARGUMENT, PERIODS_ARGUMENT(400, false)},
    },
    {
        .id = KPI_FUNCTION_CUMULATIVE,
        .name = "cumulative",
        .roles = IN_FORMULA,
        .usage = "cumulative(x): x from the campaign's start to the end of the scope",
        .arguments = {FORMULA_ARGUMENT},
    },
    {
        .id = KPI_FUNCTION_PREVIOUS,
        .name = "previous",
        .roles = IN_FORMULA,
        .usage = "previous(x) or previous(x, n): x one or n periods before, of equal length",
        .arguments = {FORMULA_ARGUMENT, PERIODS_ARGUMENT(400, true)},
    },
    {
        .id = KPI_FUNCTION_LAST_YEAR,
        .name = "last_year",
        .roles = IN_FORMULA,
        .usage = "last_year(x, align=date|weekday|lunar): x a year before, by date if not said",
        .arguments =
            {FORMULA_ARGUMENT,
             {.name = "align", .kind = KPI_ARGUMENT_WORD, .optional = true, .words = align_words}},
    },
    {
        .id = KPI_FUNCTION_BEFORE,
        .name = "before",
        .roles = IN_FORMULA,
        .usage = "before(x, n): x over the n days before the campaign",
        .arguments = {FORMULA_ARGUMENT, PERIODS_ARGUMENT(400, false)},
    },
    {
        .id = KPI_FUNCTION_OF_CAMPAIGN,
        .name = "of_campaign",
        .roles = IN_FORMULA,
        .usage = "of_campaign(x, \"id\"): x in the same part of another campaign",
        .arguments = {FORMULA_ARGUMENT, {.name = "id", .kind = KPI_ARGUMENT_STRING}},
    },
    {
        .id = KPI_FUNCTION_TRAILING_MEAN,
        .name = "trailing_mean",
        .roles = IN_FORMULA,
        .usage =
            "trailing_mean(x, n): the mean of x over those of the n periods before that have one",
        .arguments = {FORMULA_ARGUMENT, PERIODS_ARGUMENT(KPI_TRAILING_MAX, false)},
    },
    {
        .id = KPI_FUNCTION_TRAILING_MEDIAN,
        .name = "trailing_median",
        .roles = IN_FORMULA,
        .usage = "trailing_median(x, n): the median of x over those of the n periods before that "
                 "have one",
        .arguments = {FORMULA_ARGUMENT, PERIODS_ARGUMENT(KPI_TRAILING_MAX, false)},
    },
    {
        .id = KPI_FUNCTION_FALLING,
        .name = "falling",
        .roles = IN_FORMULA,
        .usage = "falling(x, n): how many times in a row, at most n, x fell from period to period, "
                 "up to the one before",
        .arguments = {FORMULA_ARGUMENT, PERIODS_ARGUMENT(KPI_TRAILING_MAX - 1, false)},
    },
    {
        .id = KPI_FUNCTION_GROWTH,
        .name = "growth",
        .roles = IN_FORMULA,
        .usage = "growth(x, base): (x - base) / |base|, undefined if the base is zero or missing",
        .arguments = {FORMULA_ARGUMENT, {.name = "base", .kind = KPI_ARGUMENT_FORMULA}},
    },
    {
        .id = KPI_FUNCTION_SQRT,
        .name = "sqrt",
        .roles = IN_FORMULA,
        .usage = "sqrt(x): the square root, undefined of what is negative",
        .arguments = {FORMULA_ARGUMENT},
    },
};

struct binder {
    const struct kpi_text *text;
    struct kpi_diag *diag;
    const struct kpi_function *function;
    struct kpi_bound *bound;
};

const struct kpi_function *kpi_function_at(unsigned index)
{
    return index < sizeof(functions) / sizeof(*functions) ? &functions[index] : NULL;
}

bool kpi_function_info(unsigned index, struct kpi_function_info *ret_info)
{
    const struct kpi_function *function = kpi_function_at(index);

    if (!function)
        return false;
    *ret_info = (struct kpi_function_info){
        .name = function->name,
        .usage = function->usage,
        .in_measures = function->roles & IN_MEASURE,
        .in_attributes = function->roles & IN_ATTRIBUTE,
        .in_formulas = function->roles & IN_FORMULA,
        .in_conditions = function->roles & IN_CONDITION,
    };
    return true;
}

enum kpi_clock kpi_function_clock(const struct kpi_function *function)
{
    switch (function->id) {
    case KPI_FUNCTION_HOUR:
        return KPI_CLOCK_HOUR;
    case KPI_FUNCTION_WEEKDAY:
        return KPI_CLOCK_WEEKDAY;
    case KPI_FUNCTION_MONTHDAY:
        return KPI_CLOCK_MONTHDAY;
    default:
        return KPI_CLOCK_COUNT;
    }
}

static bool names(struct kpi_string string, const char *word)
{
    return string.length == strlen(word) && memcmp(string.data, word, string.length) == 0;
}

static struct kpi_string word_string(const char *word)
{
    return (struct kpi_string){word, strlen(word)};
}

/* What other languages call it. */
static const char *foreign_name(struct kpi_string name)
{
    static const char *const pairs[][2] = {
        {"avg", "mean"},
        {"distinct", "users"},
        {"count_distinct", "users"},
        {"unique", "users"},
        {"uv", "users"},
        {"pv", "count"},
        {"percentile", "quantiles"},
        {"winsorise", "capped"},
        {"winsorize", "capped"},
        {"lag", "previous"},
        {"yoy", "last_year"},
        {"retention", "retained"},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); ++i) {
        if (names(name, pairs[i][0]))
            return pairs[i][1];
    }
    return NULL;
}

/* Where a function may stand. */
static const char *home(const struct kpi_function *function)
{
    return function->roles & IN_FORMULA     ? "a formula"
           : function->roles & IN_MEASURE   ? "agg of a measure"
           : function->roles & IN_ATTRIBUTE ? "agg of an attribute"
                                            : "a condition";
}

static const struct kpi_function *find(const struct kpi_text *text, const struct kpi_node *node,
                                       enum kpi_role role, struct kpi_diag *diag)
{
    static const char *const places[] = {"a measure", "an attribute", "a formula", "a condition",
                                         "a dimension"};
    const struct kpi_function *function, *elsewhere = NULL;
    const char *foreign = foreign_name(node->string);
    struct kpi_suggestion suggestion;
    struct kpi_place place;

    if (node->kind != KPI_NODE_NAME && node->kind != KPI_NODE_CALL) {
        kpi_error(diag, kpi_place_node(text, node), KPI_NO_SUGGESTION,
                  "a function is expected here, as count or sum(amount)");
        return NULL;
    }
    kpi_suggestion_init(&suggestion, node->string);
    for (unsigned i = 0; (function = kpi_function_at(i)); ++i) {
        if (function->roles & 1u << role) {
            if (names(node->string, function->name))
                return function;
            kpi_suggestion_offer(&suggestion, word_string(function->name));
            if (foreign && names(word_string(foreign), function->name))
                suggestion.best = word_string(foreign);
        } else if (names(node->string, function->name)) {
            elsewhere = function;
        }
    }
    /* the name alone: nothing is wrong with its arguments */
    place = (struct kpi_place){text->origin, node->offset, (uint32_t)node->string.length};
    if (elsewhere)
        kpi_error(diag, place, KPI_NO_SUGGESTION,
                  "the function \"%S\" cannot stand in %s; its place is %s", node->string,
                  places[role], home(elsewhere));
    else
        kpi_error(diag, place, suggestion.best, "there is no function \"%S\"", node->string);
    return NULL;
}

static unsigned n_arguments(const struct kpi_function *function)
{
    unsigned n = 0;

    while (n < KPI_ARGUMENTS_MAX && function->arguments[n].name)
        ++n;
    return n;
}

static bool bind_integer(const struct binder *binder, const struct kpi_argument *argument,
                         struct kpi_bound *bound)
{
    const struct kpi_node *node = bound->node;

    if (node->kind == KPI_NODE_NUMBER && node->number % KPI_DECIMAL_ONE == 0) {
        bound->integer = node->number / KPI_DECIMAL_ONE;
        if (bound->integer >= argument->min && bound->integer <= argument->max)
            return true;
    }
    kpi_error(binder->diag, kpi_place_node(binder->text, node), KPI_NO_SUGGESTION,
              "\"%s\" of %s() is a whole number from %d to %d", argument->name,
              binder->function->name, argument->min, argument->max);
    return false;
}

static bool bind_share(const struct binder *binder, const struct kpi_argument *argument,
                       struct kpi_bound *bound)
{
    const struct kpi_node *node = bound->node;

    if (node->kind == KPI_NODE_NUMBER && node->number > 0 && node->number < KPI_DECIMAL_ONE) {
        bound->integer = node->number;
        return true;
    }
    kpi_error(binder->diag, kpi_place_node(binder->text, node), KPI_NO_SUGGESTION,
              "\"%s\" of %s() is a number between 0 and 1, both left out", argument->name,
              binder->function->name);
    return false;
}

static bool bind_amount(const struct binder *binder, const struct kpi_argument *argument,
                        struct kpi_bound *bound)
{
    const struct kpi_node *node = bound->node;

    if (node->kind == KPI_NODE_NUMBER && node->number > 0) {
        bound->integer = node->number;
        return true;
    }
    kpi_error(binder->diag, kpi_place_node(binder->text, node), KPI_NO_SUGGESTION,
              "\"%s\" of %s() is a number above 0", argument->name, binder->function->name);
    return false;
}

static bool bind_word(const struct binder *binder, const struct kpi_argument *argument,
                      struct kpi_bound *bound)
{
    const struct kpi_node *node = bound->node;
    struct kpi_suggestion suggestion;
    char buffer[128];
    struct kpi_writer list = KPI_WRITER_ON(buffer);

    kpi_suggestion_init(&suggestion, node->string);
    for (unsigned i = 0; argument->words[i]; ++i) {
        if (node->kind == KPI_NODE_NAME && names(node->string, argument->words[i])) {
            bound->integer = i;
            return true;
        }
        if (node->kind == KPI_NODE_NAME)
            kpi_suggestion_offer(&suggestion, word_string(argument->words[i]));
        kpi_writer_format(&list, i == 0 ? "%s" : ", %s", argument->words[i]);
    }
    kpi_error(binder->diag, kpi_place_node(binder->text, node), suggestion.best,
              "\"%s\" of %s() is one of %S", argument->name, binder->function->name,
              kpi_writer_string(&list));
    return false;
}

static bool bind_value(const struct binder *binder, const struct kpi_argument *argument,
                       struct kpi_bound *bound)
{
    const struct kpi_node *node = bound->node;
    const char *expected;

    switch (argument->kind) {
    case KPI_ARGUMENT_INTEGER:
        return bind_integer(binder, argument, bound);
    case KPI_ARGUMENT_SHARE:
        return bind_share(binder, argument, bound);
    case KPI_ARGUMENT_AMOUNT:
        return bind_amount(binder, argument, bound);
    case KPI_ARGUMENT_WORD:
        return bind_word(binder, argument, bound);
    case KPI_ARGUMENT_CONDITION:
    case KPI_ARGUMENT_FORMULA:
        return true;
    case KPI_ARGUMENT_STRING:
        if (node->kind == KPI_NODE_STRING)
            return true;
        kpi_error(binder->diag, kpi_place_node(binder->text, node), KPI_NO_SUGGESTION,
                  "\"%s\" of %s() stands in quotes", argument->name, binder->function->name);
        return false;
    default:
        if (node->kind == KPI_NODE_NAME)
            return true;
        expected = argument->kind == KPI_ARGUMENT_FIELD       ? "field"
                   : argument->kind == KPI_ARGUMENT_ATTRIBUTE ? "attribute"
                                                              : "measure";
        kpi_error(binder->diag, kpi_place_node(binder->text, node), KPI_NO_SUGGESTION,
                  "\"%s\" of %s() is the name of %s %s", argument->name, binder->function->name,
                  expected[0] == 'a' ? "an" : "a", expected);
        return false;
    }
}

/* The parameter that an argument is for, or KPI_ARGUMENTS_MAX with an error reported. */
static unsigned parameter_of(const struct binder *binder, const struct kpi_node *argument,
                             unsigned position)
{
    const struct kpi_function *function = binder->function;
    unsigned n = n_arguments(function);
    struct kpi_suggestion suggestion;

    if (argument->label.length == 0) {
        if (position < n)
            return position;
        kpi_error(binder->diag, kpi_place_node(binder->text, argument), KPI_NO_SUGGESTION,
                  "one argument too many; %s", function->usage);
        return KPI_ARGUMENTS_MAX;
    }
    kpi_suggestion_init(&suggestion, argument->label);
    for (unsigned i = 0; i < n; ++i) {
        if (names(argument->label, function->arguments[i].name))
            return i;
        kpi_suggestion_offer(&suggestion, word_string(function->arguments[i].name));
    }
    kpi_error(binder->diag,
              (struct kpi_place){binder->text->origin, argument->label_offset,
                                 (uint32_t)argument->label.length},
              suggestion.best, "there is no argument \"%S\"; %s", argument->label, function->usage);
    return KPI_ARGUMENTS_MAX;
}

static bool bind_all(const struct binder *binder, const struct kpi_node *node)
{
    const struct kpi_function *function = binder->function;
    unsigned position = 0;
    bool good = true;

    for (const struct kpi_node *argument = node->first; argument; argument = argument->next) {
        unsigned i = parameter_of(binder, argument, position++);

        if (i == KPI_ARGUMENTS_MAX)
            return false;
        if (binder->bound[i].node) {
            kpi_error(binder->diag, kpi_place_node(binder->text, argument), KPI_NO_SUGGESTION,
                      "the argument \"%s\" is given twice", function->arguments[i].name);
            return false;
        }
        binder->bound[i].node = argument;
        good &= bind_value(binder, &function->arguments[i], &binder->bound[i]);
    }
    for (unsigned i = 0; i < n_arguments(function); ++i) {
        if (!binder->bound[i].node && !function->arguments[i].optional) {
            kpi_error(binder->diag, kpi_place_node(binder->text, node), KPI_NO_SUGGESTION,
                      "the argument \"%s\" is missing; %s", function->arguments[i].name,
                      function->usage);
            return false;
        }
    }
    return good;
}

const struct kpi_function *kpi_function_bind(const struct kpi_text *text,
                                             const struct kpi_node *node, enum kpi_role role,
                                             struct kpi_diag *diag,
                                             struct kpi_bound ret_bound[KPI_ARGUMENTS_MAX])
{
    struct binder binder = {.text = text, .diag = diag, .bound = ret_bound};

    binder.function = find(text, node, role, diag);
    if (!binder.function)
        return NULL;
    memset(ret_bound, 0, KPI_ARGUMENTS_MAX * sizeof(*ret_bound));
    return bind_all(&binder, node) ? binder.function : NULL;
}
