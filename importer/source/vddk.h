/* A vSphere disk through VMware's own library (VDDK), which the user brings along: nbdkit's vddk
 * plugin loads it, in a process of its own.
 *
 * Source of the parameters: nbdkit-vddk-plugin(1).
 */
#ifndef IMPORTER_SOURCE_VDDK_H
#define IMPORTER_SOURCE_VDDK_H

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/base/secret.h"
#include "importer/source/nbdkit.h"

struct vf_vddk_options {
    const char *program; /* nbdkit; NULL: looked up in PATH */
    const char *plugin;  /* NULL: "vddk"; or path of the shared object */
    const char *libdir;  /* the unpacked vmware-vix-disklib-distrib */
    const char *server;  /* vCenter or ESXi: name or address */
    const char *port;    /* NULL: 443 */
    const char *user;
    const struct vf_secret *password;
    const char *thumbprint;  /* SHA-1 of the server's certificate: 20 pairs of hex digits, with
                                colons or without */
    const char *vm;          /* moref: "vm-16" */
    const char *snapshot;    /* moref: "snapshot-17"; NULL: the VM is off */
    const char *file;        /* "[datastore] folder/disk.vmdk", as the snapshot names it */
    const char *transports;  /* "nbdssl:nbd"; NULL: the library chooses */
    const char *compression; /* "none", "zlib", "fastlz", "skipz"; NULL: none */

    const struct vf_cancel *cancel; /* may be NULL; must outlive the server */
};

/* Why vddk cannot be used, or 0 and the library's version ("8"; "unknown" where the plugin does
 * not tell; caller frees; ret_version may be NULL). Starts nbdkit for a moment; no network.
 * Of `options` program, plugin, libdir and cancel are looked at.
 *
 * VF_MISSING: no nbdkit, nbdkit without the plugin, no library in libdir, told apart by the text
 * and each with a hint; VF_UNSUPPORTED: the library cannot be loaded; VF_CANCELLED, VF_RETRY (no
 * answer in 30 s). */
int vf_vddk_probe(const struct vf_vddk_options *options, char **ret_version, struct vf_error **err);

/* Serve the disk. The library logs in when the disk is opened (vf_nbdkit_open_disk), so that a
 * wrong password is an error of that. Errors as of vf_nbdkit_start; VF_INVALID for a thumbprint or
 * a moref that is none, or a value that is missing. */
int vf_vddk_start(const struct vf_vddk_options *options, struct vf_nbdkit **ret_server,
                  struct vf_error **err);

/* "A1:B2:...", as the library wants it, of 40 hex digits with or without colons; NULL for anything
 * else. Caller frees. */
char *vf_vddk_spell_thumbprint(const char *text);

#endif
