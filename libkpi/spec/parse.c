/*
 * A recursive descent over the grammar of parse.h, bounded in depth and bytes.
 */
#include "spec/parse.h"
#include "spec/complain.h"
#include "spec/lexer.h"

#include <kpi/plan.h>

struct parser {
    struct kpi_lexer lexer;
    struct kpi_token token; /* the next one, not yet taken */
    uint32_t end;           /* of the last token taken */
    unsigned depth;
    struct kpi_pool *pool;
    const struct kpi_text *text;
    struct kpi_diag *diag;
};

static struct kpi_node *parse_either(struct parser *parser);

const char *kpi_compare_text(enum kpi_compare compare)
{
    static const char *const texts[] = {"==", "!=", "<", "<=", ">", ">="};

    return texts[compare];
}

static void take(struct parser *parser)
{
    parser->end = parser->token.offset + parser->token.length;
    kpi_lexer_next(&parser->lexer, &parser->token);
}

static struct kpi_place place_token(const struct parser *parser)
{
    return (struct kpi_place){parser->text->origin, parser->token.offset, parser->token.length};
}

/* In whatever case it is written; `word` is in small letters. */
static bool spells(struct kpi_string text, const char *word)
{
    size_t i = 0;

    for (; i < text.length && word[i]; ++i) {
        char c = text.data[i];

        if ((c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c) != word[i])
            return false;
    }
    return i == text.length && !word[i];
}

/* The operator that a word of other languages stands for, or none. */
static struct kpi_string operator_of(struct kpi_string word)
{
    static const char *const pairs[][2] = {
        {"and", "and"}, {"or", "or"}, {"not", "not"},   {"in", "in"},
        {"is", "=="},   {"eq", "=="}, {"equals", "=="}, {"ne", "!="},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); ++i) {
        if (spells(word, pairs[i][0]))
            return (struct kpi_string){pairs[i][1], strlen(pairs[i][1])};
    }
    return KPI_NO_SUGGESTION;
}

/* Reports that something else should stand where the next token is. */
static struct kpi_node *fail(struct parser *parser, const char *expected)
{
    const struct kpi_token *token = &parser->token;
    struct kpi_string suggest = KPI_NO_SUGGESTION;

    if (token->kind == KPI_TOKEN_ERROR) {
        if (token->suggest)
            suggest = (struct kpi_string){token->suggest, strlen(token->suggest)};
        kpi_error(parser->diag, place_token(parser), suggest, "%s", token->message);
    } else if (token->kind == KPI_TOKEN_END) {
        kpi_error(parser->diag, place_token(parser), suggest, "%s is missing at the end", expected);
    } else if (token->kind == KPI_TOKEN_NAME &&
               kpi_string_equal(token->string, KPI_STRING("where"))) {
        kpi_error(parser->diag, place_token(parser), suggest,
                  "where is a key of its own, with its condition behind it");
    } else {
        if (token->kind == KPI_TOKEN_ASSIGN)
            suggest = KPI_STRING("==");
        if (token->kind == KPI_TOKEN_NAME)
            suggest = operator_of(token->string);
        kpi_error(parser->diag, place_token(parser), suggest, "%s is expected here", expected);
    }
    return NULL;
}

static struct kpi_node *node_new(struct parser *parser, enum kpi_node_kind kind, uint32_t offset)
{
    struct kpi_node *node = kpi_pool_alloc(parser->pool, sizeof(*node));

    if (node) {
        node->kind = kind;
        node->offset = offset;
        node->length = parser->end > offset ? parser->end - offset : 0;
    }
    return node;
}

/* A node that ends where its last child does. */
static void node_close(struct parser *parser, struct kpi_node *node)
{
    node->length = parser->end - node->offset;
}

static bool enter(struct parser *parser)
{
    if (++parser->depth <= KPI_EXPRESSION_DEPTH_MAX)
        return true;
    kpi_error(parser->diag, place_token(parser), KPI_NO_SUGGESTION,
              "this expression is nested deeper than %d", (int64_t)KPI_EXPRESSION_DEPTH_MAX);
    return false;
}

static void leave(struct parser *parser)
{
    --parser->depth;
}

/* Takes the token of a string and resolves its escapes. */
static struct kpi_node *parse_string(struct parser *parser)
{
    struct kpi_token token = parser->token;
    struct kpi_node *node;
    char *copy;

    take(parser);
    node = node_new(parser, KPI_NODE_STRING, token.offset);
    if (!node)
        return NULL;
    node->string = token.string;
    if (token.number == 0)
        return node;
    copy = kpi_pool_alloc(parser->pool, token.string.length);
    if (!copy)
        return NULL;
    node->string = (struct kpi_string){copy, 0};
    for (size_t i = 0; i < token.string.length; ++i) {
        if (token.string.data[i] == '\\')
            ++i;
        copy[node->string.length++] = token.string.data[i];
    }
    return node;
}

static struct kpi_node *parse_argument(struct parser *parser)
{
    struct kpi_lexer saved_lexer = parser->lexer;
    struct kpi_token name = parser->token;
    uint32_t saved_end = parser->end;
    struct kpi_node *node;
    bool labelled = false;

    if (name.kind == KPI_TOKEN_NAME) {
        take(parser);
        labelled = parser->token.kind == KPI_TOKEN_ASSIGN;
        if (labelled) {
            take(parser);
        } else {
            parser->lexer = saved_lexer;
            parser->token = name;
            parser->end = saved_end;
        }
    }
    node = parse_either(parser);
    if (node && labelled) {
        node->label = name.string;
        node->label_offset = name.offset;
    }
    return node;
}

/* The items between an opening and a closing token, as children of node. */
static struct kpi_node *parse_items(struct parser *parser, struct kpi_node *node,
                                    enum kpi_token_kind close, const char *expected)
{
    struct kpi_node **tail = &node->first;

    take(parser);
    if (!enter(parser))
        return NULL;
    while (parser->token.kind != close) {
        *tail = node->kind == KPI_NODE_CALL ? parse_argument(parser) : parse_either(parser);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
        ++node->n_children;
        if (parser->token.kind == KPI_TOKEN_COMMA)
            take(parser);
        else if (parser->token.kind != close)
            return fail(parser, expected);
    }
    leave(parser);
    take(parser);
    node_close(parser, node);
    return node;
}

static struct kpi_node *parse_name(struct parser *parser)
{
    struct kpi_token token = parser->token;
    struct kpi_node *node;

    take(parser);
    node = node_new(parser, KPI_NODE_NAME, token.offset);
    if (!node)
        return NULL;
    node->string = token.string;
    if (parser->token.kind != KPI_TOKEN_OPEN)
        return node;
    node->kind = KPI_NODE_CALL;
    return parse_items(parser, node, KPI_TOKEN_CLOSE, "a comma or \")\"");
}

static struct kpi_node *parse_literal(struct parser *parser, enum kpi_node_kind kind,
                                      int64_t number)
{
    uint32_t offset = parser->token.offset;
    struct kpi_node *node;

    take(parser);
    node = node_new(parser, kind, offset);
    if (node)
        node->number = number;
    return node;
}

static struct kpi_node *parse_parentheses(struct parser *parser)
{
    struct kpi_node *node;

    take(parser);
    if (!enter(parser))
        return NULL;
    node = parse_either(parser);
    if (!node)
        return NULL;
    if (parser->token.kind != KPI_TOKEN_CLOSE)
        return fail(parser, "\")\"");
    leave(parser);
    take(parser);
    return node;
}

static struct kpi_node *parse_atom(struct parser *parser)
{
    struct kpi_node *node;

    switch (parser->token.kind) {
    case KPI_TOKEN_NUMBER:
        return parse_literal(parser, KPI_NODE_NUMBER, parser->token.number);
    case KPI_TOKEN_DURATION:
        return parse_literal(parser, KPI_NODE_DURATION, parser->token.number);
    case KPI_TOKEN_TRUE:
        return parse_literal(parser, KPI_NODE_BOOL, 1);
    case KPI_TOKEN_FALSE:
        return parse_literal(parser, KPI_NODE_BOOL, 0);
    case KPI_TOKEN_STRING:
        return parse_string(parser);
    case KPI_TOKEN_NAME:
        return parse_name(parser);
    case KPI_TOKEN_OPEN:
        return parse_parentheses(parser);
    case KPI_TOKEN_OPEN_LIST:
        node = node_new(parser, KPI_NODE_LIST, parser->token.offset);
        return node ? parse_items(parser, node, KPI_TOKEN_CLOSE_LIST, "a comma or \"]\"") : NULL;
    default:
        return fail(parser, "a name, a number or a string");
    }
}

/* A node that wraps one child, behind an operator that stood at offset. */
static struct kpi_node *wrap(struct parser *parser, enum kpi_node_kind kind, uint32_t offset,
                             struct kpi_node *child)
{
    struct kpi_node *node = child ? node_new(parser, kind, offset) : NULL;

    if (!node)
        return NULL;
    node->first = child;
    node->n_children = 1;
    return node;
}

static struct kpi_node *parse_factor(struct parser *parser)
{
    uint32_t offset = parser->token.offset;
    struct kpi_node *child;

    if (parser->token.kind != KPI_TOKEN_MINUS)
        return parse_atom(parser);
    take(parser);
    if (!enter(parser))
        return NULL;
    child = parse_factor(parser);
    leave(parser);
    return wrap(parser, KPI_NODE_NEGATE, offset, child);
}

/* How a token joins an operand to a chain of this kind; 0: not at all. */
static char join_of(enum kpi_node_kind kind, enum kpi_token_kind token)
{
    switch (kind) {
    case KPI_NODE_SUM:
        return token == KPI_TOKEN_PLUS ? '+' : token == KPI_TOKEN_MINUS ? '-' : 0;
    case KPI_NODE_PRODUCT:
        return token == KPI_TOKEN_STAR || token == KPI_TOKEN_OF ? '*'
               : token == KPI_TOKEN_SLASH                       ? '/'
                                                                : 0;
    case KPI_NODE_AND:
        return token == KPI_TOKEN_AND ? '&' : 0;
    default:
        return token == KPI_TOKEN_OR ? '|' : 0;
    }
}

/*
 * Parses a chain: operands joined by operators of one rank. A leading operand of the same kind (it
 * stood in parentheses) is drawn in, as the order of evaluation stays the same.
 */
static struct kpi_node *parse_chain(struct parser *parser, enum kpi_node_kind kind,
                                    struct kpi_node *(*parse_operand)(struct parser *))
{
    uint32_t offset = parser->token.offset;
    struct kpi_node *first = parse_operand(parser), *chain, **tail;
    char join;

    if (!first || !join_of(kind, parser->token.kind))
        return first;
    chain = node_new(parser, kind, offset);
    if (!chain)
        return NULL;
    if (first->kind == kind) {
        chain->first = first->first;
        chain->n_children = first->n_children;
        for (tail = &chain->first; *tail; tail = &(*tail)->next)
            ;
    } else {
        chain->first = first;
        chain->n_children = 1;
        first->join = kind == KPI_NODE_SUM ? '+' : '*';
        tail = &first->next;
    }
    while ((join = join_of(kind, parser->token.kind))) {
        take(parser);
        *tail = parse_operand(parser);
        if (!*tail)
            return NULL;
        (*tail)->join = join;
        tail = &(*tail)->next;
        ++chain->n_children;
    }
    node_close(parser, chain);
    return chain;
}

static struct kpi_node *parse_product(struct parser *parser)
{
    return parse_chain(parser, KPI_NODE_PRODUCT, parse_factor);
}

static struct kpi_node *parse_sum(struct parser *parser)
{
    return parse_chain(parser, KPI_NODE_SUM, parse_product);
}

static bool is_comparison(enum kpi_token_kind kind)
{
    return (kind >= KPI_TOKEN_EQUAL && kind <= KPI_TOKEN_GREATER_EQUAL) || kind == KPI_TOKEN_IN ||
           kind == KPI_TOKEN_NOT;
}

static struct kpi_node *parse_comparison(struct parser *parser)
{
    uint32_t offset = parser->token.offset;
    struct kpi_node *left = parse_sum(parser), *node;
    enum kpi_token_kind op = parser->token.kind;

    if (!left || !is_comparison(op))
        return left;
    take(parser);
    node = node_new(parser, KPI_NODE_COMPARE, offset);
    if (!node)
        return NULL;
    if (op == KPI_TOKEN_NOT) {
        if (parser->token.kind != KPI_TOKEN_IN)
            return fail(parser, "\"in\"");
        take(parser);
        node->number = 1;
    }
    if (op == KPI_TOKEN_IN || op == KPI_TOKEN_NOT)
        node->kind = KPI_NODE_IN;
    else
        node->compare = (enum kpi_compare)(op - KPI_TOKEN_EQUAL);
    node->first = left;
    node->n_children = 2;
    left->next = parse_sum(parser);
    if (!left->next)
        return NULL;
    node_close(parser, node);
    if (is_comparison(parser->token.kind)) {
        kpi_error(parser->diag, place_token(parser), KPI_NO_SUGGESTION,
                  "comparisons do not chain; join two of them with \"and\"");
        return NULL;
    }
    return node;
}

static struct kpi_node *parse_negation(struct parser *parser)
{
    uint32_t offset = parser->token.offset;
    struct kpi_node *child;

    if (parser->token.kind != KPI_TOKEN_NOT)
        return parse_comparison(parser);
    take(parser);
    if (!enter(parser))
        return NULL;
    child = parse_negation(parser);
    leave(parser);
    return wrap(parser, KPI_NODE_NOT, offset, child);
}

static struct kpi_node *parse_both(struct parser *parser)
{
    return parse_chain(parser, KPI_NODE_AND, parse_negation);
}

static struct kpi_node *parse_either(struct parser *parser)
{
    return parse_chain(parser, KPI_NODE_OR, parse_both);
}

struct kpi_node *kpi_parse(struct kpi_pool *pool, const struct kpi_text *text,
                           struct kpi_diag *diag)
{
    struct parser parser = {
        .lexer = {.data = text->data, .length = text->length},
        .pool = pool,
        .text = text,
        .diag = diag,
    };
    struct kpi_node *node;

    if (text->length > KPI_EXPRESSION_BYTES_MAX) {
        kpi_error(diag, kpi_place_text(text), KPI_NO_SUGGESTION,
                  "this expression is longer than %d bytes", (int64_t)KPI_EXPRESSION_BYTES_MAX);
        return NULL;
    }
    take(&parser);
    parser.end = 0;
    node = parse_either(&parser);
    if (node && parser.token.kind != KPI_TOKEN_END)
        return fail(&parser, "an operator, or the end,");
    return node;
}
