/*
 * The parser copies the head into the request and cuts it up there. Being strict costs nothing
 * here: the clients are scrapers, browsers and scripts, which all send clean requests, and every
 * leniency (bare LF, folded headers, spaces before the colon) is one that two parsers in a row may
 * read differently.
 */
#include "http_parse.h"

#include "util/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define DIGIT "0123456789"
#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TOKEN ALPHA DIGIT "!#$%&'*+-.^_`|~"

int http_parse_end(const char *bytes, size_t size, size_t n_seen, size_t *ret_length)
{
    size_t end = size < HTTP_HEAD_BYTES_MAX ? size : HTTP_HEAD_BYTES_MAX;

    *ret_length = 0;
    for (size_t i = n_seen; i < end; i++) {
        uint8_t c = (uint8_t)bytes[i];

        if (c == '\n') {
            if (i == 0 || bytes[i - 1] != '\r')
                return 400;
            if (i >= 3 && bytes[i - 2] == '\n') {
                *ret_length = i + 1;
                return 0;
            }
        } else if ((i > 0 && bytes[i - 1] == '\r') || (c < 0x20 && c != '\r' && c != '\t') ||
                   c == 0x7f) {
            return 400;
        }
    }
    if (size < HTTP_HEAD_BYTES_MAX)
        return 0;
    /* The request line alone fills it? */
    return memchr(bytes, '\n', HTTP_HEAD_BYTES_MAX) ? 431 : 414;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes a name or value in place. False: a bad escape, not UTF-8, a control character, too long.
 */
static bool decode(char *text)
{
    char *in = text, *out = text;
    uint32_t code;
    size_t n, length;

    for (; *in; in++) {
        if (*in == '%') {
            int high = hex_digit(in[1]), low = high < 0 ? -1 : hex_digit(in[2]);

            if (low < 0)
                return false;
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in == '+' ? ' ' : *in;
        }
    }
    length = (size_t)(out - text);
    *out = '\0';
    if (length > HTTP_VALUE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < length; i += n) {
        n = utf8_decode(text + i, length - i, &code);
        if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
    }
    return true;
}

/* name=value pairs between '&'; every name once. */
static int parse_query(struct http_request *request, char *query)
{
    while (query && *query) {
        char *pair = strsep(&query, "&");
        char *value = strchr(pair, '=');
        struct http_parameter *parameter = &request->parameters[request->n_parameters];

        if (!value || value == pair || request->n_parameters == HTTP_PARAMETERS_MAX)
            return 400;
        *value++ = '\0';
        if (!decode(pair) || !decode(value) || http_request_find(request, pair))
            return 400;
        parameter->name = pair;
        parameter->value = value;
        request->n_parameters++;
    }
    return 0;
}

/* Origin form only: "/path?query" of printable ASCII; kpid is nobody's proxy. */
static int parse_target(struct http_request *request, char *target)
{
    char *query;

    if (strlen(target) > HTTP_TARGET_BYTES_MAX)
        return 414;
    if (target[0] != '/')
        return 400;
    for (const char *c = target; *c; c++) {
        if ((uint8_t)*c <= 0x20 || (uint8_t)*c >= 0x7f || strchr("\"#<>\\^`{|}", *c))
            return 400;
        if (*c == '%' && (hex_digit(c[1]) < 0 || hex_digit(c[2]) < 0))
            return 400;
    }
    query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    request->path = target;
    return parse_query(request, query);
}

static int parse_request_line(struct http_request *request, char *line)
{
    char *method = strsep(&line, " "), *target = strsep(&line, " "), *version = line;
    size_t method_length = strlen(method);

    if (method_length == 0 || strspn(method, TOKEN) != method_length || !target || !version)
        return 400;
    if (strncmp(version, "HTTP/", 5) != 0 || strspn(version + 5, DIGIT) != 1 || version[6] != '.' ||
        strspn(version + 7, DIGIT) != 1 || version[8])
        return 400;
    if (version[5] != '1')
        return 505;
    request->keep_alive = version[7] != '0';
    request->head = strcmp(method, "HEAD") == 0;
    if (!request->head && strcmp(method, "GET") != 0)
        return 405;
    return parse_target(request, target);
}

/* Is `token` an element of a comma-separated list? */
static bool list_has(const char *list, const char *token)
{
    return http_list_quality(list, token) >= 0;
}

struct head {
    unsigned n_hosts, n_lengths;
};

static int parse_content_length(const char *value)
{
    size_t n = strlen(value);

    if (n == 0 || strspn(value, DIGIT) != n)
        return 400;
    return strspn(value, "0") == n ? 0 : 413;
}

static int take_header(struct http_request *request, struct head *head, const char *name,
                       const char *value)
{
    if (strcasecmp(name, "Host") == 0) {
        if (head->n_hosts++ > 0 || value[strspn(value, ALPHA DIGIT "-._~:[]%!$&'()*+,;=")])
            return 400;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        return 400;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        return head->n_lengths++ > 0 ? 400 : parse_content_length(value);
    } else if (strcasecmp(name, "Expect") == 0) {
        return 417;
    } else if (strcasecmp(name, "Connection") == 0) {
        if (list_has(value, "close"))
            request->keep_alive = false;
    } else if (strcasecmp(name, "Accept") == 0) {
        if (!request->accept)
            request->accept = value;
    } else if (strcasecmp(name, "Accept-Encoding") == 0) {
        if (!request->accept_encoding)
            request->accept_encoding = value;
    } else if (strcasecmp(name, "If-None-Match") == 0) {
        if (!request->if_none_match)
            request->if_none_match = value;
    }
    return 0;
}

static int parse_header(struct http_request *request, struct head *head, char *line)
{
    size_t name_length = strspn(line, TOKEN), length;
    char *value;

    /* Also refuses a folded line, which begins with white space, and white space before the colon.
     */
    if (name_length == 0 || line[name_length] != ':')
        return 400;
    line[name_length] = '\0';
    value = line + name_length + 1;
    value += strspn(value, " \t");
    length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
        value[--length] = '\0';
    return take_header(request, head, line, value);
}

/* Cuts the line off that ends in CRLF; http_parse_end() has seen that each does. */
static char *take_line(char **bytes)
{
    char *line = *bytes, *end = strchr(line, '\r');

    assert(end && end[1] == '\n');
    *end = '\0';
    *bytes = end + 2;
    return line;
}

int http_parse_head(struct http_request *ret_request, const char *bytes, size_t size)
{
    struct http_request *request = ret_request;
    char *rest = request->bytes, *line;
    struct head head = {0};
    unsigned n_headers = 0;
    bool is_1_1;
    int r;

    assert(size <= HTTP_HEAD_BYTES_MAX);
    memset(request, 0, offsetof(struct http_request, bytes));
    memcpy(request->bytes, bytes, size);
    request->bytes[size] = '\0';
    r = parse_request_line(request, take_line(&rest));
    if (r)
        return r;
    is_1_1 = request->keep_alive;
    for (line = take_line(&rest); *line; line = take_line(&rest)) {
        if (++n_headers > HTTP_HEADERS_MAX)
            return 431;
        r = parse_header(request, &head, line);
        if (r)
            return r;
    }
    return is_1_1 && head.n_hosts == 0 ? 400 : 0;
}

const char *http_request_find(const struct http_request *request, const char *name)
{
    for (unsigned i = 0; i < request->n_parameters; i++) {
        if (strcmp(request->parameters[i].name, name) == 0)
            return request->parameters[i].value;
    }
    return NULL;
}

/* q=0.25 -> 250; anything odd is 0, "not acceptable", the safe reading. */
static int parse_quality(const char *text)
{
    int quality, unit = 100;

    if (*text != '0' && *text != '1')
        return 0;
    quality = (*text++ - '0') * 1000;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9' && unit > 0; text++, unit /= 10)
            quality += (*text - '0') * unit;
    }
    return *text && !strchr(" \t;", *text) ? 0 : quality > 1000 ? 1000 : quality;
}

static void copy_trimmed(char *to, size_t size, const char *from, size_t length)
{
    while (length > 0 && (*from == ' ' || *from == '\t')) {
        from++;
        length--;
    }
    while (length > 0 && (from[length - 1] == ' ' || from[length - 1] == '\t'))
        length--;
    /* What does not fit is nothing that we know. */
    if (length >= size)
        length = 0;
    memcpy(to, from, length);
    to[length] = '\0';
}

bool http_list_next(const char **list, char ret_item[64], char ret_parameters[128],
                    int *ret_quality)
{
    size_t length, item_length;
    const char *item = *list, *quality;

    item += strspn(item, ", \t");
    length = strcspn(item, ",");
    if (length == 0)
        return false;
    *list = item + length;
    item_length = strcspn(item, ",;");
    copy_trimmed(ret_item, 64, item, item_length);
    ret_parameters[0] = '\0';
    if (item_length < length)
        copy_trimmed(ret_parameters, 128, item + item_length + 1, length - item_length - 1);
    *ret_quality = 1000;
    for (quality = ret_parameters; quality; quality = strchr(quality, ';')) {
        quality += strspn(quality, "; \t");
        if (strncasecmp(quality, "q=", 2) == 0) {
            *ret_quality = parse_quality(quality + 2);
            break;
        }
    }
    return true;
}

int http_list_quality(const char *list, const char *token)
{
    char item[64], parameters[128];
    int quality;

    while (http_list_next(&list, item, parameters, &quality)) {
        if (strcasecmp(item, token) == 0)
            return quality;
    }
    return -1;
}
