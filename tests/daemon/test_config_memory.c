/*
 * Claim: when memory runs out at any single allocation of a load, config_load() returns -ENOMEM and
 * leaks nothing; it never crashes, and never takes the file for a good or a bad one.
 *
 * The linker sends the allocations of our own code here (--wrap); libyaml's and the C library's own
 * stay as they are. At each of them the load goes on in a child, where it fails, and in the parent,
 * where it does not: one load tries them all.
 */
#include "config/config.h"
#include "util/memory.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *p);

static bool trying; /* children are made */
static bool failed; /* this is a child, and its allocation has failed */
static int n_tried;
static int64_t
    n_held; /* what our own code has allocated, less what it has freed: that of scandir(), too */

static bool fails(void)
{
    int status;
    pid_t child;

    if (!trying)
        return false;
    n_tried++;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const int caught[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};

        for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
            (void)signal(caught[i], SIG_DFL); /* cmocka's would go on with the parent's tests */
        trying = false;
        failed = true;
        return true;
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status)
        fail_msg("allocation %d: status %#x", n_tried, status);
    return false;
}

static void *held(void *p)
{
    n_held += p != NULL;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : held(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : held(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
    if (fails())
        return NULL;
    n_held -= p != NULL;
    return held(__real_realloc(p, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : held(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : held(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails() ? NULL : held(__real_strndup(text, size));
}

void __wrap_free(void *p)
{
    n_held -= p != NULL;
    __real_free(p);
}

static void ignore(void *userdata, const char *text)
{
    /* what is told before memory ends does not matter here */
}

static const struct config_report to_nobody = {ignore, NULL};

/* Loads with each allocation failing in a child of its own, then with none: that gives `expected`.
 */
static void fail_each(const char *path, int expected)
{
    struct config *config = NULL;
    uint64_t bytes = memory_bytes();
    int64_t held_before = n_held;
    int r;

    n_tried = 0;
    trying = true;
    r = config_load(&config, path, 4, &to_nobody);
    trying = false;
    if (failed) /* no way back to the tests: they are the parent's */
        _exit(r == -ENOMEM && !config && memory_bytes() == bytes && n_held <= held_before ? 0 : 1);
    assert_int_equal(r, expected);
    config_free(config);
    assert_true(n_tried > 25); /* it was really our allocations that failed */
    assert_true(memory_bytes() == bytes);
    assert_true(n_held <= held_before);
}

static void a_good_file(void **state)
{
    fail_each(CONFIG_DIRECTORY "/kpid.yaml", 0);
}

static void a_bad_file(void **state)
{
    static const char text[] = "redis: {url: 'redis://h/0', password: p, username: u}\n"
                               "kafka: {brokers: a:1, topics: [t, u, v], dead_letter_topic: d,\n"
                               "  properties: {client.id: $$x, sasl.password: p}}\n"
                               "receivers:\n"
                               "  - {name: a, url: 'https://h', ca_file: x, allow: [10.0.0.0/8],\n"
                               "     secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz}\n"
                               "  - {name: a, url: h, secret_file: /nonexistent}\n"
                               "timezone: Asia/Shangai\n"
                               "unknwon: 1\nunknwon: 2\n"
                               "campaigns:\n"
                               "  - {id: a, start: x, phases: {p: [q]}}\n"
                               "kpis: {k: {formula: a / b}}\n";
    char path[] = "/tmp/kpid-test-config-memory-XXXXXX";
    int fd = mkstemp(path), i;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    /* so many messages that these need memory of their own, too */
    for (i = 0; i < 400; i++)
        assert_true(dprintf(fd, "unknown_key_of_a_certain_length_%d: 1\n", i) > 0);
    assert_int_equal(close(fd), 0);
    fail_each(path, CONFIG_E_INVALID);
    assert_int_equal(unlink(path), 0);
}

static void a_file_with_warnings(void **state)
{
    static const char text[] =
        "keep: 20d\nattributes: {n: {agg: count}}\ncampaigns:\n"
        "  - {id: c, start: 2026-11-01, end: 2026-12-01, audience: 50, phases: {p: [start, +5d]},\n"
        "     targets: [{kpi: participation_rate, value: 5%, scope: p, to: start},\n"
        "               {kpi: participation_rate, value: 50%, for: 30d, better: band,\n"
        "                deviation: 60pp}]}\n";
    char path[] = "/tmp/kpid-test-config-memory-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    assert_int_equal(close(fd), 0);
    fail_each(path, 0);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file),
        cmocka_unit_test(a_bad_file),
        cmocka_unit_test(a_file_with_warnings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
