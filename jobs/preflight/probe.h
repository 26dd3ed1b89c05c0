/* Private to the probes: what they share. A probe is one attempt at something real; it leaves one
 * result or more, and nothing else.
 */
#ifndef JOBS_PREFLIGHT_PROBE_H
#define JOBS_PREFLIGHT_PROBE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "importer/vsphere/lease.h"
#include "jobs/preflight/path_facts.h"

/* What they found out. */
struct vf_probe_log {
    pthread_mutex_t lock; /* of what follows */
    struct vf_path_facts facts;
};

/* Borrowed; the same for all of them while they run. */
struct vf_probes {
    struct vf_vsphere *vs; /* the probes' own session; NULL: none could be had */
    const struct vf_http_options *http;
    const struct vf_check_options *options;
    const struct vf_source_facts *source;
    const struct vf_vm *vms;
    size_t n_vms;
    struct vf_reporter *reporter;
    const struct vf_cancel *limit; /* the caller's cancellation, or the end of the time */
    const char *no_session;        /* why there is none */
    struct vf_probe_log *log;
};

/* Whose attempt it is. */
struct vf_probe_of {
    enum vf_transport_kind transport;
    const struct vf_vm *vm;      /* may be NULL */
    const char *datastore;       /* may be NULL */
    const char *datastore_moref; /* may be NULL */
    const char *object;          /* may be NULL */
    bool guessed;                /* as of the result */
    bool at_host;                /* a failure to reach something is one of `object` */
};

/* Each adds a result. Any thread. */
void vf_probe_good(const struct vf_probes *p, const struct vf_probe_of *of, double bytes_per_s);
/* Takes *err (freed), and says by it what failed: at a host NAME, PORT, CERTIFICATE or REFUSED,
 * else REFUSED; an end by the limit is NOT_TRIED. */
void vf_probe_failed(const struct vf_probes *p, const struct vf_probe_of *of,
                     struct vf_error **err);
/* The same of a datastore's file. */
void vf_probe_file_failed(const struct vf_probes *p, const struct vf_probe_of *of,
                          struct vf_error **err);
void vf_probe_not_tried(const struct vf_probes *p, const struct vf_probe_of *of, const char *why,
                        const char *hint);
bool vf_probe_is_over(const struct vf_probes *p); /* no time is left, or it is cancelled */

/* --- the probes; one thread each ---------------------------------------------------------- */

/* A host whose export URLs nobody has seen, by its name in vCenter. */
void vf_probe_host(const struct vf_probes *p, const struct vf_vm *vm, const struct vf_host *host);

/* The export of a VM that is off, or of a snapshot: opened, its first disk read for a moment,
 * ended. *ret_seen: a URL came, so that the host needs no probe of its own. */
void vf_probe_nfc(const struct vf_probes *p, const struct vf_vm *vm, const char *snapshot,
                  bool *ret_seen);

/* A disk of the VM, as a file, on the datastore that disk `like` of any VM is on. `vm` as it is; a
 * running one may be refused. */
void vf_probe_https(const struct vf_probes *p, const struct vf_vm *vm,
                    const struct vf_vm_disk *like);

/* The first disk by VMware's library; the VM is off, or `vm` is what the snapshot froze. */
void vf_probe_vddk(const struct vf_probes *p, const struct vf_vm *vm, const char *snapshot);

/* A snapshot of a running VM, read by each transport that may be used, and removed again. */
void vf_probe_snapshot(const struct vf_probes *p, const struct vf_vm *vm, bool *ret_seen);

#endif
