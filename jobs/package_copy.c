#include "jobs/package_copy.h"

#include <inttypes.h>
#include <stdlib.h>

#include "converters/disk/image.h"
#include "importer/base/mem.h"
#include "importer/source/ova.h"
#include "importer/source/ovf_dir.h"

/* What a stream of a disk may hold at most: its content undeflated, and its tables. */
static uint64_t stream_limit(const struct vf_vm_disk *d)
{
    return d->capacity_bytes + d->capacity_bytes / 16 + (64u << 20);
}

struct package {
    const struct vf_copy_env *env;
    struct vf_cancel *cancel;
    struct vf_ovf ovf;
    struct vf_disk_copy *copies; /* one for each of ovf.vm.disks */
    bool *copied;
};

static int open_descriptor(struct package *p, const char *text, size_t len, const char *what,
                           vf_package_prepare_fn *prepare, void *opaque, struct vf_error **err)
{
    int rc = vf_ovf_parse(text, len, what, &p->ovf, err);
    if (rc == 0) {
        rc = prepare(opaque, &p->ovf, &p->copies, err);
    }
    if (rc == 0) {
        p->copied = vf_xcalloc(p->ovf.vm.n_disks, sizeof *p->copied);
    }
    return rc;
}

static int end_disk(struct package *p, size_t i, int rc, struct vf_error **err)
{
    struct vf_disk_copy *c = &p->copies[i];
    if (rc) {
        rc = vf_error_wrap(err, rc, "disk %zu (%s)", i, c->name);
    }
    if (rc != VF_RETRY) { /* there may be another try */
        vf_disk_copy_report_end(c, p->env, rc && err ? *err : NULL);
    }
    p->copied[i] = rc == 0;
    return rc;
}

/* Disks without a file are empty; any other must have been met. */
static int finish_disks(struct package *p, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < p->ovf.vm.n_disks && rc == 0; i++) {
        const struct vf_vm_disk *d = &p->ovf.vm.disks[i];
        if (p->copied[i] || (p->copies[i].complete && p->copies[i].blank && !d->file)) {
            continue;
        }
        if (d->file) {
            return vf_error_set(err, VF_MISSING,
                                "the descriptor names \"%s\" for disk %zu, but it is not in the "
                                "package",
                                d->file, i);
        }
        rc = end_disk(p, i, vf_disk_copy_blank(&p->copies[i], p->env, p->cancel, err), err);
    }
    return rc;
}

static void close_package(struct package *p, int rc, struct vf_ovf *ret_ovf)
{
    free(p->copied);
    if (rc == 0) {
        *ret_ovf = p->ovf;
    } else {
        vf_ovf_release(&p->ovf);
    }
}

void vf_package_report(const struct vf_package_summary *summary, const char *vm,
                       struct vf_reporter *reporter)
{
    if (summary->has_manifest) {
        vf_report_info(reporter, vm, "%u files agree with the package's manifest",
                       summary->n_checked);
    } else {
        vf_report_warning(reporter, vm, "the package has no manifest: its files were not checked");
    }
    if (summary->has_certificate) {
        vf_report_info(reporter, vm, "the package's signature was not checked");
    }
}

/* A disk that an earlier try made whole is not copied again, but it has to be the same still: else
 * the VM would have disks of two states. */
static int take_stream(struct package *p, size_t i, struct vf_stream *stream, struct vf_error **err)
{
    struct vf_disk_copy *c = &p->copies[i];
    return c->complete ? vf_disk_copy_compare_stream(c, stream, err)
                       : vf_disk_copy_stream(c, p->env, stream, p->cancel, err);
}

static int take_disk(struct package *p, size_t i, struct vf_disk *disk, struct vf_error **err)
{
    struct vf_disk_copy *c = &p->copies[i];
    return c->complete ? vf_disk_copy_compare_disk(c, p->env, disk, p->cancel, err)
                       : vf_disk_copy_disk(c, p->env, disk, p->cancel, err);
}

static int copy_member(struct package *p, struct vf_ova *ova, const char *name,
                       struct vf_error **err)
{
    const struct vf_ovf_file *file = vf_ovf_find_file(&p->ovf, name);
    const struct vf_vm_disk *d = file ? vf_ovf_find_disk(&p->ovf, file) : NULL;
    if (!d) {
        return 0;
    }
    size_t i = (size_t)(d - p->ovf.vm.disks);
    struct vf_stream *stream = NULL;
    int rc = vf_ova_open_member(ova, stream_limit(d), &stream, err);
    if (rc == 0) {
        rc = take_stream(p, i, stream, err);
    }
    vf_stream_free(stream);
    return end_disk(p, i, rc, err);
}

static int copy_ova_members(struct package *p, struct vf_ova *ova, const char *name,
                            vf_package_prepare_fn *prepare, void *opaque, struct vf_error **err)
{
    struct vf_ova_member member;
    bool end = false;
    char *vf_autofree text = NULL;
    size_t len = 0;

    int rc = vf_ova_next(ova, &member, &end, err);
    if (rc == 0 && end) {
        rc = vf_error_set(err, VF_INVALID, "\"%s\" is an empty package", name);
    }
    if (rc == 0) {
        rc = vf_ova_read_descriptor(ova, &text, &len, err);
    }
    if (rc == 0) {
        rc = open_descriptor(p, text, len, member.name, prepare, opaque, err);
    }
    while (rc == 0) {
        rc = vf_ova_next(ova, &member, &end, err);
        if (rc || end) {
            break;
        }
        rc = copy_member(p, ova, member.name, err);
    }
    return rc;
}

int vf_package_copy_ova(struct vf_stream *in, const char *name, const struct vf_copy_env *env,
                        vf_package_prepare_fn *prepare, void *opaque, struct vf_cancel *cancel,
                        struct vf_ovf *ret_ovf, struct vf_package_summary *ret_summary,
                        struct vf_error **err)
{
    struct package p = {.env = env, .cancel = cancel};
    struct vf_ova *ova = NULL;
    struct vf_ova_summary s;

    int rc = vf_ova_open(in, name, &ova, err);
    if (rc == 0) {
        rc = copy_ova_members(&p, ova, name, prepare, opaque, err);
    }
    if (rc == 0) {
        rc = vf_ova_finish(ova, &s, err);
    }
    if (rc == 0) {
        *ret_summary = (struct vf_package_summary){.has_manifest = s.has_manifest,
                                                   .has_certificate = s.has_certificate,
                                                   .n_checked = s.n_checked};
        rc = finish_disks(&p, err);
    }
    vf_ova_free(ova);
    close_package(&p, rc, ret_ovf);
    return rc;
}

/* Beside an .ovf a disk may be of any kind; in an OVA only what can be read forward. */
static int copy_file(struct package *p, struct vf_ovf_dir *dir, size_t i, struct vf_error **err)
{
    const struct vf_vm_disk *d = &p->ovf.vm.disks[i];
    char *vf_autofree path = NULL;
    enum vf_image_kind kind;

    int rc = vf_ovf_dir_fetch_path(dir, d->file, &path, err);
    if (rc == 0) {
        rc = vf_probe_file(path, &kind, err);
    }
    if (rc) {
        return rc;
    }
    if (kind == VF_IMAGE_VMDK_STREAM || kind == VF_IMAGE_GZIP) {
        struct vf_stream *stream = NULL;
        rc = vf_ovf_dir_open_file(dir, d->file, stream_limit(d), &stream, err);
        if (rc == 0) {
            rc = take_stream(p, i, stream, err);
        }
        vf_stream_free(stream);
        return rc;
    }
    struct vf_disk *disk = NULL;
    rc = vf_image_open(path, NULL, &disk, NULL, err);
    if (rc == 0) {
        rc = take_disk(p, i, disk, err);
    }
    vf_disk_free(disk);
    return rc;
}

int vf_package_copy_ovf(const char *path, const struct vf_copy_env *env,
                        vf_package_prepare_fn *prepare, void *opaque, struct vf_cancel *cancel,
                        struct vf_ovf *ret_ovf, struct vf_package_summary *ret_summary,
                        struct vf_error **err)
{
    struct package p = {.env = env, .cancel = cancel};
    struct vf_ovf_dir *dir = NULL;
    struct vf_ovf_dir_summary s;

    int rc = vf_ovf_dir_open(path, cancel, &dir, err);
    if (rc == 0) {
        size_t len = 0;
        const char *text = vf_ovf_dir_descriptor(dir, &len);
        rc = open_descriptor(&p, text, len, path, prepare, opaque, err);
    }
    for (size_t i = 0; rc == 0 && i < p.ovf.vm.n_disks; i++) {
        if (p.ovf.vm.disks[i].file) {
            rc = end_disk(&p, i, copy_file(&p, dir, i, err), err);
        }
    }
    if (rc == 0) {
        rc = vf_ovf_dir_finish(dir, &s, err);
    }
    if (rc == 0) {
        *ret_summary = (struct vf_package_summary){.has_manifest = s.has_manifest,
                                                   .has_certificate = s.has_certificate,
                                                   .n_checked = s.n_checked};
        rc = finish_disks(&p, err);
    }
    vf_ovf_dir_free(dir);
    close_package(&p, rc, ret_ovf);
    return rc;
}
