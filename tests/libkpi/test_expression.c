/*
 * Claims about the expression language: what compiles, and of what does not, the message, where it
 * points and what it suggests; also for definitions as a whole.
 */
#include "spec_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct fixture f;

/* The place of a text in definitions that are otherwise right. */
enum place {
    WHERE,
    AGGREGATE, /* of a measure */
    ATTRIBUTE, /* aggregate of an attribute */
    FORMULA,
    VALUE,
};

static int setup(void **state)
{
    fixture_init(&f);
    return 0;
}

static int compile(enum place place, const char *text, struct kpi_plan **ret_plan)
{
    fixture_init(&f);
    fixture_attribute(&f, "orders", "count", "type == 'purchase'");
    fixture_attribute(&f, "first_seen", "min(time)", "");
    fixture_attribute(&f, "touch", "last(channel)", "channel == 'x'");
    fixture_attribute(&f, "extra", place == ATTRIBUTE ? text : "count", "");
    fixture_measure(&f, "buyers", "users", "type == 'purchase' and score > 1 and vip");
    fixture_measure(&f, "repeaters", "users(2)", "type == 'purchase'");
    fixture_measure(&f, "revenue", "sum(amount)", "type == 'purchase'");
    fixture_measure(&f, "extra", place == AGGREGATE ? text : "count", place == WHERE ? text : "");
    fixture_kpi(&f, "base",
                place == AGGREGATE && strncmp(text, "quantiles", 9) == 0
                    ? "revenue / buyers + repeaters + median(extra)"
                    : "revenue / buyers + repeaters + extra",
                KPI_UNIT_COUNT);
    fixture_kpi(&f, "k", place == FORMULA ? text : "buyers", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    (void)fixture_target(&f, "k", place == VALUE ? text : "1");
    return fixture_compile(&f, ret_plan);
}

static void what_must_compile(void **state)
{
    static const struct {
        enum place place;
        const char *text;
    } table[] = {
        {WHERE, "type=='a'"},
        {WHERE, "\ttype\n==\r\n 'a' "},
        {WHERE, "type == \"a \\\" b \\\\ c \\' d\""},
        {WHERE, "type == 'ä 活动 😀'"},
        {WHERE, "渠道 == '微信'"},
        {WHERE, "_x1 == 'a'"},
        {WHERE, "android == 'a' and ornate == 'b' and nothing == 'c' and inside == 'd'"},
        {WHERE, "not type in ['a']"},
        {WHERE, "type not in ['a', 'b',]"},
        {WHERE, "amount > 0.000001"},
        {WHERE, "amount < 9223372036854"},
        {WHERE, "amount > 00012.500000000"},
        {WHERE, "amount > 5 %"},
        {WHERE, "amount > 0.0001%"},
        {WHERE, "amount > -3 and amount > --3"},
        {WHERE, "time - first_seen < 1.5h"},
        {WHERE, "time - first_seen < 250ms + 1s + 1m + 1h + 1d + 1w"},
        {WHERE, "touch == channel"},
        {WHERE, "hour(time) < 24 and weekday(time) in [1, 7] and monthday(time = time) != 31"},
        {WHERE, "hour > 3 and hour(time) == score"},
        {WHERE, "age(first_seen) > 90d and age(touch) <= 1.5h"},
        {WHERE, "props.sku == 'A1' and props.kol.tier > 2 and 属性.城市 != '上海'"},
        {WHERE, "score in [-1, 2 + 3, 50%]"},
        {WHERE, "((((type == 'a'))))"},
        {AGGREGATE, "count"},
        {AGGREGATE, "count()"},
        {AGGREGATE, "users"},
        {AGGREGATE, "users(1)"},
        {AGGREGATE, "users(n=16)"},
        {AGGREGATE, "sum(amount)"},
        {AGGREGATE, "sum(field=score)"},
        {AGGREGATE, "mean(score)"},
        {AGGREGATE, "latest_mean(score)"},
        {AGGREGATE, "quantiles(amount)"},
        {AGGREGATE, "latest_users(score >= 9 and vip)"},
        {AGGREGATE, "first_mean(score)"},
        {AGGREGATE, "first_users(score >= 9 and vip)"},
        {ATTRIBUTE, "count"},
        {ATTRIBUTE, "sum(score)"},
        {ATTRIBUTE, "min(time)"},
        {ATTRIBUTE, "max(time)"},
        {ATTRIBUTE, "last(campaign)"},
        {ATTRIBUTE, "last(amount)"},
        {ATTRIBUTE, "first(channel)"},
        {ATTRIBUTE, "set(channel)"},
        {ATTRIBUTE, "set(campaign, n=32)"},
        {ATTRIBUTE, "first(time)"},
        {ATTRIBUTE, "last(time)"},
        {ATTRIBUTE, "min(score)"},
        {ATTRIBUTE, "max(amount)"},
        {FORMULA, "1"},
        {FORMULA, "buyers"},
        {FORMULA, "-buyers * 100 / audience"},
        {FORMULA, "revenue / budget - 1"},
        {FORMULA, "retained(start=buyers, return=buyers, basis=day, at=1)"},
        {FORMULA, "100 * retained(buyers, buyers, at=3, basis=month, match=both) / 2"},
        {FORMULA, "retained(buyers, buyers, day, 7, mode=unbounded)"},
        {FORMULA, "retained(buyers, buyers, mode=every, basis=week, at=1000)"},
        {FORMULA, "retained(buyers, buyers, month, mode=bracket, from=0, to=1)"},
        {FORMULA, "retained(buyers, buyers, day, 1, cohort=recurring, mode=unbounded)"},
        {FORMULA, "retained(buyers, buyers, day, to=1000, from=999, match=both)"},
        {FORMULA, "growth(revenue, previous(revenue))"},
        {FORMULA, "80% of gauge(\"行业均值\") - previous(gauge('x'), 2)"},
        {FORMULA, "growth(x=base, base=last_year(base, align=lunar)) - 1"},
        {FORMULA, "total(revenue) / before(total(revenue), n=28) * 28 / days"},
        {FORMULA, "trailing_mean(buyers / revenue, 7) + trailing_median(base, n=60)"},
        {FORMULA, "falling(buyers / revenue, 6) - falling(total(base), n=59)"},
        {FORMULA, "cumulative(first_time(buyers)) / of_campaign(base, \"a\")"},
        {FORMULA, "user_days(buyers) / buyers"},
        {FORMULA, "100 * sqrt(buyers / revenue - 1) / sqrt(4)"},
        {FORMULA, "mature(buyers, 30) / total(mature(first_time(buyers), n=30))"},
        {FORMULA, "trailing_mean(buyers / trailing(total(buyers), 30), 30)"},
        {FORMULA, "of_campaign(mature(buyers, 7), \"a\") / mature(previous(buyers), 7)"},
        {FORMULA, "base"},
        {VALUE, "65%"},
        {VALUE, "-3.5"},
        {VALUE, "50% of 40000"},
        {VALUE, "0.5*audience / (budget + 1)"},
        {VALUE, "0.8 * gauge('industry')"},
        {VALUE, "110% * last_year(revenue) / days"},
        {VALUE, "1.5 * of_campaign(base, 'a')"},
        {VALUE, "0 * buyers"},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_plan *plan = NULL;

        if (compile(table[i].place, table[i].text, &plan) != 0)
            fail_msg("%s: %s", table[i].text, f.recorder.messages[0].text);
        for (unsigned k = 0; k < f.recorder.n_messages; ++k) /* they are there for some rows only */
            assert_non_null(strstr(f.recorder.messages[k].text, "nothing asks for"));
        kpi_plan_unref(plan);
        assert_int_equal(f.mem.bytes, 0);
    }
}

struct refused {
    enum place place;
    const char *text;
    uint32_t offset, length;
    const char *message; /* a part of it */
    const char *suggest;
};

static void check_refused(const struct refused *table, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        const struct refused *row = &table[i];
        struct kpi_plan *plan = NULL;
        unsigned at = 0;

        if (compile(row->place, row->text, &plan) != KPI_PLAN_E_INVALID)
            fail_msg("compiles: %s", row->text);
        assert_null(plan);
        assert_int_equal(f.mem.bytes, 0);
        while (f.recorder.messages[at].severity != KPI_SEVERITY_ERROR)
            ++at;
        if (!strstr(f.recorder.messages[at].text, row->message) ||
            f.recorder.messages[at].offset != row->offset ||
            f.recorder.messages[at].length != row->length ||
            strcmp(f.recorder.messages[at].suggest, row->suggest ? row->suggest : "") != 0)
            fail_msg("%s: %u, %u: %s (%s)", row->text, f.recorder.messages[at].offset,
                     f.recorder.messages[at].length, f.recorder.messages[at].text,
                     f.recorder.messages[at].suggest);
        assert_int_equal(f.recorder.diag.n_errors, 1);
    }
}

static void what_is_no_expression(void **state)
{
    static const struct refused table[] = {
        {WHERE, " ", 1, 0, "is missing at the end", NULL},
        {WHERE, "type ==", 7, 0, "is missing at the end", NULL},
        {WHERE, "type == 'a' and", 15, 0, "is missing at the end", NULL},
        {WHERE, "type == 'a' 'b'", 12, 3, "an operator, or the end, is expected", NULL},
        {WHERE, "type = 'a'", 5, 1, "is expected here", "=="},
        {WHERE, "type == 'a' && vip", 12, 2, "this sign is unknown", "and"},
        {WHERE, "type == 'a' || vip", 12, 2, "this sign is unknown", "or"},
        {WHERE, "!vip", 0, 1, "this sign is unknown", "not"},
        {WHERE, "type == 'a", 8, 2, "not closed", NULL},
        {WHERE, "type == 'a\n'", 8, 3, "control character", NULL},
        {WHERE, "type == 'a\\n'", 8, 3, "backslash", NULL},
        {WHERE, "type == “a”", 8, 3, "full-width", "\""},
        {WHERE, "type ＝ 'a'", 5, 3, "full-width", "="},
        {WHERE, "vip（1", 3, 3, "full-width", "("},
        {WHERE, "score > 3x", 8, 2, "unit of time", NULL},
        {WHERE, "score > 1e6", 8, 3, "unit of time", NULL},
        {WHERE, "score > 5.", 8, 2, "digits are missing", NULL},
        {WHERE, "score > .5", 8, 1, "this character is unknown", NULL},
        {WHERE, "score > 0.1234567", 8, 9, "more than 6 decimals", NULL},
        {WHERE, "score > 0.00001%", 8, 8, "more than 6 decimals", NULL},
        {WHERE, "score > 9223372036855", 8, 13, "too large", NULL},
        {WHERE, "score > 99999999999999999999999", 8, 23, "too large", NULL},
        {WHERE, "score > 3 # no comment", 10, 1, "this character is unknown", NULL},
        {WHERE, "(type == 'a'", 12, 0, "\")\" is missing", NULL},
        {WHERE, "type == 'a')", 11, 1, "is expected here", NULL},
        {WHERE, "type in ['a' 'b']", 13, 3, "a comma or \"]\"", NULL},
        {WHERE, "type in ['a'", 12, 0, "a comma or \"]\"", NULL},
        {WHERE, "type not 'a'", 9, 3, "\"in\" is expected", NULL},
        {WHERE, "1 < score < 3", 10, 1, "comparisons do not chain", NULL},
        {WHERE, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa == 1", 0, 65,
         "at most 64 bytes", NULL},
        {AGGREGATE, "sum(amount", 10, 0, "a comma or \")\"", NULL},
        {AGGREGATE, "", 0, 0, "is missing at the end", NULL},
        {FORMULA, "", 0, 0, "is missing at the end", NULL},
        {VALUE, "", 0, 0, "is missing at the end", NULL},
    };

    check_refused(table, COUNT_OF(table));
}

static void what_has_no_type(void **state)
{
    static const struct refused table[] = {
        {WHERE, "type", 0, 4, "a condition is expected here, not a string", NULL},
        {WHERE, "3", 0, 1, "a condition is expected here, not a number", NULL},
        {WHERE, "orders", 0, 6, "a condition is expected here, not a number", NULL},
        {WHERE, "type == 3", 8, 1,
         "a number cannot be compared with \"type\", which always is a string; write it in quotes",
         NULL},
        {WHERE, "3 == type", 0, 1, "a number cannot be compared with \"type\", which", NULL},
        {WHERE, "type > 'a'", 7, 3, "a string has no order", NULL},
        {WHERE, "vip > true", 6, 4, "true or false has no order", NULL},
        {WHERE, "vip == vip", 7, 3, "true or false is expected", NULL},
        {WHERE, "type in 'a'", 8, 3, "a list is expected", NULL},
        {WHERE, "type in active", 8, 6, "a list is expected", NULL},
        {WHERE, "type == active_types", 8, 12, "active_types is a list", NULL},
        {WHERE, "type == ['a']", 8, 5, "a list stands only behind", NULL},
        {WHERE, "type in []", 8, 2, "nothing is in an empty list", NULL},
        {WHERE, "type in ['a', 3]", 14, 1, "a number cannot stand in a list that begins", NULL},
        {WHERE, "type in [channel]", 9, 7, "as they are", NULL},
        {WHERE, "type in [true]", 9, 4, "as they are", NULL},
        {WHERE, "'a' in ['a']", 0, 3, "a literal up", NULL},
        {WHERE, "1 < 2", 0, 5, "two literals", NULL},
        {WHERE, "type + 1 > 3", 0, 4, "a string cannot be reckoned with", NULL},
        {WHERE, "score + 'a' > 3", 8, 3, "a string cannot be reckoned with", NULL},
        {WHERE, "-type > 3", 1, 4, "a string cannot be negative", NULL},
        {WHERE, "score > 7d", 8, 2,
         "a duration cannot be compared with \"score\", which is a number in measure \"buyers\"",
         NULL},
        {WHERE, "time > 7d", 7, 2, "with \"time\", which always is a time", NULL},
        {WHERE, "time + time > time", 7, 4, "a time cannot be reckoned with", NULL},
        {WHERE, "time - first_seen + 1 > 1d", 20, 1, "a number cannot be reckoned with", NULL},
        {WHERE, "score > 1 / 0", 12, 1, "divides by zero", NULL},
        {WHERE, "score > 9000000000000 * 9000000000000", 24, 13, "leaves the range", NULL},
        {WHERE, "score > (vip and vip)", 9, 11, "not a condition", NULL},
        {WHERE, "count(type) > 1", 0, 5, "cannot stand in a condition", NULL},
        {WHERE, "hour > 24 and hour(time) == 24", 14, 16, "hour(time) is a whole number, 0 to 23",
         NULL},
        {WHERE, "0 == weekday(time)", 0, 18, "weekday(time) is a whole number, 1 (Monday) to 7",
         NULL},
        {WHERE, "hour(time) != 1.5", 0, 17, "hour(time) is a whole number", NULL},
        {WHERE, "monthday(time) not in [1, 15, 32]", 22, 11,
         "monthday(time) is a whole number, 1 to 31", NULL},
        {WHERE, "hour(first_seen) == 1", 5, 10, "\"time\" of hour() is one of time", NULL},
        {WHERE, "hour() == 1", 0, 6, "the argument \"time\" is missing; hour(time): the hour",
         NULL},
        {WHERE, "hour(time)", 0, 10, "a condition is expected here, not a number", NULL},
        {WHERE, "weekday(time) == 'Sunday'", 17, 8, "a string cannot be compared with a number",
         NULL},
        {WHERE, "age(orders) > 1d", 4, 6, "age() takes an attribute", NULL},
        {WHERE, "age(channel) > 1d", 4, 7, "age() takes an attribute", NULL},
        {WHERE, "age(first_seen) > 1", 18, 1,
         "a number cannot be compared with a duration; write it with a unit, as in 7d", NULL},
        {WHERE, "score == 'high'", 9, 6,
         "a string cannot be compared with \"score\", which is a number in measure \"buyers\"",
         NULL},
        {WHERE, "amount == '5'", 10, 3,
         "with \"amount\", which always is a number; write 5 without quotes", NULL},
        {WHERE, "amount == 'high'", 10, 6, "\"amount\", which always is a number", NULL},
        {WHERE, "'5' < amount", 0, 3, "\"amount\", which always is a number", NULL},
        {WHERE, "vip == 'true'", 7, 6, "which is true or false in measure \"buyers\"; write true",
         NULL},
        {WHERE, "orders == '3'", 10, 3, "\"orders\", which is a number; write 3 without quotes",
         NULL},
        {WHERE, "touch == 3", 9, 1, "which is a string in attribute \"touch\"; write it in quotes",
         NULL},
        {WHERE, "amount + 1 > channel", 0, 10, "a number cannot be compared with \"channel\"",
         NULL},
        {WHERE, "amount == channel", 10, 7, "a string cannot be compared with \"amount\"", NULL},
        {WHERE, "3 > campaign", 0, 1, "with \"campaign\", which always is a string", NULL},
        {WHERE, "channel", 0, 7, "as true or false here, but as a string in attribute \"touch\"",
         NULL},
        {WHERE, "score in ['a']", 10, 3, "which is a number in measure \"buyers\"", NULL},
        {WHERE, "user == 'u'", 0, 4, "belongs to every event", NULL},
        {WHERE, "id == 'u'", 0, 2, "belongs to every event", NULL},
        {WHERE, "currency == 'EUR'", 0, 8, "belongs to every event", NULL},
        {AGGREGATE, "sum(channel)", 11, 3, /* of "channel == 'x'" in the attribute */
         "with \"channel\", which is a number in measure \"extra\"", NULL},
        {FORMULA, "buyers > 1", 0, 10, "not a condition", NULL},
        {FORMULA, "buyers + 'a'", 9, 3, "a number is expected", NULL},
        {FORMULA, "buyers + 7d", 9, 2, "a duration cannot", NULL},
        {FORMULA, "buyers + [1]", 9, 3, "a number is expected", NULL},
        {VALUE, "1 < 2", 0, 5, "not a condition", NULL},
        {VALUE, "1 / 0", 0, 5, "this has no value", NULL},
        {VALUE, "0", 0, 1, "a deviation relative to 0 has no width", NULL},
    };

    check_refused(table, COUNT_OF(table));
}

static void what_is_unknown(void **state)
{
    static const struct refused table[] = {
        {AGGREGATE, "cuont", 0, 5, "there is no function \"cuont\"", "count"},
        {AGGREGATE, "user", 0, 4, "there is no function", "users"},
        {AGGREGATE, "kurtosis(amount)", 0, 8, "there is no function", NULL},
        {AGGREGATE, "count_distinct(user)", 0, 14, "there is no function", "users"},
        {AGGREGATE, "last(amount)", 0, 4,
         "cannot stand in a measure; its place is agg of an attribute", NULL},
        {AGGREGATE, "retained(buyers)", 0, 8, "cannot stand in a measure; its place is a formula",
         NULL},
        {AGGREGATE, "3", 0, 1, "a function is expected", NULL},
        {AGGREGATE, "sum", 0, 3, "the argument \"field\" is missing", NULL},
        {AGGREGATE, "sum(amount, score)", 12, 5, "one argument too many", NULL},
        {AGGREGATE, "sum(feild=amount)", 4, 5, "there is no argument \"feild\"", "field"},
        {AGGREGATE, "sum(amount, field=amount)", 18, 6, "given twice", NULL},
        {AGGREGATE, "sum(3)", 4, 1, "the name of a field", NULL},
        {AGGREGATE, "sum(time)", 4, 4, "belongs to every event", NULL},
        {AGGREGATE, "users(0)", 6, 1, "a whole number from 1 to 16", NULL},
        {AGGREGATE, "users(17)", 6, 2, "a whole number from 1 to 16", NULL},
        {AGGREGATE, "users(1.5)", 6, 3, "a whole number from 1 to 16", NULL},
        {AGGREGATE, "latest_users(score)", 13, 5, "as true or false here", NULL},
        {AGGREGATE, "first_user(score > 3)", 0, 10, "there is no function", "first_users"},
        {AGGREGATE, "first_users(score)", 12, 5, "as true or false here", NULL},
        {AGGREGATE, "first_mean", 0, 10, "the argument \"field\" is missing", NULL},
        {AGGREGATE, "first_mean(time)", 11, 4, "belongs to every event", NULL},
        {ATTRIBUTE, "sum(time)", 4, 4, "belongs to every event", NULL},
        {ATTRIBUTE, "first(user)", 6, 4, "belongs to every event", NULL},
        {ATTRIBUTE, "users", 0, 5, "cannot stand in an attribute", NULL},
        {WHERE, "minute(time) == 3", 0, 6, "there is no function \"minute\"", NULL},
        {FORMULA, "hour(time)", 0, 4, "cannot stand in a formula; its place is a condition", NULL},
        {ATTRIBUTE, "set(campaign, 1)", 14, 1, "a whole number from 2 to 32", NULL},
        {ATTRIBUTE, "set(campaign, 33)", 14, 2, "a whole number from 2 to 32", NULL},
        {ATTRIBUTE, "set(amount)", 4, 6, "\"amount\" is used as a string", NULL},
        {AGGREGATE, "set(campaign)", 0, 3, "its place is agg of an attribute", NULL},
        {AGGREGATE, "capped(orders)", 0, 14, "the argument \"most\" is missing", NULL},
        {AGGREGATE, "capped(order, 5)", 7, 5, "there is no attribute \"order\"", "orders"},
        {AGGREGATE, "capped(orders, 5)", 7, 6, "aggregate sum() that are never reset", NULL},
        {AGGREGATE, "capped(orders, 0)", 15, 1, "\"most\" of capped() is a number above 0", NULL},
        {AGGREGATE, "capped(orders, -2)", 15, 2, "is a number above 0", NULL},
        {AGGREGATE, "winsorize(orders, 5)", 0, 9, "there is no function", "capped"},
        {FORMULA, "buyer / 2", 0, 5, "there is no measure or KPI \"buyer\"", "buyers"},
        {FORMULA, "byuers", 0, 6, "there is no measure", "buyers"},
        {FORMULA, "2 * audeince", 4, 8, "there is no measure", "audience"},
        {FORMULA, "zzzzzzzz", 0, 8, "there is no measure", NULL},
        {FORMULA, "bose * 2", 0, 4, "there is no measure or KPI", "base"},
        {FORMULA, "orders", 0, 6, "is an attribute", NULL},
        {FORMULA, "sum(amount)", 0, 3, "cannot stand in a formula; its place is agg of a measure",
         NULL},
        {FORMULA, "amount / buyers", 0, 6, "\"amount\" is a field of events", NULL},
        {FORMULA, "buyers / 'buyers'", 9, 8, "names stand in formulas without quotes", NULL},
        {FORMULA, "retained(buyers, buyers, day)", 0, 29, "\"at\" is missing", NULL},
        {FORMULA, "retained(buyers, buyers, dya, 1)", 25, 3, "is one of day, week, month", "day"},
        {FORMULA, "retained(buyers, buyers, day, 0)", 30, 1, "a whole number from 1", NULL},
        {FORMULA, "retained(buyers, buyers, day, 1, mode=rolling)", 38, 7,
         "is one of classic, unbounded, bracket, every", NULL},
        {FORMULA, "retained(buyers, buyers, day, 1, mode=evrey)", 38, 5, "is one of", "every"},
        {FORMULA, "retained(buyers, buyers, day, 1, cohort=first_ever)", 40, 10,
         "is one of first_time, recurring", NULL},
        {FORMULA, "retained(buyers, buyers, day, mode=every)", 0, 41, "\"at\" is missing", NULL},
        {FORMULA, "retained(buyers, buyers, day, mode=bracket, at=1)", 47, 1,
         "with mode=bracket, \"from\" and \"to\" say", NULL},
        {FORMULA, "retained(buyers, buyers, day, 1, from=0, to=2)", 30, 1, "\"from\" and \"to\"",
         NULL},
        {FORMULA, "retained(buyers, buyers, day, mode=bracket)", 0, 43, "needs \"from\" and \"to\"",
         NULL},
        {FORMULA, "retained(buyers, buyers, day, from=1)", 0, 37, "needs \"from\" and \"to\"",
         NULL},
        {FORMULA, "retained(buyers, buyers, day, from=7, to=7)", 41, 1, "holds no period", NULL},
        {FORMULA, "retained(buyers, buyers, day, to=6, from=7)", 33, 1, "holds no period", NULL},
        {FORMULA, "retained(buyers, buyers, day, from=-1, to=7)", 35, 2, "number from 0 to 1000",
         NULL},
        {FORMULA, "retained(buyers, buyers, day, 1, mode=classic, to=3)", 50, 1,
         "for mode=bracket only", NULL},
        {FORMULA, "retained(buyers, buyers, day, 1, mode=unbounded, from=1, to=3)", 54, 1,
         "for mode=bracket only", NULL},
        {FORMULA, "retained(repeaters, buyers, day, 1)", 9, 9, "aggregate users", NULL},
        {FORMULA, "retained(buyers, revenue, day, 1)", 17, 7, "aggregate users", NULL},
        {FORMULA, "retained(buyer, buyers, day, 1)", 9, 5, "there is no measure", "buyers"},
        {FORMULA, "retained(1, buyers, day, 1)", 9, 1, "the name of a measure", NULL},
        {FORMULA, "gauge(cac)", 6, 3, "stands in quotes", NULL},
        {FORMULA, "mean(amount)", 0, 4, "cannot stand in a formula", NULL},
        {FORMULA, "k + 1", 0, 1, "the formula of this KPI names itself", NULL},
        {FORMULA, "1 + previous(k)", 13, 1, "the formula of this KPI names itself", NULL},
        {FORMULA, "previous(previous(buyers))", 9, 16, "cannot stand inside another one", NULL},
        {FORMULA, "previous(total(trailing_mean(buyers, 2)))", 15, 24,
         "cannot stand inside another one", NULL},
        {FORMULA, "previous(buyers, 0)", 17, 1, "a whole number from 1 to 400", NULL},
        {FORMULA, "falling(buyers, 60)", 16, 2, "a whole number from 1 to 59", NULL},
        {FORMULA, "falling(previous(buyers), 2)", 8, 16, "cannot stand inside another one", NULL},
        {FORMULA, "falling(buyers)", 0, 15, "the argument \"n\" is missing", NULL},
        {FORMULA, "trailing_mean(buyers, 61)", 22, 2, "a whole number from 1 to 60", NULL},
        {FORMULA, "last_year(buyers, align=moon)", 24, 4, "is one of date, weekday, lunar", NULL},
        {FORMULA, "of_campaign(buyers, \"b\")", 20, 3, "there is no campaign \"b\"", NULL},
        {FORMULA, "of_campaign(buyers, a)", 20, 1, "stands in quotes", NULL},
        {FORMULA, "first_time(revenue)", 11, 7, "first_time() takes measures", NULL},
        {FORMULA, "mature(buyers / mature(buyers, 2), 3)", 16, 17,
         "mature() cannot stand inside another one", NULL},
        {FORMULA, "trailing(buyers / trailing(buyers, 2), 3)", 18, 19,
         "trailing() cannot stand inside another one", NULL},
        {FORMULA, "mature(buyers, 0)", 15, 1, "a whole number from 1 to 400", NULL},
        {FORMULA, "user_days(revenue)", 10, 7, "user_days() takes measures", NULL},
        {FORMULA, "growth(buyers)", 0, 14, "the argument \"base\" is missing", NULL},
        {FORMULA, "previous(type == \"a\")", 9, 11, "not a condition", NULL},
        {FORMULA, "buyers / dayz", 9, 4, "there is no measure or KPI \"dayz\"", "days"},
        {FORMULA, "previous(retaned(buyers))", 9, 7, "there is no function \"retaned\"",
         "retained"},
        {VALUE, "budgte", 0, 6, "there is no measure or KPI \"budgte\"", "budget"},
        {VALUE, "0.9 * byers", 6, 5, "there is no measure or KPI \"byers\"", "buyers"},
        {VALUE, "count()", 0, 5, "cannot stand in a formula", NULL},
        {VALUE, "0.8 * gauge(5)", 12, 1, "", NULL},
        {VALUE, "of_campaign(k, 'b')", 15, 3, "there is no campaign \"b\"", NULL},
        {VALUE, "buyers + 'a'", 9, 3, "a number is expected", NULL},
        {VALUE, "orders", 0, 6, "is an attribute", NULL},
    };

    check_refused(table, COUNT_OF(table));
}

static void bounds_of_texts(void **state)
{
    char text[KPI_EXPRESSION_BYTES_MAX + 2];
    struct kpi_plan *plan = NULL;

    memset(text, ' ', sizeof(text));
    memcpy(text, "vip", 3);
    text[KPI_EXPRESSION_BYTES_MAX] = '\0';
    assert_int_equal(compile(WHERE, text, &plan), 0);
    kpi_plan_unref(plan);
    text[KPI_EXPRESSION_BYTES_MAX] = ' ';
    text[KPI_EXPRESSION_BYTES_MAX + 1] = '\0';
    assert_int_equal(compile(WHERE, text, &plan), KPI_PLAN_E_INVALID);
    assert_non_null(strstr(f.recorder.messages[0].text, "longer than 4096 bytes"));

    for (int unary = 0; unary < 3; ++unary) {
        static const char *const openings[] = {"(", "not ", "-"};
        static const char *const inner[] = {"vip", "vip", "1"};

        for (int depth = KPI_EXPRESSION_DEPTH_MAX; depth <= KPI_EXPRESSION_DEPTH_MAX + 1; ++depth) {
            size_t length = 0;

            for (int i = 0; i < depth; ++i)
                length +=
                    (size_t)snprintf(text + length, sizeof(text) - length, "%s", openings[unary]);
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s", inner[unary]);
            for (int i = 0; unary == 0 && i < depth; ++i)
                text[length++] = ')';
            text[length] = '\0';
            if (depth == KPI_EXPRESSION_DEPTH_MAX) {
                assert_int_equal(compile(unary == 2 ? VALUE : WHERE, text, &plan), 0);
                kpi_plan_unref(plan);
            } else {
                assert_int_equal(compile(unary == 2 ? VALUE : WHERE, text, &plan),
                                 KPI_PLAN_E_INVALID);
                assert_non_null(strstr(f.recorder.messages[0].text, "nested deeper than 32"));
            }
        }
    }
}

/* Expects exactly one error with this in its text. */
static void must_fail(const char *message)
{
    struct kpi_plan *plan = NULL;

    assert_int_equal(fixture_compile(&f, &plan), KPI_PLAN_E_INVALID);
    for (unsigned i = 0; i < f.recorder.n_messages; ++i) {
        if (f.recorder.messages[i].severity == KPI_SEVERITY_ERROR) {
            if (!strstr(f.recorder.messages[i].text, message))
                fail_msg("%s, not: %s", message, f.recorder.messages[i].text);
            assert_int_equal(f.recorder.diag.n_errors, 1);
            return;
        }
    }
    fail_msg("no error: %s", message);
}

static void names_are_checked(void **state)
{
    fixture_measure(&f, "m", "count", "");
    fixture_measure(&f, "m", "count", "");
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    must_fail("there are two measures \"m\"");
    f.measures[1].name = TEXT("3m");
    must_fail("\"3m\" cannot name a measure");
    f.measures[1].name = TEXT("in");
    must_fail("\"in\" cannot name a measure");
    f.measures[1].name = TEXT("a-b");
    must_fail("\"a-b\" cannot name a measure");
    f.measures[1].name = TEXT("");
    must_fail("\"\" cannot name a measure");
    f.in.n_measures = 1;
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    must_fail("there are two KPIs \"k\"");
    f.in.n_kpis = 1;
    fixture_attribute(&f, "type", "count", "");
    must_fail("cannot name an attribute");
    f.attributes[0].name = TEXT("x");
    fixture_attribute(&f, "x", "count", "");
    must_fail("there are two attributes \"x\"");
}

static void campaigns_are_checked(void **state)
{
    struct kpi_campaign_definition *campaign;

    fixture_measure(&f, "m", "count", "");
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    campaign = fixture_campaign(&f, "", 0);
    must_fail("1 to 256 bytes");
    campaign->id = TEXT("a");
    campaign->end_day = campaign->start_day;
    must_fail("ends before it has a day");
    campaign->end_day = DAY_2026_01_01 + CALENDAR_DAYS;
    must_fail("outside of the days");
    campaign->end_day = campaign->start_day + 10;
    campaign->audience = 1500000;
    must_fail("the audience is a whole number");
    campaign->audience = 0;
    must_fail("the audience is a whole number");
    campaign->audience = KPI_TIME_NONE;
    campaign->budget = -1;
    must_fail("the budget is less than 0");
    campaign->budget = KPI_TIME_NONE;
    (void)fixture_campaign(&f, "a", 1);
    must_fail("there are two campaigns \"a\"");
}

static void phases_are_checked(void **state)
{
    struct kpi_campaign_definition *campaign;
    kpi_day day = DAY_2026_11_01;

    fixture_measure(&f, "m", "count", "");
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    campaign = fixture_campaign(&f, "a", 0);
    campaign->phases = f.phases;
    campaign->n_phases = 2;
    f.phases[0] = (struct kpi_phase_definition){TEXT("one"), day, day + 5};
    f.phases[1] = (struct kpi_phase_definition){TEXT("one"), day + 5, day + 6};
    must_fail("there are two phases \"one\"");
    f.phases[1] = (struct kpi_phase_definition){TEXT("two"), day + 4, day + 6};
    must_fail("the phases \"one\" and \"two\" overlap");
    f.phases[1] = (struct kpi_phase_definition){TEXT("two"), day - 1, day + 1};
    must_fail("the phases \"one\" and \"two\" overlap");
    f.phases[1] = (struct kpi_phase_definition){TEXT("two"), day + 7, day + 7};
    must_fail("ends before it has a day");
    f.phases[1] = (struct kpi_phase_definition){TEXT("day"), day + 7, day + 8};
    must_fail("names a scope of its own");
    f.phases[1] = (struct kpi_phase_definition){TEXT("rolling:7d"), day + 7, day + 8};
    must_fail("cannot be called rolling");
    f.phases[1] = (struct kpi_phase_definition){TEXT(""), day + 7, day + 8};
    must_fail("1 to 64 bytes");
}

static void targets_are_checked(void **state)
{
    struct kpi_target_definition *target;

    fixture_measure(&f, "m", "count", "");
    fixture_kpi(&f, "reached", "m", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    target = fixture_target(&f, "reachd", "5");
    must_fail("there is no KPI \"reachd\"");
    assert_string_equal(f.recorder.messages[0].suggest, "reached");
    target->kpi = TEXT("reached");
    target->scope = TEXT("dya");
    must_fail("\"dya\" is no scope");
    assert_string_equal(f.recorder.messages[0].suggest, "day");
    target->scope = TEXT("rolling:8d");
    must_fail("is not reported in \"rolling:8d\"");
    target->scope = TEXT("rolling:d");
    must_fail("is no scope");
    target->scope = TEXT("");
    target->deviation = KPI_DEVIATION_RELATIVE;
    must_fail("the deviation must be more than 0");
    target->deviation = KPI_DEVIATION_FACTOR;
    target->deviation_amount = KPI_DECIMAL_ONE;
    must_fail("a deviation by a factor of 1 has no width");
    target->deviation_amount = 100000;
    target->value = TEXT("-4");
    must_fail("a deviation by a factor needs a value above 0");
    target->value = TEXT("5");
    target->from = target->to = 7;
    must_fail("over before it begins");
    target->from = KPI_TIME_NONE;
    fixture_target(&f, "reached", "6")->from = 6;
    f.targets[1].scope = TEXT("campaign");
    must_fail("two targets for \"reached\"");
    f.targets[1].from = 7; /* one after the other */
    kpi_plan_unref(fixture_plan(&f));
    assert_int_equal(f.recorder.n_messages, 0);
}

static void parameters_that_a_campaign_lacks(void **state)
{
    fixture_measure(&f, "m", "count", "");
    fixture_kpi(&f, "k", "m / audience", KPI_UNIT_RATIO);
    fixture_campaign(&f, "a", 0)->audience = KPI_TIME_NONE;
    kpi_plan_unref(fixture_plan(&f)); /* a KPI may wait for its audience, a target may not */
    (void)fixture_target(&f, "k", "audience / 2");
    must_fail("this has no value");
}

static void active_types_may_not_be_empty_if_asked_for(void **state)
{
    fixture_measure(&f, "m", "count", "type in active_types");
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    f.in.n_active_types = 0;
    must_fail("active_types is empty");
}

static void limits_are_kept(void **state)
{
    char names[KPI_ATTRIBUTES_MAX + 1][8], where[2048];
    size_t length;

    for (int i = 0; i <= KPI_ATTRIBUTES_MAX; ++i) {
        snprintf(names[i], sizeof(names[i]), "a%d", i);
        fixture_attribute(&f, names[i], "count", "");
    }
    must_fail("one attribute too many; there may be 64");
    f.in.n_attributes = 0;
    fixture_measure(&f, "m", "count", "");
    fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
    length = (size_t)snprintf(where, sizeof(where), "g0");
    for (int i = 1; i < KPI_FIELDS_MAX; ++i) /* beside campaign, one more than fits */
        length += (size_t)snprintf(where + length, sizeof(where) - length, " and g%d", i);
    f.measures[0].where = (struct kpi_text){where, (uint32_t)length, 0};
    must_fail("\"g63\" is one field too many");
    f.measures[0].where.length = (uint32_t)(strstr(where, " and g63") - where);
    kpi_plan_unref(fixture_plan(&f));
    assert_int_equal(f.recorder.n_messages, 0);
}

static void all_errors_are_reported_at_once(void **state)
{
    struct kpi_plan *plan = NULL;

    fixture_attribute(&f, "x", "cuont", "type ==");
    fixture_measure(&f, "m", "users(0)", "type == 3 or score == vip and (1 < 2)");
    fixture_measure(&f, "n", "count", "x > 3"); /* x is broken: nothing more to say */
    fixture_kpi(&f, "k", "m + o + p", KPI_UNIT_COUNT);
    fixture_kpi(&f, "l", "n", KPI_UNIT_COUNT);
    (void)fixture_campaign(&f, "a", 0);
    (void)fixture_target(&f, "kk", "what");
    assert_int_equal(fixture_compile(&f, &plan), KPI_PLAN_E_INVALID);
    assert_int_equal(f.recorder.diag.n_errors, 9);
    assert_int_equal(f.mem.bytes, 0);
}

/* Each KPI of a circle says so, and one that only leads into it. */
static void circles_of_formulas(void **state)
{
    struct kpi_plan *plan = NULL;

    fixture_measure(&f, "m", "count", "");
    fixture_kpi(&f, "a", "m + b", KPI_UNIT_COUNT);
    fixture_kpi(&f, "b", "previous(c)", KPI_UNIT_COUNT);
    fixture_kpi(&f, "c", "2 * a", KPI_UNIT_COUNT);
    fixture_kpi(&f, "d", "growth(m, a)", KPI_UNIT_COUNT);
    assert_int_equal(fixture_compile(&f, &plan), KPI_PLAN_E_INVALID);
    assert_int_equal(f.recorder.diag.n_errors, 4);
    for (unsigned i = 0; i < 4; ++i)
        assert_non_null(strstr(f.recorder.messages[i].text, "goes in a circle"));
    assert_int_equal(f.mem.bytes, 0);
}

static void warnings_do_not_stop(void **state)
{
    struct kpi_plan *plan;

    fixture_measure(&f, "used", "count", "tpye == 'a'");
    fixture_measure(&f, "unused", "count", "");
    fixture_kpi(&f, "k", "used", KPI_UNIT_COUNT);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_int_equal(f.recorder.diag.n_errors, 0);
    assert_int_equal(f.recorder.n_messages, 2);
    assert_non_null(strstr(f.recorder.messages[0].text, "\"tpye\" is taken for a field"));
    assert_string_equal(f.recorder.messages[0].suggest, "type");
    assert_non_null(strstr(f.recorder.messages[1].text, "no KPI uses the measure \"unused\""));
    assert_int_equal(f.recorder.messages[1].severity, KPI_SEVERITY_WARNING);
    assert_int_equal(f.recorder.messages[1].origin, f.measures[1].name.origin);
    kpi_plan_unref(plan);
}

/*
 * a is asked for by a measure, b by a; c and d ask for one another and nobody else for them. What a
 * measure names for where its events count, or caps, is asked for, too.
 */
static void attributes_that_nothing_asks_for_are_warned_of(void **state)
{
    struct kpi_plan *plan;

    fixture_attribute(&f, "a", "count", "b > 0");
    fixture_attribute(&f, "b", "count", "");
    fixture_attribute(&f, "c", "count", "d > 0");
    fixture_attribute(&f, "d", "count", "c > 0");
    fixture_attribute(&f, "first", "min(time)", "");
    fixture_attribute(&f, "touches", "set(campaign)", "");
    fixture_attribute(&f, "sold", "sum(amount)", "type == 'a'");
    fixture_attribute(&f, "returned", "sum(amount)", "type == 'b'");
    fixture_measure(&f, "m", "latest_users(a > 1)", "");
    fixture_measure(&f, "capped", "capped(sold, 5, less=returned)", "");
    fixture_redirect(&f, "first", "touches");
    fixture_kpi(&f, "k", "m + capped", KPI_UNIT_COUNT);
    plan = fixture_plan(&f);
    assert_non_null(plan);
    assert_int_equal(f.recorder.n_messages, 2);
    for (unsigned i = 0; i < 2; ++i) {
        assert_non_null(strstr(f.recorder.messages[i].text, "nothing asks for the attribute"));
        assert_int_equal(f.recorder.messages[i].severity, KPI_SEVERITY_WARNING);
        assert_int_equal(f.recorder.messages[i].origin, f.attributes[2 + i].name.origin);
    }
    kpi_plan_unref(plan);
}

static void fields_of_many_values_are_warned_of(void **state)
{
    static const struct {
        const char *field;
        bool warned;
    } table[] = {
        {"order_id", true},   {"last_order_id", true}, {"email", true},
        {"user_email", true}, {"device_kind", false},  {"campaign_id", false},
        {"city_id", false},   {"channel", false},      {"ship", false},
    };

    for (size_t i = 0; i < COUNT_OF(table); ++i) {
        struct kpi_plan *plan;
        char aggregate[40];

        (void)snprintf(aggregate, sizeof(aggregate), "last(%s)", table[i].field);
        fixture_init(&f);
        fixture_attribute(&f, "x", aggregate, "");
        fixture_measure(&f, "m", "users", "x == 'a'");
        fixture_kpi(&f, "k", "m", KPI_UNIT_COUNT);
        plan = fixture_plan(&f);
        assert_non_null(plan);
        if (f.recorder.n_messages != table[i].warned)
            fail_msg("%s: %u messages", table[i].field, f.recorder.n_messages);
        if (table[i].warned)
            assert_non_null(strstr(f.recorder.messages[0].text, "beyond limits.values (1000)"));
        kpi_plan_unref(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_must_compile, setup),
        cmocka_unit_test_setup(what_is_no_expression, setup),
        cmocka_unit_test_setup(what_has_no_type, setup),
        cmocka_unit_test_setup(what_is_unknown, setup),
        cmocka_unit_test_setup(bounds_of_texts, setup),
        cmocka_unit_test_setup(names_are_checked, setup),
        cmocka_unit_test_setup(campaigns_are_checked, setup),
        cmocka_unit_test_setup(phases_are_checked, setup),
        cmocka_unit_test_setup(targets_are_checked, setup),
        cmocka_unit_test_setup(parameters_that_a_campaign_lacks, setup),
        cmocka_unit_test_setup(active_types_may_not_be_empty_if_asked_for, setup),
        cmocka_unit_test_setup(limits_are_kept, setup),
        cmocka_unit_test_setup(all_errors_are_reported_at_once, setup),
        cmocka_unit_test_setup(circles_of_formulas, setup),
        cmocka_unit_test_setup(warnings_do_not_stop, setup),
        cmocka_unit_test_setup(attributes_that_nothing_asks_for_are_warned_of, setup),
        cmocka_unit_test_setup(fields_of_many_values_are_warned_of, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
