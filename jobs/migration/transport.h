/* Contract: how the bytes of a VM's disks, as one snapshot froze them, get to their targets.
 *
 * A transport is chosen once a snapshot is there, since only a real read tells what may be read
 * (vf_transport_choose), and serves any number of rounds. Implementations embed
 * `struct vf_transport` as their first member. One round at a time, from one thread.
 */
#ifndef JOBS_MIGRATION_TRANSPORT_H
#define JOBS_MIGRATION_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/sink.h>
#include <vmferry/vm.h>

#include "importer/base/areas.h"
#include "importer/base/pool.h"
#include "importer/vsphere/vsphere.h"

enum vf_transport_kind {
    VF_TRANSPORT_AUTO,
    VF_TRANSPORT_NFC,   /* the export is read whole, only what is to be copied is written */
    VF_TRANSPORT_HTTPS, /* ranges of the flat file through the datastore browser */
    VF_TRANSPORT_VDDK,  /* nbdkit with VMware's library, which the user brings along */
    VF_TRANSPORT_CDI,   /* CDI reads and writes; nothing passes through here */
};

/* One disk's part in a round. All borrowed. */
struct vf_transport_disk {
    size_t index;                  /* of the disk in the VM, and of its target */
    const struct vf_vm_disk *disk; /* as the snapshot froze it */
    /* What is to be copied; never empty, but in the last round of a transport that copies_itself:
     * to end them, it is given all disks then. */
    const struct vf_areas *todo;
    /* Takes what lies in `todo` and nothing else, every byte once, data or zero, in any order and
     * from several threads (VF_SINK_RANDOM, VF_SINK_PARALLEL). It counts progress and notes what
     * was flushed by itself. NULL with a transport that copies_itself. The caller flushes and frees
     * it. */
    struct vf_sink *sink;
    struct vf_progress *progress; /* the transport counts source_bytes; the sink counts the rest */
    const char *base_change_id;   /* of what `todo` is counted from; NULL: the disk in full */
};

struct vf_transport_round {
    const char *snapshot;       /* moref; the VM may be on or off */
    const struct vf_vm *frozen; /* as the snapshot froze it, with the VM's live facts */
    const struct vf_transport_disk *disks;
    size_t n_disks; /* those with something to copy: at least one */
};

struct vf_transport;

struct vf_transport_ops {
    /* Copy every byte of every todo. 0: all of it is in the sinks, not yet flushed. Leaves no lease
     * and no process behind, however it ends; `cancel` is triggered on failure. VF_RETRY: the same
     * round may be tried again, for what is then left of it. An error with one of the reasons of
     * importer/source/datastore.h, or VF_UNSUPPORTED: not by this transport; another may do. */
    int (*copy)(struct vf_transport *t, const struct vf_transport_round *round,
                struct vf_cancel *cancel, struct vf_error **err);
    void (*free)(struct vf_transport *t);
};

struct vf_transport {
    const struct vf_transport_ops *ops;
    enum vf_transport_kind kind;
    bool copies_itself; /* sinks are NULL */
    bool last; /* set by the caller before the copy of the last round: nothing follows it */
};

/* What transports share. Borrowed, itself too; must outlive them. */
struct vf_transport_env {
    struct vf_vsphere *vs;
    struct vf_pool *pool;
    struct vf_reporter *reporter;   /* may be NULL */
    const char *vm;                 /* for events */
    unsigned parallel_disks;        /* 0: 4 */
    const struct vf_cancel *cancel; /* of the choice; a round has its own. May be NULL */
};

/* Borrowed, itself too; must outlive the transport. */
struct vf_transport_options {
    enum vf_transport_kind kind;
    /* vddk */
    const char *vddk_libdir;     /* NULL: the user has none */
    const char *nbdkit_program;  /* NULL: looked up in PATH */
    const char *nbdkit_plugin;   /* NULL: "vddk" */
    const char *vddk_thumbprint; /* SHA-1 of vCenter's certificate; NULL: that of the session */
    const char *vddk_image;      /* cdi: with the library; NULL: as CDI is configured */
    const struct vf_secret *password; /* of the session's user */
    /* https, vddk: requests under way of one disk; 0: as many as serve best. */
    unsigned connections;
};

/* "auto", "nfc", ... Borrowed. */
const char *vf_transport_name(enum vf_transport_kind kind);

/* The transport that was asked for, or with AUTO the first of vddk (only where a library directory
 * is given, and a disk can be read with it), https (when a real read of every disk of the snapshot
 * is allowed), nfc. *ret_reason, a line for a person without the transport's name in front, says
 * why this one: the caller's to free. What was asked for by name and cannot be had is an error with
 * the reason and a hint; VF_RETRY: the server is in trouble, ask again. With AUTO nothing but a
 * cancellation is an error: nfc needs no more than vSphere itself. Takes seconds, half a minute at
 * worst for each that is tried. CDI is not made here (jobs/cluster/cdi_transport): VF_UNSUPPORTED.
 */
int vf_transport_choose(const struct vf_transport_options *options,
                        const struct vf_transport_env *env, const char *snapshot,
                        const struct vf_vm *frozen, struct vf_transport **ret_transport,
                        char **ret_reason, struct vf_error **err);
void vf_transport_free(struct vf_transport *t); /* NULL is fine */

int vf_transport_copy(struct vf_transport *t, const struct vf_transport_round *round,
                      struct vf_cancel *cancel, struct vf_error **err);

struct vf_transport *vf_transport_nfc_new(const struct vf_transport_env *env);
struct vf_transport *vf_transport_https_new(const struct vf_transport_options *options,
                                            const struct vf_transport_env *env);
struct vf_transport *vf_transport_vddk_new(const struct vf_transport_options *options,
                                           const struct vf_transport_env *env);

/* A real read of every disk that `frozen` has, within about half a minute. `cancel` may be NULL. */
int vf_transport_https_probe(struct vf_transport *t, const struct vf_vm *frozen,
                             const struct vf_cancel *cancel, struct vf_error **err);

/* Of what such a read, or another of a datastore's file, failed with, the part that a person can do
 * something with. Heap. */
char *vf_transport_explain_https(const struct vf_vm *vm, const struct vf_error *e);

/* The library loads, logs in, and reads from the first disk. `snapshot` NULL: the VM is off.
 * *ret_version is the caller's. */
int vf_transport_vddk_probe(struct vf_transport *t, const char *snapshot,
                            const struct vf_vm *frozen, const struct vf_cancel *cancel,
                            char **ret_version, struct vf_error **err);

#endif
