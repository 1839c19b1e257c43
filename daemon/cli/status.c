/* kpid status: how a running kpid is. */
#include "cli/cli.h"

#include "api/client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char help[] =
    "usage: kpid status [--url URL] [-o table|json]\n\n"
    "  kpid status                                  the kpid of this host\n"
    "  kpid status --url http://10.0.0.7:9480       another one\n"
    "  kpid status -o json                          as /api/v1/status gives it\n\n"
    "  -u, --url URL       where it listens ($KPID_URL, else http://127.0.0.1:9480)\n"
    "  -o, --output FORM   table or json\n";

int cli_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},
        {"output", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *url = getenv("KPID_URL");
    struct client_reply reply;
    bool json = false;
    char base[512];
    int option, r;

    while ((option = getopt_long(argc, argv, "u:o:h", options, NULL)) != -1) {
        switch (option) {
        case 'u':
            url = optarg;
            break;
        case 'o':
            json = strcmp(optarg, "json") == 0;
            if (!json && strcmp(optarg, "table") != 0)
                return cli_usage("status", "-o is table or json, not", optarg);
            break;
        case 'h':
            (void)fputs(help, stdout);
            return 0;
        default:
            return cli_usage("status", "unknown option", NULL);
        }
    }
    if (optind < argc)
        return cli_usage("status", "unexpected argument", argv[optind]);
    (void)snprintf(base, sizeof(base), "%s", url ? url : "http://127.0.0.1:9480");
    base[strcspn(base, " ")] = '\0';
    while (*base && base[strlen(base) - 1] == '/')
        base[strlen(base) - 1] = '\0';
    r = client_get(&reply, base, "/api/v1/status");
    if (r != 0) {
        (void)fprintf(stderr, "kpid status: %s: %s\n", base,
                      r == CLIENT_E_AWAY ? reply.error : strerror(-r));
        return r < 0 ? EX_SOFTWARE : EX_UNAVAILABLE;
    }
    r = json ? (fputs(reply.text, stdout) == EOF ? -EIO : 0)
             : client_print_status(stdout, reply.text);
    if (r == CLIENT_E_ANSWER)
        (void)fprintf(stderr, "kpid status: %s does not answer as kpid does\n", base);
    free(reply.text);
    return r == 0 ? 0 : r < 0 ? EX_SOFTWARE : EX_DATAERR;
}
