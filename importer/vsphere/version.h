/* Which version of the vim25 API to speak with a server. */
#ifndef IMPORTER_VSPHERE_VERSION_H
#define IMPORTER_VSPHERE_VERSION_H

#include <stddef.h>

#include <vmferry/error.h>

/* From the text of /sdk/vimServiceVersions.xml, the highest version of urn:vim25 that is not above
 * the newest one we know; internal names ("uA046D008") are passed over. VF_UNSUPPORTED when all are
 * older than VF_VIM_MIN_VERSION, VF_INVALID when there are none. Caller frees *ret_version. */
int vf_vim_parse_versions(const char *data, size_t len, char **ret_version, struct vf_error **err);

/* <0, 0, >0 like strcmp, number by number ("6.7" < "6.7.1" < "6.10"). Both must be dotted numbers:
 * anything else counts as older than everything. */
int vf_vim_compare_versions(const char *a, const char *b);

#endif
