/* /api/v1/status for people: what matters first, the shards as a table. */
#include "client.h"

#include "api/table.h"
#include "util/error.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return text ? text : "-";
}

static bool truth_of(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static const char *yes_no(const cJSON *object, const char *key)
{
    return truth_of(object, key) ? "yes" : "no";
}

static void add_number(struct table *table, const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (cJSON_IsNumber(item))
        table_add_format(table, "%.0f", item->valuedouble);
    else
        table_add(table, "-");
}

static void print_head(FILE *out, const cJSON *root)
{
    const cJSON *view = cJSON_GetObjectItemCaseSensitive(root, "view");
    const cJSON *plan = cJSON_GetObjectItemCaseSensitive(root, "plan");

    (void)fprintf(out, "kpid %s, group %s, instance %s, since %s\n", text_of(root, "version"),
                  text_of(root, "group"), text_of(root, "instance"), text_of(root, "started_at"));
    if (!cJSON_IsObject(view))
        return;
    (void)fprintf(out, "numbers as of %s, %s%s\n", text_of(view, "as_of"),
                  truth_of(view, "complete") ? "complete" : "INCOMPLETE",
                  truth_of(view, "leader") ? "; this instance judges targets and alerts" : "");
    (void)fprintf(out, "plan %s: %.0f KPIs, %.0f campaigns, %.0f targets\n",
                  text_of(plan, "fingerprint"),
                  cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(plan, "kpis")),
                  cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(plan, "campaigns")),
                  cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(plan, "targets")));
}

static void print_checks(FILE *out, const cJSON *root)
{
    const cJSON *reload = cJSON_GetObjectItemCaseSensitive(root, "reload"), *check;
    bool ready = true;

    (void)fputs("\n", out);
    cJSON_ArrayForEach(check, cJSON_GetObjectItemCaseSensitive(root, "checks"))
    {
        const cJSON *reason = cJSON_GetObjectItemCaseSensitive(check, "reason");

        ready = ready && truth_of(check, "ok");
        (void)fprintf(out, "%-8s %s%s%s\n", text_of(check, "name"),
                      truth_of(check, "ok") ? "ok" : "FAILED", cJSON_IsString(reason) ? ": " : "",
                      cJSON_IsString(reason) ? text_of(check, "reason") : "");
    }
    (void)fprintf(out, "%-8s %s\n", "ready", ready ? "yes" : "NO");
    if (cJSON_IsObject(reload) && !truth_of(reload, "successful"))
        (void)fprintf(out, "%-8s FAILED: %s; the configuration of %s is in force\n", "reload",
                      text_of(reload, "error"), text_of(reload, "successful_at"));
}

static int print_shards(FILE *out, const cJSON *root)
{
    static const struct table_column columns[] = {
        {"SHARD", true}, {"OWNED", false},    {"CAUGHT UP", false}, {"LAG", true},
        {"EPOCH", true}, {"UNSAVED", true},   {"SAVED AT", false},  {"APPLIED", true},
        {"DUPES", true}, {"CONFLICTS", true}, {"REFUSED", true},    {"USERS", true},
    };
    const cJSON *shards = cJSON_GetObjectItemCaseSensitive(root, "shards"), *shard;
    CLEANUP(table_freep)
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

    if (!table)
        return error_origin(-ENOMEM);
    if (cJSON_GetArraySize(shards) == 0)
        return 0;
    cJSON_ArrayForEach(shard, shards)
    {
        add_number(table, shard, "shard");
        table_add(table, yes_no(shard, "owned"));
        table_add(table, yes_no(shard, "caught_up"));
        add_number(table, shard, "lag");
        add_number(table, shard, "epoch");
        add_number(table, shard, "unsaved");
        table_add(table, text_of(shard, "saved_at"));
        add_number(table, shard, "applied");
        add_number(table, shard, "duplicates");
        add_number(table, shard, "conflicts");
        add_number(table, shard, "refused");
        add_number(table, shard, "users");
    }
    (void)fputs("\n", out);
    return table_print(table, out);
}

static int print_receivers(FILE *out, const cJSON *root)
{
    static const struct table_column columns[] = {
        {"RECEIVER", false}, {"STATE", false},  {"DELIVERED", true},
        {"WAITING", true},   {"EXPIRED", true}, {"FAILED ATTEMPTS", true},
    };
    const cJSON *receivers = cJSON_GetObjectItemCaseSensitive(root, "receivers"), *receiver;
    CLEANUP(table_freep)
    struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

    if (!table)
        return error_origin(-ENOMEM);
    if (cJSON_GetArraySize(receivers) == 0)
        return 0;
    cJSON_ArrayForEach(receiver, receivers)
    {
        table_add(table, text_of(receiver, "name"));
        table_add(table, truth_of(receiver, "disabled") ? "disabled (410)"
                         : truth_of(receiver, "paused") ? "paused after failures"
                                                        : "ok");
        add_number(table, receiver, "delivered");
        add_number(table, receiver, "queued");
        add_number(table, receiver, "expired");
        add_number(table, receiver, "failed_attempts");
    }
    (void)fputs("\n", out);
    return table_print(table, out);
}

int client_print_status(FILE *out, const char *text)
{
    cJSON *root = cJSON_Parse(text);
    int r;

    if (!cJSON_IsObject(root) || !cJSON_HasObjectItem(root, "checks")) {
        cJSON_Delete(root);
        return CLIENT_E_ANSWER;
    }
    print_head(out, root);
    print_checks(out, root);
    r = print_shards(out, root);
    if (r == 0)
        r = print_receivers(out, root);
    cJSON_Delete(root);
    return error_trace(r);
}
