/* Local days of a zone, and the names of zones. */
#include "config/zones.h"
#include "config/scalar.h"
#include "config/suggest.h"
#include "config/tzif.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kpi/plan.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_BYTES_MAX = 256 * 1024,
    NAME_BYTES_MAX = 128,
    YEAR_LAST = 2100,
    N_DAYS = SCALAR_DAY_MAX - SCALAR_DAY_MIN,
    SECONDS_A_DAY = 86400,
};

static const char *directory(void)
{
    const char *given = getenv("TZDIR");

    return given && *given ? given : "/usr/share/zoneinfo";
}

/* Letters, digits, _ + - and single slashes between parts: nothing that leaves the directory. */
static bool is_name(const char *name)
{
    size_t length = strlen(name), i;

    if (length == 0 || length > NAME_BYTES_MAX || name[0] == '/' || name[length - 1] == '/')
        return false;
    for (i = 0; i < length; i++) {
        char c = name[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '+' || c == '-' || (c == '/' && name[i - 1] != '/')))
            return false;
    }
    return true;
}

/* The bytes of a zone's file, malloc'ed. 0, ZONES_E_UNKNOWN, ZONES_E_INVALID or -ENOMEM. */
static int read_zone(const char *name, unsigned char **ret_bytes, size_t *ret_size)
{
    char path[4096];
    unsigned char *bytes;
    struct stat status;
    ssize_t n = 0, r;
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory(), name) >= sizeof(path))
        return ZONES_E_UNKNOWN;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return ZONES_E_UNKNOWN;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        (void)close(fd); /* only read from */
        return ZONES_E_UNKNOWN;
    }
    bytes = malloc(FILE_BYTES_MAX);
    if (!bytes) {
        (void)close(fd);
        return -ENOMEM;
    }
    do {
        r = read(fd, bytes + n, (size_t)(FILE_BYTES_MAX - n));
        n += r > 0 ? r : 0;
    } while (r > 0 && n < FILE_BYTES_MAX);
    (void)close(fd);
    if (r < 0 || n == FILE_BYTES_MAX) {
        free(bytes);
        return ZONES_E_INVALID;
    }
    *ret_bytes = bytes;
    *ret_size = (size_t)n;
    return 0;
}

static int64_t floor_day(int64_t seconds)
{
    return seconds >= 0 ? seconds / SECONDS_A_DAY
                        : -((-seconds + SECONDS_A_DAY - 1) / SECONDS_A_DAY);
}

/*
 * Walks the segments of constant offset and gives each day its first instant. After a step back
 * some days come a second time: they have begun already. After a step forward the days in between
 * begin with it.
 */
static void fill_days(const struct tzif *tzif, kpi_time *starts)
{
    const int64_t table_end = ((int64_t)SCALAR_DAY_MAX + 2) * SECONDS_A_DAY;
    int64_t next = SCALAR_DAY_MIN;
    uint32_t s;

    for (s = 0; s < tzif->n_segments && next <= SCALAR_DAY_MAX; s++) {
        const struct tzif_segment *segment = &tzif->segments[s];
        int64_t begin = segment->at, end = table_end, last, first;

        if (begin < 0)
            begin = 0; /* nothing before 1970 matters, and sums stay in range */
        if (s + 1 < tzif->n_segments && segment[1].at < end)
            end = segment[1].at;
        if (end <= begin)
            continue;
        first = floor_day(begin + segment->offset);
        last = floor_day(end - 1 + segment->offset);
        for (; next <= first && next <= SCALAR_DAY_MAX; next++)
            starts[next - SCALAR_DAY_MIN] = begin * KPI_SECOND;
        for (; next <= last && next <= SCALAR_DAY_MAX; next++)
            starts[next - SCALAR_DAY_MIN] = (next * SECONDS_A_DAY - segment->offset) * KPI_SECOND;
    }
    assert(next > SCALAR_DAY_MAX); /* the last segment reaches beyond the table */
}

/* Days that never were begin with the day after them: moved ahead, so that entries rise. */
static void part_equals(kpi_time *starts)
{
    int i;

    for (i = N_DAYS - 1; i >= 0; i--) {
        if (starts[i] >= starts[i + 1])
            starts[i] = starts[i + 1] - 1;
    }
}

/* What clocks show that are set within a day, or at its begin where midnight is skipped. */
static int find_changes(struct kpi_zone *zone, const struct tzif *tzif, struct arena *arena)
{
    struct kpi_clock_change *changes = arena_alloc(arena, tzif->n_segments * sizeof(*changes));
    uint32_t s;

    if (!changes)
        return -ENOMEM;
    for (s = 0; s < tzif->n_segments; s++) {
        const struct tzif_segment *segment = &tzif->segments[s];
        kpi_time at, start;
        kpi_day day;

        if (segment->at < 0 || segment->at >= (int64_t)SCALAR_DAY_MAX * SECONDS_A_DAY)
            continue;
        at = segment->at * KPI_SECOND;
        day = kpi_zone_day(zone, at);
        if (day == INT32_MIN)
            continue;
        start = kpi_zone_day_start(zone, day);
        changes[zone->n_changes++] =
            (struct kpi_clock_change){at, start + segment->offset * KPI_SECOND - day * KPI_DAY};
    }
    zone->changes = changes;
    return 0;
}

int zones_load(struct kpi_zone *ret_zone, const char *name, struct arena *arena)
{
    static const struct tzif_segment utc = {INT64_MIN, 0};
    struct tzif tzif = {(struct tzif_segment *)&utc, 1};
    unsigned char *bytes = NULL;
    kpi_time *starts;
    char *copy;
    size_t size;
    int r;

    if (!is_name(name))
        return ZONES_E_UNKNOWN;
    r = read_zone(name, &bytes, &size);
    if (r == 0) {
        r = tzif_parse(&tzif, bytes, size, YEAR_LAST, arena);
        /* other files lie there, too: tables of zones in text */
        if (r > 0)
            r = size < 4 || memcmp(bytes, "TZif", 4) != 0 ? ZONES_E_UNKNOWN : ZONES_E_INVALID;
        free(bytes);
    }
    if (r == ZONES_E_UNKNOWN && strcmp(name, "UTC") == 0)
        r = 0;
    if (r == ZONES_E_UNKNOWN && access(directory(), R_OK) < 0)
        r = ZONES_E_NO_DATA;
    if (r)
        return r;
    starts = arena_alloc(arena, (N_DAYS + 1) * sizeof(*starts));
    copy = arena_copy(arena, name, strlen(name));
    if (!starts || !copy)
        return -ENOMEM;
    fill_days(&tzif, starts);
    part_equals(starts);
    *ret_zone = (struct kpi_zone){
        .name = {copy, strlen(copy)},
        .first_day = SCALAR_DAY_MIN,
        .n_days = N_DAYS,
        .day_starts = starts,
    };
    return find_changes(ret_zone, &tzif, arena);
}

/* --- names --- */

struct search {
    const char *name;
    struct arena *arena;
    struct suggest suggest;
    const char *same; /* equal but for case, or a city without its continent */
    bool no_memory;
};

static void consider(struct search *search, const char *candidate)
{
    const char *slash = strrchr(candidate, '/');
    const char *before = search->suggest.best;
    char *copy;

    if (!search->same && (strcasecmp(candidate, search->name) == 0 ||
                          (slash && strcasecmp(slash + 1, search->name) == 0))) {
        search->same = copy = arena_copy(search->arena, candidate, strlen(candidate));
        search->no_memory |= !copy;
    }
    suggest_try(&search->suggest, candidate);
    if (search->suggest.best != before) { /* the candidate is the walk's buffer */
        search->suggest.best = copy = arena_copy(search->arena, candidate, strlen(candidate));
        search->no_memory |= !copy;
    }
}

/* Zones and their folders begin with a capital; posix/, right/ and tables do not. */
static int is_zone(const struct dirent *entry)
{
    return entry->d_name[0] >= 'A' && entry->d_name[0] <= 'Z' && !strchr(entry->d_name, '.');
}

/* In alphabetical order, so that of equally near names it is always the same. */
static void walk(struct search *search, const char *prefix, unsigned depth)
{
    char path[4096], name[NAME_BYTES_MAX + 1];
    struct dirent **entries;
    int n, i;

    if (depth > 3 ||
        (size_t)snprintf(path, sizeof(path), "%s/%s", directory(), prefix) >= sizeof(path))
        return;
    n = scandir(path, &entries, is_zone, alphasort);
    if (n < 0) {
        search->no_memory |= errno == ENOMEM;
        return;
    }
    for (i = 0; i < n; i++) {
        if ((size_t)snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "/" : "",
                             entries[i]->d_name) < sizeof(name)) {
            consider(search, name);
            if (entries[i]->d_type == DT_DIR)
                walk(search, name, depth + 1);
        }
        free(entries[i]);
    }
    free(entries);
}

int zones_suggest(const char *name, struct arena *arena, const char **ret_name)
{
    struct search search = {
        .name = name,
        .arena = arena,
        .suggest = suggest_begin((struct kpi_string){name, strlen(name)}),
    };

    /* the one that everybody looks for and IANA does not have */
    if (strcasecmp(name, "Asia/Beijing") == 0 || strcasecmp(name, "Beijing") == 0) {
        *ret_name = "Asia/Shanghai";
        return 0;
    }
    walk(&search, "", 0);
    if (search.no_memory)
        return -ENOMEM;
    *ret_name = search.same ? search.same : search.suggest.best;
    return 0;
}
