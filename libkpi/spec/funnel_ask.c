/*
 * From the added answers of all shards to what people ask of a funnel.
 */
#include "base/sort.h"
#include "spec/funnel_answers.h"
#include "spec/plan.h"

#include <kpi/answers.h>

#include <math.h>

/* A result, and what it points to. */
struct result {
    struct kpi_funnel_result result; /* first */
    struct kpi_pool pool;
    const struct kpi_mem *mem;
};

/* An answer that counts, with the values that are asked for. */
struct record {
    struct kpi_answer key; /* values alone */
    kpi_day day;
    uint32_t part;
    uint64_t users;
    double sum; /* microseconds */
};

struct asking {
    const struct kpi_plan *plan;
    const struct kpi_funnel_info *info;
    const struct kpi_funnel_question *question;
    struct result *result;
    struct record *records;
    const struct record **order; /* of the records, as it is needed */
    size_t n_records;
};

/* --- collecting --- */

static uint64_t count_of(const struct kpi_answer *answer)
{
    kpi_wide n = answer->cells[0];

    return n < 0 ? 0 : n > INT64_MAX ? INT64_MAX : (uint64_t)n;
}

static uint32_t step_of(const struct record *record)
{
    return record->part / KPI_FUNNEL_BUCKETS;
}

/* Adds the answer's record, if it is asked for. */
static void collect(struct asking *asking, const struct kpi_answer *answer)
{
    const struct kpi_funnel_question *question = asking->question;
    struct record record = {
        .day = (kpi_day)answer->start,
        .part = answer->part,
        .users = count_of(answer),
        .sum = answer->n_cells > 1 ? (double)answer->cells[1] : 0,
    };

    kpi_time start;

    if (answer->part == KPI_FUNNEL_PART_LATE)
        asking->result->result.n_late += record.users;
    if (answer->part == KPI_FUNNEL_PART_FROM && answer->start > asking->result->result.counts_from)
        asking->result->result.counts_from = answer->start;
    if (answer->part >= KPI_FUNNEL_PART_FROM || answer->start != record.day)
        return;
    start = kpi_zone_day_start(kpi_plan_zone(asking->plan, 0), record.day);
    if (step_of(&record) > asking->info->n_steps || start < question->from || start >= question->to)
        return;
    if (question->by) {
        record.key.n_values = answer->n_values;
        memcpy(record.key.values, answer->values, sizeof(answer->values));
    }
    asking->records[asking->n_records++] = record;
}

static int compare_parts(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;
    int order = kpi_answer_compare(&x->key, &y->key);

    return order ? order : (x->part > y->part) - (x->part < y->part);
}

static int compare_days(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;

    return (x->day > y->day) - (x->day < y->day);
}

/* --- a group --- */

/* The lower median by nearest rank: the mean of the bucket that holds it. */
static struct kpi_funnel_times times_of(const struct record *const *records, size_t n)
{
    struct kpi_funnel_times times = {0, NAN, NAN};
    uint64_t rank, passed = 0;
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        times.users += records[i]->users;
        sum += records[i]->sum;
    }
    if (times.users == 0)
        return times;
    times.mean = sum / (double)times.users / (double)KPI_SECOND;
    rank = (times.users + 1) / 2;
    for (size_t i = 0; i < n && passed < rank;) {
        uint32_t part = records[i]->part;
        uint64_t users = 0;

        sum = 0;
        for (; i < n && records[i]->part == part; i++) { /* of other days and values */
            users += records[i]->users;
            sum += records[i]->sum;
        }
        passed += users;
        if (passed >= rank)
            times.median = sum / (double)users / (double)KPI_SECOND;
    }
    return times;
}

/* The steps of a group out of its records, which are in order of parts. */
static int steps_fill(struct asking *asking, const struct record *const *records, size_t n,
                      struct kpi_funnel_group *group)
{
    uint32_t n_steps = asking->info->n_steps;
    struct kpi_funnel_times *steps =
        kpi_pool_alloc(&asking->result->pool, n_steps * sizeof(*steps));
    size_t from = 0, to;

    if (!steps)
        return -ENOMEM;
    for (uint32_t step = 0; step <= n_steps; step++, from = to) {
        struct kpi_funnel_times times;

        for (to = from; to < n && step_of(records[to]) == step; to++)
            ;
        times = times_of(records + from, to - from);
        if (step == 0)
            times.median = times.mean = NAN;
        *(step < n_steps ? &steps[step] : &group->whole) = times;
    }
    group->steps = steps;
    return 0;
}

static bool is_mature(const struct asking *asking, kpi_day day)
{
    kpi_time end = kpi_zone_day_start(kpi_plan_zone(asking->plan, 0), day + 1);

    return end + asking->info->within + asking->info->lateness <= asking->question->as_of;
}

/* The trend of a group; its records are put in order of days. */
static int days_fill(struct asking *asking, const struct record **records, size_t n,
                     struct kpi_funnel_group *group)
{
    struct kpi_pool *pool = &asking->result->pool;
    uint32_t n_steps = asking->info->n_steps;
    struct kpi_funnel_day *days;
    uint64_t *users;
    uint32_t n_days = 0;

    kpi_sort(records, n, sizeof(*records), compare_days);
    for (size_t i = 0; i < n; i++)
        n_days += i == 0 || records[i]->day != records[i - 1]->day;
    days = kpi_pool_alloc(pool, n_days * sizeof(*days));
    users = kpi_pool_alloc(pool, (size_t)n_days * n_steps * sizeof(*users));
    if (!days || !users)
        return -ENOMEM;
    group->days = days;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || records[i]->day != records[i - 1]->day) {
            days[group->n_days++] =
                (struct kpi_funnel_day){records[i]->day, is_mature(asking, records[i]->day), users};
            users += n_steps;
        }
        if (step_of(records[i]) < n_steps)
            users[(int64_t)step_of(records[i]) - n_steps] += records[i]->users;
    }
    return 0;
}

static int groups_fill(struct asking *asking)
{
    struct kpi_funnel_result *result = &asking->result->result;
    const struct record **records = asking->order;
    size_t n = asking->n_records, to;
    struct kpi_funnel_group *groups;
    uint32_t n_groups = !asking->question->by; /* without `by` there is one in any case */
    int r = 0;

    kpi_sort(records, n, sizeof(*records), compare_parts);
    for (size_t i = 0; i < n && asking->question->by; i++)
        n_groups += i == 0 || kpi_answer_compare(&records[i - 1]->key, &records[i]->key) != 0;
    groups = kpi_pool_alloc(&asking->result->pool, n_groups * sizeof(*groups));
    if (!groups)
        return -ENOMEM;
    result->groups = groups;
    for (size_t from = 0; result->n_groups < n_groups && r == 0; from = to) {
        struct kpi_funnel_group *group = &groups[result->n_groups++];

        for (to = from; to < n && kpi_answer_compare(&records[from]->key, &records[to]->key) == 0;)
            to++;
        if (from < n)
            memcpy(group->values, records[from]->key.values, sizeof(group->values));
        r = steps_fill(asking, records + from, to - from, group);
        if (r == 0)
            r = days_fill(asking, records + from, to - from, group);
    }
    if (r == 0 && asking->question->by && asking->plan->min_group > 0)
        r = kpi_funnel_hide(result, groups, asking->info->n_steps, asking->plan->min_group,
                            &asking->result->pool);
    return r;
}

static int ask(struct asking *asking, const struct kpi_answers *answers, uint32_t funnel,
               const struct kpi_mem *mem)
{
    uint32_t begin = 0, end = 0;
    size_t n;
    int r = 0;

    if (answers)
        kpi_answers_find(answers, KPI_ANSWER_FUNNEL, funnel, &begin, &end);
    n = (size_t)(end - begin) + 1;
    asking->records = kpi_mem_alloc(mem, n * sizeof(*asking->records));
    asking->order = kpi_mem_alloc(mem, n * sizeof(*asking->order));
    if (!asking->records || !asking->order)
        r = -ENOMEM;
    for (uint32_t i = begin; i < end && r == 0; i++) {
        struct kpi_answer answer = kpi_answers_get(answers, i);

        collect(asking, &answer);
    }
    for (size_t i = 0; i < asking->n_records; i++)
        asking->order[i] = &asking->records[i];
    if (r == 0)
        r = groups_fill(asking);
    kpi_mem_free(mem, asking->order, n * sizeof(*asking->order));
    kpi_mem_free(mem, asking->records, n * sizeof(*asking->records));
    return r;
}

int kpi_funnel_ask(const struct kpi_plan *plan, const struct kpi_answers *answers, uint32_t funnel,
                   const struct kpi_funnel_question *question, const struct kpi_mem *mem,
                   struct kpi_funnel_result **ret_result)
{
    struct result *result = kpi_mem_zalloc(mem, sizeof(*result));
    struct asking asking = {.plan = plan,
                            .info = kpi_plan_funnel(plan, funnel),
                            .question = question,
                            .result = result};
    int r;

    if (!result)
        return -ENOMEM;
    result->mem = mem;
    result->result.counts_from = KPI_TIME_NONE;
    kpi_pool_init(&result->pool, mem);
    r = ask(&asking, answers, funnel, mem);
    if (r < 0) {
        (void)kpi_funnel_result_free(&result->result);
        return r;
    }
    *ret_result = &result->result;
    return 0;
}

struct kpi_funnel_result *kpi_funnel_result_free(struct kpi_funnel_result *result)
{
    struct result *whole = (struct result *)result;

    if (whole) {
        kpi_pool_deinit(&whole->pool);
        kpi_mem_free(whole->mem, whole, sizeof(*whole));
    }
    return NULL;
}
