/*
 * Blocks that are filled front to back and freed at once, and growing arrays.
 */
#include "spec/pool.h"

#include <assert.h>

#define BLOCK_BYTES 16384
#define ALIGNMENT   ((size_t)16)

struct kpi_pool_block {
    struct kpi_pool_block *next;
    size_t size; /* of the whole block */
    size_t used; /* with this header */
    size_t pad;  /* keeps what follows aligned */
};

static_assert(sizeof(struct kpi_pool_block) % 16 == 0, "blocks begin aligned");

void kpi_pool_init(struct kpi_pool *pool, const struct kpi_mem *mem)
{
    *pool = (struct kpi_pool){.mem = mem};
}

void kpi_pool_deinit(struct kpi_pool *pool)
{
    struct kpi_pool_block *next;

    for (struct kpi_pool_block *block = pool->head; block; block = next) {
        next = block->next;
        kpi_mem_free(pool->mem, block, block->size);
    }
    pool->head = NULL;
}

static struct kpi_pool_block *pool_grow(struct kpi_pool *pool, size_t size)
{
    size_t want = sizeof(struct kpi_pool_block) + size;
    struct kpi_pool_block *block;

    if (want < BLOCK_BYTES)
        want = BLOCK_BYTES;
    block = kpi_mem_alloc(pool->mem, want);
    if (!block) {
        pool->failed = true;
        return NULL;
    }
    *block = (struct kpi_pool_block){
        .next = pool->head, .size = want, .used = sizeof(struct kpi_pool_block)};
    pool->head = block;
    return block;
}

void *kpi_pool_alloc(struct kpi_pool *pool, size_t size)
{
    struct kpi_pool_block *block = pool->head;
    void *result;

    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (!block || block->size - block->used < size)
        block = pool_grow(pool, size);
    if (!block)
        return NULL;
    result = (char *)block + block->used;
    block->used += size;
    memset(result, 0, size);
    return result;
}

void *kpi_pool_copy(struct kpi_pool *pool, const void *data, size_t size)
{
    void *copy = kpi_pool_alloc(pool, size);

    if (copy && size > 0)
        memcpy(copy, data, size);
    return copy;
}

struct kpi_string kpi_pool_string(struct kpi_pool *pool, struct kpi_string string)
{
    char *copy = kpi_pool_alloc(pool, string.length + 1);

    if (!copy)
        return (struct kpi_string){0};
    if (string.length > 0)
        memcpy(copy, string.data, string.length);
    return (struct kpi_string){copy, string.length};
}

void kpi_pool_reset(struct kpi_pool *pool)
{
    struct kpi_pool_block *keep = pool->head;

    if (!keep)
        return;
    pool->head = keep->next;
    kpi_pool_deinit(pool);
    keep->next = NULL;
    keep->used = sizeof(*keep);
    pool->head = keep;
}

void kpi_vector_init(struct kpi_vector *vector, const struct kpi_mem *mem, size_t element)
{
    *vector = (struct kpi_vector){.mem = mem, .element = (uint32_t)element};
}

void kpi_vector_deinit(struct kpi_vector *vector)
{
    kpi_mem_free(vector->mem, vector->data, (size_t)vector->capacity * vector->element);
    vector->data = NULL;
    vector->n = vector->capacity = 0;
}

void *kpi_vector_push(struct kpi_vector *vector)
{
    void *result;

    if (vector->n == vector->capacity) {
        uint32_t capacity = vector->capacity ? 2 * vector->capacity : 16;
        void *data =
            kpi_mem_resize(vector->mem, vector->data, (size_t)vector->capacity * vector->element,
                           (size_t)capacity * vector->element);

        if (!data) {
            vector->failed = true;
            return NULL;
        }
        vector->data = data;
        vector->capacity = capacity;
    }
    result = (char *)vector->data + (size_t)vector->n++ * vector->element;
    memset(result, 0, vector->element);
    return result;
}
