#include "tests/support/warm_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/leaf_digest.h"
#include "tests/support/warm_model_private.h"

uint64_t warm_model_random(struct warm_model *m, uint64_t below)
{
    /* splitmix64 */
    uint64_t z = (m->rng += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

/* Eight bytes over and over: quick, also under sanitizers. */
void warm_fill_sector(uint8_t *p, uint64_t stamp)
{
    memcpy(p, &stamp, sizeof stamp);
    for (size_t n = sizeof stamp; n < WARM_SECTOR; n *= 2) {
        memcpy(p + n, p, n);
    }
}

bool warm_sector_is(const uint8_t *p, uint64_t stamp)
{
    return memcmp(p, &stamp, sizeof stamp) == 0 &&
           memcmp(p + sizeof stamp, p, WARM_SECTOR - sizeof stamp) == 0;
}

static uint64_t n_blocks(uint64_t sectors)
{
    return (sectors + WARM_BLOCK - 1) / WARM_BLOCK;
}

static void set_size(struct warm_state *s, uint64_t sectors)
{
    s->stamps = vf_xrealloc_array(s->stamps, (size_t)sectors + 1, sizeof *s->stamps);
    s->changed_at =
        vf_xrealloc_array(s->changed_at, (size_t)n_blocks(sectors) + 1, sizeof *s->changed_at);
    for (uint64_t i = s->sectors; i < sectors; i++) {
        s->stamps[i] = 0;
    }
    for (uint64_t i = n_blocks(s->sectors); i < n_blocks(sectors); i++) {
        s->changed_at[i] = 0;
    }
    s->sectors = sectors;
}

static void release_state(struct warm_state *s)
{
    free(s->stamps);
    free(s->changed_at);
    *s = (struct warm_state){0};
}

static struct warm_state copy_state(const struct warm_state *s)
{
    struct warm_state c = *s;
    c.stamps = NULL;
    c.changed_at = NULL;
    c.sectors = 0;
    set_size(&c, s->sectors);
    memcpy(c.stamps, s->stamps, (size_t)s->sectors * sizeof *s->stamps);
    memcpy(c.changed_at, s->changed_at, (size_t)n_blocks(s->sectors) * sizeof *s->changed_at);
    return c;
}

void warm_model_write(struct warm_model *m, size_t index, uint64_t sector, uint64_t n, bool zero)
{
    struct warm_state *s = &m->live[index];
    for (uint64_t i = sector; i < sector + n && i < s->sectors; i++) {
        s->stamps[i] = zero ? 0 : ++m->n_stamps;
        s->changed_at[i / WARM_BLOCK] = s->sequence;
    }
}

void warm_model_guest(struct warm_model *m, unsigned writes)
{
    for (unsigned i = 0; i < writes; i++) {
        size_t index = (size_t)warm_model_random(m, m->n_live);
        uint64_t sectors = m->live[index].sectors;
        uint64_t most = warm_model_random(m, 6) ? 24 : sectors;
        warm_model_write(m, index, warm_model_random(m, sectors), 1 + warm_model_random(m, most),
                         warm_model_random(m, 4) == 0);
    }
}

static void new_names(struct warm_model *m, struct warm_state *s)
{
    unsigned n = ++m->n_made;
    snprintf(s->uuid, sizeof s->uuid, "6000C29a-0000-0000-0000-%012u", n);
    snprintf(s->tracking, sizeof s->tracking, "52 de c0 d9 b9 43 9d 10-61 d5 4c %02x", n);
    s->sequence = 1;
}

struct warm_state *warm_model_add_disk(struct warm_model *m, uint64_t sectors)
{
    vf_test_check(m->n_live < WARM_MAX_DISKS);
    struct warm_state *s = &m->live[m->n_live++];
    *s = (struct warm_state){0};
    new_names(m, s);
    s->key = 2000 + (int32_t)m->n_made;
    snprintf(s->label, sizeof s->label, "Hard disk %u", m->n_made);
    set_size(s, sectors);
    for (unsigned i = 0; i < 6; i++) {
        warm_model_write(m, m->n_live - 1, warm_model_random(m, sectors),
                         1 + warm_model_random(m, sectors / 3 + 1), false);
    }
    return s;
}

void warm_model_remove_disk(struct warm_model *m, size_t index)
{
    release_state(&m->live[index]);
    memmove(&m->live[index], &m->live[index + 1], (--m->n_live - index) * sizeof m->live[0]);
}

void warm_model_resize(struct warm_model *m, size_t index, uint64_t sectors)
{
    set_size(&m->live[index], sectors);
}

void warm_model_replace(struct warm_model *m, size_t index)
{
    new_names(m, &m->live[index]);
    for (uint64_t i = 0; i < n_blocks(m->live[index].sectors); i++) {
        m->live[index].changed_at[i] = 0;
    }
    /* Not one byte as before, and nothing that the tracking would tell. */
    for (uint64_t i = 0; i < m->live[index].sectors; i++) {
        m->live[index].stamps[i] = ++m->n_stamps;
    }
}

void warm_model_move_key(struct warm_model *m, size_t index)
{
    m->live[index].key = 3000 + (int32_t)++m->n_made;
}

void warm_model_reset_tracking(struct warm_model *m, size_t index, bool tracked)
{
    struct warm_state *s = &m->live[index];
    s->sequence = 1;
    s->tracking[0] = '\0';
    if (tracked) {
        snprintf(s->tracking, sizeof s->tracking, "52 de c0 d9 b9 43 9d 11-61 d5 4c %02x",
                 ++m->n_made);
    }
    for (uint64_t i = 0; i < n_blocks(s->sectors); i++) {
        s->changed_at[i] = 0; /* what changed before is forgotten */
    }
}

struct warm_snapshot *warm_model_snapshot(struct warm_model *m)
{
    vf_test_check(m->n_snapshots < WARM_MAX_SNAPSHOTS);
    struct warm_snapshot *s = &m->snapshots[m->n_snapshots++];
    *s = (struct warm_snapshot){.exists = true, .n_disks = m->n_live};
    snprintf(s->moref, sizeof s->moref, "snapshot-%zu", m->n_snapshots);
    for (size_t i = 0; i < m->n_live; i++) {
        s->disks[i] = copy_state(&m->live[i]);
        m->live[i].sequence++;
    }
    return s;
}

static char *change_id(const struct warm_state *s)
{
    return s->tracking[0] ? vf_xasprintf("%s/%" PRIu64, s->tracking, s->sequence) : NULL;
}

void warm_model_freeze(const struct warm_snapshot *s, struct vf_vm *ret_vm)
{
    vf_vm_init(ret_vm);
    ret_vm->name = vf_xstrdup("web01");
    ret_vm->moref = vf_xstrdup("vm-42");
    ret_vm->instance_uuid = vf_xstrdup("5012a8b4-7f4c-4d5e-9f60-718293a4b5c6");
    ret_vm->host = vf_xasprintf("esx%s", s->moref); /* it moves about */
    ret_vm->disks = vf_xcalloc(s->n_disks, sizeof *ret_vm->disks);
    ret_vm->n_disks = s->n_disks;
    for (size_t i = 0; i < s->n_disks; i++) {
        const struct warm_state *d = &s->disks[i];
        ret_vm->disks[i] = (struct vf_vm_disk){.label = vf_xstrdup(d->label),
                                               .key = d->key,
                                               .uuid = vf_xstrdup(d->uuid),
                                               .change_id = change_id(d),
                                               .capacity_bytes = d->sectors * WARM_SECTOR};
    }
}

const struct warm_snapshot *warm_find_snapshot(const struct warm_model *m, const char *moref)
{
    for (size_t i = 0; i < m->n_snapshots; i++) {
        if (strcmp(m->snapshots[i].moref, moref) == 0) {
            return &m->snapshots[i];
        }
    }
    return NULL;
}

static const struct warm_state *find_state(const struct warm_snapshot *s, int32_t key)
{
    for (size_t i = 0; i < s->n_disks; i++) {
        if (s->disks[i].key == key) {
            return &s->disks[i];
        }
    }
    return NULL;
}

bool warm_block_changed(const struct warm_state *s, const char *since, uint64_t block)
{
    const char *slash = strrchr(since, '/');
    return s->changed_at[block] > strtoull(slash + 1, NULL, 10);
}

static void add_changed(struct warm_model *m, const struct warm_state *s, const char *since,
                        struct vf_areas *areas)
{
    uint64_t extra =
        warm_model_random(m, 4) ? UINT64_MAX : warm_model_random(m, n_blocks(s->sectors));
    for (uint64_t b = 0; b < n_blocks(s->sectors); b++) {
        if (b == extra || warm_block_changed(s, since, b)) {
            vf_changed_areas_add(areas, s->sectors * WARM_SECTOR, b * WARM_BLOCK * WARM_SECTOR,
                                 WARM_BLOCK * WARM_SECTOR, NULL);
        }
    }
}

int warm_model_changes(void *opaque, const struct vf_cbt_query *q, struct vf_cbt_answer *ret,
                       struct vf_error **err)
{
    struct warm_model *m = opaque;
    pthread_mutex_lock(&m->lock);
    enum warm_fate fate = warm_step(m);
    m->n_queries++;
    pthread_mutex_unlock(&m->lock);
    const struct warm_snapshot *snapshot = warm_find_snapshot(m, q->snapshot_moref);
    vf_test_check(snapshot && strcmp(q->vm_moref, "vm-42") == 0);
    if (fate != WARM_GO) {
        return vf_error_set(err, VF_RETRY, "vCenter does not answer");
    }
    if (!snapshot->exists) {
        return vf_error_set(err, VF_MISSING, "there is no snapshot \"%s\"", snapshot->moref);
    }
    const struct warm_state *s = find_state(snapshot, q->disk->key);
    vf_test_check(s && q->disk->capacity_bytes == s->sectors * WARM_SECTOR);
    *ret = (struct vf_cbt_answer){.why = vf_cbt_judge(&q->since, q->disk)};
    vf_areas_init(&ret->areas, VF_AREAS_MAX_DEFAULT, VF_AREAS_WIDEN);
    if (ret->why == VF_FULL_COPY_NOT_NEEDED && m->refuse_changes) {
        ret->why = VF_FULL_COPY_REFUSED;
        ret->detail = vf_xstrdup("Error caused by file /vmfs/volumes/x/web01.vmdk");
    }
    if (ret->why) {
        vf_changed_areas_set_whole(&ret->areas, s->sectors * WARM_SECTOR);
    } else {
        add_changed(m, s, q->since.change_id, &ret->areas);
    }
    return 0;
}

char *warm_model_digest(const struct warm_snapshot *s, size_t index)
{
    const struct warm_state *d = &s->disks[index];
    uint8_t *vf_autofree content = vf_xcalloc((size_t)d->sectors + 1, WARM_SECTOR);
    for (uint64_t i = 0; i < d->sectors; i++) {
        warm_fill_sector(content + i * WARM_SECTOR, d->stamps[i]);
    }
    char *text = vf_xcalloc(1, LEAF_DIGEST_SIZE);
    leaf_digest(content, d->sectors * WARM_SECTOR, text);
    return text;
}

void warm_model_init(struct warm_model *m, uint64_t seed, uint64_t sectors)
{
    *m = (struct warm_model){.rng = seed, .max_text = VF_CHECKPOINT_MAX_BYTES};
    pthread_mutex_init(&m->lock, NULL);
    warm_target_init(m);
    warm_model_add_disk(m, sectors);
}

void warm_model_release(struct warm_model *m)
{
    while (m->n_live > 0) {
        warm_model_remove_disk(m, m->n_live - 1);
    }
    for (size_t i = 0; i < m->n_snapshots; i++) {
        for (size_t k = 0; k < m->snapshots[i].n_disks; k++) {
            release_state(&m->snapshots[i].disks[k]);
        }
    }
    warm_target_release(m);
    pthread_mutex_destroy(&m->lock);
}
