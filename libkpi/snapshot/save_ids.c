/*
 * Remembered ids: for each hour of arrival a log of objects. New ids go into the last object of
 * their hour until it is full; an hour that is forgotten takes its objects along.
 */
#include "snapshot/format.h"

/* The new ids of this save, gathered before they are sorted by hour. */
struct gathering {
    struct kpi_dedupe_record *records;
    size_t n, n_max;
};

static int gather(void *userdata, const struct kpi_dedupe_record *record)
{
    struct gathering *gathering = userdata;

    gathering->records[gathering->n++] = *record;
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

static void tail_add(struct kpi_save *save, const struct kpi_dedupe_record *record)
{
    uint8_t *at = save->tail + save->n_tail++ * (size_t)KPI_SAVE_ID_BYTES;
    uint32_t event_hour = (uint32_t)record->event_hour;

    memcpy(at, &record->id, 8);
    memcpy(at + 8, &event_hour, 4);
    memcpy(at + 12, &record->content, 2);
}

/*
 * Appends the ids of one hour. The tail in memory is the content of the object that was added last;
 * if that is of this hour and not full, it goes on there.
 */
static int append_hour(struct kpi_saving *saving, const struct gathering *gathering, int64_t hour,
                       uint32_t index_first)
{
    struct kpi_save *save = saving->save;
    const struct kpi_ids_object *last = save->n_ids ? &save->ids[save->n_ids - 1] : NULL;
    bool goes_on = last && last->hour == hour && save->n_tail && save->n_tail < KPI_SAVE_IDS;
    uint32_t index = goes_on ? last->index : index_first;
    size_t i = 0;
    int r;

    if (!goes_on)
        save->n_tail = 0;
    for (;;) {
        for (; i < gathering->n && save->n_tail < KPI_SAVE_IDS; i++)
            if (gathering->records[i].arrival_hour == hour)
                tail_add(save, &gathering->records[i]);
        if (!save->n_tail)
            return 0;
        r = goes_on ? 0 : kpi_save_add_ids(save, hour, index);
        if (r == 0)
            r = put_tail(saving, hour, index);
        if (r < 0 || i == gathering->n)
            return r;
        goes_on = false;
        save->n_tail = 0;
        index++;
    }
}

/* The lowest hour of a record that is not below `from`; INT64_MAX if there is none. */
static int64_t next_hour(const struct gathering *gathering, int64_t from)
{
    int64_t hour = INT64_MAX;

    for (size_t i = 0; i < gathering->n; i++)
        if (gathering->records[i].arrival_hour >= from && gathering->records[i].arrival_hour < hour)
            hour = gathering->records[i].arrival_hour;
    return hour;
}

static int append_all(struct kpi_saving *saving, const struct gathering *gathering, size_t n_before)
{
    struct kpi_save *save = saving->save;
    int64_t hour = next_hour(gathering, INT64_MIN);

    if (!save->tail) {
        save->tail = kpi_mem_alloc(save->mem, KPI_SAVE_IDS * KPI_SAVE_ID_BYTES);
        if (!save->tail)
            return -ENOMEM;
    }
    for (; hour != INT64_MAX; hour = next_hour(gathering, hour + 1)) {
        const struct kpi_ids_object *last = last_of(save, n_before, hour);
        int r = append_hour(saving, gathering, hour, last ? last->index + 1 : 0);

        if (r < 0)
            return r;
    }
    return 0;
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
    struct gathering gathering = {0};
    int r = 0;

    gathering.n_max = saving->all ? dedupe->n : kpi_dedupe_n_dirty(dedupe);
    if (gathering.n_max) {
        gathering.records = kpi_mem_alloc(save->mem, gathering.n_max * sizeof(*gathering.records));
        if (!gathering.records)
            return -ENOMEM;
    }
    if (saving->all)
        (void)kpi_dedupe_iterate(dedupe, gather, &gathering); /* gather() goes on to the end */
    /* Their marks go in either case. */
    (void)kpi_dedupe_take_dirty(dedupe, saving->all ? ignore : gather, &gathering);
    if (over)
        r = start_over(saving, &gathering);
    else if (dedupe->now != INT64_MIN)
        r = drop_before(saving, dedupe->floor * dedupe->tick_hours);
    if (r == 0 && !over && gathering.n)
        r = append_all(saving, &gathering, save->n_ids);
    save->generation = dedupe->generation;
    kpi_mem_free(save->mem, gathering.records, gathering.n_max * sizeof(*gathering.records));
    return r;
}
