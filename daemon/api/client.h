/*
 * The other end: what subcommands ask a running daemon, and how its status reads on a terminal.
 * Blocking; for command-line use only.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct client_reply {
    long status; /* of HTTP */
    char *text;  /* terminated; free() */
    size_t size;
    char error[256]; /* CLIENT_E_AWAY: why */
};

enum {
    CLIENT_E_AWAY = 1, /* no answer; reply->error says why */
    CLIENT_E_ANSWER,   /* the answer is not what was asked for */
};

/* GET url (without trailing slash, "http://127.0.0.1:9480") + path. Proxies and redirects are not
 * followed; 5 s to connect, 30 s in all, 64 MiB. Returns 0, CLIENT_E_AWAY or -ENOMEM. */
int client_get(struct client_reply *ret_reply, const char *url, const char *path);

/* Prints the answer of /api/v1/status for people. Returns 0, CLIENT_E_ANSWER or -ENOMEM. */
int client_print_status(FILE *out, const char *text);
