#include "jobs/migration/image_names.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/disk/image_format.h"
#include "importer/base/mem.h"
#include "jobs/dir_files.h"

struct vf_known_image {
    int32_t key;
    char *uuid; /* may be NULL */
    char *file;
    bool taken; /* by a disk of the VM, as it is now */
};

bool vf_image_names_allow(const char *name)
{
    size_t len = strlen(name);
    for (enum vf_format f = VF_FORMAT_RAW; f <= VF_FORMAT_QCOW2; f++) {
        size_t suffix = strlen(vf_format_suffix(f));
        if (len > suffix && strcmp(name + len - suffix, vf_format_suffix(f)) == 0) {
            return name[0] != '.' && len <= 200 && !strchr(name, '/');
        }
    }
    return false;
}

static struct vf_known_image *add_known(struct vf_image_names *n, int32_t key, const char *uuid,
                                        const char *file)
{
    n->known = vf_xrealloc_array(n->known, n->n_known + 1, sizeof *n->known);
    struct vf_known_image *k = &n->known[n->n_known++];
    *k = (struct vf_known_image){.key = key, .uuid = vf_xstrdup(uuid), .file = vf_xstrdup(file)};
    return k;
}

void vf_image_names_remember(struct vf_image_names *n, const struct vf_checkpoint_disk *d)
{
    if (vf_image_names_allow(d->target)) {
        add_known(n, d->key, d->backing_uuid, d->target);
    }
}

static bool is_of_format(const char *file, enum vf_format format)
{
    const char *dot = strrchr(file, '.');
    return dot && strcmp(dot, vf_format_suffix(format)) == 0;
}

/* Controller and unit, and with them the key, may change; the backing's UUID stays, but two disks
 * may have the same one. */
static bool is_same_disk(const struct vf_known_image *k, const struct vf_vm_disk *d, bool by_key)
{
    if (k->uuid && d->uuid && strcasecmp(k->uuid, d->uuid) != 0) {
        return false;
    }
    return by_key ? k->key == d->key : k->uuid && d->uuid;
}

static struct vf_known_image *find_known(struct vf_image_names *n, const struct vf_vm_disk *d,
                                         enum vf_format format)
{
    for (int by_key = 1; by_key >= 0; by_key--) {
        for (size_t i = 0; i < n->n_known; i++) {
            struct vf_known_image *k = &n->known[i];
            if (!k->taken && is_same_disk(k, d, by_key) && is_of_format(k->file, format)) {
                return k;
            }
        }
    }
    return NULL;
}

static char *unused_name(const struct vf_image_names *n, const struct vf_import *im, size_t from)
{
    for (size_t index = from;; index++) {
        char *name = vf_dir_files_name(im, index);
        bool used = false;
        for (size_t i = 0; i < n->n_known; i++) {
            used = used || strcmp(n->known[i].file, name) == 0;
        }
        if (!used) {
            return name;
        }
        free(name);
    }
}

static void free_files(struct vf_image_names *n)
{
    for (size_t i = 0; i < n->n_files; i++) {
        free(n->files[i]);
    }
    free(n->files);
    n->files = NULL;
    n->n_files = 0;
}

/* The known ones first: a new disk must not be given another one's name. */
void vf_image_names_assign(struct vf_image_names *n, const struct vf_import *im,
                           const struct vf_vm *vm)
{
    enum vf_format format = vf_dir_files_format(im);
    free_files(n);
    n->files = vf_xcalloc(vm->n_disks, sizeof *n->files);
    n->n_files = vm->n_disks;
    for (size_t i = 0; i < n->n_known; i++) {
        n->known[i].taken = false;
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        struct vf_known_image *k = find_known(n, &vm->disks[i], format);
        if (k) {
            k->taken = true;
            k->key = vm->disks[i].key;
            n->files[i] = vf_xstrdup(k->file);
        }
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (!n->files[i]) {
            n->files[i] = unused_name(n, im, i);
            add_known(n, vm->disks[i].key, vm->disks[i].uuid, n->files[i])->taken = true;
        }
    }
}

void vf_image_names_release(struct vf_image_names *n)
{
    free_files(n);
    for (size_t i = 0; i < n->n_known; i++) {
        free(n->known[i].uuid);
        free(n->known[i].file);
    }
    free(n->known);
    n->known = NULL;
    n->n_known = 0;
}
