/* definitions.schema.json, compiled into the binary. */
#pragma once

#include <stddef.h>

extern const char config_definitions_schema[];
extern const size_t config_definitions_schema_size;
