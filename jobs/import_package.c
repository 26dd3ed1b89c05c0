/* Import of what is at hand as files: an OVA, an OVF with its files, a VMDK. */
#include <stdlib.h>
#include <string.h>

#include "converters/disk/image.h"
#include "converters/disk/vmdk_format.h"
#include "importer/base/mem.h"
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
        im->source = public_url(path);
        return open_url(im, ret_http, ret_stream, err);
    }
    im->source = vf_xstrdup(strcmp(path, "-") == 0 ? "standard input" : path);
    return vf_file_stream_open(path, im->cancel, ret_stream, err);
}

static int prepare(void *opaque, const struct vf_ovf *ovf, struct vf_disk_copy **ret_copies,
                   struct vf_error **err)
{
    struct vf_import *im = opaque;
    for (size_t i = 0; i < ovf->concerns.n_items; i++) {
        vf_report_warning(im->reporter, ovf->vm.name, "%s", ovf->concerns.items[i]);
    }
    int rc = vf_import_prepare(im, &ovf->vm, err);
    if (rc == 0) {
        vf_report_phase(im->reporter, ovf->vm.name, "copy", "%zu disks of \"%s\"", im->n_copies,
                        ovf->vm.name);
    }
    *ret_copies = im->copies;
    return rc;
}

int vf_import_package(struct vf_import *im, struct vf_error **err)
{
    struct vf_ovf ovf = {0};
    struct vf_package_summary summary;
    struct vf_http *http = NULL;
    int rc;

    if (im->options->kind == VF_IMPORT_OVF) {
        im->source = vf_xstrdup(im->options->path);
        rc = vf_package_copy_ovf(im->options->path, &im->env, prepare, im, im->cancel, &ovf,
                                 &summary, err);
    } else {
        struct vf_stream *in = NULL;
        rc = open_input(im, &http, &in, err);
        if (rc == 0) {
            rc = vf_package_copy_ova(in, im->source, &im->env, prepare, im, im->cancel, &ovf,
                                     &summary, err);
        }
        vf_http_free(http);
    }
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

static int copy_vmdk_stream(struct vf_import *im, struct vf_stream *in, struct vf_error **err)
{
    int rc = vf_gunzip_open(in, im->source, VMDK_MAX_CAPACITY_BYTES, &in, err);
    if (rc == 0) {
        rc = vf_disk_copy_stream(&im->copies[0], &im->env, in, im->cancel, err);
        vf_stream_free(in);
    }
    return rc;
}

static int copy_vmdk_image(struct vf_import *im, struct vf_error **err)
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
        rc = vf_disk_copy_disk(&im->copies[0], &im->env, disk, im->cancel, err);
    }
    vf_disk_free(disk);
    return rc;
}

static bool is_forward(const char *path, enum vf_image_kind kind)
{
    return is_url(path) || strcmp(path, "-") == 0 || kind == VF_IMAGE_VMDK_STREAM ||
           kind == VF_IMAGE_GZIP;
}

int vf_import_vmdk(struct vf_import *im, struct vf_error **err)
{
    const char *path = im->options->path;
    enum vf_image_kind kind = VF_IMAGE_RAW;
    struct vf_http *http = NULL;
    struct vf_stream *in = NULL;
    struct vf_vm vm;
    int rc = 0;

    vf_vm_init(&vm);
    if (!is_url(path) && strcmp(path, "-") != 0) {
        im->source = vf_xstrdup(path);
        rc = vf_probe_file(path, &kind, err);
    }
    if (rc == 0 && is_forward(path, kind)) {
        free(vf_take(im->source));
        rc = open_input(im, &http, &in, err);
    }
    if (rc == 0) {
        describe_vmdk(im, &vm);
        rc = vf_import_prepare(im, &vm, err);
    }
    if (rc == 0) {
        vf_report_warning(im->reporter, vm.name,
                          "a VMDK does not describe its machine: the manifest has %u CPUs, 4 GiB "
                          "of memory, BIOS and no network; edit it",
                          vm.cpus);
        rc = in ? copy_vmdk_stream(im, vf_take(in), err) : copy_vmdk_image(im, err);
    }
    vf_stream_free(in);
    vf_http_free(http);
    if (rc == 0) {
        rc = vf_import_finish(im, &vm, err);
    }
    vf_vm_release(&vm);
    return rc ? vf_error_wrap(err, rc, "\"%s\"", im->source ? im->source : path) : 0;
}
