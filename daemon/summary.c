/* Published rows: see summary.h. The byte form is the struct's own, little-endian like all hosts
 * that Debian's librdkafka of this generation is built for; the object's version guards its layout.
 * Behind it stand the frames of the supplement and the answers, as far as there are any.
 */
#include "summary.h"

#include "util/error.h"
#include "util/memory.h"

#include <kpi/object.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_VERSION 3

struct summary *summary_new(uint32_t n_rows)
{
    struct summary *summary = calloc(1, sizeof(*summary) + n_rows * sizeof(struct kpi_row));

    if (summary)
        summary->n_rows = n_rows;
    return summary;
}

struct summary *summary_free(struct summary *summary)
{
    if (summary) {
        (void)kpi_supplement_unref(summary->supplement);
        (void)kpi_answers_unref(summary->answers);
    }
    free(summary);
    return NULL;
}

static size_t summary_size(uint32_t n_rows)
{
    return sizeof(struct summary) + n_rows * sizeof(struct kpi_row);
}

/* A frame that goes along: the supplement, the answers. */
struct frame {
    void *bytes; /* NULL: there is none */
    size_t size;
};

static int frames_encode(const struct summary *summary, struct frame *supplement,
                         struct frame *answers)
{
    int r = 0;

    if (summary->supplement)
        r = kpi_supplement_encode(summary->supplement, &memory_kpi, &supplement->bytes,
                                  &supplement->size);
    if (r == 0 && summary->answers)
        r = kpi_answers_encode(summary->answers, &memory_kpi, &answers->bytes, &answers->size);
    return r;
}

static char *put_frame(char *at, const struct frame *frame)
{
    if (frame->size)
        memcpy(at, frame->bytes, frame->size);
    return at + frame->size;
}

int summary_encode(const struct summary *summary, void **ret_bytes, size_t *ret_size)
{
    struct frame supplement = {NULL, 0}, answers = {NULL, 0};
    size_t size = summary_size(summary->n_rows);
    struct summary *payload;
    char *bytes = NULL;

    if (frames_encode(summary, &supplement, &answers) == 0)
        bytes = malloc(KPI_OBJECT_HEADER_BYTES + size + supplement.size + answers.size);
    if (bytes) {
        payload = (struct summary *)(bytes + KPI_OBJECT_HEADER_BYTES);
        memcpy(payload, summary, size);
        payload->supplement = NULL; /* an address means nothing elsewhere */
        payload->answers = NULL;
        (void)put_frame(put_frame((char *)payload + size, &supplement), &answers);
        size += supplement.size + answers.size;
        kpi_object_seal(bytes, KPI_OBJECT_SUMMARY, SUMMARY_VERSION, size);
        *ret_bytes = bytes;
        *ret_size = KPI_OBJECT_HEADER_BYTES + size;
    }
    kpi_mem_free(&memory_kpi, supplement.bytes, supplement.size);
    kpi_mem_free(&memory_kpi, answers.bytes, answers.size);
    return bytes ? 0 : error_origin(-ENOMEM);
}

/* The next frame of what is left, if it is of that kind; else none. kpi/object.h says where. */
static struct frame take_frame(const char **at, size_t *left, enum kpi_object_kind kind)
{
    struct frame frame = {NULL, 0};
    uint64_t length;
    uint16_t is;

    if (*left < KPI_OBJECT_HEADER_BYTES)
        return frame;
    memcpy(&is, *at + 4, sizeof(is));
    memcpy(&length, *at + 8, sizeof(length));
    if (is != kind || length > *left - KPI_OBJECT_HEADER_BYTES)
        return frame;
    frame = (struct frame){(char *)*at, KPI_OBJECT_HEADER_BYTES + length};
    *at += frame.size;
    *left -= frame.size;
    return frame;
}

/* What stands behind the rows. 0, SUMMARY_E_CORRUPT or -ENOMEM. */
static int frames_decode(struct summary *summary, const char *at, size_t left)
{
    struct frame supplement = take_frame(&at, &left, KPI_OBJECT_SUPPLEMENT);
    struct frame answers = take_frame(&at, &left, KPI_OBJECT_ANSWERS);
    int r = left ? SUMMARY_E_CORRUPT : 0;

    if (r == 0 && supplement.bytes)
        r = kpi_supplement_decode(&summary->supplement, supplement.bytes, supplement.size,
                                  &memory_kpi);
    if (r == 0 && answers.bytes)
        r = kpi_answers_decode(&summary->answers, answers.bytes, answers.size, &memory_kpi);
    return r > 0 ? SUMMARY_E_CORRUPT : r;
}

int summary_decode(struct summary **ret_summary, const void *bytes, size_t size)
{
    struct summary *summary;
    const char *payload;
    uint16_t version;
    uint32_t n_rows;
    size_t length;
    int r;

    if (kpi_object_open(bytes, size, KPI_OBJECT_SUMMARY, SUMMARY_VERSION, &version,
                        (const void **)&payload, &length) != 0 ||
        version != SUMMARY_VERSION || length < sizeof(struct summary))
        return SUMMARY_E_CORRUPT;
    memcpy(&n_rows, payload + offsetof(struct summary, n_rows), sizeof(n_rows));
    size = summary_size(n_rows);
    if (length < size)
        return SUMMARY_E_CORRUPT;
    summary = summary_new(n_rows);
    if (!summary)
        return error_origin(-ENOMEM);
    memcpy(summary, payload, size);
    summary->supplement = NULL; /* whatever the bytes say */
    summary->answers = NULL;
    r = frames_decode(summary, payload + size, length - size);
    if (r != 0) {
        (void)summary_free(summary);
        return r < 0 ? error_origin(r) : r;
    }
    *ret_summary = summary;
    return 0;
}
