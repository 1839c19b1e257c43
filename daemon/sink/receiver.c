/* Receivers: reading what is configured, and the rules about connecting and sparing. */
#include "sink/receiver.h"

#include "sink/http_client.h"
#include "util/error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void endpoint_deinit(struct endpoint *endpoint)
{
    if (endpoint->url)
        explicit_bzero(endpoint->url, strlen(endpoint->url)); /* tokens of robots are in URLs */
    free(endpoint->url);
    free(endpoint->host);
    free(endpoint->ca_file);
    free(endpoint->allow);
    explicit_bzero(&endpoint->key, sizeof(endpoint->key));
    *endpoint = (struct endpoint){0};
}

static int read_allow(struct endpoint *endpoint, const char *const *allow, const char **ret_error)
{
    unsigned n = 0, i;

    while (allow && allow[n])
        n++;
    if (n == 0)
        return 0;
    endpoint->allow = calloc(n, sizeof(*endpoint->allow));
    if (!endpoint->allow)
        return error_origin(-ENOMEM);
    for (i = 0; i < n; i++) {
        if (address_range_parse(&endpoint->allow[i], allow[i]) != 0) {
            *ret_error = "allow: not an address range such as 10.0.0.0/8";
            return SINK_E_RECEIVER;
        }
    }
    endpoint->n_allow = n;
    return 0;
}

static int read_url(struct endpoint *endpoint, const char *url, const char **ret_error)
{
    int r;

    r = http_url_host(url, &endpoint->host, &endpoint->tls);
    if (r < 0)
        return error_trace(r);
    if (r != 0) {
        *ret_error = "url: not an http or https URL with a plainly written host";
        return SINK_E_RECEIVER;
    }
    endpoint->host_kind = address_host_kind(endpoint->host);
    if (endpoint->host_kind == ADDRESS_HOST_ODD) {
        *ret_error = "url: an address must be written as 192.0.2.1 or [2001:db8::1]";
        return SINK_E_RECEIVER;
    }
    if (!endpoint->tls && endpoint->host_kind == ADDRESS_HOST_NAME && endpoint->n_allow == 0) {
        *ret_error = "url: plain http to a host name needs `allow`, the addresses that it may have";
        return SINK_E_RECEIVER;
    }
    return 0;
}

static int endpoint_read(struct endpoint *endpoint, const struct sink_receiver *options,
                         const char **ret_error)
{
    int r;

    r = read_allow(endpoint, options->allow, ret_error);
    if (r != 0)
        return r < 0 ? error_trace(r) : r;
    r = read_url(endpoint, options->url, ret_error);
    if (r != 0)
        return r < 0 ? error_trace(r) : r;
    if (options->secret) {
        if (webhook_key_parse(&endpoint->key, options->secret) != 0) {
            *ret_error = "secret: not whsec_ and base64 of 24 to 64 bytes";
            return SINK_E_SECRET;
        }
        endpoint->has_key = true;
    }
    if (options->ca_file && access(options->ca_file, R_OK) != 0) {
        *ret_error = "ca_file: cannot be read";
        return SINK_E_RECEIVER;
    }
    endpoint->url = strdup(options->url);
    endpoint->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    if (!endpoint->url || (options->ca_file && !endpoint->ca_file))
        return error_origin(-ENOMEM);
    return 0;
}

struct receiver *receiver_free(struct receiver *receiver)
{
    if (!receiver)
        return NULL;
    assert(receiver->n_under_way == 0);
    queue_deinit(&receiver->queue);
    endpoint_deinit(&receiver->endpoint);
    free(receiver->name);
    free(receiver);
    return NULL;
}

int receiver_new(struct receiver **ret_receiver, const struct sink_receiver *options,
                 const char **ret_error)
{
    struct receiver *receiver = calloc(1, sizeof(*receiver));
    int r;

    if (!receiver)
        return error_origin(-ENOMEM);
    receiver->log_limit = LOG_LIMIT(10, 60);
    receiver->name = strdup(options->name);
    r = receiver->name ? endpoint_read(&receiver->endpoint, options, ret_error)
                       : error_origin(-ENOMEM);
    if (r != 0) {
        receiver_free(receiver);
        return r < 0 ? error_trace(r) : r;
    }
    *ret_receiver = receiver;
    return 0;
}

void receiver_reconfigure(struct receiver *receiver, struct receiver *from)
{
    const struct endpoint old = receiver->endpoint;

    if (strcmp(old.url, from->endpoint.url) != 0) {
        receiver->disabled = false;
        receiver->n_failed_in_row = 0;
        receiver->spare_until_us = 0;
    }
    receiver->endpoint = from->endpoint;
    from->endpoint = old;
    receiver_free(from);
}

bool receiver_may_connect(const struct receiver *receiver, const struct sockaddr *address)
{
    const struct endpoint *endpoint = &receiver->endpoint;
    unsigned i;

    switch (endpoint->host_kind) {
    case ADDRESS_HOST_LITERAL:
        return true;
    case ADDRESS_HOST_LOCALHOST:
        return address_is_loopback(address);
    case ADDRESS_HOST_NAME:
        if (endpoint->tls && address_is_public(address))
            return true;
        for (i = 0; i < endpoint->n_allow; i++)
            if (address_range_contains(&endpoint->allow[i], address))
                return true;
        return false;
    case ADDRESS_HOST_ODD:
        break;
    }
    return false;
}

bool receiver_open(const struct receiver *receiver)
{
    return receiver->n_failed_in_row >= RECEIVER_BREAKER_FAILURES;
}

bool receiver_ready(const struct receiver *receiver, int64_t now_us)
{
    return !receiver->disabled && now_us >= receiver->spare_until_us &&
           receiver->n_under_way < (receiver_open(receiver) ? 1 : RECEIVER_UNDER_WAY_MAX);
}
