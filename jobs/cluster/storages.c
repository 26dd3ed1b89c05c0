/* Which storage each disk of a VM goes to: as the mapping tells, each kind asked for once. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/cluster/landing.h"

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct vf_kube_storage *find(const struct vf_landing_cluster *l,
                                    const struct vf_disk_storage *told)
{
    for (size_t i = 0; i < l->n_storages; i++) {
        const struct vf_cluster_storage *s = &l->storages[i];
        if (is_same(s->class_name, told->storage_class) &&
            is_same(s->volume_mode, told->volume_mode) &&
            is_same(s->access_mode, told->access_mode)) {
            return s->storage;
        }
    }
    return NULL;
}

static int fetch(struct vf_landing_cluster *l, const struct vf_disk_storage *told,
                 struct vf_kube_storage **ret_storage, struct vf_error **err)
{
    const struct vf_kube_storage_wish wish = {.class_name = told->storage_class,
                                              .volume_mode = told->volume_mode,
                                              .access_mode = told->access_mode};
    int rc = vf_kube_storage_fetch(l->client, &wish, l->landing.im->cancel, ret_storage, err);
    if (rc) {
        return rc;
    }
    l->storages = vf_xrealloc_array(l->storages, l->n_storages + 1, sizeof *l->storages);
    l->storages[l->n_storages++] =
        (struct vf_cluster_storage){.class_name = vf_xstrdup(told->storage_class),
                                    .volume_mode = vf_xstrdup(told->volume_mode),
                                    .access_mode = vf_xstrdup(told->access_mode),
                                    .storage = *ret_storage};
    return 0;
}

/* Every disk, whatever the VM has, will ask for the same. */
static bool is_one_for_all(const struct vf_mapping *m)
{
    return !m || (m->n_storage == 0 && m->n_disks == 0 && m->cdroms == VF_CDROMS_DROP);
}

int vf_cluster_check_storage(struct vf_landing_cluster *l, struct vf_error **err)
{
    const struct vf_mapping *m = l->landing.im->options->mapping;
    const struct vf_disk_storage told = {.storage_class = m ? m->storage_class : NULL,
                                         .volume_mode = m ? m->volume_mode : NULL,
                                         .access_mode = m ? m->access_mode : NULL};
    struct vf_kube_storage *storage;
    return is_one_for_all(m) ? fetch(l, &told, &storage, err) : 0;
}

int vf_cluster_choose_storage(struct vf_cluster_disk *d, const struct vf_vm *vm, size_t i,
                              struct vf_error **err)
{
    struct vf_landing_cluster *l = d->landing;
    const struct vf_disk_storage told =
        vf_mapping_storage_of(l->landing.im->options->mapping, vm, i);
    struct vf_kube_storage *storage = find(l, &told);
    int rc = storage ? 0 : fetch(l, &told, &storage, err);
    d->storage = storage;
    return vf_cluster_wrap_disk(d, rc, err);
}

int vf_cluster_choose_storage_of(struct vf_cluster_disk *d, const char *class_name,
                                 const char *volume_mode, const struct vf_vm *vm, size_t i,
                                 struct vf_error **err)
{
    struct vf_landing_cluster *l = d->landing;
    struct vf_disk_storage is = vf_mapping_storage_of(l->landing.im->options->mapping, vm, i);
    if (!class_name || !*class_name || !volume_mode) {
        return vf_cluster_choose_storage(d, vm, i, err);
    }
    is.storage_class = class_name;
    is.volume_mode = volume_mode;
    struct vf_kube_storage *storage = find(l, &is);
    struct vf_error *e = NULL;
    int rc = storage ? 0 : fetch(l, &is, &storage, &e);
    if (rc == VF_MISSING || rc == VF_INVALID) {
        /* The class is gone, or says something else by now: the claim is there all the same. */
        vf_error_free(e);
        return vf_cluster_choose_storage(d, vm, i, err);
    }
    d->storage = storage;
    vf_error_move(err, &e);
    return vf_cluster_wrap_disk(d, rc, err);
}

void vf_cluster_storages_release(struct vf_landing_cluster *l)
{
    for (size_t i = 0; i < l->n_storages; i++) {
        free(l->storages[i].class_name);
        free(l->storages[i].volume_mode);
        free(l->storages[i].access_mode);
        vf_kube_storage_free(l->storages[i].storage);
    }
    free(vf_take(l->storages));
    l->n_storages = 0;
}

/* Another disk before it has the same class. */
static bool is_told(const struct vf_landing_cluster *l, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (strcmp(l->disks[j].storage->class_name, l->disks[i].storage->class_name) == 0) {
            return true;
        }
    }
    return false;
}

char *vf_cluster_describe_storages(const struct vf_landing_cluster *l)
{
    struct vf_buf names;
    size_t n = 0;
    vf_buf_init(&names, SIZE_MAX);
    for (size_t i = 0; i < l->n_disks; i++) {
        if (!is_told(l, i)) {
            vf_buf_printf(&names, "%s\"%s\"", n++ ? ", " : "", l->disks[i].storage->class_name);
        }
    }
    char *text = vf_xasprintf("class%s %s", n == 1 ? "" : "es", names.data ? names.data : "");
    vf_buf_release(&names);
    return text;
}
