/* Import of what is at hand as files: an OVA, an OVF with its files, a VMDK. */
#include <stdlib.h>
#include <string.h>

#include "converters/disk/image.h"
#include "converters/disk/vmdk_format.h"
#include "converters/disk/vmdk_stream.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/source/file.h"
#include "importer/source/gunzip.h"
#include "jobs/import_plan.h"
#include "jobs/package_copy.h"

static bool is_url(const char *s)
{
    return strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0;
}

/* A URL without user, query and fragment, which may hold secrets. */
static char *public_url(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t authority = strcspn(host, "/?#");
    for (size_t i = authority; i > 0; i--) {
        if (host[i - 1] == '@') {
            host += i;
            break;
        }
    }
    return vf_xasprintf("%.*s%.*s", (int)(strstr(url, "://") + 3 - url), url,
                        (int)strcspn(host, "?#"), host);
}

/* The last part of a path or URL, without the suffix. */
static char *stem(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t len = strcspn(base, "?#");
    const char *dot = memrchr(base, '.', len);
    return vf_xstrndup(base, dot && dot > base ? (size_t)(dot - base) : len);
}

static int open_url(struct vf_import *im, struct vf_http **ret_http, struct vf_stream **ret_stream,
                    struct vf_error **err)
{
    int rc = vf_http_new(&im->options->http, im->cancel, ret_http, err);
    if (rc) {
        return rc;
    }
    struct vf_http_request req = {.url = im->options->path};
    return vf_http_open(*ret_http, &req, ret_stream, err);
}

static int open_input(struct vf_import *im, struct vf_http **ret_http,
                      struct vf_stream **ret_stream, struct vf_error **err)
{
    const char *path = im->options->path;
    if (is_url(path)) {
        free(im->source);
        im->source = public_url(path);
        return open_url(im, ret_http, ret_stream, err);
    }
    vf_replace_string(&im->source, strcmp(path, "-") == 0 ? "standard input" : path);
    return vf_file_stream_open(path, im->cancel, ret_stream, err);
}

/* Tries with an input that can be opened again; a broken upload or download starts over. */
static const struct vf_retry_policy tries = {.max_tries = 4, .first_wait_ms = 1000};

/* Whether to go on to another try. A first contact that fails, with the source or the landing, is
 * told at once. */
static bool try_again(const struct vf_import *im, struct vf_retry *retry, int *rc,
                      struct vf_error **e)
{
    if (*rc != VF_RETRY || !im->prepared || strcmp(im->options->path, "-") == 0) {
        return false;
    }
    char *vf_autofree text = vf_error_format(*e);
    if (!vf_retry_again(retry, rc, e)) {
        return false;
    }
    vf_report_warning(im->reporter, im->env.vm, "the copy broke and starts over: %s", text);
    return true;
}

/* In a later try the package is the same, or this is no copy of one state. */
static int check_same(const struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    bool same = im->n_copies == vm->n_disks;
    for (size_t i = 0; i < vm->n_disks && same; i++) {
        same = im->copies[i].expected_bytes == vm->disks[i].capacity_bytes;
    }
    return same ? 0
                : vf_error_set(err, VF_CONFLICT, "the package was changed while it was being read");
}

static int prepare(void *opaque, struct vf_ovf *ovf, struct vf_disk_copy **ret_copies,
                   struct vf_error **err)
{
    struct vf_import *im = opaque;
    vf_mapping_set_aside(im->options->mapping, &ovf->vm);
    if (im->copies) {
        *ret_copies = im->copies;
        return check_same(im, &ovf->vm, err);
    }
    for (size_t i = 0; i < ovf->concerns.n_items; i++) {
        vf_report_warning(im->reporter, ovf->vm.name, "%s", ovf->concerns.items[i].text);
    }
    int rc = vf_import_prepare(im, &ovf->vm, err);
    if (rc == 0 && im->n_copies > 0) {
        vf_report_phase(im->reporter, ovf->vm.name, "copy", "%zu disk%s of \"%s\"", im->n_copies,
                        im->n_copies == 1 ? "" : "s", ovf->vm.name);
    }
    *ret_copies = im->copies;
    return rc;
}

static int copy_package_once(struct vf_import *im, struct vf_ovf *ovf,
                             struct vf_package_summary *summary, struct vf_error **err)
{
    struct vf_cancel *cancel = vf_cancel_new(im->cancel); /* a failure is of this try */
    struct vf_http *http = NULL;
    struct vf_stream *in = NULL;
    int rc = cancel ? 0 : vf_error_set(err, VF_INTERNAL, "no descriptor left");
    if (rc == 0 && im->options->kind == VF_IMPORT_OVF) {
        vf_replace_string(&im->source, im->options->path);
        rc = vf_package_copy_ovf(im->options->path, &im->env, prepare, im, cancel, ovf, summary,
                                 err);
    } else if (rc == 0) {
        rc = open_input(im, &http, &in, err);
        if (rc == 0) {
            rc = vf_package_copy_ova(in, im->source, &im->env, prepare, im, cancel, ovf, summary,
                                     err);
        }
        vf_http_free(http);
    }
    vf_cancel_free(cancel);
    return rc;
}

int vf_import_package(struct vf_import *im, struct vf_error **err)
{
    struct vf_ovf ovf = {0};
    struct vf_package_summary summary;
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;

    vf_retry_init(&retry, &tries, im->cancel);
    do {
        rc = copy_package_once(im, &ovf, &summary, &e);
    } while (try_again(im, &retry, &rc, &e));
    vf_error_move(err, &e);
    if (rc == 0) {
        vf_package_report(&summary, ovf.vm.name, im->reporter);
        rc = vf_import_finish(im, &ovf.vm, err);
    }
    vf_ovf_release(&ovf);
    return rc ? vf_error_wrap(err, rc, "\"%s\"", im->source ? im->source : im->options->path) : 0;
}

/* A VMDK says nothing of the machine around it. */
static void describe_vmdk(const struct vf_import *im, struct vf_vm *vm)
{
    vf_vm_init(vm);
    vm->name = im->options->name                     ? vf_xstrdup(im->options->name)
               : strcmp(im->options->path, "-") == 0 ? vf_xstrdup("vmdk")
                                                     : stem(im->options->path);
    vm->cpus = 2;
    vm->memory_bytes = 4ull << 30;
    vm->n_disks = 1;
    vm->disks = vf_xcalloc(1, sizeof *vm->disks);
    vm->disks[0].label = vf_xstrdup("Hard disk 1");
    vm->disks[0].file = vf_xstrdup(im->source);
    vm->disks[0].bus = VF_BUS_SCSI;
}

static int copy_vmdk_stream(struct vf_import *im, struct vf_stream *in, struct vf_cancel *cancel,
                            struct vf_error **err)
{
    int rc = vf_gunzip_open(in, im->source, VMDK_MAX_CAPACITY_BYTES, &in, err);
    if (rc == 0) {
        rc = vf_disk_copy_stream(&im->copies[0], &im->env, in, cancel, err);
        vf_stream_free(in);
    }
    return rc;
}

static int copy_vmdk_image(struct vf_import *im, struct vf_cancel *cancel, struct vf_error **err)
{
    struct vf_disk *disk = NULL;
    struct vf_image_info info;
    int rc = vf_image_open(im->options->path, "vmdk", &disk, &info, err);
    if (rc == 0 && info.unclean_shutdown) {
        vf_report_warning(im->reporter, im->env.vm,
                          "\"%s\" was not closed properly by its last writer; its newest writes "
                          "may be missing",
                          im->options->path);
    }
    if (rc == 0) {
        rc = vf_disk_copy_disk(&im->copies[0], &im->env, disk, cancel, err);
    }
    vf_disk_free(disk);
    return rc;
}

/* For a dry run: else the stream tells it when it is copied. */
static int measure_stream(struct vf_import *im, struct vf_stream *in, uint64_t *ret_bytes,
                          struct vf_error **err)
{
    struct vf_vmdk_stream *vmdk = NULL;
    int rc = vf_gunzip_open(in, im->source, VMDK_MAX_CAPACITY_BYTES, &in, err);
    if (rc) {
        return rc;
    }
    rc = vf_vmdk_stream_open(in, &vmdk, err);
    if (rc == 0) {
        *ret_bytes = vf_vmdk_stream_capacity_bytes(vmdk);
    }
    vf_vmdk_stream_free(vmdk);
    vf_stream_free(in);
    return rc;
}

static int measure_vmdk(struct vf_import *im, struct vf_vm *vm, bool forward, struct vf_error **err)
{
    struct vf_http *http = NULL;
    struct vf_stream *in = NULL;
    struct vf_disk *disk = NULL;
    int rc;
    if (forward) {
        rc = open_input(im, &http, &in, err);
        rc = rc ? rc : measure_stream(im, in, &vm->disks[0].capacity_bytes, err);
        vf_http_free(http);
        return rc;
    }
    rc = vf_image_open(im->options->path, "vmdk", &disk, NULL, err);
    if (rc == 0) {
        vm->disks[0].capacity_bytes = disk->size_bytes;
    }
    vf_disk_free(disk);
    return rc;
}

static bool is_forward(const char *path, enum vf_image_kind kind)
{
    return is_url(path) || strcmp(path, "-") == 0 || kind == VF_IMAGE_VMDK_STREAM ||
           kind == VF_IMAGE_GZIP;
}

/* The VMDK is opened before anything is prepared: what is not there, or none, is told first. */
static int copy_vmdk_once(struct vf_import *im, const struct vf_vm *vm, bool forward,
                          struct vf_error **err)
{
    struct vf_cancel *cancel = vf_cancel_new(im->cancel); /* a failure is of this try */
    struct vf_http *http = NULL;
    struct vf_stream *in = NULL;
    int rc = cancel ? 0 : vf_error_set(err, VF_INTERNAL, "no descriptor left");
    if (rc == 0 && forward) {
        rc = open_input(im, &http, &in, err);
    }
    if (rc == 0 && !im->copies) {
        rc = vf_import_prepare(im, vm, err);
        if (rc == 0) {
            vf_report_warning(im->reporter, vm->name,
                              "a VMDK does not describe its machine: the manifest has %u CPUs, "
                              "4 GiB of memory, BIOS and no network; edit it",
                              vm->cpus);
        }
    }
    if (rc == 0) {
        rc = in ? copy_vmdk_stream(im, vf_take(in), cancel, err) : copy_vmdk_image(im, cancel, err);
    }
    vf_stream_free(in);
    vf_http_free(http);
    vf_cancel_free(cancel);
    return rc;
}

int vf_import_vmdk(struct vf_import *im, struct vf_error **err)
{
    const char *path = im->options->path;
    enum vf_image_kind kind = VF_IMAGE_RAW;
    struct vf_retry retry;
    struct vf_error *e = NULL;
    struct vf_vm vm;
    int rc = 0;

    im->source = is_url(path) ? public_url(path) : vf_xstrdup(path);
    describe_vmdk(im, &vm);
    if (!vf_mapping_copies_disk(im->options->mapping, &vm, 0)) {
        vf_vm_release(&vm);
        return vf_error_set(err, VF_INVALID, "the mapping leaves out the only disk there is");
    }
    if (!is_url(path) && strcmp(path, "-") != 0) {
        rc = vf_probe_file(path, &kind, &e);
    }
    if (rc == 0 && im->options->dry_run) {
        rc = measure_vmdk(im, &vm, is_forward(path, kind), &e);
    }
    vf_retry_init(&retry, &tries, im->cancel);
    if (rc == 0) {
        do {
            rc = copy_vmdk_once(im, &vm, is_forward(path, kind), &e);
        } while (try_again(im, &retry, &rc, &e));
    }
    vf_error_move(err, &e);
    if (rc == 0) {
        rc = vf_import_finish(im, &vm, err);
    }
    vf_vm_release(&vm);
    return rc ? vf_error_wrap(err, rc, "\"%s\"", im->source) : 0;
}
