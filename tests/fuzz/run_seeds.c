/*
 * The main of a fuzz target that is built without libFuzzer: feeds it every file of the directories
 * given as arguments, so that what once broke stays a plain test.
 *
 * Each file is handed over in a block of exactly its size, so that the address sanitizer sees a
 * read beyond its end. A directory without files fails: an empty test must not pass.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns 1 if the path was a regular file and has been fed, 0 if it was none, -1 on error. */
static int run_file(const char *path)
{
    struct stat status;
    uint8_t *data;
    size_t size;
    FILE *file;

    if (stat(path, &status) < 0)
        return -1;
    if (!S_ISREG(status.st_mode))
        return 0;
    file = fopen(path, "rb");
    if (!file)
        return -1;
    size = (size_t)status.st_size;
    data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, file) != size) {
        free(data);
        fclose(file);
        errno = EIO;
        return -1;
    }
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size); /* returns 0 by its contract; it fails by aborting */
    free(data);
    return 1;
}

static int run_directory(const char *directory)
{
    struct dirent *entry;
    unsigned n_files = 0;
    DIR *stream;

    stream = opendir(directory);
    if (!stream) {
        fprintf(stderr, "%s: %s\n", directory, strerror(errno));
        return -1;
    }
    while ((entry = readdir(stream))) {
        char path[4096];
        int r;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        r = run_file(path);
        if (r < 0) {
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
            closedir(stream);
            return -1;
        }
        n_files += (unsigned)r;
    }
    closedir(stream);
    printf("%s: %u files\n", directory, n_files);
    return n_files > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    int status = argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;

    for (int i = 1; i < argc; ++i) {
        if (run_directory(argv[i]) < 0)
            status = EXIT_FAILURE;
    }
    return status;
}
