/* What nbd.c (the disk: calls, the queue), nbd_connect.c (how a connection is had) and nbd_link.c
 * (a connection's thread) share. */
#ifndef IMPORTER_SOURCE_NBD_PRIVATE_H
#define IMPORTER_SOURCE_NBD_PRIVATE_H

#include <libnbd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/disk.h>

#include "importer/source/nbd.h"

#define VF_NBD_MAX_CONNECTIONS 64u
#define VF_NBD_MAX_IN_FLIGHT   1024u
#define VF_NBD_MAX_AREAS       8192u

/* One answer's worth of base:allocation. */
struct vf_nbd_area {
    uint32_t length_bytes, flags;
};

/* One call of pread or extents; lives on the caller's stack. */
struct vf_nbd_request {
    struct vf_nbd_request *next; /* in the queue, as long as something is not handed out */
    uint8_t *buf;                /* of next_bytes; NULL: block status */
    uint64_t next_bytes, end_bytes;
    unsigned under_way; /* pieces that a link holds */
    int rc;             /* the first failure; no further piece is handed out then */
    struct vf_error *error;
    pthread_cond_t done;

    /* Block status, one piece; written by the link that holds it alone. */
    struct vf_nbd_area *areas;
    unsigned n_areas;
};

enum vf_nbd_slot_state {
    VF_NBD_FREE,
    VF_NBD_WAITING, /* to be asked for, again perhaps */
    VF_NBD_ASKED,
    VF_NBD_ANSWERED,
};

struct vf_nbd_link;

/* One piece of a request. Of the link's thread alone, but for what `request` points to. */
struct vf_nbd_slot {
    struct vf_nbd_link *link;
    enum vf_nbd_slot_state state;
    struct vf_nbd_request *request;
    uint8_t *buf; /* NULL: block status */
    uint64_t offset_bytes;
    uint32_t length_bytes;
    unsigned tries;
    int64_t not_before_ms, asked_ms;
    int errnum; /* of the answer; 0: success */
};

struct vf_nbd_disk;

struct vf_nbd_link {
    struct vf_nbd_disk *disk;
    pthread_t thread;
    bool has_thread;
    int wake_fd; /* eventfd */

    /* Under disk->lock. */
    bool sleeping;  /* would take work: wake it when there is some */
    bool connected; /* for the others to know; the thread itself looks at handle */

    /* Of the thread alone. */
    struct nbd_handle *handle; /* NULL: not connected */
    bool renew;                /* no more requests: connect again once the last is answered */
    struct vf_nbd_slot *slots; /* disk->in_flight of them */
    unsigned held, asked;      /* slots that are not free; of them with the server */
    int64_t heard_ms;          /* when the last bytes came, or the first request went out */
    int64_t connect_after_ms;  /* after a failure, with nothing held */
};

struct vf_nbd_disk {
    struct vf_disk base;
    char *unix_socket, *host, *port, *export_name;
    enum vf_nbd_tls tls;
    char *tls_dir, *tls_username, *tls_psk_file;
    char *label; /* of errors: "/run/x/socket", "host:10809, export \"a\"" */
    unsigned in_flight;
    uint32_t request_bytes, min_bytes;
    bool has_extents;
    int64_t connect_timeout_ms, stall_timeout_ms;
    struct vf_retry_policy retry; /* without zeros */
    void (*explain)(void *opaque, struct vf_error **err);
    void *explain_opaque;
    struct vf_cancel *cancel; /* child of the caller's; triggered by free */

    /* Guards what is below and, where they say so, the links. */
    pthread_mutex_t lock;
    struct vf_nbd_request *first, **last;
    bool stop;
    uint64_t losses;

    unsigned n_links;
    struct vf_nbd_link *links;
};

/* What one server says of itself in its handshake. */
struct vf_nbd_server {
    uint64_t size_bytes;
    uint32_t min_bytes, max_bytes; /* 1 and UINT32_MAX when it does not say */
    bool has_extents, multi_conn;
};

/* One try. Any thread. */
int vf_nbd_connect(const struct vf_nbd_disk *d, struct nbd_handle **ret_handle,
                   struct vf_nbd_server *ret_server, struct vf_error **err);

/* Tell the server good-bye, if it can be told at once. NULL is fine. */
void vf_nbd_disconnect(struct nbd_handle *handle);

/* The error for what libnbd or the server said; its text is cleaned. */
int vf_nbd_error(struct vf_error **err, int errnum, const char *text, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Wait for the handle's socket, the wake_fd (-1: none) and the cancellation, then let libnbd do
 * its part. *ret_heard: bytes came, or the other end closed. VF_RETRY when the connection is lost;
 * a cancellation is not looked at. */
int vf_nbd_poll(struct nbd_handle *handle, int wake_fd, const struct vf_cancel *cancel,
                int64_t timeout_ms, bool *ret_heard, struct vf_error **err);

/* The link's thread. */
void *vf_nbd_link_run(void *link);

/* Under disk->lock: give each waiting link a reason to look at the queue. */
void vf_nbd_wake(struct vf_nbd_disk *d);

#endif
