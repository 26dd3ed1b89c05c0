#include "importer/kube/kubevirt_facts.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"

#define MAX_TEXT_BYTES 253
#define MAX_GATES      500

#define DEFAULT_HOTPLUG_RATIO    4
#define DEFAULT_ALLOCATION_RATIO 10
#define DEFAULT_OVERCOMMIT       100
#define MAX_RATIO                10000

/* As a number that versions compare by. */
#define V(major, minor) ((major)*1000u + (minor))
#define NEVER           UINT32_MAX
#define NEWEST          (NEVER - 1)

/* From this version on a gate that is Beta is open (pkg/virt-config, isFeatureGateEnabled). */
#define BETA_IS_OPEN V(1, 9)
#define LIVE_UPDATE  V(1, 6)

/* pkg/virt-config/featuregate, active.go and inactive.go of each release. */
static const struct {
    const char *name;
    unsigned beta, ga;
} gates[] = {
    {"DeclarativeHotplugVolumes", V(1, 9), NEVER},
    {"ExpandDisks", NEVER, V(1, 9)},
    {"HotplugVolumes", NEVER, NEVER},
    {"LiveMigration", NEVER, V(1, 0)},
    {"NUMA", NEVER, V(1, 0)},
    {"PersistentReservation", NEVER, V(1, 9)},
    {"Snapshot", V(1, 6), NEVER},
    {"VideoConfig", V(1, 7), V(1, 9)},
    {"VMLiveUpdateFeatures", NEVER, V(1, 5)},
    {"VMPersistentState", NEVER, V(1, 6)},
};

static size_t find_gate(const char *name)
{
    size_t i = 0;
    while (i < sizeof gates / sizeof *gates && strcmp(gates[i].name, name) != 0) {
        i++;
    }
    return i;
}

static bool has(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool vf_kubevirt_has_gate(const struct vf_kubevirt_facts *f, const char *gate)
{
    /* Builds of one's own have any name: as of the newest, but for what is disabled. */
    bool told = f->major || f->minor;
    unsigned version = told ? V(f->major, f->minor) : NEWEST;
    size_t i = find_gate(gate);
    bool in_table = i < sizeof gates / sizeof *gates;
    bool is_ga = in_table && version >= gates[i].ga;
    if (is_ga && told) {
        return true;
    }
    if (has(f->gates, f->n_gates, gate)) {
        return true;
    }
    if (has(f->disabled_gates, f->n_disabled_gates, gate)) {
        return false;
    }
    return is_ga || (in_table && version >= BETA_IS_OPEN && version >= gates[i].beta);
}

/* The version from which on it needs no naming. */
static unsigned open_since(size_t i)
{
    unsigned beta = gates[i].beta;
    if (beta != NEVER && beta < BETA_IS_OPEN) {
        beta = BETA_IS_OPEN;
    }
    return beta < gates[i].ga ? beta : gates[i].ga;
}

const char *vf_kubevirt_gate_since(const char *gate)
{
    static const struct {
        unsigned version;
        const char *text;
    } texts[] = {{V(1, 0), "v1.0"}, {V(1, 5), "v1.5"}, {V(1, 6), "v1.6"}, {V(1, 9), "v1.9"}};
    size_t i = find_gate(gate);
    if (i == sizeof gates / sizeof *gates) {
        return NULL;
    }
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        if (texts[k].version == open_since(i)) {
            return texts[k].text;
        }
    }
    return NULL;
}

/* --- the object -------------------------------------------------------------------------- */

/* A number of at most four digits. */
static const char *read_number(const char *s, unsigned *ret)
{
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n > 4) {
        return NULL;
    }
    *ret = (unsigned)strtoul(s, NULL, 10);
    return s + n;
}

/* "v1.9.0", "v1.9.0-beta.0", "1.9.0"; builds of one's own may have anything. */
static void read_version(struct vf_kubevirt_facts *f, const char *version)
{
    unsigned major, minor;
    const char *at = version ? read_number(version + (*version == 'v'), &major) : NULL;
    if (version) {
        f->version = vf_kube_clean_text(version, MAX_TEXT_BYTES);
    }
    if (at && *at == '.' && read_number(at + 1, &minor)) {
        f->major = major;
        f->minor = minor;
    }
}

static char *take_text(const cJSON *object, const char *key)
{
    const char *text = vf_json_string(object, key);
    return text && *text ? vf_kube_clean_text(text, MAX_TEXT_BYTES) : NULL;
}

static void read_names(const cJSON *array, char ***ret, size_t *ret_n)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        const char *name = cJSON_GetStringValue(item);
        if (name && *ret_n < MAX_GATES) {
            *ret = vf_xrealloc_array(*ret, *ret_n + 1, sizeof **ret);
            (*ret)[(*ret_n)++] = vf_kube_clean_text(name, MAX_TEXT_BYTES);
        }
    }
}

static unsigned read_ratio(const cJSON *object, const char *key, unsigned otherwise)
{
    uint64_t value;
    return vf_json_u64(object, key, &value) && value > 0 && value <= MAX_RATIO ? (unsigned)value
                                                                               : otherwise;
}

static void read_object(struct vf_kubevirt_facts *f, const cJSON *kubevirt)
{
    const cJSON *config = vf_json_object(vf_json_object(kubevirt, "spec"), "configuration");
    const cJSON *developer = vf_json_object(config, "developerConfiguration");
    const cJSON *status = vf_json_object(kubevirt, "status");
    const char *rollout = vf_json_string(config, "vmRolloutStrategy");
    f->known = kubevirt != NULL;
    read_version(f, vf_json_string(status, "observedKubeVirtVersion"));
    f->phase = take_text(status, "phase");
    read_names(vf_json_array(developer, "featureGates"), &f->gates, &f->n_gates);
    read_names(vf_json_array(developer, "disabledFeatureGates"), &f->disabled_gates,
               &f->n_disabled_gates);
    f->cpu_allocation_ratio = read_ratio(developer, "cpuAllocationRatio", DEFAULT_ALLOCATION_RATIO);
    f->memory_overcommit = read_ratio(developer, "memoryOvercommit", DEFAULT_OVERCOMMIT);
    f->max_hotplug_ratio = read_ratio(vf_json_object(config, "liveUpdateConfiguration"),
                                      "maxHotplugRatio", DEFAULT_HOTPLUG_RATIO);
    /* Of a version that is not told, as of the newest. */
    f->live_update = rollout ? strcmp(rollout, "LiveUpdate") == 0
                             : f->major == 0 || V(f->major, f->minor) >= LIVE_UPDATE;
    f->permit_bridge_on_pod_network =
        vf_json_bool(vf_json_object(config, "network"), "permitBridgeInterfaceOnPodNetwork", true);
    /* That the gate is GA opens it for nobody: it has to be named, or the other way configured. */
    f->persistent_reservation =
        vf_json_bool(vf_json_object(config, "persistentReservationConfiguration"), "enabled",
                     false) ||
        has(f->gates, f->n_gates, "PersistentReservation");
    const cJSON *profile = vf_json_object(vf_json_object(config, "seccompConfiguration"),
                                          "virtualMachineInstanceProfile");
    const cJSON *custom = vf_json_object(profile, "customProfile");
    f->seccomp_profile = vf_json_string(custom, "localhostProfile") ||
                         vf_json_bool(custom, "runtimeDefaultProfile", false);
    f->vm_state_storage_class = take_text(config, "vmStateStorageClass");
    f->default_eviction_strategy = take_text(config, "evictionStrategy");
}

int vf_kubevirt_fetch_facts(struct vf_kube_client *client, const struct vf_cancel *cancel,
                            struct vf_kubevirt_facts *ret, struct vf_error **err)
{
    static const struct vf_kube_ref all = {.resource = &vf_kube_kubevirts, .all_namespaces = true};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_kubevirt_facts f = {0};
    struct vf_error *e = NULL;
    cJSON *items = NULL;
    int rc = vf_kube_list(client, &all, NULL, &options, &items, NULL, &e);
    if (rc == VF_UNSUPPORTED || (rc == 0 && !cJSON_GetArrayItem(items, 0))) {
        rc = vf_error_set(err, VF_MISSING, "%s",
                          rc ? "the cluster has no KubeVirt"
                             : "KubeVirt's operator is in the cluster, KubeVirt itself is not: "
                               "there is no KubeVirt object");
        vf_error_hint(err, "install KubeVirt, and wait until its phase is Deployed");
    } else if (rc == 0 || (rc == VF_AUTH && vf_error_http_status(e) == 403)) {
        rc = 0;
        /* There is one in a cluster. */
        read_object(&f, cJSON_GetArrayItem(items, 0));
        *ret = f;
    } else {
        vf_error_move(err, &e);
    }
    vf_error_free(e);
    cJSON_Delete(items);
    return rc;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

void vf_kubevirt_facts_release(struct vf_kubevirt_facts *f)
{
    free(f->version);
    free(f->phase);
    free_names(f->gates, f->n_gates);
    free_names(f->disabled_gates, f->n_disabled_gates);
    free(f->vm_state_storage_class);
    free(f->default_eviction_strategy);
    *f = (struct vf_kubevirt_facts){0};
}
