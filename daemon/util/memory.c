/*
 * Blocks of 2 MiB and more are mappings of their own, aligned to 2 MiB and advised to be huge
 * pages: the tables of users and cells are touched at random, and a TLB miss costs as much as the
 * cache miss beside it. They grow by moving page tables (mremap), not bytes.
 */
#include "memory.h"

#include "memory_small.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define HUGE_BYTES ((size_t)2 << 20)
#define PAGE_BYTES ((size_t)4096)

static _Atomic uint64_t n_bytes;

static size_t huge_length(size_t size)
{
    return (size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* A mapping that begins at a multiple of 2 MiB: maps more and gives back what stands over. */
static void *huge_map(size_t length, int protection)
{
    size_t before, after;
    char *map;

    if (length > SIZE_MAX - HUGE_BYTES)
        return NULL;
    map = mmap(NULL, length + HUGE_BYTES, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)map & (HUGE_BYTES - 1);
    after = HUGE_BYTES - before;
    /* Unmapping a part can only fail for want of kernel memory; it then stays mapped, unused. */
    if (before)
        (void)munmap(map, before);
    (void)munmap(map + before + length, after);
    return map + before;
}

static void *huge_new(size_t size)
{
    size_t length = huge_length(size);
    void *block = huge_map(length, PROT_READ | PROT_WRITE);

    if (block)
        (void)madvise(block, length, MADV_HUGEPAGE); /* advice: a kernel without it is slower */
    return block;
}

static void *huge_resize(void *pointer, size_t old_size, size_t new_size)
{
    size_t old_length = huge_length(old_size), new_length = huge_length(new_size);
    void *block, *place;

    if (old_length == new_length)
        return pointer;
    block = mremap(pointer, old_length, new_length, 0);
    if (block == MAP_FAILED) {
        place = huge_map(new_length, PROT_NONE);
        if (!place)
            return NULL;
        block = mremap(pointer, old_length, new_length, MREMAP_MAYMOVE | MREMAP_FIXED, place);
        if (block == MAP_FAILED) {
            (void)munmap(place, new_length);
            return NULL;
        }
    }
    (void)madvise(block, new_length, MADV_HUGEPAGE);
    return block;
}

static void *cross_resize(void *pointer, size_t old_size, size_t new_size)
{
    size_t n_kept = old_size < new_size ? old_size : new_size;
    void *block;

    block = new_size >= HUGE_BYTES ? huge_new(new_size) : memory_small_resize(NULL, 0, new_size);
    if (!block)
        return NULL;
    if (pointer)
        memcpy(block, pointer, n_kept);
    if (old_size >= HUGE_BYTES)
        (void)munmap(pointer, huge_length(old_size));
    else
        (void)memory_small_resize(pointer, old_size, 0);
    return block;
}

static void *memory_resize(void *userdata, void *pointer, size_t old_size, size_t new_size)
{
    bool was_huge = old_size >= HUGE_BYTES, is_huge = new_size >= HUGE_BYTES;
    void *block = NULL;

    if (new_size > SIZE_MAX / 2)
        return NULL;
    if (was_huge && is_huge)
        block = huge_resize(pointer, old_size, new_size);
    else if (was_huge && new_size == 0)
        (void)munmap(pointer, huge_length(old_size));
    else if (was_huge || is_huge)
        block = cross_resize(pointer, old_size, new_size);
    else
        block = memory_small_resize(pointer, old_size, new_size);
    if (block || new_size == 0)
        atomic_fetch_add_explicit(&n_bytes, (uint64_t)new_size - old_size, memory_order_relaxed);
    return block;
}

const struct kpi_mem memory_kpi = {.resize = memory_resize};

/*
 * Most of a shard of ordinary size are small blocks: segments of users and ids, pages of sets. On
 * pages of 4 KiB nearly every event waited for the page tables, in a virtual machine twice over.
 * But a huge page takes long to clear, so what is free is not given back at once: the buffers that
 * messages are fetched into took more time to clear than to fill.
 */
void memory_expect_much(void)
{
    memory_small_expect_much();
}

uint64_t memory_bytes(void)
{
    return atomic_load_explicit(&n_bytes, memory_order_relaxed);
}
