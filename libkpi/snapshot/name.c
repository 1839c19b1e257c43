/* Names of objects: see format.h. */
#include "snapshot/format.h"

/* In the order in which they are loaded. */
static const char TAGS[] = "mvushpclqrxd";

static size_t hex(uint64_t value, char *text)
{
    size_t n = 1;

    while (n < 16 && value >> (4 * n))
        n++;
    for (size_t i = 0; i < n; i++)
        text[i] = "0123456789abcdef"[value >> (4 * (n - 1 - i)) & 15];
    return n;
}

/* How many numbers a name has behind its tag. */
static unsigned n_numbers(char tag)
{
    if (tag == 'm' || tag == 'v')
        return 0;
    return tag == 'p' || tag == 'x' || tag == 'd' ? 2 : 1;
}

size_t kpi_name_render(const struct kpi_name *name, char *ret_text)
{
    unsigned n = n_numbers(name->tag);
    size_t length = 0;

    ret_text[length++] = name->tag;
    if (n >= 1) {
        ret_text[length++] = '.';
        length += hex(name->a, ret_text + length);
    }
    if (n >= 2) {
        ret_text[length++] = '.';
        length += hex(name->b, ret_text + length);
    }
    return length;
}

bool kpi_name_parse(struct kpi_string text, struct kpi_name *ret_name)
{
    struct kpi_name name = {0};
    uint64_t numbers[2] = {0, 0};
    char again[32];
    int i = -1;

    if (text.length < 1 || text.length > sizeof(again) || !text.data[0] ||
        !strchr(TAGS, text.data[0]))
        return false;
    name.tag = text.data[0];
    for (size_t at = 1; at < text.length; at++) {
        char c = text.data[at];

        if (c == '.' && i < 1)
            i++;
        else if (i >= 0 && c >= '0' && c <= '9')
            numbers[i] = numbers[i] << 4 | (uint64_t)(c - '0');
        else if (i >= 0 && c >= 'a' && c <= 'f')
            numbers[i] = numbers[i] << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    name.a = numbers[0];
    name.b = (uint32_t)numbers[1];
    *ret_name = name;
    /* There is one way to write a name. */
    return kpi_name_render(&name, again) == text.length &&
           memcmp(again, text.data, text.length) == 0;
}

int kpi_name_compare(const struct kpi_name *a, const struct kpi_name *b)
{
    if (a->tag != b->tag)
        return strchr(TAGS, a->tag) < strchr(TAGS, b->tag) ? -1 : 1;
    if (a->a != b->a)
        return a->a < b->a ? -1 : 1;
    return (a->b > b->b) - (a->b < b->b);
}

enum kpi_object_kind kpi_name_kind(const struct kpi_name *name)
{
    switch (name->tag) {
    case 'u':
        return KPI_OBJECT_USERS;
    case 'r':
    case 'x':
        return KPI_OBJECT_ROWS;
    case 's':
        return KPI_OBJECT_SCALARS;
    case 'd':
        return KPI_OBJECT_DEDUPE;
    case 'm':
    case 'v':
        return KPI_OBJECT_META;
    default:
        return KPI_OBJECT_CELL;
    }
}

uint16_t kpi_name_version_max(const struct kpi_name *name)
{
    if (name->tag == 's')
        return KPI_SAVE_VERSION_QUANTILES;
    return name->tag == 'v' ? KPI_SAVE_VERSION_STARTS : KPI_SAVE_VERSION;
}
