#include "jobs/cluster/claim_store.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/warm_claims.h"

#define AWAY_TIMEOUT_MS      (5 * 60 * 1000)
#define CANCELLED_TIMEOUT_MS (60 * 1000)

#define MAX_LOOKS 3

/* A number of 64 bits, a blank, and the NUL. */
#define NUMBER_BYTES 22

/* A claim as it was last seen or written. */
struct claim {
    char *name;
    char *uid;
    char *version; /* resourceVersion; NULL: has to be looked at again */
    char *text;    /* of the annotation; NULL: none */
    char *body;    /* what was saved, without time and rounds; NULL: not by this store */
};

struct claim_store {
    struct vf_checkpoint_store base;
    struct vf_claim_store_env env;
    struct claim *claims;
    size_t n_claims;
    bool listed;
    bool delivered;
    uint64_t number;                                  /* the newest that was seen or written */
    struct vf_round rounds[VF_CHECKPOINT_MAX_ROUNDS]; /* as last saved */
    size_t n_rounds;
};

/* --- claims ------------------------------------------------------------------------------ */

static void release_claims(struct claim_store *s)
{
    for (size_t i = 0; i < s->n_claims; i++) {
        free(s->claims[i].name);
        free(s->claims[i].uid);
        free(s->claims[i].version);
        free(s->claims[i].text);
        free(s->claims[i].body);
    }
    free(vf_take(s->claims));
    s->n_claims = 0;
    s->listed = false;
}

static const char *version_of(const cJSON *object)
{
    return vf_json_string(vf_json_object(object, "metadata"), "resourceVersion");
}

static void note(struct claim *k, const cJSON *object)
{
    vf_replace_string(&k->version, version_of(object));
    vf_replace_string(&k->text, vf_kube_annotation(object, VF_CLAIM_CHECKPOINT));
}

static bool is_ours(const struct claim_store *s, const cJSON *object)
{
    enum vf_owned owned = vf_warm_judge(s->env.owner, object);
    return (owned == VF_OWNED_UNFINISHED || owned == VF_OWNED_FINISHED) && vf_kube_name(object) &&
           vf_kube_uid(object);
}

/* The number that a text begins with, and where the rest begins. */
static int parse_number(const char *text, uint64_t *ret_number, const char **ret_rest,
                        struct vf_error **err)
{
    uint64_t n = 0;
    const char *at = text;
    bool well = true;
    for (; *at >= '0' && *at <= '9' && well; at++) {
        well = !__builtin_mul_overflow(n, 10u, &n) &&
               !__builtin_add_overflow(n, (uint64_t)(*at - '0'), &n);
    }
    if (!well || at == text || *at != ' ' || n == UINT64_MAX) {
        return vf_error_set(err, VF_INVALID, "it does not begin with its number");
    }
    *ret_number = n;
    *ret_rest = at + 1;
    return 0;
}

/* All claims of this migration, whether they have a checkpoint or not. */
static int list_claims(struct claim_store *s, struct vf_error **err)
{
    char *vf_autofree labels = vf_xasprintf(VF_OWNED_IMPORT "=%s", s->env.owner->import);
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = s->env.ns};
    const struct vf_kube_select select = {.labels = labels};
    cJSON *items = NULL;
    int rc = vf_kube_list(s->env.client, &ref, &select, NULL, &items, NULL, err);
    if (rc) {
        return rc;
    }
    release_claims(s);
    s->claims = vf_xcalloc((size_t)cJSON_GetArraySize(items) + 1, sizeof *s->claims);
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        if (!is_ours(s, item)) {
            continue;
        }
        struct claim *k = &s->claims[s->n_claims++];
        k->name = vf_xstrdup(vf_kube_name(item));
        k->uid = vf_xstrdup(vf_kube_uid(item));
        note(k, item);
        uint64_t number;
        const char *rest;
        if (k->text && parse_number(k->text, &number, &rest, NULL) == 0 && number > s->number) {
            s->number = number;
        }
    }
    cJSON_Delete(items);
    s->listed = true;
    return 0;
}

static struct claim *find_claim(struct claim_store *s, const char *name)
{
    for (size_t i = 0; i < s->n_claims; i++) {
        if (strcmp(s->claims[i].name, name) == 0) {
            return &s->claims[i];
        }
    }
    return NULL;
}

/* --- writing one ------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* After a conflict or a lost answer: what is there now? *ret_done: what was to be written is. */
static int look_again(struct claim_store *s, struct claim *k, const char *text, bool *ret_done,
                      struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = s->env.ns, .name = k->name};
    cJSON *object = NULL;
    int rc = vf_kube_get(s->env.client, &ref, NULL, &object, err);
    if (rc) {
        return rc;
    }
    const char *now = vf_kube_annotation(object, VF_CLAIM_CHECKPOINT);
    if (!is_ours(s, object) || strcmp(vf_kube_uid(object), k->uid) != 0) {
        rc = vf_error_set(err, VF_CONFLICT,
                          "it is not the claim any more that was filled: somebody replaced it");
    } else if (!same(now, k->text) && !same(now, text)) {
        rc = vf_error_set(err, VF_CONFLICT,
                          "somebody else wrote a checkpoint into it: another vmferry works on this "
                          "migration");
        vf_error_hint(err,
                      "end all but one: kubectl get pods -n %s -l " VF_OWNED_IMPORT "=%s lists "
                      "those in the cluster; then start the same command again",
                      s->env.ns, s->env.owner->import);
    } else {
        *ret_done = same(now, text);
        note(k, object);
    }
    cJSON_Delete(object);
    return rc;
}

static int patch(struct claim_store *s, struct claim *k, const char *text, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = s->env.ns, .name = k->name};
    cJSON *tree = vf_json_new_object();
    cJSON *metadata = vf_json_add_object(tree, "metadata");
    vf_json_add_string(metadata, "resourceVersion", k->version);
    cJSON *annotations = vf_json_add_object(metadata, "annotations");
    if (text) {
        vf_json_add_string(annotations, VF_CLAIM_CHECKPOINT, text);
    } else {
        cJSON_AddNullToObject(annotations, VF_CLAIM_CHECKPOINT);
    }
    cJSON *object = NULL;
    int rc = vf_inject("claims.patch", err);
    rc = rc ? rc : vf_kube_merge_patch(s->env.client, &ref, tree, NULL, &object, err);
    cJSON_Delete(tree);
    if (rc == 0) {
        note(k, object);
        rc = vf_inject("claims.patched", err);
    }
    cJSON_Delete(object);
    return rc;
}

static bool is_stale(const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    return vf_error_code(e) == VF_CONFLICT && reason &&
           strcmp(reason, VF_KUBE_REASON_CONFLICT) == 0;
}

/* Others write now and then: what they left is looked at at once, and a few times. */
static int try_write(struct claim_store *s, struct claim *k, const char *text,
                     struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc;
    for (unsigned looks = 0;; looks++) {
        bool done = false;
        vf_error_clear(&e);
        rc = k->version ? 0 : look_again(s, k, text, &done, &e);
        if (rc || done) {
            break;
        }
        rc = patch(s, k, text, &e);
        if (rc == 0) {
            return 0;
        }
        vf_replace_string(&k->version, NULL);
        if (!is_stale(e)) {
            break;
        }
        if (looks == MAX_LOOKS) {
            vf_error_clear(&e);
            rc = vf_error_set(&e, VF_RETRY, "it was changed again and again meanwhile");
            break;
        }
    }
    vf_error_move(err, &e);
    return rc;
}

/* `text` NULL: take it out. */
static int write_text(struct claim_store *s, struct claim *k, const char *text,
                      struct vf_error **err)
{
    int64_t away_ms = s->env.timeout_ms ? s->env.timeout_ms : AWAY_TIMEOUT_MS;
    if (vf_cancel_is_set(s->env.cancel) && away_ms > CANCELLED_TIMEOUT_MS) {
        away_ms = CANCELLED_TIMEOUT_MS;
    }
    const struct vf_retry_policy policy = {
        .max_tries = UINT_MAX, .first_wait_ms = 100, .max_wait_ms = 10000, .timeout_ms = away_ms};
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;
    vf_retry_init(&retry, &policy, NULL);
    do {
        rc = try_write(s, k, text, &e);
    } while (vf_retry_again(&retry, &rc, &e));
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "claim \"%s\"", k->name) : 0;
}

/* --- the store --------------------------------------------------------------------------- */

/* The checkpoint of one disk, borrowing all of it. */
static struct vf_checkpoint part_of(const struct vf_checkpoint *c, size_t disk)
{
    struct vf_checkpoint part = *c;
    part.disks = &c->disks[disk];
    part.n_disks = 1;
    return part;
}

/* What has to change for a claim to be written. */
static int encode_body(const struct vf_checkpoint *c, size_t disk, char **ret_body,
                       struct vf_error **err)
{
    struct vf_checkpoint part = part_of(c, disk);
    part.updated = NULL;
    part.n_rounds = 0;
    return vf_checkpoint_encode(&part, VF_CHECKPOINT_ANNOTATION_MAX_BYTES, ret_body, err);
}

static int encode_text(const struct vf_checkpoint *c, size_t disk, uint64_t number, char **ret_text,
                       struct vf_error **err)
{
    struct vf_checkpoint part = part_of(c, disk);
    char *vf_autofree json = NULL;
    int rc =
        vf_checkpoint_encode(&part, VF_CHECKPOINT_ANNOTATION_MAX_BYTES - NUMBER_BYTES, &json, err);
    if (rc == 0) {
        *ret_text = vf_xasprintf("%" PRIu64 " %s", number, json);
    }
    return rc;
}

static int save_disk(struct claim_store *s, const struct vf_checkpoint *c, size_t disk,
                     bool whatever, bool *written, struct vf_error **err)
{
    struct claim *k = find_claim(s, c->disks[disk].target);
    if (!k) {
        vf_error_set(err, VF_MISSING, "claim \"%s\" of disk \"%s\" is gone", c->disks[disk].target,
                     c->disks[disk].label ? c->disks[disk].label : "?");
        vf_error_hint(err, "the source was not harmed; start the same command again, which copies "
                           "that disk in full");
        return VF_MISSING;
    }
    char *vf_autofree body = NULL;
    char *vf_autofree text = NULL;
    int rc = encode_body(c, disk, &body, err);
    if (rc || (!whatever && same(body, k->body))) {
        return rc;
    }
    rc = encode_text(c, disk, s->number, &text, err);
    rc = rc ? rc : write_text(s, k, text, err);
    /* After a failure it may be there or not: it is written again the next time. */
    vf_replace_string(&k->body, rc ? NULL : body);
    *written = true;
    return rc;
}

static bool same_rounds(const struct claim_store *s, const struct vf_checkpoint *c)
{
    bool equal = s->n_rounds == c->n_rounds;
    for (size_t i = 0; equal && i < c->n_rounds; i++) {
        const struct vf_round *a = &s->rounds[i], *b = &c->rounds[i];
        equal = a->bytes == b->bytes && a->span_ms == b->span_ms && a->copy_ms == b->copy_ms &&
                a->overhead_ms == b->overhead_ms;
    }
    return equal;
}

static int save(struct vf_checkpoint_store *store, const struct vf_checkpoint *c,
                struct vf_error **err)
{
    struct claim_store *s = (struct claim_store *)store;
    bool written = false;
    int rc = s->listed ? 0 : list_claims(s, err);
    for (size_t i = 0; i < c->n_disks && rc == 0 && s->listed; i++) {
        if (!find_claim(s, c->disks[i].target)) { /* one more than there was */
            rc = list_claims(s, err);
            break;
        }
    }
    s->number++;
    for (size_t i = 0; i < c->n_disks && rc == 0; i++) {
        rc = save_disk(s, c, i, false, &written, err);
    }
    if (rc == 0 && !written && c->n_disks && !same_rounds(s, c)) {
        rc = save_disk(s, c, 0, true, &written, err);
    }
    if (rc == 0) {
        memcpy(s->rounds, c->rounds, sizeof s->rounds);
        s->n_rounds = c->n_rounds;
    }
    return rc;
}

/* The one disk of `part` into `c`; the newest says what the whole is. */
static void take_part(struct vf_checkpoint *c, uint64_t *newest, struct vf_checkpoint *part,
                      uint64_t number)
{
    struct vf_checkpoint_disk disk = part->disks[0];
    struct vf_checkpoint_disk *disks =
        vf_xrealloc_array(c->disks, c->n_disks + 1, sizeof *c->disks);
    size_t n = c->n_disks;
    c->disks = NULL;
    c->n_disks = 0;
    part->n_disks = 0;
    if (n == 0 || number > *newest) {
        vf_checkpoint_release(c);
        free(vf_take(part->disks));
        *c = *part;
        *newest = number;
    } else {
        vf_checkpoint_release(part);
    }
    c->disks = disks;
    c->disks[n] = disk;
    c->n_disks = n + 1;
}

static int read_part(const struct claim *k, uint64_t *number, struct vf_checkpoint *ret_part,
                     struct vf_error **err)
{
    const char *rest;
    int rc = parse_number(k->text, number, &rest, err);
    rc = rc ? rc : vf_checkpoint_parse(rest, strlen(rest), ret_part, err);
    if (rc == 0 && (ret_part->n_disks != 1 || strcmp(ret_part->disks[0].target, k->name) != 0)) {
        vf_checkpoint_release(ret_part);
        rc = vf_error_set(err, VF_INVALID, "its checkpoint is another claim's");
    }
    return rc ? vf_error_wrap(err, rc, "claim \"%s\"", k->name) : 0;
}

/* Two of one key, one of them left by a disk that was removed: the newer one counts. */
static void add_part(struct vf_checkpoint *c, uint64_t *numbers, uint64_t *newest,
                     struct vf_checkpoint *part, uint64_t number)
{
    struct vf_checkpoint_disk *before = vf_checkpoint_find_disk(c, part->disks[0].key);
    if (!before) {
        numbers[c->n_disks] = number;
        take_part(c, newest, part, number);
        return;
    }
    size_t at = (size_t)(before - c->disks);
    if (number > numbers[at]) {
        struct vf_checkpoint_disk older = *before;
        *before = part->disks[0];
        part->disks[0] = older;
        numbers[at] = number;
    }
    vf_checkpoint_release(part);
}

static int load(struct vf_checkpoint_store *store, struct vf_checkpoint *ret_checkpoint,
                struct vf_error **err)
{
    struct claim_store *s = (struct claim_store *)store;
    struct vf_checkpoint c = {0};
    struct vf_error *bad = NULL;
    uint64_t newest = 0;
    int rc = list_claims(s, err);
    uint64_t *numbers = vf_xcalloc(s->n_claims + 1, sizeof *numbers);
    for (size_t i = 0; i < s->n_claims && rc == 0; i++) {
        struct claim *k = &s->claims[i];
        struct vf_checkpoint part = {0};
        struct vf_error *e = NULL;
        uint64_t number;
        int bad_rc = k->text ? read_part(k, &number, &part, &e) : 0;
        if (bad_rc == 0 && k->text) {
            add_part(&c, numbers, &newest, &part, number);
        } else if (bad_rc == VF_UNSUPPORTED) {
            rc = bad_rc;
            vf_error_move(err, &e);
        } else if (bad_rc) {
            char *vf_autofree text = vf_error_format(e);
            vf_report_warning(s->env.reporter, s->env.vm,
                              "a checkpoint cannot be read, its disk is copied in full: %s", text);
        }
        vf_error_move(&bad, &e);
    }
    free(numbers);
    if (rc == 0 && c.n_disks == 0 && s->delivered) { /* all that is left to say */
        c.instance_uuid = vf_xstrdup(s->env.owner->source_uuid);
    } else if (rc == 0 && c.n_disks == 0) {
        rc = bad ? vf_error_code(bad)
                 : vf_error_set(err, VF_MISSING,
                                "no claim of \"%s\" in namespace \"%s\" has a "
                                "checkpoint",
                                s->env.owner->import, s->env.ns);
        vf_error_move(err, &bad);
    }
    vf_error_free(bad);
    if (rc) {
        vf_checkpoint_release(&c);
        return rc;
    }
    if (s->delivered) {
        c.stage = VF_STAGE_DELIVERED;
    }
    *ret_checkpoint = c;
    return 0;
}

static int clear(struct vf_checkpoint_store *store, struct vf_error **err)
{
    struct claim_store *s = (struct claim_store *)store;
    int first = list_claims(s, err);
    for (size_t i = 0; i < s->n_claims && (first == 0 || s->listed); i++) {
        struct vf_error *e = NULL;
        struct claim *k = &s->claims[i];
        int rc = k->text ? write_text(s, k, NULL, &e) : 0;
        if (rc == VF_MISSING) {
            rc = 0;
        }
        if (rc && first == 0) {
            first = rc;
            vf_error_move(err, &e);
        }
        vf_error_free(e);
    }
    s->n_rounds = 0;
    return first;
}

static void free_store(struct vf_checkpoint_store *store)
{
    release_claims((struct claim_store *)store);
    free(store);
}

struct vf_checkpoint_store *vf_claim_store_new(const struct vf_claim_store_env *env)
{
    static const struct vf_checkpoint_store_ops ops = {
        .load = load, .save = save, .clear = clear, .free = free_store};
    struct claim_store *s = vf_xcalloc(1, sizeof *s);
    s->base.ops = &ops;
    s->env = *env;
    return &s->base;
}

void vf_claim_store_set_delivered(struct vf_checkpoint_store *s)
{
    ((struct claim_store *)s)->delivered = true;
}
