#include "status_fixture.h"

#include "view_fixture.h"

static unsigned receivers(void *userdata, struct sink_stats *ret_stats, unsigned n_max)
{
    ret_stats[0] = (struct sink_stats){.receiver = "on-call",
                                       .n_delivered = 5,
                                       .n_expired = 1,
                                       .n_attempts = 9,
                                       .n_failed_attempts = 4,
                                       .n_queued = 2,
                                       .latency_seconds_sum = 0.25};
    ret_stats[1] = (struct sink_stats){.receiver = "boss \"B\"", .disabled = true};
    return 2;
}

struct api_status status_fixture(void)
{
    return (struct api_status){
        .version = "0.1.0",
        .revision = "abc1234",
        .group = "demo",
        .instance = "host:1",
        .currency = "CNY",
        .started_at = VIEW_FIXTURE_AS_OF - KPI_HOUR,
        .checks = {{"kafka", true, "reading"}, {"redis", true, NULL}},
        .n_checks = 2,
        .kafka = {.up = true, .state = "reading"},
        .redis = {.configured = true, .durable = true, .stats = {.up = true, .n_commands = 12}},
        .reload = {.successful = true, .successful_at = VIEW_FIXTURE_AS_OF - KPI_HOUR},
        .sink_stats = receivers,
    };
}
