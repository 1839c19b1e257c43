/*
 * Claims: the fold of a configuration changes with anything that changes what a message becomes or
 * what is counted of it (plan, mappings, rates, currency), no two such changes give the same one,
 * and it does not change with comments, white space, order where order means nothing, names of
 * mappings, or settings of another kind.
 */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static char path[] = "/tmp/kpid-test-fold-XXXXXX";

/* A text of the base, and what stands there instead. */
struct edit {
    const char *from, *to;
};

static const char base[] = "kafka: {brokers: 'a:1', topics: [web, app, shop]}\n"
                           "currency: CNY\n"
                           "rates:\n"
                           "  USD: {2026-01-01: 7.05, 2026-07-01: 7.1}\n"
                           "  EUR: 8\n"
                           "mappings:\n"
                           "  orders:\n"
                           "    topics: [shop, web]\n"
                           "    when: {event: [paid, back], kind: x}\n"
                           "    id: order.no\n"
                           "    type: {path: event, values: {paid: purchase, back: refund},"
                           " other: skip}\n"
                           "    user: [buyer.uid, buyer.openid]\n"
                           "    time: {path: at, unit: s, absent: record}\n"
                           "    currency: {path: cur, absent: USD}\n"
                           "    fields:\n"
                           "      amount: {path: total, negative: {purchase: refund}}\n"
                           "      channel: {path: from, values: {wx: wechat}}\n"
                           "  calls: {topics: app, preset: segment}\n"
                           "  rest: {preset: native}\n"
                           "measures: {buyers: {agg: users, where: 'type == \"purchase\"'}}\n"
                           "kpis: {buyers: {formula: buyers, unit: count}}\n"
                           "campaigns: [{id: c, start: 2026-11-01, end: 2026-11-12}]\n";

static void ignore(void *userdata, const char *text)
{
}

/* The fold of the base with an edit, or without one. */
static uint64_t fold_of(const struct edit *edit)
{
    const struct config_report report = {ignore, NULL};
    const char *at = edit ? strstr(base, edit->from) : base;
    FILE *file = fopen(path, "we");
    struct config *config = NULL;
    uint64_t fold;

    assert_non_null(file);
    if (!at)
        fail_msg("the base has no %s", edit->from);
    (void)fprintf(file, "%.*s%s%s", (int)(at - base), base, edit ? edit->to : "",
                  edit ? at + strlen(edit->from) : base);
    assert_int_equal(fclose(file), 0);
    if (config_load(&config, path, 4, &report) != 0)
        fail_msg("%s is refused", edit ? edit->to : "the base");
    fold = config->fold;
    (void)config_free(config);
    return fold;
}

static void what_events_become_changes_it(void **state)
{
    static const struct edit edits[] = {
        {"currency: CNY", "currency: JPY"},
        {"7.05", "7.06"},
        {"2026-07-01: 7.1", "2026-07-02: 7.1"},
        {"2026-07-01: 7.1", "2026-07-01: 7.1, 2026-08-01: 7.1"},
        {"EUR: 8", "EUR: 8.000000000001"},
        {"EUR: 8", "GBP: 8"},
        {"  EUR: 8\n", ""},
        {"topics: [shop, web]", "topics: [shop]"},
        {"    topics: [shop, web]\n", ""},
        {"event: [paid, back]", "event: [paid, black]"},
        {"event: [paid, back]", "event: [paid]"},
        {", kind: x}", "}"},
        {"kind: x", "kind: y"},
        {"kind: x", "kin: x"},
        {"id: order.no", "id: order.nr"},
        {"id: order.no", "id: '\"order.no\"'"},
        {"paid: purchase", "paid: checkout"},
        {"paid: purchase", "pay: purchase"},
        {"other: skip", "other: refuse"},
        {", other: skip", ""},
        {"[buyer.uid, buyer.openid]", "[buyer.openid, buyer.uid]"},
        {"[buyer.uid, buyer.openid]", "[buyer.uid]"},
        {"unit: s,", "unit: ms,"},
        {", absent: record", ""},
        {"absent: USD", "absent: EUR"},
        {", absent: USD", ""},
        {"{path: cur, absent: USD}", "{value: USD}"},
        {"{purchase: refund}", "{purchase: spend}"},
        {", negative: {purchase: refund}", ""},
        {"amount: {path: total,", "amount: {path: sum,"},
        {"amount: {path: total,", "sum: total\n      amount: {path: total,"},
        {"wx: wechat", "wx: weixin"},
        {"channel: {path: from", "canal: {path: from"},
        {"preset: segment", "preset: posthog"},
        {"  calls: {topics: app, preset: segment}\n  rest: {preset: native}\n",
         "  rest: {preset: native}\n  calls: {topics: app, preset: segment}\n"},
        {"  rest: {preset: native}\n", ""},
        {"users, where: 'type == \"purchase\"'", "users, where: 'type == \"refund\"'"},
        {"end: 2026-11-12", "end: 2026-11-13"},
    };
    uint64_t folds[1 + sizeof(edits) / sizeof(edits[0])];
    size_t n = 0;

    folds[n++] = fold_of(NULL);
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        folds[n] = fold_of(&edits[i]);
        for (size_t k = 0; k < n; k++) {
            if (folds[k] == folds[n])
                fail_msg("\"%s\" gives the fold of \"%s\"", edits[i].to,
                         k > 0 ? edits[k - 1].to : "the base");
        }
        n++;
    }
}

static void nothing_else_does(void **state)
{
    static const struct edit edits[] = {
        {"rates:\n", "# in yuan\nrates:   # of the bank\n\n"},
        {"7.05", "'7.050000000000'"},
        {"{2026-01-01: 7.05, 2026-07-01: 7.1}", "{2026-07-01: 7.1,  2026-01-01: 7.05}"},
        {"  USD: {2026-01-01: 7.05, 2026-07-01: 7.1}\n  EUR: 8\n",
         "  EUR: 8\n  USD: {2026-01-01: 7.05, 2026-07-01: 7.1}\n"},
        {"  orders:\n", "  purchases:\n"},
        {"topics: [shop, web]", "topics: [web, shop]"},
        {"event: [paid, back]", "event: [back, \"paid\"]"},
        {"{event: [paid, back], kind: x}", "{kind: [x], event: [paid, back]}"},
        {"id: order.no", "id: ['\"order\".no']"},
        {"paid: purchase, back: refund", "back: refund,\n      paid: purchase"},
        {"      amount: {path: total, negative: {purchase: refund}}\n"
         "      channel: {path: from, values: {wx: wechat}}\n",
         "      channel: {path: from, values: {wx: wechat}}\n"
         "      amount: {path: total, negative: {purchase: refund}}\n"},
        {"kafka: {brokers: 'a:1'", "workers: 2\nkafka: {brokers: 'b:2'"},
        {"unit: count}", "unit: count, title: {en: Buyers, zh: 买家}}"},
    };
    uint64_t fold = fold_of(NULL);

    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        if (fold_of(&edits[i]) != fold)
            fail_msg("\"%s\" changes it", edits[i].to);
    }
}

static int enter(void **state)
{
    int file = mkstemp(path);

    return file < 0 || close(file) != 0 ? -1 : 0;
}

static int leave(void **state)
{
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_events_become_changes_it),
        cmocka_unit_test(nothing_else_does),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
