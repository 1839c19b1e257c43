/*
 * The secret key: made once, mode 0600, the same for all who make it at once; refused if it is not
 * a key or if others can read it.
 */
#include "util/secret_key.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char directory[64];
    char path[128];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    assert_non_null(place);
    (void)snprintf(place->directory, sizeof(place->directory), "/tmp/kpid-key-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    (void)snprintf(place->path, sizeof(place->path), "%s/kpid.key", place->directory);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    (void)unlink(place->path);
    assert_int_equal(rmdir(place->directory), 0); /* and nothing else was left in it */
    free(place);
    return 0;
}

static void write_file(const char *path, size_t size, mode_t mode)
{
    char bytes[SECRET_KEY_BYTES + 1];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    memset(bytes, 'k', sizeof(bytes));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static void test_made_for_us_alone(void **state)
{
    const struct place *place = *state;
    uint8_t key[SECRET_KEY_BYTES], again[SECRET_KEY_BYTES];
    struct stat status;

    assert_int_equal(secret_key_load(place->path, key), 0);
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_size, SECRET_KEY_BYTES);
    assert_int_equal(secret_key_load(place->path, again), 0);
    assert_memory_equal(key, again, sizeof(key));
    assert_true(secret_key_fingerprint(key) == secret_key_fingerprint(again));
}

static void test_two_are_not_the_same(void **state)
{
    const struct place *place = *state;
    uint8_t key[SECRET_KEY_BYTES], other[SECRET_KEY_BYTES];

    assert_int_equal(secret_key_load(place->path, key), 0);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(secret_key_load(place->path, other), 0);
    assert_memory_not_equal(key, other, sizeof(key));
    assert_false(secret_key_fingerprint(key) == secret_key_fingerprint(other));
}

static void test_reading_makes_none(void **state)
{
    const struct place *place = *state;
    uint8_t key[SECRET_KEY_BYTES];

    assert_int_equal(secret_key_read(place->path, key), -ENOENT);
    assert_int_equal(access(place->path, F_OK), -1);
}

static void test_another_length_is_refused(void **state)
{
    static const size_t sizes[] = {0, 1, SECRET_KEY_BYTES - 1, SECRET_KEY_BYTES + 1};
    const struct place *place = *state;
    uint8_t key[SECRET_KEY_BYTES];

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        write_file(place->path, sizes[i], 0600);
        assert_int_equal(secret_key_load(place->path, key), SECRET_KEY_E_SHORT);
    }
}

static void test_open_to_others_is_refused(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0601, 0666};
    const struct place *place = *state;
    uint8_t key[SECRET_KEY_BYTES];

    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        write_file(place->path, SECRET_KEY_BYTES, modes[i]);
        assert_int_equal(secret_key_load(place->path, key), SECRET_KEY_E_OPEN_TO_OTHERS);
    }
    write_file(place->path, SECRET_KEY_BYTES, 0400);
    assert_int_equal(secret_key_load(place->path, key), 0);
}

static void test_no_directory(void **state)
{
    const struct place *place = *state;
    uint8_t key[SECRET_KEY_BYTES];
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/none/kpid.key", place->directory);
    assert_int_equal(secret_key_load(path, key), -ENOENT);
}

/* A maker that was killed must not keep the next one with the same process number from making it.
 */
static void test_leftover_of_a_killed_maker(void **state)
{
    const struct place *place = *state;
    uint8_t key[SECRET_KEY_BYTES];
    char leftover[192];
    int r;

    (void)snprintf(leftover, sizeof(leftover), "%s.%ld", place->path, (long)getpid());
    write_file(leftover, 10, 0600);
    r = secret_key_load(place->path, key);
    assert_int_equal(unlink(leftover), 0);
    assert_int_equal(r, 0);
}

/* A pipe that is closed starts all makers at once; each then tells its key. */
static void test_racing_makers_agree(void **state)
{
    enum {
        N_MAKERS = 8
    };
    const struct place *place = *state;
    uint8_t keys[N_MAKERS][SECRET_KEY_BYTES];
    int gate[2], told[N_MAKERS][2];
    pid_t makers[N_MAKERS];
    char byte;

    assert_int_equal(pipe(gate), 0);
    for (unsigned i = 0; i < N_MAKERS; i++) {
        assert_int_equal(pipe(told[i]), 0);
        makers[i] = fork();
        assert_true(makers[i] >= 0);
        if (makers[i] == 0) {
            (void)close(gate[1]);
            (void)!read(gate[0], &byte, 1);
            if (secret_key_load(place->path, keys[i]) != 0)
                _exit(1);
            _exit(write(told[i][1], keys[i], SECRET_KEY_BYTES) != SECRET_KEY_BYTES);
        }
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    for (unsigned i = 0; i < N_MAKERS; i++) {
        int status;

        assert_int_equal(waitpid(makers[i], &status, 0), makers[i]);
        assert_int_equal(status, 0);
        assert_int_equal(read(told[i][0], keys[i], SECRET_KEY_BYTES), SECRET_KEY_BYTES);
        (void)close(told[i][0]);
        (void)close(told[i][1]);
        assert_memory_equal(keys[i], keys[0], SECRET_KEY_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_for_us_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_are_not_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reading_makes_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_length_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_to_others_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftover_of_a_killed_maker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_racing_makers_agree, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
