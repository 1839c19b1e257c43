/*
 * Drawing of the source line. wcwidth() would depend on the locale, so the wide ranges of Unicode's
 * EastAsianWidth (W and F) are listed here, rounded to blocks.
 */
#include "config/excerpt.h"

#include <ctype.h>
#include <strings.h>

enum {
    COLUMNS_MAX = 160, /* shown of a line */
    BEFORE_MAX = 100,  /* of which before the caret */
};

struct range {
    uint32_t first, last;
};

static bool in_ranges(const struct range *ranges, size_t n, uint32_t c)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    }
    return false;
}

unsigned excerpt_width(uint32_t c)
{
    static const struct range wide[] = {
        {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},
        {0x2e80, 0x303e},   {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},
        {0xa000, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
        {0xfe10, 0xfe19},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
        {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
    };
    static const struct range none[] = {
        {0x0300, 0x036f}, {0x200b, 0x200f}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},
    };

    if (c < 0x300)
        return 1;
    if (in_ranges(none, sizeof(none) / sizeof(none[0]), c))
        return 0;
    return in_ranges(wide, sizeof(wide) / sizeof(wide[0]), c) ? 2 : 1;
}

/* Decodes leniently (the file may be the bad one that is reported): a wrong byte is one '?'. */
static uint32_t next_character(const char *text, uint32_t size, uint32_t *position)
{
    unsigned char c = (unsigned char)text[*position];
    unsigned n = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 9, i;
    uint32_t value = n == 0 ? c : n == 1 ? c & 0x1f : n == 2 ? c & 0x0f : c & 0x07;

    if (n == 9 || *position + n >= size) {
        *position += 1;
        return n == 0 ? c : '?';
    }
    for (i = 1; i <= n; i++) {
        unsigned char more = (unsigned char)text[*position + i];

        if ((more & 0xc0) != 0x80) {
            *position += 1;
            return '?';
        }
        value = value << 6 | (more & 0x3f);
    }
    *position += n + 1;
    return value;
}

static bool ends_value(char c, char quote)
{
    return quote ? c == quote : c == ',' || c == '}' || c == ' ' || c == '\t';
}

/* Masks what follows `password:`, `sasl.password:`, `secret:` … on this line. */
static void mask_secrets(char *line, size_t size)
{
    static const char *const words[] = {"password", "secret", "key.pem"};
    size_t w, i;

    for (w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        size_t length = strlen(words[w]);

        for (i = 0; i + length < size; i++) {
            size_t at = i + length;
            char quote = 0;

            if (strncasecmp(line + i, words[w], length) != 0)
                continue;
            while (at < size && (line[at] == '"' || line[at] == '\'' || line[at] == ' '))
                at++;
            if (at >= size || line[at] != ':')
                continue;
            for (at++; at < size && line[at] == ' '; at++)
                ;
            if (at < size && (line[at] == '"' || line[at] == '\''))
                quote = line[at++];
            for (; at < size && !ends_value(line[at], quote); at++)
                line[at] = '*';
        }
    }
}

/* Masks user and password, path and query of URLs: chat robots keep their token there. */
static void mask_urls(char *line, size_t size)
{
    size_t i;

    for (i = 0; i + 3 < size; i++) {
        size_t at = i + 3, end = at, host;

        if (memcmp(line + i, "://", 3) != 0)
            continue;
        while (end < size && !strchr(" \t\"',}", line[end]))
            end++;
        for (host = at; host < end && line[host] != '/' && line[host] != '?'; host++) {
            if (line[host] == '@') {
                memset(line + at, '*', host - at);
                at = host + 1;
            }
        }
        if (host < end)
            memset(line + host + 1, '*', end - host - 1);
    }
}

struct drawing {
    char *source, *caret;
    size_t n_source, n_caret;
};

static void draw(struct drawing *d, const char *bytes, size_t n, unsigned width, char mark)
{
    memcpy(d->source + d->n_source, bytes, n);
    d->n_source += n;
    memset(d->caret + d->n_caret, mark, width);
    d->n_caret += width;
}

/* Where to begin so that the caret is in sight. */
static uint32_t first_shown(const char *line, uint32_t size, uint32_t caret)
{
    uint32_t start = caret > BEFORE_MAX ? caret - BEFORE_MAX : 0;

    while (start > 0 && start < size && ((unsigned char)line[start] & 0xc0) == 0x80)
        start--;
    return start;
}

static void draw_line(struct drawing *d, const char *line, uint32_t size, uint32_t caret,
                      uint32_t caret_end)
{
    uint32_t position = first_shown(line, size, caret), columns = 0;

    if (position > 0)
        draw(d, "…", strlen("…"), 1, ' ');
    while (position < size && columns < COLUMNS_MAX) {
        uint32_t start = position, c = next_character(line, size, &position);
        char mark = start >= caret && (start < caret_end || start == caret) ? '~' : ' ';
        unsigned width = excerpt_width(c);

        if (c == '\t')
            draw(d, "\t", 1, 1, mark == ' ' ? '\t' : '~');
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c == '?' && position == start + 1))
            draw(d, "?", 1, 1, mark);
        else
            draw(d, line + start, position - start, width, mark);
        columns += width ? width : 1; /* a bound for combining marks too */
    }
    if (position < size)
        draw(d, "…", strlen("…"), 1, ' ');
    if (caret >= size)
        d->caret[d->n_caret++] = '~'; /* behind the end of the line */
}

const char *excerpt(struct arena *arena, struct doc_place place)
{
    const struct doc_file *file = place.file;
    uint32_t line, column, start, end, caret_end;
    struct drawing d = {0};
    char *copy, *both, *tip;

    if (!file)
        return "";
    doc_position(file, place.start, &line, &column);
    start = file->lines[line - 1];
    end = line < file->n_lines ? file->lines[line] - 1 : file->size;
    if (end > start && file->text[end - 1] == '\r')
        end--;
    copy = arena_copy(arena, file->text + start, end - start);
    /* at most 4 bytes and 2 columns a character, two ellipses and a blank */
    both = arena_alloc(arena, (COLUMNS_MAX + BEFORE_MAX) * 16);
    if (!copy || !both)
        return NULL;
    mask_secrets(copy, end - start);
    mask_urls(copy, end - start);
    d.source = both;
    d.caret = both + (COLUMNS_MAX + BEFORE_MAX) * 8;
    caret_end = place.end > end ? end : place.end;
    draw_line(&d, copy, end - start, place.start - start,
              caret_end > start ? caret_end - start : 0);
    while (d.n_caret > 0 && (d.caret[d.n_caret - 1] == ' ' || d.caret[d.n_caret - 1] == '\t'))
        d.n_caret--;
    d.caret[d.n_caret] = 0;
    tip = strchr(d.caret, '~');
    if (tip)
        *tip = '^';
    return arena_format(arena, "  %.*s\n  %s\n", (int)d.n_source, d.source, d.caret);
}
