/*
 * Files and places in them. libyaml counts positions in characters and takes NEL, LS and PS for
 * line breaks, which no editor does; so marks are turned into byte offsets here, and lines and
 * columns are counted by '\n' when somebody asks.
 */
#include "config/doc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    STRIDE = 64
}; /* a known byte offset each so many characters */

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static int index_file(struct arena *arena, struct doc_file *file)
{
    uint32_t n_lines = 1, n_characters = 0, i;
    uint32_t *lines, *strides;

    for (i = 0; i < file->size; i++) {
        n_lines += file->text[i] == '\n';
        n_characters += !is_continuation(file->text[i]);
    }
    lines = arena_alloc(arena, n_lines * sizeof(*lines));
    strides = arena_alloc(arena, (n_characters / STRIDE + 1) * sizeof(*strides));
    if (!lines || !strides)
        return -ENOMEM;
    file->n_lines = 1;
    for (i = 0, n_characters = 0; i < file->size; i++) {
        if (!is_continuation(file->text[i])) {
            if (n_characters % STRIDE == 0)
                strides[n_characters / STRIDE] = i;
            n_characters++;
        }
        if (file->text[i] == '\n')
            lines[file->n_lines++] = i + 1;
    }
    file->n_strides = (n_characters + STRIDE - 1) / STRIDE;
    file->lines = lines;
    file->strides = strides;
    return 0;
}

int doc_file_new(struct doc_set *set, const char *shown, const char *text, size_t size,
                 struct doc_file **ret_file)
{
    struct doc_file *file = arena_alloc(set->arena, sizeof(*file));

    if (!file)
        return -ENOMEM;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    file->path = arena_copy(set->arena, shown, strlen(shown));
    file->text = arena_copy(set->arena, text, size);
    if (!file->path || !file->text)
        return -ENOMEM;
    file->size = (uint32_t)size;
    file->order = set->n_files++;
    if (index_file(set->arena, file) < 0)
        return -ENOMEM;
    *ret_file = file;
    return 0;
}

/* Reads at most DOC_BYTES_MAX + 1 bytes: one more tells that there is too much. */
static ssize_t read_whole(int fd, char *buffer)
{
    size_t n = 0;

    while (n <= DOC_BYTES_MAX) {
        ssize_t r = read(fd, buffer + n, DOC_BYTES_MAX + 1 - n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        n += (size_t)r;
    }
    return (ssize_t)n;
}

int doc_file_read(struct doc_set *set, const char *path, const char *shown,
                  struct doc_file **ret_file, const char **ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *buffer;
    ssize_t n;
    int r;

    if (fd < 0) {
        *ret_error = strerror(errno);
        return DOC_E_UNREADABLE;
    }
    buffer = malloc(DOC_BYTES_MAX + 1);
    if (!buffer) {
        (void)close(fd); /* only read from */
        return -ENOMEM;
    }
    n = read_whole(fd, buffer);
    (void)close(fd);
    if (n < 0) {
        *ret_error = strerror((int)-n);
        r = DOC_E_UNREADABLE;
    } else if (n > DOC_BYTES_MAX) {
        *ret_error = "it is larger than 1 MiB";
        r = DOC_E_UNREADABLE;
    } else {
        r = doc_file_new(set, shown, buffer, (size_t)n, ret_file);
    }
    free(buffer);
    return r;
}

/* --- positions --- */

uint32_t doc_file_offset(const struct doc_file *file, size_t character)
{
    uint32_t offset, left = (uint32_t)(character % STRIDE);

    if (character / STRIDE >= file->n_strides)
        return file->size;
    offset = file->strides[character / STRIDE];
    while (left > 0 && offset < file->size) {
        offset++;
        while (offset < file->size && is_continuation(file->text[offset]))
            offset++;
        left--;
    }
    return offset;
}

void doc_position(const struct doc_file *file, uint32_t offset, uint32_t *ret_line,
                  uint32_t *ret_column)
{
    uint32_t low = 0, high = file->n_lines, column = 1, i;

    if (offset > file->size)
        offset = file->size;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (file->lines[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    for (i = file->lines[low]; i < offset; i++)
        column += !is_continuation(file->text[i]);
    if (offset < file->size && is_continuation(file->text[offset]))
        column--;
    *ret_line = low + 1;
    *ret_column = column;
}

struct doc_place doc_node_place(const struct doc_node *node)
{
    /* nothing stands there: point at the key */
    if (node->start == node->end && node->key)
        node = node->key;
    return (struct doc_place){node->file, node->start, node->end};
}

struct doc_place doc_value_place(const struct doc_node *node, uint32_t offset, uint32_t length)
{
    const char *text = node->file->text;
    uint32_t start = node->start, size = node->end - node->start;

    if (node->kind != DOC_SCALAR || offset > node->length)
        return doc_node_place(node);
    if (!node->plain && size == node->length + 2 && size >= 2) {
        start++;
        size -= 2;
    }
    if (size != node->length || memcmp(text + start, node->value, size) != 0)
        return doc_node_place(node);
    if (length > node->length - offset)
        length = node->length - offset;
    return (struct doc_place){node->file, start + offset, start + offset + length};
}
