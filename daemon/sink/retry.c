/*
 * The retry schedule. The one that Standard Webhooks gives as an example waits 5 minutes after the
 * second attempt and 20 hours at the end: right for an invoice, useless for people on call. This
 * one is quick first and then steady, so that a receiver that comes back hears within 5 minutes.
 */
#include "sink/retry.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

enum retry_verdict retry_judge(int status)
{
    if (status >= 200 && status <= 299)
        return RETRY_DELIVERED;
    switch (status) {
    case 410:
        return RETRY_GONE;
    case 429:
    case 502:
    case 504:
        return RETRY_THROTTLE;
    default:
        return RETRY_LATER;
    }
}

unsigned retry_delay_s_max(unsigned n_failed)
{
    static const unsigned delays_s[] = {0, 1, 5, 15, 60, 300};
    const unsigned last = sizeof(delays_s) / sizeof(delays_s[0]) - 1;

    return delays_s[n_failed < last ? n_failed : last];
}

int64_t retry_delay_us(unsigned n_failed, uint64_t random, int64_t second_us)
{
    const uint64_t n = (uint64_t)retry_delay_s_max(n_failed) * (uint64_t)second_us + 1;

    /* Multiply and shift: no modulo bias, no division. */
    return (int64_t)(((unsigned __int128)random * n) >> 64);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* digits, and perhaps a dot with digits; saturates at RETRY_AFTER_S_MAX. */
static int parse_seconds(const char *s, size_t length, int64_t *ret_wait_s)
{
    int64_t wait = 0;
    bool fraction = false;
    size_t i = 0;

    for (; i < length && isdigit((unsigned char)s[i]); i++) {
        wait = wait * 10 + (s[i] - '0');
        if (wait > RETRY_AFTER_S_MAX)
            wait = RETRY_AFTER_S_MAX;
    }
    if (i == 0)
        return RETRY_E_INVALID;
    if (i < length && s[i] == '.') {
        if (++i == length)
            return RETRY_E_INVALID;
        for (; i < length && isdigit((unsigned char)s[i]); i++)
            fraction |= s[i] != '0';
    }
    if (i != length)
        return RETRY_E_INVALID;
    if (fraction && wait < RETRY_AFTER_S_MAX)
        wait++;
    *ret_wait_s = wait;
    return 0;
}

static int parse_date(const char *s, int64_t now_s, int64_t *ret_wait_s)
{
    /* RFC 9110, 5.6.7: what is sent today, and two that must still be read. */
    static const char *const formats[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    };
    const char *end;
    int64_t wait;
    struct tm tm;
    size_t i;

    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        tm = (struct tm){0};
        end = strptime(s, formats[i], &tm);
        if (!end)
            continue;
        while (blank(*end))
            end++;
        if (*end)
            continue;
        wait = (int64_t)timegm(&tm) - now_s;
        if (wait < 0)
            wait = 0;
        *ret_wait_s = wait < RETRY_AFTER_S_MAX ? wait : RETRY_AFTER_S_MAX;
        return 0;
    }
    return RETRY_E_INVALID;
}

int retry_after_parse(const char *value, int64_t now_s, int64_t *ret_wait_s)
{
    size_t length;

    if (!value)
        return RETRY_E_INVALID;
    while (blank(*value))
        value++;
    length = strlen(value);
    while (length > 0 && blank(value[length - 1]))
        length--;
    if (parse_seconds(value, length, ret_wait_s) == 0)
        return 0;
    return parse_date(value, now_s, ret_wait_s);
}
