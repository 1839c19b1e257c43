/*
 * The error model (after dbus-broker's): 0 is success; a negative errno is fatal and only passed
 * up; a positive value is an outcome that the callee's header names and the caller handles. The
 * origin and the way of a fatal error are logged at debug level.
 */
#pragma once

#include <errno.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

int error_trace_at(int r, const char *file, int line, const char *function);

/* Where a fatal error is first seen: error_origin(-ENOMEM). */
#define error_origin(r) error_trace_at((r), __FILE__, __LINE__, __func__)
/* Where it is passed on: return error_trace(r). */
#define error_trace(r) error_trace_at((r), __FILE__, __LINE__, __func__)
