/* Open a file that an untrusted document names, without leaving the document's folder. */
#ifndef CONVERTERS_DISK_OPEN_BENEATH_H
#define CONVERTERS_DISK_OPEN_BENEATH_H

#include <stdbool.h>

#include <vmferry/error.h>

/* Whether a name stays in its folder as far as its text goes: relative, no "..", no backslash, no
 * control characters. */
bool vf_name_is_beneath(const char *name);

/* Open the regular file `name` below dir_fd for reading. VF_INVALID when the name, or a symbolic
 * link on its way, leads out of that folder, or when it is no regular file; VF_MISSING. */
int vf_open_beneath(int dir_fd, const char *name, int *ret_fd, struct vf_error **err);

#endif
