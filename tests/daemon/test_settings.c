/*
 * Claims: texts become durations, sizes, numbers, dates and times exactly or not at all; every
 * setting has a default that its own kind reads and its range holds; each setting that a file gives
 * arrives in its field; did-you-mean finds slips and nothing else.
 */
#include "config/load.h"
#include "config/scalar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static struct kpi_string string(const char *text)
{
    return (struct kpi_string){text, strlen(text)};
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        kpi_duration value; /* -1: none */
    } table[] = {
        {"0s", 0},
        {"300ms", 300 * KPI_MILLISECOND},
        {"1us", 1},
        {"5m", 5 * KPI_MINUTE},
        {"24h", KPI_DAY},
        {"400d", 400 * KPI_DAY},
        {"5", -1},
        {"", -1},
        {"s", -1},
        {"1.5h", -1},
        {"-1s", -1},
        {"+1s", -1},
        {"1 s", -1},
        {"1S", -1},
        {"5min", -1},
        {"1h30m", -1},
        {"99999999999999999999d", -1},
        {"200000000d", -1},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        kpi_duration value = -1;
        const char *error = scalar_duration(string(table[i].text), &value);

        if (value != table[i].value || !error != (table[i].value >= 0))
            fail_msg("%s: %lld", table[i].text, (long long)value);
    }
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } table[] = {
        {"0B", 0},
        {"512B", 512},
        {"64KiB", 65536},
        {"1GiB", 1 << 30},
        {"1TiB", INT64_C(1) << 40},
        {"1GB", -1},
        {"1024", -1},
        {"1gib", -1},
        {"20000000000TiB", -1},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint64_t value = UINT64_MAX;
        const char *error = scalar_bytes(string(table[i].text), &value);

        if ((int64_t)value != table[i].value || !error != (table[i].value >= 0))
            fail_msg("%s: %lld", table[i].text, (long long)value);
    }
}

static void decimals(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        kpi_decimal value;
    } table[] = {
        {"0", true, 0},
        {"1", true, 1000000},
        {"129.90", true, 129900000},
        {"0.000001", true, 1},
        {"-2.5", true, -2500000},
        {"9223372036854.775807", true, INT64_MAX},
        {"9223372036854.775808", false, 0},
        {"18446744073709551616", false, 0},
        {"0.0000001", false, 0},
        {"1.", false, 0},
        {".5", false, 0},
        {"1e3", false, 0},
        {"1,000", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {"0x10", false, 0},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        kpi_decimal value = 0;
        const char *error = scalar_decimal(string(table[i].text), &value);

        if (!error != table[i].ok || value != table[i].value)
            fail_msg("%s: %lld", table[i].text, (long long)value);
    }
}

static void dates(void **state)
{
    static const struct {
        const char *text;
        kpi_day day; /* -1: none */
    } table[] = {
        {"2000-01-01", SCALAR_DAY_MIN},
        {"2100-01-01", SCALAR_DAY_MAX},
        {"2024-02-29", 19782},
        {"2026-11-01", 20758},
        {"2023-02-29", -1},
        {"2026-04-31", -1},
        {"2026-13-01", -1},
        {"2026-00-10", -1},
        {"2026-01-00", -1},
        {"1999-12-31", -1},
        {"2100-01-02", -1},
        {"2026-1-1", -1},
        {"20261101", -1},
        {"2026-11-01 ", -1},
        {"2026-11-01T00:00:00Z", -1},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        kpi_day day = -1;
        const char *error = scalar_date(string(table[i].text), &day);

        if (day != table[i].day || !error != (table[i].day >= 0))
            fail_msg("%s: %d", table[i].text, day);
    }
}

static void times(void **state)
{
    static const struct {
        const char *text;
        kpi_time time; /* -1: none */
    } table[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-11T00:00:03.120+08:00", INT64_C(1794326403120000)},
        {"2026-11-10T16:00:03.1200009Z", INT64_C(1794326403120000)},
        {"1970-01-01T00:00:00-01:30", 5400 * KPI_SECOND},
        {"2026-11-11T00:00:03", -1},
        {"2026-11-11", -1},
        {"2026-11-11T24:00:00Z", -1},
        {"2026-11-11T00:00:00+0800", -1},
        {"2026-11-11T00:00:00.Z", -1},
        {"2026-02-30T00:00:00Z", -1},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        kpi_time time = -1;
        const char *error = scalar_time(string(table[i].text), &time);

        if (time != table[i].time || !error != (table[i].time >= 0))
            fail_msg("%s: %lld", table[i].text, (long long)time);
    }
}

static void day_offsets(void **state)
{
    int32_t days = 0;

    assert_null(scalar_day_offset(string("-15d"), &days));
    assert_int_equal(days, -15);
    assert_null(scalar_day_offset(string("+5d"), &days));
    assert_int_equal(days, 5);
    assert_non_null(scalar_day_offset(string("5d"), &days));
    assert_non_null(scalar_day_offset(string("+5h"), &days));
    assert_non_null(scalar_day_offset(string("+99999999999d"), &days));
    assert_non_null(scalar_day_offset(string("+"), &days));
}

static void suggestions(void **state)
{
    static const struct {
        const char *word, *candidate;
        bool near;
    } table[] = {
        {"treshold", "threshold", true},
        {"brokres", "brokers", true},
        {"intreval", "interval", true},
        {"kpi", "kpis", true},
        {"foo", "topics", false},
        {"ab", "xy", false},
        {"a", "b", true},
        {"window", "windowing", false},
        {"", "a", false},
        {"ab", "ba", true},
        {"campain", "campaigns", true},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct suggest suggest = suggest_begin(string(table[i].word));

        suggest_try(&suggest, table[i].candidate);
        if (!suggest.best == table[i].near)
            fail_msg("%s %s", table[i].word, table[i].candidate);
    }
}

static void nearest_wins(void **state)
{
    struct suggest suggest = suggest_begin(string("retention_d2"));

    suggest_try(&suggest, "retention_m3");
    suggest_try(&suggest, "retention_d1");
    suggest_try(&suggest, "retention_d7");
    assert_string_equal(suggest.best, "retention_d1");
}

/* --- the table --- */

static char output[64 * 1024];

static void collect(void *userdata, const char *text)
{
    assert_true(strlen(output) + strlen(text) < sizeof(output));
    strcat(output, text);
}

static void load_text_settings(struct load *load, const char *text)
{
    const struct config_report to = {collect, NULL};
    struct doc_file *file;
    struct doc_node *root = NULL;

    memset(load, 0, sizeof(*load));
    output[0] = 0;
    load->docs = (struct doc_set){.arena = &load->arena, .report = &load->report};
    load->report.arena = &load->arena;
    assert_int_equal(doc_file_new(&load->docs, "/etc/kpid/f.yaml", text, strlen(text), &file), 0);
    assert_int_equal(doc_parse(&load->docs, file, &root), 0);
    if (root)
        assert_int_equal(load_expand(load, root), 0);
    assert_int_equal(settings_read(load, root), 0);
    assert_int_equal(report_flush(&load->report, &to), 0);
}

static void release(struct load *load)
{
    settings_deinit(&load->settings);
    arena_deinit(&load->arena);
}

static void defaults_are_those_of_the_table(void **state)
{
    struct load load;
    const struct settings *s = &load.settings;

    assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
    load_text_settings(&load, "");
    assert_string_equal(output, "");
    assert_null(s->config.kafka.brokers);
    assert_string_equal(s->config.kafka.group, "kpid");
    assert_int_equal(s->config.kafka.start, CONFIG_START_BEGINNING);
    assert_true(s->config.kafka.session_timeout == 45 * KPI_SECOND);
    assert_null(s->config.redis.url);
    assert_string_equal(s->config.http.listen, "127.0.0.1:9480");
    assert_true(s->config.checkpoint.interval == KPI_SECOND);
    assert_true(s->config.checkpoint.max_unsaved == 2000000);
    assert_int_equal(s->config.state.on_loss, CONFIG_ON_LOSS_REBUILD);
    assert_string_equal(s->config.state.key_file, "/var/lib/kpid/kpid.key");
    assert_true(s->config.workers >= 1);
    assert_string_equal(s->config.currency, "CNY");
    assert_true(s->config.dedupe_memory == UINT64_C(1) << 30);
    assert_string_equal(s->timezone->value, "UTC");
    assert_int_equal(s->week_start, 0);
    assert_true(s->keep == 400 * KPI_DAY);
    assert_true(s->future_skew_max == 5 * KPI_MINUTE);
    assert_true(s->dedupe_window == KPI_DAY);
    assert_int_equal(s->values_max, 1000);
    assert_int_equal(s->rolling.n, 2);
    assert_string_equal(s->rolling.items[0].data, "7d");
    assert_string_equal(s->rolling.items[1].data, "30d");
    assert_int_equal(s->grains.n, 1);
    assert_string_equal(s->grains.items[0].data, "day");
    assert_int_equal(s->active_types.n, 11);
    release(&load);
}

static void settings_arrive_in_their_fields(void **state)
{
    static const char text[] =
        "kafka:\n"
        "  brokers: [a:9092, 'b:9093,c:9094']\n"
        "  topics: [events, more]\n"
        "  group: g\n"
        "  start: 2026-11-11T00:00:03.120+08:00\n"
        "  dead_letter_topic: dead\n"
        "  session_timeout: 10s\n"
        "  properties: {security.protocol: SASL_SSL, sasl.username: me, sasl.password: secret}\n"
        "redis: {url: 'redis://h:6379/3', username: u, password: p, replicas: 1}\n"
        "http: {listen: '[::]:80', external_url: 'https://kpi.example/x'}\n"
        "checkpoint: {interval: 500ms, max_unsaved: 5000}\n"
        "state: {on_loss: halt, key_file: keys/kpid.key}\n"
        "workers: 3\n"
        "timezone: Asia/Shanghai\n"
        "week_start: sunday\n"
        "currency: USD\n"
        "keep: 30d\n"
        "max_future_skew: 1m\n"
        "dedupe: {window: 1h, memory: 64MiB}\n"
        "limits: {users: 2000, values: 10}\n"
        "rolling: [28d, 1d]\n"
        "active_types: [open, click]\n"
        "receivers:\n"
        "  - {name: ops, type: webhook, url: 'https://h/x',"
        " secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz, ca_file: ca.pem, allow: [10.0.0.0/8]}\n";
    struct load load;
    const struct settings *s = &load.settings;
    const struct config *c = &s->config;

    load_text_settings(&load, text);
    assert_string_equal(output, "");
    assert_string_equal(c->kafka.brokers, "a:9092,b:9093,c:9094");
    assert_int_equal(c->kafka.n_topics, 2);
    assert_string_equal(c->kafka.topics[1], "more");
    assert_null(c->kafka.topics[2]);
    assert_string_equal(c->kafka.group, "g");
    assert_int_equal(c->kafka.start, CONFIG_START_TIME);
    assert_true(c->kafka.start_time == INT64_C(1794326403120000));
    assert_string_equal(c->kafka.dead_letter_topic, "dead");
    assert_true(c->kafka.session_timeout == 10 * KPI_SECOND);
    assert_int_equal(c->kafka.n_properties, 3);
    assert_string_equal(c->kafka.properties[2].name, "sasl.password");
    assert_string_equal(c->kafka.properties[2].value, "secret");
    assert_string_equal(c->redis.url, "redis://h:6379/3");
    assert_string_equal(c->redis.username, "u");
    assert_string_equal(c->redis.password, "p");
    assert_int_equal(c->redis.replicas, 1);
    assert_string_equal(c->http.listen, "[::]:80");
    assert_string_equal(c->http.external_url, "https://kpi.example/x");
    assert_true(c->checkpoint.interval == 500 * KPI_MILLISECOND);
    assert_true(c->checkpoint.max_unsaved == 5000);
    assert_int_equal(c->state.on_loss, CONFIG_ON_LOSS_HALT);
    assert_string_equal(c->state.key_file, "/etc/kpid/keys/kpid.key");
    assert_int_equal(c->workers, 3);
    assert_string_equal(c->currency, "USD");
    assert_string_equal(s->timezone->value, "Asia/Shanghai");
    assert_int_equal(s->week_start, 6);
    assert_true(s->keep == 30 * KPI_DAY);
    assert_true(s->future_skew_max == KPI_MINUTE);
    assert_true(s->dedupe_window == KPI_HOUR);
    assert_true(c->dedupe_memory == 64 << 20);
    assert_true(s->users_max == 2000);
    assert_int_equal(s->values_max, 10);
    assert_int_equal(s->rolling.n, 2);
    assert_string_equal(s->rolling.items[0].data, "28d");
    assert_string_equal(s->rolling.items[1].data, "1d");
    assert_int_equal(s->active_types.n, 2);
    assert_int_equal(c->n_receivers, 1);
    assert_string_equal(c->receivers[0].name, "ops");
    assert_string_equal(c->receivers[0].url, "https://h/x");
    assert_string_equal(c->receivers[0].secret, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
    assert_string_equal(c->receivers[0].ca_file, "/etc/kpid/ca.pem");
    assert_string_equal(c->receivers[0].allow[0], "10.0.0.0/8");
    assert_null(c->receivers[0].allow[1]);
    release(&load);
}

static void single_texts_stand_for_lists_of_one(void **state)
{
    struct load load;

    load_text_settings(&load, "kafka: {brokers: a:1, topics: t}\nrolling: 14d\nactive_types: x\n");
    assert_string_equal(output, "");
    assert_int_equal(load.settings.config.kafka.n_topics, 1);
    assert_int_equal(load.settings.rolling.n, 1);
    assert_int_equal(load.settings.active_types.n, 1);
    release(&load);
}

static void bounds_are_kept(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } table[] = {
        {"checkpoint: {interval: 10ms}", true},
        {"checkpoint: {interval: 9ms}", false},
        {"checkpoint: {interval: 1h}", true},
        {"checkpoint: {interval: 3601s}", false},
        {"limits: {values: 1}", true},
        {"limits: {values: 0}", false},
        {"limits: {values: 1000001}", false},
        {"workers: 256", true},
        {"workers: 257", false},
        {"workers: 0", false},
        {"workers: auto", true},
        {"dedupe: {window: 0s}", true},
        {"dedupe: {memory: 1023KiB}", false},
        {"rolling: []", true},
        {"grains: []", true},
        {"active_types: []", false},
        {"kafka: {brokers: a:0, topics: t}", false},
        {"http: {listen: 'a:0'}", true},
        {"http: {listen: 'a:65536'}", false},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct load load;

        load_text_settings(&load, table[i].text);
        if ((load.report.n_errors == 0) != table[i].ok)
            fail_msg("%s: %s", table[i].text, output);
        release(&load);
    }
}

static void every_setting_is_documented(void **state)
{
    char *text = NULL;
    size_t size = 0, i;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    config_print_settings(out);
    assert_int_equal(fclose(out), 0);
    for (i = 0; i < settings_n; i++) {
        const struct setting *setting = &settings_table[i];

        assert_non_null(strstr(text, setting->path));
        assert_non_null(strstr(text, setting->help));
        assert_non_null(setting->kind->name);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes),
        cmocka_unit_test(decimals),
        cmocka_unit_test(dates),
        cmocka_unit_test(times),
        cmocka_unit_test(day_offsets),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(nearest_wins),
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(settings_arrive_in_their_fields),
        cmocka_unit_test(single_texts_stand_for_lists_of_one),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(every_setting_is_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
