/*
 * The daemon: starts everything in order, runs the loop of the main thread, stops everything in
 * reverse. What `kpid run` and `kpid demo` call.
 */
#pragma once

#include "config/config.h"

#include <event2/event.h>

struct server;

struct server_options {
    const char *config_path;
    const char *version;
    /* Told once the listener is bound: "127.0.0.1:9480". May be NULL. */
    void (*listening)(void *userdata, const char *address);
    void *userdata;
};

/*
 * Runs until SIGTERM or SIGINT. The return value is an exit code of sysexits: 0, EX_CONFIG (78),
 * EX_UNAVAILABLE (69: Kafka, Redis or the port), EX_SOFTWARE (70). What went wrong has been logged.
 */
int server_run(const struct server_options *options);
