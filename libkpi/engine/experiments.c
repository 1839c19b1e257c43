/*
 * Experiments: what is kept of each user, and the sums that are made of it when asked.
 *
 * The slots of a user's row (struct kpi_experiment):
 *
 *   state     KPI_TIME_NONE: neither exposure nor goal; PENDING: goals, but no exposure yet; else
 *             the place of the arm, and flags
 *   exposed   when the first exposure was, by event time
 *   goal      proportions: when the last goal was. A user has done it if that was not before the
 *             exposure, so the order of arrival does not matter
 *
 *   missed    sums: the last goal that came before the exposure was known, and is not in the sums
 *   x, y      sums since the exposure; y of ratios only
 *
 *   tuple     broken down: the tuple of the first exposure; of several at one time the one whose
 *             meaning is the least number, so that the order of arrival does not matter
 *
 * A goal event that arrives before any exposure may turn out to be later than it. Until then all
 * of them are summed in x and y, the first one's time in `exposed` and the last one's in `missed`:
 * an exposure before or after all of them settles it. If it lies between them, or an earlier
 * exposure turns up later than goals that it precedes, the sums lack something: the user is
 * UNCERTAIN, counted still, and told.
 */
#include "engine/experiments.h"

enum {
    SLOT_STATE,
    SLOT_EXPOSED,
    SLOT_GOAL,
    SLOT_MISSED = SLOT_GOAL,
    SLOT_X,
    SLOT_Y,
};

enum {
    STATE_ARM = 0xff, /* which bits hold the arm */
    STATE_UNCERTAIN = 1 << 8,
    STATE_TWO_ARMS = 1 << 9, /* all but `exposed` is KPI_TIME_NONE */
    STATE_PENDING = 1 << 10, /* `exposed` is the first pending goal */
};

_Static_assert(KPI_ARMS_MAX <= STATE_ARM, "an arm fits into its bits");

/* The place of the event's variant among the arms, or n_arms. */
static uint32_t arm_of(const struct kpi_experiment *experiment, const struct kpi_event *event)
{
    const struct kpi_field *field = &event->fields[experiment->variant];
    uint32_t arm = 0;

    if (field->kind != KPI_FIELD_STRING)
        return experiment->n_arms;
    while (arm < experiment->n_arms &&
           (experiment->arms[arm].hash != field->hash ||
            !kpi_string_equal(experiment->arms[arm].name,
                              (struct kpi_string){field->string, field->length})))
        arm++;
    return arm;
}

bool kpi_experiment_takes(const struct kpi_experiment *experiment, uint32_t part,
                          const struct kpi_event *event)
{
    uint32_t field = experiment->fields[part];

    if (event->time < experiment->from || event->time >= experiment->to)
        return false;
    if (part == KPI_EXPERIMENT_EXPOSURE)
        return arm_of(experiment, event) < experiment->n_arms;
    return field == KPI_NO_INDEX || event->fields[field].kind == KPI_FIELD_NUMBER;
}

static bool is_exposed(const int64_t *slots)
{
    return slots[SLOT_STATE] != KPI_TIME_NONE && !(slots[SLOT_STATE] & STATE_PENDING);
}

static void exclude(const struct kpi_experiment *experiment, int64_t *slots)
{
    slots[SLOT_STATE] = STATE_TWO_ARMS;
    slots[SLOT_GOAL] = KPI_TIME_NONE;
    if (experiment->is_proportion)
        return;
    slots[SLOT_X] = KPI_TIME_NONE;
    if (experiment->has_denominator)
        slots[SLOT_Y] = KPI_TIME_NONE;
}

/* The first exposure that arrives: what becomes of the goals that came before it. */
static void expose(const struct kpi_experiment *experiment, int64_t arm, kpi_time time,
                   int64_t *slots)
{
    bool pending = slots[SLOT_STATE] != KPI_TIME_NONE;
    kpi_time first = slots[SLOT_EXPOSED];

    slots[SLOT_STATE] = arm;
    slots[SLOT_EXPOSED] = time;
    if (experiment->is_proportion)
        return;
    if (pending && time <= first) {
        slots[SLOT_MISSED] = KPI_TIME_NONE; /* all are in the sums, and count */
        return;
    }
    if (pending && time <= slots[SLOT_MISSED])
        slots[SLOT_STATE] |= STATE_UNCERTAIN;
    slots[SLOT_X] = 0;
    if (experiment->has_denominator)
        slots[SLOT_Y] = 0;
}

static void update_exposure(const struct kpi_experiment *experiment, int64_t arm, kpi_time time,
                            int64_t *slots)
{
    if (!is_exposed(slots)) {
        expose(experiment, arm, time, slots);
        return;
    }
    if (time < slots[SLOT_EXPOSED]) {
        if (!experiment->is_proportion && slots[SLOT_MISSED] != KPI_TIME_NONE &&
            time <= slots[SLOT_MISSED])
            slots[SLOT_STATE] |= STATE_UNCERTAIN;
        slots[SLOT_EXPOSED] = time;
    }
    if ((slots[SLOT_STATE] & STATE_ARM) != arm && !(slots[SLOT_STATE] & STATE_TWO_ARMS))
        exclude(experiment, slots);
}

/* A sum that leaves 64 bits stays at the end that it has reached. */
static void add(int64_t *slot, int64_t number)
{
    if (__builtin_add_overflow(*slot, number, slot))
        *slot = number > 0 ? INT64_MAX : INT64_MIN + 1;
}

static void pend(const struct kpi_experiment *experiment, kpi_time time, int64_t *slots)
{
    if (slots[SLOT_STATE] == KPI_TIME_NONE) {
        slots[SLOT_STATE] = STATE_PENDING;
        if (experiment->is_proportion)
            return;
        slots[SLOT_EXPOSED] = slots[SLOT_MISSED] = time;
        slots[SLOT_X] = 0;
        if (experiment->has_denominator)
            slots[SLOT_Y] = 0;
    }
    if (!experiment->is_proportion && time < slots[SLOT_EXPOSED])
        slots[SLOT_EXPOSED] = time;
}

static void update_goal(const struct kpi_experiment *experiment, uint32_t part, int64_t number,
                        kpi_time time, int64_t *slots)
{
    bool counts;

    if (is_exposed(slots) && slots[SLOT_STATE] & STATE_TWO_ARMS)
        return;
    if (!is_exposed(slots))
        pend(experiment, time, slots);
    counts = !is_exposed(slots) || time >= slots[SLOT_EXPOSED];
    if (!experiment->is_proportion && counts)
        add(&slots[part == KPI_EXPERIMENT_GOAL ? SLOT_X : SLOT_Y], number);
    /* KPI_TIME_NONE is before every time */
    if ((experiment->is_proportion || !counts || !is_exposed(slots)) && time > slots[SLOT_GOAL])
        slots[SLOT_GOAL] = time;
}

void kpi_experiment_update(const struct kpi_experiment *experiment, uint32_t part,
                           const struct kpi_event *event, int64_t *slots)
{
    uint32_t field = experiment->fields[part];

    if (part == KPI_EXPERIMENT_EXPOSURE)
        update_exposure(experiment, arm_of(experiment, event), event->time, slots);
    else
        update_goal(experiment, part,
                    field == KPI_NO_INDEX ? KPI_DECIMAL_ONE : event->fields[field].number,
                    event->time, slots);
}

bool kpi_experiment_unit(const struct kpi_experiment *experiment, const int64_t *slots,
                         struct kpi_experiment_unit *ret_unit)
{
    struct kpi_experiment_unit unit = {.exposed = slots[SLOT_EXPOSED]};

    if (!is_exposed(slots))
        return false;
    unit.in_two_arms = slots[SLOT_STATE] & STATE_TWO_ARMS;
    unit.arm = (uint32_t)slots[SLOT_STATE] & STATE_ARM;
    if (!unit.in_two_arms && unit.arm >= experiment->n_arms)
        return false; /* no such state is written: these are damaged bytes */
    unit.is_uncertain = slots[SLOT_STATE] & STATE_UNCERTAIN;
    if (!experiment->is_proportion)
        unit.x = slots[SLOT_X];
    else if (slots[SLOT_GOAL] >= slots[SLOT_EXPOSED])
        unit.x = KPI_DECIMAL_ONE;
    if (experiment->has_denominator)
        unit.y = slots[SLOT_Y];
    *ret_unit = unit;
    return true;
}

/* --- the values of the first exposure --- */

uint32_t kpi_experiment_tuple(const struct kpi_engine *engine,
                              const struct kpi_experiment *experiment, const int64_t *slots)
{
    int64_t tuple = slots[experiment->tuple_slot];

    /* no other is written: these are damaged bytes */
    if (!is_exposed(slots) || tuple < KPI_DICTIONARY_FIRST ||
        tuple >= engine->tuples.sets[experiment->set].tuples.n)
        return KPI_DICTIONARY_NONE;
    return (uint32_t)tuple;
}

void kpi_experiment_tell_apart(const struct kpi_engine *engine,
                               const struct kpi_experiment *experiment, kpi_time time,
                               uint32_t tuple, int64_t *slots)
{
    uint32_t before = kpi_experiment_tuple(engine, experiment, slots);

    if (is_exposed(slots) &&
        (time > slots[SLOT_EXPOSED] ||
         (time == slots[SLOT_EXPOSED] && kpi_tuple_meaning(engine, experiment->set, tuple) >=
                                             kpi_tuple_meaning(engine, experiment->set, before))))
        return;
    slots[experiment->tuple_slot] = tuple;
}

/* --- answers --- */

/* What a scan finds of an experiment or of a group of it, by place of the arm. */
struct tally {
    struct kpi_arm_sums sums[KPI_ARMS_MAX];
    int64_t uncertain[KPI_ARMS_MAX], overflowed[KPI_ARMS_MAX];
    int64_t n_excluded;
};

struct scan {
    struct tally whole;
    kpi_time began; /* KPI_TIME_NONE: no exposure yet */
    /* broken down: by tuple the place in the order of values, and by that the tallies */
    uint32_t *ranks;
    struct tally *groups;
    uint32_t n; /* of both */
};

static void tally_unit(const struct kpi_experiment_unit *unit, struct tally *tally)
{
    if (unit->in_two_arms) {
        tally->n_excluded++;
        return;
    }
    if (kpi_arm_sums_add(&tally->sums[unit->arm], unit->x, unit->y) != 0)
        tally->overflowed[unit->arm]++;
    tally->uncertain[unit->arm] += unit->is_uncertain;
}

static void scan_row(const struct kpi_engine *engine, const struct kpi_experiment *experiment,
                     const int64_t *slots, struct scan *scan)
{
    struct kpi_experiment_unit unit;

    if (!kpi_experiment_unit(experiment, slots, &unit))
        return;
    if (scan->began == KPI_TIME_NONE || unit.exposed < scan->began)
        scan->began = unit.exposed;
    tally_unit(&unit, &scan->whole);
    if (scan->groups)
        tally_unit(&unit,
                   &scan->groups[scan->ranks[kpi_experiment_tuple(engine, experiment, slots)]]);
}

static void scan_all(const struct kpi_engine *engine, struct scan *scans)
{
    const struct kpi_program *program = engine->program;

    for (uint32_t user = 0; user < engine->users.n; user++) {
        const int64_t *row = kpi_slots_row(&engine->slots, user);

        for (uint32_t i = 0; row && i < program->n_experiments; i++) {
            const struct kpi_experiment *experiment = &program->experiments[i];

            scan_row(engine, experiment, row + program->attributes[experiment->attribute].slot,
                     &scans[i]);
        }
    }
}

static int push(struct kpi_answers *answers, const struct kpi_answer *key, uint32_t part,
                int64_t start, const kpi_wide *cells, uint32_t n_cells)
{
    struct kpi_answer answer = *key;

    answer.part = part;
    answer.start = start;
    answer.n_cells = n_cells;
    answer.cells = cells;
    return kpi_answers_push(answers, &answer);
}

static int push_arm(struct kpi_answers *answers, const struct kpi_answer *key, uint32_t arm,
                    const struct tally *tally, uint32_t place)
{
    const struct kpi_arm_sums *sums = &tally->sums[place];
    const kpi_wide cells[KPI_EXPERIMENT_CELLS] = {
        [KPI_EXPERIMENT_CELL_UNITS] = sums->units,
        [KPI_EXPERIMENT_CELL_X] = sums->x,
        [KPI_EXPERIMENT_CELL_Y] = sums->y,
        [KPI_EXPERIMENT_CELL_XX] = sums->xx,
        [KPI_EXPERIMENT_CELL_XY] = sums->xy,
        [KPI_EXPERIMENT_CELL_YY] = sums->yy,
        [KPI_EXPERIMENT_CELL_UNCERTAIN] = tally->uncertain[place],
        [KPI_EXPERIMENT_CELL_OVERFLOWED] = tally->overflowed[place],
    };

    if (sums->units == 0 && tally->overflowed[place] == 0)
        return 0;
    return push(answers, key, arm, 0, cells, KPI_EXPERIMENT_CELLS);
}

static int push_tally(struct kpi_answers *answers, const struct kpi_experiment *experiment,
                      const struct kpi_answer *key, const struct tally *tally)
{
    const kpi_wide excluded = tally->n_excluded;
    uint32_t places[KPI_ARMS_MAX];
    int r = 0;

    for (uint32_t place = 0; place < experiment->n_arms; place++)
        places[experiment->arms[place].index] = place;
    for (uint32_t arm = 0; arm < experiment->n_arms && r == 0; arm++)
        r = push_arm(answers, key, arm, tally, places[arm]);
    if (r == 0 && excluded)
        r = push(answers, key, KPI_EXPERIMENT_EXCLUDED, 0, &excluded, 1);
    return r;
}

/* Of each place one of the tuples that have it. */
static int push_groups(const struct kpi_engine *engine, struct kpi_answers *answers, uint32_t index,
                       const struct scan *scan)
{
    const struct kpi_experiment *experiment = &engine->program->experiments[index];
    uint32_t *tuples = kpi_mem_zalloc(&engine->mem, scan->n * sizeof(*tuples));
    int r = tuples ? 0 : -ENOMEM;

    for (uint32_t tuple = 0; tuple < scan->n && r == 0; tuple++)
        tuples[scan->ranks[tuple]] = tuple;
    for (uint32_t rank = 0; rank < scan->n && r == 0; rank++) {
        const struct kpi_breakdown_info *by = kpi_plan_experiment(engine->plan, index)->by;
        struct kpi_answer key = {.kind = KPI_ANSWER_EXPERIMENT, .index = index};

        if (scan->ranks[tuples[rank]] != rank)
            break; /* places behind the last one, as some tuples share theirs */
        key.n_values = by->n_dimensions;
        kpi_tuple_answer(engine, experiment->set, experiment->places, tuples[rank], &key);
        r = push_tally(answers, experiment, &key, &scan->groups[rank]);
    }
    kpi_mem_free(&engine->mem, tuples, scan->n * sizeof(*tuples));
    return r;
}

static int push_scan(const struct kpi_engine *engine, struct kpi_answers *answers, uint32_t index,
                     const struct scan *scan)
{
    const struct kpi_experiment *experiment = &engine->program->experiments[index];
    const struct kpi_answer key = {.kind = KPI_ANSWER_EXPERIMENT, .index = index};
    kpi_time counts_from = kpi_engine_reads_from(engine, experiment->reads,
                                                 engine->attributes_from[experiment->attribute]);
    const kpi_wide one = 1;
    int r = push_tally(answers, experiment, &key, &scan->whole);

    if (r == 0 && scan->began != KPI_TIME_NONE)
        r = push(answers, &key, KPI_EXPERIMENT_BEGAN, scan->began, &one, 1);
    if (r == 0 && counts_from != KPI_TIME_NONE)
        r = push(answers, &key, KPI_EXPERIMENT_COUNTS_FROM, counts_from, &one, 1);
    return r == 0 && scan->groups ? push_groups(engine, answers, index, scan) : r;
}

static int scan_init(const struct kpi_engine *engine, uint32_t index, struct scan *scan)
{
    const struct kpi_experiment *experiment = &engine->program->experiments[index];
    const struct kpi_breakdown_info *by = kpi_plan_experiment(engine->plan, index)->by;

    *scan = (struct scan){.began = KPI_TIME_NONE};
    if (!by)
        return 0;
    scan->n = engine->tuples.sets[experiment->set].tuples.n;
    scan->ranks = kpi_mem_zalloc(&engine->mem, scan->n * sizeof(*scan->ranks));
    scan->groups = kpi_mem_zalloc(&engine->mem, scan->n * sizeof(*scan->groups));
    if (!scan->ranks || !scan->groups)
        return -ENOMEM;
    return kpi_tuples_rank(engine, experiment->set, experiment->places, by->n_dimensions,
                           scan->ranks);
}

static void scan_deinit(const struct kpi_engine *engine, struct scan *scan)
{
    kpi_mem_free(&engine->mem, scan->ranks, scan->n * sizeof(*scan->ranks));
    kpi_mem_free(&engine->mem, scan->groups, scan->n * sizeof(*scan->groups));
}

int kpi_experiments_answer(struct kpi_engine *engine, struct kpi_answers *answers)
{
    uint32_t n = engine->program->n_experiments;
    struct scan *scans = kpi_mem_zalloc(&engine->mem, n * sizeof(*scans));
    int r = scans || n == 0 ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && r == 0; i++)
        r = scan_init(engine, i, &scans[i]);
    if (r == 0)
        scan_all(engine, scans);
    for (uint32_t i = 0; i < n && r == 0; i++)
        r = push_scan(engine, answers, i, &scans[i]);
    for (uint32_t i = 0; i < n && scans; i++)
        scan_deinit(engine, &scans[i]);
    kpi_mem_free(&engine->mem, scans, n * sizeof(*scans));
    return r;
}
