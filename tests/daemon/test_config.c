/*
 * Claims: what stands in a configuration file becomes settings and a plan, or a message at the
 * exact line and column of the mistake, all of them in one run; includes, variables, secrets and
 * overrides of the catalogue do what config.h and kpid.yaml say; the files that kpid ships are
 * right; lack of memory at any point is told and leaks nothing (see also test_config_memory.c).
 */
#include "config/config.h"
#include "config/settings.h"
#include "spec/program.h"

#include <kpi/alert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char output[256 * 1024];
static char directory[] = "/tmp/kpid-test-config-XXXXXX";

static void collect(void *userdata, const char *text)
{
    assert_true(text[strlen(text) - 1] == '\n');
    assert_true(strlen(output) + strlen(text) < sizeof(output));
    strcat(output, text);
}

static const struct config_report to_output = {collect, NULL};

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int load_as(struct config **config, const char *text, uint32_t n_shards)
{
    *config = NULL;
    output[0] = 0;
    write_file("f.yaml", text);
    return config_load(config, "f.yaml", n_shards, &to_output);
}

static struct config *load(const char *text)
{
    struct config *config;
    int r = load_as(&config, text, 0);

    if (r || strstr(output, "error"))
        fail_msg("%d\n%s", r, output);
    return config;
}

#define CAMPAIGN                                                                                   \
    "campaigns:\n  - id: c\n    timezone: Asia/Shanghai\n    start: 2026-11-01\n"                  \
    "    end: 2026-12-01\n"

/* --- mistakes --- */

struct bad {
    const char *text;
    const char *place;   /* "line:column", of the message that holds … */
    const char *message; /* … this */
};

/* The line "f.yaml:PLACE: error: …MESSAGE…" is among the messages. */
static bool told(const char *place, const char *message)
{
    char prefix[64];
    const char *line = output;

    snprintf(prefix, sizeof(prefix), "f.yaml:%s: ", place);
    for (; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        const char *found = strstr(line, message);

        if (strncmp(line, prefix, strlen(prefix)) == 0 && found && found < strchr(line, '\n'))
            return true;
    }
    return false;
}

static const struct bad bad_settings[] = {
    {"", "1:1", "the file is empty"},
    {"# nothing\n", "1:1", "the file is empty"},
    {"- a\n", "1:1", "keys and values are expected"},
    {"kafka\n", "1:1", "keys and values are expected"},
    {"tiemzone: UTC\n", "1:1", "unknown key \"tiemzone\"; did you mean \"timezone\"?"},
    {"kpi: {}\n", "1:1", "unknown key \"kpi\"; did you mean \"kpis\"?"},
    {"nonsense: 1\n", "1:1", "unknown key \"nonsense\""},
    {"kafka: {broker: a:1}\n", "1:9", "unknown key \"broker\" in kafka; did you mean \"brokers\"?"},
    {"kafka: {topics: [t]}\n", "1:1", "kafka: brokers is missing"},
    {"kafka:\n", "1:1", "kafka: topics is missing"},
    {"kafka: [a]\n", "1:8", "kafka: expected keys and values, found a list"},
    {"kafka: {brokers: a, topics: t}\n", "1:18", "kafka.brokers: \"a\" has no port"},
    {"kafka: {brokers: [\"a:1, b\"], topics: t}\n", "1:25", "\"b\" has no port"},
    {"kafka: {brokers: ['::1:9092'], topics: t}\n", "1:20", "needs its IPv6 address in brackets"},
    {"kafka: {brokers: a:1, topics: []}\n", "1:31", "a list of 1 to 100 items is expected"},
    {"kafka: {brokers: a:1, topics: [t, t]}\n", "1:35", "\"t\" is there twice"},
    {"kafka: {brokers: a:1, topics: [^t]}\n", "1:32", "\"^t\" is not a topic"},
    {"kafka: {brokers: a:1, topics: {a: b}}\n", "1:31", "expected a list, found keys and values"},
    {"kafka: {group: 'a b'}\n", "1:16", "kafka.group: \"a b\" is not a name"},
    {"kafka: {group: '{a}'}\n", "1:16", "is not a name"},
    {"kafka: {start: begining}\n", "1:16", "did you mean \"beginning\"?"},
    {"kafka: {start: 2026-11-01}\n", "1:16", "nor a time with zone"},
    {"kafka: {session_timeout: 5s}\n", "1:26", "must be between 6s and 30m"},
    {"kafka: {session_timeout: 30}\n", "1:26", "\"30\" is not a duration"},
    {"kafka: {properties: {group.id: x}}\n", "1:22", "group.id cannot be set: use kafka.group"},
    {"kafka: {properties: {auto.offset.reset: latest}}\n", "1:22", "use kafka.start"},
    {"kafka: {properties: {plugin.library.paths: x}}\n", "1:22", "must not load code"},
    {"kafka: {properties: {sasl.kerberos.kinit.cmd: x}}\n", "1:22", "must not run commands"},
    {"kafka: {properties: {enable.ssl.certificate.verification: false}}\n", "1:22",
     "cannot verify"},
    {"kafka: {properties: {sasl.mechanizm: PLAIN}}\n", "1:22", "did you mean \"sasl.mechanism\"?"},
    {"kafka: {properties: {foo: 1}}\n", "1:22", "kpid passes no property \"foo\" on"},
    {"kafka: {properties: [a]}\n", "1:9", "at most 200 keys and values"},
    {"redis: {url: localhost}\n", "1:14", "is neither redis://host:port/db nor unix:///path"},
    {"redis: {url: 'redis://h:x/0'}\n", "1:14", "is neither redis://host:port/db"},
    {"redis: {url: 'redis://h/a'}\n", "1:14", "names no database between 0 and 1023"},
    {"redis: {url: 'rediss://h/0'}\n", "1:14", "asks for TLS"},
    {"redis: {url: 'redis://:p@h/0'}\n", "1:14", "must not contain a user or password"},
    {"redis: {url: 'unix://run/x'}\n", "1:14", "is neither redis://host:port/db nor unix:///path"},
    {"redis: {password: a, password_file: b}\n", "1:22", "redis.password is given twice"},
    {"redis: {password_file: /nonexistent/x}\n", "1:24", "cannot read the file: No such file"},
    {"redis: {password: ''}\n", "1:19", "redis.password has no value"},
    {"redis: {replicas: -1}\n", "1:19", "\"-1\" is not a whole number"},
    {"http: {listen: 9480}\n", "1:16", "has no port: write address:port"},
    {"http: {listen: ':9480'}\n", "1:16", "has no address: 0.0.0.0 stands for all of IPv4"},
    {"http: {external_url: ftp://x}\n", "1:22", "must begin with https:// or http://"},
    {"http: {listen: }\n", "1:8", "http.listen has no value"},
    {"checkpoint: {interval: 2h}\n", "1:24", "must be between 10ms and 1h"},
    {"checkpoint: {max_unsaved: many}\n", "1:27", "\"many\" is not a whole number"},
    {"state: {on_loss: rebuilt}\n", "1:18", "did you mean \"rebuild\"?"},
    {"workers: 1000\n", "1:10", "workers must be between 1 and 256"},
    {"workers: ~\n", "1:10", "null is no value here"},
    {"timezone: Asia/Shangai\n", "1:11", "did you mean \"Asia/Shanghai\"?"},
    {"timezone: +08:00\n", "1:11", "unknown time zone \"+08:00\""},
    {"timezone: [a]\n", "1:11", "timezone: expected a text, found a list"},
    {"week_start: Monday\n", "1:13", "did you mean \"monday\"?"},
    {"currency: RMB¥\n", "1:11", "is not an ISO 4217 code"},
    {"keep: 12h\n", "1:7", "keep must be between 1d and 3650d"},
    {"dedupe: {memory: 1GB}\n", "1:18", "\"1GB\" is not a size"},
    {"rolling: [7d, 7d]\n", "1:15", "is there twice"},
    {"rolling: [7d, 36]\n", "1:15", "\"36\" is no rolling scope; it is a number of units"},
    {"rolling: [401d]\n", "1:11", "may be 401 days long, which is longer than what is kept"},
    {"rolling: [30m]\n", "1:11", "does not say how long a window is"},
    {"rolling: [6x7m]\n", "1:11", "minutes divide an hour, or are whole hours that divide a day"},
    {"rolling: [0w]\n", "1:11", "a rolling scope has 1 to 10000 units"},
    {"rolling: {a: b}\n", "1:10", "rolling: expected a list, found keys and values"},
    {"rolling: [[7d]]\n", "1:11", "rolling: expected a text, found a list"},
    {"grains: [day, 7m]\n", "1:15", "minutes divide an hour"},
    {"grains: [24h]\n", "1:10", "minutes divide an hour"},
    {"grains: [day, wek]\n", "1:15", "did you mean \"week\"?"},
    {"grains: [rolling:7d]\n", "1:10", "is no grain"},
    {"grains: [minutes]\n", "1:10", "is no grain"},
    {"grains: [hour, 60m]\n", "1:16", "\"60m\" is there twice"},
    {"keep: 30d\ngrains: [day, month]\n", "2:15", "may be 31 days long"},
    {"kpis: {k: {formula: audience, grains: [dya]}}\n", "1:40", "did you mean \"day\"?"},
    {"kpis: {k: {formula: audience, rolling: [7]}}\n", "1:41", "is no rolling scope"},
    {"kpis:\n  k:\n    formula: retained(active, active, day, 1)\n    grains: [day, hour]\n",
     "4:19", "are made of days"},
    {"active_types: [a, {b: c}]\n", "1:19", "expected a text, found keys and values"},
    {"include: nothing.yaml\n", "1:10", "include: \"nothing.yaml\" cannot be read: No such file"},
    {"receivers: {name: a}\n", "1:1", "a list of at most 100 receivers"},
    {"receivers:\n  - {url: 'https://h'}\n", "2:5", "receiver: name is missing"},
    {"receivers:\n  - {name: a}\n", "2:5", "receiver: url is missing"},
    {"receivers:\n  - {name: a, url: h, typ: x}\n", "2:23", "did you mean \"type\"?"},
    {"receivers:\n  - {name: a, url: h}\n", "2:20", "url: it is not a URL"},
    {"receivers:\n  - {name: a, url: 'https://u@h'}\n", "2:20", "must not contain a user"},
    {"receivers:\n  - {name: a, type: mail, url: 'http://h'}\n", "2:21",
     "type: \"mail\" is unknown; there is webhook"},
    {"receivers:\n  - {name: a, url: 'http://h', secret: x}\n", "2:40", "base64 of 24 to 64 bytes"},
    {"receivers:\n  - {name: a, url: 'http://h', allow: [10.0.0.1]}\n", "2:40", "is not a network"},
    {"receivers:\n  - {name: a, url: 'http://h'}\n  - {name: a, url: 'http://h'}\n", "3:12",
     "a receiver named \"a\" is there already"},
    {"timezone: ${KPID_TEST_UNSET}\n", "1:11", "environment variable KPID_TEST_UNSET is not set"},
    {"timezone: x${KPID_TEST_UNSET}\n", "1:12", "environment variable KPID_TEST_UNSET is not set"},
    {"timezone: a${b\n", "1:12", "${ without }"},
    {"timezone: ${a b}\n", "1:11", "not a variable"},
};

static const struct bad bad_definitions[] = {
    {"funnels: [a]\n", "1:10", "funnels: names and their definitions are expected"},
    {"funnels:\n  f: {within: 7d}\n", "2:3", "funnel \"f\": steps are missing"},
    {"funnels:\n  f: {steps: type == \"a\"}\n", "2:14", "steps: a list of conditions is expected"},
    {"funnels:\n  f: {steps: [type == \"a\"]}\n", "2:3",
     "has one step; there must be at least two"},
    {"funnels:\n  f: {steps: [type == \"a\", type == \"b\"], wihtin: 7d}\n", "2:42",
     "did you mean \"within\"?"},
    {"funnels:\n  f: {steps: [type == \"a\", type == \"b\"], within: 7}\n", "2:50",
     "within: \"7\""},
    {"funnels:\n  f: {steps: [type == \"a\", type == \"b\"], within: 0s}\n", "2:50", "is no time"},
    {"funnels:\n  f: {steps: [type == \"a\", type == \"b\"], order: srtict}\n", "2:49",
     "did you mean \"strict\"?"},
    {"funnels:\n  f: {steps: [type == \"a\", {name: b}]}\n", "2:28", "step: where is missing"},
    {"funnels:\n  f: {steps: [type == \"a\", {wehre: b}]}\n", "2:29", "did you mean \"where\"?"},
    {"funnels:\n  f: {steps: [type == \"a\", type = \"b\"]}\n", "2:33", "did you mean \"==\"?"},
    {"funnels:\n  f: {steps: [type == \"a\", {where: type == \"b\", optional: maybe}]}\n", "2:59",
     "optional: \"maybe\""},
    {"funnels:\n  f:\n    steps: [type == \"a\", type == \"b\"]\n    exclude: [{where: type == "
     "\"c\", to: "
     "bb}]\n",
     "4:40", "there is no step \"bb\" in this funnel, which has 2"},
    {"funnels:\n  f:\n    steps: [type == \"a\", type == \"b\"]\n    by: chanel\n", "4:9",
     "there is no dimension or segment \"chanel\""},
    {"funnels:\n  f: {steps: [type == \"a\", type == \"b\"], within: 4000d}\n", "2:3",
     "longer than what is kept"},
    {"funnels:\n  adia:\n", "2:3",
     "funnel \"adia\" has no definition, and the catalogue has none of that name; did you mean "
     "\"aida\"?"},
    {"measures: [a]\n", "1:11", "measures: names and their definitions are expected"},
    {"measures: {m: x}\n", "1:15", "measure: expected keys and values, found a text"},
    {"measures:\n  m: {where: type == \"a\"}\n", "2:3", "measure \"m\": agg is missing"},
    {"measures:\n  m: {agg: users, wehre: x}\n", "2:19", "did you mean \"where\"?"},
    {"measures:\n  m:\n    agg: users\n    where: [a, b]\n", "4:12",
     "where: expected a text, found a list; a text that begins with [ or { needs quotes"},
    {"measures:\n  m: {agg: users}\n  m: {agg: count}\n", "3:3", "duplicate key \"m\""},
    {"measures:\n  m: {agg: users, where: type in [\"a\", \"b\"]}\n", "2:34",
     "put the expression in quotes or on a line of its own"},
    {"measures:\n  m: {agg: users, where: }\n", "2:19", "where has no value"},
    {"kpis:\n  k: {unit: ratio}\n", "2:3", "kpi \"k\": formula is missing"},
    {"kpis:\n  k: {formula: buyers / reached, unit: ration}\n", "2:40", "did you mean \"ratio\"?"},
    {"kpis:\n  k: {formula: buyers, unit: count, better: higher}\n", "2:45",
     "is none of up|down|band"},
    {"kpis:\n  k: {formula: retained(start=buyers, return=active, basis=day, at=1), unit: ratio}\n",
     "2:16", "YAML cuts this at the comma"},
    {"kpis:\n  k: {formula: buyers, title: {cn: x}}\n", "2:32", "unknown key \"cn\" in title"},
    {"attributes:\n  a: {agg: count, rest: month}\n", "2:19", "unknown key \"rest\" in attribute"},
    {"attributes:\n  a: {agg: count, reset: moon}\n", "2:26", "reset: \"moon\""},
    {"attributes:\n  a: {agg: max(time), within: 7}\n", "2:31", "is not a duration"},
    {"attributes:\n  a: {agg: max(time), within: 0s}\n", "2:31", "is no time"},
    {"attributes:\n  a: {agg: count, within: 7d}\n", "2:12", "have no \"within\""},
    {"attributes:\n  a: {agg: set(campaign), reset: day}\n", "2:12", "set() has no \"reset\""},
    {"attributes:\n  a: {agg: set(campaign)}\ndimensions:\n  a: {}\n", "4:3",
     "\"a\" is a set(), of several values, which is no dimension"},
    {"attributes:\n  a: {agg: set(campaign)}\n  b: {agg: count, where: a == \"x\"}\n", "3:26",
     "a set() is for \"campaign\" of measures"},
    {"attributes:\n  a: {agg: set(campaign)}\n  b: {agg: count, where: age(a) > 1d}\n", "3:30",
     "age() takes an attribute"},
    {"attributes:\n  a: {agg: set(campaign)}\nmeasures:\n  m: {agg: count, campaign: a}\n", "4:29",
     "only sum() and capped() can be split among a set of campaigns"},
    {"attributes:\n  a: {agg: set(campaign)}\nmeasures:\n  m: {agg: mean(amount), campaign: a}\n",
     "4:36", "only sum() and capped() can be split"},
    {"attributes:\n  a: {agg: sum(amount), reset: month}\nmeasures:\n  m:\n"
     "    agg: capped(a, 5)\n",
     "5:17", "capped() takes attributes with the aggregate sum() that are never reset"},
    {"attributes:\n  bought: {agg: sum(amount)}\nmeasures:\n  m:\n"
     "    agg: capped(bought, 5, less=brought)\n",
     "5:33", "there is no attribute \"brought\"; did you mean \"bought\"?"},
    {"attributes:\n  a: {agg: sum(amount)}\nmeasures:\n  m:\n    agg: capped(a, 5)\n"
     "experiments:\n  e: {variants: [A, B], exposure: type == \"x\", goal: m}\n",
     "7:54", "\"m\" is neither users, count nor sum(field)"},
    {"dimensions: [channel]\n", "1:13", "dimensions: names and their definitions are expected"},
    {"dimensions:\n  d: {off: x}\n", "2:7", "did you mean \"of\"?"},
    {"dimensions:\n  d: {values: none}\n", "2:15", "is no whole number from 1 to 1000000"},
    {"dimensions:\n  d: {values: 0}\n", "2:15", "is no whole number from 1 to 1000000"},
    {"dimensions:\n  user: {}\n", "2:3", "\"user\" is no dimension: nearly every event"},
    {"dimensions:\n  d: {of: id}\n", "2:11", "\"id\" is no dimension: nearly every event"},
    {"dimensions:\n  d: {of: time}\n", "2:11", "\"time\" is no dimension: nearly every event"},
    {"dimensions:\n  campaign: {}\n", "2:3", "every KPI is reported by campaign already"},
    {"dimensions:\n  d: {of: type}\n", "2:11", "belongs to every event and is no dimension"},
    {"dimensions: {h: hour(tmie)}\n", "1:22", "\"time\" of hour() is one of time"},
    {"dimensions: {h: {of: hours(time)}}\n", "1:22", "did you mean \"hour\"?"},
    {"attributes: {a: {agg: min(time)}}\ndimensions: {h: age(a)}\n", "2:17",
     "\"age\" cannot stand in a dimension; its place is a condition"},
    {"dimensions: {h: 2 * (hour(time))}\n", "1:17", "a function is expected here"},
    {"dimensions: {h: [hour(time)]}\n", "1:17", "dimension"},
    {"dimensions:\n  1d: {of: x}\n", "2:3", "\"1d\" cannot name a dimension"},
    {"attributes:\n  first: {agg: min(time)}\ndimensions:\n  first: {}\n", "4:3",
     "the attribute \"first\" is a time, which is no dimension"},
    {"dimensions:\n  d: {}\n  d: {}\n", "3:3", "duplicate key \"d\""},
    {"segments:\n  s: {title: x}\n", "2:3", "segment \"s\": where is missing"},
    {"segments:\n  s: {where: vip, titel: x}\n", "2:19", "did you mean \"title\"?"},
    {"segments:\n  s: {where: campaign == 3}\n", "2:26", "\"campaign\", which always is a string"},
    {"dimensions:\n  s: {}\nsegments:\n  s: {where: vip}\n", "4:3", "is a dimension already"},
    {"attributes:\n  s: {agg: count}\nsegments:\n  s: {where: vip}\n", "4:3",
     "is an attribute already"},
    {"segments:\n  a: {where: vip and b}\n  b: {where: not a}\n", "3:18",
     "the segment \"a\" asks for itself"},
    {"segments:\n  a: {where: vip}\nmeasures:\n  m: {agg: users, where: a == true}\n", "4:26",
     "a segment is a condition; it stands alone"},
    {"breakdowns: {channel: {}}\n", "1:13", "breakdowns: expected a list"},
    {"breakdowns:\n", "1:1", "breakdowns: expected a list, found nothing"},
    {"breakdowns: [{channel: x}]\n", "1:14", "expected names of dimensions"},
    {"breakdowns: [[]]\n", "1:14", "this one is empty"},
    {"dimensions: {channel: {}}\nbreakdowns: [chanel]\n", "2:14", "did you mean \"channel\"?"},
    {"dimensions: {channel: {}}\nbreakdowns: [channel, [channel, city]]\n", "2:33",
     "there is no dimension or segment \"city\""},
    {"dimensions: {a: {}, b: {}}\nbreakdowns: [[a, b], a, [b, a]]\n", "2:26",
     "this breakdown is there twice"},
    {"dimensions: {a: {}}\nbreakdowns: [[a, a]]\n", "2:18", "\"a\" is twice in this combination"},
    {"dimensions: {a: {}, b: {}, c: {}, d: {}, e: {}}\nbreakdowns: [[a, b, c, d, e]]\n", "2:27",
     "one dimension too many; a combination has up to 4"},
    {"kpis:\n  k: {formula: buyers, unit: count, by: [chanel]}\ndimensions: {channel: {}}\n",
     "2:42", "did you mean \"channel\"?"},
    {"kpis:\n  k: {formula: buyers, unit: count, by: {a: b}}\n", "2:41", "by: expected a list"},
    {"campaigns: {id: x}\n", "1:12", "campaigns: a list is expected"},
    {"campaigns:\n  - {start: 2026-11-01, end: 2026-12-01}\n", "2:5", "campaign: id is missing"},
    {"campaigns:\n  - id: c\n    end: 2026-12-01\n", "2:5", "campaign: start is missing"},
    {"campaigns:\n  - id: c\n    start: 2026-11-31\n    end: 2026-12-01\n", "3:12",
     "\"2026-11-31\" is no day of the calendar"},
    {"campaigns:\n  - id: c\n    start: 1.11.2026\n    end: 2026-12-01\n", "3:12", "is not a date"},
    {"campaigns:\n  - id: c\n    start: 2026-12-01\n    end: 2026-12-01\n", "4:10",
     "it must be after start"},
    {"campaigns:\n  - id: c\n    start: 2026-12-01\n    end: 2126-12-01\n", "4:10",
     "is outside 2000-01-01 to 2100-01-01"},
    {CAMPAIGN "  - id: c\n    start: 2026-12-01\n    end: 2026-12-02\n", "6:9",
     "campaign \"c\" is defined twice"},
    {CAMPAIGN "    timezone: UTC\n", "6:5", "duplicate key \"timezone\""},
    {"campaigns:\n  - {id: c, timezone: Beijing, start: 2026-12-01, end: 2026-12-02}\n", "2:23",
     "unknown time zone \"Beijing\"; did you mean \"Asia/Shanghai\"?"},
    {CAMPAIGN "    target: []\n", "6:5", "did you mean \"targets\"?"},
    {CAMPAIGN "    audience: 1.5\n", "6:15", "is not a whole number of at least 1"},
    {CAMPAIGN "    audience: -3\n", "6:15", "must not be negative"},
    {CAMPAIGN "    budget: 12,50\n", "6:13", "\"12,50\" is not a number"},
    {CAMPAIGN "    budget: {}\n", "6:13", "expected an amount, or parts of it"},
    {CAMPAIGN "    budget: [3]\n", "6:13", "expected an amount, or parts of it"},
    {CAMPAIGN "    budget: {base: 40%}\n", "6:20",
     "is a share of nothing; say the total beside it"},
    {CAMPAIGN "    budget: {total: 100, base: 140%}\n", "6:32", "is no share from 0 to 100 %"},
    {CAMPAIGN "    budget: {total: 100, base: -1}\n", "6:32", "must not be negative"},
    {CAMPAIGN "    budget: {total: 50%, base: 10}\n", "6:21", "is not a number"},
    {CAMPAIGN "    budget: {base: }\n", "6:14", "base"},
    {CAMPAIGN
     "    budget: {a1234567890123456789012345678901234567890123456789012345678901234: 3}\n",
     "6:14", "of a part of the budget has 1 to 64 bytes"},
    {CAMPAIGN "    budget: {base: 5}\n    targets:\n"
              "      - {kpi: roi, value: '50% of budget(\"basis\")'}\n",
     "8:28", "a part of it that the campaign does not give"},
    {"kpis: {k: {formula: 'cost / budget(base)'}}\n", "1:36", "stands in quotes"},
    {"kpis: {k: {formula: 'cost / budget()'}}\n", "1:29", "the argument \"part\" is missing"},
    {CAMPAIGN "    budget: {base: 9000000000000, float: 9000000000000}\n", "6:42", "too large"},
    {CAMPAIGN "    phases: [a]\n", "6:13", "as name: [from, to]"},
    {CAMPAIGN "    phases: {p: start}\n", "6:17", "phase \"p\": two days are expected"},
    {CAMPAIGN "    phases: {p: [start]}\n", "6:17", "phase \"p\": two days are expected"},
    {CAMPAIGN "    phases: {p: [start, 5d]}\n", "6:25", "is not a date"},
    {CAMPAIGN "    phases: {p: [begin, end]}\n", "6:18", "\"begin\" is neither start nor end"},
    {CAMPAIGN "    phases: {p: [end, -3d]}\n", "6:17", "phase \"p\" ends before it begins"},
    {CAMPAIGN "    phases: {p: [end, +36000d]}\n", "6:23", "is outside 2000-01-01"},
    {CAMPAIGN "    phases: {start: [start, +5d]}\n", "6:14", "a phase cannot be called \"start\""},
    {CAMPAIGN "    phases: {p: [start, end], p: [start, end]}\n", "6:31", "duplicate key \"p\""},
    {CAMPAIGN "    targets: {kpi: roi}\n", "6:14", "targets: a list"},
    {CAMPAIGN "    targets:\n      - {value: 4}\n", "7:9", "target: kpi is missing"},
    {CAMPAIGN "    targets:\n      - {kpi: roi}\n", "7:9", "target: value is missing"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviaton: 10%}\n", "7:30",
     "did you mean \"deviation\"?"},
    {CAMPAIGN "    targets:\n      - {kpi: nps, value: 40, deviation: ten}\n", "7:42",
     "\"ten\" is neither a share, as 10%, nor points, as 10pp, nor a factor"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4m}\n", "7:27",
     "\"4m\" is a duration, which fits KPIs of unit duration only"},
    {CAMPAIGN "    targets:\n      - {kpi: dwell, value: 480, deviation: 1.5s}\n", "7:45",
     "\"1.5s\" is neither a share, as 10%, nor a duration, as 60s, nor a factor"},
    {CAMPAIGN "    targets:\n      - {kpi: dwell, value: 480, deviation: 0s}\n", "7:45",
     "\"0s\" is neither"},
    {CAMPAIGN "    targets:\n      - {kpi: dwell, value: 480, deviation: 60pp}\n", "7:45",
     "\"60pp\" fits KPIs of unit ratio or points only"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: 60s}\n", "7:41",
     "\"60s\" is a duration, which fits KPIs of unit duration only"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: 0}\n", "7:41",
     "\"0\" is neither a share, as 10%, nor an amount above 0, as 0.5, nor a factor, as 1.5x"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: -0.5}\n", "7:41",
     "\"-0.5\" is neither"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: 1000000000000.1}\n", "7:41",
     "is too large"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: 1x}\n", "7:41",
     "\"1x\" leaves no room"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: 0x}\n", "7:41",
     "\"0x\" is neither"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 0, deviation: 2x}\n", "7:27",
     "a deviation by a factor needs a value above 0"},
    {CAMPAIGN "    targets:\n      - {kpi: participation_rate, value: 65%, deviation: 10}\n",
     "7:58", "\"10\" is neither a share, as 10%, nor percentage points, as 10pp, nor a factor"},
    {CAMPAIGN "    targets:\n      - {kpi: rio, value: 4, deviation: 60s}\n", "7:15",
     "did you mean \"roi\"?"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: 10pp}\n", "7:41",
     "\"10pp\" fits KPIs of unit ratio or points only"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, deviation: -10%}\n", "7:41",
     "is neither"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, better: upp}\n", "7:38",
     "did you mean \"up\"?"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, from: busrt}\n"
              "    phases: {burst: [start, end]}\n",
     "7:36", "did you mean \"burst\"?"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, from: end, to: start}\n", "7:45",
     "it ends before it begins"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, for: 5}\n", "7:35", "is not a duration"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, min_sample: 1e3}\n", "7:42",
     "is not a whole number"},
    /* libkpi's own, at the place inside the expression */
    {"kpis:\n  k: {formula: buyers / reachd, unit: ratio}\n", "2:25", "did you mean \"reached\"?"},
    {"kpis:\n  k: {formula: \"buyers / reachd\", unit: ratio}\n", "2:26",
     "did you mean \"reached\"?"},
    {"kpis:\n  指标: {formula: buyers / reachd, unit: ratio}\n", "2:26",
     "did you mean \"reached\"?"},
    {"measures:\n  m: {agg: usres}\n", "2:12", "usres"},
    {"measures:\n  m: {agg: users, where: type = \"a\"}\n", "2:31", "="},
    {CAMPAIGN "    targets:\n      - {kpi: rio, value: 4}\n", "7:15", "did you mean \"roi\"?"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, scope: week}\n", "7:37",
     "\"roi\" is not reported by \"week\"; add it to the list grains"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, scope: 'rolling:8d'}\n", "7:38",
     "\"roi\" is not reported in \"rolling:8d\"; add it to the list rolling"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, scope: wek}\n", "7:37",
     "did you mean \"week\"?"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, scope: 'day:2026-11-11'}\n", "7:38",
     "is not one scope that goes on with time"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, scope: rolling}\n", "7:37",
     "is not one scope that goes on with time"},
    {CAMPAIGN "    phases: {week: [start, +5d]}\n", "6:14", "names a scope of its own"},
    {CAMPAIGN "    targets:\n      - {kpi: roi, value: 4, scope: bust}\n"
              "    phases: {burst: [start, end]}\n",
     "7:37", "did you mean \"burst\"?"},
};

/* Shows all that fail before it fails. */
static void check_bad(const struct bad *table, size_t n)
{
    size_t i, n_wrong = 0;

    for (i = 0; i < n; i++) {
        struct config *config;
        int r = load_as(&config, table[i].text, 0);

        if (r == CONFIG_E_INVALID && !config && told(table[i].place, table[i].message))
            continue;
        print_error("%s-> %d\n%swanted %s: %s\n", table[i].text, r, output, table[i].place,
                    table[i].message);
        n_wrong++;
    }
    assert_int_equal(n_wrong, 0);
}

static void mistakes_in_settings_are_told_at_their_place(void **state)
{
    check_bad(bad_settings, sizeof(bad_settings) / sizeof(bad_settings[0]));
}

static void mistakes_in_definitions_are_told_at_their_place(void **state)
{
    check_bad(bad_definitions, sizeof(bad_definitions) / sizeof(bad_definitions[0]));
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;

    for (text = strstr(text, part); text; text = strstr(text + 1, part))
        n++;
    return n;
}

static void one_mistake_gives_one_message(void **state)
{
    static const char *const texts[] = {
        "measures:\n  m: {where: type == \"a\"}\nkpis:\n  k: {formula: m / buyers, unit: ratio}\n",
        "timezone: Nowhere/City\n" CAMPAIGN,
        CAMPAIGN "    phases: {p: [start], q: [start, end]}\n"
                 "    targets:\n      - {kpi: roi, value: 4, from: p, to: q, scope: p}\n",
        CAMPAIGN "    audience: many\n    targets:\n      - {kpi: buyers, value: audience}\n"
                 "kpis: {buyers: {formula: cost / sales}}\n",
        "campaigns:\n  - id: c\n    start: 2026-11-31\n    end: 2026-12-01\n"
        "    phases: {p: [start, +5d], q: [+5d, end]}\n    targets:\n"
        "      - {kpi: roi, value: 4, from: p, to: end}\n",
        "campaigns:\n  - {id: c, timezone: Nowhere/City, start: 2026-12-01, end: 2026-12-02}\n",
        CAMPAIGN "    phases: {p: [start, end], p: [start, end]}\n",
        "kpis: {k: {title: x}}\n" CAMPAIGN "    targets:\n      - {kpi: k, value: 1}\n",
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *config;

        assert_int_equal(load_as(&config, texts[i], 0), CONFIG_E_INVALID);
        if (count(output, ": error: ") != 1)
            fail_msg("%s\n%s", texts[i], output);
    }
}

static void all_mistakes_are_told_in_order(void **state)
{
    struct config *config;
    const char *a, *b, *c, *d;

    assert_int_equal(load_as(&config,
                             "workers: 0\n"
                             "measures:\n"
                             "  m: {agg: users, where: type = nonsense}\n"
                             "kpis:\n"
                             "  k: {formula: m / x, unit: ratio}\n"
                             "timezone: Nowhere/City\n",
                             0),
                     CONFIG_E_INVALID);
    a = strstr(output, "f.yaml:1:10: error: ");
    b = strstr(output, "f.yaml:3:31: error: ");
    c = strstr(output, "f.yaml:5:20: error: ");
    d = strstr(output, "f.yaml:6:11: error: ");
    if (!a || !b || !c || !d || a > b || b > c || c > d)
        fail_msg("%s", output);
}

static void messages_end_at_a_hundred(void **state)
{
    static char text[20000];
    struct config *config;
    size_t n = 0;
    int i;

    for (i = 0; i < 150; i++)
        n += (size_t)sprintf(text + n, "unknown%d: 1\n", i);
    assert_int_equal(load_as(&config, text, 0), CONFIG_E_INVALID);
    assert_int_equal(count(output, ": error: "), 100);
    assert_non_null(strstr(output, "and 50 more\n"));
}

static void message_shows_line_and_caret(void **state)
{
    struct config *config;

    assert_int_equal(load_as(&config, "kpis:\n  指标: {formula: buyers, unti: count}\n", 0),
                     CONFIG_E_INVALID);
    assert_string_equal(output, "f.yaml:2:25: error: unknown key \"unti\" in kpi; did you mean "
                                "\"unit\"?\n"
                                "    指标: {formula: buyers, unti: count}\n"
                                "                            ^~~~\n");
}

static void missing_file_is_told(void **state)
{
    struct config *config = NULL;

    output[0] = 0;
    assert_int_equal(config_load(&config, "no.yaml", 0, &to_output), CONFIG_E_MISSING);
    assert_string_equal(output, "no.yaml: error: cannot be read: No such file or directory\n");
    output[0] = 0;
    assert_int_equal(config_load(&config, directory, 0, &to_output), CONFIG_E_MISSING);
    assert_null(config);
}

/* --- what arrives --- */

static const struct kpi_kpi_info *find_kpi(const struct config *config, const char *name)
{
    uint32_t i;

    for (i = 0; i < kpi_plan_n_kpis(config->plan); i++) {
        const struct kpi_kpi_info *kpi = kpi_plan_kpi(config->plan, i);

        if (kpi_string_equal(kpi->name, (struct kpi_string){name, strlen(name)}))
            return kpi;
    }
    return NULL;
}

static void catalogue_and_minimal_give_the_kpis(void **state)
{
    static const char *const names[] = {
        "participation_rate",
        "participation_decay",
        "interaction_rate",
        "organic_share_rate",
        "invites_per_inviter",
        "invite_conversion",
        "k_factor",
        "k_cycle",
        "reach_rate",
        "reservations",
        "reservation_progress",
        "dwell",
        "dwell_median",
        "dwell_p90",
        "retention_d1",
        "retention_d7",
        "retention_m3",
        "stickiness",
        "visit_frequency",
        "signups_growth",
        "new_customers",
        "new_customer_conversion",
        "purchase_frequency",
        "repeat_purchase_rate",
        "repeat_purchase_30d",
        "payment_conversion",
        "return_rate",
        "high_value_share",
        "high_value_share_year",
        "net_sales",
        "sales_growth",
        "campaign_sales_share",
        "average_order_value",
        "ltv_90d",
        "roi",
        "roi_net",
        "roi_incremental",
        "cac_paid",
        "cac_blended",
        "cac_loaded",
        "budget_execution",
        "budget_execution_base",
        "budget_execution_float",
        "nps",
        "nps_error",
        "nps_lower",
        "nps_upper",
        "csat",
        "csat_mean",
        "csat_half_year",
        "csat_falling_months",
        "valid_feedback",
        "loyalty_index",
        "complaint_rate",
        "share_of_voice",
        "search_growth",
        "awareness",
        "awareness_lift",
        "on_time_rate",
    };
    struct config *config = NULL;
    char summary[256];
    size_t i;

    output[0] = 0;
    assert_int_equal(config_load(&config, CONFIG_DIRECTORY "/minimal.yaml", 0, &to_output), 0);
    assert_string_equal(output, "");
    assert_int_equal(kpi_plan_n_kpis(config->plan), sizeof(names) / sizeof(names[0]));
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct kpi_kpi_info *kpi = find_kpi(config, names[i]);

        assert_non_null(kpi);
        assert_false(kpi_string_equal(kpi->title_en, kpi->name)); /* it has titles of its own */
        assert_false(kpi_string_equal(kpi->title_zh, kpi->title_en));
    }
    assert_int_equal(find_kpi(config, "roi")->unit, KPI_UNIT_MULTIPLE);
    assert_int_equal(find_kpi(config, "nps")->unit, KPI_UNIT_POINTS);
    config_summary(config, summary, sizeof(summary));
    assert_non_null(strstr(summary, "/minimal.yaml: OK (1 campaign, 59 KPIs, 0 receivers)"));
    config_free(config);
}

/* Loads minimal.yaml with more lines; NULL if it is invalid. */
static struct config *load_selection(const char *lines)
{
    static const char head[] = "campaigns:\n  - {id: c, start: 2026-11-01, end: 2026-11-12,"
                               " targets: [{kpi: roi, value: 4}]}\n";
    char path[] = "/tmp/kpid-test-config-XXXXXX";
    struct config *config = NULL;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_true(dprintf(fd, "%s%s", head, lines) > 0);
    assert_int_equal(close(fd), 0);
    output[0] = 0;
    (void)config_load(&config, path, 0, &to_output);
    assert_int_equal(unlink(path), 0);
    return config;
}

/*
 * A KPI of the catalogue is there if it is named: in the list, by a target, in a formula; and so is
 * what it is made of, and nothing else. What is in quotes, or a title, is no name.
 */
static void what_is_named_of_the_catalogue_is_there(void **state)
{
    static const struct {
        const char *lines;
        const char *kpis[8]; /* beside roi, which a target names */
        uint32_t n_kpis, n_attributes;
    } cases[] = {
        {"catalogue: []\n", {0}, 1, 0},
        {"catalogue: nps\n", {"nps"}, 2, 0},
        {"catalogue: [nps, csat]\n", {"nps", "csat"}, 3, 0},
        {"catalogue: [loyalty_index]\n",
         {"loyalty_index", "csat", "nps", "repeat_purchase_rate"},
         5,
         0},
        {"catalogue: [high_value_share]\n", {"high_value_share"}, 2, 1},
        {"catalogue: []\nkpis: {x: {formula: net_sales / 7, unit: ratio,"
         " title: {en: nps}}}\n",
         {"x", "net_sales"},
         3,
         0},
        {"catalogue: []\nmeasures: {m: {agg: count, where: type == 'nps' and orders_before > 1}}\n"
         "kpis: {x: {formula: m, unit: count}}\n",
         {"x"},
         2,
         1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = load_selection(cases[i].lines);
        uint32_t n_attributes = 0;

        assert_non_null(config);
        assert_int_equal(kpi_plan_n_kpis(config->plan), cases[i].n_kpis);
        assert_non_null(find_kpi(config, "roi"));
        for (size_t k = 0; cases[i].kpis[k]; k++)
            assert_non_null(find_kpi(config, cases[i].kpis[k]));
        for (uint32_t k = 0; k < kpi_plan_n_states(config->plan); k++) {
            struct kpi_state_info info;

            kpi_plan_state(config->plan, k, &info);
            n_attributes += info.is_attribute;
        }
        assert_int_equal(n_attributes, cases[i].n_attributes);
        config_free(config);
    }
    assert_null(load_selection("catalogue: [roi, nsp]\n"));
    assert_non_null(
        strstr(output, "catalogue: there is no KPI \"nsp\" in it; did you mean \"nps\"?"));
}

static void minimal_is_short(void **state)
{
    FILE *file = fopen(CONFIG_DIRECTORY "/minimal.yaml", "re");
    int n = 0, c;

    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        n += c == '\n';
    (void)fclose(file);
    assert_true(n <= 15);
}

static void whole_example_loads(void **state)
{
    struct config *config = NULL;
    const struct kpi_target *nps;

    output[0] = 0;
    assert_int_equal(config_load(&config, CONFIG_DIRECTORY "/kpid.yaml", 0, &to_output), 0);
    assert_string_equal(output, "");
    /* its own, of which three replace the catalogue's, beside all of the catalogue */
    assert_int_equal(kpi_plan_n_kpis(config->plan), 59 + 14 - 3);
    assert_int_equal(kpi_plan_n_targets(config->plan), 4);
    assert_string_equal(config->kafka.brokers, "127.0.0.1:9092");
    nps = kpi_plan_target(config->plan, 3);
    assert_true(nps->band == 10);
    assert_int_equal(nps->scope_pattern.kind, KPI_SCOPE_ROLLING);
    assert_int_equal(nps->scope_pattern.count, 7);
    assert_true(nps->hold == 10 * KPI_MINUTE);
    assert_int_equal(nps->sample_min, 200);
    config_free(config);
}

/* Commented out or not: nobody should have to look into the source for a setting. */
static void whole_example_names_every_setting(void **state)
{
    FILE *file = fopen(CONFIG_DIRECTORY "/kpid.yaml", "re");
    static char text[64 * 1024];
    size_t i, n;

    assert_non_null(file);
    n = fread(text, 1, sizeof(text) - 1, file);
    assert_true(n > 0 && n < sizeof(text) - 1);
    (void)fclose(file);
    for (i = 0; i < settings_n; i++) {
        const char *name = settings_table[i].name;
        const char *found = strstr(text, name);

        while (found && found[strlen(name)] != ':' &&
               strncmp(found + strlen(name), "_file:", 6) != 0)
            found = strstr(found + 1, name);
        if (!found)
            fail_msg("%s is not in kpid.yaml", settings_table[i].path);
    }
}

static void definitions_replace_those_of_the_catalogue(void **state)
{
    struct config *before = load("workers: 1\n");
    struct config *after = load("measures:\n"
                                "  reached: {agg: users, where: type == \"login\"}\n"
                                "kpis:\n"
                                "  nps: {formula: promoters / responses, unit: ratio}\n");

    assert_string_equal(output, ""); /* that the catalogue's detractors are now unused is no news */
    assert_int_equal(kpi_plan_n_kpis(before->plan), kpi_plan_n_kpis(after->plan));
    assert_int_equal(find_kpi(after, "nps")->unit, KPI_UNIT_RATIO);
    assert_true(find_kpi(before, "participation_rate")->fingerprint !=
                find_kpi(after, "participation_rate")->fingerprint);
    assert_true(find_kpi(before, "roi")->fingerprint == find_kpi(after, "roi")->fingerprint);
    config_free(before);
    config_free(after);
}

/* A replaced measure can break what the catalogue builds on it: that is told where it stands. */
static void mistake_may_show_in_the_catalogue(void **state)
{
    struct config *config;

    assert_int_equal(load_as(&config, "measures:\n  participants: {agg: count}\n", 0),
                     CONFIG_E_INVALID);
    assert_non_null(strstr(output, "(built in) catalogue.yaml:"));
    assert_non_null(strstr(output, "formula: retained(start=participants"));
}

/* --- campaigns --- */

static kpi_day day(int month, int d) /* of 2026 */
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};

    return 20454 + before[month - 1] + d - 1;
}

static void phases_are_resolved(void **state)
{
    struct config *config = load(CAMPAIGN "    phases:\n"
                                          "      prepare: [-15d, -7d]\n"
                                          "      warmup: [-7d, start]\n"
                                          "      burst: [start, +5d]\n"
                                          "      dated: [2026-11-06, +2d]\n"
                                          "      run: [+7d, 2026-11-20]\n"
                                          "      rest: [2026-11-20, end]\n"
                                          "      settle: [end, +7d]\n");
    static const int days[][4] = {
        {10, 17, 10, 25}, {10, 25, 11, 1}, {11, 1, 11, 6}, {11, 6, 11, 8},
        {11, 8, 11, 20},  {11, 20, 12, 1}, {12, 1, 12, 8},
    };
    const struct kpi_campaign_info *campaign = kpi_plan_campaign(config->plan, 0);
    uint32_t i;

    assert_int_equal(campaign->start_day, day(11, 1));
    assert_int_equal(campaign->end_day, day(12, 1));
    assert_int_equal(campaign->n_phases, 7);
    for (i = 0; i < 7; i++) {
        assert_int_equal(campaign->phases[i].start_day, day(days[i][0], days[i][1]));
        assert_int_equal(campaign->phases[i].end_day, day(days[i][2], days[i][3]));
    }
    config_free(config);
}

static void money_and_audience(void **state)
{
    struct config *config = load(CAMPAIGN "    audience: 200000\n"
                                          "    budget: {base: 0.1, float: 200000.25}\n");

    assert_true(kpi_plan_campaign(config->plan, 0)->audience == 200000 * KPI_DECIMAL_ONE);
    assert_true(kpi_plan_campaign(config->plan, 0)->budget == INT64_C(200000350000));
    config_free(config);
    config = load(CAMPAIGN "    budget: 12\n");
    assert_true(kpi_plan_campaign(config->plan, 0)->budget == 12 * KPI_DECIMAL_ONE);
    assert_true(kpi_plan_campaign(config->plan, 0)->audience == KPI_TIME_NONE);
    config_free(config);
}

static void part_is(const struct kpi_campaign_info *campaign, uint32_t i, const char *name,
                    kpi_decimal amount)
{
    assert_int_equal(campaign->budget_parts[i].name.length, strlen(name));
    assert_memory_equal(campaign->budget_parts[i].name.data, name, strlen(name));
    assert_true(campaign->budget_parts[i].amount == amount);
}

static void a_budget_has_parts(void **state)
{
    struct config *config = load(CAMPAIGN "    budget: {core: 12.5%, total: 1000.01, 机动: 200}\n");
    const struct kpi_campaign_info *campaign = kpi_plan_campaign(config->plan, 0);

    assert_true(campaign->budget == INT64_C(1000010000));
    assert_int_equal(campaign->n_budget_parts, 2);
    part_is(campaign, 0, "core", INT64_C(125001250));
    part_is(campaign, 1, "机动", 200 * KPI_DECIMAL_ONE);
    config_free(config);
    config =
        load(CAMPAIGN "    budget: {total: 9000000000000, all: 100%, more: 1%}\n"); /* a warning */
    campaign = kpi_plan_campaign(config->plan, 0);
    part_is(campaign, 0, "all", campaign->budget);
    part_is(campaign, 1, "more", campaign->budget / 100);
    config_free(config);
}

static void deviations(void **state)
{
    static const struct {
        const char *target;
        enum kpi_deviation deviation;
        double band;
    } table[] = {
        {"kpi: participation_rate, value: 65%", KPI_DEVIATION_POINTS, 0.1},
        {"kpi: participation_rate, value: 65%, deviation: 5pp", KPI_DEVIATION_POINTS, 0.05},
        {"kpi: participation_rate, value: 65%, deviation: 10%", KPI_DEVIATION_RELATIVE, 0.065},
        {"kpi: participation_rate, value: 65%, deviation: 2.5pp", KPI_DEVIATION_POINTS, 0.025},
        {"kpi: roi, value: 4", KPI_DEVIATION_RELATIVE, 0.4},
        {"kpi: roi, value: 4, deviation: 25%", KPI_DEVIATION_RELATIVE, 1},
        {"kpi: nps, value: 50", KPI_DEVIATION_RELATIVE, 5},
        {"kpi: nps, value: 50, deviation: 10pp", KPI_DEVIATION_POINTS, 10},
        {"kpi: nps, value: 50, deviation: 7.5", KPI_DEVIATION_POINTS, 7.5},
        {"kpi: roi, value: 4, deviation: 0.5", KPI_DEVIATION_ABSOLUTE, 0.5},
        {"kpi: roi, value: 0, deviation: 0.5", KPI_DEVIATION_ABSOLUTE, 0.5},
        {"kpi: new_customers, value: 90, deviation: 15", KPI_DEVIATION_ABSOLUTE, 15},
        {"kpi: average_order_value, value: 90, deviation: 20.5", KPI_DEVIATION_ABSOLUTE, 20.5},
        {"kpi: dwell, value: 8m", KPI_DEVIATION_RELATIVE, 48},
        {"kpi: dwell, value: 1500ms, deviation: 20%", KPI_DEVIATION_RELATIVE, 0.3},
        {"kpi: dwell, value: 480, deviation: 60s", KPI_DEVIATION_ABSOLUTE, 60},
        {"kpi: dwell, value: 480, deviation: 2m", KPI_DEVIATION_ABSOLUTE, 120},
        {"kpi: dwell, value: 480, deviation: 60", KPI_DEVIATION_ABSOLUTE, 60},
        {"kpi: dwell, value: 480, deviation: 1500ms", KPI_DEVIATION_ABSOLUTE, 1.5},
        {"kpi: roi, value: 4, deviation: 1.6x", KPI_DEVIATION_FACTOR, 1.5},
        {"kpi: roi, value: 4, deviation: 0.8x", KPI_DEVIATION_FACTOR, 0.8},
        {"kpi: roi, value: 4, better: down, deviation: 0.8x", KPI_DEVIATION_FACTOR, 1},
        {"kpi: roi, value: 4, better: down, deviation: 2x", KPI_DEVIATION_FACTOR, 4},
        {"kpi: roi, value: 4, better: band, deviation: 2x", KPI_DEVIATION_FACTOR, 2},
        {"kpi: participation_rate, value: 60%, deviation: 1.5x", KPI_DEVIATION_FACTOR, 0.2},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[512];
        struct config *config;
        const struct kpi_target *target;
        double difference;

        snprintf(text, sizeof(text), CAMPAIGN "    targets:\n      - {%s}\n", table[i].target);
        config = load(text);
        target = kpi_plan_target(config->plan, 0);
        difference = target->band - table[i].band; /* a rounding of one product */
        if (target->deviation != table[i].deviation || difference > 1e-12 || difference < -1e-12)
            fail_msg("%s: %d %g", table[i].target, target->deviation, target->band);
        config_free(config);
    }
}

static void targets_have_defaults_and_bounds(void **state)
{
    const kpi_time november = day(11, 1) * KPI_DAY - 8 * KPI_HOUR; /* midnight in Shanghai */
    struct config *config =
        load(CAMPAIGN "    phases: {burst: [start, +5d]}\n"
                      "    targets:\n"
                      "      - {kpi: roi, value: 4}\n"
                      "      - {kpi: nps, value: 50, from: burst, to: burst, better: band}\n"
                      "      - {kpi: retention_d1, value: 40%, from: 2026-11-03, to: end}\n");
    const struct kpi_target *target = kpi_plan_target(config->plan, 0);

    assert_true(target->hold == 5 * KPI_MINUTE);
    assert_int_equal(target->sample_min, 100);
    assert_int_equal(target->better, KPI_BETTER_UP);
    assert_true(target->from == KPI_TIME_NONE && target->to == KPI_TIME_NONE);
    target = kpi_plan_target(config->plan, 1);
    assert_int_equal(target->better, KPI_BETTER_BAND);
    assert_true(target->from == november);
    assert_true(target->to == november + 5 * KPI_DAY);
    target = kpi_plan_target(config->plan, 2);
    assert_true(target->from == november + 2 * KPI_DAY);
    assert_true(target->to == november + 30 * KPI_DAY);
    config_free(config);
}

static void campaigns_have_zones(void **state)
{
    struct config *config =
        load("timezone: Europe/Berlin\n"
             "campaigns:\n"
             "  - {id: a, start: 2026-11-01, end: 2026-12-01}\n"
             "  - {id: b, start: 2026-11-01, end: 2026-12-01, timezone: Asia/Shanghai}\n"
             "  - {id: c, start: 2026-11-01, end: 2026-12-01, timezone: Europe/Berlin}\n");

    assert_int_equal(kpi_plan_campaign(config->plan, 0)->zone, 0);
    assert_int_equal(kpi_plan_campaign(config->plan, 1)->zone, 1);
    assert_int_equal(kpi_plan_campaign(config->plan, 2)->zone, 0);
    assert_true(
        kpi_string_equal(kpi_plan_zone(config->plan, 1)->name, KPI_STRING("Asia/Shanghai")));
    config_free(config);
}

/* --- breakdowns --- */

/* A KPI's own list stands instead of the plan's; an empty one is one, too. */
static void breakdowns_are_those_of_all_or_of_one(void **state)
{
    struct config *config =
        load("dimensions:\n  channel:\n  city: {of: town, values: 7}\n"
             "segments:\n  new: {where: orders == 0, title: {en: New, zh: 新客}}\n"
             "attributes:\n  orders: {agg: count, where: type == \"purchase\"}\n"
             "breakdowns: [channel, new]\n"
             "kpis:\n"
             "  a: {formula: buyers, unit: count, by: [[channel, city]]}\n"
             "  b: {formula: buyers, unit: count, by: channel}\n"
             "  c: {formula: buyers, unit: count, by: []}\n"
             "  d: {formula: buyers, unit: count}\n" CAMPAIGN);
    static const bool expected[3][4] = {
        {false, true, false, true}, {true, false, false, false}, {false, false, false, true}};
    const struct kpi_plan *plan = config->plan;
    const struct kpi_breakdown_info *last;

    assert_int_equal(kpi_plan_n_breakdowns(plan), 3); /* channel; channel, city; new */
    for (uint32_t b = 0; b < 3; b++) {
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t kpi = kpi_plan_n_kpis(plan) - 4 + k;

            assert_int_equal(kpi_plan_breaks_down(plan, b, kpi), expected[b][k]);
        }
    }
    assert_int_equal(kpi_plan_breakdown(plan, 1)->n_dimensions, 2);
    last = kpi_plan_breakdown(plan, 2);
    assert_int_equal(last->n_dimensions, 1);
    assert_true(kpi_string_equal(last->dimensions[0].name, KPI_STRING("new")));
    assert_true(kpi_string_equal(last->dimensions[0].title_en, KPI_STRING("New")));
    assert_true(kpi_string_equal(last->dimensions[0].title_zh, KPI_STRING("新客")));
    config_free(config);
}

/* --- includes, variables, secrets --- */

static void includes_add_definitions(void **state)
{
    struct config *config;

    assert_int_equal(mkdir("sub", 0700) < 0 && access("sub", F_OK) < 0, 0);
    write_file("sub/a.yaml", "measures:\n  a: {agg: users, where: type == \"a\"}\n");
    write_file("sub/b.yaml", "kpis:\n  k: {formula: a / buyers, unit: ratio}\n" CAMPAIGN
                             "    targets:\n      - {kpi: k, value: 10%}\n");
    config = load("include: [sub/a.yaml, sub/b.yaml]\n");
    assert_non_null(find_kpi(config, "k"));
    assert_int_equal(kpi_plan_n_targets(config->plan), 1);
    config_free(config);
}

static void included_mistakes_are_told_in_their_file(void **state)
{
    struct config *config;

    write_file("x.yaml", "measures:\n  a: {agg: users, wher: 1}\n");
    write_file("y.yaml", "measures:\n  b: [\n");
    assert_int_equal(load_as(&config, "include: [x.yaml, y.yaml]\nfoo: 1\n", 0), CONFIG_E_INVALID);
    assert_true(told("2:1", "unknown key \"foo\""));
    assert_non_null(strstr(output, "\nx.yaml:2:19: error: unknown key \"wher\" in measure"));
    assert_non_null(strstr(output, "\ny.yaml:3:1: error: did not find expected node content"));
}

static void includes_hold_definitions_only(void **state)
{
    struct config *config;

    write_file("x.yaml", "workers: 3\ninclude: [f.yaml]\nmeasure: {}\n");
    assert_int_equal(load_as(&config, "include: x.yaml\n", 0), CONFIG_E_INVALID);
    assert_non_null(strstr(output, "x.yaml:1:1: error: \"workers\": an included file holds"));
    assert_non_null(strstr(output, "x.yaml:2:1: error: \"include\": an included file holds"));
    assert_non_null(strstr(output, "did you mean \"measures\"?"));
}

static void names_are_unique_across_files(void **state)
{
    struct config *config;

    write_file("x.yaml", "measures:\n  a: {agg: users}\n");
    assert_int_equal(load_as(&config, "include: x.yaml\nmeasures:\n  a: {agg: count}\n", 0),
                     CONFIG_E_INVALID);
    assert_non_null(strstr(output, "x.yaml:2:3: error: measure \"a\" is defined twice"));
    assert_non_null(strstr(output, "f.yaml:3:3: note: first defined here"));
}

static void empty_include_is_fine(void **state)
{
    write_file("x.yaml", "# nothing yet\n");
    config_free(load("include: x.yaml\n"));
}

static void variables_are_replaced(void **state)
{
    struct config *config;

    assert_int_equal(setenv("KPID_TEST_HOST", "kafka.example", 1), 0);
    assert_int_equal(setenv("KPID_TEST_EMPTY", "", 1), 0);
    /* what a variable holds is text, never structure */
    assert_int_equal(setenv("KPID_TEST_YAML", "a, b: [c]", 1), 0);
    config =
        load("kafka: {brokers: \"${KPID_TEST_HOST}:9092\", topics: ['${KPID_TEST_NONE:-t}']}\n"
             "redis: {username: \"${KPID_TEST_YAML}\", password: 'pa$$${KPID_TEST_EMPTY:-x}$y'}\n");
    assert_string_equal(config->kafka.brokers, "kafka.example:9092");
    assert_string_equal(config->kafka.topics[0], "t");
    assert_string_equal(config->redis.username, "a, b: [c]");
    assert_string_equal(config->redis.password, "pa$x$y");
    config_free(config);
}

static void secrets_come_from_files(void **state)
{
    struct config *config;

    write_file("password", "hunter2\n");
    write_file("secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\r\n");
    assert_int_equal(chmod("password", 0600), 0);
    assert_int_equal(chmod("secret", 0640), 0);
    config = load("redis: {password_file: password}\n"
                  "kafka: {brokers: a:1, topics: t, properties: {sasl.password_file: password}}\n"
                  "receivers:\n  - {name: r, url: 'https://h', secret_file: secret}\n");
    assert_string_equal(output, "");
    assert_string_equal(config->redis.password, "hunter2");
    assert_string_equal(config->kafka.properties[0].name, "sasl.password");
    assert_string_equal(config->kafka.properties[0].value, "hunter2");
    assert_string_equal(config->receivers[0].secret, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
    assert_int_equal(config->n_warnings, 0);
    config_free(config);
}

static void one_newline_is_trimmed(void **state)
{
    struct config *config;

    write_file("password", " a b \n\n");
    assert_int_equal(chmod("password", 0600), 0);
    config = load("redis: {password_file: password}\n");
    assert_string_equal(config->redis.password, " a b \n");
    config_free(config);
}

static void secret_that_others_can_read_is_a_warning(void **state)
{
    struct config *config;

    write_file("password", "hunter2");
    assert_int_equal(chmod("password", 0644), 0);
    config = load("redis: {password_file: password}\n");
    assert_int_equal(config->n_warnings, 1);
    assert_true(told("1:24", "warning: redis.password: the file can be read by others"));
    config_free(config);
}

static void empty_secret_is_refused(void **state)
{
    struct config *config;

    write_file("password", "\n");
    assert_int_equal(chmod("password", 0600), 0);
    assert_int_equal(load_as(&config, "redis: {password_file: password}\n", 0), CONFIG_E_INVALID);
    assert_true(told("1:24", "the file is empty"));
}

static void secrets_do_not_show_in_messages(void **state)
{
    static const char *const texts[] = {
        "receivers:\n  - {name: a, url: 'https://h/robot?token=hunter2', secret: hunter2}\n",
        "redis: {url: 'redis://:hunter2@h/0'}\n",
        "receivers:\n  - {name: a, url: 'hunter2'}\n",
        "kafka: {properties: {sasl.pasword: x, sasl.password: hunter2}}\n",
    };
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *config;
        const char *end;

        assert_int_equal(load_as(&config, texts[i], 0), CONFIG_E_INVALID);
        end = strchr(output, '\n'); /* the message itself; lines are test_doc's business */
        *(char *)(intptr_t)end = 0;
        assert_null(strstr(output, "hunter2"));
    }
}

static void limits_are_divided_by_shards(void **state)
{
    struct config *config;

    assert_int_equal(load_as(&config, "limits: {users: 1000001}\ndedupe: {memory: 1GiB}\n", 16), 0);
    assert_true(kpi_plan_program(config->plan)->dedupe_ids_max == (1 << 30) / 16 / 16);
    assert_true(kpi_plan_program(config->plan)->users_max == 62501);
    assert_true(config->dedupe_memory == UINT64_C(1) << 30);
    config_free(config);
    config = load("dedupe: {memory: 1GiB}\n");
    assert_true(kpi_plan_program(config->plan)->dedupe_ids_max == (1 << 30) / 16);
    config_free(config);
}

static void gather(void *userdata, const char *setting)
{
    strcat(userdata, setting);
    strcat(userdata, " ");
}

static void what_needs_a_restart_is_named(void **state)
{
    static const char *const table[][3] = {
        {"workers: 1\n", "workers: 1\ncheckpoint: {interval: 2s}\ntimezone: Asia/Tokyo\n", ""},
        {"workers: 1\n", "workers: 2\n", "workers "},
        {"http: {listen: 'a:1'}\n", "http: {listen: 'a:2', external_url: 'http://h'}\n",
         "http.listen "},
        {"kafka: {brokers: a:1, topics: [a, b]}\n", "kafka: {brokers: a:1, topics: [a]}\n",
         "kafka.topics "},
        {"kafka: {brokers: a:1, topics: a}\n",
         "kafka: {brokers: a:1, topics: a, start: end, dead_letter_topic: d,"
         " properties: {client.id: x}}\n",
         "kafka.start kafka.dead_letter_topic kafka.properties "},
        {"kafka: {brokers: a:1, topics: a, start: 2026-11-01T00:00:00Z}\n",
         "kafka: {brokers: a:1, topics: a, start: 2026-11-02T00:00:00Z}\n", "kafka.start "},
        {"redis: {password: a}\n", "redis: {password: b, replicas: 1}\n",
         "redis.password redis.replicas "},
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct config *before = load(table[i][0]), *after = load(table[i][1]);
        char names[512] = "";

        config_compare(before, after, gather, names);
        assert_string_equal(names, table[i][2]);
        config_free(before);
        config_free(after);
    }
}

static int enter(void **state)
{
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    static const char *const names[] = {"f.yaml", "x.yaml",     "y.yaml",     "password",
                                        "secret", "sub/a.yaml", "sub/b.yaml", "sub"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)remove(names[i]); /* not every run makes all of them */
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_in_settings_are_told_at_their_place),
        cmocka_unit_test(mistakes_in_definitions_are_told_at_their_place),
        cmocka_unit_test(one_mistake_gives_one_message),
        cmocka_unit_test(all_mistakes_are_told_in_order),
        cmocka_unit_test(messages_end_at_a_hundred),
        cmocka_unit_test(message_shows_line_and_caret),
        cmocka_unit_test(missing_file_is_told),
        cmocka_unit_test(catalogue_and_minimal_give_the_kpis),
        cmocka_unit_test(what_is_named_of_the_catalogue_is_there),
        cmocka_unit_test(minimal_is_short),
        cmocka_unit_test(whole_example_loads),
        cmocka_unit_test(whole_example_names_every_setting),
        cmocka_unit_test(definitions_replace_those_of_the_catalogue),
        cmocka_unit_test(mistake_may_show_in_the_catalogue),
        cmocka_unit_test(phases_are_resolved),
        cmocka_unit_test(money_and_audience),
        cmocka_unit_test(a_budget_has_parts),
        cmocka_unit_test(deviations),
        cmocka_unit_test(targets_have_defaults_and_bounds),
        cmocka_unit_test(campaigns_have_zones),
        cmocka_unit_test(breakdowns_are_those_of_all_or_of_one),
        cmocka_unit_test(includes_add_definitions),
        cmocka_unit_test(included_mistakes_are_told_in_their_file),
        cmocka_unit_test(includes_hold_definitions_only),
        cmocka_unit_test(names_are_unique_across_files),
        cmocka_unit_test(empty_include_is_fine),
        cmocka_unit_test(variables_are_replaced),
        cmocka_unit_test(secrets_come_from_files),
        cmocka_unit_test(one_newline_is_trimmed),
        cmocka_unit_test(secret_that_others_can_read_is_a_warning),
        cmocka_unit_test(empty_secret_is_refused),
        cmocka_unit_test(secrets_do_not_show_in_messages),
        cmocka_unit_test(limits_are_divided_by_shards),
        cmocka_unit_test(what_needs_a_restart_is_named),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
