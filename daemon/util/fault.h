/*
 * Named crash points, compiled in with -Dfaults=true only: the process kills itself with SIGKILL at
 * the n-th pass of the point that the environment names, KPID_FAULT=name:n. Nothing runs after it,
 * as when the power goes.
 */
#pragma once

#ifdef KPID_FAULTS
void fault_point(const char *name);
#else
static inline void fault_point(const char *name)
{
}
#endif
