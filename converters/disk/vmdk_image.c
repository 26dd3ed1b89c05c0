#include "converters/disk/vmdk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/disk/mapped_disk.h"
#include "converters/disk/meta_cache.h"
#include "converters/disk/open_beneath.h"
#include "converters/disk/raw_disk.h"
#include "converters/disk/vmdk_cowd.h"
#include "converters/disk/vmdk_descriptor.h"
#include "converters/disk/vmdk_extents.h"
#include "converters/disk/vmdk_header.h"
#include "converters/disk/vmdk_sesparse.h"
#include "converters/disk/vmdk_sparse.h"
#include "importer/base/file_io.h"
#include "importer/base/mem.h"

/* vSphere allows 32 snapshots in a chain, and linked clones stand on such chains. */
#define MAX_LAYERS 64u

struct file_id {
    dev_t dev;
    ino_t ino;
};

struct opener {
    int dir_fd; /* nothing outside this folder is opened */
    struct vf_meta_cache *cache;
    struct vf_image_info info;
    struct file_id seen[MAX_LAYERS]; /* the layers' descriptors, to find a cycle */
};

/* One layer while it is put together. */
struct layer {
    int fd; /* of the descriptor or monolithic file */
    const char *name;
    bool monolithic;              /* fd is the one extent too */
    struct vf_vmdk_header header; /* of a monolithic file */
    struct vf_vmdk_descriptor desc;
    struct vf_disk *parent;
};

/* Takes fd over, whatever comes. */
static int open_layer(struct opener *o, int fd, const char *name, struct vf_disk **ret_disk,
                      uint32_t *ret_cid, struct vf_error **err);

/* --- the descriptor -------------------------------------------------------------------------- */

static int parse_text(struct layer *l, uint64_t offset_bytes, size_t len, struct vf_error **err)
{
    char *vf_autofree text = vf_xcalloc(1, len + 1);
    int rc = vf_file_pread(l->fd, l->name, text, len, offset_bytes, err);
    return rc ? rc : vf_vmdk_descriptor_parse(text, len, &l->desc, err);
}

static int read_embedded(struct layer *l, struct vf_error **err)
{
    uint8_t bytes[VMDK_SPARSE_HEADER_BYTES];
    int rc = vf_file_pread(l->fd, l->name, bytes, sizeof bytes, 0, err);
    if (rc == 0) {
        rc = vf_vmdk_header_parse(bytes, &l->header, err);
    }
    if (rc) {
        return rc;
    }
    const struct vf_vmdk_header *h = &l->header;
    if (h->compressed || h->gd_sector == VMDK_GD_AT_END) {
        return vf_error_set(err, VF_UNSUPPORTED, "a streamOptimized VMDK cannot be read at random");
    }
    if (h->descriptor_sector == 0 || h->descriptor_sectors == 0) {
        vf_error_set(err, VF_UNSUPPORTED, "this is one extent of a disk, without its descriptor");
        vf_error_hint(err, "name the small .vmdk file that lists the extents");
        return VF_UNSUPPORTED;
    }
    if (h->descriptor_sector > INT64_MAX / VMDK_SECTOR_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK header puts its descriptor at sector %" PRIu64,
                            h->descriptor_sector);
    }
    return parse_text(l, h->descriptor_sector * VMDK_SECTOR_BYTES,
                      (size_t)h->descriptor_sectors * VMDK_SECTOR_BYTES, err);
}

static int read_descriptor(struct layer *l, struct vf_error **err)
{
    char head[64] = "";
    uint64_t size;
    int rc = vf_file_size(l->fd, l->name, &size, err);
    if (rc) {
        return rc;
    }
    size_t n = size < sizeof head ? (size_t)size : sizeof head;
    rc = vf_file_pread(l->fd, l->name, head, n, 0, err);
    if (rc) {
        return rc;
    }
    if (vf_vmdk_descriptor_is(head, n)) {
        if (size > VMDK_MAX_DESCRIPTOR_BYTES) {
            return vf_error_set(err, VF_INVALID, "a VMDK descriptor of %" PRIu64 " bytes is none",
                                size);
        }
        return parse_text(l, 0, (size_t)size, err);
    }
    l->monolithic = true;
    return read_embedded(l, err);
}

static int check_descriptor(const struct layer *l, struct vf_error **err)
{
    const struct vf_vmdk_descriptor *d = &l->desc;
    if (d->encrypted) {
        vf_error_set(err, VF_UNSUPPORTED, "the disk is encrypted");
        vf_error_hint(err, "decrypt it on vSphere: change its storage policy to one without "
                           "encryption");
        return VF_UNSUPPORTED;
    }
    if (l->monolithic && (d->n_extents != 1 || d->extents[0].type != VF_VMDK_SPARSE ||
                          d->capacity_sectors != l->header.capacity_sectors)) {
        return vf_error_set(err, VF_INVALID,
                            "the descriptor inside the VMDK (%zu extents, %" PRIu64
                            " sectors) does not describe it (%" PRIu64 " sectors)",
                            d->n_extents, d->capacity_sectors, l->header.capacity_sectors);
    }
    return 0;
}

/* --- extents --------------------------------------------------------------------------------- */

/* The name as the encoding gives it; else, for files copied without regard to it, as it stands. */
static int open_extent_file(const struct opener *o, const struct vf_vmdk_extent *e, int *ret_fd,
                            struct vf_error **err)
{
    struct vf_error *first = NULL;
    int rc = vf_open_beneath(o->dir_fd, e->file, ret_fd, &first);
    if (rc == VF_MISSING && strcmp(e->file, e->file_bytes) != 0 &&
        vf_open_beneath(o->dir_fd, e->file_bytes, ret_fd, NULL) == 0) {
        vf_error_clear(&first);
        return 0;
    }
    vf_error_move(err, &first);
    return rc;
}

static int check_extent(const struct vf_vmdk_extent *e, struct vf_error **err)
{
    if (e->access == VF_VMDK_NOACCESS) {
        return vf_error_set(err, VF_UNSUPPORTED, "its content may not be accessed (NOACCESS)");
    }
    if (e->type == VF_VMDK_VMFSRDM || e->type == VF_VMDK_VMFSRAW) {
        vf_error_set(err, VF_UNSUPPORTED, "it is a raw device mapping; its data is on a LUN");
        vf_error_hint(err, "copy the LUN itself, or clone the disk to a VMDK on vSphere");
        return VF_UNSUPPORTED;
    }
    return 0;
}

/* A sparse file may round its capacity up to a whole grain. */
static int check_capacity(const struct vf_disk *disk, const struct vf_vmdk_extent *e,
                          struct vf_error **err)
{
    uint64_t wanted = e->sectors * VMDK_SECTOR_BYTES;
    if (disk->size_bytes < wanted || disk->size_bytes - wanted >= VMDK_MAX_GRAIN_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "it holds %" PRIu64 " bytes, the descriptor says %" PRIu64,
                            disk->size_bytes, wanted);
    }
    return 0;
}

static int open_sparse(struct opener *o, enum vf_vmdk_extent_type type, const struct vf_layer *at,
                       struct vf_disk **ret_disk, struct vf_error **err)
{
    bool unclean = false;
    int rc;
    if (type == VF_VMDK_SPARSE) {
        rc = vf_vmdk_sparse_open(at, ret_disk, &unclean, err);
    } else if (type == VF_VMDK_VMFSSPARSE) {
        rc = vf_vmdk_cowd_open(at, ret_disk, err);
    } else {
        rc = vf_vmdk_sesparse_open(at, ret_disk, err);
    }
    o->info.unclean_shutdown |= unclean;
    return rc;
}

/* Takes fd over, whatever comes. */
static int open_part(struct opener *o, const struct layer *l, const struct vf_vmdk_extent *e,
                     int fd, uint64_t start_bytes, struct vf_disk **ret_disk, struct vf_error **err)
{
    uint64_t length = e->sectors * VMDK_SECTOR_BYTES, offset;
    const char *name = l->monolithic ? l->name : e->file;
    struct vf_disk *disk = NULL;
    int rc;
    if (e->type == VF_VMDK_FLAT || e->type == VF_VMDK_VMFS) {
        rc = __builtin_mul_overflow(e->offset_sectors, VMDK_SECTOR_BYTES, &offset)
                 ? vf_error_set(err, VF_INVALID, "its offset is %" PRIu64 " sectors",
                                e->offset_sectors)
                 : vf_raw_disk_open(fd, name, offset, length, &disk, err);
    } else {
        struct vf_layer at = {.fd = fd,
                              .name = name,
                              .cache = o->cache,
                              .parent = l->parent,
                              .parent_offset_bytes = start_bytes};
        rc = open_sparse(o, e->type, &at, &disk, err);
    }
    if (rc) {
        close(fd);
        return rc;
    }
    rc = check_capacity(disk, e, err);
    if (rc) {
        vf_disk_free(disk);
        return rc;
    }
    *ret_disk = disk;
    return 0;
}

static int open_extent(struct opener *o, const struct layer *l, size_t i, uint64_t start_bytes,
                       struct vf_disk **ret_disk, struct vf_error **err)
{
    const struct vf_vmdk_extent *e = &l->desc.extents[i];
    int fd = -1;
    int rc = check_extent(e, err);
    if (rc == 0 && e->type == VF_VMDK_ZERO) {
        return 0;
    }
    if (rc == 0 && l->monolithic) {
        fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
        rc = fd < 0 ? vf_error_set_errno(err, errno, "cannot duplicate a descriptor") : 0;
    } else if (rc == 0) {
        rc = open_extent_file(o, e, &fd, err);
    }
    if (rc == 0) {
        rc = open_part(o, l, e, fd, start_bytes, ret_disk, err);
    }
    if (rc && vf_name_is_beneath(e->file ? e->file : "")) {
        return vf_error_wrap(err, rc, "extent %zu, \"%s\"", i + 1, e->file);
    }
    return rc ? vf_error_wrap(err, rc, "extent %zu", i + 1) : 0;
}

/* *ret_disk owns l->parent on success. */
static int open_extents(struct opener *o, struct layer *l, struct vf_disk **ret_disk,
                        struct vf_error **err)
{
    size_t n = l->desc.n_extents;
    struct vf_vmdk_part *vf_autofree parts = vf_xcalloc(n, sizeof *parts);
    uint64_t start = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = open_extent(o, l, i, start, &parts[i].disk, err);
        parts[i].length_bytes = l->desc.extents[i].sectors * VMDK_SECTOR_BYTES;
        start += parts[i].length_bytes;
    }
    if (rc) {
        for (size_t i = 0; i < n; i++) {
            vf_disk_free(parts[i].disk);
        }
        return rc;
    }
    *ret_disk = vf_vmdk_extents_new(parts, n, vf_take(l->parent));
    return 0;
}

/* --- parents --------------------------------------------------------------------------------- */

/* On a host the hint may be the path of another folder or another system. Here the parent must lie
 * beside the delta; that it is the right one, the content ID tells. */
static const char *parent_name(const char *hint)
{
    if (vf_name_is_beneath(hint)) {
        return hint;
    }
    for (const char *c = hint; *c; c++) {
        if (*c == '/' || *c == '\\') {
            hint = c + 1;
        }
    }
    return vf_name_is_beneath(hint) ? hint : NULL;
}

static int open_parent(struct opener *o, struct layer *l, struct vf_error **err)
{
    const struct vf_vmdk_descriptor *d = &l->desc;
    const char *name = d->parent_hint ? parent_name(d->parent_hint) : NULL;
    if (!name) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "this is a delta on a parent that it does not name");
    }
    struct vf_error *inner = NULL;
    uint32_t cid = 0;
    int fd = -1;
    int rc = vf_open_beneath(o->dir_fd, name, &fd, &inner);
    if (rc == VF_MISSING) {
        vf_error_clear(&inner);
        vf_error_set(err, VF_UNSUPPORTED,
                     "this is a delta, and its parent \"%s\" is not in the same folder", name);
        vf_error_hint(err, "put the whole chain of descriptors and data files into one folder, or "
                           "consolidate the snapshots on vSphere");
        return VF_UNSUPPORTED;
    }
    if (rc == 0) {
        rc = open_layer(o, fd, name, &l->parent, &cid, &inner);
    }
    if (rc) {
        vf_error_move(err, &inner);
        return vf_error_wrap(err, rc, "parent \"%s\"", name);
    }
    if (cid != d->parent_cid) {
        vf_error_set(err, VF_INVALID,
                     "the parent \"%s\" was changed after the delta was made: its content ID is "
                     "%08" PRIx32 ", not %08" PRIx32,
                     name, cid, d->parent_cid);
        return VF_INVALID;
    }
    if (l->parent->size_bytes != d->capacity_sectors * VMDK_SECTOR_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "the parent \"%s\" has %" PRIu64 " bytes, the delta %" PRIu64, name,
                            l->parent->size_bytes, d->capacity_sectors * VMDK_SECTOR_BYTES);
    }
    return 0;
}

/* --- layers ---------------------------------------------------------------------------------- */

static int enter_layer(struct opener *o, int fd, struct vf_error **err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return vf_error_set_errno(err, errno, "cannot look at the file");
    }
    unsigned n = o->info.n_layers;
    for (unsigned i = 0; i < n; i++) {
        if (o->seen[i].dev == st.st_dev && o->seen[i].ino == st.st_ino) {
            return vf_error_set(err, VF_INVALID, "the chain of parents comes back to this file");
        }
    }
    if (n == MAX_LAYERS) {
        return vf_error_set(err, VF_INVALID, "the chain of parents has more than %u layers",
                            MAX_LAYERS);
    }
    o->seen[n] = (struct file_id){st.st_dev, st.st_ino};
    o->info.n_layers++;
    return 0;
}

static int open_layer(struct opener *o, int fd, const char *name, struct vf_disk **ret_disk,
                      uint32_t *ret_cid, struct vf_error **err)
{
    struct layer l = {.fd = fd, .name = name};
    int rc = enter_layer(o, fd, err);
    bool top = o->info.n_layers == 1;
    if (rc == 0) {
        rc = read_descriptor(&l, err);
    }
    if (rc == 0) {
        rc = check_descriptor(&l, err);
    }
    if (rc == 0 && l.desc.parent_cid != VMDK_CID_NONE) {
        rc = open_parent(o, &l, err);
    }
    if (rc == 0) {
        rc = open_extents(o, &l, ret_disk, err);
    }
    if (rc == 0 && top) {
        o->info.n_extents = (unsigned)l.desc.n_extents;
    }
    *ret_cid = l.desc.cid;
    vf_vmdk_descriptor_release(&l.desc);
    vf_disk_free(l.parent);
    close(fd);
    return rc;
}

/* The given file itself may be a symbolic link: the user named it. Its real folder counts. */
static int open_top(const char *path, int *ret_dir_fd, int *ret_fd, char **ret_name,
                    struct vf_error **err)
{
    char *vf_autofree real = realpath(path, NULL);
    if (!real) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    char *slash = strrchr(real, '/');
    *slash = '\0';
    int dir_fd = open(*real ? real : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open the folder of \"%s\"", path);
    }
    int fd = openat(dir_fd, slash + 1, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int rc = vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
        close(dir_fd);
        return rc;
    }
    *ret_dir_fd = dir_fd;
    *ret_fd = fd;
    *ret_name = vf_xstrdup(slash + 1);
    return 0;
}

int vf_vmdk_image_open(const char *path, struct vf_disk **ret_disk, struct vf_image_info *ret_info,
                       struct vf_error **err)
{
    struct opener o = {.dir_fd = -1};
    char *vf_autofree name = NULL;
    uint32_t cid;
    int fd = -1;
    int rc = open_top(path, &o.dir_fd, &fd, &name, err);
    if (rc) {
        return rc;
    }
    o.cache = vf_meta_cache_new();
    rc = open_layer(&o, fd, name, ret_disk, &cid, err);
    vf_meta_cache_unref(o.cache);
    close(o.dir_fd);
    if (rc == 0 && ret_info) {
        o.info.kind = ret_info->kind;
        *ret_info = o.info;
    }
    return rc;
}
