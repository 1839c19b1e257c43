/* Files of events, unpacked: see replay_source.h. */
#include "cli/replay_source.h"

#include "util/error.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    INPUT_BYTES = 128 * 1024,
};

struct replay_source {
    int fd;
    bool packed;
    bool between;      /* behind a member, and nothing of the next has been seen */
    uint64_t position; /* of the file: behind what input holds */
    const char *damage;
    z_stream inflate; /* its next_in and avail_in are the input not yet taken, packed or not */
    uint8_t input[INPUT_BYTES];
};

/* Reads on into input, which is empty. At the end avail_in stays 0. */
static int input_fill(struct replay_source *source, size_t n_wanted)
{
    z_stream *inflate = &source->inflate;

    inflate->next_in = source->input;
    while (inflate->avail_in < n_wanted) {
        ssize_t n = read(source->fd, source->input + inflate->avail_in,
                         sizeof(source->input) - inflate->avail_in);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        source->position += (uint64_t)n;
        inflate->avail_in += (unsigned)n;
    }
    return 0;
}

static bool is_gzip(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

static int source_begin(struct replay_source *source, const char *path)
{
    struct stat status;
    int r;

    source->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    r = input_fill(source, 2);
    if (r < 0)
        return r;
    source->packed = is_gzip(source->input, source->inflate.avail_in);
    if (source->packed && inflateInit2(&source->inflate, 16 + MAX_WBITS) != Z_OK) /* 16: gzip */
        return -ENOMEM;
    return 0;
}

int replay_source_new(struct replay_source **ret_source, const char *path)
{
    struct replay_source *source = calloc(1, sizeof(*source));
    int r;

    if (!source)
        return error_origin(-ENOMEM);
    r = source_begin(source, path);
    if (r < 0) {
        (void)replay_source_free(source);
        return r;
    }
    *ret_source = source;
    return 0;
}

struct replay_source *replay_source_free(struct replay_source *source)
{
    if (!source)
        return NULL;
    if (source->packed)
        (void)inflateEnd(&source->inflate);
    if (source->fd > STDIN_FILENO)
        (void)close(source->fd);
    free(source);
    return NULL;
}

static int damaged(struct replay_source *source, const char *text)
{
    source->damage = text;
    return REPLAY_SOURCE_E_DAMAGED;
}

/* Behind a member, with input: one step towards the next. */
static int member_begin(struct replay_source *source)
{
    z_stream *inflate = &source->inflate;

    if (*inflate->next_in == 0) { /* padding */
        inflate->next_in++;
        inflate->avail_in--;
        return 0;
    }
    if (*inflate->next_in != 0x1f)
        return damaged(source, "what follows the gzip data is no gzip");
    (void)inflateReset(inflate); /* fails only for a stream that was never begun */
    source->between = false;
    return 0;
}

/* Within a member, with room for output: takes input (none at the end of the file), gives output.
 */
static int member_unpack(struct replay_source *source)
{
    switch (inflate(&source->inflate, Z_NO_FLUSH)) {
    case Z_OK:
        return 0;
    case Z_STREAM_END:
        source->between = true;
        return 0;
    case Z_BUF_ERROR: /* it needs more, and there is nothing */
        return damaged(source, "the gzip data is cut off");
    case Z_MEM_ERROR:
        return error_origin(-ENOMEM);
    default:
        return damaged(source, source->inflate.msg ? source->inflate.msg : "wrong gzip data");
    }
}

static int unpack(struct replay_source *source, char *bytes, size_t size, size_t *ret_n)
{
    z_stream *inflate = &source->inflate;
    int r = 0;

    inflate->next_out = (uint8_t *)bytes;
    inflate->avail_out = (unsigned)size;
    while (r == 0 && inflate->avail_out == size) {
        if (inflate->avail_in == 0)
            r = input_fill(source, 1);
        if (r < 0 || (source->between && inflate->avail_in == 0))
            break;
        r = source->between ? member_begin(source) : member_unpack(source);
    }
    *ret_n = size - inflate->avail_out;
    return r;
}

int replay_source_read(struct replay_source *source, char *bytes, size_t size, size_t *ret_n)
{
    z_stream *inflate = &source->inflate;
    ssize_t n;

    if (source->packed)
        return unpack(source, bytes, size, ret_n);
    if (inflate->avail_in > 0) { /* what was read to see whether it is packed */
        *ret_n = size < inflate->avail_in ? size : inflate->avail_in;
        memcpy(bytes, inflate->next_in, *ret_n);
        inflate->next_in += *ret_n;
        inflate->avail_in -= (unsigned)*ret_n;
        return 0;
    }
    do
        n = read(source->fd, bytes, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    source->position += (uint64_t)n;
    *ret_n = (size_t)n;
    return 0;
}

uint64_t replay_source_position(const struct replay_source *source)
{
    return source->position - source->inflate.avail_in;
}

const char *replay_source_damage(const struct replay_source *source, uint64_t *ret_at)
{
    *ret_at = replay_source_position(source);
    return source->damage;
}
