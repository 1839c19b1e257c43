/*
 * Tests daemon/sink/address.c and what daemon/sink/receiver.c makes of it: which addresses are
 * public, how hosts in URLs are told apart, which receivers are refused when they are configured,
 * and to which addresses the others may be connected.
 */
#include "sink/address.h"
#include "sink/receiver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
    struct sockaddr_in *in = (struct sockaddr_in *)&storage;

    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
    }
    return storage;
}

static void test_public(void **state)
{
    static const char *const cases[] = {
        "1.1.1.1",         "8.8.8.8",         "9.255.255.255",   "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",     "126.255.255.255", "128.0.0.0",
        "169.253.255.255", "169.255.0.0",     "172.15.255.255",  "172.32.0.0",
        "192.0.1.0",       "192.167.255.255", "192.169.0.0",     "198.17.255.255",
        "198.20.0.0",      "223.255.255.255", "2001:200::1",     "2606:4700::1111",
        "2a00:1450::1",    "3ffe::1",
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sockaddr_storage one = address(cases[i]);

        if (!address_is_public((const struct sockaddr *)&one))
            fail_msg("%s", cases[i]);
    }
}

static void test_not_public(void **state)
{
    static const char *const cases[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:1ff:ffff::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    };
    const struct sockaddr local = {.sa_family = AF_UNIX};
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sockaddr_storage one = address(cases[i]);

        if (address_is_public((const struct sockaddr *)&one))
            fail_msg("%s", cases[i]);
    }
    assert_false(address_is_public(&local));
}

static void test_ranges(void **state)
{
    static const struct {
        const char *range, *address;
        bool contained;
    } cases[] = {
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"192.168.1.128/25", "192.168.1.127", false},
        {"192.168.1.128/25", "192.168.1.128", true},
        {"192.168.1.7", "192.168.1.7", true},
        {"192.168.1.7", "192.168.1.6", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2a00::1", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::ffff:11.1.2.3", false},
        {"10.0.0.0/8", "64:ff9b::a01:203", false},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "fe80::1", false},
        {"fd00::/7", "fc00::1", true},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::2", false},
        {"::/0", "10.0.0.1", false},
    };
    static const char *const bad[] = {
        "",
        "10",
        "10.0.0/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10.0.0.0/8x",
        "10.0.0.0/ 8",
        "010.0.0.0/8",
        "fd00::/129",
        "fd00::g/8",
        "localhost",
        "10.0.0.0/8,11.0.0.0/8",
    };
    struct address_range range;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sockaddr_storage one = address(cases[i].address);

        assert_int_equal(address_range_parse(&range, cases[i].range), 0);
        if (address_range_contains(&range, (const struct sockaddr *)&one) != cases[i].contained)
            fail_msg("%s in %s", cases[i].address, cases[i].range);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (address_range_parse(&range, bad[i]) != ADDRESS_E_INVALID)
            fail_msg("%s", bad[i]);
}

static void test_host_kinds(void **state)
{
    static const struct {
        const char *host;
        enum address_host kind;
    } cases[] = {
        {"example.com", ADDRESS_HOST_NAME},
        {"hook.internal", ADDRESS_HOST_NAME},
        {"localhost.example.com", ADDRESS_HOST_NAME},
        {"x.localhost", ADDRESS_HOST_NAME},
        {"1and1.example", ADDRESS_HOST_NAME},
        {"0x7f.example", ADDRESS_HOST_NAME},
        {"localhost", ADDRESS_HOST_LOCALHOST},
        {"LocalHost", ADDRESS_HOST_LOCALHOST},
        {"127.0.0.1", ADDRESS_HOST_LITERAL},
        {"203.0.113.7", ADDRESS_HOST_LITERAL},
        {"[::1]", ADDRESS_HOST_LITERAL},
        {"[::ffff:127.0.0.1]", ADDRESS_HOST_LITERAL},
        {"2130706433", ADDRESS_HOST_ODD},
        {"0x7f000001", ADDRESS_HOST_ODD},
        {"017700000001", ADDRESS_HOST_ODD},
        {"0177.0.0.1", ADDRESS_HOST_ODD},
        {"127.1", ADDRESS_HOST_ODD},
        {"127.0.0.0x1", ADDRESS_HOST_ODD},
        {"127.0.0.1.", ADDRESS_HOST_ODD},
        {"127.0.0.256", ADDRESS_HOST_ODD},
        {"1.2.3.4.5", ADDRESS_HOST_ODD},
        {"[::1", ADDRESS_HOST_ODD},
        {"[]", ADDRESS_HOST_ODD},
        {"[127.0.0.1]", ADDRESS_HOST_ODD},
        {"[fe80::1%25eth0]", ADDRESS_HOST_ODD},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (address_host_kind(cases[i].host) != cases[i].kind)
            fail_msg("%s", cases[i].host);
}

static const char *const allow_private[] = {"10.0.0.0/8", "fd00::/8", NULL};

static void test_receivers_that_are_taken(void **state)
{
    static const struct {
        const char *url, *host;
        const char *const *allow;
    } cases[] = {
        {"https://hooks.example.com/T0/B0", "hooks.example.com", NULL},
        {"HTTPS://Hooks.Example.com:8443/", "Hooks.Example.com", NULL},
        {"https://user:pass@hooks.example.com/a@b", "hooks.example.com", NULL},
        {"http://127.0.0.1:9000/hook", "127.0.0.1", NULL},
        {"http://localhost:9000/hook?x=1#y", "localhost", NULL},
        {"http://[::1]:9000/", "[::1]", NULL},
        {"http://10.1.2.3/", "10.1.2.3", NULL},
        {"http://hook.internal/", "hook.internal", allow_private},
        {"https://hook.internal?a=b", "hook.internal", allow_private},
    };
    const char *error = NULL;
    struct receiver *receiver;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sink_receiver options = {
            .name = "r", .url = cases[i].url, .allow = cases[i].allow};

        if (receiver_new(&receiver, &options, &error) != 0)
            fail_msg("%s: %s", cases[i].url, error);
        assert_string_equal(receiver->endpoint.host, cases[i].host);
        receiver_free(receiver);
    }
}

static void test_receivers_that_are_refused(void **state)
{
    static const char *const bad_allow[] = {"10.0.0.0/8", "10.0.0.0/99", NULL};
    static const struct sink_receiver cases[] = {
        {.url = ""},
        {.url = "hooks.example.com/x"},
        {.url = "ftp://hooks.example.com/"},
        {.url = "file:///etc/passwd"},
        {.url = "gopher://hooks.example.com/"},
        {.url = "https://"},
        {.url = "https:///path"},
        {.url = "https://hooks.example.com:99999/"},
        {.url = "https://hooks.example.com/a b"},
        {.url = "https://hooks.example.com/\r\nX-Header: 1"},
        {.url = "https://hooks.example.com/\n"},
        {.url = "http://hooks.example.com/"}, /* plain, to a name, without allow */
        {.url = "http://2130706433/"},
        {.url = "http://0x7f000001/"},
        {.url = "http://0177.0.0.1/"},
        {.url = "http://127.1/"},
        {.url = "https://127.0.0.1./"},
        {.url = "https://%31%32%37.0.0.1/"},
        {.url = "https://%6c%6f%63%61%6c%68%6f%73%74/"},
        {.url = "https://[fe80::1%25eth0]/"},
        {.url = "https://hooks.example.com/", .allow = bad_allow},
        {.url = "https://hooks.example.com/", .ca_file = "/nowhere/ca.pem"},
    };
    struct receiver *receiver;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sink_receiver options = cases[i];
        const char *error = NULL;

        options.name = "r";
        if (receiver_new(&receiver, &options, &error) != SINK_E_RECEIVER)
            fail_msg("%s", cases[i].url);
        assert_non_null(error);
    }
}

static void test_bad_secret_is_its_own_outcome(void **state)
{
    const struct sink_receiver options = {
        .name = "r", .url = "https://hooks.example.com/", .secret = "whsec_short"};
    const char *error = NULL;
    struct receiver *receiver;

    assert_int_equal(receiver_new(&receiver, &options, &error), SINK_E_SECRET);
    assert_non_null(error);
}

static void test_where_receivers_may_be_connected(void **state)
{
    static const struct {
        const char *url;
        const char *const *allow;
        const char *address;
        bool may;
    } cases[] = {
        {"https://hooks.example.com/", NULL, "8.8.8.8", true},
        {"https://hooks.example.com/", NULL, "2606:4700::1111", true},
        {"https://hooks.example.com/", NULL, "10.1.2.3", false},
        {"https://hooks.example.com/", NULL, "127.0.0.1", false},
        {"https://hooks.example.com/", NULL, "169.254.169.254", false},
        {"https://hooks.example.com/", NULL, "::ffff:10.1.2.3", false},
        {"https://hooks.example.com/", NULL, "64:ff9b::a01:203", false},
        {"https://hooks.example.com/", allow_private, "10.1.2.3", true},
        {"https://hooks.example.com/", allow_private, "::ffff:10.1.2.3", true},
        {"https://hooks.example.com/", allow_private, "fd00::1", true},
        {"https://hooks.example.com/", allow_private, "8.8.8.8", true},
        {"https://hooks.example.com/", allow_private, "192.168.0.1", false},
        {"http://hook.internal/", allow_private, "10.1.2.3", true},
        {"http://hook.internal/", allow_private, "8.8.8.8", false},
        {"http://10.9.9.9/", NULL, "10.9.9.9", true},
        {"http://localhost/", NULL, "127.0.0.1", true},
        {"http://localhost/", NULL, "::1", true},
        {"http://localhost/", NULL, "10.1.2.3", false},
    };
    const char *error = NULL;
    struct receiver *receiver;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sink_receiver options = {
            .name = "r", .url = cases[i].url, .allow = cases[i].allow};
        const struct sockaddr_storage one = address(cases[i].address);

        assert_int_equal(receiver_new(&receiver, &options, &error), 0);
        if (receiver_may_connect(receiver, (const struct sockaddr *)&one) != cases[i].may)
            fail_msg("%s at %s", cases[i].url, cases[i].address);
        receiver_free(receiver);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_not_public),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_host_kinds),
        cmocka_unit_test(test_receivers_that_are_taken),
        cmocka_unit_test(test_receivers_that_are_refused),
        cmocka_unit_test(test_bad_secret_is_its_own_outcome),
        cmocka_unit_test(test_where_receivers_may_be_connected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
