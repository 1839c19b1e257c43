/* Latest answers: see latest.h. */
#include "base/latest.h"

void kpi_latest_deinit(struct kpi_latest *latest, const struct kpi_mem *mem)
{
    kpi_mem_free(mem, latest->entries, latest->n_entries * sizeof(*latest->entries));
    kpi_mem_free(mem, latest->numbers, latest->n_entries * sizeof(*latest->numbers));
    *latest = (struct kpi_latest){0};
}

/* The slot where the search for an id begins. */
static uint32_t home_of(const struct kpi_latest *latest, uint32_t id)
{
    /* Ids are consecutive numbers: a multiplication spreads them over the slots. */
    uint32_t mixed = (uint32_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

    return (uint32_t)(((uint64_t)mixed * latest->n_entries) >> 32);
}

/* The slot that holds the id, or the empty one where it would go. The table is never full. */
static struct kpi_latest_entry *slot_of(const struct kpi_latest *latest, uint32_t id)
{
    uint32_t i = home_of(latest, id);

    while (latest->entries[i].id != id && latest->entries[i].id != KPI_LATEST_EMPTY)
        if (++i == latest->n_entries)
            i = 0;
    return &latest->entries[i];
}

static int grow(struct kpi_latest *latest, const struct kpi_mem *mem, bool numbers)
{
    struct kpi_latest grown = {.n_entries = latest->n_entries + latest->n_entries / 2 + 8,
                               .n = latest->n,
                               .n_yes = latest->n_yes};

    grown.entries = kpi_mem_alloc(mem, grown.n_entries * sizeof(*grown.entries));
    if (numbers)
        grown.numbers = kpi_mem_alloc(mem, grown.n_entries * sizeof(*grown.numbers));
    if (!grown.entries || (numbers && !grown.numbers)) {
        kpi_latest_deinit(&grown, mem);
        return -ENOMEM;
    }
    memset(grown.entries, 0xff, grown.n_entries * sizeof(*grown.entries));
    for (uint32_t i = 0; i < latest->n_entries; i++) {
        struct kpi_latest_entry *entry;

        if (latest->entries[i].id == KPI_LATEST_EMPTY)
            continue;
        entry = slot_of(&grown, latest->entries[i].id);
        *entry = latest->entries[i];
        if (numbers)
            grown.numbers[entry - grown.entries] = latest->numbers[i];
    }
    kpi_latest_deinit(latest, mem);
    *latest = grown;
    return 0;
}

/* Makes room for one user more if need be. */
static int reserve(struct kpi_latest *latest, const struct kpi_mem *mem, bool numbers)
{
    if ((uint64_t)(latest->n + 1) * 4 <= (uint64_t)latest->n_entries * 3)
        return 0;
    return grow(latest, mem, numbers);
}

int kpi_latest_put(struct kpi_latest *latest, const struct kpi_mem *mem, uint32_t id,
                   uint64_t stamp, bool *ret_changed)
{
    struct kpi_latest_entry *entry;
    int r = reserve(latest, mem, false);

    if (r < 0)
        return r;
    entry = slot_of(latest, id);
    *ret_changed = false;
    if (entry->id == id) {
        if (stamp <= kpi_latest_stamp(entry))
            return 0;
        latest->n_yes -= entry->stamp_low & 1;
    } else {
        latest->n++;
    }
    *entry = (struct kpi_latest_entry){id, (uint32_t)stamp, (uint32_t)(stamp >> 32)};
    latest->n_yes += stamp & 1;
    *ret_changed = true;
    return 0;
}

int kpi_latest_put_number(struct kpi_latest *latest, const struct kpi_mem *mem, uint32_t id,
                          uint64_t stamp, int64_t number, bool *ret_changed)
{
    struct kpi_latest_entry *entry;
    int64_t *at;
    int r = reserve(latest, mem, true);

    if (r < 0)
        return r;
    entry = slot_of(latest, id);
    at = &latest->numbers[entry - latest->entries];
    *ret_changed = false;
    if (entry->id == id) {
        if (stamp < kpi_latest_stamp(entry) || (stamp == kpi_latest_stamp(entry) && number <= *at))
            return 0;
    } else {
        latest->n++;
    }
    *entry = (struct kpi_latest_entry){id, (uint32_t)stamp, (uint32_t)(stamp >> 32)};
    *at = number;
    *ret_changed = true;
    return 0;
}

const struct kpi_latest_entry *kpi_latest_find(const struct kpi_latest *latest, uint32_t id)
{
    const struct kpi_latest_entry *entry;

    if (!latest->n_entries)
        return NULL;
    entry = slot_of(latest, id);
    return entry->id == id ? entry : NULL;
}

bool kpi_latest_remove(struct kpi_latest *latest, uint32_t id)
{
    struct kpi_latest_entry *entries = latest->entries;
    uint32_t n = latest->n_entries, hole, i;

    if (!kpi_latest_find(latest, id))
        return false;
    hole = i = (uint32_t)(slot_of(latest, id) - entries);
    latest->n--;
    latest->n_yes -= entries[hole].stamp_low & 1; /* of numbers: 0 */
    /* What was pushed on by this entry moves up, so that no search ends at the hole. */
    for (;;) {
        i = i + 1 == n ? 0 : i + 1;
        if (entries[i].id == KPI_LATEST_EMPTY)
            break;
        if ((i + n - home_of(latest, entries[i].id)) % n < (i + n - hole) % n)
            continue;
        entries[hole] = entries[i];
        if (latest->numbers)
            latest->numbers[hole] = latest->numbers[i];
        hole = i;
    }
    memset(&entries[hole], 0xff, sizeof(entries[hole]));
    if (latest->numbers)
        latest->numbers[hole] = 0;
    return true;
}
