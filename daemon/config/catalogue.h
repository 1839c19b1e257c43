/* config/catalogue.yaml, compiled into the binary. */
#pragma once

#include <stddef.h>

extern const char config_catalogue[];
extern const size_t config_catalogue_size;
