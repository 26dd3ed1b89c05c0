/* What a user types as the address of a vCenter or ESXi host. */
#ifndef IMPORTER_VSPHERE_URL_H
#define IMPORTER_VSPHERE_URL_H

#include <vmferry/error.h>

/* "https://vc.example:8443/sdk", "vc.example", "[::1]:443": *ret_authority is "vc.example:8443",
 * *ret_host that without port (brackets kept). VF_INVALID for http, user info (a password does not
 * belong into a URL; it is not quoted), other paths and stray characters. */
int vf_vsphere_parse_url(const char *url, char **ret_authority, char **ret_host,
                         struct vf_error **err);

/* A device URL of a lease with its host of '*' replaced: by `authority` when it names no port, by
 * `host` else, so that a forwarded port works too. VF_INVALID for anything but https. */
int vf_vsphere_map_device_url(const char *url, const char *authority, const char *host,
                              char **ret_url, struct vf_error **err);

#endif
