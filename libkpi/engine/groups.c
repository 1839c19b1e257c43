/*
 * From cells to groups. A tuple of which nothing has changed is not looked at again; of one that
 * has changed, only scopes with a changed cell are computed anew.
 */
#include "engine/groups.h"
#include "engine/report.h"

#include <kpi/supplement.h>

#include <assert.h>

/* The groups of one breakdown in one campaign under way. */
struct grouping {
    struct kpi_making making;
    struct kpi_groups *groups;
    uint32_t first_scope, end_scope; /* of the campaign */
    const struct kpi_breakdown *breakdown;
    struct kpi_group_list *list;
    struct kpi_row *scratch; /* of a group */
};

static void block_free(struct kpi_engine *engine, struct kpi_group_block *block, uint32_t n_rows)
{
    kpi_mem_free(&engine->mem, block->scopes, block->n_max * sizeof(*block->scopes));
    kpi_mem_free(&engine->mem, block->rows, (size_t)block->n_max * n_rows * sizeof(*block->rows));
    *block = (struct kpi_group_block){0};
}

void kpi_groups_flush(struct kpi_engine *engine)
{
    struct kpi_groups *groups = engine->groups;

    if (!groups)
        return;
    for (uint32_t b = 0; b < groups->n_lists; b++) {
        struct kpi_group_list *list = &groups->lists[b];

        for (uint32_t i = 0; i < list->n_max; i++)
            block_free(engine, &list->blocks[i], engine->program->breakdowns[b].n_rows);
        kpi_mem_free(&engine->mem, list->order, list->n_max * sizeof(*list->order));
        kpi_mem_free(&engine->mem, list->blocks, list->n_max * sizeof(*list->blocks));
    }
    kpi_mem_free(&engine->mem, groups->lists, groups->n_lists * sizeof(*groups->lists));
    kpi_mem_free(&engine->mem, groups, sizeof(*groups));
    engine->groups = NULL;
}

static int groups_make(struct kpi_engine *engine)
{
    struct kpi_groups *groups = engine->groups;
    uint32_t n = engine->program->n_breakdowns;

    if (groups)
        return 0;
    groups = kpi_mem_zalloc(&engine->mem, sizeof(*groups));
    if (!groups)
        return -ENOMEM;
    engine->groups = groups;
    groups->lists = kpi_mem_zalloc(&engine->mem, n * sizeof(*groups->lists));
    if (!groups->lists)
        return -ENOMEM;
    groups->n_lists = n;
    return 0;
}

static const struct kpi_tuple_set *set_of(const struct grouping *grouping)
{
    return &grouping->making.engine->tuples.sets[grouping->breakdown->set];
}

static uint32_t campaign_of(const struct grouping *grouping, uint32_t tuple)
{
    uint32_t parts[KPI_TUPLE_PARTS_MAX];

    kpi_tuple_parts(set_of(grouping), tuple, parts);
    return parts[0];
}

/* The key of a tuple's group, without scope. */
static struct kpi_group key_of(const struct grouping *grouping, uint32_t tuple)
{
    const struct kpi_engine *engine = grouping->making.engine;
    const struct kpi_breakdown *breakdown = grouping->breakdown;
    const struct kpi_dimension_set *set = &engine->program->sets[breakdown->set];
    struct kpi_group group = {
        .breakdown = (uint32_t)(breakdown - engine->program->breakdowns),
        .n_values = breakdown->info.n_dimensions,
        .n_rows = breakdown->n_rows,
    };
    uint32_t parts[KPI_TUPLE_PARTS_MAX];

    kpi_tuple_parts(set_of(grouping), tuple, parts);
    for (uint32_t i = 0; i < group.n_values; i++) {
        uint32_t dimension = set->dimensions[breakdown->places[i]];
        uint32_t id = parts[1 + breakdown->places[i]];

        if (id == KPI_DICTIONARY_NONE)
            continue;
        group.values[i] = kpi_dictionary_string(&engine->tuples.dimensions[dimension].values, id);
        if (!group.values[i].data)
            group.values[i].data = ""; /* an empty string is a value */
    }
    return group;
}

/* Is a before b: by campaign, then in canonical order? */
static bool is_before(const struct grouping *grouping, uint32_t a, uint32_t b)
{
    uint32_t campaign_a = campaign_of(grouping, a), campaign_b = campaign_of(grouping, b);
    struct kpi_group x, y;

    if (campaign_a != campaign_b)
        return campaign_a < campaign_b;
    x = key_of(grouping, a);
    y = key_of(grouping, b);
    return kpi_group_compare(&x, &y) < 0;
}

/* Puts the tuples that are new since the last report in their places. */
static int list_extend(struct grouping *grouping)
{
    const struct kpi_mem *mem = &grouping->making.engine->mem;
    struct kpi_group_list *list = grouping->list;
    uint32_t n = set_of(grouping)->tuples.n - KPI_DICTIONARY_FIRST;

    if (n > list->n_max) {
        uint32_t n_max = n + n / 2 + 8;
        uint32_t *order =
            kpi_mem_resize(mem, list->order, list->n_max * sizeof(*order), n_max * sizeof(*order));
        struct kpi_group_block *blocks;

        if (!order)
            return -ENOMEM;
        list->order = order;
        blocks = kpi_mem_resize(mem, list->blocks, list->n_max * sizeof(*blocks),
                                n_max * sizeof(*blocks));
        if (!blocks) {
            /* what is told of the order's size must stay true */
            kpi_mem_free(mem, list->order, n_max * sizeof(*order));
            list->order = NULL;
            return -ENOMEM;
        }
        memset(blocks + list->n_max, 0, (n_max - list->n_max) * sizeof(*blocks));
        list->blocks = blocks;
        list->n_max = n_max;
    }
    for (; list->n < n; list->n++) {
        uint32_t tuple = KPI_DICTIONARY_FIRST + list->n, low = 0, high = list->n;

        while (low < high) {
            uint32_t middle = (low + high) / 2;

            if (is_before(grouping, list->order[middle], tuple))
                low = middle + 1;
            else
                high = middle;
        }
        memmove(&list->order[low + 1], &list->order[low], (list->n - low) * sizeof(*list->order));
        list->order[low] = tuple;
    }
    return 0;
}

/* Where the campaign's tuples begin in the order. */
static uint32_t campaign_begin(const struct grouping *grouping, uint32_t campaign)
{
    uint32_t low = 0, high = grouping->list->n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (campaign_of(grouping, grouping->list->order[middle]) < campaign)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Rows of the next scope of a block; NULL without memory. */
static struct kpi_row *block_push(struct kpi_engine *engine, struct kpi_group_block *block,
                                  uint32_t scope, uint32_t n_rows)
{
    const struct kpi_mem *mem = &engine->mem;

    if (block->n == block->n_max) {
        uint32_t n_max = block->n_max * 2 + 4;
        size_t size = n_rows * sizeof(*block->rows);
        uint32_t *scopes = kpi_mem_alloc(mem, n_max * sizeof(*scopes));
        struct kpi_row *rows = kpi_mem_alloc(mem, n_max * size);

        if (!scopes || !rows) {
            kpi_mem_free(mem, scopes, n_max * sizeof(*scopes));
            kpi_mem_free(mem, rows, n_max * size);
            return NULL;
        }
        if (block->n) {
            memcpy(scopes, block->scopes, block->n * sizeof(*scopes));
            memcpy(rows, block->rows, block->n * size);
        }
        kpi_mem_free(mem, block->scopes, block->n_max * sizeof(*scopes));
        kpi_mem_free(mem, block->rows, block->n_max * size);
        block->scopes = scopes;
        block->rows = rows;
        block->n_max = n_max;
    }
    block->scopes[block->n] = scope;
    return block->rows + (size_t)block->n++ * n_rows;
}

/* Can anything of the tuple be other than what is kept? */
static bool tuple_changed(const struct grouping *grouping)
{
    const struct kpi_making *making = &grouping->making;

    if (making->all)
        return true;
    for (uint32_t i = 0; i < making->engine->program->n_leaves; i++) {
        struct kpi_leaf_at at = {.leaf = &grouping->breakdown->leaves[i]};
        const struct kpi_scope *scope = kpi_layout_scope(making->layout, grouping->first_scope);

        if (!at.leaf->instance)
            continue;
        /* Where a leaf finds nothing in one scope it may in the next: then these are asked. */
        if (!kpi_making_find(making, scope, &at))
            return true;
        at.windows = (struct kpi_windows){INT64_MIN, INT64_MAX};
        if (kpi_making_changed(making, &at))
            return true;
    }
    return false;
}

static bool is_zero(const struct kpi_row *rows, uint32_t n_rows)
{
    for (uint32_t i = 0; i < n_rows; i++)
        if (rows[i].value || rows[i].n_events)
            return false;
    return true;
}

/* The rows of a scope in the scratch, from those that are kept where nothing has changed. */
static int scope_fill(struct grouping *grouping, const struct kpi_scope *scope,
                      const struct kpi_row *kept)
{
    const struct kpi_breakdown *breakdown = grouping->breakdown;
    struct kpi_making *making = &grouping->making;
    const uint32_t *scope_rows = making->engine->program->grains[scope->grain].leaf_rows;
    uint32_t i_return = 0;

    if (kept)
        memcpy(grouping->scratch, kept, breakdown->n_rows * sizeof(*kept));
    else
        memset(grouping->scratch, 0, breakdown->n_rows * sizeof(*kept));
    for (uint32_t i = 0; i < making->engine->program->n_leaves; i++) {
        const struct kpi_leaf *leaf = &breakdown->leaves[i];
        struct kpi_leaf_at at = {.leaf = leaf, .i_return = i_return};
        int r = 0;

        if (leaf->instance && scope_rows[i] != KPI_NO_INDEX &&
            kpi_making_find(making, scope, &at) && kpi_making_changed(making, &at))
            r = kpi_making_fill(making, &at, grouping->scratch + breakdown->leaf_rows[i]);
        if (r < 0)
            return r;
        i_return += making->engine->program->leaves[i].kind == KPI_LEAF_RETAINED;
    }
    return 0;
}

static int tuple_fill(struct grouping *grouping, uint32_t tuple)
{
    struct kpi_making *making = &grouping->making;
    struct kpi_group_block *block = &grouping->list->blocks[tuple - KPI_DICTIONARY_FIRST];
    struct kpi_group_block fresh = {0};
    uint32_t n_rows = grouping->breakdown->n_rows, at = 0;
    int r = 0;

    making->tuple = tuple;
    if (!tuple_changed(grouping))
        return 0;
    for (uint32_t i = 0; i < making->n_returns; i++)
        making->cohorts_made[i] = false;
    for (uint32_t s = grouping->first_scope; s < grouping->end_scope && r == 0; s++) {
        const struct kpi_row *kept = NULL;
        struct kpi_row *rows;

        if (!making->all && at < block->n && block->scopes[at] == s)
            kept = block->rows + (size_t)at++ * n_rows;
        r = scope_fill(grouping, kpi_layout_scope(making->layout, s), kept);
        if (r < 0 || is_zero(grouping->scratch, n_rows))
            continue;
        rows = block_push(making->engine, &fresh, s, n_rows);
        if (rows)
            memcpy(rows, grouping->scratch, n_rows * sizeof(*rows));
        else
            r = -ENOMEM;
    }
    if (r < 0) {
        block_free(making->engine, &fresh, n_rows);
        return r;
    }
    block_free(making->engine, block, n_rows);
    *block = fresh;
    return 0;
}

static void grouping_turn(struct grouping *grouping, uint32_t breakdown)
{
    grouping->breakdown = &grouping->making.engine->program->breakdowns[breakdown];
    grouping->list = &grouping->groups->lists[breakdown];
    grouping->making.breakdown = grouping->breakdown;
}

/* Brings the blocks of a campaign's tuples up to date. */
static int campaign_fill(struct grouping *grouping)
{
    uint32_t n_breakdowns = grouping->making.engine->program->n_breakdowns;
    uint32_t campaign = grouping->making.campaign_tuple;
    int r = 0;

    for (uint32_t b = 0; b < n_breakdowns && r == 0; b++) {
        grouping_turn(grouping, b);
        for (uint32_t i = campaign_begin(grouping, campaign);
             r == 0 && i < grouping->list->n &&
             campaign_of(grouping, grouping->list->order[i]) == campaign;
             i++)
            r = tuple_fill(grouping, grouping->list->order[i]);
    }
    return r;
}

/* Hands out what a scope has. Blocks are searched: most tuples have counted in few scopes. */
static int scope_push(struct grouping *grouping, uint32_t scope, struct kpi_supplement *supplement)
{
    uint32_t n_breakdowns = grouping->making.engine->program->n_breakdowns;
    uint32_t campaign = grouping->making.campaign_tuple;

    for (uint32_t b = 0; b < n_breakdowns; b++) {
        grouping_turn(grouping, b);
        for (uint32_t i = campaign_begin(grouping, campaign);
             i < grouping->list->n && campaign_of(grouping, grouping->list->order[i]) == campaign;
             i++) {
            uint32_t tuple = grouping->list->order[i];
            const struct kpi_group_block *block =
                &grouping->list->blocks[tuple - KPI_DICTIONARY_FIRST];
            uint32_t low = 0, high = block->n;
            struct kpi_group group;
            int r;

            while (low < high) {
                uint32_t middle = (low + high) / 2;

                if (block->scopes[middle] < scope)
                    low = middle + 1;
                else
                    high = middle;
            }
            if (low == block->n || block->scopes[low] != scope)
                continue;
            group = key_of(grouping, tuple);
            group.scope = scope;
            group.rows = block->rows + (size_t)low * group.n_rows;
            r = kpi_supplement_push(supplement, &group);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int campaigns_fill(struct grouping *grouping, struct kpi_supplement *supplement)
{
    struct kpi_making *making = &grouping->making;
    const struct kpi_plan *plan = making->engine->plan;
    uint32_t n_scopes = kpi_layout_n_scopes(making->layout);
    int r = 0;

    for (grouping->end_scope = 0; grouping->end_scope < n_scopes && r == 0;) {
        const struct kpi_campaign_info *info;

        grouping->first_scope = grouping->end_scope;
        making->campaign = kpi_layout_scope(making->layout, grouping->first_scope)->campaign;
        while (grouping->end_scope < n_scopes &&
               kpi_layout_scope(making->layout, grouping->end_scope)->campaign == making->campaign)
            grouping->end_scope++;
        info = kpi_plan_campaign(plan, making->campaign);
        making->campaign_tuple = kpi_engine_find_value(making->engine, info->id);
        r = campaign_fill(grouping);
        for (uint32_t s = grouping->first_scope; s < grouping->end_scope && r == 0; s++)
            r = scope_push(grouping, s, supplement);
    }
    return r;
}

static int scratch_make(struct grouping *grouping, size_t *ret_size)
{
    const struct kpi_program *program = grouping->making.engine->program;
    uint32_t n_rows = 1;

    for (uint32_t b = 0; b < program->n_breakdowns; b++)
        if (program->breakdowns[b].n_rows > n_rows)
            n_rows = program->breakdowns[b].n_rows;
    *ret_size = n_rows * sizeof(*grouping->scratch);
    grouping->scratch = kpi_mem_alloc(&grouping->making.engine->mem, *ret_size);
    return grouping->scratch ? 0 : -ENOMEM;
}

/* Gives each campaign the values of all others, if its groups count what is not its own. */
static int tuples_spread(struct grouping *grouping)
{
    struct kpi_engine *engine = grouping->making.engine;
    const struct kpi_breakdown *breakdown = grouping->breakdown;
    int r = 0;

    if (breakdown->spreads)
        r = kpi_tuples_spread(engine, breakdown->set, breakdown->set, &grouping->list->n_spread);
    if (r == 0 && breakdown->total_set != KPI_NO_INDEX)
        r = kpi_tuples_spread(engine, breakdown->set, breakdown->total_set,
                              &grouping->list->n_total_spread);
    return r;
}

static int lists_extend(struct grouping *grouping)
{
    int r = 0;

    for (uint32_t b = 0; b < grouping->groups->n_lists && r == 0; b++) {
        grouping_turn(grouping, b);
        r = tuples_spread(grouping);
        if (r == 0)
            r = list_extend(grouping);
    }
    return r;
}

static int fill_all(struct grouping *grouping, struct kpi_supplement *supplement)
{
    struct kpi_engine *engine = grouping->making.engine;
    size_t scratch_size = 0;
    int r;

    r = lists_extend(grouping);
    if (r == 0)
        r = scratch_make(grouping, &scratch_size);
    if (r == 0)
        r = kpi_making_begin(&grouping->making);
    if (r == 0)
        r = campaigns_fill(grouping, supplement);
    kpi_making_end(&grouping->making);
    kpi_mem_free(&engine->mem, grouping->scratch, scratch_size);
    if (r == 0 && grouping->making.all)
        kpi_report_sweep(engine, true, engine->report->stamp);
    return r;
}

int kpi_engine_supplement(struct kpi_engine *engine, const struct kpi_layout *layout,
                          struct kpi_supplement **ret_supplement)
{
    struct grouping grouping = {
        .making = {.engine = engine, .layout = layout, .cache = engine->report}};
    struct kpi_supplement *supplement;
    int r;

    assert(engine->report && engine->report->layout == kpi_layout_fingerprint(layout));
    r = kpi_supplement_new(&supplement, engine->mem_outer);
    if (r < 0)
        return r;
    if (engine->program->n_breakdowns) {
        r = groups_make(engine);
        if (r == 0) {
            grouping.groups = engine->groups;
            grouping.making.all =
                !engine->groups->version || engine->groups->turned != engine->report->turned;
            grouping.making.version = engine->groups->version;
            r = fill_all(&grouping, supplement);
            engine->groups->version = engine->version + 1;
            engine->groups->turned = engine->report->turned;
        }
        if (r < 0)
            kpi_groups_flush(engine);
    }
    if (r == 0 && engine->program->has_sketches)
        r = kpi_engine_sketches(engine, layout, kpi_supplement_sketches(supplement));
    if (r < 0)
        (void)kpi_supplement_unref(supplement);
    else
        *ret_supplement = supplement;
    return r;
}
