#include "jobs/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/disk/image.h"
#include "converters/disk/qemu_img.h"
#include "converters/disk/vmdk_format.h"
#include "importer/base/mem.h"
#include "importer/source/file.h"
#include "importer/source/gunzip.h"
#include "importer/source/peek.h"
#include "jobs/disk_copy.h"
#include "jobs/disk_digest.h"
#include "jobs/image_target.h"
#include "jobs/package_copy.h"

struct convert {
    const struct vf_convert_options *options;
    struct vf_copy_env env;
    struct vf_cancel *cancel;
    enum vf_format format;
    struct vf_disk_copy *copies;
    struct vf_image_target *targets; /* one a copy */
    size_t n_copies;
};

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcasecmp(s + n - m, suffix) == 0;
}

/* "dir/app.img" and 1 give "dir/app-1.img". */
static char *numbered(const char *target, size_t i)
{
    const char *slash = strrchr(target, '/');
    const char *dot = strrchr(target, '.');
    if (!dot || (slash && dot < slash)) {
        dot = target + strlen(target);
    }
    return vf_xasprintf("%.*s-%zu%s", (int)(dot - target), target, i, dot);
}

static void make_copies(struct convert *c, size_t n)
{
    c->copies = vf_xcalloc(n, sizeof *c->copies);
    c->targets = vf_xcalloc(n, sizeof *c->targets);
    c->n_copies = n;
    for (size_t i = 0; i < n; i++) {
        c->copies[i].index = (unsigned)i;
        c->copies[i].target = &c->targets[i].target;
        c->copies[i].want_digest = c->options->digest;
    }
}

static int prepare_one(struct convert *c, struct vf_error **err)
{
    make_copies(c, 1);
    c->copies[0].name = vf_xstrdup(c->options->source);
    return vf_image_target_init(&c->targets[0], c->options->target, c->format,
                                c->options->overwrite, err);
}

static int prepare_package(void *opaque, struct vf_ovf *ovf, struct vf_disk_copy **ret_copies,
                           struct vf_error **err)
{
    struct convert *c = opaque;
    const struct vf_vm *vm = &ovf->vm;
    if (vm->n_disks == 0) {
        return vf_error_set(err, VF_MISSING, "the package has no disk");
    }
    make_copies(c, vm->n_disks);
    int rc = 0;
    for (size_t i = 0; i < vm->n_disks && rc == 0; i++) {
        char *vf_autofree target =
            vm->n_disks > 1 ? numbered(c->options->target, i) : vf_xstrdup(c->options->target);
        c->copies[i].name = vf_xstrdup(vm->disks[i].label ? vm->disks[i].label : vm->disks[i].file);
        c->copies[i].expected_bytes = vm->disks[i].capacity_bytes;
        rc = vf_image_target_init(&c->targets[i], target, c->format, c->options->overwrite, err);
    }
    *ret_copies = c->copies;
    return rc;
}

static int convert_stream(struct convert *c, struct vf_stream *in, struct vf_error **err)
{
    int rc = prepare_one(c, err);
    if (rc == 0) {
        rc = vf_disk_copy_stream(&c->copies[0], &c->env, in, c->cancel, err);
    }
    vf_stream_free(in);
    return rc;
}

static int convert_ova(struct convert *c, struct vf_stream *in, struct vf_error **err)
{
    struct vf_ovf ovf = {0};
    struct vf_package_summary summary;
    int rc = vf_package_copy_ova(in, c->options->source, &c->env, prepare_package, c, c->cancel,
                                 &ovf, &summary, err);
    if (rc == 0) {
        vf_package_report(&summary, ovf.vm.name, c->env.reporter);
        vf_ovf_release(&ovf);
    }
    return rc;
}

/* A stream tells what it is by its first bytes, under a gzip wrapper if there is one. */
static int convert_any_stream(struct convert *c, struct vf_stream *in, struct vf_error **err)
{
    const void *head;
    size_t len;
    const char *what = NULL;
    int rc = vf_gunzip_open(in, c->options->source, VMDK_MAX_CAPACITY_BYTES, &in, err);
    if (rc == 0) {
        rc = vf_peek_open(in, VF_PROBE_HEAD_BYTES, &in, &head, &len, err);
    }
    if (rc) {
        return rc;
    }
    enum vf_image_kind kind = vf_probe_head(head, len, &what);
    if (kind == VF_IMAGE_VMDK_STREAM) {
        return convert_stream(c, in, err);
    }
    if (kind == VF_IMAGE_TAR) {
        return convert_ova(c, in, err);
    }
    vf_stream_free(in);
    vf_error_set(err, VF_UNSUPPORTED, "\"%s\" is a stream of %s, which cannot be read forward",
                 c->options->source, vf_image_kind_name(kind));
    vf_error_hint(err, "only a streamOptimized VMDK or an OVA can; store it as a file and convert "
                       "that");
    return VF_UNSUPPORTED;
}

static int convert_image(struct convert *c, const char *format, struct vf_error **err)
{
    struct vf_disk *disk = NULL;
    struct vf_image_info info;
    int rc = vf_image_open(c->options->source, format, &disk, &info, err);
    if (rc) {
        return rc;
    }
    if (info.unclean_shutdown) {
        vf_report_warning(c->env.reporter, NULL,
                          "\"%s\" was not closed properly by its last writer; its newest writes "
                          "may be missing",
                          c->options->source);
    }
    rc = prepare_one(c, err);
    if (rc == 0) {
        rc = vf_disk_copy_disk(&c->copies[0], &c->env, disk, c->cancel, err);
    }
    vf_disk_free(disk);
    return rc;
}

static int convert_by_qemu_img(struct convert *c, enum vf_image_kind kind, struct vf_error **err)
{
    int rc = prepare_one(c, err);
    if (rc) {
        return rc;
    }
    struct vf_disk_copy *copy = &c->copies[0];
    rc = vf_qemu_img_size(c->options->source, kind, c->cancel, &copy->size_bytes, err);
    if (rc == 0) {
        vf_report_phase(c->env.reporter, NULL, "copy", "%s is converted by qemu-img",
                        vf_image_kind_name(kind));
        rc = vf_qemu_img_convert(c->options->source, kind, c->targets[0].place.partial, c->format,
                                 c->cancel, err);
    }
    if (rc == 0 && c->options->digest) {
        struct vf_disk *disk = NULL;
        rc =
            vf_image_open(c->targets[0].place.partial, vf_format_name(c->format), &disk, NULL, err);
        if (rc == 0) {
            rc = vf_disk_compute_digest(disk, c->env.pool, NULL, c->cancel, &copy->digest, err);
        }
        vf_disk_free(disk);
    }
    return rc;
}

/* --from: the names that qemu-img users know, and ours. */
static int kind_by_name(const char *name, enum vf_image_kind *ret_kind, struct vf_error **err)
{
    static const struct {
        const char *name;
        enum vf_image_kind kind;
    } names[] = {
        {"raw", VF_IMAGE_RAW}, {"vmdk", VF_IMAGE_VMDK_SPARSE}, {"qcow2", VF_IMAGE_QCOW2},
        {"vhd", VF_IMAGE_VHD}, {"vpc", VF_IMAGE_VHD},          {"vhdx", VF_IMAGE_VHDX},
        {"vdi", VF_IMAGE_VDI}, {"ova", VF_IMAGE_TAR},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *ret_kind = names[i].kind;
            return 0;
        }
    }
    return vf_error_set(err, VF_INVALID,
                        "\"%s\" is no format that can be read: raw, vmdk, qcow2, vhd, vhdx, vdi, "
                        "ova",
                        name);
}

/* Anything can pass for a raw disk; what has no whole number of sectors hardly is one. */
static int check_raw(const char *path, struct vf_error **err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return vf_error_set_errno(err, errno, "cannot look at \"%s\"", path);
    }
    if (!S_ISREG(st.st_mode) || (st.st_size > 0 && st.st_size % VMDK_SECTOR_BYTES == 0)) {
        return 0;
    }
    vf_error_set(err, VF_INVALID, "\"%s\" is no disk image that is known here", path);
    vf_error_hint(err, "if it is a raw disk all the same, say --from raw");
    return VF_INVALID;
}

static bool is_vmdk(enum vf_image_kind kind)
{
    return kind >= VF_IMAGE_VMDK_DESCRIPTOR && kind <= VF_IMAGE_VMDK_SESPARSE;
}

static int convert_path(struct convert *c, struct vf_error **err)
{
    const char *format = c->options->source_format;
    enum vf_image_kind kind;
    int rc = format && strcmp(format, "raw") == 0 ? kind_by_name(format, &kind, err)
                                                  : vf_probe_file(c->options->source, &kind, err);
    if (rc == 0 && format && strcmp(format, "vmdk") == 0 && !is_vmdk(kind)) {
        rc = vf_error_set(err, VF_INVALID, "\"%s\" is a %s, not a VMDK", c->options->source,
                          vf_image_kind_name(kind));
    }
    if (rc == 0 && format && strcmp(format, "vmdk") != 0) {
        enum vf_image_kind wanted;
        rc = kind_by_name(format, &wanted, err);
        if (rc == 0 && wanted != kind && !(wanted == VF_IMAGE_TAR && kind == VF_IMAGE_GZIP) &&
            !(wanted == VF_IMAGE_VHD && kind == VF_IMAGE_RAW)) {
            rc = vf_error_set(err, VF_INVALID, "\"%s\" is a %s, not %s", c->options->source,
                              vf_image_kind_name(kind), format);
        }
        kind = rc == 0 ? wanted : kind;
    }
    if (rc) {
        return rc;
    }
    if (kind == VF_IMAGE_RAW && !format) {
        rc = check_raw(c->options->source, err);
        if (rc) {
            return rc;
        }
    }
    if (kind == VF_IMAGE_VMDK_STREAM || kind == VF_IMAGE_TAR || kind == VF_IMAGE_GZIP) {
        struct vf_stream *in = NULL;
        rc = vf_file_stream_open(c->options->source, c->cancel, &in, err);
        return rc ? rc : convert_any_stream(c, in, err);
    }
    if (vf_qemu_img_covers(kind) && kind != VF_IMAGE_QCOW2) {
        return convert_by_qemu_img(c, kind, err);
    }
    struct vf_error *e = NULL;
    rc = convert_image(c, format, &e);
    if (rc == VF_UNSUPPORTED && kind == VF_IMAGE_QCOW2 && c->n_copies == 0) {
        /* Compressed clusters and the like are qemu-img's. */
        vf_error_clear(&e);
        return convert_by_qemu_img(c, kind, err);
    }
    vf_error_move(err, &e);
    return rc;
}

static int commit(struct convert *c, struct vf_convert_result *ret_result, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < c->n_copies && rc == 0; i++) {
        rc = vf_image_target_commit(&c->targets[i], err);
        for (size_t j = 0; rc && j < i && !c->options->overwrite; j++) {
            unlink(c->targets[j].place.path); /* all or none */
        }
    }
    if (rc == 0 && ret_result) {
        ret_result->size_bytes = c->copies[0].size_bytes;
        ret_result->digest = c->n_copies == 1 ? vf_take(c->copies[0].digest) : NULL;
    }
    return rc;
}

int vf_convert_run(const struct vf_convert_options *options, struct vf_reporter *reporter,
                   struct vf_cancel *cancel, struct vf_convert_result *ret_result,
                   struct vf_error **err)
{
    struct convert c = {.options = options, .format = options->format};
    if (c.format == VF_FORMAT_AUTO) {
        c.format = has_suffix(options->target, ".qcow2") ? VF_FORMAT_QCOW2 : VF_FORMAT_RAW;
    }
    c.env = (struct vf_copy_env){.pool = vf_pool_new(options->threads), .reporter = reporter};
    c.cancel = vf_cancel_new(cancel);
    int rc;
    if (!c.env.pool || !c.cancel) {
        rc = vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    } else if (strcmp(options->source, "-") == 0) {
        struct vf_stream *in = NULL;
        rc = vf_file_stream_open("-", c.cancel, &in, err);
        if (rc == 0) {
            rc = convert_any_stream(&c, in, err);
        }
    } else {
        rc = convert_path(&c, err);
    }
    for (size_t i = 0; i < c.n_copies; i++) {
        vf_disk_copy_report_end(&c.copies[i], &c.env, rc && err ? *err : NULL);
    }
    if (rc == 0) {
        rc = commit(&c, ret_result, err);
    }
    for (size_t i = 0; i < c.n_copies; i++) {
        vf_disk_copy_release(&c.copies[i]);
        vf_image_target_release(&c.targets[i]);
    }
    free(c.copies);
    free(c.targets);
    vf_cancel_free(c.cancel);
    vf_pool_free(c.env.pool);
    return rc;
}

void vf_convert_result_release(struct vf_convert_result *r)
{
    free(r->digest);
    *r = (struct vf_convert_result){0};
}
