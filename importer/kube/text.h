/* Texts of a peer, made fit for a message. */
#ifndef IMPORTER_KUBE_TEXT_H
#define IMPORTER_KUBE_TEXT_H

#include <stddef.h>

/* One line with nothing that a terminal would obey, at most max_bytes (then with "..." behind).
 * NULL gives "". Caller frees. */
char *vf_kube_clean_text(const char *text, size_t max_bytes);

#endif
