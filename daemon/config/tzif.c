/* TZif blocks and POSIX TZ strings. Every read is checked against the end of the bytes. */
#include "config/tzif.h"
#include "config/scalar.h"

#include <errno.h>

enum {
    HEADER_BYTES = 44,
    SEGMENTS_MAX = 20000,
    SECONDS_A_DAY = 86400,
};

struct block {
    uint32_t n_isut, n_isstd, n_leap, n_times, n_types, n_characters;
    unsigned time_bytes; /* 4 in the first block, 8 in the second */
    const unsigned char *data;
    size_t size;
};

static uint32_t read32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read64(const unsigned char *p)
{
    return (int64_t)((uint64_t)read32(p) << 32 | read32(p + 4));
}

/* Reads a header and bounds its block. False if the bytes end before it does. */
static bool open_block(struct block *block, const unsigned char *bytes, size_t size,
                       unsigned time_bytes)
{
    if (size < HEADER_BYTES || memcmp(bytes, "TZif", 4) != 0)
        return false;
    block->n_isut = read32(bytes + 20);
    block->n_isstd = read32(bytes + 24);
    block->n_leap = read32(bytes + 28);
    block->n_times = read32(bytes + 32);
    block->n_types = read32(bytes + 36);
    block->n_characters = read32(bytes + 40);
    block->time_bytes = time_bytes;
    block->data = bytes + HEADER_BYTES;
    if (block->n_times > SEGMENTS_MAX || block->n_types == 0 || block->n_types > 256 ||
        block->n_leap > SEGMENTS_MAX || block->n_isut > 256 || block->n_isstd > 256 ||
        block->n_characters > 4096)
        return false;
    block->size = block->n_times * (time_bytes + 1) + block->n_types * 6 + block->n_characters +
                  block->n_leap * (time_bytes + 4) + block->n_isstd + block->n_isut;
    return block->size <= size - HEADER_BYTES;
}

static int append(struct tzif *tzif, uint32_t *capacity, struct arena *arena, int64_t at,
                  int32_t offset)
{
    struct tzif_segment *segments =
        arena_grow(arena, tzif->segments, tzif->n_segments, capacity, sizeof(*segments));

    if (!segments)
        return -ENOMEM;
    tzif->segments = segments;
    segments[tzif->n_segments++] = (struct tzif_segment){at, offset};
    return 0;
}

static int read_block(struct tzif *tzif, uint32_t *capacity, struct arena *arena,
                      const struct block *block)
{
    const unsigned char *types = block->data + block->n_times * block->time_bytes;
    const unsigned char *infos = types + block->n_times;
    int64_t last = INT64_MIN;
    uint32_t i;
    int r;

    if (block->n_leap > 0)
        return TZIF_E_LEAPS;
    for (i = 0; i < block->n_types; i++) {
        int32_t offset = (int32_t)read32(infos + i * 6);

        if (offset < -SECONDS_A_DAY || offset > 2 * SECONDS_A_DAY)
            return TZIF_E_INVALID;
    }
    r = append(tzif, capacity, arena, INT64_MIN, (int32_t)read32(infos)); /* type 0 comes first */
    for (i = 0; i < block->n_times && r == 0; i++) {
        const unsigned char *p = block->data + i * block->time_bytes;
        int64_t at = block->time_bytes == 8 ? read64(p) : (int32_t)read32(p);

        if (types[i] >= block->n_types || (i > 0 && at <= last))
            return TZIF_E_INVALID;
        last = at;
        r = append(tzif, capacity, arena, at, (int32_t)read32(infos + types[i] * 6));
    }
    return r;
}

/* --- the footer: std offset [dst [offset] [, start [/time], end [/time]]] --- */

struct rule {
    enum {
        RULE_JULIAN,
        RULE_DAY,
        RULE_MONTH
    } kind; /* Jn, n, Mm.w.d */
    int month, week, day;
    int time; /* seconds after local midnight, may be negative or beyond a day */
};

struct posix_tz {
    int32_t standard, summer; /* seconds east of UTC */
    bool has_summer;
    struct rule begin, end;
};

struct cursor {
    const char *p, *end;
};

static bool take(struct cursor *c, char expected)
{
    if (c->p == c->end || *c->p != expected)
        return false;
    c->p++;
    return true;
}

static bool take_number(struct cursor *c, int max, int *ret_number)
{
    int n = 0, digits = 0;

    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9' && digits < 4; c->p++, digits++)
        n = n * 10 + (*c->p - '0');
    *ret_number = n;
    return digits > 0 && n <= max;
}

static bool take_abbreviation(struct cursor *c)
{
    const char *begin = c->p;

    if (take(c, '<')) {
        while (c->p < c->end && *c->p != '>')
            c->p++;
        return take(c, '>');
    }
    while (c->p < c->end && ((*c->p >= 'A' && *c->p <= 'Z') || (*c->p >= 'a' && *c->p <= 'z')))
        c->p++;
    return c->p - begin >= 3;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool take_time(struct cursor *c, int hours_max, int *ret_seconds)
{
    bool negative = take(c, '-');
    int hours, minutes = 0, seconds = 0;

    if (!negative)
        (void)take(c, '+');
    if (!take_number(c, hours_max, &hours))
        return false;
    if (take(c, ':') && !take_number(c, 59, &minutes))
        return false;
    if (take(c, ':') && !take_number(c, 59, &seconds))
        return false;
    *ret_seconds = (hours * 60 + minutes) * 60 + seconds;
    if (negative)
        *ret_seconds = -*ret_seconds;
    return true;
}

static bool take_rule(struct cursor *c, struct rule *rule)
{
    rule->time = 2 * 3600;
    if (take(c, 'M')) {
        rule->kind = RULE_MONTH;
        if (!take_number(c, 12, &rule->month) || !take(c, '.') || !take_number(c, 5, &rule->week) ||
            !take(c, '.') || !take_number(c, 6, &rule->day) || rule->month < 1 || rule->week < 1)
            return false;
    } else {
        rule->kind = take(c, 'J') ? RULE_JULIAN : RULE_DAY;
        if (!take_number(c, 365, &rule->day) || (rule->kind == RULE_JULIAN && rule->day < 1))
            return false;
    }
    return !take(c, '/') || take_time(c, 167, &rule->time);
}

static bool parse_posix(struct posix_tz *tz, struct cursor c)
{
    int west;

    memset(tz, 0, sizeof(*tz));
    if (!take_abbreviation(&c) || !take_time(&c, 24, &west))
        return false;
    tz->standard = -west;
    if (c.p == c.end)
        return true;
    tz->has_summer = true;
    tz->summer = tz->standard + 3600;
    if (!take_abbreviation(&c))
        return false;
    if (c.p < c.end && *c.p != ',') {
        if (!take_time(&c, 24, &west))
            return false;
        tz->summer = -west;
    }
    return take(&c, ',') && take_rule(&c, &tz->begin) && take(&c, ',') && take_rule(&c, &tz->end) &&
           c.p == c.end;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local seconds since 1970 at which the rule strikes in that year. */
static int64_t rule_time(const struct rule *rule, int year)
{
    int64_t day = 0;
    int first, wanted;

    switch (rule->kind) {
    case RULE_JULIAN: /* 29 February is never counted */
        day = scalar_day(year, 1, 1) + rule->day - 1 + (is_leap(year) && rule->day > 59);
        break;
    case RULE_DAY:
        day = scalar_day(year, 1, 1) + rule->day;
        break;
    case RULE_MONTH: /* the week-th such weekday, 5 is the last; 1970-01-01 was a Thursday */
        first = scalar_day(year, rule->month, 1);
        wanted = ((rule->day - (first + 4) % 7) + 7) % 7;
        day = first + wanted + 7 * (rule->week - 1);
        while (day >= (rule->month == 12 ? scalar_day(year + 1, 1, 1)
                                         : scalar_day(year, rule->month + 1, 1)))
            day -= 7;
        break;
    }
    return day * SECONDS_A_DAY + rule->time;
}

/* The changes that the footer adds after the table's last one. */
static int extend(struct tzif *tzif, uint32_t *capacity, struct arena *arena,
                  const struct posix_tz *tz, int year_last)
{
    int64_t last = tzif->segments[tzif->n_segments - 1].at;
    int year = 1999, r;

    if (!tz->has_summer)
        return tzif->segments[tzif->n_segments - 1].offset == tz->standard || last == INT64_MIN
                   ? 0
                   : TZIF_E_INVALID;
    for (; year <= year_last; year++) {
        struct tzif_segment changes[2] = {
            {rule_time(&tz->begin, year) - tz->standard, tz->summer},
            {rule_time(&tz->end, year) - tz->summer, tz->standard},
        };
        int first = changes[0].at > changes[1].at, i;

        for (i = 0; i < 2; i++) {
            const struct tzif_segment *change = &changes[i == 0 ? first : !first];
            const struct tzif_segment *before = &tzif->segments[tzif->n_segments - 1];

            if (change->at <= last)
                continue;
            if (change->at <= before->at) { /* summer time all year: it begins as it ends */
                tzif->segments[tzif->n_segments - 1].offset = change->offset;
                continue;
            }
            r = append(tzif, capacity, arena, change->at, change->offset);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int tzif_parse(struct tzif *ret_tzif, const unsigned char *bytes, size_t size, int year_last,
               struct arena *arena)
{
    struct tzif tzif = {0};
    uint32_t capacity = 0;
    struct block block;
    struct posix_tz tz;
    struct cursor footer;
    size_t used;
    int r;

    if (!open_block(&block, bytes, size, 4))
        return TZIF_E_INVALID;
    used = HEADER_BYTES + block.size;
    if (bytes[4] >= '2') {
        if (!open_block(&block, bytes + used, size - used, 8))
            return TZIF_E_INVALID;
        used += HEADER_BYTES + block.size;
    } else {
        used = size; /* version 1 has no footer */
    }
    r = read_block(&tzif, &capacity, arena, &block);
    if (r)
        return r;
    if (used + 2 < size && bytes[used] == '\n') {
        footer.p = (const char *)bytes + used + 1;
        footer.end = memchr(footer.p, '\n', size - used - 1);
        if (!footer.end)
            return TZIF_E_INVALID;
        if (footer.end > footer.p) {
            if (!parse_posix(&tz, footer))
                return TZIF_E_INVALID;
            r = extend(&tzif, &capacity, arena, &tz, year_last);
            if (r)
                return r;
        }
    }
    *ret_tzif = tzif;
    return 0;
}
