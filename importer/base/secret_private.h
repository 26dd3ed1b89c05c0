/* What secret.c and secret_prompt.c share. */
#ifndef IMPORTER_BASE_SECRET_PRIVATE_H
#define IMPORTER_BASE_SECRET_PRIVATE_H

#include "importer/base/secret.h"

/* The first line of text; `what` names it in errors. The caller wipes text. */
int vf_secret_from_line(const char *text, size_t len, const char *what,
                        struct vf_secret **ret_secret, struct vf_error **err);

#endif
