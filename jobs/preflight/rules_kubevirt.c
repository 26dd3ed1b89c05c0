/* Rules of KubeVirt and CDI: are they there, new enough, and do they let the VM have what its
 * manifest says?
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/preflight/demands.h"
#include "jobs/preflight/looks.h"

#define V(major, minor) ((major)*1000u + (minor))
/* virtualmachines of kubevirt.io/v1 with what every manifest has. */
#define OLDEST V(1, 0)
/* virt-controller lets dataVolumeTemplates adopt claims (allowClaimAdoption), CDI since 1.59. */
#define ADOPTS     V(1, 3)
#define CDI_ADOPTS V(1, 59)
/* virt-controller gives pods the limits that a quota demands (AutoResourceLimitsGate). */
#define SETS_LIMITS V(1, 5)

static bool adopts(const struct vf_check *c)
{
    return c->options->import->cluster.handover == VF_IMPORT_ADOPT;
}

static bool starts(const struct vf_check *c)
{
    return c->options->import->cluster.start;
}

static unsigned version_of(const struct vf_kubevirt_facts *k)
{
    return V(k->major, k->minor);
}

static void check_missing(const struct vf_check *c)
{
    if (c->facts->kubevirt.absent) {
        vf_found(c, NULL, "the cluster has no KubeVirt");
    }
}

static void check_phase(const struct vf_check *c)
{
    const struct vf_kubevirt_facts *k = &c->facts->kubevirt;
    if (k->known && (!k->phase || strcmp(k->phase, "Deployed") != 0)) {
        vf_found(c, NULL, "the phase of KubeVirt is \"%s\"", k->phase ? k->phase : "");
    }
}

static void check_old(const struct vf_check *c)
{
    const struct vf_kubevirt_facts *k = &c->facts->kubevirt;
    if (k->major == 0 && k->minor == 0) {
        return; /* not told */
    }
    if (version_of(k) < OLDEST) {
        vf_found(c, NULL, "KubeVirt is %s, and vmferry's VMs need v1.0", k->version);
    } else if (version_of(k) < ADOPTS && adopts(c)) {
        vf_found_as(c, c->rule->severity, NULL, "--handover claim, or update KubeVirt",
                    "KubeVirt is %s: from v1.3 on VMs adopt disks that were filled before",
                    k->version);
    }
}

/* --- gates ------------------------------------------------------------------------------- */

/* Is it known to be closed? */
static bool is_closed(const struct vf_check *c, const char *gate)
{
    return c->facts->kubevirt.known && !vf_kubevirt_has_gate(&c->facts->kubevirt, gate);
}

static void found_closed(const struct vf_check *c, const char *object, const char *what,
                         const char *gate)
{
    const char *since = vf_kubevirt_gate_since(gate);
    const char *version = c->facts->kubevirt.version;
    char *vf_autofree update = since ? vf_xasprintf(", or update KubeVirt to %s", since) : NULL;
    char *vf_autofree action = vf_xasprintf(
        "add \"%s\" to spec.configuration.developerConfiguration.featureGates of the KubeVirt "
        "object%s",
        gate, update ? update : "");
    vf_found_as(c, c->rule->severity, object, action,
                "%s, and feature gate \"%s\" of KubeVirt%s%s "
                "is not open",
                what, gate, version ? " " : "", version ? version : "");
}

static void check_persistent_state(const struct vf_check *c)
{
    if (vf_target_has_persistent_state(c) && is_closed(c, "VMPersistentState")) {
        found_closed(c, NULL, "the VM is to have a persistent TPM or persistent EFI variables",
                     "VMPersistentState");
    }
}

/* KubeVirt, pkg/storage/backend-storage: the class that is configured, KubeVirt's default one,
 * Kubernetes' default one. */
static void check_state_storage(const struct vf_check *c)
{
    const char *name = c->facts->kubevirt.vm_state_storage_class;
    if (!vf_target_has_persistent_state(c) || !c->facts->target.classes_known ||
        !c->facts->kubevirt.known) {
        return;
    }
    if (!vf_target_find_class(&c->facts->target, name)) {
        vf_found(c, NULL,
                 "the VM is to have a persistent TPM or persistent EFI variables, for which "
                 "KubeVirt makes a claim, and %s%s%s",
                 name ? "there is no storage class \"" : "the cluster has no default storage class",
                 name ? name : "", name ? "\", which it is told to take" : "");
    }
}

static bool has_volume(const cJSON *instance, const char *name)
{
    const cJSON *volume;
    cJSON_ArrayForEach(volume, vf_json_array(instance, "volumes"))
    {
        const char *of = vf_json_string(volume, "name");
        if (of && name && strcmp(of, name) == 0) {
            return true;
        }
    }
    return false;
}

static const cJSON *get_disks(const struct vf_check *c)
{
    return vf_json_array(vf_json_object(vf_target_domain(c), "devices"), "disks");
}

static void check_empty_cdrom(const struct vf_check *c)
{
    const cJSON *disk;
    cJSON_ArrayForEach(disk, get_disks(c))
    {
        const char *name = vf_json_string(disk, "name");
        if (vf_json_object(disk, "cdrom") && !has_volume(vf_target_instance(c), name) &&
            is_closed(c, "DeclarativeHotplugVolumes")) {
            found_closed(c, name, "the VM is to have an empty CD-ROM drive",
                         "DeclarativeHotplugVolumes");
            return;
        }
    }
}

static void check_reservation(const struct vf_check *c)
{
    const cJSON *disk;
    cJSON_ArrayForEach(disk, get_disks(c))
    {
        if (vf_json_bool(vf_json_object(disk, "lun"), "reservation", false) &&
            c->facts->kubevirt.known && !c->facts->kubevirt.persistent_reservation) {
            vf_found(c, vf_json_string(disk, "name"),
                     "the LUN is to pass SCSI persistent reservations, which KubeVirt is not "
                     "configured for");
            return;
        }
    }
}

static void check_video(const struct vf_check *c)
{
    const cJSON *devices = vf_json_object(vf_target_domain(c), "devices");
    if (vf_json_string(vf_json_object(devices, "video"), "type") && is_closed(c, "VideoConfig")) {
        found_closed(c, NULL, "the VM names the type of its video card", "VideoConfig");
    }
}

/* --- hot-plug, live migration ------------------------------------------------------------ */

static void check_hot_plug(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    const struct vf_mapping *m = vf_check_mapping(c);
    enum vf_tristate told = m ? m->hot_plug : VF_UNSET;
    bool wished = told == VF_YES ||
                  (told == VF_UNSET && (vm->cpu_hot_add == VF_YES || vm->memory_hot_add == VF_YES));
    if (wished && c->facts->kubevirt.known && !c->facts->kubevirt.live_update) {
        vf_found(c, NULL, "CPU or memory can be added to the running VM at the source");
    }
}

static const char *eviction_of(const struct vf_check *c)
{
    const char *own = vf_json_string(vf_target_instance(c), "evictionStrategy");
    const char *general = c->facts->kubevirt.default_eviction_strategy;
    return own ? own : general ? general : "None";
}

/* Disks that only one node can have keep the VM where it is (pkg/virt-handler,
 * checkVolumesForMigration). */
static void check_live_migration(const struct vf_check *c)
{
    const char *eviction = eviction_of(c);
    bool blocks = strcmp(eviction, "LiveMigrate") == 0;
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        const struct vf_kube_storage *s = vf_target_storage_of(c, c->vm, i);
        if (s && strcmp(s->access_mode, "ReadWriteMany") != 0) {
            char *vf_autofree object = vf_check_disk_object(&c->vm->disks[i]);
            vf_found_as(c, blocks ? VF_WARNING : c->rule->severity, object, NULL,
                        "its claim in storage class \"%s\" is %s: the VM cannot be live-migrated%s",
                        s->class_name, s->access_mode,
                        blocks ? ", and a drain of its node waits for ever" : "");
            return;
        }
    }
}

/* --- limits that a quota demands --------------------------------------------------------- */

static bool has_limit(const struct vf_check *c, const char *resource)
{
    const cJSON *resources = vf_json_object(vf_target_domain(c), "resources");
    return vf_json_string(vf_json_object(resources, "limits"), resource) != NULL;
}

static void check_limits(const struct vf_check *c)
{
    const struct vf_kubevirt_facts *k = &c->facts->kubevirt;
    bool told = k->major || k->minor;
    if (!told || version_of(k) >= SETS_LIMITS || !vf_target_machine(c)) {
        return;
    }
    for (size_t i = 0; i < c->facts->target.n_quotas; i++) {
        const struct vf_target_quota *q = &c->facts->target.quotas[i];
        bool cpu = strcmp(q->resource, "limits.cpu") == 0;
        bool memory = strcmp(q->resource, "limits.memory") == 0;
        if ((cpu && !has_limit(c, "cpu")) || (memory && !has_limit(c, "memory"))) {
            vf_found_as(c, starts(c) ? VF_CRITICAL : c->rule->severity, NULL, NULL,
                        "quota \"%s\" demands %s, which KubeVirt %s does not set by itself",
                        q->name, q->resource, k->version);
            return;
        }
    }
}

/* --- CDI --------------------------------------------------------------------------------- */

static bool needs_cdi(const struct vf_check *c)
{
    return adopts(c) || c->options->import->target == VF_TO_UPLOAD;
}

static void check_cdi(const struct vf_check *c)
{
    const struct vf_target_facts *f = &c->facts->target;
    if (f->cdi_known && !f->has_cdi && needs_cdi(c)) {
        vf_found_as(c, c->rule->severity, NULL,
                    c->options->import->target == VF_TO_UPLOAD
                        ? "install CDI, or take --to pvc with --handover claim, which needs none"
                        : "install CDI, or take --handover claim, which needs none",
                    "the cluster has no CDI");
    }
}

/* "v1.59.0", "1.59.0" */
static bool read_version(const char *text, unsigned *ret)
{
    char *end;
    text += *text == 'v';
    unsigned long major = strtoul(text, &end, 10);
    if (end == text || *end != '.' || major > 100) {
        return false;
    }
    const char *at = end + 1;
    unsigned long minor = strtoul(at, &end, 10);
    *ret = V((unsigned)major, (unsigned)minor);
    return end > at && minor < 1000;
}

static void check_cdi_old(const struct vf_check *c)
{
    const char *version = c->facts->target.cdi_version;
    unsigned v;
    if (version && read_version(version, &v) && v < CDI_ADOPTS && adopts(c)) {
        vf_found(c, NULL, "CDI is %s: from v1.59 on disks that were filled before can be adopted",
                 version);
    }
}

const struct vf_rule vf_rules_kubevirt[] = {
    {.id = "kubevirt.missing",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "KubeVirt objects of all namespaces",
     .message = "there is nothing in the cluster that runs VMs",
     .action = "install KubeVirt, and wait until its phase is Deployed",
     .once = true,
     .check = check_missing},
    {.id = "kubevirt.phase",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "phase of the KubeVirt object",
     .message = "KubeVirt is being installed, updated or removed: VMs may be refused, or not start",
     .action = "wait until kubectl get kubevirt -A says Deployed",
     .once = true,
     .check = check_phase},
    {.id = "kubevirt.old",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "version of KubeVirt",
     .message =
         "KubeVirt is too old for vmferry's VMs, or for VMs that own disks which were filled "
         "before",
     .action = "update KubeVirt",
     .once = true,
     .check = check_old},
    {.id = "kubevirt.persistent-state",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "persistent TPM and EFI of the manifest, and the gate VMPersistentState",
     .message = "KubeVirt would not start the VM with a persistent TPM or persistent EFI variables",
     .action = "open the gate VMPersistentState, or update KubeVirt to v1.6",
     .check = check_persistent_state},
    {.id = "kubevirt.state-storage",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "the storage class for persistent TPM and EFI",
     .message = "there is no storage for what the VM's TPM and firmware keep: it would not start",
     .action = "set spec.configuration.vmStateStorageClass of the KubeVirt object, or make a "
               "storage class the default one",
     .check = check_state_storage},
    {.id = "kubevirt.empty-cdrom",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "empty CD-ROM drives of the manifest, and the gate DeclarativeHotplugVolumes",
     .message = "KubeVirt would refuse the VM with an empty drive",
     .action = "open the gate DeclarativeHotplugVolumes, or leave empty drives out (--cdrom drop)",
     .check = check_empty_cdrom},
    {.id = "kubevirt.reservation",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "reservations of LUNs, and KubeVirt's persistentReservationConfiguration",
     .message = "KubeVirt would refuse a LUN with persistent reservations",
     .action = "set spec.configuration.persistentReservationConfiguration.enabled of the KubeVirt "
               "object, up to v1.8 the gate PersistentReservation",
     .check = check_reservation},
    {.id = "kubevirt.video",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "video card of the manifest, and the gate VideoConfig",
     .message = "KubeVirt would refuse a VM that names the type of its video card",
     .action = "open the gate VideoConfig, or leave the type out of the template",
     .check = check_video},
    {.id = "kubevirt.hot-plug",
     .severity = VF_INFORMATION,
     .area = VF_AREA_TARGET,
     .looks_at = "hot add of CPU and memory, and KubeVirt's vmRolloutStrategy",
     .message = "in this cluster CPU and memory are added at the next start of a VM",
     .action = "nothing, or set spec.configuration.vmRolloutStrategy: LiveUpdate of the KubeVirt "
               "object",
     .check = check_hot_plug},
    {.id = "kubevirt.live-migration",
     .severity = VF_INFORMATION,
     .area = VF_AREA_TARGET,
     .looks_at = "access modes of the claims, and evictionStrategy",
     .message =
         "a VM with a disk that is not ReadWriteMany stays on its node, and is shut down when "
         "the node is drained (warning: with evictionStrategy LiveMigrate the drain waits)",
     .action = "take a storage class with ReadWriteMany: --storage \"*=CLASS,Block,ReadWriteMany\"",
     .check = check_live_migration},
    {.id = "kubevirt.limits",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "limits.* of the namespace's quotas, and the version of KubeVirt",
     .message = "the quota refuses pods without limits, and this KubeVirt gives none by itself "
                "(critical with --start)",
     .action = "set resources.limits in a template (--template), or update KubeVirt to v1.5",
     .check = check_limits},
    {.id = "cdi.missing",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "DataVolumes of the cluster's API",
     .message = "without CDI nothing can be uploaded, and VMs cannot own their disks",
     .action = "install CDI",
     .once = true,
     .check = check_cdi},
    {.id = "cdi.old",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "version of CDI",
     .message = "CDI is too old for VMs that own disks which were filled before",
     .action = "update CDI to v1.59, or take --handover claim",
     .once = true,
     .check = check_cdi_old},
    {.id = NULL},
};
