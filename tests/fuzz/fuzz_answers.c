/*
 * Answers of a stranger's shard: whatever the bytes, reading them ends with answers or an outcome;
 * what was read can be written and read again, added up, and asked everything under a plan.
 *
 * An input is what follows the frame, which is made here: a fuzzer would not find the checksum.
 */
#include "answers_world.h"

#include <kpi/experiment.h>
#include <kpi/funnel.h>
#include <kpi/object.h>
#include <kpi/table.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct counting_mem counting;

/* Made once, and freed by nobody: it is the same for every input. */
static struct kpi_plan *plan_get(void)
{
    static struct fixture fixture;
    static struct kpi_plan *plan;

    if (plan)
        return plan;
    counting_mem_init(&counting);
    answers_fixture(&fixture);
    plan = fixture_plan(&fixture);
    if (!plan)
        abort();
    return plan;
}

static void write_and_read(const struct kpi_answers *answers)
{
    struct kpi_answers *read;
    size_t size, again_size;
    void *bytes, *again;

    if (kpi_answers_encode(answers, &counting.mem, &bytes, &size) ||
        kpi_answers_decode(&read, bytes, size, &counting.mem) ||
        kpi_answers_encode(read, &counting.mem, &again, &again_size) || again_size != size ||
        memcmp(bytes, again, size) != 0)
        abort();
    kpi_mem_free(&counting.mem, bytes, size);
    kpi_mem_free(&counting.mem, again, again_size);
    (void)kpi_answers_unref(read);
}

static void ask_table(const struct kpi_plan *plan, const struct kpi_answers *answers, kpi_time now)
{
    struct kpi_table_cell cells[16];
    struct kpi_table_mean means[16] = {{0}};
    kpi_time from = kpi_table_users_from(answers, 0);
    uint32_t i, end;

    if (kpi_table_n_cells(kpi_plan_table(plan, 0)) > 16)
        abort();
    for (kpi_answers_find(answers, KPI_ANSWER_TABLE, 0, &i, &end); i < end; i++) {
        struct kpi_answer answer = kpi_answers_get(answers, i);

        if (answer.part == KPI_TABLE_PART_PERIOD && kpi_table_shows(plan, 0, answer.start, now))
            kpi_table_means_add(means, cells, kpi_table_cells(plan, &answer, from, now, cells));
    }
}

static void ask_all(const struct kpi_plan *plan, const struct kpi_answers *answers)
{
    kpi_time now = (DAY_2026_10_25 + 3) * KPI_DAY;
    struct kpi_experiment_state state;

    ask_table(plan, answers, now);
    for (int by = 0; by < 2; by++) {
        const struct kpi_funnel_question question = {
            .from = INT64_MIN, .to = INT64_MAX, .by = by, .as_of = now};
        struct kpi_funnel_result *result;

        if (kpi_funnel_ask(plan, answers, 0, &question, &counting.mem, &result))
            abort();
        (void)kpi_funnel_result_free(result);
    }
    kpi_experiment_evaluate(plan, 0, answers, now, &state);
}

static void use(const struct kpi_plan *plan, struct kpi_answers *answers)
{
    struct kpi_answers *sum;

    write_and_read(answers);
    if (kpi_answers_new(&sum, &counting.mem) || kpi_answers_add(sum, answers))
        abort();
    for (unsigned i = 0; i < 2; i++) {
        int r = kpi_answers_add(sum, answers);

        if (r != 0 && r != ERANGE)
            abort();
    }
    if (kpi_answers_fits(answers, plan)) {
        ask_all(plan, answers);
        ask_all(plan, sum);
    }
    (void)kpi_answers_unref(sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kpi_plan *plan = plan_get();
    uint8_t *framed = malloc(KPI_OBJECT_HEADER_BYTES + size);
    struct kpi_answers *answers;
    int r;

    memcpy(framed + KPI_OBJECT_HEADER_BYTES, data, size);
    kpi_object_seal(framed, KPI_OBJECT_ANSWERS, 1, size);
    r = kpi_answers_decode(&answers, framed, KPI_OBJECT_HEADER_BYTES + size, &counting.mem);
    free(framed);
    if (r != 0 && r != KPI_ANSWERS_E_CORRUPT)
        abort();
    if (r == 0) {
        use(plan, answers);
        (void)kpi_answers_unref(answers);
    }
    return 0;
}
