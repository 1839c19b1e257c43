/* See sort.h. */
#include "base/sort.h"

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
        uint64_t x, y;

        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        memcpy(a, &y, sizeof(y));
        memcpy(b, &x, sizeof(x));
        a += sizeof(x);
        b += sizeof(x);
    }
    for (; size; size--) {
        uint8_t byte = *a;

        *a++ = *b;
        *b++ = byte;
    }
}

void kpi_sort(void *array, size_t n, size_t size, kpi_compare_fn compare)
{
    uint8_t *base = array;

    for (size_t left = n / 2, end = n; end > 1;) {
        size_t root;

        if (left)
            left--;
        else
            swap(base, base + --end * size, size);
        for (root = left; root * 2 + 1 < end;) {
            size_t child = root * 2 + 1;

            if (child + 1 < end && compare(base + child * size, base + (child + 1) * size) < 0)
                child++;
            if (compare(base + root * size, base + child * size) >= 0)
                break;
            swap(base + root * size, base + child * size, size);
            root = child;
        }
    }
}
