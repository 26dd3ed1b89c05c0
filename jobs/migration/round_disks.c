#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"
#include "jobs/migration/round_private.h"

struct vf_disks *vf_disks_new(const struct vf_disks_env *env)
{
    struct vf_disks *d = vf_xcalloc(1, sizeof *d);
    d->env = *env;
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

static void free_disk(struct vf_round_disk *rd)
{
    vf_round_close(rd);
    vf_areas_release(&rd->changed);
    vf_areas_release(&rd->todo);
    free(rd->name);
    free(rd);
}

static void free_list(struct vf_disks *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free_disk(d->list[i]);
    }
    free(d->list);
    d->list = NULL;
    d->n = 0;
}

void vf_disks_free(struct vf_disks *d)
{
    if (d) {
        free_list(d);
        pthread_mutex_destroy(&d->lock);
        free(d);
    }
}

size_t vf_disks_count(const struct vf_disks *d)
{
    return d->n;
}

struct vf_disk_view vf_disks_get(const struct vf_disks *d, size_t index)
{
    const struct vf_round_disk *rd = d->list[index];
    return (struct vf_disk_view){
        .name = rd->name, .progress = &rd->progress, .size_bytes = rd->size_bytes};
}

static bool same_uuid(const char *a, const char *b)
{
    return a && b && strcasecmp(a, b) == 0;
}

/* The disk of the VM that has this UUID, if that is one alone. */
static const struct vf_vm_disk *find_by_uuid(const struct vf_vm *vm, const char *uuid)
{
    const struct vf_vm_disk *found = NULL;
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (same_uuid(vm->disks[i].uuid, uuid)) {
            if (found) {
                return NULL;
            }
            found = &vm->disks[i];
        }
    }
    return found;
}

static bool is_alone(const struct vf_checkpoint *c, const char *uuid)
{
    unsigned n = 0;
    for (size_t i = 0; i < c->n_disks; i++) {
        n += same_uuid(c->disks[i].backing_uuid, uuid);
    }
    return n == 1;
}

static void tell_gone(const struct vf_disks *d, const struct vf_checkpoint_disk *cd)
{
    vf_report_warning(d->env.reporter, d->env.vm,
                      "disk \"%s\" is no longer in the VM: it is left out from now on, and its "
                      "copy \"%s\" is not brought up to date any more",
                      cd->label ? cd->label : cd->target, cd->target);
}

/* Whether the disk's key is that of another one now. */
static bool is_taken(const struct vf_checkpoint *c, const struct vf_vm_disk *const *match, size_t i)
{
    for (size_t k = 0; k < c->n_disks; k++) {
        if (k != i && match[k] && match[k]->key == c->disks[i].key) {
            return true;
        }
    }
    return false;
}

/* A disk that hangs at another controller or unit has another device key; its UUID it keeps. True:
 * some key changed. One that is not to be found, and whose key another has now, is gone. */
static bool follow_keys(struct vf_disks *d, const struct vf_vm *frozen)
{
    struct vf_checkpoint *c = d->env.checkpoint;
    const struct vf_vm_disk **match = vf_xcalloc(c->n_disks + 1, sizeof(void *));
    bool moved = false;
    for (size_t i = 0; i < c->n_disks; i++) {
        const char *uuid = c->disks[i].backing_uuid;
        match[i] = uuid && is_alone(c, uuid) ? find_by_uuid(frozen, uuid) : NULL;
        moved = moved || (match[i] && match[i]->key != c->disks[i].key);
    }
    for (size_t i = c->n_disks; moved && i-- > 0;) {
        if (!match[i] && is_taken(c, match, i)) {
            tell_gone(d, &c->disks[i]);
            vf_checkpoint_remove_disk(c, &c->disks[i]);
            memmove(match + i, match + i + 1, (c->n_disks - i) * sizeof(void *));
        }
    }
    for (size_t i = 0; moved && i < c->n_disks; i++) {
        c->disks[i].key = match[i] ? match[i]->key : c->disks[i].key;
    }
    free(match);
    return moved;
}

static void drop_gone(struct vf_disks *d, const struct vf_vm *frozen)
{
    struct vf_checkpoint *c = d->env.checkpoint;
    for (size_t i = c->n_disks; i-- > 0;) {
        bool there = false;
        for (size_t k = 0; k < frozen->n_disks; k++) {
            there = there || frozen->disks[k].key == c->disks[i].key;
        }
        if (!there) {
            tell_gone(d, &c->disks[i]);
            vf_checkpoint_remove_disk(c, &c->disks[i]);
        }
    }
}

/* The checkpoint becomes one of this VM. */
static int adopt_vm(struct vf_disks *d, const struct vf_vm *frozen, struct vf_error **err)
{
    struct vf_checkpoint *c = d->env.checkpoint;
    const char *uuid =
        frozen->instance_uuid && *frozen->instance_uuid ? frozen->instance_uuid : frozen->moref;
    if (!uuid) {
        return vf_error_set(err, VF_INVALID,
                            "the VM has neither an instance UUID nor a name of its own in vSphere");
    }
    if (c->instance_uuid && !same_uuid(c->instance_uuid, uuid)) {
        vf_report_warning(d->env.reporter, d->env.vm,
                          "what is at the target is a copy of vm \"%s\" with instance UUID %s: all "
                          "is copied in full",
                          c->vm_name ? c->vm_name : "", c->instance_uuid);
        enum vf_checkpoint_stage stage = c->stage;
        bool was_on = c->was_on;
        vf_checkpoint_release(c);
        c->stage = stage;
        c->was_on = was_on;
        free_list(d);
    }
    vf_replace_string(&c->instance_uuid, uuid);
    vf_replace_string(&c->moref, frozen->moref);
    vf_replace_string(&c->vm_name, frozen->name);
    return 0;
}

static bool target_knows(const struct vf_import *im, const struct vf_vm *vm)
{
    bool same = im->n_copies == vm->n_disks;
    for (size_t i = 0; same && i < vm->n_disks; i++) {
        same = im->copies[i].expected_bytes == vm->disks[i].capacity_bytes;
        if (same && vm->disks[i].label) {
            same = im->copies[i].name && strcmp(im->copies[i].name, vm->disks[i].label) == 0;
        }
    }
    return same;
}

static struct vf_round_disk *take_disk(struct vf_disks *d, int32_t key)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->list[i] && d->list[i]->key == key) {
            return vf_take(d->list[i]);
        }
    }
    struct vf_round_disk *rd = vf_xcalloc(1, sizeof *rd);
    rd->disks = d;
    rd->key = key;
    return rd;
}

static void make_list(struct vf_disks *d, const struct vf_vm *frozen)
{
    struct vf_round_disk **list = vf_xcalloc(frozen->n_disks + 1, sizeof(void *));
    for (size_t i = 0; i < frozen->n_disks; i++) {
        const struct vf_vm_disk *disk = &frozen->disks[i];
        struct vf_round_disk *rd = take_disk(d, disk->key);
        if (rd->size_bytes != disk->capacity_bytes) {
            vf_round_close(rd);
        }
        rd->index = i;
        rd->size_bytes = disk->capacity_bytes;
        rd->frozen = disk;
        free(rd->name);
        rd->name = disk->label ? vf_xstrdup(disk->label) : vf_xasprintf("disk %zu", i);
        list[i] = rd;
    }
    for (size_t i = 0; i < d->n; i++) {
        if (d->list[i]) {
            free_disk(d->list[i]);
        }
    }
    free(d->list);
    d->list = list;
    d->n = frozen->n_disks;
}

int vf_round_adopt(struct vf_disks *d, const struct vf_vm *frozen, struct vf_error **err)
{
    int rc = adopt_vm(d, frozen, err);
    if (rc) {
        return rc;
    }
    bool changed = !target_knows(d->env.target->im, frozen);
    changed = follow_keys(d, frozen) || changed;
    drop_gone(d, frozen);
    if (changed) {
        /* The target may put them in other places now: its sinks are opened again. */
        free_list(d);
        rc = d->env.target->ops->prepare(d->env.target, frozen, err);
        if (rc == 0 && !target_knows(d->env.target->im, frozen)) {
            rc =
                vf_error_set(err, VF_INTERNAL, "the target has no place for the disks as they are");
        }
    }
    if (rc == 0) {
        make_list(d, frozen);
    }
    return rc;
}
