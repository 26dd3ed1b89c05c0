#include "jobs/cluster/guard_set.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "importer/kube/volume_snapshot.h"

#define RECORD_VERSION 1

/* All annotations of an object have 256 KiB together (k8s.io/apimachinery,
 * TotalAnnotationSizeLimitB). */
#define MAX_RECORD_BYTES ((size_t)256 << 10)

/* A name is a DNS subdomain of at most 253 characters. */
#define MAX_CLAIM_BYTES 220

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* A number of ours: digits, no sign, no leading zero. */
static bool parse_number(const char *text, uint32_t *ret)
{
    uint64_t v = 0;
    size_t n = 0;
    for (; text && text[n] >= '0' && text[n] <= '9' && n < 10; n++) {
        v = v * 10 + (uint64_t)(text[n] - '0');
    }
    if (n == 0 || text[n] || text[0] == '0' || v >= UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

/* --- sets -------------------------------------------------------------------------------- */

static struct vf_guard_set *provide_set(struct vf_guard_sets *s, uint32_t number, size_t cap)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->sets[i].number == number) {
            return &s->sets[i];
        }
    }
    struct vf_guard_set *set = &s->sets[s->n++];
    *set = (struct vf_guard_set){.number = number};
    set->snapshots = vf_xcalloc(cap, sizeof(const cJSON *));
    return set;
}

static bool has_claim(const struct vf_guard_set *set, size_t n, const char *claim)
{
    for (size_t i = 0; i < n; i++) {
        if (same(vf_volume_snapshot_claim(set->snapshots[i]), claim)) {
            return true;
        }
    }
    return false;
}

static void judge_set(struct vf_guard_set *set)
{
    uint32_t count;
    set->state = vf_kube_annotation(set->snapshots[0], VF_GUARD_STATE);
    set->whole = true;
    for (size_t i = 0; i < set->n; i++) {
        const cJSON *snapshot = set->snapshots[i];
        const char *claim = vf_volume_snapshot_claim(snapshot);
        const char *rollback = vf_kube_annotation(snapshot, VF_GUARD_ROLLBACK);
        bool counted = parse_number(vf_kube_annotation(snapshot, VF_GUARD_COUNT), &count) &&
                       (i == 0 || count == set->count);
        set->count = counted ? count : 0;
        set->rollback = rollback ? rollback : set->rollback;
        set->whole = set->whole && counted && claim && !has_claim(set, i, claim) &&
                     vf_volume_snapshot_is_ready(snapshot);
    }
    set->whole = set->whole && set->n == set->count;
}

static int newest_first(const void *a, const void *b)
{
    uint32_t x = ((const struct vf_guard_set *)a)->number;
    uint32_t y = ((const struct vf_guard_set *)b)->number;
    return (x < y) - (x > y);
}

void vf_guard_sets_read(const cJSON *items, struct vf_guard_sets *ret)
{
    size_t cap = (size_t)cJSON_GetArraySize(items) + 1;
    struct vf_guard_sets s = {.sets = vf_xcalloc(cap, sizeof *s.sets)};
    const cJSON *item;
    uint32_t number;
    cJSON_ArrayForEach(item, items)
    {
        if (vf_owned_is_ours(item) && parse_number(vf_kube_label(item, VF_GUARD_SET), &number)) {
            struct vf_guard_set *set = provide_set(&s, number, cap);
            set->snapshots[set->n++] = item;
        }
    }
    for (size_t i = 0; i < s.n; i++) {
        judge_set(&s.sets[i]);
    }
    qsort(s.sets, s.n, sizeof *s.sets, newest_first);
    *ret = s;
}

void vf_guard_sets_release(struct vf_guard_sets *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->sets[i].snapshots);
    }
    free(s->sets);
    *s = (struct vf_guard_sets){0};
}

const struct vf_guard_set *vf_guard_sets_under_way(const struct vf_guard_sets *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->sets[i].rollback) {
            return &s->sets[i];
        }
    }
    return NULL;
}

const struct vf_guard_set *vf_guard_sets_best(const struct vf_guard_sets *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->sets[i].whole) {
            return &s->sets[i];
        }
    }
    return NULL;
}

uint32_t vf_guard_sets_next_number(const struct vf_guard_sets *s)
{
    return s->n ? s->sets[0].number + 1 : 1;
}

char *vf_guard_snapshot_name(const char *claim, uint32_t number)
{
    return vf_xasprintf("%.*s-guard-%" PRIu32, MAX_CLAIM_BYTES, claim, number);
}

/* --- what a claim was -------------------------------------------------------------------- */

/* What binder, kubelet, CDI and kubectl note of the object itself is not true of the next one. */
static bool is_of_the_object(const char *key)
{
    static const char *const prefixes[] = {"pv.kubernetes.io/",          "volume.kubernetes.io/",
                                           "volume.beta.kubernetes.io/", "kubectl.kubernetes.io/",
                                           "cdi.kubevirt.io/",           VF_GUARD_ROLLED_BACK};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void copy_strings(cJSON *to, const cJSON *from)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, from)
    {
        const char *value = cJSON_GetStringValue(item);
        if (item->string && value && !is_of_the_object(item->string)) {
            vf_json_add_string(to, item->string, value);
        }
    }
}

static const char *get_request(const cJSON *spec)
{
    const cJSON *requests = vf_json_object(vf_json_object(spec, "resources"), "requests");
    return vf_json_string(requests, "storage");
}

/* storageClassName, volumeMode, accessModes and the request; false when one is missing. */
static bool copy_spec(cJSON *to, const cJSON *spec)
{
    const char *mode = vf_json_string(spec, "volumeMode");
    const char *request = get_request(spec);
    uint64_t bytes;
    cJSON *modes = vf_json_new_array();
    const cJSON *item;
    cJSON_ArrayForEach(item, vf_json_array(spec, "accessModes"))
    {
        if (cJSON_IsString(item)) {
            vf_json_append_string(modes, item->valuestring);
        }
    }
    bool good = modes->child && request && vf_kube_parse_bytes(request, &bytes) &&
                vf_json_string(spec, "storageClassName");
    vf_json_add_string(to, "storageClassName", vf_json_string(spec, "storageClassName"));
    vf_json_add_string(to, "volumeMode", mode ? mode : "Filesystem");
    cJSON_AddItemToObject(to, "accessModes", modes);
    cJSON *resources = vf_json_add_object(to, "resources");
    vf_json_add_string(vf_json_add_object(resources, "requests"), "storage", request);
    return good;
}

int vf_guard_describe_claim(const cJSON *claim, char **ret_text, struct vf_error **err)
{
    const cJSON *metadata = vf_json_object(claim, "metadata");
    cJSON *record = vf_json_new_object();
    vf_json_add_u64(record, "version", RECORD_VERSION);
    copy_strings(vf_json_add_object(record, "labels"), vf_json_object(metadata, "labels"));
    copy_strings(vf_json_add_object(record, "annotations"),
                 vf_json_object(metadata, "annotations"));
    bool good = copy_spec(vf_json_add_object(record, "spec"), vf_json_object(claim, "spec"));
    char *text = vf_json_print(record, false);
    cJSON_Delete(record);
    if (!good || strlen(text) > MAX_RECORD_BYTES / 2) {
        free(text);
        return vf_error_set(err, VF_INVALID, "claim \"%s\" %s", vf_kube_name(claim),
                            good ? "has more labels and annotations than can be kept"
                                 : "lacks a class, a size or an access mode");
    }
    *ret_text = text;
    return 0;
}

static int parse_record(const cJSON *snapshot, cJSON **ret_record, struct vf_error **err)
{
    const char *text = vf_kube_annotation(snapshot, VF_GUARD_CLAIM);
    size_t len = text ? strlen(text) : 0;
    uint64_t version = 0;
    cJSON *record = NULL;
    if (!text || len > MAX_RECORD_BYTES) {
        return vf_error_set(err, VF_INVALID, "it does not say what its claim was");
    }
    int rc = vf_json_parse(text, len, "annotation " VF_GUARD_CLAIM, &record, err);
    if (rc == 0 && (!vf_json_u64(record, "version", &version) || version != RECORD_VERSION)) {
        rc = vf_error_set(err, VF_UNSUPPORTED, "it was kept by another version of vmferry");
    }
    if (rc) {
        cJSON_Delete(record);
        return rc;
    }
    *ret_record = record;
    return 0;
}

/* As large as it was, as it is, and as the driver needs. */
static void set_size(cJSON *spec, const cJSON *snapshot, const cJSON *now)
{
    uint64_t bytes = 0, other;
    cJSON *requests = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(spec, "resources"), "requests");
    const char *was = vf_json_string(requests, "storage");
    const char *is = get_request(vf_json_object(now, "spec"));
    (void)vf_kube_parse_bytes(was, &bytes);
    uint64_t least = vf_volume_snapshot_restore_bytes(snapshot);
    if (is && vf_kube_parse_bytes(is, &other) && other > least) {
        least = other;
    }
    if (least > bytes) {
        char *vf_autofree quantity = vf_xasprintf("%" PRIu64, least);
        cJSON_DeleteItemFromObjectCaseSensitive(requests, "storage");
        vf_json_add_string(requests, "storage", quantity);
    }
}

int vf_guard_build_claim(const cJSON *snapshot, const cJSON *now, const char *rollback,
                         cJSON **ret_claim, struct vf_error **err)
{
    cJSON *record = NULL;
    const char *name = vf_volume_snapshot_claim(snapshot);
    int rc = parse_record(snapshot, &record, err);
    if (rc) {
        return rc;
    }
    cJSON *claim = vf_json_new_object();
    vf_json_add_string(claim, "apiVersion", "v1");
    vf_json_add_string(claim, "kind", vf_kube_kind(&vf_kube_claims));
    cJSON *metadata = vf_json_add_object(claim, "metadata");
    vf_json_add_string(metadata, "name", name);
    vf_json_add_string(metadata, "namespace", vf_kube_namespace(snapshot));
    copy_strings(vf_json_add_object(metadata, "labels"), vf_json_object(record, "labels"));
    cJSON *annotations = vf_json_add_object(metadata, "annotations");
    copy_strings(annotations, vf_json_object(record, "annotations"));
    vf_json_add_string(annotations, VF_GUARD_ROLLED_BACK, rollback);
    cJSON *spec = vf_json_add_object(claim, "spec");
    bool good = copy_spec(spec, vf_json_object(record, "spec"));
    set_size(spec, snapshot, now);
    cJSON *source = vf_json_add_object(spec, "dataSource");
    vf_json_add_string(source, "apiGroup", vf_kube_volume_snapshots.group);
    vf_json_add_string(source, "kind", vf_kube_kind(&vf_kube_volume_snapshots));
    vf_json_add_string(source, "name", vf_kube_name(snapshot));
    cJSON_Delete(record);
    /* What is made must be found again as ours, and of the same import. */
    if (!good || !name || !vf_owned_is_ours(claim) ||
        !same(vf_kube_label(claim, VF_OWNED_IMPORT), vf_kube_label(snapshot, VF_OWNED_IMPORT))) {
        cJSON_Delete(claim);
        return vf_error_set(err, VF_INVALID, "what it says of its claim is damaged");
    }
    *ret_claim = claim;
    return 0;
}
