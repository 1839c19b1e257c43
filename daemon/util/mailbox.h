/*
 * Messages between threads: many producers, one consumer, no lock. Items are intrusive: embed a
 * struct mailbox_item and get the outer struct back with offsetof(). The box owns nothing; whoever
 * takes an item owns it.
 *
 * Items of one producer come out in the order they were put.
 */
#pragma once

#include <stdint.h>

struct mailbox;

struct mailbox_item {
    struct mailbox_item *next;
};

enum {
    MAILBOX_E_TIMEOUT = 1,
};

/* Returns 0, -ENOMEM, or what eventfd() says (-EMFILE, -ENFILE). */
int mailbox_new(struct mailbox **ret_box);
/* NULL is fine; returns NULL. Items still inside are forgotten: take them first. */
struct mailbox *mailbox_free(struct mailbox *box);
void mailbox_freep(struct mailbox **box);

/* Any thread. Never fails or blocks; one system call if the box was empty, else none. */
void mailbox_put(struct mailbox *box, struct mailbox_item *item);

/* The consumer. All items, first in first, linked by next; NULL: none. One system call. */
struct mailbox_item *mailbox_take_all(struct mailbox *box);

/* Readable while there may be items; mailbox_take_all() makes it unreadable. Owned by the box. */
int mailbox_fd(const struct mailbox *box);

/*
 * The consumer waits until there may be items (0; also after a signal) or timeout_us has passed
 * (MAILBOX_E_TIMEOUT). Negative: no time-out.
 */
int mailbox_wait(const struct mailbox *box, int64_t timeout_us);
