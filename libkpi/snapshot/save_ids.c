/*
 * Remembered ids: for each hour of arrival a log of objects. New ids go into the last object of
 * their hour until it is full; an hour that is forgotten takes its objects along.
 */
#include "snapshot/format.h"

#include <assert.h>

/*
 * The new ids of this save, by tick of arrival from the floor on: a list a tick, of the length that
 * is known beforehand, so that nothing is sorted.
 */
struct gathering {
    int64_t floor_hour;
    uint32_t tick_hours;
    struct arrivals {
        uint8_t *ids; /* KPI_SAVE_ID_BYTES each */
        size_t n, n_max;
    } ticks[KPI_DEDUPE_TICKS_MAX + 1];
};

static void gathering_deinit(struct gathering *gathering, const struct kpi_mem *mem)
{
    for (size_t i = 0; i <= KPI_DEDUPE_TICKS_MAX; i++)
        kpi_mem_free(mem, gathering->ticks[i].ids, gathering->ticks[i].n_max * KPI_SAVE_ID_BYTES);
}

/* With room for all ids, or the dirty ones. Returns 0 or -ENOMEM. */
static int gathering_init(struct gathering *gathering, const struct kpi_dedupe *dedupe,
                          const struct kpi_mem *mem, bool all)
{
    *gathering = (struct gathering){.tick_hours = (uint32_t)dedupe->tick_hours};
    if (dedupe->now == INT64_MIN)
        return 0;
    gathering->floor_hour = dedupe->floor * dedupe->tick_hours;
    for (int64_t tick = dedupe->floor; tick <= dedupe->now; tick++) {
        struct arrivals *arrivals = &gathering->ticks[tick - dedupe->floor];
        size_t n = all ? kpi_dedupe_n(dedupe, tick) : kpi_dedupe_n_dirty(dedupe, tick);

        if (!n)
            continue;
        arrivals->ids = kpi_mem_alloc(mem, n * KPI_SAVE_ID_BYTES);
        if (!arrivals->ids) {
            gathering_deinit(gathering, mem);
            return -ENOMEM;
        }
        arrivals->n_max = n;
    }
    return 0;
}

static int gather(void *userdata, const struct kpi_dedupe_record *record)
{
    struct gathering *gathering = userdata;
    uint32_t tick =
        (uint32_t)(record->arrival_hour - gathering->floor_hour) / gathering->tick_hours;
    struct arrivals *arrivals = &gathering->ticks[tick];
    uint8_t *at = arrivals->ids + arrivals->n * KPI_SAVE_ID_BYTES;
    uint32_t event_hour = (uint32_t)record->event_hour;

    assert(arrivals->n < arrivals->n_max);
    arrivals->n++;
    memcpy(at, &record->id, 8);
    memcpy(at + 8, &event_hour, 4);
    memcpy(at + 12, &record->content, 2);
    return 0;
}

static int ignore(void *userdata, const struct kpi_dedupe_record *record)
{
    return 0;
}

/* Removes the objects of hours before `floor`. */
static int drop_before(struct kpi_saving *saving, int64_t floor)
{
    struct kpi_save *save = saving->save;
    size_t n = 0;

    for (size_t i = 0; i < save->n_ids; i++) {
        struct kpi_name name = {'d', (uint64_t)save->ids[i].hour, save->ids[i].index};
        int r;

        if (save->ids[i].hour >= floor) {
            save->ids[n++] = save->ids[i];
            continue;
        }
        r = kpi_saving_remove(saving, &name);
        if (r < 0)
            return r;
    }
    if (n == 0)
        save->n_tail = 0;
    save->n_ids = n;
    return 0;
}

/* The last object of an hour, among the first n; NULL if there is none. */
static const struct kpi_ids_object *last_of(const struct kpi_save *save, size_t n, int64_t hour)
{
    const struct kpi_ids_object *last = NULL;

    for (size_t i = 0; i < n; i++)
        if (save->ids[i].hour == hour && (!last || save->ids[i].index > last->index))
            last = &save->ids[i];
    return last;
}

static int put_tail(struct kpi_saving *saving, int64_t hour, uint32_t index)
{
    kpi_saving_begin(saving, 'd', (uint64_t)hour, index);
    kpi_buffer_add(&saving->buffer, saving->save->tail,
                   saving->save->n_tail * (size_t)KPI_SAVE_ID_BYTES);
    return kpi_saving_end(saving);
}

/*
 * Appends the ids of one hour. The tail in memory is the content of the object that was added last;
 * if that is of this hour and not full, it goes on there.
 */
static int append_hour(struct kpi_saving *saving, const struct arrivals *arrivals, int64_t hour,
                       uint32_t index_first)
{
    struct kpi_save *save = saving->save;
    const struct kpi_ids_object *last = save->n_ids ? &save->ids[save->n_ids - 1] : NULL;
    bool goes_on = last && last->hour == hour && save->n_tail && save->n_tail < KPI_SAVE_IDS;
    uint32_t index = goes_on ? last->index : index_first;

    for (size_t i = 0; i < arrivals->n;) {
        size_t n = arrivals->n - i;
        int r;

        if (!goes_on)
            save->n_tail = 0;
        if (n > KPI_SAVE_IDS - save->n_tail)
            n = KPI_SAVE_IDS - save->n_tail;
        memcpy(save->tail + save->n_tail * (size_t)KPI_SAVE_ID_BYTES,
               arrivals->ids + i * KPI_SAVE_ID_BYTES, n * KPI_SAVE_ID_BYTES);
        save->n_tail += (uint32_t)n;
        r = goes_on ? 0 : kpi_save_add_ids(save, hour, index);
        if (r == 0)
            r = put_tail(saving, hour, index);
        if (r < 0)
            return r;
        i += n;
        index++;
        goes_on = false;
    }
    return 0;
}

static int tail_reserve(struct kpi_save *save)
{
    if (!save->tail)
        save->tail = kpi_mem_alloc(save->mem, KPI_SAVE_IDS * KPI_SAVE_ID_BYTES);
    return save->tail ? 0 : -ENOMEM;
}

static int append_all(struct kpi_saving *saving, const struct gathering *gathering, size_t n_before)
{
    struct kpi_save *save = saving->save;
    int r = 0;

    for (size_t i = 0; i <= KPI_DEDUPE_TICKS_MAX && r == 0; i++) {
        int64_t hour = gathering->floor_hour + (int64_t)i * gathering->tick_hours;
        const struct kpi_ids_object *last;

        if (!gathering->ticks[i].n)
            continue;
        last = last_of(save, n_before, hour);
        r = tail_reserve(save);
        if (r == 0)
            r = append_hour(saving, &gathering->ticks[i], hour, last ? last->index + 1 : 0);
    }
    return r;
}

/* All that is saved is to go: written over by nothing, since its names are not used again. */
static int start_over(struct kpi_saving *saving, struct gathering *gathering)
{
    struct kpi_save *save = saving->save;
    size_t n_before = save->n_ids;
    int r;

    save->n_tail = 0;
    r = append_all(saving, gathering, n_before);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n_before; i++) {
        struct kpi_name name = {'d', (uint64_t)save->ids[i].hour, save->ids[i].index};

        r = kpi_saving_remove(saving, &name);
        if (r < 0)
            return r;
    }
    if (n_before) /* else there may be no array */
        memmove(save->ids, save->ids + n_before, (save->n_ids - n_before) * sizeof(*save->ids));
    save->n_ids -= n_before;
    return 0;
}

int kpi_saving_ids(struct kpi_saving *saving)
{
    struct kpi_dedupe *dedupe = &saving->engine->dedupe;
    struct kpi_save *save = saving->save;
    bool over = saving->all || save->generation != dedupe->generation;
    struct gathering gathering;
    int r;

    r = gathering_init(&gathering, dedupe, save->mem, saving->all);
    if (r < 0)
        return r;
    if (saving->all)
        (void)kpi_dedupe_iterate(dedupe, gather, &gathering); /* gather() goes on to the end */
    /* Their marks go in either case. */
    (void)kpi_dedupe_take_dirty(dedupe, saving->all ? ignore : gather, &gathering);
    if (over)
        r = start_over(saving, &gathering);
    else if (dedupe->now != INT64_MIN)
        r = drop_before(saving, gathering.floor_hour);
    if (r == 0 && !over)
        r = append_all(saving, &gathering, save->n_ids);
    save->generation = dedupe->generation;
    gathering_deinit(&gathering, save->mem);
    return r;
}
