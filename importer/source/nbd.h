/* A disk on an NBD server, read over libnbd: asynchronous, many requests in flight on each
 * connection, several connections where the server allows it.
 *
 * Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md; fixed newstyle with
 * structured replies and the metadata context "base:allocation".
 */
#ifndef IMPORTER_SOURCE_NBD_H
#define IMPORTER_SOURCE_NBD_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "importer/base/retry.h"

enum vf_nbd_tls {
    VF_NBD_TLS_OFF,          /* in the clear: for a private Unix socket */
    VF_NBD_TLS_CERTIFICATES, /* X.509; the server's name is checked when `host` is given */
    VF_NBD_TLS_PSK,          /* pre-shared key */
};

struct vf_nbd_options {
    const char *unix_socket; /* path; or NULL, and: */
    const char *host;        /* a name is resolved without looking at the cancellation */
    const char *port;        /* NULL: "10809" */
    const char *export_name; /* NULL: the default export, "" */

    /* Other than off: a server that offers no TLS is refused. */
    enum vf_nbd_tls tls;
    const char *tls_dir;      /* certificates: ca-cert.pem, and client-cert.pem with client-key.pem
                                 for a server that asks for one */
    const char *tls_username; /* PSK */
    const char *tls_psk_file; /* PSK: lines "username:hexkey" */

    unsigned connections;   /* at most; 0: 1. More than one only where the server says that
                               it may be (NBD_FLAG_CAN_MULTI_CONN) */
    unsigned in_flight;     /* requests a connection, at most 1024; 0: 64 */
    uint32_t request_bytes; /* what is read at once, rounded to what the server takes; 0: 256 KiB */
    unsigned connect_timeout_ms;  /* from the connect to the end of the negotiation; 0: 15 s */
    unsigned stall_timeout_ms;    /* no byte for this long although something was asked: the
                                     connection is given up; 0: 60 s */
    struct vf_retry_policy retry; /* of connecting, each time; max_tries (0: 5) is also how often
                                     the same piece is asked for */

    /* Called by the thread that reads, with no lock held, to add to an error what else is known
     * about the server. NULL: none. */
    void (*explain)(void *opaque, struct vf_error **err);
    void *explain_opaque;

    const struct vf_cancel *cancel; /* may be NULL; must outlive the disk */
};

/* Connect and learn the size. Strings are copied.
 *
 * pread: any alignment and any number of threads; pieces of request_bytes of all the calls that are
 * under way go over all connections at once, straight into the callers' buffers. extents: one
 * request to the server a window of 1 GiB; what a server does not tell is data, and so is a hole
 * that it does not say reads as zero. Memory does not depend on the disk's size; for the
 * answers to extents it is at most 128 KiB a call here, 16 MiB in libnbd.
 *
 * A connection that is lost, stalls, or on which one piece fails twice is replaced, and what was in
 * flight on it is asked for again. A server that then shows another size is VF_CONFLICT,
 * one that is not to be found any more VF_RETRY.
 *
 * Errors, here and at reads: VF_RETRY (unreachable, lost, stalled, EIO and the like, each beyond
 * the limits of `retry`), VF_MISSING (no such socket, host, export or TLS file), VF_AUTH (TLS; or
 * the server forbids it), VF_INVALID (no NBD server, or one that breaks the protocol; options that
 * contradict each other), VF_UNSUPPORTED (the server demands TLS; libnbd without TLS), VF_RANGE
 * (outside the disk), VF_CANCELLED (within a second). After any but VF_CANCELLED the disk may be
 * used again. */
int vf_nbd_disk_open(const struct vf_nbd_options *options, struct vf_disk **ret_disk,
                     struct vf_error **err);

struct vf_nbd_facts {
    bool has_extents;     /* the server tells what is zero */
    unsigned connections; /* that may be used */
    uint32_t min_bytes;   /* alignment of requests on the wire; 1: none */
    uint32_t request_bytes;
    uint64_t losses; /* connections that were lost or given up since the disk was opened */
};

/* Of a disk that vf_nbd_disk_open gave. Any thread. */
void vf_nbd_disk_get_facts(struct vf_disk *disk, struct vf_nbd_facts *ret_facts);

#endif
