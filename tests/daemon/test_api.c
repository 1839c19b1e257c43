/*
 * The pages as a client gets them: each route with its type and status, readiness by its checks,
 * refusals of unknown parameters, 304 while a view stays and new numbers when it is replaced, and
 * the status as `kpid status` prints it.
 *
 * The client (daemon/api/client.c) blocks, so it runs in a thread while the test turns the loop.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <event2/event.h>

#include "api/api.h"
#include "api/client.h"
#include "status_fixture.h"
#include "view_fixture.h"

static struct event_base *base;
static struct api *api;
static struct api_status status;

struct call {
    pthread_t thread;
    const char *path;
    struct client_reply reply;
    int r;
    atomic_bool done;
};

static int setup(void **state)
{
    base = event_base_new();
    status = status_fixture();
    assert_int_equal(
        api_new(&api,
                &(struct api_options){.base = base, .listen = "127.0.0.1:0", .status = &status}),
        0);
    return 0;
}

static int teardown(void **state)
{
    api = api_free(api);
    event_base_free(base);
    return 0;
}

static void set_view(struct view *view)
{
    api_set_view(api, view);
    view_unref(view);
}

static void *call(void *userdata)
{
    struct call *own = userdata;
    char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", api_port(api));
    own->r = client_get(&own->reply, url, own->path);
    atomic_store(&own->done, true);
    return NULL;
}

/* Gets a page; the text is to be freed. */
static char *get(const char *path, long expected_status)
{
    struct call own = {.path = path};
    const struct timeval tick = {.tv_usec = 1000};

    assert_int_equal(pthread_create(&own.thread, NULL, call, &own), 0);
    while (!atomic_load(&own.done)) {
        event_base_loopexit(base, &tick);
        event_base_loop(base, 0);
    }
    assert_int_equal(pthread_join(own.thread, NULL), 0);
    assert_int_equal(own.r, 0);
    if (own.reply.status != expected_status)
        fail_msg("%s: %ld %s", path, own.reply.status, own.reply.text);
    return own.reply.text;
}

static void assert_page(const char *path, long expected_status, const char *contains)
{
    char *text = get(path, expected_status);

    if (!strstr(text, contains))
        fail_msg("%s: no %s in: %s", path, contains, text);
    free(text);
}

static void test_health_needs_nothing(void **state)
{
    status.checks[0].ok = false;
    assert_page("/-/healthy", 200, "ok\n");
}

static void test_ready_says_why_not(void **state)
{
    assert_page("/-/ready", 503, "[-]view failed: no numbers yet\nnot ready\n");
    set_view(view_fixture_new(1));
    assert_page("/-/ready", 200, "[+]kafka ok: reading\n[+]redis ok\nready\n");
    status.checks[1] = (struct api_check){"redis", false, "no answer for 12 s"};
    assert_page("/-/ready", 503,
                "[+]kafka ok: reading\n[-]redis failed: no answer for 12 s\nnot ready\n");
}

static void test_pages_without_a_view(void **state)
{
    assert_page("/api/v1/kpis", 503, "{\"error\":{\"code\":\"unavailable\",");
    assert_page("/api/v1/alerts", 503, "{\"error\":{\"code\":\"unavailable\",");
    assert_page("/api/v1/plan", 503, "{\"error\":{\"code\":\"unavailable\",");
    assert_page("/api/v1/status", 200, "\"view\":null");
    assert_page("/metrics", 200, "kpid_view_complete 0\n");
    assert_page("/", 200, "<a href=\"/api/v1/kpis\">");
}

static void test_parameters_of_kpis(void **state)
{
    set_view(view_fixture_new(2));
    assert_page("/api/v1/kpis?campaign=618%20%E5%A4%A7%E4%BF%83&kpi=roi&scope=phase:burst", 200,
                "\"kpis\":[{\"kpi\":\"roi\",\"campaign\":\"618 大促\"");
    assert_page("/api/v1/kpis?campaign=x", 404, "\"code\":\"unknown_campaign\"");
    assert_page("/api/v1/kpis?kpi=x", 404, "\"code\":\"unknown_kpi\"");
    assert_page("/api/v1/kpis?scope=x", 404, "\"code\":\"unknown_scope\"");
    assert_page("/api/v1/kpis?campain=x", 400, "\"code\":\"unknown_parameter\"");
    assert_page("/api/v1/kpis?campaign=618&x=1", 400, "\"code\":\"unknown_parameter\"");
    assert_page("/api/v1/alerts?x=1", 400, "\"code\":\"unknown_parameter\"");
    assert_page("/api/v1/status?x=1", 400, "\"code\":\"unknown_parameter\"");
}

static void test_the_plan_says_what_is_counted(void **state)
{
    static const struct config_setting settings[] = {{"kafka.group", 0xc0ffee}};

    status.settings = settings;
    status.n_settings = 1;
    set_view(view_fixture_new(1));
    assert_page("/api/v1/plan", 200, "{\"fingerprint\":\"");
    assert_page("/api/v1/plan", 200, "{\"name\":\"roi\",\"formula\":\"");
    assert_page("/api/v1/plan", 200, "{\"kind\":\"measure\",\"name\":\"");
    assert_page("/api/v1/plan", 200, "\"id\":\"618 大促\",\"timezone\":\"Asia/Shanghai\",");
    assert_page("/api/v1/plan", 200, "\"settings\":{\"kafka.group\":\"0000000000c0ffee\"}}");
    assert_page("/api/v1/plan?x=1", 400, "\"code\":\"unknown_parameter\"");
}

static void test_an_answer_is_bounded(void **state)
{
    set_view(view_fixture_new(300)); /* × 15 scopes × 6 KPIs */
    assert_page("/api/v1/kpis", 400, "\"code\":\"too_many_values\"");
    assert_page("/api/v1/kpis?scope=campaign", 200, "\"campaign-299\"");
}

static void test_a_new_view_shows_at_once(void **state)
{
    struct view *view;

    for (int i = 1; i <= 12; i++) {
        char expected[64];

        view = view_fixture_new(1);
        view->version = (uint64_t)i;
        view_fixture_set(view, 0, FIXTURE_CAMPAIGN, FIXTURE_ORDERS, KPI_VALUE_OK, i, 0);
        set_view(view);
        snprintf(expected, sizeof(expected), "\"value\":%d,", i);
        assert_page("/api/v1/kpis?kpi=orders_placed&scope=campaign", 200, expected);
        snprintf(expected, sizeof(expected), "scope=\"campaign\"} %d\n", i);
        assert_page("/metrics", 200, expected);
    }
}

static void test_filters_do_not_mix_in_the_cache(void **state)
{
    char path[128], expected[64];

    set_view(view_fixture_new(30));
    /* More questions than the cache has places, twice. */
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof(path), "/api/v1/kpis?campaign=campaign-%d&kpi=roi&scope=campaign",
                 1 + i % 20);
        snprintf(expected, sizeof(expected), "\"campaign\":\"campaign-%d\"", 1 + i % 20);
        assert_page(path, 200, expected);
    }
    assert_page("/api/v1/kpis?kpi=roi&scope=rolling", 200, "\"kpi\":\"roi\"");
    assert_page("/api/v1/kpis?kpi=nps&scope=rolling", 200, "\"kpi\":\"nps\"");
    assert_page("/api/v1/kpis?kpi=nps&scope=phase", 200, "\"kind\":\"phase\"");
}

static long if_none_match(const char *etag)
{
    char url[128], header[128];
    struct curl_slist *headers;
    CURL *curl = curl_easy_init();
    long code = 0;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/api/v1/kpis?kpi=roi", api_port(api));
    snprintf(header, sizeof(header), "If-None-Match: %s", etag);
    headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return code;
}

struct etag_call {
    pthread_t thread;
    char etag[64];
    long first, same, newer;
    atomic_int step;
};

static size_t take_etag(char *data, size_t one, size_t size, void *userdata)
{
    char *etag = userdata;

    if (size > 6 && strncasecmp(data, "ETag: ", 6) == 0 && size - 8 < 64) {
        memcpy(etag, data + 6, size - 8);
        etag[size - 8] = '\0';
    }
    return size;
}

static void *etag_calls(void *userdata)
{
    struct etag_call *own = userdata;
    CURL *curl = curl_easy_init();
    char url[128];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/api/v1/kpis?kpi=roi", api_port(api));
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_etag);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, own->etag);
    (void)curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &own->first);
    curl_easy_cleanup(curl);
    own->same = if_none_match(own->etag);
    atomic_store(&own->step, 1);
    while (atomic_load(&own->step) == 1)
        sched_yield();
    own->newer = if_none_match(own->etag);
    atomic_store(&own->step, 3);
    return NULL;
}

static void test_etag_follows_the_view(void **state)
{
    const struct timeval tick = {.tv_usec = 1000};
    struct etag_call own = {0};
    struct view *view;

    set_view(view_fixture_new(1));
    assert_int_equal(pthread_create(&own.thread, NULL, etag_calls, &own), 0);
    while (atomic_load(&own.step) != 3) {
        event_base_loopexit(base, &tick);
        event_base_loop(base, 0);
        if (atomic_load(&own.step) == 1) {
            view = view_fixture_new(1);
            view->version = 2;
            set_view(view);
            atomic_store(&own.step, 2);
        }
    }
    assert_int_equal(pthread_join(own.thread, NULL), 0);
    assert_int_equal(own.first, 200);
    assert_int_equal(own.same, 304);
    assert_int_equal(own.newer, 200);
}

static void test_status_as_json(void **state)
{
    char *text;
    cJSON *root;
    const cJSON *shard;

    set_view(view_fixture_new(1));
    text = get("/api/v1/status", 200);
    root = cJSON_Parse(text);
    assert_non_null(root);
    shard = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "shards"), 0);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(shard, "epoch")), 3);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(shard, "unsaved")), 42);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(shard, "saved_at")),
                        "2026-11-11T03:59:55Z");
    shard = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "shards"), 1);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(shard, "lag")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(shard, "saved_at")));
    assert_int_equal(
        cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(root, "plan"), "kpis")),
        FIXTURE_KPIS);
    cJSON_Delete(root);
    free(text);
}

static void test_status_as_printed(void **state)
{
    char *text, *printed;
    size_t size;
    FILE *out = open_memstream(&printed, &size);

    status.reload.successful = false;
    status.reload.error = "kpid.yaml:3:1: error: unknown key \"x\"";
    set_view(view_fixture_new(1));
    text = get("/api/v1/status", 200);
    assert_int_equal(client_print_status(out, text), 0);
    fclose(out);
    free(text);
    assert_memory_equal(printed,
                        "kpid 0.1.0, group demo, instance host:1, since 2026-11-11T03:00:00Z\n"
                        "numbers as of 2026-11-11T04:00:00Z, complete; this instance judges "
                        "targets and alerts\n",
                        150);
    assert_non_null(strstr(printed, "kafka    ok: reading\nredis    ok\nready    yes\n"
                                    "reload   FAILED: kpid.yaml:3:1: error: unknown key \"x\"; "
                                    "the configuration of 2026-11-11T03:00:00Z is in force\n"));
    assert_non_null(strstr(
        printed,
        "SHARD  OWNED  CAUGHT UP  LAG  EPOCH  UNSAVED  SAVED AT              APPLIED  DUPES  "
        "CONFLICTS  REFUSED  USERS\n"
        "    0  yes    yes          0      3       42  2026-11-11T03:59:55Z     1000      7  "
        "        0        0    300\n"));
    assert_non_null(strstr(printed, "boss \"B\"  disabled (410)"));
    free(printed);
}

static void test_what_is_no_status_is_not_printed(void **state)
{
    static const char *const texts[] = {"", "ok", "[]", "{}", "{\"checks\":", "null"};
    char *printed;
    size_t size;
    FILE *out = open_memstream(&printed, &size);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(client_print_status(out, texts[i]), CLIENT_E_ANSWER);
    fclose(out);
    assert_int_equal(size, 0);
    free(printed);
}

static void test_nobody_there(void **state)
{
    struct client_reply reply;
    char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", api_port(api));
    api = api_free(api);
    assert_int_equal(client_get(&reply, url, "/-/ready"), CLIENT_E_AWAY);
    assert_null(reply.text);
    assert_int_not_equal(reply.error[0], '\0');
    assert_int_equal(client_get(&reply, "file:///etc", "/passwd"), CLIENT_E_AWAY);
    assert_null(reply.text);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_health_needs_nothing),
        TEST(test_ready_says_why_not),
        TEST(test_pages_without_a_view),
        TEST(test_parameters_of_kpis),
        TEST(test_the_plan_says_what_is_counted),
        TEST(test_an_answer_is_bounded),
        TEST(test_a_new_view_shows_at_once),
        TEST(test_filters_do_not_mix_in_the_cache),
        TEST(test_etag_follows_the_view),
        TEST(test_status_as_json),
        TEST(test_status_as_printed),
        TEST(test_what_is_no_status_is_not_printed),
        TEST(test_nobody_there),
    };
    int n_failed;

    curl_global_init(CURL_GLOBAL_DEFAULT); /* before threads */
    n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return n_failed;
}
