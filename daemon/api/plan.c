#include "plan.h"

#include "api/answers.h"
#include "api/kpis.h"
#include "codec/deviation.h"

#include <kpi/alert.h>
#include <kpi/experiment.h>
#include <kpi/funnel.h>
#include <kpi/table.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const betters[] = {"up", "down", "band"};

/* A date, as configurations have it. */
static void add_day(struct json *json, cJSON *object, const char *key, kpi_day day)
{
    char text[40];

    (void)json_format_time(text, day * KPI_DAY, 0);
    json_add_string(json, object, key, (struct kpi_string){text, 10});
}

static void add_kpis(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    cJSON *array = json_array(json, root, "kpis");

    for (uint32_t i = 0; i < kpi_plan_n_kpis(plan); i++) {
        const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, i);
        cJSON *item = json_object(json, array, NULL);

        json_add_string(json, item, "name", kpi->name);
        json_add_string(json, item, "formula", kpi->formula);
        json_add_text(json, item, "unit", kpis_unit_name(kpi->unit));
        json_add_text(json, item, "better", betters[kpi->better]);
        json_add_hash(json, item, "definition", kpi->fingerprint);
    }
}

/* "channel, city": one text, since dimensions are compared as a whole; null: not broken down. */
static void add_by(struct json *json, cJSON *object, const struct kpi_breakdown_info *by)
{
    char text[KPI_BREAKDOWN_DIMENSIONS_MAX * 72] = "";
    size_t length = 0;

    if (!by) {
        json_add_null(json, object, "by");
        return;
    }
    for (uint32_t i = 0; i < by->n_dimensions; i++) {
        const struct kpi_string *name = &by->dimensions[i].name;

        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%.*s", i ? ", " : "",
                                   (int)name->length, name->data);
    }
    json_add_text(json, object, "by", text);
}

static void add_tables(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    cJSON *array = json_array(json, root, "tables");

    for (uint32_t i = 0; i < kpi_plan_n_tables(plan); i++) {
        const struct kpi_table_info *table = kpi_plan_table(plan, i);
        cJSON *item = json_object(json, array, NULL), *title;

        json_add_string(json, item, "name", table->name);
        title = json_object(json, item, "title");
        json_add_string(json, title, "en", table->title_en);
        json_add_string(json, title, "zh", table->title_zh);
        json_add_text(json, item, "kind", tables_kind_name(table->kind));
        json_add_string(json, item, "of", table->start);
        if (table->kind == KPI_TABLE_RETENTION)
            json_add_string(json, item, "return", table->back);
        json_add_text(json, item, "basis", tables_basis_name(table->basis));
        if (table->by)
            add_by(json, item, table->by);
        json_add_integer(json, item, "last", table->last);
        json_add_hash(json, item, "definition", table->fingerprint);
    }
}

static void add_state(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    cJSON *array = json_array(json, root, "state");

    for (uint32_t i = 0; i < kpi_plan_n_states(plan); i++) {
        cJSON *item = json_object(json, array, NULL);
        struct kpi_state_info info;

        kpi_plan_state(plan, i, &info);
        json_add_text(json, item, "kind",
                      info.is_experiment  ? "experiment"
                      : info.is_attribute ? "attribute"
                                          : "measure");
        json_add_string(json, item, "name", info.name);
        if (!info.is_attribute) {
            json_add_string(json, item, "zone", info.zone);
            json_add_bool(json, item, "by_campaign", info.by_campaign);
            add_by(json, item, info.by);
            json_add_integer(json, item, "level", info.level);
        }
        json_add_hash(json, item, "fingerprint", info.fingerprint);
    }
    for (uint32_t i = 0; i < kpi_plan_n_tables(plan); i++) {
        cJSON *item = json_object(json, array, NULL);

        json_add_text(json, item, "kind", "table");
        json_add_string(json, item, "name", kpi_plan_table(plan, i)->name);
        json_add_hash(json, item, "fingerprint", kpi_plan_table(plan, i)->state);
    }
    for (uint32_t i = 0; i < kpi_plan_n_funnels(plan); i++) {
        cJSON *item = json_object(json, array, NULL);

        json_add_text(json, item, "kind", "funnel");
        json_add_string(json, item, "name", kpi_plan_funnel(plan, i)->name);
        json_add_hash(json, item, "fingerprint", kpi_plan_funnel(plan, i)->fingerprint);
    }
}

/* "exposure > checkout > purchase" */
static void add_path(struct json *json, cJSON *object, const struct kpi_funnel_info *info)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (uint32_t i = 0; out && i < info->n_steps; i++)
        (void)fprintf(out, "%s%.*s", i ? " > " : "", (int)info->steps[i].name.length,
                      info->steps[i].name.data);
    if (!out || fclose(out) != 0) {
        json->failed = true;
        free(text);
        return;
    }
    json_add_text(json, object, "path", text);
    free(text);
}

static void add_funnels(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    static const char *const orders[] = {"ordered", "strict", "any"};
    cJSON *array = json_array(json, root, "funnels");

    for (uint32_t i = 0; i < kpi_plan_n_funnels(plan); i++) {
        const struct kpi_funnel_info *info = kpi_plan_funnel(plan, i);
        cJSON *item = json_object(json, array, NULL);

        json_add_string(json, item, "name", info->name);
        add_path(json, item, info);
        json_add_text(json, item, "order", orders[info->order]);
        json_add_real(json, item, "within_seconds", (double)info->within / (double)KPI_SECOND);
        json_add_real(json, item, "lateness_seconds", (double)info->lateness / (double)KPI_SECOND);
        if (info->by)
            add_by(json, item, info->by);
    }
}

/* "burst 2026-11-01 2026-11-06, run …": one text, since phases are compared as a whole. */
static void add_phases(struct json *json, cJSON *object, const struct kpi_campaign_info *campaign)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (uint32_t i = 0; out && i < campaign->n_phases; i++) {
        const struct kpi_phase_info *phase = &campaign->phases[i];
        char start[40], end[40];

        (void)json_format_time(start, phase->start_day * KPI_DAY, 0);
        (void)json_format_time(end, phase->end_day * KPI_DAY, 0);
        (void)fprintf(out, "%s%.*s %.10s %.10s", i > 0 ? ", " : "", (int)phase->name.length,
                      phase->name.data, start, end); /* fclose() tells */
    }
    if (!out || fclose(out) != 0)
        json->failed = true;
    else
        json_add_text(json, object, "phases", text);
    free(text);
}

static void add_budget_parts(struct json *json, cJSON *object,
                             const struct kpi_campaign_info *campaign)
{
    char *text = NULL, amount[40];
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (uint32_t i = 0; out && i < campaign->n_budget_parts; i++) {
        const struct kpi_budget_part *part = &campaign->budget_parts[i];

        json_format_money(amount, part->amount);
        (void)fprintf(out, "%s%.*s %s", i > 0 ? ", " : "", (int)part->name.length, part->name.data,
                      amount); /* fclose() tells */
    }
    if (!out || fclose(out) != 0)
        json->failed = true;
    else
        json_add_text(json, object, "budget_parts", text);
    free(text);
}

static void add_campaigns(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    cJSON *array = json_array(json, root, "campaigns");

    for (uint32_t i = 0; i < kpi_plan_n_campaigns(plan); i++) {
        const struct kpi_campaign_info *campaign = kpi_plan_campaign(plan, i);
        cJSON *item = json_object(json, array, NULL);

        json_add_string(json, item, "id", campaign->id);
        json_add_string(json, item, "timezone", kpi_plan_zone(plan, campaign->zone)->name);
        add_day(json, item, "start", campaign->start_day);
        add_day(json, item, "end", campaign->end_day);
        if (campaign->audience == KPI_TIME_NONE)
            json_add_null(json, item, "audience");
        else
            json_add_integer(json, item, "audience", campaign->audience / KPI_DECIMAL_ONE);
        if (campaign->budget == KPI_TIME_NONE)
            json_add_null(json, item, "budget");
        else
            json_add_money(json, item, "budget", campaign->budget);
        add_budget_parts(json, item, campaign);
        add_phases(json, item, campaign);
    }
}

/* As a target in a configuration names it. */
static void add_scope(struct json *json, cJSON *object, const struct kpi_plan *plan,
                      const struct kpi_scope *scope)
{
    char text[KPI_SCOPE_NAME_BYTES_MAX];

    if (scope->kind == KPI_SCOPE_PHASE) {
        json_add_string(json, object, "scope",
                        kpi_plan_campaign(plan, scope->campaign)->phases[scope->phase].name);
        return;
    }
    (void)kpi_scope_name_format(text, plan, scope, false);
    json_add_text(json, object, "scope", text);
}

static void add_targets(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    cJSON *array = json_array(json, root, "targets");

    for (uint32_t i = 0; i < kpi_plan_n_targets(plan); i++) {
        const struct kpi_target *target = kpi_plan_target(plan, i);
        const struct kpi_kpi_info *kpi = kpi_plan_kpi(plan, target->kpi);
        cJSON *item = json_object(json, array, NULL);
        char deviation[DEVIATION_TEXT_BYTES_MAX];

        json_add_string(json, item, "campaign", kpi_plan_campaign(plan, target->campaign)->id);
        json_add_string(json, item, "kpi", kpi->name);
        add_scope(json, item, plan, &target->scope_pattern);
        json_add_real(json, item, "value", target->value);
        if (target->varies)
            json_add_string(json, item, "expression", target->expression);
        deviation_format(deviation, target, kpi->unit);
        json_add_text(json, item, "deviation", deviation);
        json_add_real(json, item, "band", target->band);
        json_add_text(json, item, "better", betters[target->better]);
        json_add_time(json, item, "from", target->from, 0);
        json_add_time(json, item, "to", target->to, 0);
        json_add_real(json, item, "for_seconds", (double)target->hold / (double)KPI_SECOND);
        json_add_integer(json, item, "min_sample", target->sample_min);
    }
}

/* "A 2, B 1": one text, since arms are compared as a whole. */
static void add_variants(struct json *json, cJSON *object, const struct kpi_experiment_info *info)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (uint32_t i = 0; out && i < info->n_arms; i++)
        (void)fprintf(out, "%s%.*s %g", i > 0 ? ", " : "", (int)info->arms[i].length,
                      info->arms[i].data, info->weights[i]); /* fclose() tells */
    if (!out || fclose(out) != 0)
        json->failed = true;
    else
        json_add_text(json, object, "variants", text);
    free(text);
}

static void add_experiments(struct json *json, cJSON *root, const struct kpi_plan *plan)
{
    cJSON *array = json_array(json, root, "experiments");

    for (uint32_t i = 0; i < kpi_plan_n_experiments(plan); i++) {
        const struct kpi_experiment_info *info = kpi_plan_experiment(plan, i);
        const struct kpi_experiment_options *options = &info->options;
        cJSON *item = json_object(json, array, NULL);

        json_add_string(json, item, "name", info->name);
        add_variants(json, item, info);
        if (options->control != KPI_ARM_NONE)
            json_add_string(json, item, "control", info->arms[options->control]);
        if (info->by)
            add_by(json, item, info->by);
        json_add_string(json, item, "exposure", info->exposure);
        json_add_string(json, item, "goal", info->goal);
        if (info->denominator.length)
            json_add_string(json, item, "denominator", info->denominator);
        json_add_text(json, item, "metric", kpi_metric_name(options->metric));
        json_add_text(json, item, "method", kpi_method_name(options->method));
        json_add_text(json, item, "correction", kpi_correction_name(options->correction));
        json_add_text(json, item, "better", betters[options->better]);
        json_add_bool(json, item, "one_sided", options->one_sided);
        json_add_real(json, item, "alpha", options->alpha);
        json_add_real(json, item, "min_run_seconds", (double)options->run_min / (double)KPI_SECOND);
        json_add_integer(json, item, "min_units", options->units_min);
        json_add_real(json, item, "tuning_units", options->tuning_units);
        json_add_time(json, item, "from", info->from, 0);
        json_add_time(json, item, "to", info->to, 0);
    }
}

int plan_write(char **ret_text, size_t *ret_size, const struct kpi_plan *plan,
               const struct config_setting *settings, uint32_t n_settings)
{
    struct json json = {0};
    cJSON *root = json_object(&json, NULL, NULL), *item;

    json_add_hash(&json, root, "fingerprint", kpi_plan_fingerprint(plan));
    json_add_integer(&json, root, "keep_days", kpi_plan_keep_days(plan));
    item = json_array(&json, root, "scopes");
    for (uint32_t i = 0; i < kpi_plan_n_grains(plan); i++) {
        char name[KPI_SCOPE_NAME_BYTES_MAX];

        (void)kpi_scope_name_format(name, plan, kpi_plan_grain(plan, i), false);
        json_add_text(&json, item, NULL, name);
    }
    add_kpis(&json, root, plan);
    add_tables(&json, root, plan);
    add_state(&json, root, plan);
    add_campaigns(&json, root, plan);
    add_targets(&json, root, plan);
    add_funnels(&json, root, plan);
    add_experiments(&json, root, plan);
    item = json_object(&json, root, "settings");
    for (uint32_t i = 0; i < n_settings; i++)
        json_add_hash(&json, item, settings[i].name, settings[i].hash);
    return json_end(&json, root, ret_text, ret_size);
}
