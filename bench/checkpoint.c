/*
 * What a checkpoint costs: N MB of state saved and restored through the store, in objects of 64,
 * 128 and 256 KB, against a redis-server of its own on a unix socket.
 *
 *   checkpoint [MB] [rounds]      500 and 3 by default; the best and the median of the rounds
 *
 * Saving replaces all objects, so that from the second round on it also unlinks the old versions.
 */
#include "checkpoint.h"
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_ROUNDS_MAX 15

struct bench {
    struct store *store;
    struct store_manifest *manifest;
    struct kpi_object *objects;
    char (*names)[16];
    uint32_t n_objects;
    size_t size; /* of an object */
    size_t bytes_loaded;
};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void print_line(const char *what, size_t size, double bytes, double *seconds, int n)
{
    qsort(seconds, (size_t)n, sizeof(*seconds), compare_doubles);
    printf("%-8s %4zu KB   best %.3f s %6.0f MB/s   median %.3f s %6.0f MB/s   500 MB in %.2f s\n",
           what, size >> 10, seconds[0], bytes / seconds[0] / 1e6, seconds[n / 2],
           bytes / seconds[n / 2] / 1e6, seconds[n / 2] * 500e6 / bytes);
}

static int take(void *userdata, const struct kpi_object *object)
{
    struct bench *bench = userdata;

    bench->bytes_loaded += object->size;
    return 0;
}

static void run_round(struct bench *bench, int64_t round, double *ret_save, double *ret_load)
{
    double started = now();

    if (checkpoint_commit(bench->store, bench->manifest, round, bench->objects, bench->n_objects))
        fail_msg("%s", store_error(bench->store));
    *ret_save = now() - started;
    bench->bytes_loaded = 0;
    started = now();
    if (store_load(bench->store, bench->manifest, take, bench))
        fail_msg("%s", store_error(bench->store));
    *ret_load = now() - started;
    assert_int_equal(bench->bytes_loaded, bench->n_objects * bench->size);
}

static void run_size(const char *state, size_t bytes, size_t size, int n_rounds)
{
    struct redis_server *server = redis_server_new(NULL);
    struct bench bench = {.size = size, .n_objects = (uint32_t)(bytes / size)};
    double save[N_ROUNDS_MAX], load[N_ROUNDS_MAX];

    bench.objects = calloc(bench.n_objects, sizeof(*bench.objects));
    bench.names = calloc(bench.n_objects, sizeof(*bench.names));
    assert_non_null(bench.objects);
    assert_non_null(bench.names);
    for (uint32_t i = 0; i < bench.n_objects; i++) {
        (void)snprintf(bench.names[i], sizeof(bench.names[i]), "cell.%u", i);
        bench.objects[i] = (struct kpi_object){
            .name = {bench.names[i], strlen(bench.names[i])},
            .data = state + i * size,
            .size = size,
        };
    }
    bench.store = checkpoint_store(server->url, "bench", "bench:1");
    assert_int_equal(store_claim(bench.store, 0, 0, &bench.manifest), 0);
    for (int i = 0; i < n_rounds; i++)
        run_round(&bench, i, &save[i], &load[i]);
    print_line("save", size, (double)bench.n_objects * (double)size, save, n_rounds);
    print_line("restore", size, (double)bench.n_objects * (double)size, load, n_rounds);
    bench.manifest = store_manifest_free(bench.manifest);
    bench.store = store_free(bench.store);
    free(bench.objects);
    free(bench.names);
    (void)redis_server_free(server);
}

int main(int argc, char **argv)
{
    size_t bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 500) * 1000000;
    int n_rounds = argc > 2 ? atoi(argv[2]) : 3;
    uint64_t random = 1;
    char *state;

    if (!redis_server_available()) {
        fprintf(stderr, "redis-server is not installed\n");
        return 77;
    }
    if (bytes < 1000000 || n_rounds < 1 || n_rounds > N_ROUNDS_MAX) {
        fprintf(stderr, "usage: checkpoint [MB] [rounds, at most %d]\n", N_ROUNDS_MAX);
        return 64;
    }
    state = malloc(bytes);
    if (!state)
        return 71;
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        random = random * 6364136223846793005 + 1442695040888963407;
        memcpy(state + i, &random, 8);
    }
    for (size_t size = 64 << 10; size <= 256 << 10; size *= 2)
        run_size(state, bytes, size, n_rounds);
    free(state);
    return 0;
}
