/*
 * Claims: glue is learned when it was seen twice, and not before; what was learned from different
 * messages joins where their values have the same place, and only there; wanted values lead to
 * their keys; the glue that follows is told apart by a byte, and found where that is not enough; a
 * stream that never repeats itself fills no more than the room there is, and does not
 * keep the ordinary from being learned; and a stream that is learned badly is left alone for a
 * while.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/event_glue.h"
#include "decoder_key.h"
#include "plan_fake.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct event_keys keys;
    struct event_glue glue;
    uint64_t n_messages;
    uint8_t bytes[4096];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    event_keys_init(&f->keys, &plan_fake, decoder_key);
    event_glue_init(&f->glue, decoder_key);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static size_t padded_copy(struct fixture *f, const char *message)
{
    size_t size = strlen(message);

    assert_in_range(size, 1, sizeof(f->bytes) - JSON_SCAN_PADDING);
    memcpy(f->bytes, message, size);
    memset(f->bytes + size, 0, JSON_SCAN_PADDING);
    return size;
}

/* Learns from a message in which the value at value_at, if any, is that of `key`. */
static void learn_wanted(struct fixture *f, const char *message, const char *value_at,
                         struct event_key *key)
{
    size_t size = padded_copy(f, message);

    f->n_messages++;
    if (key) {
        key->seen_in = f->n_messages;
        key->value_at = f->bytes + (value_at - message);
    }
    event_glue_learn(&f->glue, &f->keys, f->n_messages, f->bytes, size);
}

static void learn(struct fixture *f, const char *message)
{
    learn_wanted(f, message, NULL, NULL);
}

/*
 * Follows the learned glue; contents end at a quote, or before a comma or bracket. True if it leads
 * to the end. *ret_text is the content of the value that has a key, which is *ret_key.
 */
static bool follow_wanted(struct fixture *f, const char *message, struct event_key **ret_key,
                          struct kpi_string *ret_text)
{
    const uint8_t *p = f->bytes, *end = p + padded_copy(f, message);
    struct event_glue_state *state = event_glue_begin(&f->glue);

    assert_non_null(state);
    for (;;) {
        const struct event_glue_edge *edge = event_glue_next(state, p, end);
        size_t length;

        assert_ptr_equal(edge, event_glue_find(state, p, end)); /* the short way misses nothing */
        if (!edge)
            return false;
        p += edge->length;
        if (edge->kind == EVENT_GLUE_END)
            return true;
        length = strcspn((const char *)p, edge->kind == EVENT_GLUE_TEXT ? "\"" : ",]} ");
        if (edge->key && ret_key) {
            *ret_key = edge->key;
            *ret_text = (struct kpi_string){(const char *)p, length};
        }
        p += length;
        state = edge->to;
    }
}

static bool follow(struct fixture *f, const char *message)
{
    return follow_wanted(f, message, NULL, NULL);
}

static void test_glue_is_learned_at_the_second_sighting(void **state)
{
    struct fixture *f = *state;

    learn(f, "{\"a\":\"1\",\"b\":2,\"c\":{\"d\":[true,null]}}\n");
    assert_int_equal(f->glue.n_edges, 0);
    assert_false(follow(f, "{\"a\":\"1\",\"b\":2,\"c\":{\"d\":[true,null]}}\n"));
    learn(f, "{\"a\":\"xyz\",\"b\":-5,\"c\":{\"d\":[1,2]}}\n");
    assert_true(follow(f, "{\"a\":\"\",\"b\":1,\"c\":{\"d\":[1,false]}}\n"));
    assert_false(follow(f, "{\"a\":\"\",\"b\":1,\"c\":{\"d\":[1,2]}}"));
    assert_false(follow(f, "{\"a\":\"\",\"b\":1,\"c\":{\"d\":[1,2]}}\n "));
    assert_false(follow(f, "{\"a\":\"\",\"b\":\"\",\"c\":{\"d\":[1,2]}}\n"));
    assert_false(follow(f, "{\"a\": \"\",\"b\":1,\"c\":{\"d\":[1,2]}}\n"));
}

/* The third element of an array was never seen, but two are enough to know how they go on. */
static void test_elements_of_an_array_have_one_place(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++)
        learn(f, "{\"d\":[1,2,3]}");
    assert_true(follow(f, "{\"d\":[1]}"));
    assert_true(follow(f, "{\"d\":[1,2,3,4,5,6]}"));
    assert_false(follow(f, "{\"d\":[]}"));
    assert_false(follow(f, "{\"d\":[1,]}"));
}

static void test_paths_join_in_equal_places_only(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        learn(f, "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
        learn(f, "{\"b\":\"2\",\"d\":{\"b\":\"2\"}}");
    }
    assert_true(follow(f, "{\"a\":\"1\",\"b\":\"2\",\"d\":{\"b\":\"2\"}}"));
    assert_true(follow(f, "{\"b\":\"2\",\"c\":\"3\"}"));
    /* As text the next ones are all of pieces that were learned: the places are what differs. */
    assert_false(follow(f, "{\"b\":\"2\",\"d\":{\"b\":\"2\",\"c\":\"3\"}}"));
    assert_false(follow(f, "{\"b\":\"2\"}}"));
    assert_false(follow(f, "{\"b\":\"2\",\"d\":{\"b\":\"2\"}"));
}

/* The same glue up to the value may lead to a string, a number, an object. */
static void test_values_of_a_key_may_change_their_kind(void **state)
{
    static const char *const messages[] = {
        "{\"a\":1}",   "{\"a\":\"1\"}",   "{\"a\":{\"b\":1}}",
        "{\"a\":[1]}", "{\"a\":[\"1\"]}", "{\"a\":{\"b\":1}}\n",
    };
    struct fixture *f = *state;

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
            learn(f, messages[i]);
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
            assert_true(follow(f, messages[i]));
    }
}

/* Is the glue behind the first value found without a search? Ways of no more than 32 bytes. */
static bool is_told_apart(struct fixture *f, const char *message)
{
    const uint8_t *end = f->bytes + padded_copy(f, message), *p = f->bytes;
    const struct event_glue_edge *edge = event_glue_next(event_glue_begin(&f->glue), p, end);

    assert_non_null(edge);
    p = (const uint8_t *)strchr((const char *)p + edge->length, ',');
    edge = edge->to->split[p[edge->to->split_at] % EVENT_GLUE_SPLIT];
    return event_glue_fits(edge, p, end);
}

/* Sixteen keys that may follow, which differ in their fourth letter; then a hundred that collide.
 */
static void test_ways_out_of_a_place_are_told_apart(void **state)
{
    static const unsigned n_ways[] = {16, 100};
    struct fixture *f = *state;
    char message[64];

    for (unsigned k = 0; k < 2; k++) {
        unsigned n_told = 0;

        for (unsigned i = 0; i < 2 * n_ways[k]; i++) {
            snprintf(message, sizeof(message), "{\"a\":1,\"key%c%02u\":\"x\"}", 'a' + i / 2 % 16,
                     i / 32);
            learn(f, message);
        }
        for (unsigned i = 0; i < n_ways[k]; i++) {
            snprintf(message, sizeof(message), "{\"a\":7,\"key%c%02u\":\"y\"}", 'a' + i % 16,
                     i / 16);
            n_told += is_told_apart(f, message);
            assert_true(follow(f, message));
            assert_true(is_told_apart(f, message)); /* the one that was found last */
        }
        assert_in_range(n_told, k == 0 ? 16 : 0, 16);
    }
}

static void test_wanted_values_lead_to_their_keys(void **state)
{
    const char *message = "{\"x\":{\"id\":\"1\"},\"id\":\"abc\",\"y\":2}";
    struct fixture *f = *state;
    struct event_key *id = event_keys_find(&f->keys, &f->keys.keys[0], "id", 2), *key = NULL;
    struct kpi_string text = {NULL, 0};

    assert_int_equal(id->kind, EVENT_KEY_ID);
    for (unsigned i = 0; i < 2; i++)
        learn_wanted(f, message, strstr(message, "\"abc\""), id);
    assert_true(follow_wanted(f, "{\"x\":{\"id\":\"7\"},\"id\":\"def\",\"y\":9}", &key, &text));
    assert_ptr_equal(key, id);
    assert_int_equal(text.length, 3);
    assert_memory_equal(text.data, "def", 3);
}

static void test_wanted_containers_are_not_learned(void **state)
{
    const char *messages[] = {"{\"a\":1,\"id\":{\"b\":1},\"c\":2}", "{\"a\":1,\"id\":[],\"c\":2}",
                              "{\"a\":1,\"z\":[5],\"c\":2}"};
    struct fixture *f = *state;
    struct event_key *id = event_keys_find(&f->keys, &f->keys.keys[0], "id", 2);

    for (unsigned i = 0; i < 6; i++) {
        const char *message = messages[i / 2];
        const char *value = i / 2 == 2 ? strchr(message, '5') : strstr(message, "\"id\":") + 5;

        learn_wanted(f, message, value, id);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_false(follow(f, messages[i]));
    assert_int_equal(f->glue.n_edges, 1); /* up to "a" */
}

static void test_long_glue_and_long_places_are_not_learned(void **state)
{
    char name[EVENT_GLUE_PLACE_MAX], message[512];
    struct fixture *f = *state;

    for (unsigned length = 1; length < sizeof(name); length++) {
        bool fits = strlen("{\"\":") + length <= EVENT_GLUE_BYTES_MAX;

        memset(name, 'n', length);
        name[length] = '\0';
        snprintf(message, sizeof(message), "{\"%s\":1}", name);
        for (unsigned i = 0; i < 2; i++)
            learn(f, message);
        assert_int_equal(follow(f, message), fits);
    }
    memset(name, 'n', sizeof(name) - 1);
    for (unsigned length = 1; length < 60; length++) {
        /* The names are { " " { " " */
        bool fits = 6 + 2 * length <= EVENT_GLUE_PLACE_MAX;

        snprintf(message, sizeof(message), "{\"%.*s\":{\"y\":1,\"%.*s\":1}}", (int)length, name,
                 (int)length, name);
        for (unsigned i = 0; i < 2; i++)
            learn(f, message);
        assert_int_equal(follow(f, message), fits);
    }
}

static void test_what_never_repeats_is_not_learned(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 10000; i++) {
        char message[64];

        snprintf(message, sizeof(message), "{\"n%u\":1,\"m%u\":\"2\"}", i, i);
        learn(f, message);
    }
    /* Some by mistake: two marks of 15 bits may be the same. */
    assert_in_range(f->glue.n_edges, 0, 50);
}

/* Sent twice each, odd messages are learned, until there is no more room; then all begins anew. */
static void test_a_flood_stays_in_its_room_and_passes(void **state)
{
    struct fixture *f = *state;
    unsigned n_followed = 0;

    for (unsigned i = 0; i < 10000; i++) {
        char message[64];

        snprintf(message, sizeof(message), "{\"n%u\":1,\"m%u\":\"2\"}", i, i);
        learn(f, message);
        learn(f, message);
        assert_in_range(f->glue.n_states, 1, EVENT_GLUE_STATES_MAX);
        assert_in_range(f->glue.n_edges, 0, EVENT_GLUE_EDGES_MAX);
        if (follow(f, "{\"id\":\"1\",\"type\":\"2\"}"))
            n_followed++;
        else
            learn(f, "{\"id\":\"1\",\"type\":\"2\"}");
    }
    assert_in_range(n_followed, 9000, 10000);
}

/* More glue in one message than there is room for. */
static void test_a_message_too_large_for_the_room_is_given_up(void **state)
{
    struct fixture *f = *state;
    char message[4000] = "{\"a\":1";

    for (unsigned i = 0; i < EVENT_GLUE_STATES_MAX; i++) {
        char member[16];

        snprintf(member, sizeof(member), ",\"n%u\":1", i);
        strcat(message, member);
    }
    strcat(message, "}");
    for (unsigned i = 0; i < 4; i++) {
        learn(f, message);
        assert_false(follow(f, message));
        assert_in_range(f->glue.n_states, 1, EVENT_GLUE_STATES_MAX);
    }
    for (unsigned i = 0; i < 2; i++)
        learn(f, "{\"id\":\"1\"}");
    assert_true(follow(f, "{\"id\":\"2\"}"));
}

/* A tenth of misses does not matter; where most miss only a few of all messages are tried. */
static void test_a_stream_that_is_learned_badly_is_left_alone(void **state)
{
    struct fixture *f = *state;
    unsigned n_tried = 0;

    for (unsigned i = 0; i < 10000; i++) {
        if (!event_glue_begin(&f->glue))
            fail_msg("left alone at message %u", i);
        if (i % 10 == 0)
            event_glue_missed(&f->glue);
        else
            event_glue_done(&f->glue);
    }
    for (unsigned i = 0; i < 10000; i++) {
        if (!event_glue_begin(&f->glue))
            continue;
        n_tried++;
        event_glue_missed(&f->glue);
    }
    assert_in_range(n_tried, 100, 500);
    /* It comes back when the stream does. */
    n_tried = 0;
    for (unsigned i = 0; i < 1000; i++) {
        if (!event_glue_begin(&f->glue))
            continue;
        n_tried++;
        event_glue_done(&f->glue);
    }
    assert_in_range(n_tried, 700, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_glue_is_learned_at_the_second_sighting, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_elements_of_an_array_have_one_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths_join_in_equal_places_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_of_a_key_may_change_their_kind, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_ways_out_of_a_place_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wanted_values_lead_to_their_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wanted_containers_are_not_learned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_glue_and_long_places_are_not_learned, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_never_repeats_is_not_learned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flood_stays_in_its_room_and_passes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_message_too_large_for_the_room_is_given_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_stream_that_is_learned_badly_is_left_alone, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
