/*
 * Any bytes as a configuration file: the load ends with a plan or with messages, never with a
 * crash, and a message is whole lines that a terminal can show.
 */
#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    unsigned n_errors;
};

static void hear(void *userdata, const char *text)
{
    struct heard *heard = userdata;
    size_t length = strlen(text), i;

    assert(length > 0 && text[length - 1] == '\n');
    for (i = 0; i < length; i++)
        assert((unsigned char)text[i] >= 0x20 || text[i] == '\n' || text[i] == '\t');
    heard->n_errors += strstr(text, "error: ") != NULL;
}

/* The bytes as a file without a name. */
static int open_input(const uint8_t *data, size_t size, char path[64])
{
    int fd = memfd_create("fuzz_config", MFD_CLOEXEC);

    assert(fd >= 0);
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        assert(n > 0);
        data += n;
        size -= (size_t)n;
    }
    (void)snprintf(path, 64, "/proc/self/fd/%d", fd); /* fits */
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard heard = {0};
    const struct config_report report = {hear, &heard};
    struct config *config = NULL;
    char path[64], summary[128];
    int fd = open_input(data, size, path);
    int r = config_load(&config, path, 1 + size % 16, &report);

    assert(r == 0 || r == CONFIG_E_INVALID || r == CONFIG_E_MISSING);
    assert((r == 0) == (heard.n_errors == 0));
    assert((r == 0) == (config != NULL));
    if (config)
        config_summary(config, summary, sizeof(summary));
    config_free(config);
    close(fd);
    return 0;
}
