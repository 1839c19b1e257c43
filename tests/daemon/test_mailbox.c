/*
 * A mailbox loses nothing and keeps the order of each producer, wakes a waiting consumer, and is
 * quiet when it is empty. Meant to be run under the thread sanitizer too.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "util/mailbox.h"

enum {
    N_PRODUCERS = 4,
    N_MESSAGES = 20000,
};

struct message {
    struct mailbox_item item;
    unsigned producer, number;
};

static unsigned readable(const struct mailbox *box)
{
    struct pollfd pollfd = {.fd = mailbox_fd(box), .events = POLLIN};

    return (unsigned)poll(&pollfd, 1, 0);
}

static void test_order_and_quiet(void **state)
{
    struct mailbox_item items[3];
    struct mailbox *box;

    assert_int_equal(mailbox_new(&box), 0);
    assert_null(mailbox_take_all(box));
    assert_int_equal(readable(box), 0);
    for (int i = 0; i < 3; i++)
        mailbox_put(box, &items[i]);
    assert_int_equal(readable(box), 1);
    assert_ptr_equal(mailbox_take_all(box), &items[0]);
    assert_ptr_equal(items[0].next, &items[1]);
    assert_ptr_equal(items[1].next, &items[2]);
    assert_null(items[2].next);
    assert_int_equal(readable(box), 0);
    assert_null(mailbox_take_all(box));
    mailbox_put(box, &items[1]);
    assert_int_equal(readable(box), 1);
    assert_ptr_equal(mailbox_take_all(box), &items[1]);
    assert_null(mailbox_free(box));
}

static void test_wait_times_out_when_empty(void **state)
{
    struct mailbox_item item;
    struct mailbox *box;

    assert_int_equal(mailbox_new(&box), 0);
    assert_int_equal(mailbox_wait(box, 1000), MAILBOX_E_TIMEOUT);
    mailbox_put(box, &item);
    assert_int_equal(mailbox_wait(box, -1), 0);
    assert_ptr_equal(mailbox_take_all(box), &item);
    assert_int_equal(mailbox_wait(box, 0), MAILBOX_E_TIMEOUT);
    mailbox_free(box);
}

struct producer {
    struct mailbox *box;
    struct message *messages;
};

static void *produce(void *userdata)
{
    struct producer *producer = userdata;

    for (unsigned i = 0; i < N_MESSAGES; i++)
        mailbox_put(producer->box, &producer->messages[i].item);
    return NULL;
}

static void test_many_producers(void **state)
{
    struct message *messages = calloc(N_PRODUCERS * N_MESSAGES, sizeof(*messages));
    struct producer producers[N_PRODUCERS];
    pthread_t threads[N_PRODUCERS];
    unsigned n_taken = 0, expected[N_PRODUCERS] = {0};
    struct mailbox *box;

    assert_non_null(messages);
    assert_int_equal(mailbox_new(&box), 0);
    for (unsigned p = 0; p < N_PRODUCERS; p++) {
        producers[p] = (struct producer){box, messages + (size_t)p * N_MESSAGES};
        for (unsigned i = 0; i < N_MESSAGES; i++) {
            producers[p].messages[i].producer = p;
            producers[p].messages[i].number = i;
        }
        assert_int_equal(pthread_create(&threads[p], NULL, produce, &producers[p]), 0);
    }
    /* A lost wake-up would leave this loop waiting for ever: the test's time-out tells. */
    while (n_taken < N_PRODUCERS * N_MESSAGES) {
        struct mailbox_item *item;

        assert_int_equal(mailbox_wait(box, -1), 0);
        for (item = mailbox_take_all(box); item; item = item->next) {
            struct message *message = (struct message *)item;

            assert_int_equal(message->number, expected[message->producer]);
            expected[message->producer]++;
            n_taken++;
        }
    }
    for (unsigned p = 0; p < N_PRODUCERS; p++)
        assert_int_equal(pthread_join(threads[p], NULL), 0);
    assert_null(mailbox_take_all(box));
    mailbox_free(box);
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_quiet),
        cmocka_unit_test(test_wait_times_out_when_empty),
        cmocka_unit_test(test_many_producers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
