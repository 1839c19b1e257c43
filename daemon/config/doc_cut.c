/* Expressions that YAML cuts: found by what they leave open, and by what libyaml stumbles over. */
#include "config/doc_cut.h"
#include "config/report.h"

#include <ctype.h>

#define CUT_HINT "put the expression in quotes or on a line of its own"

/* Brackets and quotes of an expression that are open at some point of it. */
struct open {
    int depth;
    char quote;
};

/* The ' of a word, as in it's, begins no string. */
static bool begins_string(const char *text, uint32_t i)
{
    unsigned char before = i > 0 ? (unsigned char)text[i - 1] : ' ';

    return text[i] == '"' || (text[i] == '\'' && !isalnum(before) && before < 0x80);
}

static void scan(struct open *open, const char *text, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        char c = text[i];

        if (open->quote)
            open->quote = c == open->quote ? 0 : open->quote;
        else if (begins_string(text, i))
            open->quote = c;
        else
            open->depth += (c == '(') - (c == ')');
    }
}

static bool is_open(const struct open *open)
{
    return open->depth > 0 || open->quote;
}

/* What a plain scalar leaves open at its end. */
static struct open left_open(const struct doc_node *node)
{
    struct open open = {0, 0};

    if (node->kind == DOC_SCALAR && node->plain)
        scan(&open, node->value, node->length);
    return open;
}

static void report_cut(struct report *report, struct doc_node *node, const char *outside)
{
    report_error(report, doc_node_place(node),
                 "YAML cuts this at the comma, inside %s it reads , itself: " CUT_HINT, outside);
    node->broken = true;
}

void doc_mend_mapping(struct report *report, struct doc_node *mapping)
{
    for (struct doc_node *child = mapping->first; child; child = child->next) {
        struct open open = left_open(child);
        struct doc_node *last = child, *piece;

        for (piece = child->next; piece && is_open(&open); piece = piece->next) {
            scan(&open, piece->key->value, piece->key->length);
            if (piece->kind == DOC_SCALAR)
                scan(&open, piece->value, piece->length);
            last = piece;
        }
        if (is_open(&open)) {
            for (last = child; last->next && doc_is_empty(last->next);)
                last = last->next;
        }
        if (last == child)
            continue;
        report_cut(report, child, "{…}");
        for (piece = child->next; piece != last->next; piece = piece->next)
            mapping->n_children--;
        child->next = last->next;
    }
}

void doc_mend_list(struct report *report, struct doc_node *list)
{
    for (struct doc_node *child = list->first; child; child = child->next) {
        struct open open = left_open(child);
        struct doc_node *last = child;

        while (is_open(&open) && last->next && last->next->kind == DOC_SCALAR) {
            last = last->next;
            scan(&open, last->value, last->length);
        }
        if (last == child || is_open(&open))
            continue;
        report_cut(report, child, "[…]");
        for (struct doc_node *piece = child->next; piece != last->next; piece = piece->next)
            list->n_children--;
        child->next = last->next;
    }
}

bool doc_refuse_comment(struct report *report, struct doc_node *node)
{
    const struct doc_file *file = node->file;
    uint32_t end = node->end;

    if (!left_open(node).quote)
        return false;
    while (end < file->size && file->text[end] == ' ')
        end++;
    if (end == node->end || end >= file->size || file->text[end] != '#')
        return false;
    report_error(report, (struct doc_place){file, end, end + 1},
                 "YAML takes # behind a blank for a comment, also inside a string: put the "
                 "expression in quotes");
    node->broken = true;
    return true;
}

/* What libyaml says where it meets an expression, and what that means to who wrote it. */
static const struct {
    const char *problem; /* a part of it */
    const char *hint;
} hints[] = {
    {"mapping values are not allowed", "YAML takes \": \" for a new key: " CUT_HINT},
    {"cannot start any token", "YAML keeps @ ` and % at the begin of a value for itself: put all "
                               "of it in quotes"},
    {"expected comment or line break", "YAML takes > and | at the begin of a value for a text of "
                                       "several lines: put all of it in quotes"},
    {"expected alphabetic or numeric", "YAML keeps & and * at the begin of a value for itself: put "
                                       "all of it in quotes"},
    {"block sequence entries", "YAML takes \"- \" for an item of a list: put all of it in quotes, "
                               "or leave the blank out"},
};

/* A value that began with a quote or bracket ends where that ends; this is what follows it. */
static const char *behind_hint(const struct doc_file *file, uint32_t offset)
{
    char before;

    while (offset > 0 && file->text[offset - 1] == ' ')
        offset--;
    before = offset > 0 ? file->text[offset - 1] : 0;
    if (before == '"' || before == '\'')
        return "YAML ends a value that begins with a quote where the quote ends: put all of it in "
               "other quotes";
    if (before == ']' || before == '}')
        return "YAML ends a value that begins with [ or { where that is closed: put all of it in "
               "quotes";
    return NULL;
}

const char *doc_syntax_hint(const struct doc_file *file, const char *problem, uint32_t offset)
{
    bool flow = strstr(problem, "',' or '}'") || strstr(problem, "',' or ']'");
    const char *behind;

    if (offset < file->size && file->text[offset] == '\t')
        return "YAML is indented with spaces, not with tabs";
    behind = flow || strstr(problem, "expected key") ? behind_hint(file, offset) : NULL;
    if (behind)
        return behind;
    if (strstr(problem, "',' or '}'"))
        return "inside {…} YAML itself reads , [ ] { } and \": \": " CUT_HINT;
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (strstr(problem, hints[i].problem))
            return hints[i].hint;
    }
    return NULL;
}
