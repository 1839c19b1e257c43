/*
 * YAML reads some signs of an expression itself. What it has cut is reported once, with how to
 * write it, and its nodes are marked broken, so that nobody complains of the pieces.
 */
#pragma once

#include "config/doc.h"

/*
 * {formula: f(a, b)} reads as the keys "formula" and "b)", the latter without value: the comma was
 * the expression's. Says so, and drops the pieces, which would only be unknown keys: up to where
 * the expression closes, else those without value.
 */
void doc_mend_mapping(struct report *report, struct doc_node *mapping);

/* The same for [type == "a", f(b, c)]: a part that others of the list close. */
void doc_mend_list(struct report *report, struct doc_node *list);

/* channel == "a #b": a comment to YAML, whatever it stands in. True: it was one, and reported. */
bool doc_refuse_comment(struct report *report, struct doc_node *node);

/* What libyaml's problem at an offset means to who wrote an expression there, or NULL. */
const char *doc_syntax_hint(const struct doc_file *file, const char *problem, uint32_t offset);
