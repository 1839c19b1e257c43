/* Groups of too few users, left out: see kpi/supplement.h. */
#include "spec/hide.h"
#include "spec/layout.h"
#include "spec/plan.h"

#include <kpi/supplement.h>

/* Which row of which sort of leaf a row is. */
struct row_of {
    enum kpi_leaf_kind kind;
    uint32_t index;
};

/* The groups of one scope and breakdown: [first, first + n). */
struct run {
    const struct kpi_program *program;
    const struct kpi_breakdown *breakdown;
    struct row_of *rows_of; /* by row of the breakdown */
    uint32_t first, n;
    struct kpi_group *groups;
    bool *hidden;
    int64_t *counts; /* by group, then row: of how many people each number is */
};

/* How many people a row is of, as far as is known: at most as many as events. */
static int64_t row_count(enum kpi_leaf_kind kind, uint32_t i, const struct kpi_row *row)
{
    switch (kind) {
    case KPI_LEAF_GAUGE:
        return 0; /* of nobody */
    case KPI_LEAF_COUNT:
    case KPI_LEAF_SUM:
    case KPI_LEAF_MEAN:
    case KPI_LEAF_QUANTILE:
        return row->n_events;
    case KPI_LEAF_SCORES:
        return i == 0 ? row->n_events : row->value;
    case KPI_LEAF_USERS:
    case KPI_LEAF_LATEST:
    case KPI_LEAF_FIRST_TIME:
    case KPI_LEAF_USER_DAYS:
    case KPI_LEAF_RETAINED:
        break;
    }
    return row->value;
}

static void breakdown_turn(struct run *run, const struct kpi_breakdown *breakdown)
{
    if (run->breakdown == breakdown)
        return;
    run->breakdown = breakdown;
    for (uint32_t i = 0; i < run->program->n_leaves; ++i) {
        enum kpi_leaf_kind kind = run->program->leaves[i].kind;

        for (uint32_t k = 0; breakdown->leaf_rows[i] != KPI_NO_INDEX && k < kpi_leaf_n_rows(kind);
             ++k)
            run->rows_of[breakdown->leaf_rows[i] + k] = (struct row_of){kind, k};
    }
}

/* Judges a run; returns how many of its groups are hidden. */
static uint32_t run_judge(struct run *run, int64_t min)
{
    uint32_t n_rows = run->breakdown->n_rows;

    for (uint32_t i = 0; i < run->n; ++i) {
        for (uint32_t row = 0; row < n_rows; ++row)
            run->counts[(size_t)i * n_rows + row] = row_count(
                run->rows_of[row].kind, run->rows_of[row].index, &run->groups[i].rows[row]);
    }
    memset(run->hidden, 0, run->n * sizeof(*run->hidden));
    return kpi_hide(&(struct kpi_hiding){.min = min,
                                         .n_groups = run->n,
                                         .n_numbers = n_rows,
                                         .stride = n_rows,
                                         .counts = run->counts,
                                         .hidden = run->hidden});
}

/* Where the run that begins with group `first` ends. */
static uint32_t run_end(const struct kpi_supplement *all, uint32_t first)
{
    struct kpi_group begin = kpi_supplement_group(all, first);
    uint32_t i = first + 1, n = kpi_supplement_n_groups(all);

    for (; i < n; ++i) {
        struct kpi_group group = kpi_supplement_group(all, i);

        if (group.scope != begin.scope || group.breakdown != begin.breakdown)
            break;
    }
    return i;
}

static int push_shown(const struct run *run, struct kpi_supplement *shown)
{
    int r = 0;

    for (uint32_t i = 0; i < run->n && r == 0; ++i) {
        if (!run->hidden[i])
            r = kpi_supplement_push(shown, &run->groups[i]);
    }
    return r;
}

static int judge_all(const struct kpi_supplement *all, struct run *run, int64_t min,
                     struct kpi_supplement *shown, struct kpi_suppressed *suppressed,
                     uint32_t *n_suppressed)
{
    uint32_t n = kpi_supplement_n_groups(all);
    int r = 0;

    for (run->first = 0; run->first < n && r == 0; run->first += run->n) {
        uint32_t n_hidden;

        run->n = run_end(all, run->first) - run->first;
        for (uint32_t i = 0; i < run->n; ++i)
            run->groups[i] = kpi_supplement_group(all, run->first + i);
        breakdown_turn(run, &run->program->breakdowns[run->groups[0].breakdown]);
        n_hidden = run_judge(run, min);
        if (n_hidden > 0)
            suppressed[(*n_suppressed)++] =
                (struct kpi_suppressed){run->groups[0].scope, run->groups[0].breakdown, n_hidden};
        r = push_shown(run, shown);
    }
    return r;
}

/* How much there is of everything at most. */
struct sizes {
    uint32_t n_runs, n_groups /* of a run */, n_rows /* of a group */;
};

static struct sizes measure(const struct kpi_supplement *all)
{
    struct sizes sizes = {0};

    for (uint32_t first = 0, end; first < kpi_supplement_n_groups(all); first = end) {
        uint32_t n_rows = kpi_supplement_group(all, first).n_rows;

        end = run_end(all, first);
        sizes.n_runs++;
        sizes.n_groups = end - first > sizes.n_groups ? end - first : sizes.n_groups;
        sizes.n_rows = n_rows > sizes.n_rows ? n_rows : sizes.n_rows;
    }
    return sizes;
}

static size_t n_counts(const struct sizes *sizes)
{
    return (size_t)sizes->n_groups * sizes->n_rows;
}

static void run_deinit(struct run *run, const struct kpi_mem *mem, const struct sizes *sizes)
{
    kpi_mem_free(mem, run->groups, sizes->n_groups * sizeof(*run->groups));
    kpi_mem_free(mem, run->hidden, sizes->n_groups * sizeof(*run->hidden));
    kpi_mem_free(mem, run->rows_of, sizes->n_rows * sizeof(*run->rows_of));
    kpi_mem_free(mem, run->counts, n_counts(sizes) * sizeof(*run->counts));
}

static int run_init(struct run *run, const struct kpi_program *program, const struct kpi_mem *mem,
                    const struct sizes *sizes)
{
    *run = (struct run){.program = program};
    run->groups = kpi_mem_alloc(mem, sizes->n_groups * sizeof(*run->groups));
    run->hidden = kpi_mem_alloc(mem, sizes->n_groups * sizeof(*run->hidden));
    run->rows_of = kpi_mem_alloc(mem, sizes->n_rows * sizeof(*run->rows_of));
    run->counts = kpi_mem_alloc(mem, n_counts(sizes) * sizeof(*run->counts));
    if (sizes->n_groups && (!run->groups || !run->hidden || !run->rows_of || !run->counts)) {
        run_deinit(run, mem, sizes);
        return -ENOMEM;
    }
    return 0;
}

/* Gives back what of the array is not used. */
static int suppressed_cut(struct kpi_suppressed **suppressed, const struct kpi_mem *mem,
                          uint32_t n_max, uint32_t n)
{
    struct kpi_suppressed *cut =
        kpi_mem_resize(mem, *suppressed, n_max * sizeof(*cut), n * sizeof(*cut));

    if (n && !cut)
        return -ENOMEM;
    *suppressed = cut;
    return 0;
}

int kpi_supplement_suppress(const struct kpi_supplement *all, const struct kpi_layout *layout,
                            const struct kpi_mem *mem, struct kpi_supplement **ret_shown,
                            struct kpi_suppressed **ret_suppressed, uint32_t *ret_n_suppressed)
{
    struct sizes sizes = measure(all);
    struct kpi_supplement *shown = NULL;
    struct kpi_suppressed *suppressed;
    uint32_t n = 0;
    struct run run;
    int r;

    r = run_init(&run, &layout->plan->program, mem, &sizes);
    if (r < 0)
        return r;
    suppressed = kpi_mem_alloc(mem, sizes.n_runs * sizeof(*suppressed));
    r = suppressed || !sizes.n_runs ? kpi_supplement_new(&shown, mem) : -ENOMEM;
    if (r == 0)
        r = judge_all(all, &run, layout->plan->min_group, shown, suppressed, &n);
    run_deinit(&run, mem, &sizes);
    if (r == 0)
        r = suppressed_cut(&suppressed, mem, sizes.n_runs, n);
    if (r < 0) {
        kpi_mem_free(mem, suppressed, sizes.n_runs * sizeof(*suppressed));
        (void)kpi_supplement_unref(shown);
        return r;
    }
    *ret_shown = shown;
    *ret_suppressed = suppressed;
    *ret_n_suppressed = n;
    return 0;
}
