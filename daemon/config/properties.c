/*
 * kafka.properties: which of librdkafka's properties kpid passes on. What kpid sets itself would
 * break its bookkeeping, what loads code or runs commands would make a config file a program; the
 * rest that concerns connections, security and fetching is let through.
 */
#include "config/kinds.h"
#include "config/load.h"

#include <errno.h>
#include <stdlib.h>

enum {
    PROPERTIES_MAX = 200
};

/* A name that ends in '.' is a prefix. */
static const char *const allowed[] = {
    "api.version.request",
    "api.version.request.timeout.ms",
    "broker.address.family",
    "broker.address.ttl",
    "check.crcs",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.",
    "connections.max.idle.ms",
    "debug",
    "fetch.",
    "group.instance.id",
    "heartbeat.interval.ms",
    "linger.ms",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "message.max.bytes",
    "metadata.max.age.ms",
    "queued.",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "sasl.",
    "security.protocol",
    "socket.",
    "ssl.",
    "topic.metadata.refresh.",
};

/* Names behind the prefixes, for did-you-mean. A later librdkafka may know more: they pass, too. */
static const char *const known[] = {
    "compression.codec",
    "compression.level",
    "compression.type",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "sasl.kerberos.keytab",
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.sigalgs.list",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse",
};

/* Secrets: each may be given as name_file, too. */
static const char *const secrets[] = {
    "sasl.oauthbearer.client.secret", "sasl.password", "ssl.key.password", "ssl.key.pem",
    "ssl.keystore.password",
};

static const struct {
    const char *name;
    const char *why;
} refused[] = {
    {"auto.offset.reset", "kpid decides where to begin: use kafka.start"},
    {"bootstrap.servers", "use kafka.brokers"},
    {"enable.auto.commit", "kpid commits with its checkpoints"},
    {"enable.auto.offset.store", "kpid commits with its checkpoints"},
    {"enable.idempotence", "kpid sets it"},
    {"enable.partition.eof", "kpid sets it"},
    {"enable.ssl.certificate.verification", "kpid does not talk to brokers that it cannot verify"},
    {"group.id", "use kafka.group"},
    {"group.protocol", "kpid needs the classic one"},
    {"isolation.level", "kpid reads committed records only"},
    {"metadata.broker.list", "use kafka.brokers"},
    {"partition.assignment.strategy", "kpid needs range"},
    {"plugin.library.paths", "a config file must not load code"},
    {"sasl.kerberos.kinit.cmd", "a config file must not run commands"},
    {"session.timeout.ms", "use kafka.session_timeout"},
    {"ssl.engine.location", "a config file must not load code"},
    {"ssl.providers", "a config file must not load code"},
    {"transactional.id", "kpid sets it"},
};

#define N(table) (sizeof(table) / sizeof((table)[0]))

static bool is_allowed(const char *name)
{
    size_t i;

    for (i = 0; i < N(allowed); i++) {
        size_t length = strlen(allowed[i]);

        if (allowed[i][length - 1] == '.' ? strncmp(name, allowed[i], length) == 0 && name[length]
                                          : strcmp(name, allowed[i]) == 0)
            return true;
    }
    return false;
}

static bool is_known(const char *name)
{
    size_t i;

    for (i = 0; i < N(known); i++) {
        if (strcmp(name, known[i]) == 0)
            return true;
    }
    return false;
}

/* False: reported. */
static bool check_name(struct load *load, const struct doc_node *key, const char *name)
{
    struct doc_place place = doc_node_place(key);
    struct suggest suggest = suggest_begin((struct kpi_string){name, strlen(name)});
    size_t i;

    for (i = 0; i < N(refused); i++) {
        if (strcmp(name, refused[i].name) == 0) {
            report_error(&load->report, place, "kafka.properties: %s cannot be set: %s", name,
                         refused[i].why);
            return false;
        }
    }
    for (i = 0; i < N(known); i++)
        suggest_try(&suggest, known[i]);
    for (i = 0; i < N(allowed); i++)
        suggest_try(&suggest, allowed[i]);
    if (is_known(name) || (is_allowed(name) && (!suggest.best || suggest.distance == 0)))
        return true;
    report_error(&load->report, place, "kafka.properties: kpid passes no property %s on",
                 QUOTE(doc_string(key)));
    report_suggest(&load->report, suggest.best);
    return false;
}

bool property_is_secret(const char *name)
{
    size_t i;

    for (i = 0; i < N(secrets); i++) {
        if (strcmp(name, secrets[i]) == 0)
            return true;
    }
    return false;
}

/* The secret that a key x_file stands for, or NULL. */
static const char *secret_of_file(const char *key)
{
    size_t length = strlen(key), i;

    if (length <= strlen("_file") || strcmp(key + length - strlen("_file"), "_file") != 0)
        return NULL;
    for (i = 0; i < N(secrets); i++) {
        if (strlen(secrets[i]) == length - strlen("_file") &&
            memcmp(secrets[i], key, strlen(secrets[i])) == 0)
            return secrets[i];
    }
    return NULL;
}

static int read_value(struct load *load, const struct doc_node *map, const struct doc_node *node,
                      const char *secret, char **ret_value)
{
    const char *key = node->key->value;
    struct kpi_string text;

    *ret_value = NULL;
    if (secret)
        return load_secret(load, doc_get(map, secret), node, secret, ret_value);
    if (!load_text(load, node, key, &text))
        return 0;
    *ret_value = strdup(text.data);
    return *ret_value ? 0 : -ENOMEM;
}

static int read_properties(struct load *load, const struct setting *setting, struct doc_node *node,
                           void *target)
{
    struct config *config = &load->settings.config;
    const struct doc_node *child;

    if (doc_is_empty(node))
        return 0;
    if (node->kind != DOC_MAPPING || node->n_children > PROPERTIES_MAX) {
        report_error(&load->report, doc_node_place(node->key),
                     "kafka.properties: at most %d keys and values are expected", PROPERTIES_MAX);
        return 0;
    }
    config->kafka.properties = calloc(node->n_children + 1, sizeof(*config->kafka.properties));
    if (!config->kafka.properties)
        return -ENOMEM;
    for (child = node->first; child; child = child->next) {
        struct config_property *property = &config->kafka.properties[config->kafka.n_properties];
        const char *secret = secret_of_file(child->key->value);
        const char *name = secret ? secret : child->key->value;
        int r;

        if (!check_name(load, child->key, name))
            continue;
        r = read_value(load, node, child, secret, &property->value);
        if (r < 0)
            return r;
        if (!property->value)
            continue;
        config->kafka.n_properties++;
        property->name = strdup(name);
        if (!property->name)
            return -ENOMEM;
    }
    return 0;
}

const struct setting_kind kind_properties = {"properties", SETTING_PROPERTIES, read_properties};
