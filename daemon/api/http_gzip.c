#include "http.h"

#include "util/error.h"

#include <stdlib.h>
#include <zlib.h>

int http_gzip(const void *data, size_t size, void **ret_data, size_t *ret_size)
{
    z_stream stream = {0};
    size_t bound;
    void *zipped;
    int r;

    /* Level 1: an exposition shrinks tenfold at it, and level 6 takes three times as long for a
     * quarter less. 16 asks for the gzip frame. */
    if (deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return error_origin(-ENOMEM);
    bound = deflateBound(&stream, size);
    zipped = malloc(bound);
    if (!zipped) {
        (void)deflateEnd(&stream);
        return error_origin(-ENOMEM);
    }
    stream.next_in = (Bytef *)data;
    stream.avail_in = (uInt)size; /* answers are far below 4 GiB */
    stream.next_out = zipped;
    stream.avail_out = (uInt)bound;
    r = deflate(&stream, Z_FINISH);
    *ret_data = zipped;
    *ret_size = stream.total_out;
    (void)deflateEnd(&stream);
    /* deflateBound() promised that it fits. */
    if (r != Z_STREAM_END) {
        free(zipped);
        return error_origin(-EIO);
    }
    return 0;
}
