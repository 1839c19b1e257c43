/*
 * The process_… families that every exporter has, read from /proc/self. What cannot be read is left
 * out rather than made up. The start time is our own clock's: a sandbox may hide /proc/stat.
 */
#include "metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void write_one(struct exposition *exposition, const struct exposition_family *family,
                      double value)
{
    exposition_family(exposition, family);
    exposition_sample(exposition, value);
}

static void write_cpu(struct exposition *exposition)
{
    static const struct exposition_family cpu = {"process_cpu_seconds_total", EXPOSITION_COUNTER,
                                                 "seconds", "User and system CPU time spent."};
    struct timespec time;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0)
        write_one(exposition, &cpu, (double)time.tv_sec + (double)time.tv_nsec / 1e9);
}

static void write_memory(struct exposition *exposition)
{
    static const struct exposition_family virtual = {
        "process_virtual_memory_bytes", EXPOSITION_GAUGE, "bytes", "Virtual memory size."};
    static const struct exposition_family resident = {
        "process_resident_memory_bytes", EXPOSITION_GAUGE, "bytes", "Resident memory size."};
    unsigned long long n_virtual, n_resident;
    FILE *file = fopen("/proc/self/statm", "re");
    long page = sysconf(_SC_PAGESIZE);
    int n;

    if (!file)
        return;
    n = fscanf(file, "%llu %llu", &n_virtual, &n_resident);
    (void)fclose(file); /* only read */
    if (n != 2)
        return;
    write_one(exposition, &virtual, (double)n_virtual * (double)page);
    write_one(exposition, &resident, (double)n_resident * (double)page);
}

static void write_threads(struct exposition *exposition)
{
    static const struct exposition_family threads = {"process_threads", EXPOSITION_GAUGE, NULL,
                                                     "Number of threads."};
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned n;

    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "Threads: %u", &n) == 1)
            write_one(exposition, &threads, n);
    }
    (void)fclose(file);
}

static void write_descriptors(struct exposition *exposition)
{
    static const struct exposition_family open = {"process_open_fds", EXPOSITION_GAUGE, NULL,
                                                  "Number of open file descriptors."};
    static const struct exposition_family max = {"process_max_fds", EXPOSITION_GAUGE, NULL,
                                                 "Maximum number of open file descriptors."};
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    struct rlimit limit;
    unsigned n = 0;

    if (directory) {
        while ((entry = readdir(directory)))
            n += entry->d_name[0] != '.';
        (void)closedir(directory);
        write_one(exposition, &open, n - 1); /* without the one that counts */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        write_one(exposition, &max, (double)limit.rlim_cur);
}

void metrics_write_process(struct exposition *exposition, kpi_time started_at)
{
    static const struct exposition_family start = {"process_start_time_seconds", EXPOSITION_GAUGE,
                                                   "seconds",
                                                   "When the process started, since 1970."};

    write_cpu(exposition);
    write_memory(exposition);
    write_threads(exposition);
    write_descriptors(exposition);
    write_one(exposition, &start, (double)started_at / 1e6);
}
