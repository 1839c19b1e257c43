/*
 * Tests the TLS of daemon/sink: a receiver's certificate must be trusted, valid now and made out to
 * its name, the protocol at least 1.2; what is not is a failure, and nothing is sent.
 */
#include "hook.h"
#include "sink/sink.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static const struct hook_action script[] = {HOOK_OK};

struct fixture {
    struct event_base *base;
    struct hook hook;
    struct sink *sink;
    SSL_CTX *tls;
    char ca_file[64];
    enum sink_result result;
    unsigned n_done;
};

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate that is its own authority, made out to `name`, valid for valid_s seconds from an
 * hour ago; the server uses it, and ca_file holds it. */
static void make_certificate(struct fixture *fixture, const char *name, long valid_s)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_NAME *subject;
    FILE *file;
    int fd;

    assert_non_null(key);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), -3600 + valid_s);
    subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1,
                               0);
    X509_set_issuer_name(certificate, subject);
    X509_set_pubkey(certificate, key);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_subject_alt_name, name);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);

    SSL_CTX_use_certificate(fixture->tls, certificate);
    SSL_CTX_use_PrivateKey(fixture->tls, key);
    snprintf(fixture->ca_file, sizeof(fixture->ca_file), "/tmp/kpid-test-ca-XXXXXX");
    fd = mkstemp(fixture->ca_file);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    PEM_write_X509(file, certificate);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static struct bufferevent *accept_tls(struct event_base *base, evutil_socket_t fd, void *userdata)
{
    return bufferevent_openssl_socket_new(base, fd, SSL_new(userdata), BUFFEREVENT_SSL_ACCEPTING,
                                          BEV_OPT_CLOSE_ON_FREE);
}

static void on_done(void *userdata, const char *receiver, const char *id, enum sink_result result)
{
    struct fixture *fixture = userdata;

    fixture->result = result;
    fixture->n_done++;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->base = event_base_new();
    fixture->tls = SSL_CTX_new(TLS_server_method());
    hook_init(&fixture->hook, fixture->base, script, 1);
    fixture->hook.wrap = accept_tls;
    fixture->hook.wrap_userdata = fixture->tls;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    sink_free(fixture->sink);
    hook_deinit(&fixture->hook);
    event_base_free(fixture->base);
    SSL_CTX_free(fixture->tls);
    unlink(fixture->ca_file);
    free(fixture);
    return 0;
}

/* Sends one message; is its first attempt a delivery? */
static bool delivers(struct fixture *fixture, const char *host, bool trusted)
{
    char url[128];
    const struct sink_receiver receiver = {
        .name = "a", .url = url, .ca_file = trusted ? fixture->ca_file : NULL};
    const struct sink_options options = {
        .base = fixture->base,
        .receivers = &receiver,
        .n_receivers = 1,
        .user_agent = "kpid/test",
        .second_us = 20000,
        .done = on_done,
        .userdata = fixture,
    };
    const struct sink_message message = {.receiver = "a",
                                         .id = "al_1",
                                         .alert = "f1",
                                         .created_us = (int64_t)time(NULL) * 1000000 + 999999,
                                         .body = "{}",
                                         .size = 2};
    struct sink_stats stats;
    const char *error = NULL;

    snprintf(url, sizeof(url), "https://%s:%u/", host, fixture->hook.port);
    assert_int_equal(sink_new(&fixture->sink, &options, &error), 0);
    assert_int_equal(sink_send(fixture->sink, &message), 0);
    do {
        event_base_loop(fixture->base, EVLOOP_ONCE);
        assert_int_equal(sink_stats(fixture->sink, &stats, 1), 1);
    } while (fixture->n_done == 0 && stats.n_failed_attempts == 0);
    if (fixture->n_done > 0)
        assert_int_equal(fixture->result, SINK_DELIVERED);
    return fixture->n_done > 0;
}

static void test_trusted_certificate(void **state)
{
    struct fixture *fixture = *state;

    make_certificate(fixture, "DNS:localhost", 7200);
    assert_true(delivers(fixture, "localhost", true));
    assert_int_equal(fixture->hook.n_requests, 1);
}

static void test_trusted_certificate_of_an_address(void **state)
{
    struct fixture *fixture = *state;

    make_certificate(fixture, "IP:127.0.0.1", 7200);
    assert_true(delivers(fixture, "127.0.0.1", true));
}

static void test_unknown_authority(void **state)
{
    struct fixture *fixture = *state;

    make_certificate(fixture, "DNS:localhost", 7200);
    assert_false(delivers(fixture, "localhost", false));
    assert_int_equal(fixture->hook.n_requests, 0);
}

static void test_wrong_name(void **state)
{
    struct fixture *fixture = *state;

    make_certificate(fixture, "DNS:other.example", 7200);
    assert_false(delivers(fixture, "localhost", true));
    assert_int_equal(fixture->hook.n_requests, 0);
}

static void test_expired_certificate(void **state)
{
    struct fixture *fixture = *state;

    make_certificate(fixture, "DNS:localhost", 1800);
    assert_false(delivers(fixture, "localhost", true));
    assert_int_equal(fixture->hook.n_requests, 0);
}

/* Security level 0, as OpenSSL would not even offer TLS 1.1 else. */
static void test_old_protocol(void **state)
{
    struct fixture *fixture = *state;

    make_certificate(fixture, "DNS:localhost", 7200);
    SSL_CTX_set_security_level(fixture->tls, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(fixture->tls, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(fixture->tls, TLS1_1_VERSION), 1);
    assert_false(delivers(fixture, "localhost", true));
    assert_int_equal(fixture->hook.n_requests, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_trusted_certificate), TEST(test_trusted_certificate_of_an_address),
        TEST(test_unknown_authority),   TEST(test_wrong_name),
        TEST(test_expired_certificate), TEST(test_old_protocol),
    };

    signal(SIGPIPE, SIG_IGN); /* as the daemon does: OpenSSL writes to whom has hung up */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
