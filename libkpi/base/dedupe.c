/* The memory of event ids: see dedupe.h. */
#include "base/dedupe.h"

#include <assert.h>
#include <endian.h>
#include <stddef.h>

_Static_assert(sizeof(struct kpi_dedupe_line) == 64, "a line is a cache line");

enum {
    EVENT_BITS = 14,
    EVENT_MASK = (1 << EVENT_BITS) - 1,
    STAMP_MASK = 63,     /* of an arrival */
    STAMPS = STAMP_MASK, /* different ones: 0 is none */
    SEGMENT_SHIFT = 56,  /* of an id: what is above is the segment */
    STEP_MASK = 3,       /* steps of 1, 2, 4 and 8 lines */
    DIRTY_SHIFT = 24,    /* in `rest` of a line */
    OVERFLOW_AHEAD = 2,  /* lines of a path to ask for when the first is full */
    PLACES_MASK = (1 << KPI_DEDUPE_PER_LINE) - 1,
};

#define PASSED_BY    (UINT32_C(1) << 31) /* in `rest`: entries of the line stand in later ones */
#define CONTENT_MASK ((1u << KPI_DEDUPE_CONTENT_BITS) - 1)

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Hours into units of `grain` hours. It nearly always is 1, and a division costs as much as all
 * else that is done for an id. */
static int64_t coarse(int64_t hours, int64_t grain)
{
    return grain == 1 ? hours : floor_div(hours, grain);
}

static int64_t hour_of(kpi_time time)
{
    return floor_div(time, KPI_HOUR);
}

static size_t segment_bytes(uint32_t n_lines)
{
    return n_lines * sizeof(struct kpi_dedupe_line) + ((size_t)n_lines + 511) / 512 * 64;
}

static uint64_t *segment_dirty(const struct kpi_dedupe_segment *segment)
{
    return (uint64_t *)(void *)(segment->lines + segment->n_lines);
}

/*
 * The lines that an entry may stand in, in the order in which they are looked at. Steps that differ
 * from key to key keep full lines from growing into long runs; a power of two has no factor in
 * common with the odd number of lines, so that every line is reached.
 */
struct path {
    uint64_t key;
    uint32_t line, n_lines;
};

static struct path path_begin(uint64_t key, uint32_t n_lines)
{
    return (struct path){key, (uint32_t)(((key >> 32) * n_lines) >> 32), n_lines};
}

static void path_next(struct path *path)
{
    path->line += 1u << (path->key >> KPI_DEDUPE_CONTENT_BITS & STEP_MASK);
    while (path->line >= path->n_lines)
        path->line -= path->n_lines;
}

static uint64_t make_key(uint64_t id, uint32_t content)
{
    return id << KPI_DEDUPE_CONTENT_BITS | (content & CONTENT_MASK);
}

static uint32_t stamp_of(int64_t tick)
{
    return (uint32_t)(1 + tick - floor_div(tick, STAMPS) * STAMPS);
}

/* The latest tick up to now that has the stamp, which is not 0. */
static int64_t tick_of(const struct kpi_dedupe *dedupe, uint32_t stamp)
{
    return dedupe->now - (stamp_of(dedupe->now) + STAMPS - stamp) % STAMPS;
}

static uint32_t entry_event(const struct kpi_dedupe_line *line, unsigned k)
{
    return (line->arrivals[k] & 0xc0u) << 6 | (uint32_t)line->events[k] << 4 |
           (line->rest >> (4 * k) & 15u);
}

/*
 * Sets of places of a line are bits 0 … 5. They are found for all places at once and without a
 * branch: which place of a line is taken is as good as random, and a branch on it costs more than
 * that. The six stamps are taken as the low bytes of one number; what holds for one of them is bit
 * 6 of its byte, and a multiplication gathers these bits.
 */
#define EACH UINT64_C(0x010101010101) /* 1 in each of six bytes */

/* The arrivals, and two bytes of what comes behind them. */
static uint64_t arrivals_get(const struct kpi_dedupe_line *line)
{
    uint64_t bytes;

    _Static_assert(offsetof(struct kpi_dedupe_line, arrivals) + sizeof(bytes) <= sizeof(*line),
                   "a line has 8 bytes from its arrivals on");
    memcpy(&bytes, (const char *)line + offsetof(struct kpi_dedupe_line, arrivals), sizeof(bytes));
    return le64toh(bytes);
}

static void arrivals_set(struct kpi_dedupe_line *line, uint64_t arrivals)
{
    arrivals = htole64(arrivals);
    memcpy((char *)line + offsetof(struct kpi_dedupe_line, arrivals), &arrivals, sizeof(arrivals));
}

static uint64_t stamps_of(const struct kpi_dedupe_line *line)
{
    return arrivals_get(line) & EACH * STAMP_MASK;
}

static unsigned places_gather(uint64_t bits)
{
    return (unsigned)(((bits >> 6 & EACH) * UINT64_C(0x0102040810204080)) >> 56);
}

static unsigned places_taken(const struct kpi_dedupe_line *line)
{
    return places_gather(stamps_of(line) + EACH * 63);
}

/*
 * Taken, and arrived within [floor, now], in bit 6: each byte becomes an age of 0 … 62, whereby
 * stamps above that of now are of a round before; and 64 + span - age has bit 6 set where the age
 * is not above the span.
 */
static uint64_t stamps_alive(const struct kpi_dedupe *dedupe, uint64_t stamps)
{
    uint64_t behind = EACH * (64 + dedupe->now_stamp) - stamps;
    uint64_t ages = (behind & EACH * 63) - (~behind >> 6 & EACH);
    uint64_t recent = EACH * (64 + (uint64_t)(dedupe->now - dedupe->floor)) - ages;

    return recent & (stamps + EACH * 63);
}

static unsigned places_alive(const struct kpi_dedupe *dedupe, const struct kpi_dedupe_line *line)
{
    return places_gather(stamps_alive(dedupe, stamps_of(line)));
}

static unsigned places_dirty(const struct kpi_dedupe_line *line)
{
    return line->rest >> DIRTY_SHIFT & PLACES_MASK;
}

/*
 * With the id of a key, whatever the content. Nearly always there is none: one branch a place
 * finds that out sooner than it takes to gather them.
 */
static unsigned places_of_id(const struct kpi_dedupe_line *line, uint64_t key)
{
    unsigned k = 0, same = 0;

    while ((line->keys[k] ^ key) > CONTENT_MASK)
        if (++k == KPI_DEDUPE_PER_LINE)
            return 0;
    for (; k < KPI_DEDUPE_PER_LINE; k++)
        same |= (unsigned)((line->keys[k] ^ key) <= CONTENT_MASK) << k;
    return same;
}

/* An entry to be put into a line. */
struct entry {
    uint64_t key;
    uint32_t event;
    uint32_t stamp; /* of its arrival */
    bool dirty;
};

static void entry_set(struct kpi_dedupe_line *line, unsigned k, const struct entry *entry)
{
    uint32_t old = UINT32_C(15) << (4 * k) | UINT32_C(1) << (DIRTY_SHIFT + k);

    line->keys[k] = entry->key;
    line->arrivals[k] = (uint8_t)(entry->stamp | (entry->event >> 6 & 0xc0u));
    line->events[k] = (uint8_t)(entry->event >> 4);
    line->rest = (line->rest & ~old) | (entry->event & 15u) << (4 * k) |
                 (uint32_t)entry->dirty << (DIRTY_SHIFT + k);
}

static void place_put(struct kpi_dedupe_segment *segment, const struct kpi_dedupe_place *place,
                      const struct entry *entry)
{
    struct kpi_dedupe_line *line = &segment->lines[place->line];

    segment->n += !(line->arrivals[place->k] & STAMP_MASK);
    entry_set(line, place->k, entry);
    if (entry->dirty)
        segment_dirty(segment)[place->line / 64] |= UINT64_C(1) << (place->line % 64);
}

/*
 * Puts an entry into the first place from its line on that is dead or empty; lines that it passes
 * by are marked, so that a search passes by too.
 */
static void segment_put(const struct kpi_dedupe *dedupe, struct kpi_dedupe_segment *segment,
                        const struct entry *entry)
{
    struct path path = path_begin(entry->key, segment->n_lines);

    for (;; path_next(&path)) {
        struct kpi_dedupe_line *line = &segment->lines[path.line];
        unsigned free = ~places_alive(dedupe, line) & PLACES_MASK;

        if (free) {
            struct kpi_dedupe_place place = {path.line, (uint32_t)__builtin_ctz(free)};

            place_put(segment, &place, entry);
            return;
        }
        line->rest |= PASSED_BY;
    }
}

/* Into an empty place of a line. */
static void entry_copy(const struct kpi_dedupe_line *from, unsigned k, struct kpi_dedupe_line *to,
                       unsigned place)
{
    to->keys[place] = from->keys[k];
    to->arrivals[place] = from->arrivals[k];
    to->events[place] = from->events[k];
    to->rest |= (from->rest >> (4 * k) & 15u) << (4 * place) |
                (from->rest >> (DIRTY_SHIFT + k) & 1u) << (DIRTY_SHIFT + place);
}

/*
 * Puts the entries of a purged segment into another's empty lines; fill: how many are in each of
 * these, 0.
 */
static void segment_move(const struct kpi_dedupe_segment *from, struct kpi_dedupe_segment *to,
                         uint8_t *fill)
{
    for (uint32_t i = 0; i < from->n_lines; i++) {
        const struct kpi_dedupe_line *line = &from->lines[i];

        for (unsigned taken = places_taken(line); taken; taken &= taken - 1) {
            unsigned k = (unsigned)__builtin_ctz(taken);
            struct path path = path_begin(line->keys[k], to->n_lines);

            for (; fill[path.line] == KPI_DEDUPE_PER_LINE; path_next(&path))
                to->lines[path.line].rest |= PASSED_BY;
            entry_copy(line, k, &to->lines[path.line], fill[path.line]++);
            to->n++;
        }
    }
    for (uint32_t i = 0; i < to->n_lines; i++)
        segment_dirty(to)[i / 64] |= (uint64_t)(places_dirty(&to->lines[i]) != 0) << (i % 64);
}

/* Makes a purged segment anew; n_lines 0: no table at all, whatever there was. */
static int segment_rebuild(struct kpi_dedupe *dedupe, struct kpi_dedupe_segment *segment,
                           uint32_t n_lines)
{
    struct kpi_dedupe_segment rebuilt = {.n_lines = n_lines};

    assert(n_lines == 0 || n_lines % 2 == 1); /* see struct path */
    if (n_lines) {
        uint8_t *fill = kpi_mem_zalloc(dedupe->mem, n_lines);

        rebuilt.lines = kpi_mem_zalloc(dedupe->mem, segment_bytes(n_lines));
        if (fill && rebuilt.lines)
            segment_move(segment, &rebuilt, fill);
        kpi_mem_free(dedupe->mem, fill, n_lines);
        if (!fill || !rebuilt.lines) {
            kpi_mem_free(dedupe->mem, rebuilt.lines, segment_bytes(n_lines));
            return -ENOMEM;
        }
        dedupe->bytes += segment_bytes(n_lines);
    }
    if (segment->lines) {
        kpi_mem_free(dedupe->mem, segment->lines, segment_bytes(segment->n_lines));
        dedupe->bytes -= segment_bytes(segment->n_lines);
    }
    *segment = rebuilt;
    return 0;
}

/*
 * Empties the places of the dead, whose stamps are cleared: that is what a place is empty by.
 * Returns how many lines are marked as passed by.
 */
static uint32_t segment_purge(const struct kpi_dedupe *dedupe, struct kpi_dedupe_segment *segment)
{
    uint32_t n_passed = 0, n = 0;

    for (uint32_t i = 0; i < segment->n_lines; i++) {
        struct kpi_dedupe_line *line = &segment->lines[i];
        uint64_t arrivals = arrivals_get(line);
        uint64_t alive = stamps_alive(dedupe, arrivals & EACH * STAMP_MASK) >> 6 & EACH;

        arrivals_set(line, arrivals & (alive * 0xff | ~(EACH * 0xff)));
        n_passed += (line->rest & PASSED_BY) != 0;
        n += (uint32_t)(alive * EACH >> 40) & 0xff; /* the sum of six bytes */
    }
    segment->n = n;
    return n_passed;
}

/* Is a segment of n_lines not fuller than `percent` with n entries? */
static bool fits(uint64_t n, uint64_t n_lines, unsigned percent)
{
    return n * 100 <= n_lines * KPI_DEDUPE_PER_LINE * percent;
}

/*
 * Loads. Living entries take 0.66 to 0.78 of the places, 16 to 13.7 bytes an id; with the dead
 * ones, whose places new ones take, it may be 0.85. A segment grows to the lowest load that is
 * allowed, since each growth moves all that it holds: an id four times in all. A segment of a few
 * hundred ids swings by more than that from hour to hour, and would be made anew again and again:
 * hence the spare lines, which are of no weight in a large one.
 */
enum {
    PERCENT_MIN = 66,
    PERCENT_GROWN = 68,
    PERCENT_LIVING = 78,
    PERCENT_MAX = 85,
};

/* Lines, an odd number, that n entries fill to `percent` at most. */
static uint32_t lines_for(uint64_t n, unsigned percent)
{
    return ((uint32_t)(n * 100 / (KPI_DEDUPE_PER_LINE * percent)) + 1) | 1;
}

/*
 * Drops the dead and gives the segment the size that fits n_more entries besides the living. It is
 * also made anew when every other line is marked as passed by, since searches become long then.
 */
static int segment_tidy(struct kpi_dedupe *dedupe, struct kpi_dedupe_segment *segment,
                        uint32_t n_more)
{
    uint32_t n_passed = segment_purge(dedupe, segment), n_lines = segment->n_lines;
    uint64_t n = (uint64_t)segment->n + n_more;

    if (n == 0)
        n_lines = 0;
    else if (!fits(n, n_lines, PERCENT_LIVING))
        n_lines = lines_for(n, PERCENT_GROWN) + KPI_DEDUPE_LINES_SPARE;
    else if (n_lines > 2 * KPI_DEDUPE_LINES_SPARE &&
             fits(n, n_lines - 2 * KPI_DEDUPE_LINES_SPARE, PERCENT_MIN))
        n_lines = lines_for(n, PERCENT_LIVING);
    else if (n_passed * 2 <= n_lines)
        return 0;
    return segment_rebuild(dedupe, segment, n_lines);
}

/* Sweeps on, and notes when all are through. */
static int sweep(struct kpi_dedupe *dedupe, uint32_t n_segments)
{
    for (; n_segments && dedupe->sweep < KPI_DEDUPE_SEGMENTS; n_segments--) {
        int r = segment_tidy(dedupe, &dedupe->segments[dedupe->sweep], 0);

        if (r < 0)
            return r;
        if (++dedupe->sweep == KPI_DEDUPE_SEGMENTS)
            dedupe->swept = dedupe->sweep_floor;
    }
    return 0;
}

static void sweep_begin(struct kpi_dedupe *dedupe)
{
    dedupe->sweep = 0;
    dedupe->sweep_floor = dedupe->floor;
}

static void clear(struct kpi_dedupe *dedupe)
{
    for (unsigned i = 0; i < KPI_DEDUPE_SEGMENTS; i++)
        (void)segment_rebuild(dedupe, &dedupe->segments[i], 0); /* allocates nothing */
    memset(dedupe->counts, 0, sizeof(dedupe->counts));
    memset(dedupe->dirty, 0, sizeof(dedupe->dirty));
    dedupe->n = 0;
    dedupe->sweep = KPI_DEDUPE_SEGMENTS;
    dedupe->generation++;
}

static void raise_floor(struct kpi_dedupe *dedupe, int64_t floor)
{
    for (; dedupe->floor < floor; dedupe->floor++) {
        uint32_t stamp = stamp_of(dedupe->floor);

        dedupe->n -= dedupe->counts[stamp];
        dedupe->counts[stamp] = dedupe->dirty[stamp] = 0;
    }
}

static void set_now(struct kpi_dedupe *dedupe, int64_t tick)
{
    dedupe->now = tick;
    dedupe->now_stamp = stamp_of(tick);
    dedupe->now_until = (tick + 1) * dedupe->tick_hours * KPI_HOUR;
}

static void set_grains(struct kpi_dedupe *dedupe, const struct kpi_dedupe_options *options)
{
    int64_t reach;

    dedupe->options = *options;
    dedupe->window_hours = (options->window + KPI_HOUR - 1) / KPI_HOUR;
    dedupe->tick_hours = (dedupe->window_hours + KPI_DEDUPE_TICKS_MAX - 1) / KPI_DEDUPE_TICKS_MAX;
    if (dedupe->tick_hours < 1)
        dedupe->tick_hours = 1;
    dedupe->window_ticks = (dedupe->window_hours + dedupe->tick_hours - 1) / dedupe->tick_hours;
    /* All remembered event hours lie within this many of each other. */
    reach = (options->keep + options->skew) / KPI_HOUR +
            3 * (dedupe->window_hours + dedupe->tick_hours) + 2;
    dedupe->event_hours = reach / (1 << EVENT_BITS) + 1;
    dedupe->event_reach = (uint32_t)(dedupe->window_hours / dedupe->event_hours);
}

int kpi_dedupe_init(struct kpi_dedupe *dedupe, const struct kpi_mem *mem,
                    const struct kpi_dedupe_options *options)
{
    size_t size = KPI_DEDUPE_SEGMENTS * sizeof(struct kpi_dedupe_segment);

    *dedupe = (struct kpi_dedupe){.mem = mem,
                                  .now = INT64_MIN,
                                  .now_until = INT64_MIN,
                                  .forced = INT64_MIN,
                                  .sweep = KPI_DEDUPE_SEGMENTS,
                                  .bytes = size};
    set_grains(dedupe, options);
    dedupe->segments = kpi_mem_zalloc(mem, size);
    return dedupe->segments ? 0 : -ENOMEM;
}

void kpi_dedupe_deinit(struct kpi_dedupe *dedupe)
{
    if (!dedupe->segments)
        return;
    clear(dedupe);
    kpi_mem_free(dedupe->mem, dedupe->segments,
                 KPI_DEDUPE_SEGMENTS * sizeof(struct kpi_dedupe_segment));
    dedupe->segments = NULL;
}

int kpi_dedupe_advance(struct kpi_dedupe *dedupe, kpi_time log_time)
{
    int64_t tick;
    int r;

    if (log_time < dedupe->now_until)
        return 0;
    tick = floor_div(hour_of(log_time), dedupe->tick_hours);
    if (dedupe->now == INT64_MIN) {
        set_now(dedupe, tick);
        dedupe->floor = dedupe->swept = tick - dedupe->window_ticks;
        return 0;
    }
    if (tick - dedupe->now > dedupe->window_ticks) {
        clear(dedupe);
        dedupe->floor = dedupe->swept = tick - dedupe->window_ticks;
    } else if (tick - dedupe->swept >= STAMPS) {
        /* Before time moves: what is dead now must be gone, lest its stamp come to life. */
        sweep_begin(dedupe);
        r = sweep(dedupe, KPI_DEDUPE_SEGMENTS);
        if (r < 0)
            return r;
    }
    set_now(dedupe, tick);
    raise_floor(dedupe, tick - dedupe->window_ticks);
    return 0;
}

int kpi_dedupe_work(struct kpi_dedupe *dedupe)
{
    if (dedupe->sweep == KPI_DEDUPE_SEGMENTS && dedupe->floor - dedupe->swept >= KPI_DEDUPE_SWEEP &&
        dedupe->now != INT64_MIN)
        sweep_begin(dedupe);
    return sweep(dedupe, 1);
}

static uint32_t event_stamp(const struct kpi_dedupe *dedupe, int64_t hour)
{
    return (uint32_t)(coarse(hour, dedupe->event_hours) & EVENT_MASK);
}

/* With the entries of the same id in a line: NEW if the event times of none are near enough. */
static enum kpi_dedupe_answer compare(const struct kpi_dedupe *dedupe,
                                      const struct kpi_dedupe_line *line, unsigned same,
                                      uint64_t key, kpi_time event_time)
{
    uint32_t event = event_stamp(dedupe, hour_of(event_time)), reach = dedupe->event_reach;
    enum kpi_dedupe_answer answer = KPI_DEDUPE_NEW;

    for (; same; same &= same - 1) {
        unsigned k = (unsigned)__builtin_ctz(same);
        uint32_t ahead = (event - entry_event(line, k) + reach) & EVENT_MASK;

        if (ahead > 2 * reach)
            continue;
        if (line->keys[k] == key)
            return KPI_DEDUPE_COPY;
        answer = KPI_DEDUPE_CONFLICT;
    }
    return answer;
}

enum kpi_dedupe_answer kpi_dedupe_find(const struct kpi_dedupe *dedupe, uint64_t id,
                                       uint32_t content, kpi_time event_time,
                                       struct kpi_dedupe_place *ret_place)
{
    const struct kpi_dedupe_segment *segment = &dedupe->segments[id >> SEGMENT_SHIFT];
    struct kpi_dedupe_place place = {0, KPI_DEDUPE_PER_LINE};
    enum kpi_dedupe_answer answer = KPI_DEDUPE_NEW;
    uint64_t key = make_key(id, content);
    struct path path;

    if (!segment->n_lines || !dedupe->options.window) {
        *ret_place = place;
        return KPI_DEDUPE_NEW;
    }
    path = path_begin(key, segment->n_lines);
    /* At the most once around: in time every line may have been passed by. */
    for (uint32_t n = segment->n_lines; n; n--) {
        const struct kpi_dedupe_line *line = &segment->lines[path.line];
        unsigned alive = places_alive(dedupe, line);
        unsigned same = places_of_id(line, key) & alive;

        if (place.k == KPI_DEDUPE_PER_LINE && alive != PLACES_MASK)
            place = (struct kpi_dedupe_place){path.line, (uint32_t)__builtin_ctz(~alive)};
        if (same) {
            enum kpi_dedupe_answer found = compare(dedupe, line, same, key, event_time);

            if (found == KPI_DEDUPE_COPY)
                return found;
            if (found == KPI_DEDUPE_CONFLICT)
                answer = found;
        }
        if (!(line->rest & PASSED_BY))
            break;
        path_next(&path);
    }
    *ret_place = place;
    return answer;
}

static int add(struct kpi_dedupe *dedupe, uint64_t id, const struct entry *entry,
               const struct kpi_dedupe_place *place)
{
    struct kpi_dedupe_segment *segment = &dedupe->segments[id >> SEGMENT_SHIFT];
    int r;

    if (!fits((uint64_t)segment->n + 1, segment->n_lines, PERCENT_MAX)) {
        r = segment_tidy(dedupe, segment, 1);
        if (r < 0)
            return r;
        place = NULL;
    }
    if (place && place->k < KPI_DEDUPE_PER_LINE)
        place_put(segment, place, entry);
    else
        segment_put(dedupe, segment, entry);
    dedupe->counts[entry->stamp]++;
    dedupe->dirty[entry->stamp] += entry->dirty;
    dedupe->n++;
    return 0;
}

/* Whole ticks, the oldest first; if the present one alone is too many, everything. */
static void enforce_max(struct kpi_dedupe *dedupe)
{
    while (dedupe->n > dedupe->options.ids_max && dedupe->floor < dedupe->now) {
        raise_floor(dedupe, dedupe->floor + 1);
        dedupe->forced = dedupe->floor;
    }
    if (dedupe->n > dedupe->options.ids_max) {
        clear(dedupe);
        dedupe->forced = dedupe->now;
    }
}

int kpi_dedupe_add(struct kpi_dedupe *dedupe, uint64_t id, uint32_t content, kpi_time event_time,
                   const struct kpi_dedupe_place *place)
{
    struct entry entry = {make_key(id, content), event_stamp(dedupe, hour_of(event_time)),
                          dedupe->now_stamp, true};
    int r;

    if (!dedupe->options.window)
        return 0;
    r = add(dedupe, id, &entry, place);
    if (r < 0)
        return r;
    if (dedupe->n > dedupe->options.ids_max)
        enforce_max(dedupe);
    return 0;
}

kpi_duration kpi_dedupe_window(const struct kpi_dedupe *dedupe)
{
    if (dedupe->now == INT64_MIN || dedupe->forced <= dedupe->now - dedupe->window_ticks)
        return dedupe->options.window;
    return (dedupe->now - dedupe->forced) * dedupe->tick_hours * KPI_HOUR;
}

void kpi_dedupe_prefetch(const struct kpi_dedupe *dedupe, uint64_t id)
{
    const struct kpi_dedupe_segment *segment = &dedupe->segments[id >> SEGMENT_SHIFT];
    uint32_t i;

    if (!segment->n_lines)
        return;
    i = path_begin(make_key(id, 0), segment->n_lines).line;
    __builtin_prefetch(&segment->lines[i], 1);
    __builtin_prefetch(&segment_dirty(segment)[i / 64], 1);
}

void kpi_dedupe_prefetch_overflow(const struct kpi_dedupe *dedupe, uint64_t id)
{
    const struct kpi_dedupe_segment *segment = &dedupe->segments[id >> SEGMENT_SHIFT];
    struct path path;

    if (!segment->n_lines)
        return;
    path = path_begin(make_key(id, 0), segment->n_lines);
    if (!(segment->lines[path.line].arrivals[KPI_DEDUPE_PER_LINE - 1] & STAMP_MASK))
        return;
    for (unsigned i = 0; i < OVERFLOW_AHEAD; i++) {
        path_next(&path);
        __builtin_prefetch(&segment->lines[path.line], 1);
    }
}

/* The latest hour that is congruent to the stamp and not further ahead than events may be. */
static int64_t event_hour_of(const struct kpi_dedupe *dedupe, uint32_t stamp)
{
    int64_t last =
        coarse((dedupe->now + 1) * dedupe->tick_hours + dedupe->options.skew / KPI_HOUR + 1,
               dedupe->event_hours);

    return (last - ((last - stamp) & EVENT_MASK)) * dedupe->event_hours;
}

static struct kpi_dedupe_record record_of(const struct kpi_dedupe *dedupe, uint32_t segment,
                                          const struct kpi_dedupe_line *line, unsigned k)
{
    return (struct kpi_dedupe_record){
        .id = (uint64_t)segment << SEGMENT_SHIFT | line->keys[k] >> KPI_DEDUPE_CONTENT_BITS,
        .arrival_hour = tick_of(dedupe, line->arrivals[k] & STAMP_MASK) * dedupe->tick_hours,
        .event_hour = event_hour_of(dedupe, entry_event(line, k)),
        .content = (uint16_t)(line->keys[k] & CONTENT_MASK),
    };
}

int kpi_dedupe_iterate(const struct kpi_dedupe *dedupe, kpi_dedupe_fn fn, void *userdata)
{
    for (uint32_t s = 0; s < KPI_DEDUPE_SEGMENTS; s++)
        for (uint32_t i = 0; i < dedupe->segments[s].n_lines; i++) {
            const struct kpi_dedupe_line *line = &dedupe->segments[s].lines[i];

            for (unsigned alive = places_alive(dedupe, line); alive; alive &= alive - 1) {
                struct kpi_dedupe_record record =
                    record_of(dedupe, s, line, (unsigned)__builtin_ctz(alive));
                int r = fn(userdata, &record);

                if (r)
                    return r;
            }
        }
    return 0;
}

static int take_dirty_line(const struct kpi_dedupe *dedupe, uint32_t segment,
                           struct kpi_dedupe_line *line, kpi_dedupe_fn fn, void *userdata)
{
    unsigned dirty = places_alive(dedupe, line) & places_dirty(line);
    int r = 0;

    for (; dirty && r == 0; dirty &= dirty - 1) {
        struct kpi_dedupe_record record =
            record_of(dedupe, segment, line, (unsigned)__builtin_ctz(dirty));

        r = fn(userdata, &record);
    }
    line->rest &= ~((uint32_t)PLACES_MASK << DIRTY_SHIFT);
    return r;
}

/* Asks the memory for all of a segment's dirty lines: each waited for alone, they take most of the
 * time of a save. */
static void prefetch_dirty(const struct kpi_dedupe_segment *segment)
{
    for (uint32_t w = 0; w < (segment->n_lines + 63) / 64; w++)
        for (uint64_t word = segment_dirty(segment)[w]; word; word &= word - 1)
            __builtin_prefetch(&segment->lines[w * 64 + (uint32_t)__builtin_ctzll(word)], 1);
}

int kpi_dedupe_take_dirty(struct kpi_dedupe *dedupe, kpi_dedupe_fn fn, void *userdata)
{
    for (uint32_t s = 0; s < KPI_DEDUPE_SEGMENTS; s++) {
        struct kpi_dedupe_segment *segment = &dedupe->segments[s];

        if (s + 1 < KPI_DEDUPE_SEGMENTS)
            prefetch_dirty(segment + 1);
        for (uint32_t w = 0; w < (segment->n_lines + 63) / 64; w++) {
            uint64_t word = segment_dirty(segment)[w];

            segment_dirty(segment)[w] = 0;
            for (; word; word &= word - 1) {
                uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(word);
                int r = take_dirty_line(dedupe, s, &segment->lines[i], fn, userdata);

                if (r)
                    return r;
            }
        }
    }
    memset(dedupe->dirty, 0, sizeof(dedupe->dirty));
    return 0;
}

uint64_t kpi_dedupe_n(const struct kpi_dedupe *dedupe, int64_t tick)
{
    return dedupe->counts[stamp_of(tick)];
}

uint64_t kpi_dedupe_n_dirty(const struct kpi_dedupe *dedupe, int64_t tick)
{
    return dedupe->dirty[stamp_of(tick)];
}

void kpi_dedupe_restore_begin(struct kpi_dedupe *dedupe, kpi_time log_time, int64_t floor_hour)
{
    int64_t floor = floor_div(floor_hour, dedupe->tick_hours);

    set_now(dedupe, floor_div(hour_of(log_time), dedupe->tick_hours));
    dedupe->floor = dedupe->now - dedupe->window_ticks;
    if (floor > dedupe->now)
        floor = dedupe->now; /* not from a save of ours */
    if (floor > dedupe->floor)
        dedupe->floor = dedupe->forced = floor;
    dedupe->swept = dedupe->floor;
}

int kpi_dedupe_restore(struct kpi_dedupe *dedupe, const struct kpi_dedupe_record *record)
{
    int64_t arrival = floor_div(record->arrival_hour, dedupe->tick_hours);
    struct entry entry = {make_key(record->id, record->content),
                          event_stamp(dedupe, record->event_hour), stamp_of(arrival), false};

    if (!dedupe->options.window || arrival < dedupe->floor || arrival > dedupe->now)
        return 0;
    return add(dedupe, record->id, &entry, NULL);
}

/* Rewrites the stamps of a line from the old grains to the new ones. */
static void line_retune(const struct kpi_dedupe *old, struct kpi_dedupe *dedupe, uint32_t segment,
                        struct kpi_dedupe_line *line)
{
    unsigned alive = places_alive(old, line);

    for (unsigned taken = places_taken(line); taken; taken &= taken - 1) {
        unsigned k = (unsigned)__builtin_ctz(taken);
        struct kpi_dedupe_record record = record_of(old, segment, line, k);
        int64_t arrival = floor_div(record.arrival_hour, dedupe->tick_hours);
        struct entry entry = {line->keys[k], event_stamp(dedupe, record.event_hour), 0, true};

        if (alive >> k & 1 && arrival >= dedupe->floor) {
            dedupe->counts[stamp_of(arrival)]++;
            dedupe->n++;
        } else {
            /* Dead stays dead: below the floor, for the sweep that is due now. */
            arrival = dedupe->floor - 1;
        }
        entry.stamp = stamp_of(arrival);
        entry_set(line, k, &entry);
    }
}

static void retune_entries(const struct kpi_dedupe *old, struct kpi_dedupe *dedupe)
{
    dedupe->n = 0;
    memset(dedupe->counts, 0, sizeof(dedupe->counts));
    for (uint32_t s = 0; s < KPI_DEDUPE_SEGMENTS; s++) {
        struct kpi_dedupe_segment *segment = &dedupe->segments[s];

        for (uint32_t i = 0; i < segment->n_lines; i++) {
            line_retune(old, dedupe, s, &segment->lines[i]);
            segment_dirty(segment)[i / 64] |= UINT64_C(1) << (i % 64);
        }
    }
    memcpy(dedupe->dirty, dedupe->counts, sizeof(dedupe->dirty));
    dedupe->swept = dedupe->floor - 1;
    dedupe->sweep = KPI_DEDUPE_SEGMENTS;
}

void kpi_dedupe_retune(struct kpi_dedupe *dedupe, const struct kpi_dedupe_options *options)
{
    struct kpi_dedupe old = *dedupe;
    int64_t floor;
    bool rewritten;

    set_grains(dedupe, options);
    rewritten = old.tick_hours != dedupe->tick_hours || old.event_hours != dedupe->event_hours;
    if (dedupe->now == INT64_MIN)
        return;
    set_now(dedupe, floor_div(old.now * old.tick_hours, dedupe->tick_hours));
    if (!options->window) {
        clear(dedupe);
        dedupe->floor = dedupe->swept = dedupe->now;
        return;
    }
    if (old.forced != INT64_MIN)
        dedupe->forced = floor_div(old.forced * old.tick_hours, dedupe->tick_hours);
    /* A longer window cannot bring back what was forgotten: until it has filled it is a forced one.
     */
    floor = floor_div(old.floor * old.tick_hours, dedupe->tick_hours);
    if (floor > dedupe->now - dedupe->window_ticks)
        dedupe->forced = floor;
    else
        floor = dedupe->now - dedupe->window_ticks;
    if (rewritten) {
        dedupe->generation++;
        dedupe->floor = floor;
        retune_entries(&old, dedupe);
    } else {
        raise_floor(dedupe, floor);
    }
    enforce_max(dedupe);
}
