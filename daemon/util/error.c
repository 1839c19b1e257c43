/* The trail of a fatal error: one debug line where it began and one per function that passed it on.
 */
#include "error.h"

#include "log.h"

#include <string.h>

int error_trace_at(int r, const char *file, int line, const char *function)
{
    if (r < 0)
        log_debug("fatal error passes", LOG_ERRNO(r), LOG_STRING("file", file),
                  LOG_INT("line", line), LOG_STRING("function", function));
    return r;
}
