/*
 * metrics_check text|openmetrics PROGRAM ARGUMENT…: gives an exposition with every family in it to
 * the standard input of a program and ends as that does; 77, "skipped", if there is no such
 * program.
 */
#include "status_fixture.h"
#include "view_fixture.h"

#include "api/metrics.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n <= 0)
            return; /* a program that reads no more has its own opinion to tell */
        text += n;
        size -= (size_t)n;
    }
}

static struct view *make_view(void)
{
    struct view *view = view_fixture_new(3);

    for (uint32_t campaign = 0; campaign < 3; campaign++) {
        for (int scope = 0; scope < FIXTURE_SCOPES; scope++) {
            for (int kpi = 0; kpi < FIXTURE_KPIS; kpi++)
                view_fixture_set(view, campaign, (enum view_fixture_scope)scope,
                                 (enum view_fixture_kpi)kpi,
                                 kpi == FIXTURE_NPS ? KPI_VALUE_UNDEFINED : KPI_VALUE_OK, 650000,
                                 kpi == FIXTURE_NPS ? 0 : 1000000 + scope);
        }
    }
    return view;
}

int main(int argc, char **argv)
{
    struct api_status api_status = status_fixture();
    struct view *view = make_view();
    int pipes[2], status;
    size_t size;
    char *text;
    pid_t pid;

    if (argc < 3)
        return EXIT_FAILURE;
    if (metrics_write(&text, &size,
                      strcmp(argv[1], "text") == 0 ? EXPOSITION_TEXT : EXPOSITION_OPENMETRICS, view,
                      &api_status) < 0 ||
        pipe(pipes) < 0)
        return EXIT_FAILURE;
    pid = fork();
    if (pid == 0) {
        (void)dup2(pipes[0], STDIN_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        execvp(argv[2], argv + 2);
        _exit(errno == ENOENT ? 77 : EXIT_FAILURE);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    close(pipes[0]);
    write_all(pipes[1], text, size);
    close(pipes[1]);
    free(text);
    view_unref(view);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return EXIT_FAILURE;
    return WEXITSTATUS(status);
}
