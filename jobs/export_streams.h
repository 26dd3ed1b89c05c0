/* The disks of an export lease as streams, several at once, while the lease is kept alive by how
 * far they are. What becomes of a stream is its taker's.
 */
#ifndef JOBS_EXPORT_STREAMS_H
#define JOBS_EXPORT_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/stream.h>
#include <vmferry/vm.h>

#include "importer/base/http.h"
#include "importer/vsphere/lease.h"

/* `disk` is an index into the VM's. All are required. */
struct vf_export_taker {
    /* Whether this disk is to be read at all. */
    bool (*wants)(void *opaque, size_t disk);
    /* Read its streamOptimized VMDK to the end. Called again, with a stream from the start, after
     * VF_RETRY; every disk on a thread of its own. */
    int (*take)(void *opaque, size_t disk, struct vf_stream *in, struct vf_cancel *cancel,
                struct vf_error **err);
    /* It is over, however it went; `error` NULL when good. On the thread of `take`. */
    void (*ended)(void *opaque, size_t disk, const struct vf_error *error);
    /* How much of its content came by so far. Any thread. */
    uint64_t (*get_done_bytes)(void *opaque, size_t disk);
};

struct vf_export_streams {
    struct vf_lease *lease;             /* ready */
    const struct vf_vm *vm;             /* what is exported: the frozen one for a snapshot */
    const struct vf_http_options *http; /* how vCenter is trusted: for a host without thumbprint */
    struct vf_reporter *reporter;       /* may be NULL */
    unsigned parallel;                  /* disks at once; 0: 4 */
    struct vf_cancel *cancel;           /* triggered on failure */
    const struct vf_export_taker *taker;
    void *opaque;
};

/* 0: every disk that is wanted was taken wholly. The lease stays open: complete or abort it. The
 * error names the disk; a lease that was lost is told as the cause (vf_lease_explain). */
int vf_export_streams_run(const struct vf_export_streams *x, struct vf_error **err);

/* A client for a device's URL, which leads to an ESXi host with a certificate of its own, whose
 * thumbprint vCenter vouches for; where it gives none, the host is trusted as vCenter is. */
int vf_export_connect(const struct vf_http_options *vcenter, const struct vf_lease_device *device,
                      const struct vf_cancel *cancel, struct vf_http **ret_http,
                      struct vf_error **err);

/* Open the export of a snapshot, or of the VM itself when `snapshot` is NULL. Waits while the VM is
 * busy, up to 7 minutes: an export of a program that was killed holds it until its lease times out
 * (300 s have been seen). `reporter` (may be NULL) is told of that once. */
int vf_export_open(struct vf_vsphere *vs, const struct vf_vm *vm, const char *snapshot,
                   struct vf_reporter *reporter, struct vf_lease **ret_lease,
                   struct vf_error **err);

#endif
