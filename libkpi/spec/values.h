/* Values of dimensions in their canonical order. */
#pragma once

#include <kpi/base.h>

/* None comes before all others, which are in order of their bytes. */
static inline int kpi_value_compare(struct kpi_string a, struct kpi_string b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int r;

    if (!a.data || !b.data)
        return (a.data != NULL) - (b.data != NULL);
    r = length > 0 ? memcmp(a.data, b.data, length) : 0;
    return r != 0 ? r : (a.length > b.length) - (a.length < b.length);
}
