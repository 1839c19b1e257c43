/* Who gets alerts. */
#include "config/check.h"
#include "config/kinds.h"
#include "config/load.h"
#include "config/scalar.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

enum {
    RECEIVERS_MAX = 100,
    ALLOW_MAX = 100,
    SECRET_BYTES_MIN = 24, /* of the decoded key, as Standard Webhooks asks */
    SECRET_BYTES_MAX = 64,
};

struct nodes {
    struct doc_node *name, *type, *url, *secret, *secret_file, *ca_file, *allow;
};

static int copy(const char *text, char **target)
{
    *target = strdup(text);
    return *target ? 0 : -ENOMEM;
}

/* Bytes that a base64 text decodes to; 0 if it is none. */
static size_t base64_size(const char *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strspn(text, alphabet), padding = strspn(text + n, "=");

    if (text[n + padding] || padding > 2 || (padding > 0 && (n + padding) % 4 != 0) || n % 4 == 1)
        return 0;
    return n * 3 / 4;
}

static int read_secret(struct load *load, const struct nodes *nodes,
                       struct config_receiver *receiver)
{
    const struct doc_node *node = nodes->secret ? nodes->secret : nodes->secret_file;
    const char *encoded;
    size_t size;
    int r;

    if (!node)
        return 0;
    r = load_secret(load, nodes->secret, nodes->secret_file, "secret", &receiver->secret);
    if (r < 0 || !receiver->secret)
        return r;
    encoded = strncmp(receiver->secret, "whsec_", 6) == 0 ? receiver->secret + 6 : receiver->secret;
    size = base64_size(encoded);
    if (size < SECRET_BYTES_MIN || size > SECRET_BYTES_MAX)
        report_error(&load->report, doc_node_place(node),
                     "secret: must be base64 of %d to %d bytes, with or without whsec_ before it",
                     SECRET_BYTES_MIN, SECRET_BYTES_MAX);
    return 0;
}

static bool is_cidr(struct kpi_string text)
{
    const char *slash = memchr(text.data, '/', text.length);
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    uint64_t bits;
    size_t length;

    if (!slash)
        return false;
    length = (size_t)(slash - text.data);
    if (length >= sizeof(address))
        return false;
    memcpy(address, text.data, length);
    address[length] = 0;
    if (scalar_integer((struct kpi_string){slash + 1, text.length - length - 1}, &bits))
        return false;
    if (inet_pton(AF_INET, address, &parsed) == 1)
        return bits <= 32;
    return inet_pton(AF_INET6, address, &parsed) == 1 && bits <= 128;
}

static int read_allow(struct load *load, struct doc_node *node, struct config_receiver *receiver)
{
    struct doc_node *item;
    size_t n = 0;

    if (!node || !load_is_list(load, node, "allow"))
        return 0;
    if (node->n_children > ALLOW_MAX) {
        report_error(&load->report, doc_node_place(node->key), "allow: more than %d items",
                     ALLOW_MAX);
        return 0;
    }
    receiver->allow = calloc(node->n_children + 2, sizeof(*receiver->allow));
    if (!receiver->allow)
        return -ENOMEM;
    for (item = load_first(node); item; item = load_next(node, item)) {
        struct kpi_string text;

        if (!load_text(load, item, "allow", &text))
            continue;
        if (!is_cidr(text))
            report_error(&load->report, doc_node_place(item),
                         "allow: %s is not a network, as 10.0.0.0/8 or fd00::/8", QUOTE(text));
        else if (copy(text.data, &receiver->allow[n++]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int read_name(struct load *load, const struct doc_node *node,
                     struct config_receiver *receiver)
{
    const struct config *config = &load->settings.config;
    struct kpi_string text;
    uint32_t i;

    if (!load_text(load, node, "name", &text))
        return 0;
    if (text.length > 64 ||
        strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") !=
            text.length) {
        report_error(&load->report, doc_node_place(node),
                     "name: %s is not a name of at most 64 letters, digits, dots, dashes and "
                     "underscores",
                     QUOTE(text));
        return 0;
    }
    for (i = 0; &config->receivers[i] != receiver; i++) {
        if (config->receivers[i].name && strcmp(config->receivers[i].name, text.data) == 0)
            report_error(&load->report, doc_node_place(node),
                         "a receiver named %s is there already", QUOTE(text));
    }
    return copy(text.data, &receiver->name);
}

/* Its text is not shown: chat robots keep a token in it. */
static int read_url(struct load *load, const struct doc_node *node,
                    struct config_receiver *receiver)
{
    struct kpi_string text;
    const char *error;

    if (!load_text(load, node, "url", &text))
        return 0;
    error = check_url(text);
    if (error) {
        report_error(&load->report, doc_node_place(node), "url: it %s", error);
        return 0;
    }
    return copy(text.data, &receiver->url);
}

static void require(struct load *load, const struct doc_node *item, const struct doc_node *node,
                    const char *name)
{
    struct doc_place place = doc_node_place(item);

    place.end = place.start;
    if (!node)
        report_error(&load->report, place, "receiver: %s is missing", name);
}

static int read_receiver(struct load *load, struct doc_node *item, struct config_receiver *receiver)
{
    struct nodes nodes;
    const struct load_field fields[] = {
        {"name", &nodes.name},
        {"type", &nodes.type},
        {"url", &nodes.url},
        {"secret", &nodes.secret},
        {"secret_file", &nodes.secret_file},
        {"ca_file", &nodes.ca_file},
        {"allow", &nodes.allow},
    };
    struct kpi_string text;
    const char *path;
    unsigned type;
    int r = 0;

    if (!load_fields(load, item, "receiver", fields, sizeof(fields) / sizeof(fields[0])))
        return 0;
    require(load, item, nodes.name, "name");
    require(load, item, nodes.url, "url");
    if (nodes.type)
        (void)load_choice(load, nodes.type, "type", "webhook", &type); /* there is one */
    if (nodes.name)
        r = read_name(load, nodes.name, receiver);
    if (r == 0 && nodes.url)
        r = read_url(load, nodes.url, receiver);
    if (r == 0)
        r = read_secret(load, &nodes, receiver);
    if (r == 0)
        r = read_allow(load, nodes.allow, receiver);
    if (r == 0 && nodes.ca_file && load_text(load, nodes.ca_file, "ca_file", &text)) {
        path = load_path(load, nodes.ca_file);
        r = path ? copy(path, &receiver->ca_file) : -ENOMEM;
    }
    return r;
}

static int read_receivers(struct load *load, const struct setting *setting, struct doc_node *node,
                          void *target)
{
    struct config *config = &load->settings.config;
    struct doc_node *item;

    if (doc_is_empty(node))
        return 0;
    if (node->kind != DOC_SEQUENCE || node->n_children > RECEIVERS_MAX) {
        report_error(&load->report, doc_node_place(node->key),
                     "receivers: a list of at most %d receivers is expected", RECEIVERS_MAX);
        return 0;
    }
    config->receivers = calloc(node->n_children + 1, sizeof(*config->receivers));
    if (!config->receivers)
        return -ENOMEM;
    for (item = node->first; item; item = item->next) {
        /* counted first: what a failure leaves half-built is freed with the rest */
        int r = read_receiver(load, item, &config->receivers[config->n_receivers++]);

        if (r < 0)
            return r;
    }
    return 0;
}

const struct setting_kind kind_receivers = {"list of receivers", SETTING_OTHER, read_receivers};
