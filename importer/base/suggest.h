/* "Did you mean ...?" */
#ifndef IMPORTER_BASE_SUGGEST_H
#define IMPORTER_BASE_SUGGEST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b, ASCII letters' case not
 * counted; bytes of other characters are compared as they are. */
size_t vf_suggest_distance(const char *a, const char *b);

/* Fewest edits of `word` among the candidates, or one that begins with it; NULL when none is near.
 * Borrowed from candidates. */
const char *vf_suggest(const char *word, const char *const *candidates, size_t n_candidates);

#endif
