/* retained() of a formula: which users, and in which periods behind their start. */
#include "spec/build.h"

#include <xxhash.h>

static const char *const basis_names[] = {"day", "week", "month"};
static const char *const mode_names[] = {"classic", "unbounded", "bracket", "every"};

/* Arguments of retained(), in the table's order. */
enum {
    RETAINED_START,
    RETAINED_RETURN,
    RETAINED_BASIS,
    RETAINED_AT,
    RETAINED_MATCH,
    RETAINED_MODE,
    RETAINED_FROM,
    RETAINED_TO,
    RETAINED_COHORT,
};

static bool retained_refuse(struct kpi_builder *builder, const struct kpi_node *node,
                            const char *text)
{
    kpi_error(builder->compile->diag, kpi_place_node(builder->text, node), KPI_NO_SUGGESTION,
              "retained(): %s", text);
    return false;
}

/* Which periods behind the start it asks for, as tables do; false if an error was reported. */
static bool retained_periods(struct kpi_builder *builder, const struct kpi_node *node,
                             const struct kpi_bound *bound, struct kpi_leaf_work *leaf)
{
    const struct kpi_bound *at = &bound[RETAINED_AT], *mode = &bound[RETAINED_MODE];
    const struct kpi_bound *from = &bound[RETAINED_FROM], *to = &bound[RETAINED_TO];
    bool bounded = from->node || to->node;

    leaf->mode = mode->node ? (enum kpi_table_mode)mode->integer
                 : bounded  ? KPI_TABLE_BRACKET
                            : KPI_TABLE_CLASSIC;
    if (leaf->mode != KPI_TABLE_BRACKET) {
        if (bounded)
            return retained_refuse(builder, from->node ? from->node : to->node,
                                   "\"from\" and \"to\" are for mode=bracket only");
        if (!at->node)
            return retained_refuse(builder, node, "the argument \"at\" is missing");
        leaf->from = leaf->mode == KPI_TABLE_EVERY ? 1 : (uint32_t)at->integer;
        leaf->to = (uint32_t)at->integer + 1;
        return true;
    }
    if (at->node)
        return retained_refuse(builder, at->node,
                               "with mode=bracket, \"from\" and \"to\" say which periods");
    if (!from->node || !to->node)
        return retained_refuse(builder, node, "mode=bracket needs \"from\" and \"to\"");
    if (from->integer >= to->integer)
        return retained_refuse(builder, to->node,
                               "this bracket holds no period: \"to\" is left out, so it must be "
                               "greater than \"from\"");
    leaf->from = (uint32_t)from->integer;
    leaf->to = (uint32_t)to->integer;
    return true;
}

/* What of a retained() people read behind its measures. */
static void retained_show(struct kpi_writer *shown, const struct kpi_leaf_work *leaf)
{
    kpi_writer_format(shown, ", basis=%s", basis_names[leaf->basis]);
    if (leaf->mode == KPI_TABLE_BRACKET)
        kpi_writer_format(shown, ", from=%d, to=%d", (int64_t)leaf->from, (int64_t)leaf->to);
    else
        kpi_writer_format(shown, ", at=%d", (int64_t)leaf->to - 1);
    if (leaf->mode != KPI_TABLE_CLASSIC)
        kpi_writer_format(shown, ", mode=%s", mode_names[leaf->mode]);
    kpi_writer_format(shown, "%s%s)", leaf->match_both ? ", match=both" : "",
                      leaf->cohort == KPI_TABLE_RECURRING ? ", cohort=recurring" : "");
}

void kpi_build_retained(struct kpi_builder *builder, const struct kpi_node *node,
                        const struct kpi_function *function, const struct kpi_bound *bound)
{
    struct kpi_compile *compile = builder->compile;
    struct kpi_measure_work *start = kpi_build_users(builder, function, bound[RETAINED_START].node);
    struct kpi_measure_work *back = kpi_build_users(builder, function, bound[RETAINED_RETURN].node);
    struct kpi_leaf_work leaf = {.kind = KPI_LEAF_RETAINED};
    size_t begin;

    if (!retained_periods(builder, node, bound, &leaf) || !start || !back)
        return;
    leaf.measure = (uint32_t)(start - compile->measures);
    leaf.return_measure = (uint32_t)(back - compile->measures);
    leaf.basis = (enum kpi_basis)bound[RETAINED_BASIS].integer;
    if (bound[RETAINED_COHORT].node && bound[RETAINED_COHORT].integer == 1)
        leaf.cohort = KPI_TABLE_RECURRING;
    leaf.match_both = bound[RETAINED_MATCH].node && bound[RETAINED_MATCH].integer == 1;
    if (!builder->hidden) {
        kpi_writer_format(&builder->shown, "retained(start=%S, return=%S",
                          kpi_text_string(&start->definition->name),
                          kpi_text_string(&back->definition->name));
        retained_show(&builder->shown, &leaf);
    }
    begin = builder->meant.length;
    kpi_writer_format(&builder->meant, "retained(%x, %x, %s, %d, %s, %d)", start->fingerprint,
                      back->fingerprint, basis_names[leaf.basis], (int64_t)leaf.from,
                      leaf.match_both ? "both" : "start",
                      leaf.basis == KPI_BASIS_WEEK ? (int64_t)compile->in->week_start : (int64_t)0);
    if (leaf.mode != KPI_TABLE_CLASSIC)
        kpi_writer_format(&builder->meant, " %s %d", mode_names[leaf.mode], (int64_t)leaf.to);
    kpi_writer_format(&builder->meant, "%s",
                      leaf.cohort == KPI_TABLE_RECURRING ? " recurring" : "");
    leaf.fingerprint = builder->meant.failed ? 0
                                             : XXH3_64bits(builder->meant.data + begin,
                                                           builder->meant.length - begin);
    kpi_build_context(builder, &builder->meant);
    kpi_build_leaf(builder, leaf);
}
