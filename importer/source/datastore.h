/* A flat VMDK as a disk, read by byte ranges over HTTPS through the datastore browser of a vCenter
 * or an ESXi host: GET /folder/DIR/NAME-flat.vmdk?dcPath=...&dsName=... (vSphere Web Services SDK
 * Programming Guide, "HTTP Access to vSphere Server Files").
 *
 * What is read is the base file alone. It stands still while the VM is off, or while a snapshot
 * sends the guest's writes elsewhere; the caller sees to that. Many datastores refuse the file of a
 * running VM, its frozen base too: opening one proves by real reads that this one may be read.
 */
#ifndef IMPORTER_SOURCE_DATASTORE_H
#define IMPORTER_SOURCE_DATASTORE_H

#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "importer/base/http.h"
#include "importer/base/retry.h"
#include "importer/base/secret.h"

/* The vSphere session's cookie as the value of a Cookie header ("vmware_soap_session=..."), the
 * caller's to free. `refused` is NULL, or a cookie that the server did not take: unless the session
 * has another one by now, it is renewed before this returns. Called by any thread that reads or
 * opens, by several at once, with no lock held; may block for a login. A VF_RETRY is tried again
 * within the limits of the read; other errors end it. */
typedef int vf_datastore_cookie_fn(void *opaque, const struct vf_secret *refused,
                                   struct vf_secret **ret_cookie, struct vf_error **err);

/* The reason (vf_error_reason) of what makes a disk unfit for this way of reading; another way may
 * do. Anything else, VF_AUTH without a reason and VF_RETRY above all, concerns the server. */
#define VF_DATASTORE_LOCKED    "DatastoreFileLocked"    /* status 500: a running VM has it */
#define VF_DATASTORE_FORBIDDEN "DatastoreFileForbidden" /* status 403: that, or a privilege */
#define VF_DATASTORE_MISSING   "DatastoreFileMissing"   /* status 404: that, or no such file */
#define VF_DATASTORE_NOT_FLAT  "DatastoreFileNotFlat"   /* a descriptor or sparse format, no file */
#define VF_DATASTORE_SIZE      "DatastoreFileSize"      /* not the size it should have */
#define VF_DATASTORE_NO_RANGES "DatastoreFileNoRanges"  /* the whole file is sent instead */

/* How many requests of one disk are under way at most, unless options say otherwise; as many
 * threads that read are worth having. */
#define VF_DATASTORE_REQUESTS 8

struct vf_datastore_options {
    /* Borrowed, must outlive the disk; disks of one server may share it, and its connections. */
    struct vf_http *http;
    const char *authority; /* "vc.example[:port]" */
    const char *scheme;    /* NULL: "https" */
    const char *dc_path;   /* "DC0", "folder/DC0"; ESXi: "ha-datacenter" */
    const char *file;      /* the base's backing: "[datastore1] web01/web01.vmdk" */
    uint64_t size_bytes;   /* what vSphere calls the disk's capacity; 0: whatever the file has */

    vf_datastore_cookie_fn *cookie;
    void *cookie_opaque; /* must outlive the disk */

    unsigned max_requests; /* under way at once; 0: VF_DATASTORE_REQUESTS */
    /* Of each read, until it has brought another 64 KiB: then tries and time count from the start.
     * Of each question at the opening too. NULL: 200 tries within 15 minutes, which a vCenter's
     * restart fits into; 6 within a minute at the opening. */
    const struct vf_retry_policy *retry;
    /* One request; 0: 5 minutes. At the opening 30 s at most. The client's stall time stands. */
    unsigned timeout_ms;
    const struct vf_cancel *cancel; /* may be NULL; must outlive the disk. The client's own ends
                                       requests, but no wait between them */
};

/* Probe a file and make a disk of it: its size by HEAD, its first and last sector by GET. Strings
 * are copied. A name whose characters could be meant encoded is asked for in both ways.
 *
 * Errors with a reason are those above: VF_CONFLICT (locked, size), VF_AUTH (forbidden),
 * VF_MISSING, VF_UNSUPPORTED (not flat, no ranges); their hint says what helps. VF_INVALID for
 * options that name no file of a datastore and for answers that break HTTP; VF_AUTH without reason
 * when renewed cookies are refused too; else those of vf_http_fetch and the callback. When busy
 * (502, 503, 504) or broken, the server is asked again within the limits of `retry`.
 *
 * The disk: any number of threads may read, each in one request at a time, unaligned; a large read
 * is one request, which goes straight into the caller's buffer and after a break goes on where it
 * broke. Those beyond max_requests wait; a server that answers 503 or 429 lowers that limit for a
 * while. Extents are all data: nothing is known about a flat file. pread gives the errors above
 * too: locked after the sixth status 500 in a row, size when the file's has changed. VF_RETRY once
 * its tries are used up; VF_CANCELLED soon after a cancellation. */
int vf_datastore_open(const struct vf_datastore_options *options, struct vf_disk **ret_disk,
                      struct vf_error **err);

/* "[datastore1] web01/web01.vmdk": *ret_datastore is "datastore1", *ret_flat the file with the
 * content, "web01/web01-flat.vmdk"; a name that ends in "-flat.vmdk" already stays. VF_INVALID for
 * anything else, "." and ".." within the path too. */
int vf_datastore_parse_file(const char *file, char **ret_datastore, char **ret_flat,
                            struct vf_error **err);

enum vf_datastore_coding {
    VF_DATASTORE_TWICE, /* the query's values percent-encoded twice, as vSphere reads them */
    VF_DATASTORE_ONCE,  /* as RFC 3986 has it */
};

/* The URL of a file, path and query encoded; heap. */
char *vf_datastore_encode_url(const char *scheme, const char *authority, const char *dc_path,
                              const char *datastore, const char *path,
                              enum vf_datastore_coding coding);

#endif
