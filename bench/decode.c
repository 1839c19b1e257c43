/*
 * What decoding one event costs: kpid's decoder, and beside it cJSON parsing the same message and
 * looking up the same 8 fields, on the same corpus in the same run.
 *
 *   decode                  nanoseconds an event of both, best and median of the rounds
 *   decode --once kpid      decodes the corpus once, for callgrind: see decode_instructions.sh
 *   decode --once cjson
 *
 * kpid's side does more: it hashes user, id, type, strings and content, reads time and amount into
 * integers, and validates strictly.
 */
#include "codec/event_json.h"
#include "decoder_key.h"
#include "plan_fake.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    N_EVENTS = 50000,
    N_EVENTS_ONCE = 5000,
    N_ROUNDS = 15,
};

static const struct kpi_field_spec fields[] = {
    {{"campaign", 8}, KPI_USE_STRING},
    {{"channel", 7}, KPI_USE_STRING},
    {{"variant", 7}, KPI_USE_STRING},
    {{"amount", 6}, KPI_USE_AMOUNT},
};
static const struct kpi_plan plan = {fields, sizeof(fields) / sizeof(fields[0])};

struct corpus {
    char *bytes;
    size_t *starts; /* n_events + 1 */
    size_t n_events;
};

static uint64_t random_next(uint64_t *state)
{
    /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/*
 * One event of about 261 bytes: 12 keys, a nested object and an array, 8 types, users half uniform
 * and half out of a hot tenth; one campaign in sixteen has a Chinese name, one title in two hundred
 * escapes.
 */
static int event_write(char *to, size_t size, uint64_t *state)
{
    static const char *const types[8] = {"exposure", "participation", "login", "share",
                                         "purchase", "signup",        "like",  "survey"};
    static const char *const channels[4] = {"wechat", "app", "web", "weibo"};
    static const char *const campaigns[4] = {"double11", "monthly-08", "member-day", "spring"};
    static const char *const titles[4] = {"Home", "Members", "Flash sale", "Coupons"};
    uint64_t r = random_next(state), user = random_next(state) % 1000000;
    const char *campaign = r % 16 == 0 ? "双十一狂欢" : campaigns[r >> 8 & 3];
    const char *title =
        (r >> 40) % 200 == 0 ? "\\u53cc\\u5341\\u4e00 \\\"VIP\\\"" : titles[r >> 12 & 3];

    if (r >> 63)
        user %= 100000;
    return snprintf(to, size,
                    "{\"id\":\"01J%016" PRIX64 "\",\"type\":\"%s\",\"user\":\"u-%06" PRIu64
                    "\",\"time\":\"2026-11-%02uT%02u:%02u:%02u.%03u+08:00\",\"campaign\":\"%s\","
                    "\"channel\":\"%s\","
                    "\"variant\":\"%c\",\"amount\":\"%u.%02u\",\"visit\":%u,\"page\":\"%s\","
                    "\"props\":{\"sku\":\"A%u\",\"n\":%u,\"os\":\"%s\"},\"tags\":[\"%s\"]}",
                    random_next(state), types[r >> 16 & 7], user, (unsigned)(r >> 20) % 28 + 1,
                    (unsigned)(r >> 24) % 24, (unsigned)(r >> 28) % 60, (unsigned)(r >> 32) % 60,
                    (unsigned)(r >> 36) % 1000, campaign, channels[r >> 44 & 3],
                    'A' + (int)(r >> 46 & 1), (unsigned)(r >> 20) % 900 + 10,
                    (unsigned)(r >> 30) % 100, (unsigned)(r >> 33) % 100000, title,
                    (unsigned)(r >> 22) % 10000, (unsigned)(r >> 26) % 9 + 1,
                    r & 64 ? "ios" : "android", r & 128 ? "new" : "vip");
}

static bool corpus_make(struct corpus *corpus, size_t n_events)
{
    const size_t event_bytes_max = 512;
    uint64_t state = 20261122;
    size_t at = 0;

    corpus->n_events = n_events;
    corpus->bytes = malloc(n_events * event_bytes_max);
    corpus->starts = malloc((n_events + 1) * sizeof(*corpus->starts));
    if (!corpus->bytes || !corpus->starts)
        return false;
    for (size_t i = 0; i < n_events; i++) {
        corpus->starts[i] = at;
        at += (size_t)event_write(corpus->bytes + at, event_bytes_max, &state);
    }
    corpus->starts[n_events] = at;
    return true;
}

/* The sums keep the work from being optimised away, and show that all events were read. */
__attribute__((noinline)) static uint64_t run_kpid(const struct corpus *corpus,
                                                   struct event_decoder *decoder)
{
    const struct event_origin origin = {.record_time = KPI_TIME_NONE};
    struct kpi_field values[sizeof(fields) / sizeof(fields[0])];
    struct kpi_event event = {.fields = values};
    uint64_t sum = 0;

    for (size_t i = 0; i < corpus->n_events; i++) {
        const char *bytes = corpus->bytes + corpus->starts[i];

        if (i % KPI_BATCH_MAX == 0)
            event_decoder_reset(decoder);
        if (event_decode(decoder, bytes, corpus->starts[i + 1] - corpus->starts[i], &origin,
                         &event) == KPI_REFUSAL_NONE)
            sum += 1 + (values[3].number == 0);
    }
    return sum;
}

__attribute__((noinline)) static uint64_t run_cjson(const struct corpus *corpus)
{
    static const char *const names[8] = {"id",       "type",    "user",    "time",
                                         "campaign", "channel", "variant", "amount"};
    uint64_t sum = 0;

    for (size_t i = 0; i < corpus->n_events; i++) {
        const char *bytes = corpus->bytes + corpus->starts[i];
        cJSON *object = cJSON_ParseWithLength(bytes, corpus->starts[i + 1] - corpus->starts[i]);
        unsigned n_found = 0;

        for (unsigned k = 0; k < 8; k++)
            n_found += cJSON_GetObjectItemCaseSensitive(object, names[k]) != NULL;
        sum += n_found == 8;
        cJSON_Delete(object);
    }
    return sum;
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool run_rounds(const struct corpus *corpus, struct event_decoder *decoder)
{
    double kpid[N_ROUNDS], cjson[N_ROUNDS], n = (double)corpus->n_events;
    uint64_t n_read = 0;

    for (unsigned round = 0; round < N_ROUNDS; round++) {
        double start = now_ns(), middle;

        n_read += run_kpid(corpus, decoder);
        middle = now_ns();
        n_read += run_cjson(corpus);
        kpid[round] = (middle - start) / n;
        cjson[round] = (now_ns() - middle) / n;
    }
    qsort(kpid, N_ROUNDS, sizeof(double), double_compare);
    qsort(cjson, N_ROUNDS, sizeof(double), double_compare);
    printf("events %zu, mean %.0f bytes, CPU ns an event, %d rounds\n", corpus->n_events,
           (double)corpus->starts[corpus->n_events] / n, N_ROUNDS);
    printf("kpid   best %6.0f  median %6.0f\n", kpid[0], kpid[N_ROUNDS / 2]);
    printf("cJSON  best %6.0f  median %6.0f\n", cjson[0], cjson[N_ROUNDS / 2]);
    printf("ratio  best %6.1f  median %6.1f\n", cjson[0] / kpid[0],
           cjson[N_ROUNDS / 2] / kpid[N_ROUNDS / 2]);
    return n_read == 2 * (uint64_t)N_ROUNDS * corpus->n_events;
}

int main(int argc, char **argv)
{
    const struct event_decoder_options options = {&plan, decoder_key, "CNY"};
    bool once = argc == 3 && strcmp(argv[1], "--once") == 0;
    struct event_decoder *decoder;
    struct corpus corpus;
    bool all_read;

    if (argc != 1 && !once) {
        fprintf(stderr, "usage: decode [--once kpid|cjson]\n");
        return EXIT_FAILURE;
    }
    if (!corpus_make(&corpus, once ? N_EVENTS_ONCE : N_EVENTS) ||
        event_decoder_new(&decoder, &options) < 0)
        return EXIT_FAILURE;
    if (!once)
        all_read = run_rounds(&corpus, decoder);
    else if (strcmp(argv[2], "cjson") == 0)
        all_read = run_cjson(&corpus) == corpus.n_events;
    else
        all_read = run_kpid(&corpus, decoder) == corpus.n_events;
    if (once)
        printf("%zu events\n", corpus.n_events);
    event_decoder_free(decoder);
    free(corpus.bytes);
    free(corpus.starts);
    return all_read ? EXIT_SUCCESS : EXIT_FAILURE;
}
