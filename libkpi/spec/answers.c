/*
 * Answers: a list in canonical order, whose values and cells stand in two growing blocks.
 *
 * Adding merges two such lists in one walk. As bytes: for each answer u8 kind and numbers of
 * variable length (base/number.h): index, the values (spec/values.h), part, start, from version 2
 * on the sketch's length and bytes, n_cells, cells.
 */
#include "base/number.h"
#include "sketch/quantiles.h"
#include "spec/program.h"
#include "spec/values.h"

#include <kpi/answers.h>
#include <kpi/experiment.h>
#include <kpi/object.h>

#include <assert.h>

enum {
    VERSION = 2,
};

struct stored {
    enum kpi_answer_kind kind;
    uint32_t index, part, n_cells;
    int64_t start;
    struct kpi_values values; /* in `bytes`; the sketch follows them */
    size_t sketch;            /* length */
    size_t cells;             /* place in `cells` */
};

struct content {
    struct kpi_buffer answers; /* struct stored */
    struct kpi_buffer bytes;
    struct kpi_buffer cells; /* kpi_wide */
};

struct kpi_answers {
    uint32_t n_references; /* atomic */
    const struct kpi_mem *mem;
    struct content content;
};

static struct content content_make(const struct kpi_mem *mem)
{
    return (struct content){{.mem = mem}, {.mem = mem}, {.mem = mem}};
}

static void content_deinit(struct content *content)
{
    kpi_buffer_deinit(&content->answers);
    kpi_buffer_deinit(&content->bytes);
    kpi_buffer_deinit(&content->cells);
}

static uint32_t content_n(const struct content *content)
{
    return (uint32_t)(content->answers.size / sizeof(struct stored));
}

static struct kpi_answer content_get(const struct content *content, uint32_t index)
{
    const struct stored *stored = (const struct stored *)content->answers.data + index;
    struct kpi_answer answer = {
        .kind = stored->kind,
        .index = stored->index,
        .part = stored->part,
        .start = stored->start,
        .n_values = stored->values.n,
        .n_cells = stored->n_cells,
        .cells = (const kpi_wide *)content->cells.data + stored->cells,
    };

    answer.sketch =
        (struct kpi_string){(const char *)content->bytes.data +
                                kpi_values_get(&stored->values, &content->bytes, answer.values),
                            stored->sketch};
    return answer;
}

/* Cells are the caller's to fill; NULL without memory. */
static kpi_wide *content_push(struct content *content, const struct kpi_answer *answer)
{
    struct stored stored = {
        .kind = answer->kind,
        .index = answer->index,
        .part = answer->part,
        .start = answer->start,
        .n_cells = answer->n_cells,
        .values = kpi_values_store(&content->bytes, answer->values, answer->n_values),
        .sketch = answer->sketch.length,
        .cells = content->cells.size / sizeof(kpi_wide),
    };

    kpi_buffer_add(&content->bytes, answer->sketch.data, answer->sketch.length);
    kpi_buffer_add(&content->answers, &stored, sizeof(stored));
    if (content->answers.failed || content->bytes.failed)
        return NULL;
    return kpi_buffer_extend(&content->cells, answer->n_cells * sizeof(kpi_wide));
}

static int content_copy(struct content *content, const struct kpi_answer *answer)
{
    kpi_wide *cells = content_push(content, answer);

    if (!cells)
        return -ENOMEM;
    memcpy(cells, answer->cells, answer->n_cells * sizeof(*cells));
    return 0;
}

int kpi_answers_new(struct kpi_answers **ret_answers, const struct kpi_mem *mem)
{
    struct kpi_answers *answers = kpi_mem_zalloc(mem, sizeof(*answers));

    if (!answers)
        return -ENOMEM;
    answers->n_references = 1;
    answers->mem = mem;
    answers->content = content_make(mem);
    *ret_answers = answers;
    return 0;
}

struct kpi_answers *kpi_answers_ref(struct kpi_answers *answers)
{
    __atomic_add_fetch(&answers->n_references, 1, __ATOMIC_RELAXED);
    return answers;
}

struct kpi_answers *kpi_answers_unref(struct kpi_answers *answers)
{
    if (answers && __atomic_sub_fetch(&answers->n_references, 1, __ATOMIC_ACQ_REL) == 0) {
        content_deinit(&answers->content);
        kpi_mem_free(answers->mem, answers, sizeof(*answers));
    }
    return NULL;
}

void kpi_answers_unrefp(struct kpi_answers **answers)
{
    *answers = kpi_answers_unref(*answers);
}

int kpi_answer_compare(const struct kpi_answer *a, const struct kpi_answer *b)
{
    int r;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    r = kpi_values_compare(a->values, a->n_values, b->values, b->n_values);
    if (r != 0)
        return r;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return (a->start > b->start) - (a->start < b->start);
}

bool kpi_answers_alike(const struct kpi_answer *a, const struct kpi_answer *b)
{
    return kpi_values_compare(a->values, a->n_values, b->values, b->n_values) == 0;
}

/* Is there none yet that it would not come after? */
static bool comes_last(const struct content *content, const struct kpi_answer *answer)
{
    uint32_t n = content_n(content);
    struct kpi_answer last;

    if (n == 0)
        return true;
    last = content_get(content, n - 1);
    return kpi_answer_compare(&last, answer) < 0;
}

int kpi_answers_push(struct kpi_answers *answers, const struct kpi_answer *answer)
{
    assert(answer->kind < KPI_N_ANSWER_KINDS);
    assert(answer->n_values <= KPI_BREAKDOWN_DIMENSIONS_MAX);
    assert(answer->n_cells > 0);
    assert(comes_last(&answers->content, answer));
    return content_copy(&answers->content, answer);
}

/* Adds a sketch, which was made here or has been checked. 0 or -ENOMEM. */
static int sketch_add(struct kpi_quantiles *sum, const struct kpi_mem *mem,
                      struct kpi_string sketch)
{
    struct kpi_reader reader = kpi_reader_make(sketch.data, sketch.length);
    struct kpi_quantiles quantiles;
    int r = kpi_quantiles_decode(&quantiles, mem, &reader);

    assert(r <= 0);
    if (r < 0)
        return r;
    r = kpi_quantiles_add(sum, mem, &quantiles);
    kpi_quantiles_deinit(&quantiles, mem);
    return r;
}

/* The sketch of two answers: that of the only one that has one, or both in the buffer. */
static int sketch_sum(const struct kpi_answer *a, const struct kpi_answer *b,
                      struct kpi_buffer *buffer, struct kpi_string *ret_sketch)
{
    struct kpi_quantiles sum = {0};
    int r;

    if (a->sketch.length == 0 || b->sketch.length == 0) {
        *ret_sketch = a->sketch.length > 0 ? a->sketch : b->sketch;
        return 0;
    }
    r = sketch_add(&sum, buffer->mem, a->sketch);
    if (r == 0)
        r = sketch_add(&sum, buffer->mem, b->sketch);
    if (r == 0)
        kpi_quantiles_encode(&sum, buffer);
    kpi_quantiles_deinit(&sum, buffer->mem);
    *ret_sketch = (struct kpi_string){(const char *)buffer->data, buffer->size};
    return buffer->failed ? -ENOMEM : r;
}

/* Two answers of one key. 0, ERANGE or -ENOMEM. */
static int content_sum(struct content *content, const struct kpi_answer *a,
                       const struct kpi_answer *b)
{
    static const kpi_wide greatest = (kpi_wide)(~(unsigned __int128)0 >> 1);
    struct kpi_answer more = a->n_cells >= b->n_cells ? *a : *b;
    const struct kpi_answer *less = a->n_cells >= b->n_cells ? b : a;
    struct kpi_buffer buffer = {.mem = content->bytes.mem};
    kpi_wide *cells;
    int r = sketch_sum(a, b, &buffer, &more.sketch);

    cells = r == 0 ? content_push(content, &more) : NULL;
    kpi_buffer_deinit(&buffer);
    if (!cells)
        return -ENOMEM;
    memcpy(cells, more.cells, more.n_cells * sizeof(*cells));
    for (uint32_t i = 0; i < less->n_cells; ++i) {
        if (__builtin_add_overflow(cells[i], less->cells[i], &cells[i])) {
            cells[i] = greatest;
            r = ERANGE;
        }
    }
    return r;
}

static int content_merge(struct content *sum, const struct content *a, const struct content *b)
{
    uint32_t i = 0, j = 0, n_a = content_n(a), n_b = content_n(b);
    bool overflow = false;

    while (i < n_a || j < n_b) {
        struct kpi_answer x, y;
        int r, order;

        if (i < n_a)
            x = content_get(a, i);
        if (j < n_b)
            y = content_get(b, j);
        order = i == n_a ? 1 : j == n_b ? -1 : kpi_answer_compare(&x, &y);
        r = order < 0   ? content_copy(sum, &x)
            : order > 0 ? content_copy(sum, &y)
                        : content_sum(sum, &x, &y);
        if (r < 0)
            return r;
        overflow |= r == ERANGE;
        i += order <= 0;
        j += order >= 0;
    }
    return overflow ? ERANGE : 0;
}

int kpi_answers_add(struct kpi_answers *answers, const struct kpi_answers *other)
{
    struct content sum = content_make(answers->mem);
    int r = content_merge(&sum, &answers->content, &other->content);

    if (r < 0) {
        content_deinit(&sum);
        return r;
    }
    content_deinit(&answers->content);
    answers->content = sum;
    return r;
}

uint32_t kpi_answers_n(const struct kpi_answers *answers)
{
    return content_n(&answers->content);
}

struct kpi_answer kpi_answers_get(const struct kpi_answers *answers, uint32_t index)
{
    assert(index < kpi_answers_n(answers));
    return content_get(&answers->content, index);
}

/* The first answer that is not before any of this kind and index. */
static uint32_t lower_bound(const struct kpi_answers *answers, enum kpi_answer_kind kind,
                            uint64_t index)
{
    const struct stored *stored = (const struct stored *)answers->content.answers.data;
    uint32_t low = 0, high = kpi_answers_n(answers);

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (stored[middle].kind < kind ||
            (stored[middle].kind == kind && stored[middle].index < index))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void kpi_answers_find(const struct kpi_answers *answers, enum kpi_answer_kind kind, uint32_t index,
                      uint32_t *ret_begin, uint32_t *ret_end)
{
    *ret_begin = lower_bound(answers, kind, index);
    *ret_end = lower_bound(answers, kind, (uint64_t)index + 1);
}

/* How an answer of a table or experiment may be told apart: not at all, or by its breakdown. */
static bool fits_by(const struct kpi_breakdown_info *by, const struct stored *stored)
{
    return stored->values.n == 0 || (by && stored->values.n == by->n_dimensions);
}

static bool fits_table(const struct kpi_program *program, const struct stored *stored)
{
    return stored->index < program->n_tables &&
           fits_by(program->tables[stored->index].info.by, stored);
}

static bool fits_experiment(const struct kpi_plan *plan, const struct stored *stored)
{
    return stored->index < kpi_plan_n_experiments(plan) &&
           fits_by(kpi_plan_experiment(plan, stored->index)->by, stored);
}

/* Always by what the funnel tells users apart by. */
static bool fits_funnel(const struct kpi_program *program, const struct stored *stored)
{
    const struct kpi_breakdown_info *by;

    if (stored->index >= program->n_funnels)
        return false;
    by = program->funnels[stored->index].info.by;
    return stored->values.n == (by ? by->n_dimensions : 0);
}

bool kpi_answers_fits(const struct kpi_answers *answers, const struct kpi_plan *plan)
{
    const struct kpi_program *program = kpi_plan_program(plan);

    for (uint32_t i = 0; i < kpi_answers_n(answers); ++i) {
        const struct stored *stored = (const struct stored *)answers->content.answers.data + i;

        switch (stored->kind) {
        case KPI_ANSWER_TABLE:
            if (!fits_table(program, stored))
                return false;
            break;
        case KPI_ANSWER_FUNNEL:
            if (!fits_funnel(program, stored))
                return false;
            break;
        case KPI_ANSWER_EXPERIMENT:
            if (!fits_experiment(plan, stored))
                return false;
            break;
        default:
            return false;
        }
    }
    return true;
}

/* --- bytes --- */

static void put_answer(struct kpi_buffer *buffer, const struct kpi_answer *answer)
{
    kpi_buffer_u8(buffer, (uint8_t)answer->kind);
    kpi_number_put(buffer, answer->index);
    kpi_values_encode(buffer, answer->values, answer->n_values);
    kpi_number_put(buffer, answer->part);
    kpi_number_put_signed(buffer, answer->start);
    kpi_number_put(buffer, answer->sketch.length);
    kpi_buffer_add(buffer, answer->sketch.data, answer->sketch.length);
    kpi_number_put(buffer, answer->n_cells);
    for (uint32_t i = 0; i < answer->n_cells; ++i)
        kpi_number_put_signed(buffer, answer->cells[i]);
}

int kpi_answers_encode(const struct kpi_answers *answers, const struct kpi_mem *mem,
                       void **ret_bytes, size_t *ret_size)
{
    struct kpi_buffer buffer = {.mem = mem};
    uint32_t n = kpi_answers_n(answers);
    void *bytes;

    (void)kpi_buffer_extend(&buffer, KPI_OBJECT_HEADER_BYTES); /* sealed below */
    for (uint32_t i = 0; i < n && !buffer.failed; ++i) {
        struct kpi_answer answer = kpi_answers_get(answers, i);

        put_answer(&buffer, &answer);
    }
    bytes = buffer.failed ? NULL : kpi_mem_alloc(mem, buffer.size);
    if (bytes) {
        memcpy(bytes, buffer.data, buffer.size);
        kpi_object_seal(bytes, KPI_OBJECT_ANSWERS, VERSION, buffer.size - KPI_OBJECT_HEADER_BYTES);
        *ret_bytes = bytes;
        *ret_size = buffer.size;
    }
    kpi_buffer_deinit(&buffer);
    return bytes ? 0 : -ENOMEM;
}

/* An answer's key and sketch; its cells follow. False: bytes that no set is made of. */
static bool get_key(struct kpi_reader *reader, uint16_t version, struct kpi_answer *answer)
{
    *answer = (struct kpi_answer){.kind = kpi_reader_u8(reader)};
    answer->index = (uint32_t)kpi_number_get(reader, 32);
    if (answer->kind >= KPI_N_ANSWER_KINDS ||
        !kpi_values_decode(reader, answer->values, &answer->n_values))
        return false;
    answer->part = (uint32_t)kpi_number_get(reader, 32);
    answer->start = (int64_t)kpi_number_get_signed(reader, 64);
    if (version > 1) {
        struct kpi_reader taken = kpi_reader_take(reader, (uint32_t)kpi_number_get(reader, 32));

        answer->sketch = (struct kpi_string){(const char *)taken.at, kpi_reader_left(&taken)};
    }
    answer->n_cells = (uint32_t)kpi_number_get(reader, 32);
    return !reader->failed && answer->n_cells > 0 && answer->n_cells <= kpi_reader_left(reader);
}

static int get_answers(struct kpi_answers *answers, struct kpi_reader *reader, uint16_t version)
{
    while (kpi_reader_left(reader)) {
        struct kpi_answer answer;
        kpi_wide *cells;
        int r = 0;

        if (!get_key(reader, version, &answer) || !comes_last(&answers->content, &answer))
            return KPI_ANSWERS_E_CORRUPT;
        if (answer.sketch.length > 0)
            r = kpi_quantiles_check(answer.sketch.data, answer.sketch.length, answers->mem);
        if (r != 0)
            return r < 0 ? r : KPI_ANSWERS_E_CORRUPT;
        cells = content_push(&answers->content, &answer);
        if (!cells)
            return -ENOMEM;
        for (uint32_t i = 0; i < answer.n_cells; ++i)
            cells[i] = kpi_number_get_signed(reader, 128);
        if (reader->failed)
            return KPI_ANSWERS_E_CORRUPT;
    }
    return 0;
}

int kpi_answers_decode(struct kpi_answers **ret_answers, const void *bytes, size_t size,
                       const struct kpi_mem *mem)
{
    struct kpi_answers *answers;
    struct kpi_reader reader;
    const void *payload;
    uint16_t version;
    size_t length;
    int r;

    r = kpi_object_open(bytes, size, KPI_OBJECT_ANSWERS, VERSION, &version, &payload, &length);
    if (r)
        return r == KPI_OBJECT_E_NEWER ? KPI_ANSWERS_E_NEWER : KPI_ANSWERS_E_CORRUPT;
    r = kpi_answers_new(&answers, mem);
    if (r < 0)
        return r;
    reader = kpi_reader_make(payload, length);
    r = get_answers(answers, &reader, version);
    if (r != 0) {
        (void)kpi_answers_unref(answers);
        return r;
    }
    *ret_answers = answers;
    return 0;
}
