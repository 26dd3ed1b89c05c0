#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/zero.h"
#include "jobs/area_copy.h"
#include "tests/support/check.h"
#include "tests/support/warm_model_private.h"

enum warm_fate warm_step(struct warm_model *m)
{
    m->n_calls++;
    if (m->dead) {
        return WARM_DEAD;
    }
    if (m->n_calls == m->kill_at) {
        m->dead = true;
        return WARM_DIE;
    }
    return m->n_calls == m->fail_at ? WARM_FAIL : WARM_GO;
}

static enum warm_fate locked_step(struct warm_model *m)
{
    pthread_mutex_lock(&m->lock);
    enum warm_fate fate = warm_step(m);
    pthread_mutex_unlock(&m->lock);
    return fate;
}

/* --- the sink ------------------------------------------------------------------------------- */

enum { CLEAN, DIRTY, LOST /* a flush failed: no later one makes it durable */ };

struct warm_sink {
    struct vf_sink base;
    struct warm_model *model;
    struct warm_file *file;
};

static void begin_change(struct warm_model *m, struct warm_file *f)
{
    pthread_mutex_lock(&m->lock);
    f->inside++;
    pthread_mutex_unlock(&m->lock);
    sched_yield();
    pthread_mutex_lock(&m->lock);
}

/* buf NULL: zeros. */
static int change(struct vf_sink *s, const uint8_t *buf, uint64_t offset, uint64_t len,
                  struct vf_error **err)
{
    struct warm_model *m = ((struct warm_sink *)s)->model;
    struct warm_file *f = ((struct warm_sink *)s)->file;
    vf_test_check(len > 0 && offset % WARM_SECTOR == 0 && len % WARM_SECTOR == 0);
    vf_test_check(offset <= s->size_bytes && len <= s->size_bytes - offset);
    begin_change(m, f);
    enum warm_fate fate = warm_step(m);
    for (uint64_t i = 0; fate != WARM_DEAD && i < len; i += WARM_SECTOR) {
        uint64_t sector = (offset + i) / WARM_SECTOR;
        if (fate != WARM_GO && warm_model_random(m, 2)) {
            continue;
        }
        if (buf) {
            memcpy(f->now + offset + i, buf + i, WARM_SECTOR);
        } else {
            memset(f->now + offset + i, 0, WARM_SECTOR);
        }
        /* The same bytes again are no change: a disk tears between what was and what comes. */
        if (f->dirty[sector] ||
            memcmp(f->now + offset + i, f->durable + offset + i, WARM_SECTOR) != 0) {
            f->dirty[sector] = DIRTY;
        }
        m->written_bytes += WARM_SECTOR;
    }
    f->inside--;
    pthread_mutex_unlock(&m->lock);
    return fate == WARM_GO ? 0 : vf_error_set(err, VF_SPACE, "the target is full");
}

static int sink_write(struct vf_sink *s, const void *buf, size_t len, uint64_t offset,
                      struct vf_error **err)
{
    return change(s, buf, offset, len, err);
}

static int sink_zero(struct vf_sink *s, uint64_t offset, uint64_t len, struct vf_error **err)
{
    return change(s, NULL, offset, len, err);
}

static int sink_read(struct vf_sink *s, void *buf, size_t len, uint64_t offset,
                     struct vf_error **err)
{
    struct warm_model *m = ((struct warm_sink *)s)->model;
    pthread_mutex_lock(&m->lock);
    enum warm_fate fate = warm_step(m);
    memcpy(buf, ((struct warm_sink *)s)->file->now + offset, len);
    m->read_bytes += len;
    pthread_mutex_unlock(&m->lock);
    return fate == WARM_GO ? 0 : vf_error_set(err, VF_INTERNAL, "the target cannot be read");
}

static int sink_flush(struct vf_sink *s, struct vf_error **err)
{
    struct warm_model *m = ((struct warm_sink *)s)->model;
    struct warm_file *f = ((struct warm_sink *)s)->file;
    pthread_mutex_lock(&m->lock);
    vf_test_check(f->inside == 0);
    enum warm_fate fate = warm_step(m);
    for (uint64_t i = 0; i < f->sectors && fate != WARM_DEAD; i++) {
        if (f->dirty[i] == DIRTY && (fate == WARM_GO || warm_model_random(m, 2))) {
            memcpy(f->durable + i * WARM_SECTOR, f->now + i * WARM_SECTOR, WARM_SECTOR);
            f->dirty[i] = CLEAN;
        } else if (f->dirty[i] == DIRTY && fate == WARM_FAIL) {
            f->dirty[i] = LOST;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return fate == WARM_GO ? 0 : vf_error_set(err, VF_INTERNAL, "the target's disk is broken");
}

static void sink_free(struct vf_sink *s)
{
    ((struct warm_sink *)s)->file->open = false;
    free(s);
}

static const struct vf_sink_ops sink_ops = {.write = sink_write,
                                            .zero = sink_zero,
                                            .read = sink_read,
                                            .flush = sink_flush,
                                            .finish = sink_flush,
                                            .free = sink_free};

/* --- the target ----------------------------------------------------------------------------- */

struct warm_file *warm_model_find_file(struct warm_model *m, const char *name)
{
    struct warm_file *unused = NULL;
    for (size_t i = 0; i < WARM_MAX_FILES; i++) {
        if (strcmp(m->files[i].name, name) == 0) {
            return &m->files[i];
        }
        unused = !unused && !m->files[i].name[0] ? &m->files[i] : unused;
    }
    vf_test_check(unused);
    snprintf(unused->name, sizeof unused->name, "%s", name);
    return unused;
}

static struct warm_model *model_of(const struct vf_warm_target *t)
{
    return (struct warm_model *)((uintptr_t)t - offsetof(struct warm_model, target));
}

static void release_import(struct warm_model *m)
{
    for (size_t i = 0; i < m->im.n_copies; i++) {
        vf_disk_copy_release(&m->im.copies[i]);
    }
    free(m->im.copies);
    m->im.copies = NULL;
    m->im.n_copies = 0;
}

static int target_prepare(struct vf_warm_target *t, const struct vf_vm *vm, struct vf_error **err)
{
    struct warm_model *m = model_of(t);
    for (size_t i = 0; i < WARM_MAX_FILES; i++) {
        vf_test_check(!m->files[i].open);
    }
    if (locked_step(m) != WARM_GO) {
        return vf_error_set(err, VF_RETRY, "the API server does not answer");
    }
    m->n_prepares++;
    release_import(m);
    m->im.copies = vf_xcalloc(vm->n_disks, sizeof *m->im.copies);
    m->im.n_copies = vm->n_disks;
    for (size_t i = 0; i < vm->n_disks; i++) {
        struct vf_disk_copy *c = &m->im.copies[i];
        const char *number = strrchr(vm->disks[i].uuid, '-') + 1;
        c->index = (unsigned)i;
        if (m->names_by_uuid) {
            snprintf(m->names[i], sizeof m->names[i], "disk-%s", number);
        } else {
            snprintf(m->names[i], sizeof m->names[i], "disk-%zu", i);
        }
        c->name = vf_xstrdup(vm->disks[i].label);
        c->expected_bytes = vm->disks[i].capacity_bytes;
    }
    return 0;
}

static const char *target_get_name(const struct vf_warm_target *t, size_t index)
{
    return model_of(t)->names[index];
}

static void begin_file(struct warm_model *m, struct warm_file *f, uint64_t sectors)
{
    f->exists = true;
    f->sectors = sectors;
    size_t bytes = (size_t)sectors * WARM_SECTOR;
    f->now = vf_xrealloc_array(f->now, bytes + 1, 1);
    f->durable = vf_xrealloc_array(f->durable, bytes + 1, 1);
    f->dirty = vf_xrealloc_array(f->dirty, (size_t)sectors + 1, 1);
    memset(f->now, m->starts_zero ? 0 : 0xa5, bytes);
    memset(f->durable, 0x5a, bytes);
    memset(f->dirty, DIRTY, (size_t)sectors);
}

static int target_open_disk(struct vf_warm_target *t, size_t index, uint64_t size_bytes, bool fresh,
                            const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                            struct vf_error **err)
{
    (void)cancel;
    struct warm_model *m = model_of(t);
    struct warm_file *f = warm_model_find_file(m, target_get_name(t, index));
    vf_test_check(!f->open);
    enum warm_fate fate = locked_step(m);
    if (fate == WARM_DEAD) {
        return vf_error_set(err, VF_INTERNAL, "dead");
    }
    if (!fresh && (!f->exists || f->sectors * WARM_SECTOR != size_bytes)) {
        return vf_error_set(err, VF_MISSING, "there is no image \"%s\" of this size", f->name);
    }
    if (fresh) {
        begin_file(m, f, size_bytes / WARM_SECTOR);
    }
    if (fate != WARM_GO) {
        return vf_error_set(err, fresh ? VF_SPACE : VF_INVALID, "\"%s\" cannot be used", f->name);
    }
    f->open = true;
    struct warm_sink *s = vf_xcalloc(1, sizeof *s);
    s->base = (struct vf_sink){.ops = &sink_ops,
                               .size_bytes = size_bytes,
                               .caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE |
                                       VF_SINK_READABLE |
                                       (fresh && m->starts_zero ? VF_SINK_STARTS_ZERO : 0)};
    s->model = m;
    s->file = f;
    *ret_sink = &s->base;
    return 0;
}

/* --- the store, and the check of what it is given -------------------------------------------- */

/* The state of the source that the disk of the checkpoint is, or will be, a copy of. */
static const struct warm_state *state_of(const struct warm_model *m,
                                         const struct vf_checkpoint_disk *d)
{
    const struct warm_snapshot *s = warm_find_snapshot(m, d->snapshot);
    vf_test_check(s);
    for (size_t i = 0; i < s->n_disks; i++) {
        if (strcmp(s->disks[i].uuid, d->backing_uuid) == 0) {
            return &s->disks[i];
        }
    }
    vf_test_check(!"a disk of the snapshot");
    return NULL;
}

/* What must be at the target, durably, whatever happens from now on: what is done, and in a round
 * after the full copy what did not change. */
static bool must_be_there(const struct vf_checkpoint_disk *d, const struct warm_state *s,
                          uint64_t sector)
{
    return d->phase == VF_CHECKPOINT_COMPLETE ||
           vf_areas_contains(&d->done, sector * WARM_SECTOR, WARM_SECTOR) ||
           (d->phase == VF_CHECKPOINT_DELTA &&
            !warm_block_changed(s, d->base_change_id, sector / WARM_BLOCK));
}

static void check_truth(struct warm_model *m, const struct vf_checkpoint *c)
{
    for (size_t i = 0; i < c->n_disks; i++) {
        const struct vf_checkpoint_disk *d = &c->disks[i];
        if (d->phase == VF_CHECKPOINT_FULL && d->done.count == 0) {
            continue;
        }
        const struct warm_state *s = state_of(m, d);
        struct warm_file *f = warm_model_find_file(m, d->target);
        vf_test_check(f->exists && f->sectors == s->sectors);
        vf_test_check(d->size_bytes == s->sectors * WARM_SECTOR);
        for (uint64_t k = 0; k < s->sectors; k++) {
            if (must_be_there(d, s, k)) {
                vf_test_check(f->dirty[k] == CLEAN);
                vf_test_check(warm_sector_is(f->durable + k * WARM_SECTOR, s->stamps[k]));
            }
        }
    }
}

static struct warm_model *model_of_store(const struct vf_checkpoint_store *s)
{
    return (struct warm_model *)((uintptr_t)s - offsetof(struct warm_model, store));
}

static void keep(struct warm_model *m, const struct vf_checkpoint *c)
{
    struct vf_checkpoint back = {0};
    char *text = NULL, *again = NULL;
    vf_test_check(vf_checkpoint_encode(c, m->max_text, &text, NULL) == 0);
    vf_test_check(vf_checkpoint_parse(text, strlen(text), &back, NULL) == 0);
    vf_test_check(vf_checkpoint_encode(&back, m->max_text, &again, NULL) == 0);
    vf_test_check(strcmp(text, again) == 0);
    if (!m->transport.copies_itself) {
        check_truth(m, &back);
    }
    vf_checkpoint_release(&back);
    free(again);
    free(m->text);
    m->text = text;
    m->n_saves++;
}

static int store_save(struct vf_checkpoint_store *s, const struct vf_checkpoint *c,
                      struct vf_error **err)
{
    struct warm_model *m = model_of_store(s);
    pthread_mutex_lock(&m->lock);
    enum warm_fate fate = m->save_fails && !m->dead ? WARM_FAIL : warm_step(m);
    if (fate == WARM_GO || (fate == WARM_DIE && warm_model_random(m, 2))) {
        keep(m, c);
    }
    pthread_mutex_unlock(&m->lock);
    return fate == WARM_GO
               ? 0
               : vf_error_set(err, m->save_fails ? m->save_fails : VF_RETRY, "cannot be saved");
}

void warm_model_load(const struct warm_model *m, struct vf_checkpoint *ret)
{
    *ret = (struct vf_checkpoint){0};
    vf_test_check(!m->text || vf_checkpoint_parse(m->text, strlen(m->text), ret, NULL) == 0);
}

void warm_model_crash(struct warm_model *m, bool power_loss)
{
    m->dead = false;
    m->kill_at = m->fail_at = 0;
    m->n_calls = 0;
    m->save_fails = 0;
    release_import(m);
    for (size_t i = 0; i < WARM_MAX_FILES && power_loss; i++) {
        struct warm_file *f = &m->files[i];
        vf_test_check(!f->open);
        for (uint64_t k = 0; k < f->sectors; k++) {
            uint64_t what = f->dirty[k] ? warm_model_random(m, 3) : 0;
            if (what == 1) {
                memcpy(f->durable + k * WARM_SECTOR, f->now + k * WARM_SECTOR, WARM_SECTOR);
            } else if (what == 2) {
                memset(f->durable + k * WARM_SECTOR, 0xee, WARM_SECTOR);
            }
            f->dirty[k] = CLEAN;
        }
        if (f->exists) {
            memcpy(f->now, f->durable, (size_t)f->sectors * WARM_SECTOR);
        }
    }
}

void warm_model_compare(const struct warm_model *m, const struct warm_snapshot *s, size_t index)
{
    struct warm_model *w = model_of(&m->target);
    const struct warm_state *d = &s->disks[index];
    const struct warm_file *f = warm_model_find_file(w, target_get_name(&m->target, index));
    vf_test_check(f->exists && f->sectors == d->sectors);
    for (uint64_t k = 0; k < d->sectors; k++) {
        vf_test_check(f->dirty[k] == CLEAN);
        vf_test_check(warm_sector_is(f->durable + k * WARM_SECTOR, d->stamps[k]));
        vf_test_check(warm_sector_is(f->now + k * WARM_SECTOR, d->stamps[k]));
    }
}

/* --- the transport --------------------------------------------------------------------------- */

/* A disk of a snapshot, for the pump for areas. */
struct warm_disk {
    struct vf_disk base;
    struct warm_model *model;
    const struct warm_state *state;
};

static int disk_pread(struct vf_disk *disk, void *buf, size_t len, uint64_t offset,
                      struct vf_error **err)
{
    struct warm_disk *d = (struct warm_disk *)disk;
    vf_test_check(len > 0 && offset <= disk->size_bytes && len <= disk->size_bytes - offset);
    for (size_t i = 0; i < len; i += WARM_SECTOR) {
        warm_fill_sector((uint8_t *)buf + i, d->state->stamps[(offset + i) / WARM_SECTOR]);
    }
    return locked_step(d->model) == WARM_GO ? 0 : vf_error_set(err, VF_RETRY, "a read failed");
}

static int disk_extents(struct vf_disk *disk, uint64_t offset, uint64_t len, vf_extent_fn *fn,
                        void *opaque, struct vf_error **err)
{
    const struct warm_state *s = ((struct warm_disk *)disk)->state;
    int rc = 0;
    for (uint64_t at = offset; at < offset + len && rc == 0; at += WARM_SECTOR) {
        bool zero = s->stamps[at / WARM_SECTOR] == 0 && at % 3072;
        struct vf_extent e = {at, WARM_SECTOR, zero ? VF_EXTENT_ZERO : VF_EXTENT_DATA};
        rc = fn(opaque, &e, err);
    }
    return rc;
}

static int pump(struct warm_model *m, const struct vf_transport_disk *d,
                const struct warm_state *state, struct vf_cancel *cancel, struct vf_error **err)
{
    static const struct vf_disk_ops ops = {.pread = disk_pread, .extents = disk_extents};
    struct warm_disk disk = {.base = {.ops = &ops, .size_bytes = state->sectors * WARM_SECTOR},
                             .model = m,
                             .state = state};
    return vf_area_copy_run(&(struct vf_area_copy){.disk = &disk.base,
                                                   .sink = d->sink,
                                                   .areas = d->todo,
                                                   .requests = 4,
                                                   .request_bytes = 16u << 10,
                                                   .skip_holes = d->index % 2,
                                                   .progress = d->progress,
                                                   .cancel = cancel},
                            err);
}

struct chunk {
    const struct vf_transport_disk *disk;
    const struct warm_state *state;
    uint64_t sector, n;
};

static size_t cut(struct warm_model *m, const struct vf_transport_disk *d,
                  const struct warm_state *state, struct chunk **chunks, size_t n)
{
    struct vf_area a;
    for (uint64_t at = 0; vf_areas_next(d->todo, at, &a); at = a.offset_bytes + a.length_bytes) {
        vf_test_check(a.offset_bytes + a.length_bytes <= state->sectors * WARM_SECTOR);
        uint64_t sector = a.offset_bytes / WARM_SECTOR, left = a.length_bytes / WARM_SECTOR;
        while (left > 0) {
            uint64_t part = 1 + warm_model_random(m, 96);
            part = part < left ? part : left;
            *chunks = vf_xrealloc_array(*chunks, n + 1, sizeof **chunks);
            (*chunks)[n++] = (struct chunk){d, state, sector, part};
            sector += part;
            left -= part;
        }
    }
    return n;
}

static int copy_chunk(struct warm_model *m, const struct chunk *c, struct vf_error **err)
{
    if (locked_step(m) != WARM_GO) {
        return vf_error_set(err, VF_RETRY, "the source went away");
    }
    size_t len = (size_t)c->n * WARM_SECTOR;
    uint8_t *vf_autofree buf = vf_xcalloc(1, len);
    for (uint64_t i = 0; i < c->n; i++) {
        warm_fill_sector(buf + i * WARM_SECTOR, c->state->stamps[c->sector + i]);
    }
    if (vf_is_zero(buf, len) && warm_model_random(m, 2)) {
        return vf_sink_zero(c->disk->sink, c->sector * WARM_SECTOR, len, err);
    }
    return vf_sink_write(c->disk->sink, buf, len, c->sector * WARM_SECTOR, err);
}

static int copy_chunks(struct warm_model *m, struct chunk *chunks, size_t n, struct vf_error **err)
{
    for (size_t i = n; i > 1 && m->transport_kind == WARM_SHUFFLED; i--) {
        size_t k = (size_t)warm_model_random(m, i);
        struct chunk last = chunks[i - 1];
        chunks[i - 1] = chunks[k];
        chunks[k] = last;
    }
    int rc = 0;
    for (size_t i = m->leave_out ? 1 : 0; i < n && rc == 0; i++) {
        rc = copy_chunk(m, &chunks[i], err);
    }
    return rc;
}

static int transport_copy(struct vf_transport *t, const struct vf_transport_round *round,
                          struct vf_cancel *cancel, struct vf_error **err)
{
    struct warm_model *m =
        (struct warm_model *)((uintptr_t)t - offsetof(struct warm_model, transport));
    const struct warm_snapshot *s = warm_find_snapshot(m, round->snapshot);
    vf_test_check(s && round->n_disks > 0);
    if (!s->exists) {
        return vf_error_set(err, VF_MISSING, "there is no snapshot \"%s\"", s->moref);
    }
    struct chunk *vf_autofree chunks = NULL;
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; i < round->n_disks && rc == 0; i++) {
        const struct vf_transport_disk *d = &round->disks[i];
        const struct warm_state *state = &s->disks[d->index];
        vf_test_check(d->disk->key == state->key && d->todo->count > 0);
        vf_test_check(t->copies_itself == !d->sink);
        if (t->copies_itself) {
            continue;
        }
        if (m->transport_kind == WARM_AREA_COPY) {
            rc = pump(m, d, state, cancel, err);
        } else {
            n = cut(m, d, state, &chunks, n);
        }
    }
    return rc ? rc : copy_chunks(m, chunks, n, err);
}

void warm_target_init(struct warm_model *m)
{
    static const struct vf_warm_target_ops target = {
        .prepare = target_prepare, .get_name = target_get_name, .open_disk = target_open_disk};
    static const struct vf_checkpoint_store_ops store = {.save = store_save};
    static const struct vf_transport_ops transport = {.copy = transport_copy};
    m->store.ops = &store;
    m->target = (struct vf_warm_target){.ops = &target, .im = &m->im, .store = &m->store};
    m->transport.ops = &transport;
}

void warm_target_release(struct warm_model *m)
{
    release_import(m);
    for (size_t i = 0; i < WARM_MAX_FILES; i++) {
        free(m->files[i].now);
        free(m->files[i].durable);
        free(m->files[i].dirty);
    }
    free(m->text);
}
