/* Secrets: in the file as they are, or better in a file of their own. No message ever shows one. */
#include "config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECRET_BYTES_MAX = 64 * 1024
};

/* The whole file: its size, or a negative errno of open or read; -EFBIG if it is too large. */
static ssize_t read_secret(const char *path, char *buffer, mode_t *ret_mode)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;
    ssize_t n = 0, r = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0) {
        r = -errno;
    } else {
        *ret_mode = S_ISREG(status.st_mode) ? status.st_mode : 0;
        do {
            r = read(fd, buffer + n, (size_t)(SECRET_BYTES_MAX + 1 - n));
            if (r < 0 && errno == EINTR)
                continue;
            r = r < 0 ? -errno : r;
            n += r > 0 ? r : 0;
        } while (r > 0 && n <= SECRET_BYTES_MAX);
    }
    (void)close(fd); /* only read from */
    if (r < 0)
        return r;
    return n > SECRET_BYTES_MAX ? -EFBIG : n;
}

static int secret_from_file(struct load *load, const struct doc_node *node, const char *what,
                            char **ret_secret)
{
    const char *path = load_path(load, node);
    struct doc_place place = doc_node_place(node);
    char *buffer;
    mode_t mode = 0;
    ssize_t n;

    if (!path)
        return -ENOMEM;
    buffer = malloc(SECRET_BYTES_MAX + 2);
    if (!buffer)
        return -ENOMEM;
    n = read_secret(path, buffer, &mode);
    if (n < 0) {
        report_error(&load->report, place, "%s: cannot read the file: %s", what, strerror((int)-n));
        free(buffer);
        return 0;
    }
    if (n > 0 && buffer[n - 1] == '\n')
        n -= n > 1 && buffer[n - 2] == '\r' ? 2 : 1;
    buffer[n] = 0;
    if (mode & S_IROTH)
        report_warning(&load->report, place, "%s: the file can be read by others; chmod o-r", what);
    if (n == 0 || strlen(buffer) != (size_t)n) {
        report_error(&load->report, place, "%s: the file %s", what,
                     n == 0 ? "is empty" : "contains NUL");
        free(buffer);
        return 0;
    }
    *ret_secret = strdup(buffer);
    explicit_bzero(buffer, (size_t)n);
    free(buffer);
    return *ret_secret ? 0 : -ENOMEM;
}

int load_secret(struct load *load, const struct doc_node *node, const struct doc_node *file_node,
                const char *what, char **ret_secret)
{
    struct kpi_string text;

    *ret_secret = NULL;
    if (node && file_node) {
        const struct doc_node *first = node->start < file_node->start ? node : file_node;
        const struct doc_node *second = first == node ? file_node : node;

        report_error(&load->report, doc_node_place(second->key),
                     "%s is given twice: give it here or in a file, not both", what);
        report_note(&load->report, doc_node_place(first->key), "first given here");
        return 0;
    }
    if (file_node)
        return load_text(load, file_node, what, &text)
                   ? secret_from_file(load, file_node, what, ret_secret)
                   : 0;
    if (!node || !load_text(load, node, what, &text))
        return 0;
    *ret_secret = strdup(text.data);
    return *ret_secret ? 0 : -ENOMEM;
}
