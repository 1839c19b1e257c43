/*
 * Sketches of a supplement, and from those of all shards to rows.
 *
 * As bytes: for each, numbers of variable length: scope, leaf and how many bytes follow, and these.
 */
#include "spec/layout.h"
#include "spec/supplement.h"

#include <kpi/supplement.h>

#include <assert.h>

struct kpi_sketches kpi_sketches_make(const struct kpi_mem *mem)
{
    return (struct kpi_sketches){{.mem = mem}, {.mem = mem}};
}

void kpi_sketches_deinit(struct kpi_sketches *sketches)
{
    kpi_buffer_deinit(&sketches->entries);
    kpi_buffer_deinit(&sketches->bytes);
}

static bool is_before(const struct kpi_sketch_entry *entry, uint32_t scope, uint32_t leaf)
{
    return entry->scope != scope ? entry->scope < scope : entry->leaf < leaf;
}

uint32_t kpi_sketches_seek(const struct kpi_sketches *sketches, uint32_t from, uint32_t scope,
                           uint32_t leaf)
{
    while (from < kpi_sketches_n(sketches) &&
           is_before(kpi_sketches_at(sketches, from), scope, leaf))
        ++from;
    return from;
}

/* Bytes that were added since `at` become an entry. */
static int entry_end(struct kpi_sketches *sketches, uint32_t scope, uint32_t leaf, size_t at)
{
    uint32_t n = kpi_sketches_n(sketches);
    const struct kpi_sketch_entry entry = {scope, leaf, at, sketches->bytes.size - at};

    assert(n == 0 || is_before(kpi_sketches_at(sketches, n - 1), scope, leaf));
    kpi_buffer_add(&sketches->entries, &entry, sizeof(entry));
    return sketches->entries.failed || sketches->bytes.failed ? -ENOMEM : 0;
}

int kpi_sketches_push(struct kpi_sketches *sketches, uint32_t scope, uint32_t leaf,
                      const struct kpi_quantiles *quantiles)
{
    size_t at = sketches->bytes.size;

    kpi_quantiles_encode(quantiles, &sketches->bytes);
    return entry_end(sketches, scope, leaf, at);
}

int kpi_sketches_push_bytes(struct kpi_sketches *sketches, uint32_t scope, uint32_t leaf,
                            const void *bytes, size_t size)
{
    size_t at = sketches->bytes.size;

    kpi_buffer_add(&sketches->bytes, bytes, size);
    return entry_end(sketches, scope, leaf, at);
}

int kpi_sketches_copy(struct kpi_sketches *sketches, const struct kpi_sketches *from)
{
    kpi_buffer_add(&sketches->entries, from->entries.data, from->entries.size);
    kpi_buffer_add(&sketches->bytes, from->bytes.data, from->bytes.size);
    return sketches->entries.failed || sketches->bytes.failed ? -ENOMEM : 0;
}

void kpi_sketches_encode(const struct kpi_sketches *sketches, struct kpi_buffer *buffer)
{
    for (uint32_t i = 0; i < kpi_sketches_n(sketches); ++i) {
        const struct kpi_sketch_entry *entry = kpi_sketches_at(sketches, i);

        kpi_buffer_number(buffer, entry->scope);
        kpi_buffer_number(buffer, entry->leaf);
        kpi_buffer_number(buffer, entry->size);
        kpi_buffer_add(buffer, sketches->bytes.data + entry->at, entry->size);
    }
}

int kpi_sketches_decode(struct kpi_sketches *sketches, struct kpi_reader *reader)
{
    while (kpi_reader_left(reader)) {
        uint64_t scope = kpi_reader_number(reader), leaf = kpi_reader_number(reader);
        struct kpi_reader taken = kpi_reader_take(reader, kpi_reader_number(reader));
        uint32_t n = kpi_sketches_n(sketches);
        int r;

        if (reader->failed || scope > UINT32_MAX || leaf > UINT32_MAX ||
            (n > 0 &&
             !is_before(kpi_sketches_at(sketches, n - 1), (uint32_t)scope, (uint32_t)leaf)))
            return KPI_SUPPLEMENT_E_CORRUPT;
        r = kpi_quantiles_check(taken.at, kpi_reader_left(&taken), sketches->bytes.mem);
        if (r == 0)
            r = kpi_sketches_push_bytes(sketches, (uint32_t)scope, (uint32_t)leaf, taken.at,
                                        kpi_reader_left(&taken));
        if (r != 0)
            return r < 0 ? r : KPI_SUPPLEMENT_E_CORRUPT;
    }
    return 0;
}

static bool stands_for_quantiles(const struct kpi_program *program, uint32_t leaf)
{
    return leaf < program->n_leaves && program->leaves[leaf].kind == KPI_LEAF_QUANTILE &&
           program->leaves[leaf].sketch == leaf;
}

bool kpi_sketches_fit(const struct kpi_sketches *sketches, const struct kpi_layout *layout)
{
    for (uint32_t i = 0; i < kpi_sketches_n(sketches); ++i) {
        const struct kpi_sketch_entry *entry = kpi_sketches_at(sketches, i);

        if (entry->scope >= layout->n_scopes ||
            !stands_for_quantiles(&layout->plan->program, entry->leaf))
            return false;
    }
    return true;
}

bool kpi_sketch_wanted(const struct kpi_program *program, uint32_t leaf, const uint32_t *leaf_rows)
{
    if (!stands_for_quantiles(program, leaf))
        return false;
    for (uint32_t i = leaf; i < program->n_leaves; ++i) {
        if (program->leaves[i].kind == KPI_LEAF_QUANTILE && program->leaves[i].sketch == leaf &&
            leaf_rows[i] != KPI_NO_INDEX)
            return true;
    }
    return false;
}

/* Rows under way. */
struct filling {
    const struct kpi_layout *layout;
    const struct kpi_supplement *const *parts;
    uint32_t n_parts;
    const struct kpi_mem *mem;
    uint32_t *places; /* by part: how far it has been read */
};

/* The sketches of all parts as one. 0 or -ENOMEM; it is to be freed in either case. */
static int merge(struct filling *filling, uint32_t scope, uint32_t leaf, struct kpi_quantiles *sum)
{
    int r = 0;

    for (uint32_t i = 0; i < filling->n_parts && r == 0; ++i) {
        const struct kpi_sketches *sketches = kpi_supplement_its_sketches(filling->parts[i]);
        struct kpi_quantiles quantiles;
        struct kpi_reader reader;

        filling->places[i] = kpi_sketches_seek(sketches, filling->places[i], scope, leaf);
        if (!kpi_sketches_is(sketches, filling->places[i], scope, leaf))
            continue;
        reader = kpi_reader_make(sketches->bytes.data +
                                     kpi_sketches_at(sketches, filling->places[i])->at,
                                 kpi_sketches_at(sketches, filling->places[i])->size);
        r = kpi_quantiles_decode(&quantiles, filling->mem, &reader);
        assert(r <= 0); /* it was made here, or has been checked */
        if (r < 0)
            break;
        r = kpi_quantiles_add(sum, filling->mem, &quantiles);
        kpi_quantiles_deinit(&quantiles, filling->mem);
    }
    return r;
}

static int scope_fill(struct filling *filling, uint32_t scope, struct kpi_row *rows)
{
    const struct kpi_program *program = &filling->layout->plan->program;
    const uint32_t *leaf_rows = program->grains[filling->layout->scopes[scope].grain].leaf_rows;
    int r = 0;

    for (uint32_t i = 0; i < program->n_leaves && r == 0; ++i) {
        struct kpi_quantiles sum = {0};

        if (!kpi_sketch_wanted(program, i, leaf_rows))
            continue;
        r = merge(filling, scope, i, &sum);
        for (uint32_t k = i; k < program->n_leaves && r == 0; ++k) {
            const struct kpi_leaf *leaf = &program->leaves[k];
            struct kpi_row *row = &rows[leaf_rows[k]];

            if (leaf->kind != KPI_LEAF_QUANTILE || leaf->sketch != i ||
                leaf_rows[k] == KPI_NO_INDEX)
                continue;
            if (row->n_events == 0)
                row->value = 0;
            else
                row->value = sum.n == (uint64_t)row->n_events
                                 ? kpi_quantiles_value(&sum, leaf->share)
                                 : INT64_MAX;
        }
        kpi_quantiles_deinit(&sum, filling->mem);
    }
    return r;
}

int kpi_rows_fill_quantiles(const struct kpi_layout *layout,
                            const struct kpi_supplement *const *parts, uint32_t n_parts,
                            const struct kpi_mem *mem, struct kpi_row *rows)
{
    struct filling filling = {layout, parts, n_parts, mem, NULL};
    size_t size = (n_parts + 1) * sizeof(*filling.places);
    int r = 0;

    if (!layout->plan->program.has_sketches)
        return 0;
    filling.places = kpi_mem_zalloc(mem, size);
    if (!filling.places)
        return -ENOMEM;
    for (uint32_t scope = 0; scope < layout->n_scopes && r == 0; ++scope)
        r = scope_fill(&filling, scope, rows + layout->first_rows[scope]);
    kpi_mem_free(mem, filling.places, size);
    return r;
}
