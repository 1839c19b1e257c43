/* What the main thread would tell the API: all is well, two receivers. Borrowed for ever. */
#pragma once

#include "api/api.h"

struct api_status status_fixture(void);
