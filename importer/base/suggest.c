#include "importer/base/suggest.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"

/* The table is quadratic; names are shorter than this, and longer ones were not mistyped by hand.
 */
#define MAX_LEN 128

static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: three rows of the table are alive at a time. */
size_t vf_suggest_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > MAX_LEN || nb > MAX_LEN) {
        return SIZE_MAX;
    }
    size_t rows[3][MAX_LEN + 1];
    for (size_t j = 0; j <= nb; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            bool same = fold(a[i - 1]) == fold(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1])) {
                row[j] = least(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[na % 3][nb];
}

const char *vf_suggest(const char *word, const char *const *candidates, size_t n_candidates)
{
    size_t len = strlen(word);
    size_t best = len / 3 + 1; /* a third of it mistyped is as far as a guess goes */
    const char *found = NULL;
    for (size_t i = 0; i < n_candidates; i++) {
        size_t distance = vf_suggest_distance(word, candidates[i]);
        /* "--pass" is nearer to "--password-file" than counting says. */
        if (len >= 3 && strncasecmp(word, candidates[i], len) == 0) {
            distance = 1;
        }
        if (distance <= best && (!found || distance < best)) {
            best = distance;
            found = candidates[i];
        }
    }
    return found;
}
