#include "memory_small.h"

#include <mimalloc.h>

void memory_small_want_huge_pages(void)
{
    mi_option_set_enabled_default(mi_option_large_os_pages, true);
}

void *memory_small_resize(void *pointer, size_t old_size, size_t new_size)
{
    if (new_size == 0) {
        mi_free(pointer);
        return NULL;
    }
    return mi_realloc_aligned(pointer, new_size, new_size % 64 == 0 ? 64 : 16);
}
