/*
 * What an answer means for a message, and when to try again. Pure: time and randomness are
 * arguments.
 */
#pragma once

#include <stdint.h>

enum retry_verdict {
    RETRY_DELIVERED,
    RETRY_LATER,    /* this message failed */
    RETRY_THROTTLE, /* it failed because the receiver is overloaded: spare the whole receiver */
    RETRY_GONE,     /* 410: the receiver wants no more, ever */
};

/* status is the HTTP status of a complete answer's head, 0 if there was none. */
enum retry_verdict retry_judge(int status);

/*
 * The longest wait, in seconds, before the attempt that follows n_failed (>= 1) failed ones:
 * 1, 5, 15, 60, then always 300.
 */
unsigned retry_delay_s_max(unsigned n_failed);

/*
 * Full jitter: uniform in [0, retry_delay_s_max(n_failed)], in microseconds if a second has
 * second_us of them. `random` is 64 random bits.
 */
int64_t retry_delay_us(unsigned n_failed, uint64_t random, int64_t second_us);

enum {
    RETRY_AFTER_S_MAX = 3600, /* a receiver may not silence an alert for longer */
};

enum {
    RETRY_E_INVALID = 1,
};

/*
 * Reads a Retry-After: seconds (a fraction is rounded up) or an HTTP date in one of its three
 * forms, seen from now_s. Writes how long to wait, 0 … RETRY_AFTER_S_MAX. Returns 0, or
 * RETRY_E_INVALID for anything else, NULL included; the header is then as good as absent.
 */
int retry_after_parse(const char *value, int64_t now_s, int64_t *ret_wait_s);
