/* nbdkit as a subprocess that serves one disk, read-only, on a private Unix socket.
 *
 * It lives in a process group of its own, ends with vmferry however that ends (kill -9 too), and
 * is told TERM, then KILL. Its standard error is kept for the errors of those who read the disk.
 */
#ifndef IMPORTER_SOURCE_NBDKIT_H
#define IMPORTER_SOURCE_NBDKIT_H

#include <sys/types.h>

#include <vmferry/cancel.h>
#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "importer/base/secret.h"
#include "importer/source/nbd.h"

struct vf_nbdkit_options {
    const char *program;           /* path, or a name looked up in PATH; NULL: "nbdkit" */
    const char *plugin;            /* name, or path of a shared object */
    const char *const *filters;    /* names, the one next to the client first, then NULL */
    const char *const *parameters; /* "key=value", then NULL. Everybody on the machine can read
                                      them: no secrets */
    /* A secret for the parameter of this name, handed over in memory ("key=-FD"); NULL: none. */
    const char *secret_key;
    const struct vf_secret *secret;

    unsigned threads;          /* requests worked on at once, of each connection; 0: 64, as many as
                                  vf_nbd_options has in flight */
    unsigned start_timeout_ms; /* until it listens; 0: 30 s */
    /* How often it is started again when it ends by itself. Only for plugins that show the same
     * bytes then: not "memory". */
    unsigned restarts;

    const struct vf_cancel *cancel; /* may be NULL; must outlive the server */
};

struct vf_nbdkit;

/* Returns when it listens. Strings are copied. VF_MISSING (no such program), VF_INTERNAL (it ended
 * at once; the error has the end of its standard error), VF_RETRY (not ready in time), VF_INVALID
 * (a file path too long for a socket), VF_CANCELLED. */
int vf_nbdkit_start(const struct vf_nbdkit_options *options, struct vf_nbdkit **ret_server,
                    struct vf_error **err);

/* Ends it, within 3 s, and removes its socket. After its disks. NULL is fine. */
void vf_nbdkit_free(struct vf_nbdkit *k);

/* Borrowed. */
const char *vf_nbdkit_get_socket(const struct vf_nbdkit *k);

/* Of the process that runs now; 0 when none does. Any thread. */
pid_t vf_nbdkit_get_pid(const struct vf_nbdkit *k);

/* Add to *err (may be NULL) the last that the server said on its standard error, as the frame of an
 * error; waits up to a second for it to say something new. Any thread; fit for
 * vf_nbd_options.explain. */
void vf_nbdkit_explain(void *server, struct vf_error **err);

/* The disk it serves, with errors that tell what the server said. `options` may be NULL; its
 * address, TLS, explain and cancel are the server's. It must outlive the disk. Errors as
 * of vf_nbd_disk_open. */
int vf_nbdkit_open_disk(struct vf_nbdkit *k, const struct vf_nbd_options *options,
                        struct vf_disk **ret_disk, struct vf_error **err);

#endif
