/*
 * Experiments: users are split over arms, and the question is which arm does best.
 *
 * What a shard knows of an arm are sums over its units (users, each in the arm of its first
 * exposure; who was in two arms is in none). They are integers and add up over shards. Everything
 * else follows from them here: the value of each arm, how the arms compare, and a verdict. Nothing
 * here keeps state or knows the time.
 *
 * - value: x of a unit (mean), whether a unit did it (proportion), or sum of x by sum of y (ratio).
 * - uplift: the value of arm b against that of arm a: b - a (absolute) or (b - a) / |a| (relative).
 * - sample ratio mismatch: the arms' sizes do not fit the declared split, so what sorted the users
 *   was not chance alone, and no comparison of the arms means anything.
 */
#pragma once

#include <kpi/base.h>
#include <kpi/definition.h>

struct kpi_answers;
struct kpi_plan;

#define KPI_ARMS_MAX        16
#define KPI_COMPARISONS_MAX (KPI_ARMS_MAX * (KPI_ARMS_MAX - 1) / 2)

/*
 * Over the units of an arm: x and y in 10^-6, their products in 10^-12, all exact. All zero is an
 * empty arm. Filled by the two functions below only: what computes on them relies on their being
 * sums of something real.
 */
struct kpi_arm_sums {
    int64_t units;
    kpi_wide x, y;
    kpi_wide xx, xy, yy;
};

enum {
    KPI_ARM_E_OVERFLOW =
        1, /* a sum of squares would pass 2^124, e.g. of 10^12 squares of 4 * 10^6 in value */
};

/*
 * Adds a unit with its x and y (both in 10^-6): x is 0 or KPI_DECIMAL_ONE for a proportion, y is
 * the denominator of a ratio and else 0. Returns 0 or KPI_ARM_E_OVERFLOW, which changes nothing.
 */
int kpi_arm_sums_add(struct kpi_arm_sums *sums, kpi_decimal x, kpi_decimal y);

/* Adds the sums of another shard. Returns as above. */
int kpi_arm_sums_merge(struct kpi_arm_sums *sums, const struct kpi_arm_sums *other);

/* How the two arms of a comparison were tested. */
enum kpi_test {
    KPI_TEST_NONE,       /* not at all: an arm is too small or nothing varies */
    KPI_TEST_WELCH,      /* means: Welch's t, degrees of freedom of Welch and Satterthwaite */
    KPI_TEST_Z,          /* proportions: pooled variance for p, unpooled (Wald) for the interval */
    KPI_TEST_FISHER,     /* proportions, when a cell is expected below 5: Fisher's exact test for p,
                            Newcombe's score interval (his method 10) */
    KPI_TEST_DELTA,      /* ratios: normal, variance by the delta method */
    KPI_TEST_SEQUENTIAL, /* asymptotic confidence sequence */
};

#define KPI_ARM_NONE UINT32_MAX

struct kpi_experiment_options {
    enum kpi_metric metric;
    enum kpi_method method;
    enum kpi_correction correction;
    enum kpi_better better; /* UP or DOWN: which arm is the best */
    uint32_t control;       /* compare the others with this arm; KPI_ARM_NONE: all pairs */
    bool one_sided;        /* only ask whether an arm is better than control, which there must be */
    double alpha;          /* 0 < alpha < 0.5 */
    double tuning_units;   /* N*: units in both arms at which sequential intervals are tightest; to
                              be left alone during the experiment; > 0 */
    double srm_threshold;  /* a p of the split below this blocks the verdict */
    int64_t srm_units_min; /* in all arms, before the split is judged */
    int64_t units_min;     /* in each arm, before there is a verdict */
    kpi_duration run_min;  /* since the experiment began, before there is a verdict */
};

/* The customary ones; D8 of the requirements. metric and run_min are for the caller to set. */
#define KPI_EXPERIMENT_OPTIONS_DEFAULT                                                             \
    ((struct kpi_experiment_options){                                                              \
        .method = KPI_METHOD_SEQUENTIAL,                                                           \
        .correction = KPI_CORRECTION_HOLM,                                                         \
        .better = KPI_BETTER_UP,                                                                   \
        .control = KPI_ARM_NONE,                                                                   \
        .alpha = 0.05,                                                                             \
        .tuning_units = 5000,                                                                      \
        .srm_threshold = 0.001,                                                                    \
        .srm_units_min = 100,                                                                      \
        .units_min = 100,                                                                          \
    })

struct kpi_arm {
    double weight; /* its share in the declared split, in any unit; > 0 */
    struct kpi_arm_sums sums;
};

/* NAN is "undefined"; one-sided intervals have an end at infinity. */
struct kpi_effect {
    double value, lower, upper;
};

/*
 * Arm b against arm a. The intervals are each at 1 - alpha on their own, so with several
 * comparisons one can exclude 0 without being significant.
 */
struct kpi_comparison {
    uint32_t a, b;
    enum kpi_test test;
    struct kpi_effect absolute; /* in the unit of the value */
    struct kpi_effect relative; /* delta method; undefined when a's value is 0 */
    double p;                   /* that there is no difference; NAN with KPI_TEST_NONE */
    double p_adjusted;
    bool significant; /* p_adjusted <= alpha */
};

enum kpi_verdict {
    KPI_VERDICT_UNDECIDED,
    KPI_VERDICT_ARM,     /* `winner` is the best */
    KPI_VERDICT_BLOCKED, /* the arms' sizes do not fit the split */
};

enum kpi_verdict_reason {
    KPI_REASON_EVIDENCE,  /* of ARM */
    KPI_REASON_SRM,       /* of BLOCKED */
    KPI_REASON_RUN,       /* UNDECIDED: not decidable yet, run_min is not over */
    KPI_REASON_UNITS,     /* UNDECIDED: not decidable yet, an arm has fewer than units_min */
    KPI_REASON_NO_WINNER, /* UNDECIDED: no arm is shown to be the best */
    KPI_REASON_ARM_SUMS,  /* UNDECIDED: the sums of an arm have overflowed */
    KPI_REASON_MISSED,    /* UNDECIDED: it counts from later than the `from` that it has */
};

const char *kpi_metric_name(enum kpi_metric metric);                 /* "proportion", … */
const char *kpi_method_name(enum kpi_method method);                 /* "fixed", … */
const char *kpi_correction_name(enum kpi_correction correction);     /* "holm", … */
const char *kpi_verdict_name(enum kpi_verdict verdict);              /* "undecided", "arm", … */
const char *kpi_verdict_reason_name(enum kpi_verdict_reason reason); /* "evidence", "srm", … */
const char *kpi_test_name(enum kpi_test test);                       /* "none", "welch", … */

struct kpi_experiment_result {
    double values[KPI_ARMS_MAX]; /* by arm; NAN is "undefined" */
    double srm_p;                /* chi-squared; exact binomial for two arms when less than 5 units
                                    are expected in one; NAN without any unit */
    double any_p; /* that all arms are alike: chi-squared of the whole table, of fixed
                     proportions in three or more arms; else NAN */
    uint32_t n_comparisons;
    struct kpi_comparison comparisons[KPI_COMPARISONS_MAX]; /* by a, then b; a is the control */
    enum kpi_verdict verdict;
    enum kpi_verdict_reason reason;
    uint32_t winner; /* with KPI_VERDICT_ARM, else KPI_ARM_NONE */
};

/*
 * Judges 2 to KPI_ARMS_MAX arms, `elapsed` after the beginning of the experiment.
 *
 * Blocked goes before all else, then run_min, then units_min. Without a control the verdict is the
 * arm that is significantly better than every other. With one it is the best in value of the arms
 * that are significantly better than control (not shown to be better than each other), or control
 * itself if it is significantly better than every other. Comparisons are filled in any case.
 */
void kpi_experiment_judge(const struct kpi_experiment_options *options, const struct kpi_arm *arms,
                          uint32_t n_arms, kpi_duration elapsed,
                          struct kpi_experiment_result *ret_result);

/* --- experiments of a plan --- */

struct kpi_experiment_info {
    struct kpi_string name;
    struct kpi_string title_en, title_zh; /* never empty */
    uint32_t n_arms;
    struct kpi_string arms[KPI_ARMS_MAX]; /* in the order of the definition */
    double weights[KPI_ARMS_MAX];
    struct kpi_string exposure, goal, denominator; /* as written; the last may be empty */
    uint32_t campaign; /* whose exposures count; UINT32_MAX: any, or none */
    kpi_time from, to; /* KPI_TIME_NONE: unbounded */
    struct kpi_experiment_options options;
    const struct kpi_breakdown_info *by; /* NULL: not broken down */
};

uint32_t kpi_plan_n_experiments(const struct kpi_plan *plan);
const struct kpi_experiment_info *kpi_plan_experiment(const struct kpi_plan *plan,
                                                      uint32_t experiment);

/*
 * What a shard answers of an experiment (kpi/answers.h): of the whole, without values, and if it is
 * broken down, of the users whose first exposure had these. By part:
 * - that of an arm, in the order of the definition: the cells below, sums as in kpi_arm_sums;
 * - EXCLUDED: how many users were in two arms, which are in none;
 * and of the whole alone
 * - BEGAN: the shard's first exposure is at `start`; the cell says nothing;
 * - COUNTS_FROM: the shard has missed what happened before `start`; likewise.
 */
enum {
    KPI_EXPERIMENT_EXCLUDED = KPI_ARMS_MAX,
    KPI_EXPERIMENT_BEGAN,
    KPI_EXPERIMENT_COUNTS_FROM,
};

enum {
    KPI_EXPERIMENT_CELL_UNITS,
    KPI_EXPERIMENT_CELL_X,
    KPI_EXPERIMENT_CELL_Y,
    KPI_EXPERIMENT_CELL_XX,
    KPI_EXPERIMENT_CELL_XY,
    KPI_EXPERIMENT_CELL_YY,
    /* units whose exposure arrived after goals that it precedes: their sums lack some */
    KPI_EXPERIMENT_CELL_UNCERTAIN,
    KPI_EXPERIMENT_CELL_OVERFLOWED, /* units that the sums could not take */
    KPI_EXPERIMENT_CELLS,
};

/* An experiment as it stands. */
struct kpi_experiment_state {
    struct kpi_arm arms[KPI_ARMS_MAX];
    int64_t uncertain[KPI_ARMS_MAX]; /* by arm; of a group under min_group these two are
                                        KPI_ANSWER_CELL_HIDDEN */
    int64_t n_excluded;
    kpi_time began;        /* the first exposure; KPI_TIME_NONE: none yet */
    kpi_time decidable_at; /* no verdict before; KPI_TIME_NONE: not known yet */
    /* What happened before was missed, as the experiment is newer; KPI_TIME_NONE: nothing was. */
    kpi_time counts_from;
    struct kpi_experiment_result result;
};

/*
 * Judges an experiment by the answers of all shards (NULL: none), at a time. With the method FIXED
 * there is no verdict before `to`, after which the sums stand still. There is none either of an
 * experiment with a `from` that counts from later than that; without one it begins when it is
 * defined.
 */
void kpi_experiment_evaluate(const struct kpi_plan *plan, uint32_t experiment,
                             const struct kpi_answers *answers, kpi_time as_of,
                             struct kpi_experiment_state *ret_state);

/*
 * The same of the users of one group alone, whose answers begin with `first`; began and counts_from
 * are those of the whole. Returns where the next group begins.
 */
uint32_t kpi_experiment_evaluate_group(const struct kpi_plan *plan, uint32_t experiment,
                                       const struct kpi_answers *answers, uint32_t first,
                                       kpi_time as_of, struct kpi_experiment_state *ret_state);
/*
 * Where the answers of the first group begin, and where those of the last one end, if the
 * experiment is broken down. *ret_suppressed: min_group has left something out.
 */
void kpi_experiment_groups(const struct kpi_answers *answers, uint32_t experiment,
                           uint32_t *ret_begin, uint32_t *ret_end, bool *ret_suppressed);
