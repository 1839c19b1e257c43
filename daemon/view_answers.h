/* What view.c must know of a view's answers; all else is in view.h. */
#pragma once

#include "view.h"

struct view_answers *view_answers_free(struct view_answers *answers); /* NULL is fine */
