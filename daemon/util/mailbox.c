/*
 * A stack that producers push onto with compare-and-swap and that the consumer takes whole with one
 * exchange, then reverses. Taking everything at once leaves no ABA problem.
 *
 * The eventfd is written by the producer that found the box empty, and read by the consumer before
 * it takes. So an item that is put after the take always finds the box empty and wakes the
 * consumer; an item put between read and take wakes it once for nothing, which is harmless.
 */
#include "mailbox.h"

#include "error.h"

#include <assert.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct mailbox {
    _Atomic(struct mailbox_item *) head;
    int fd;
};

int mailbox_new(struct mailbox **ret_box)
{
    CLEANUP(mailbox_freep) struct mailbox *box = calloc(1, sizeof(*box));

    if (!box)
        return error_origin(-ENOMEM);
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0)
        return error_origin(-errno);
    *ret_box = box;
    box = NULL;
    return 0;
}

struct mailbox *mailbox_free(struct mailbox *box)
{
    if (!box)
        return NULL;
    if (box->fd >= 0)
        (void)close(box->fd); /* nothing was written that could be lost */
    free(box);
    return NULL;
}

void mailbox_freep(struct mailbox **box)
{
    *box = mailbox_free(*box);
}

void mailbox_put(struct mailbox *box, struct mailbox_item *item)
{
    struct mailbox_item *head = atomic_load_explicit(&box->head, memory_order_relaxed);

    do
        item->next = head;
    while (!atomic_compare_exchange_weak_explicit(&box->head, &head, item, memory_order_release,
                                                  memory_order_relaxed));
    /* The item may already be taken and gone: only `head` may be looked at from here. */
    if (!head) {
        uint64_t one = 1;
        ssize_t n;

        do
            n = write(box->fd, &one, sizeof(one));
        while (n < 0 && errno == EINTR);
        /* EAGAIN would need 2^64 - 2 unread wake-ups. */
        assert(n == sizeof(one));
    }
}

struct mailbox_item *mailbox_take_all(struct mailbox *box)
{
    struct mailbox_item *item, *list = NULL;
    uint64_t n_wakes;

    /* EAGAIN: nobody has woken us, which is fine. EINTR: the fd stays readable for another turn. */
    (void)!read(box->fd, &n_wakes, sizeof(n_wakes));
    item = atomic_exchange_explicit(&box->head, NULL, memory_order_acquire);
    while (item) {
        struct mailbox_item *next = item->next;

        item->next = list;
        list = item;
        item = next;
    }
    return list;
}

int mailbox_fd(const struct mailbox *box)
{
    return box->fd;
}

int mailbox_wait(const struct mailbox *box, int64_t timeout_us)
{
    struct pollfd pollfd = {.fd = box->fd, .events = POLLIN};
    struct timespec timeout = {.tv_sec = timeout_us / 1000000,
                               .tv_nsec = timeout_us % 1000000 * 1000};

    if (ppoll(&pollfd, 1, timeout_us < 0 ? NULL : &timeout, NULL) == 0)
        return MAILBOX_E_TIMEOUT;
    return 0;
}
