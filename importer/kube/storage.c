#include "importer/kube/storage.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi_names.h"
#include "importer/kube/metadata.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"

#define MIB            (UINT64_C(1) << 20)
#define MAX_BYTES      (UINT64_C(1) << 62)
#define MAX_NAMED      20
#define MAX_NAME_BYTES 253

/* Newer CDI has 0.06, older 0.055: where no configuration tells, the larger one fits both. */
#define DEFAULT_OVERHEAD 0.06

#define DEFAULT_FOR_VMS "storageclass.kubevirt.io/is-default-virt-class"
#define DEFAULT_FOR_ALL "storageclass.kubernetes.io/is-default-class"

void vf_kube_storage_free(struct vf_kube_storage *s)
{
    if (s) {
        free(s->class_name);
        free(s->provisioner);
        free(s->volume_mode);
        free(s->access_mode);
        free(s->snapshot_class);
        free(s);
    }
}

static const char *created(const cJSON *object)
{
    const char *when = vf_json_string(vf_json_object(object, "metadata"), "creationTimestamp");
    return when ? when : "";
}

/* Of several defaults the newest, then the first by name (k8s.io/kubernetes, pkg/volume/util). */
static bool goes_before(const cJSON *a, const cJSON *b)
{
    int order = strcmp(created(a), created(b));
    return order ? order > 0 : strcmp(vf_kube_name(a), vf_kube_name(b)) < 0;
}

static const cJSON *find_default(const cJSON *classes, const char *annotation)
{
    const cJSON *found = NULL, *item;
    cJSON_ArrayForEach(item, classes)
    {
        if (vf_kube_name(item) && vf_kube_has_annotation(item, annotation, "true") &&
            (!found || goes_before(item, found))) {
            found = item;
        }
    }
    return found;
}

const cJSON *vf_kube_storage_choose_default(const cJSON *classes, bool for_vms)
{
    return find_default(classes, for_vms ? DEFAULT_FOR_VMS : DEFAULT_FOR_ALL);
}

/* "fast, slow" */
static char *name_classes(const cJSON *classes)
{
    struct vf_buf b;
    unsigned n = 0;
    const cJSON *item;
    vf_buf_init(&b, SIZE_MAX);
    cJSON_ArrayForEach(item, classes)
    {
        char *vf_autofree name = vf_kube_clean_text(vf_kube_name(item), MAX_NAME_BYTES);
        if (n++ == MAX_NAMED) {
            vf_buf_puts(&b, ", ...");
            break;
        }
        vf_buf_printf(&b, "%s\"%s\"", n > 1 ? ", " : "", name);
    }
    return vf_buf_take_string(&b);
}

static int list_classes(struct vf_kube_client *client, const struct vf_cancel *cancel,
                        cJSON **ret_classes, struct vf_error **err)
{
    static const struct vf_kube_ref all = {.resource = &vf_kube_storage_classes};
    const struct vf_kube_options options = {.cancel = cancel};
    return vf_kube_list(client, &all, NULL, &options, ret_classes, NULL, err);
}

static void hint_classes(const cJSON *classes, struct vf_error **err)
{
    char *vf_autofree names = name_classes(classes);
    if (*names) {
        vf_error_hint(err, "name one with --storage-class; there are %s", names);
    } else {
        vf_error_hint(err, "the cluster has no storage class at all: install one");
    }
}

static int fetch_default_class(struct vf_kube_client *client, const struct vf_cancel *cancel,
                               cJSON **ret_class, struct vf_error **err)
{
    cJSON *classes = NULL;
    int rc = list_classes(client, cancel, &classes, err);
    if (rc) {
        return rc;
    }
    const cJSON *found = vf_kube_storage_choose_default(classes, true);
    found = found ? found : vf_kube_storage_choose_default(classes, false);
    if (found) {
        *ret_class = cJSON_Duplicate(found, 1);
    } else {
        rc = vf_error_set(err, VF_MISSING, "the cluster has no default storage class");
        hint_classes(classes, err);
    }
    cJSON_Delete(classes);
    return rc;
}

static int no_such_class(struct vf_kube_client *client, const char *name,
                         const struct vf_cancel *cancel, struct vf_error **err)
{
    cJSON *classes = NULL;
    vf_error_set(err, VF_MISSING, "the cluster has no storage class \"%s\"", name);
    if (list_classes(client, cancel, &classes, NULL) == 0) {
        hint_classes(classes, err);
        cJSON_Delete(classes);
    }
    return VF_MISSING;
}

/* *ret_class stays NULL when this account may not read storage classes, as one that has rights in
 * its own namespace only: then there is the profile of that name, which everybody may read. */
static int fetch_class(struct vf_kube_client *client, const char *name,
                       const struct vf_cancel *cancel, cJSON **ret_class, struct vf_error **err)
{
    if (!name) {
        return fetch_default_class(client, cancel, ret_class, err);
    }
    const struct vf_kube_ref ref = {.resource = &vf_kube_storage_classes, .name = name};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_get(client, &ref, &options, ret_class, &e);
    if (rc == VF_MISSING) {
        vf_error_free(e);
        return no_such_class(client, name, cancel, err);
    }
    if (rc == VF_AUTH && vf_error_http_status(e) == 403) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* What may be absent: *ret_object stays NULL then. */
static int fetch_optional(struct vf_kube_client *client, const struct vf_kube_resource *resource,
                          const char *name, const struct vf_cancel *cancel, cJSON **ret_object,
                          struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = resource, .name = name};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_get(client, &ref, &options, ret_object, &e);
    const char *reason = vf_error_reason(e);
    if (rc == VF_MISSING || (reason && strcmp(reason, VF_KUBE_REASON_NOT_SERVED) == 0)) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

static bool is_one_of(const char *s, const char *const *known)
{
    for (; s && *known; known++) {
        if (strcmp(s, *known) == 0) {
            return true;
        }
    }
    return false;
}

static const char *get_volume_mode(const cJSON *set)
{
    static const char *const known[] = {VF_VOLUME_MODE_FILESYSTEM, VF_VOLUME_MODE_BLOCK, NULL};
    const char *mode = vf_json_string(set, "volumeMode");
    return !mode ? VF_VOLUME_MODE_FILESYSTEM : is_one_of(mode, known) ? mode : NULL;
}

/* The first access mode of the set, or the wished one when it is among them. */
static const char *get_access_mode(const cJSON *set, const char *wish)
{
    static const char *const known[] = {"ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod", NULL};
    const cJSON *item;
    cJSON_ArrayForEach(item, vf_json_array(set, "accessModes"))
    {
        const char *mode = cJSON_GetStringValue(item);
        if (is_one_of(mode, known) && (!wish || strcmp(mode, wish) == 0)) {
            return mode;
        }
    }
    return NULL;
}

static bool is_usable(const cJSON *set)
{
    return get_volume_mode(set) && get_access_mode(set, NULL);
}

static const cJSON *get_property_sets(const cJSON *profile)
{
    return vf_json_array(vf_json_object(profile, "status"), "claimPropertySets");
}

/* A profile's sets are in its order of preference. */
static bool choose_modes(struct vf_kube_storage *s, const cJSON *sets,
                         const struct vf_kube_storage_wish *wish)
{
    const cJSON *set;
    cJSON_ArrayForEach(set, sets)
    {
        const char *volume_mode = get_volume_mode(set);
        const char *access_mode = get_access_mode(set, wish->access_mode);
        if (volume_mode && access_mode &&
            (!wish->volume_mode || strcmp(volume_mode, wish->volume_mode) == 0)) {
            vf_replace_string(&s->volume_mode, volume_mode);
            vf_replace_string(&s->access_mode, access_mode);
            return true;
        }
    }
    return false;
}

/* "Block (ReadWriteMany, ReadWriteOnce), Filesystem (ReadWriteOnce)" */
static char *name_modes(const cJSON *sets)
{
    struct vf_buf b;
    unsigned n = 0;
    const cJSON *set, *item;
    vf_buf_init(&b, SIZE_MAX);
    cJSON_ArrayForEach(set, sets)
    {
        unsigned modes = 0;
        if (n++ == MAX_NAMED) {
            break;
        }
        char *vf_autofree mode = vf_kube_clean_text(vf_json_string(set, "volumeMode"), 40);
        vf_buf_printf(&b, "%s%s (", n > 1 ? ", " : "", mode);
        cJSON_ArrayForEach(item, vf_json_array(set, "accessModes"))
        {
            char *vf_autofree access = vf_kube_clean_text(cJSON_GetStringValue(item), 40);
            if (modes++ < MAX_NAMED) {
                vf_buf_printf(&b, "%s%s", modes > 1 ? ", " : "", access);
            }
        }
        vf_buf_puts(&b, ")");
    }
    return vf_buf_take_string(&b);
}

static int set_modes(struct vf_kube_storage *s, const cJSON *profile,
                     const struct vf_kube_storage_wish *wish, struct vf_error **err)
{
    static const struct vf_kube_storage_wish none;
    const cJSON *sets = get_property_sets(profile);
    /* Where nothing is named CDI takes the first set as it is, or refuses. */
    s->has_profile = is_usable(sets ? sets->child : NULL) && choose_modes(s, sets, &none);
    s->tell_volume_mode = !s->has_profile || wish->volume_mode;
    s->tell_access_mode = !s->has_profile || wish->access_mode;
    if (!s->has_profile) {
        vf_replace_string(&s->volume_mode,
                          wish->volume_mode ? wish->volume_mode : VF_VOLUME_MODE_FILESYSTEM);
        vf_replace_string(&s->access_mode, wish->access_mode ? wish->access_mode : "ReadWriteOnce");
        return 0;
    }
    if (choose_modes(s, sets, wish)) {
        return 0;
    }
    char *vf_autofree modes = name_modes(sets);
    vf_error_set(err, VF_INVALID, "storage class \"%s\" has no volumes of %s%s%s", s->class_name,
                 wish->volume_mode ? wish->volume_mode : "",
                 wish->volume_mode && wish->access_mode ? " with " : "",
                 wish->access_mode ? wish->access_mode : "");
    vf_error_hint(err, "its StorageProfile knows %s", modes);
    return VF_INVALID;
}

static void read_profile(struct vf_kube_storage *s, const cJSON *profile)
{
    const cJSON *status = vf_json_object(profile, "status");
    const char *minimum = vf_kube_annotation(profile, VF_CDI_MINIMUM_SIZE);
    uint64_t bytes;
    vf_replace_string(&s->snapshot_class, vf_json_string(status, "snapshotClass"));
    if (!s->provisioner) {
        vf_replace_string(&s->provisioner, vf_json_string(status, "provisioner"));
    }
    /* As CDI does, one that is no quantity is passed over. */
    if (minimum && vf_kube_parse_bytes(minimum, &bytes)) {
        s->min_bytes = bytes;
    }
}

/* "0.06"; CDI's schema: 0 to 1 with up to three digits behind the point. */
static bool parse_overhead(const char *text, double *ret)
{
    char *end;
    if (!text || text[0] < '0' || text[0] > '1') {
        return false;
    }
    double v = strtod(text, &end);
    if (*end || !(v >= 0 && v <= 1)) {
        return false;
    }
    *ret = v;
    return true;
}

static void read_overhead(struct vf_kube_storage *s, const cJSON *config)
{
    const cJSON *overhead = vf_json_object(vf_json_object(config, "status"), "filesystemOverhead");
    const cJSON *classes = vf_json_object(overhead, "storageClass");
    s->overhead = DEFAULT_OVERHEAD;
    if (!parse_overhead(vf_json_string(classes, s->class_name), &s->overhead)) {
        parse_overhead(vf_json_string(overhead, "global"), &s->overhead);
    }
}

static void read_class(struct vf_kube_storage *s, const cJSON *class)
{
    const char *binding = vf_json_string(class, "volumeBindingMode");
    vf_replace_string(&s->provisioner, vf_json_string(class, "provisioner"));
    s->waits_for_consumer = binding && strcmp(binding, "WaitForFirstConsumer") == 0;
}

/* Neither the class nor its profile can be read. */
static int unreadable(const char *name, struct vf_error **err)
{
    vf_error_set(err, VF_AUTH,
                 "this account may not read storage classes, and CDI has no profile of \"%s\"",
                 name);
    vf_error_hint(err, "check the name given with --storage-class, or allow this account the verb "
                       "\"get\" on \"storageclasses\" (API group \"storage.k8s.io\") in the whole "
                       "cluster");
    return VF_AUTH;
}

int vf_kube_storage_fetch(struct vf_kube_client *client, const struct vf_kube_storage_wish *wish,
                          const struct vf_cancel *cancel, struct vf_kube_storage **ret_storage,
                          struct vf_error **err)
{
    static const struct vf_kube_storage_wish no_wish;
    cJSON *class = NULL, *profile = NULL, *config = NULL;
    struct vf_kube_storage *s = vf_xcalloc(1, sizeof *s);
    wish = wish ? wish : &no_wish;
    int rc = fetch_class(client, wish->class_name, cancel, &class, err);
    if (!rc) {
        s->class_name = vf_xstrdup(wish->class_name ? wish->class_name : vf_kube_name(class));
        rc = s->class_name ? 0 : vf_error_set(err, VF_INVALID, "a storage class has no name");
    }
    rc = rc ? rc
            : fetch_optional(client, &vf_kube_storage_profiles, s->class_name, cancel, &profile,
                             err);
    if (!rc && !class && !profile) {
        rc = unreadable(s->class_name, err);
    }
    rc =
        rc ? rc : fetch_optional(client, &vf_kube_cdi_configs, VF_CDI_CONFIG, cancel, &config, err);
    if (!rc) {
        read_class(s, class);
        read_profile(s, profile);
        read_overhead(s, config);
        rc = set_modes(s, profile, wish, err);
    }
    cJSON_Delete(class);
    cJSON_Delete(profile);
    cJSON_Delete(config);
    if (rc) {
        vf_kube_storage_free(s);
        return rc;
    }
    *ret_storage = s;
    return 0;
}

static bool round_up_mib(uint64_t size_bytes, uint64_t *ret)
{
    uint64_t v = size_bytes ? size_bytes : 1;
    if (v > MAX_BYTES - MIB) {
        return false;
    }
    *ret = (v + MIB - 1) & ~(MIB - 1);
    return true;
}

int vf_kube_storage_volume_bytes(uint64_t size_bytes, uint64_t *ret_bytes, struct vf_error **err)
{
    if (!round_up_mib(size_bytes, ret_bytes)) {
        return vf_error_set(err, VF_RANGE, "a disk of %llu bytes is larger than any volume",
                            (unsigned long long)size_bytes);
    }
    return 0;
}

int vf_kube_storage_request_bytes(const struct vf_kube_storage *s, uint64_t size_bytes,
                                  uint64_t *ret_bytes, struct vf_error **err)
{
    uint64_t bytes;
    int rc = vf_kube_storage_volume_bytes(size_bytes, &bytes, err);
    if (rc) {
        return rc;
    }
    if (strcmp(s->volume_mode, VF_VOLUME_MODE_BLOCK) != 0) {
        /* In doubles, as CDI computes it. */
        double with_overhead = (double)bytes * (1 + s->overhead);
        if (!(with_overhead <= (double)MAX_BYTES)) {
            return vf_error_set(err, VF_RANGE, "a disk of %llu bytes is larger than any volume",
                                (unsigned long long)size_bytes);
        }
        bytes = (uint64_t)with_overhead;
        bytes += (double)bytes < with_overhead;
    }
    *ret_bytes = bytes < s->min_bytes ? s->min_bytes : bytes;
    return 0;
}
