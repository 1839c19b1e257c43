#include "memory_small.h"

#include <mimalloc.h>

/* Milliseconds that free pages are kept. */
#define KEEP_MS 10000

void memory_small_expect_much(void)
{
    mi_option_set_enabled_default(mi_option_large_os_pages, true);
#if MI_MALLOC_VERSION < 300
    /* Else a thread's first 32 MiB are on small pages. */
    mi_option_set_default(mi_option_eager_commit_delay, 0);
#endif
#if MI_MALLOC_VERSION >= 200 && MI_MALLOC_VERSION < 210
    mi_option_set_default(mi_option_decommit_delay, KEEP_MS);
    mi_option_set_default(mi_option_segment_decommit_delay, KEEP_MS);
#else
    mi_option_set_default(mi_option_purge_delay, KEEP_MS);
#endif
}

void *memory_small_resize(void *pointer, size_t old_size, size_t new_size)
{
    if (new_size == 0) {
        mi_free(pointer);
        return NULL;
    }
    return mi_realloc_aligned(pointer, new_size, new_size % 64 == 0 ? 64 : 16);
}
