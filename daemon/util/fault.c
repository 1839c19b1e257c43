/* Crash points: see fault.h. */
#include "util/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void fault_point(const char *name)
{
    static atomic_long n_passed;
    const char *wanted = getenv("KPID_FAULT");
    size_t length = strlen(name);

    if (!wanted || strncmp(wanted, name, length) != 0 || wanted[length] != ':')
        return;
    if (atomic_fetch_add(&n_passed, 1) + 1 == atol(wanted + length + 1))
        (void)raise(SIGKILL);
}
