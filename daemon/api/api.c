/*
 * The routes. A page that is a function of the view (and, for /metrics, of counters that may be a
 * second old) is made once per version and kept in the cache; the status is made each time.
 */
#include "api.h"

#include "api/answers.h"
#include "api/cache.h"
#include "api/exposition.h"
#include "api/http.h"
#include "api/kpis.h"
#include "api/metrics.h"
#include "api/pages.h"
#include "api/plan.h"
#include "util/clock.h"
#include "util/error.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json; charset=utf-8"

enum {
    KPIS_MAX = 20000, /* values of one answer of /api/v1/kpis */
};

#define METRICS_AGE_MAX INT64_C(1000000)

struct api {
    struct http_server *server;
    struct cache *cache;
    const struct api_status *status;
    struct view *view; /* NULL: none yet */
    int64_t nonce;     /* tells versions of this process from those of the one before */
};

/* What makes the page: 0 and a text to free(), an outcome of its own, or -ENOMEM. */
struct page {
    const char *content_type;
    int (*write)(const struct api *api, const void *question, char **ret_text, size_t *ret_size);
    const void *question;
};

static void fail(struct http_response *response, const struct http_request *request)
{
    http_response_error(response, request, 500, "internal", "out of memory");
}

static void on_sent(const void *data, size_t size, void *userdata)
{
    free(userdata);
}

/* The page as made now. Returns 0, or the page's outcome with nothing answered yet. */
static int reply_fresh(const struct api *api, const struct page *page,
                       const struct http_request *request, struct http_response *response)
{
    char *text;
    size_t size;
    int r = page->write(api, page->question, &text, &size);

    if (r > 0)
        return r;
    response->content_type = page->content_type;
    if (r == 0 && evbuffer_add_reference(response->body, text, size, on_sent, text) < 0) {
        free(text);
        r = -ENOMEM;
    }
    if (r < 0)
        fail(response, request);
    return 0;
}

/* The page as kept under the key, made anew if it is out of date. */
static int reply_cached(const struct api *api, const struct page *page, const char *key,
                        int64_t age_us_max, const struct http_request *request,
                        struct http_response *response)
{
    uint64_t version = api->view ? api->view->version : 0;
    char *text;
    size_t size;
    int r;

    response->content_type = page->content_type;
    if (cache_reply(api->cache, key, version, age_us_max, request, response))
        return 0;
    r = page->write(api, page->question, &text, &size);
    if (r > 0)
        return r;
    if (r < 0 || cache_put(api->cache, key, version, text, size) < 0 ||
        !cache_reply(api->cache, key, version, INT64_MAX, request, response))
        fail(response, request);
    return 0;
}

static void refuse_parameters(const struct http_request *request, struct http_response *response)
{
    http_response_error(response, request, 400, "unknown_parameter",
                        "this page does not know a parameter of the query");
}

/* Pages of numbers need some. */
static bool lacks_view(const struct api *api, const struct http_request *request,
                       struct http_response *response)
{
    if (!api->view)
        http_response_error(response, request, 503, "unavailable", "no numbers yet");
    return !api->view;
}

/* Sets the ETag. True: the client has this version, and the server will say so. */
static bool is_known(const struct api *api, const struct http_request *request,
                     struct http_response *response)
{
    (void)snprintf(response->etag, sizeof(response->etag), "%" PRIx64 "-%" PRIx64,
                   (uint64_t)api->nonce, api->view->version);
    return http_response_is_known(response, request);
}

static int write_metrics(const struct api *api, const void *question, char **ret_text,
                         size_t *ret_size)
{
    const enum exposition_format *format = question;

    return metrics_write(ret_text, ret_size, *format, api->view, api->status);
}

static void handle_metrics(void *userdata, const struct http_request *request,
                           struct http_response *response)
{
    struct page page = {.write = write_metrics};
    enum exposition_format format = exposition_negotiate(request->accept, &page.content_type);

    page.question = &format;
    (void)reply_cached(userdata, &page,
                       format == EXPOSITION_TEXT ? "metrics text" : "metrics openmetrics",
                       METRICS_AGE_MAX, request, response);
}

static int write_kpis(const struct api *api, const void *question, char **ret_text,
                      size_t *ret_size)
{
    return kpis_write(ret_text, ret_size, api->view, question, KPIS_MAX);
}

static void refuse_kpis(const struct http_request *request, struct http_response *response, int r)
{
    switch (r) {
    case KPIS_E_CAMPAIGN:
        http_response_error(response, request, 404, "unknown_campaign",
                            "there is no such campaign");
        break;
    case KPIS_E_KPI:
        http_response_error(response, request, 404, "unknown_kpi", "there is no such KPI");
        break;
    case KPIS_E_SCOPE:
        http_response_error(response, request, 404, "unknown_scope",
                            "there is no such scope: campaign, phase, rolling, a grain that is "
                            "reported, or one like phase:NAME, day:2026-11-11, rolling:7d");
        break;
    case KPIS_E_BY:
        http_response_error(response, request, 404, "unknown_breakdown",
                            "nothing is broken down so: by=* shows what there is");
        break;
    case KPIS_E_TOO_MANY:
        http_response_error(response, request, 400, "too_many_values",
                            "the answer would be too long: ask for one campaign, kpi, scope or by");
        break;
    }
}

static void handle_kpis(void *userdata, const struct http_request *request,
                        struct http_response *response)
{
    const struct kpis_filter filter = {.campaign = http_request_find(request, "campaign"),
                                       .kpi = http_request_find(request, "kpi"),
                                       .scope = http_request_find(request, "scope"),
                                       .by = http_request_find(request, "by")};
    const struct page page = {JSON, write_kpis, &filter};
    const struct api *api = userdata;
    char key[CACHE_KEY_BYTES_MAX];

    if (request->n_parameters >
        (unsigned)(!!filter.campaign + !!filter.kpi + !!filter.scope + !!filter.by)) {
        refuse_parameters(request, response);
        return;
    }
    if (lacks_view(api, request, response) || is_known(api, request, response))
        return;
    /* Values hold no control characters, so line feeds tell the parts apart; absent is not empty.
     */
    (void)snprintf(key, sizeof(key), "kpis\n%s%s\n%s%s\n%s%s\n%s%s", filter.campaign ? "=" : "",
                   filter.campaign ? filter.campaign : "", filter.kpi ? "=" : "",
                   filter.kpi ? filter.kpi : "", filter.scope ? "=" : "",
                   filter.scope ? filter.scope : "", filter.by ? "=" : "",
                   filter.by ? filter.by : "");
    refuse_kpis(request, response, reply_cached(api, &page, key, INT64_MAX, request, response));
}

/* One table, funnel or experiment. */
struct answers_question {
    enum kpi_answer_kind kind;
    struct answers_filter filter;
};

static int write_answers(const struct api *api, const void *data, char **ret_text, size_t *ret_size)
{
    const struct answers_question *question = data;

    return answers_write(ret_text, ret_size, api->view, question->kind, &question->filter);
}

static void refuse_answers(const struct http_request *request, struct http_response *response,
                           int r)
{
    switch (r) {
    case ANSWERS_E_NAME:
        http_response_error(response, request, 404, "unknown_name",
                            "nothing of this kind is called so: /api/v1/plan lists what there is");
        break;
    case ANSWERS_E_BY:
        http_response_error(response, request, 404, "unknown_breakdown",
                            "it is not broken down so: by=* shows what there is");
        break;
    case ANSWERS_E_TIME:
        http_response_error(response, request, 400, "bad_time",
                            "from and to are dates, as 2026-11-11, or times with zone, as "
                            "2026-11-11T00:00:00Z (a + is written %2B)");
        break;
    }
}

static void handle_answers(const struct api *api, const struct http_request *request,
                           struct http_response *response, enum kpi_answer_kind kind)
{
    const struct answers_question question = {
        .kind = kind,
        .filter = {.name = strrchr(request->path, '/') + 1,
                   .from = http_request_find(request, "from"),
                   .to = http_request_find(request, "to"),
                   .by = http_request_find(request, "by")},
    };
    const struct answers_filter *filter = &question.filter;
    const struct page page = {JSON, write_answers, &question};
    char key[CACHE_KEY_BYTES_MAX];

    if (request->n_parameters > (unsigned)(!!filter->from + !!filter->to + !!filter->by)) {
        refuse_parameters(request, response);
        return;
    }
    if (lacks_view(api, request, response) || is_known(api, request, response))
        return;
    (void)snprintf(key, sizeof(key), "%s\n%s\n%s\n%s%s", request->path,
                   filter->from ? filter->from : "", filter->to ? filter->to : "",
                   filter->by ? "=" : "", filter->by ? filter->by : "");
    refuse_answers(request, response, reply_cached(api, &page, key, INT64_MAX, request, response));
}

static void handle_tables(void *userdata, const struct http_request *request,
                          struct http_response *response)
{
    handle_answers(userdata, request, response, KPI_ANSWER_TABLE);
}

static void handle_funnels(void *userdata, const struct http_request *request,
                           struct http_response *response)
{
    handle_answers(userdata, request, response, KPI_ANSWER_FUNNEL);
}

static void handle_experiments(void *userdata, const struct http_request *request,
                               struct http_response *response)
{
    handle_answers(userdata, request, response, KPI_ANSWER_EXPERIMENT);
}

static int write_alerts(const struct api *api, const void *question, char **ret_text,
                        size_t *ret_size)
{
    return pages_write_alerts(ret_text, ret_size, api->view);
}

static void handle_alerts(void *userdata, const struct http_request *request,
                          struct http_response *response)
{
    static const struct page page = {JSON, write_alerts, NULL};
    const struct api *api = userdata;

    if (request->n_parameters > 0)
        refuse_parameters(request, response);
    else if (!lacks_view(api, request, response) && !is_known(api, request, response))
        (void)reply_cached(api, &page, "alerts", INT64_MAX, request, response);
}

static int write_plan(const struct api *api, const void *question, char **ret_text,
                      size_t *ret_size)
{
    return plan_write(ret_text, ret_size, kpi_layout_plan(api->view->layout), api->status->settings,
                      api->status->n_settings);
}

static void handle_plan(void *userdata, const struct http_request *request,
                        struct http_response *response)
{
    static const struct page page = {JSON, write_plan, NULL};
    const struct api *api = userdata;

    if (request->n_parameters > 0)
        refuse_parameters(request, response);
    else if (!lacks_view(api, request, response))
        (void)reply_fresh(api, &page, request, response);
}

static int write_status(const struct api *api, const void *question, char **ret_text,
                        size_t *ret_size)
{
    return pages_write_status(ret_text, ret_size, api->view, api->status);
}

static void handle_status(void *userdata, const struct http_request *request,
                          struct http_response *response)
{
    static const struct page page = {JSON, write_status, NULL};

    if (request->n_parameters > 0)
        refuse_parameters(request, response);
    else
        (void)reply_fresh(userdata, &page, request, response);
}

static void handle_healthy(void *userdata, const struct http_request *request,
                           struct http_response *response)
{
    response->content_type = TEXT;
    if (evbuffer_add_printf(response->body, "ok\n") < 0)
        fail(response, request);
}

/* One line a check, as Kubernetes' API server has it. */
static void handle_ready(void *userdata, const struct http_request *request,
                         struct http_response *response)
{
    const struct api *api = userdata;
    bool ready = api->view != NULL;
    int r = 0;

    response->content_type = TEXT;
    for (unsigned i = 0; i < api->status->n_checks && r >= 0; i++) {
        const struct api_check *check = &api->status->checks[i];

        ready = ready && check->ok;
        r = evbuffer_add_printf(response->body, "[%c]%s %s%s%s\n", check->ok ? '+' : '-',
                                check->name, check->ok ? "ok" : "failed", check->reason ? ": " : "",
                                check->reason ? check->reason : "");
    }
    if (r >= 0)
        r = evbuffer_add_printf(response->body, "%s%s\n",
                                api->view ? "" : "[-]view failed: no numbers yet\n",
                                ready ? "ready" : "not ready");
    if (r < 0)
        fail(response, request);
    else
        response->status = ready ? 200 : 503;
}

static void handle_root(void *userdata, const struct http_request *request,
                        struct http_response *response)
{
    static const char page[] =
        "<!DOCTYPE html>\n"
        "<html lang=\"en\">\n"
        "<head><meta charset=\"utf-8\"><title>kpid</title></head>\n"
        "<body>\n"
        "<h1>kpid</h1>\n"
        "<ul>\n"
        "<li><a href=\"/api/v1/kpis\">KPI values</a> (JSON; filters: campaign, kpi, scope, "
        "by)</li>\n"
        "<li><a href=\"/api/v1/alerts\">Targets and alerts</a> (JSON)</li>\n"
        "<li><a href=\"/api/v1/plan\">What is counted, by which definitions</a> (JSON)</li>\n"
        "<li><a href=\"/api/v1/status\">Status of this instance</a> (JSON)</li>\n"
        "<li><a href=\"/metrics\">Metrics</a> (Prometheus)</li>\n"
        "<li><a href=\"/-/ready\">Ready?</a> <a href=\"/-/healthy\">Healthy?</a></li>\n"
        "</ul>\n"
        "</body>\n"
        "</html>\n";

    response->content_type = "text/html; charset=utf-8";
    if (evbuffer_add(response->body, page, sizeof(page) - 1) < 0)
        fail(response, request);
}

static const struct http_route routes[] = {
    {"/", handle_root},
    {"/-/healthy", handle_healthy},
    {"/-/ready", handle_ready},
    {"/api/v1/alerts", handle_alerts},
    {"/api/v1/funnels/", handle_funnels},
    {"/api/v1/experiments/", handle_experiments},
    {"/api/v1/kpis", handle_kpis},
    {"/api/v1/plan", handle_plan},
    {"/api/v1/status", handle_status},
    {"/api/v1/tables/", handle_tables},
    {"/metrics", handle_metrics},
};

int api_new(struct api **ret_api, const struct api_options *options)
{
    CLEANUP(api_freep) struct api *api = calloc(1, sizeof(*api));
    int r;

    if (!api)
        return error_origin(-ENOMEM);
    api->status = options->status;
    api->nonce = clock_now_us();
    api->cache = cache_new();
    if (!api->cache)
        return error_origin(-ENOMEM);
    r = http_server_new(&api->server,
                        &(struct http_options){.base = options->base,
                                               .listen = options->listen,
                                               .routes = routes,
                                               .n_routes = sizeof(routes) / sizeof(routes[0]),
                                               .userdata = api});
    if (r)
        return r;
    *ret_api = api;
    api = NULL;
    return 0;
}

struct api *api_free(struct api *api)
{
    if (!api)
        return NULL;
    api->server = http_server_free(api->server);
    api->cache = cache_free(api->cache);
    api->view = view_unref(api->view);
    free(api);
    return NULL;
}

void api_freep(struct api **api)
{
    *api = api_free(*api);
}

uint16_t api_port(const struct api *api)
{
    return http_server_port(api->server);
}

void api_set_view(struct api *api, struct view *view)
{
    struct view *old = api->view;

    api->view = view_ref(view);
    (void)view_unref(old);
}
