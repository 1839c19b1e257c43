/*
 * Groups: a list in canonical order, whose values and rows stand in two growing blocks.
 *
 * Adding merges two such lists in one walk. As bytes: sections of u8 kind and u64 length, so that
 * there is room for other things that add up. The section of groups is, for each, numbers of
 * variable length: scope, breakdown, the values (spec/values.h), n_rows, and of each row value and
 * n_events.
 */
#include "base/buffer.h"
#include "spec/evaluate.h"
#include "spec/layout.h"
#include "spec/supplement.h"
#include "spec/values.h"

#include <kpi/object.h>
#include <kpi/supplement.h>

#include <assert.h>

enum {
    VERSION_GROUPS = 1, /* without sketches */
    VERSION = 2,
    SECTION_GROUPS = 1,
    SECTION_SKETCHES, /* sketches.c; if there are any */
};

struct stored {
    uint32_t scope, breakdown, n_rows;
    struct kpi_values values; /* in `bytes` */
    size_t rows;              /* place in `rows` */
};

struct content {
    struct kpi_buffer groups; /* struct stored */
    struct kpi_buffer bytes;
    struct kpi_buffer rows; /* struct kpi_row */
};

struct kpi_supplement {
    uint32_t n_references; /* atomic */
    const struct kpi_mem *mem;
    struct content content;
    struct kpi_sketches sketches;
};

struct kpi_sketches *kpi_supplement_sketches(struct kpi_supplement *supplement)
{
    return &supplement->sketches;
}

const struct kpi_sketches *kpi_supplement_its_sketches(const struct kpi_supplement *supplement)
{
    return &supplement->sketches;
}

static struct content content_make(const struct kpi_mem *mem)
{
    return (struct content){{.mem = mem}, {.mem = mem}, {.mem = mem}};
}

static void content_deinit(struct content *content)
{
    kpi_buffer_deinit(&content->groups);
    kpi_buffer_deinit(&content->bytes);
    kpi_buffer_deinit(&content->rows);
}

static uint32_t content_n(const struct content *content)
{
    return (uint32_t)(content->groups.size / sizeof(struct stored));
}

static struct kpi_group content_group(const struct content *content, uint32_t index)
{
    const struct stored *stored = (const struct stored *)content->groups.data + index;
    struct kpi_group group = {
        .scope = stored->scope,
        .breakdown = stored->breakdown,
        .n_values = stored->values.n,
        .n_rows = stored->n_rows,
        .rows = (const struct kpi_row *)content->rows.data + stored->rows,
    };

    (void)kpi_values_get(&stored->values, &content->bytes, group.values);
    return group;
}

/* Rows are the caller's to fill; NULL without memory. */
static struct kpi_row *content_push(struct content *content, const struct kpi_group *group)
{
    struct stored stored = {
        .scope = group->scope,
        .breakdown = group->breakdown,
        .n_rows = group->n_rows,
        .values = kpi_values_store(&content->bytes, group->values, group->n_values),
        .rows = content->rows.size / sizeof(struct kpi_row),
    };

    kpi_buffer_add(&content->groups, &stored, sizeof(stored));
    if (content->groups.failed || content->bytes.failed)
        return NULL;
    return kpi_buffer_extend(&content->rows, group->n_rows * sizeof(struct kpi_row));
}

static int content_copy(struct content *content, const struct kpi_group *group)
{
    struct kpi_row *rows = content_push(content, group);

    if (!rows)
        return -ENOMEM;
    memcpy(rows, group->rows, group->n_rows * sizeof(*rows));
    return 0;
}

int kpi_supplement_new(struct kpi_supplement **ret_supplement, const struct kpi_mem *mem)
{
    struct kpi_supplement *supplement = kpi_mem_zalloc(mem, sizeof(*supplement));

    if (!supplement)
        return -ENOMEM;
    supplement->n_references = 1;
    supplement->mem = mem;
    supplement->content = content_make(mem);
    supplement->sketches = kpi_sketches_make(mem);
    *ret_supplement = supplement;
    return 0;
}

struct kpi_supplement *kpi_supplement_ref(struct kpi_supplement *supplement)
{
    __atomic_add_fetch(&supplement->n_references, 1, __ATOMIC_RELAXED);
    return supplement;
}

struct kpi_supplement *kpi_supplement_unref(struct kpi_supplement *supplement)
{
    if (supplement && __atomic_sub_fetch(&supplement->n_references, 1, __ATOMIC_ACQ_REL) == 0) {
        content_deinit(&supplement->content);
        kpi_sketches_deinit(&supplement->sketches);
        kpi_mem_free(supplement->mem, supplement, sizeof(*supplement));
    }
    return NULL;
}

int kpi_group_compare(const struct kpi_group *a, const struct kpi_group *b)
{
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    if (a->breakdown != b->breakdown)
        return a->breakdown < b->breakdown ? -1 : 1;
    return kpi_values_compare(a->values, a->n_values, b->values, b->n_values);
}

int kpi_supplement_push(struct kpi_supplement *supplement, const struct kpi_group *group)
{
    uint32_t n = kpi_supplement_n_groups(supplement);

    assert(group->n_values <= KPI_BREAKDOWN_DIMENSIONS_MAX && group->n_rows > 0);
    if (n > 0) {
        struct kpi_group last = kpi_supplement_group(supplement, n - 1);

        assert(kpi_group_compare(&last, group) < 0);
    }
    return content_copy(&supplement->content, group);
}

/* Two groups of one key. 0, ERANGE or -ENOMEM. */
static int content_sum(struct content *content, const struct kpi_group *a,
                       const struct kpi_group *b)
{
    const struct kpi_group *more = a->n_rows >= b->n_rows ? a : b, *less = more == a ? b : a;
    struct kpi_row *rows = content_push(content, more);
    int r = 0;

    if (!rows)
        return -ENOMEM;
    memcpy(rows, more->rows, more->n_rows * sizeof(*rows));
    for (uint32_t i = 0; i < less->n_rows; ++i) {
        if (kpi_row_add(&rows[i], &less->rows[i]))
            r = ERANGE;
    }
    return r;
}

static int content_merge(struct content *sum, const struct content *a, const struct content *b)
{
    uint32_t i = 0, j = 0, n_a = content_n(a), n_b = content_n(b);
    bool overflow = false;

    while (i < n_a || j < n_b) {
        struct kpi_group x, y;
        int r, order;

        if (i < n_a)
            x = content_group(a, i);
        if (j < n_b)
            y = content_group(b, j);
        order = i == n_a ? 1 : j == n_b ? -1 : kpi_group_compare(&x, &y);
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

int kpi_supplement_add(struct kpi_supplement *supplement, const struct kpi_supplement *other)
{
    struct content sum = content_make(supplement->mem);
    int r = content_merge(&sum, &supplement->content, &other->content);

    if (r < 0) {
        content_deinit(&sum);
        return r;
    }
    content_deinit(&supplement->content);
    supplement->content = sum;
    return r;
}

uint32_t kpi_supplement_n_groups(const struct kpi_supplement *supplement)
{
    return content_n(&supplement->content);
}

struct kpi_group kpi_supplement_group(const struct kpi_supplement *supplement, uint32_t group)
{
    assert(group < kpi_supplement_n_groups(supplement));
    return content_group(&supplement->content, group);
}

bool kpi_supplement_fits(const struct kpi_supplement *supplement, const struct kpi_layout *layout)
{
    const struct kpi_program *program = &layout->plan->program;

    for (uint32_t i = 0; i < kpi_supplement_n_groups(supplement); ++i) {
        const struct stored *group = (const struct stored *)supplement->content.groups.data + i;

        if (group->scope >= layout->n_scopes || group->breakdown >= program->n_breakdowns ||
            group->values.n != program->breakdowns[group->breakdown].info.n_dimensions ||
            group->n_rows != program->breakdowns[group->breakdown].n_rows)
            return false;
    }
    return kpi_sketches_fit(&supplement->sketches, layout);
}

/* --- bytes --- */

static uint32_t get_small(struct kpi_reader *reader)
{
    uint64_t number = kpi_reader_number(reader);

    reader->failed |= number > UINT32_MAX;
    return (uint32_t)number;
}

static void put_group(struct kpi_buffer *buffer, const struct kpi_group *group)
{
    kpi_buffer_number(buffer, group->scope);
    kpi_buffer_number(buffer, group->breakdown);
    kpi_values_encode(buffer, group->values, group->n_values);
    kpi_buffer_number(buffer, group->n_rows);
    for (uint32_t i = 0; i < group->n_rows; ++i) {
        kpi_buffer_signed(buffer, group->rows[i].value);
        kpi_buffer_signed(buffer, group->rows[i].n_events);
    }
}

static void put_groups(const struct kpi_supplement *supplement, struct kpi_buffer *buffer)
{
    for (uint32_t i = 0; i < kpi_supplement_n_groups(supplement) && !buffer->failed; ++i) {
        struct kpi_group group = kpi_supplement_group(supplement, i);

        put_group(buffer, &group);
    }
}

/* Begins a section, whose length is not known yet; returns where its content begins. */
static size_t section_begin(struct kpi_buffer *buffer, uint8_t kind)
{
    kpi_buffer_u8(buffer, kind);
    kpi_buffer_u64(buffer, 0);
    return buffer->size;
}

static void section_end(struct kpi_buffer *buffer, size_t begin)
{
    uint64_t length = buffer->size - begin;

    if (!buffer->failed)
        memcpy(buffer->data + begin - sizeof(length), &length, sizeof(length));
}

int kpi_supplement_encode(const struct kpi_supplement *supplement, const struct kpi_mem *mem,
                          void **ret_bytes, size_t *ret_size)
{
    bool sketches = kpi_sketches_n(&supplement->sketches) > 0;
    struct kpi_buffer buffer = {.mem = mem};
    size_t begin;
    void *bytes;

    (void)kpi_buffer_extend(&buffer, KPI_OBJECT_HEADER_BYTES);
    begin = section_begin(&buffer, SECTION_GROUPS);
    put_groups(supplement, &buffer);
    section_end(&buffer, begin);
    if (sketches) {
        begin = section_begin(&buffer, SECTION_SKETCHES);
        kpi_sketches_encode(&supplement->sketches, &buffer);
        section_end(&buffer, begin);
    }
    bytes = buffer.failed ? NULL : kpi_mem_alloc(mem, buffer.size);
    if (bytes) {
        memcpy(bytes, buffer.data, buffer.size);
        kpi_object_seal(bytes, KPI_OBJECT_SUPPLEMENT, sketches ? VERSION : VERSION_GROUPS,
                        buffer.size - KPI_OBJECT_HEADER_BYTES);
        *ret_bytes = bytes;
        *ret_size = buffer.size;
    }
    kpi_buffer_deinit(&buffer);
    return bytes ? 0 : -ENOMEM;
}

/* A group's head; its rows follow. False: bytes that no supplement is made of. */
static bool get_group(struct kpi_reader *reader, struct kpi_group *group)
{
    *group = (struct kpi_group){.scope = get_small(reader)};
    group->breakdown = get_small(reader);
    if (!kpi_values_decode(reader, group->values, &group->n_values))
        return false;
    group->n_rows = get_small(reader);
    return !reader->failed && group->n_rows > 0 && group->n_rows <= kpi_reader_left(reader) / 2;
}

static int get_groups(struct kpi_supplement *supplement, struct kpi_reader *reader)
{
    while (kpi_reader_left(reader)) {
        uint32_t n = kpi_supplement_n_groups(supplement);
        struct kpi_group group;
        struct kpi_row *rows;

        if (!get_group(reader, &group))
            return KPI_SUPPLEMENT_E_CORRUPT;
        if (n > 0) {
            struct kpi_group last = kpi_supplement_group(supplement, n - 1);

            if (kpi_group_compare(&last, &group) >= 0)
                return KPI_SUPPLEMENT_E_CORRUPT;
        }
        rows = content_push(&supplement->content, &group);
        if (!rows)
            return -ENOMEM;
        for (uint32_t i = 0; i < group.n_rows; ++i) {
            rows[i].value = kpi_reader_signed(reader);
            rows[i].n_events = kpi_reader_signed(reader);
        }
        if (reader->failed)
            return KPI_SUPPLEMENT_E_CORRUPT;
    }
    return 0;
}

/* The next section, if it is of this kind; else a failed reader. */
static struct kpi_reader get_section(struct kpi_reader *reader, uint8_t kind)
{
    reader->failed |= kpi_reader_u8(reader) != kind;
    return kpi_reader_take(reader, kpi_reader_u64(reader));
}

static int get_sections(struct kpi_supplement *supplement, struct kpi_reader *reader)
{
    struct kpi_reader section = get_section(reader, SECTION_GROUPS);
    int r;

    if (reader->failed)
        return KPI_SUPPLEMENT_E_CORRUPT;
    r = get_groups(supplement, &section);
    if (r != 0 || !kpi_reader_left(reader))
        return r;
    section = get_section(reader, SECTION_SKETCHES);
    if (!kpi_reader_done(reader))
        return KPI_SUPPLEMENT_E_CORRUPT;
    return kpi_sketches_decode(&supplement->sketches, &section);
}

int kpi_supplement_decode(struct kpi_supplement **ret_supplement, const void *bytes, size_t size,
                          const struct kpi_mem *mem)
{
    struct kpi_supplement *supplement;
    struct kpi_reader reader;
    const void *payload;
    uint16_t version;
    size_t length;
    int r;

    r = kpi_object_open(bytes, size, KPI_OBJECT_SUPPLEMENT, VERSION, &version, &payload, &length);
    if (r)
        return r == KPI_OBJECT_E_NEWER ? KPI_SUPPLEMENT_E_NEWER : KPI_SUPPLEMENT_E_CORRUPT;
    r = kpi_supplement_new(&supplement, mem);
    if (r < 0)
        return r;
    reader = kpi_reader_make(payload, length);
    r = get_sections(supplement, &reader);
    if (r != 0) {
        (void)kpi_supplement_unref(supplement);
        return r;
    }
    *ret_supplement = supplement;
    return 0;
}
