/* Times, spans and exact numbers of a test file. */
#include "cli/test_file.h"
#include "config/scalar.h"

static bool wrong(const struct test_reader *reader, const struct doc_node *node, const char *what,
                  const char *error)
{
    load_wrong(&reader->file->load, node, what, error);
    return false;
}

/* "1d12h": durations one after the other. */
static bool parse_span(struct kpi_string text, kpi_duration *ret_span)
{
    kpi_duration span = 0, part;

    while (text.length > 0) {
        size_t n = 0;

        while (n < text.length && text.data[n] >= '0' && text.data[n] <= '9')
            n++;
        while (n < text.length && (text.data[n] < '0' || text.data[n] > '9'))
            n++;
        if (scalar_duration((struct kpi_string){text.data, n}, &part) ||
            __builtin_add_overflow(span, part, &span))
            return false;
        text.data += n;
        text.length -= n;
    }
    *ret_span = span;
    return span < 36525 * KPI_DAY;
}

/* The same behind a sign. */
static bool parse_signed_span(struct kpi_string text, kpi_duration *ret_span)
{
    bool negative = text.data[0] == '-';
    kpi_duration span;

    if (text.length < 2 || !parse_span((struct kpi_string){text.data + 1, text.length - 1}, &span))
        return false;
    *ret_span = negative ? -span : span;
    return true;
}

static bool has_sign(struct kpi_string text)
{
    return text.data[0] == '+' || text.data[0] == '-';
}

bool test_read_time(const struct test_reader *reader, const struct doc_node *node, const char *what,
                    kpi_time *ret_time)
{
    struct kpi_string text;
    kpi_duration span;
    const char *error;
    kpi_time time;

    if (!load_text(&reader->file->load, node, what, &text))
        return false;
    if (!has_sign(text)) {
        error = scalar_time(text, &time);
        if (error)
            return wrong(reader, node, what, error);
    } else if (!parse_signed_span(text, &span)) {
        return wrong(reader, node, what, "is no time from the start, as +90s or +1d12h");
    } else if (reader->start == KPI_TIME_NONE) {
        return wrong(reader, node, what, "counts from start, which is not given");
    } else {
        time = reader->start + span;
    }
    if (time < 0 || time >= TEST_TIME_END)
        return wrong(reader, node, what, "is outside the years 1970 to 2199");
    *ret_time = time;
    return true;
}

bool test_read_span(const struct test_reader *reader, const struct doc_node *node, const char *what,
                    bool sign, kpi_duration *ret_span)
{
    struct kpi_string text;
    bool good;

    if (!load_text(&reader->file->load, node, what, &text))
        return false;
    good = sign && has_sign(text) ? parse_signed_span(text, ret_span) : parse_span(text, ret_span);
    return good || wrong(reader, node, what, "is not a duration, as 300ms, 90s or 1d12h");
}

static struct kpi_string trimmed(const char *data, size_t length)
{
    while (length > 0 && *data == ' ') {
        data++;
        length--;
    }
    while (length > 0 && data[length - 1] == ' ')
        length--;
    return (struct kpi_string){data, length};
}

static const char *parse_exact(struct kpi_string text, struct test_exact *exact)
{
    const char *slash = memchr(text.data, '/', text.length);
    const char *error;

    exact->denominator = KPI_DECIMAL_ONE;
    exact->fraction = slash != NULL;
    if (slash) {
        size_t length = (size_t)(slash - text.data);

        error = scalar_decimal(trimmed(text.data, length), &exact->numerator);
        if (!error)
            error =
                scalar_decimal(trimmed(slash + 1, text.length - length - 1), &exact->denominator);
        if (!error && exact->denominator == 0)
            return "divides by zero; state: undefined expects that";
        return error ? "is not a fraction of two numbers, as 65/100" : NULL;
    }
    if (text.data[text.length - 1] != '%')
        return scalar_decimal(text, &exact->numerator);
    error = scalar_decimal(trimmed(text.data, text.length - 1), &exact->numerator);
    if (error || exact->numerator % 100 != 0)
        return "is not a share of at most 4 decimals, as 65%";
    exact->numerator /= 100;
    return NULL;
}

bool test_read_exact(const struct test_reader *reader, const struct doc_node *node,
                     const char *what, struct test_exact *ret_exact)
{
    struct test_exact exact = {.node = node};
    struct kpi_string text;
    const char *error;

    if (!load_text(&reader->file->load, node, what, &text))
        return false;
    error = parse_exact(text, &exact);
    if (error)
        return wrong(reader, node, what, error);
    *ret_exact = exact;
    return true;
}

bool test_read_count(const struct test_reader *reader, const struct doc_node *node,
                     const char *what, uint64_t *ret_count)
{
    struct kpi_string text;
    const char *error;

    if (!load_text(&reader->file->load, node, what, &text))
        return false;
    error = scalar_integer(text, ret_count);
    return !error || wrong(reader, node, what, error);
}
