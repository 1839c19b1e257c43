/*
 * What a plan is, as JSON, so that two can be compared; /api/v1/plan, and `kpid check --against`:
 *
 *   {"fingerprint":"00c0ffee00c0ffee","keep_days":400,"scopes":["campaign","rolling:7d","day"],
 *    "kpis":[{"name":"roi","formula":"(sales - refunds) / cost","unit":"multiple","better":"up",
 *      "definition":"…"}],
 *    "tables":[{"name":"comeback","title":{"en":"…","zh":"…"},"kind":"retention",
 *      "of":"reached","return":"active","basis":"day","last":90,"definition":"…"}],
 *    "state":[{"kind":"measure","name":"sales","zone":"Asia/Shanghai","by_campaign":true,"level":0,
 *      "fingerprint":"…"},{"kind":"attribute","name":"orders","fingerprint":"…"},
 *      {"kind":"table","name":"comeback","fingerprint":"…"}],
 *    "campaigns":[{"id":"c","timezone":"Asia/Shanghai","start":"2026-11-01","end":"2026-12-01",
 *      "audience":200000,"budget":"500000.00","budget_parts":"base 200000.00, float 300000.00",
 *      "phases":"burst 2026-11-01 2026-11-06"}],
 *    "targets":[{"campaign":"c","kpi":"roi","scope":"campaign","value":4,
 *      "deviation":"10%","band":0.4,"better":"up","from":null,"to":null,"for_seconds":300,
 *      "min_sample":100}],
 *    "funnels":[{"name":"pay","path":"exposure > checkout > purchase","order":"ordered",
 *      "within_seconds":604800,"lateness_seconds":3600}],
 *    "experiments":[{"name":"theme","variants":"A 1, B 1","exposure":"…","goal":"buyers",
 *      "metric":"proportion","method":"sequential","correction":"holm","better":"up",
 *      "one_sided":false,"alpha":0.05,"min_run_seconds":172800,"min_units":100,
 *      "tuning_units":5000,"from":null,"to":null}],
 *    "settings":{"kafka.group":"…"}}
 *
 * State of equal fingerprint is the same; that of a table is that of the measures it is made of.
 * What is broken down has "by":"channel, city". settings: hashes of those that need a restart,
 * without secrets and threads.
 */
#pragma once

#include "config/config.h"

#include <stddef.h>

/* Returns 0 or -ENOMEM. The text is the caller's, free(). */
int plan_write(char **ret_text, size_t *ret_size, const struct kpi_plan *plan,
               const struct config_setting *settings, uint32_t n_settings);
