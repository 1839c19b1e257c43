/* The deployment's secret key: see secret_key.h. */
#include "util/secret_key.h"

#include "util/error.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int secret_key_read(const char *path, uint8_t ret_key[SECRET_KEY_BYTES])
{
    uint8_t key[SECRET_KEY_BYTES + 1];
    struct stat status;
    ssize_t n;
    int fd, r = 0;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno; /* the caller says which file */
    n = fstat(fd, &status) < 0 ? -1 : read(fd, key, sizeof(key));
    (void)close(fd);
    if (n != SECRET_KEY_BYTES)
        r = SECRET_KEY_E_SHORT;
    else if (status.st_mode & (S_IRWXG | S_IRWXO))
        r = SECRET_KEY_E_OPEN_TO_OTHERS;
    else
        memcpy(ret_key, key, SECRET_KEY_BYTES);
    explicit_bzero(key, sizeof(key));
    return r;
}

/* A key that a power failure takes away takes the state with it. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    char directory[4096] = ".";
    int fd, r = 0;

    if (length >= sizeof(directory))
        return error_origin(-ENAMETOOLONG);
    if (slash)
        (void)snprintf(directory, sizeof(directory), "%.*s", (int)length, path);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fsync(fd) < 0 && errno != EINVAL) /* not every file system can */
        r = -errno;
    (void)close(fd);
    return r;
}

/*
 * Written whole under another name and linked: the name never shows half a key. The other name is
 * random, since all processes of containers may have the same number.
 */
static int make(const char *path)
{
    uint8_t key[SECRET_KEY_BYTES];
    char temporary[4096];
    int fd, r = 0;

    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return error_origin(-EIO);
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
        return error_origin(-ENAMETOOLONG);
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return -errno;
    if (write(fd, key, sizeof(key)) != (ssize_t)sizeof(key) || fsync(fd) < 0)
        r = -EIO;
    (void)close(fd);
    explicit_bzero(key, sizeof(key));
    if (r == 0 && link(temporary, path) < 0 && errno != EEXIST)
        r = -errno;
    (void)unlink(temporary);
    return r == 0 ? sync_directory(path) : r;
}

int secret_key_load(const char *path, uint8_t ret_key[SECRET_KEY_BYTES])
{
    int r = secret_key_read(path, ret_key);

    if (r != -ENOENT)
        return r;
    r = make(path);
    if (r < 0)
        return r;
    return secret_key_read(path, ret_key);
}

uint64_t secret_key_fingerprint(const uint8_t key[SECRET_KEY_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    uint64_t fingerprint = 0;

    /* SHA-256 of a constant-size buffer fails only without memory; 0 then matches no stored key. */
    if (EVP_Digest(key, SECRET_KEY_BYTES, digest, NULL, EVP_sha256(), NULL) == 1)
        memcpy(&fingerprint, digest, sizeof(fingerprint));
    return fingerprint;
}
