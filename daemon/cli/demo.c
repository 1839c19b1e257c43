/*
 * kpid demo: the real daemon with nothing to set up. Kafka is librdkafka's mock cluster in this
 * process (named as what it is: in memory, not durable); Redis is a redis-server of our own on a
 * unix socket, if there is one; events come from a simulated campaign; alerts go to a receiver that
 * prints them.
 */
#include "cli/cli.h"
#include "cli/demo_campaign.h"
#include "cli/demo_receiver.h"
#include "server.h"
#include "util/log.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: kpid demo [--listen ADDRESS:PORT] [-v]\n\n"
    "  kpid demo                           a campaign in front of your eyes; Ctrl-C ends it\n"
    "  kpid demo --listen 127.0.0.1:0      on any free port\n\n"
    "A simulated monthly campaign runs on Kafka's stand-in (librdkafka's mock cluster, in memory). "
    "Its\n"
    "participation rate is above 65 %, and after about a minute below 55 %: then an alert is sent, "
    "and\n"
    "printed here.\n";

enum {
    N_PARTITIONS = 4,
    REDIS_WAIT_MS = 5000,
};

struct demo {
    char directory[64];
    rd_kafka_t *producer;
    rd_kafka_mock_cluster_t *cluster;
    pid_t redis;
    struct demo_receiver *receiver;
    struct demo_campaign *campaign;
};

static bool redis_answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers;

    if (fd < 0)
        return false;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    answers = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    (void)close(fd);
    return answers;
}

static void end_redis(struct demo *demo)
{
    if (demo->redis > 0) {
        (void)kill(demo->redis, SIGTERM);
        (void)waitpid(demo->redis, NULL, 0);
    }
    demo->redis = 0;
}

/* A redis-server of our own: true if it runs. */
static bool start_redis(struct demo *demo)
{
    struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/redis.sock", demo->directory);
    demo->redis = fork();
    if (demo->redis == 0) {
        /* Ctrl-C is for the daemon, which still writes a last checkpoint; this ends with it. */
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--dir",
                     demo->directory, "--appendonly", "yes", "--save", "", "--logfile", "redis.log",
                     (char *)NULL);
        _exit(127);
    }
    for (int waited = 0; demo->redis > 0 && waited < REDIS_WAIT_MS; waited += 20) {
        if (redis_answers(path))
            return true;
        if (waitpid(demo->redis, NULL, WNOHANG) == demo->redis)
            demo->redis = 0;
        (void)nanosleep(&pause, NULL);
    }
    end_redis(demo);
    return false;
}

static int start_kafka(struct demo *demo, char *error, size_t size)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    (void)rd_kafka_conf_set(conf, "client.id", "kpid-demo", NULL, 0);
    (void)rd_kafka_conf_set(conf, "linger.ms", "5", NULL, 0);
    (void)rd_kafka_conf_set(conf, "log_level", "2", NULL, 0); /* it has no brokers at first */
    demo->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, size);
    if (!demo->producer) {
        rd_kafka_conf_destroy(conf);
        return EX_SOFTWARE;
    }
    demo->cluster = rd_kafka_mock_cluster_new(demo->producer, 1);
    if (!demo->cluster) {
        (void)snprintf(error, size, "the mock cluster does not start");
        return EX_SOFTWARE;
    }
    (void)rd_kafka_mock_topic_create(demo->cluster, "events", N_PARTITIONS, 1);
    (void)rd_kafka_mock_topic_create(demo->cluster, "events.refused", 1, 1);
    (void)rd_kafka_brokers_add(demo->producer, rd_kafka_mock_cluster_bootstraps(demo->cluster));
    return 0;
}

static void date(char text[16], time_t now, int days)
{
    struct tm local;
    time_t then = now + 8 * 3600 + (time_t)days * 86400;

    (void)gmtime_r(&then, &local); /* Asia/Shanghai has been UTC+8 for decades */
    (void)strftime(text, 16, "%Y-%m-%d", &local);
}

static int write_config(const struct demo *demo, const char *listen, bool redis, char path[96])
{
    time_t now = time(NULL);
    char start[16], end[16];
    FILE *out;

    date(start, now, -DEMO_DAYS);
    date(end, now, 30 - DEMO_DAYS);
    (void)snprintf(path, 96, "%s/kpid.yaml", demo->directory);
    out = fopen(path, "w");
    if (!out)
        return EX_SOFTWARE;
    (void)fprintf(out,
                  "# Written by kpid demo: an example of a whole configuration.\n"
                  "kafka:\n"
                  "  brokers: %s\n"
                  "  topics: [events]\n"
                  "  group: kpid-demo\n"
                  "  start: beginning\n"
                  "  dead_letter_topic: events.refused\n",
                  rd_kafka_mock_cluster_bootstraps(demo->cluster));
    if (redis)
        (void)fprintf(out, "redis: {url: \"unix://%s/redis.sock\"}\n", demo->directory);
    (void)fprintf(
        out,
        "http: {listen: \"%s\"}\n"
        "state: {key_file: \"%s/kpid.key\"}\n"
        "timezone: Asia/Shanghai\n"
        "currency: CNY\n"
        "receivers:\n"
        "  - {name: console, type: webhook, url: \"%s\", secret: \"%s\"}\n"
        "campaigns:\n"
        "  - id: %s\n"
        "    start: %s\n"
        "    end: %s\n"
        "    phases: {warmup: [-7d, start], burst: [start, +5d], run: [+5d, end]}\n"
        "    audience: 200000\n"
        "    budget: {base: 200000, float: 300000}\n"
        "    targets:\n"
        "      - {kpi: participation_rate, value: 65%%, deviation: 10pp, scope: day, for: 3s}\n"
        "      - {kpi: roi, value: 4, deviation: 10%%}\n"
        "      - {kpi: nps, value: 50, deviation: 10%%}\n",
        listen, demo->directory, demo_receiver_url(demo->receiver),
        demo_receiver_secret(demo->receiver), DEMO_CAMPAIGN, start, end);
    return fclose(out) == 0 ? 0 : EX_SOFTWARE;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    return remove(path);
}

static void on_listening(void *userdata, const char *address)
{
    struct demo *demo = userdata;

    (void)printf(
        "\n"
        "  The campaign \"%s\" runs. About 68 %% of those it reaches take part; in half a\n"
        "  minute only 20 %% will, and about a minute from now the alert is printed here.\n\n"
        "    metrics   http://%s/metrics\n"
        "    KPIs      http://%s/api/v1/kpis?scope=campaign\n"
        "    alerts    http://%s/api/v1/alerts\n"
        "    status    kpid status --url http://%s\n"
        "    config    %s/kpid.yaml\n\n"
        "  Kafka here is librdkafka's mock cluster, in memory. Your own: put its brokers and\n"
        "  topics into a copy of config/minimal.yaml, then kpid check and kpid run -c it.\n"
        "  Ctrl-C ends everything.\n\n",
        DEMO_CAMPAIGN, address, address, address, address, demo->directory);
    (void)fflush(stdout);
}

static int run_demo(struct demo *demo, const char *listen, enum log_level level)
{
    struct server_options server = {
        .version = KPID_VERSION, .listening = on_listening, .userdata = demo};
    char path[96], error[256] = "";
    bool redis;
    int code;

    code = start_kafka(demo, error, sizeof(error));
    if (code == 0 && demo_receiver_new(&demo->receiver) < 0)
        code = EX_SOFTWARE;
    if (code != 0) {
        (void)fprintf(stderr, "kpid demo: %s\n", error);
        return code;
    }
    redis = start_redis(demo);
    if (!redis)
        (void)printf("No redis-server to be found: state lives in memory only.\n");
    code = write_config(demo, listen, redis, path);
    if (code == 0 && demo_campaign_new(&demo->campaign, demo->producer, "events") < 0)
        code = EX_SOFTWARE;
    if (code != 0)
        return code;
    log_setup(level, LOG_FORMAT_LOGFMT);
    server.config_path = path;
    return server_run(&server);
}

int cli_demo(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct demo demo = {.directory = "/tmp/kpid-demo-XXXXXX"};
    enum log_level level = LOG_LEVEL_WARNING;
    const char *listen = "127.0.0.1:9480";
    int option, code;

    while ((option = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            listen = optarg;
            break;
        case 'v':
            level = LOG_LEVEL_INFO;
            break;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            return cli_usage("demo", "unknown option", NULL);
        }
    }
    if (optind < argc)
        return cli_usage("demo", "unexpected argument", argv[optind]);
    if (!mkdtemp(demo.directory)) {
        (void)fprintf(stderr, "kpid demo: %s: %s\n", demo.directory, strerror(errno));
        return EX_SOFTWARE;
    }
    code = run_demo(&demo, listen, level);
    (void)demo_campaign_free(demo.campaign);
    (void)demo_receiver_free(demo.receiver);
    end_redis(&demo);
    if (demo.cluster)
        rd_kafka_mock_cluster_destroy(demo.cluster);
    if (demo.producer)
        rd_kafka_destroy(demo.producer);
    (void)nftw(demo.directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return code;
}
