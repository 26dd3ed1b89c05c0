/* Rules of what must be nobody else's in the cluster: names, and MAC addresses. */
#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "jobs/preflight/demands.h"
#include "jobs/preflight/looks.h"
#include "jobs/preflight/target_facts.h"

/* --- names ------------------------------------------------------------------------------- */

/* What is under the names that a VM's objects are to have: the first of each kind of trouble. */
struct taken {
    char *foreign, *other, *finished, *unfinished, *warm, *cold;
};

static void note(char **at, const char *key)
{
    if (!*at) {
        *at = vf_xstrdup(key);
    }
}

static void look_at_name(const struct vf_check *c, const char *kind, const char *name,
                         const struct vf_owner *owner, struct taken *t)
{
    char *vf_autofree key = vf_xasprintf("%s/%s", kind, name);
    const struct vf_target_name *n = vf_target_find_name(&c->facts->target, key);
    bool machine = strcmp(kind, vf_kube_kind(&vf_kube_virtual_machines)) == 0;
    if (!n) {
        return;
    }
    switch (vf_owned_judge_marks(&n->marks, owner)) {
    case VF_OWNED_NOT:
        note(&t->foreign, key);
        return;
    case VF_OWNED_OTHER:
        note(&t->other, key);
        return;
    case VF_OWNED_FINISHED:
        /* A warm migration goes on with its own disks, whose state it knows. */
        if (machine || !(c->options->warm && n->marks.warm)) {
            note(&t->finished, key);
        }
        return;
    case VF_OWNED_UNFINISHED:
        if (machine) {
            note(&t->finished, key);
        } else if (c->options->warm == n->marks.warm) {
            note(n->marks.warm ? &t->warm : &t->unfinished, key);
        } else {
            note(n->marks.warm ? &t->cold : &t->unfinished, key);
        }
        return;
    }
}

static void find_taken(const struct vf_check *c, struct taken *t)
{
    const char *name = c->facts->names ? c->facts->names[c->index] : NULL;
    *t = (struct taken){.foreign = NULL};
    if (!name || !c->facts->target.names_known) {
        return;
    }
    const struct vf_owner owner = {.import = name, .source_uuid = vf_target_identity(c->vm)};
    look_at_name(c, vf_kube_kind(&vf_kube_virtual_machines), name, &owner, t);
    for (size_t i = 0; i < c->vm->n_disks; i++) {
        char *vf_autofree claim = vf_name_of_disk(name, i);
        look_at_name(c, vf_kube_kind(&vf_kube_data_volumes), claim, &owner, t);
        look_at_name(c, vf_kube_kind(&vf_kube_claims), claim, &owner, t);
    }
}

static void release_taken(struct taken *t)
{
    free(t->foreign);
    free(t->other);
    free(t->finished);
    free(t->unfinished);
    free(t->warm);
    free(t->cold);
}

static void check_name_taken(const struct vf_check *c)
{
    struct taken t;
    find_taken(c, &t);
    if (t.foreign) {
        vf_found(c, NULL, "%s is in namespace \"%s\" already, and is not vmferry's", t.foreign,
                 c->facts->target.ns);
    } else if (t.other) {
        vf_found(c, NULL, "%s is in namespace \"%s\" already: it is of the import of another VM",
                 t.other, c->facts->target.ns);
    }
    release_taken(&t);
}

static void check_imported(const struct vf_check *c)
{
    struct taken t;
    find_taken(c, &t);
    if (t.finished) {
        vf_found(c, NULL, "%s in namespace \"%s\" is of an import of this VM that is complete",
                 t.finished, c->facts->target.ns);
    }
    release_taken(&t);
}

static void check_unfinished(const struct vf_check *c)
{
    struct taken t;
    find_taken(c, &t);
    if (t.cold) {
        char *vf_autofree action = vf_xasprintf(
            "go on with it by the \"vmferry migrate --warm\" it was begun with, or remove it by "
            "\"vmferry cancel %s --discard --namespace %s\", or choose another --name",
            c->facts->names[c->index], c->facts->target.ns);
        vf_found_as(c, VF_CRITICAL, NULL, action,
                    "%s is of a warm migration of this VM that did not come to its end", t.cold);
    } else if (t.warm) {
        vf_found_as(c, c->rule->severity, NULL, "nothing: it is gone on with",
                    "%s is of a warm migration of this VM that is under way, or was stopped",
                    t.warm);
    } else if (t.unfinished) {
        vf_found(c, NULL, "%s was left unfinished by an earlier import of this VM", t.unfinished);
    }
    release_taken(&t);
}

/* --- MAC addresses ----------------------------------------------------------------------- */

/* What an earlier import of this very VM made is not another VM. */
static bool is_own(const struct vf_check *c, const struct vf_target_mac *m)
{
    const char *name = c->facts->names ? c->facts->names[c->index] : NULL;
    const char *uuid = vf_target_identity(c->vm);
    char *vf_autofree owner = vf_xasprintf("%s/%s", c->facts->target.ns, name ? name : "");
    return uuid && m->source_uuid && strcmp(uuid, m->source_uuid) == 0 &&
           strcmp(owner, m->owner) == 0;
}

static void check_mac(const struct vf_check *c)
{
    for (size_t i = 0; i < c->vm->n_nics; i++) {
        const char *mac = c->vm->nics[i].mac;
        size_t n = 0;
        const struct vf_target_mac *m = mac ? vf_target_find_mac(&c->facts->target, mac, &n) : NULL;
        const struct vf_target_mac *worst = NULL;
        for (size_t k = 0; m && k < n; k++) {
            if (!is_own(c, &m[k]) && (!worst || (m[k].running && !worst->running))) {
                worst = &m[k];
            }
        }
        if (worst && !vf_check_ignores_nic(c, i)) {
            char *vf_autofree object = vf_check_nic_object(c->vm, i);
            vf_found_as(c, worst->running ? c->rule->severity : VF_WARNING, object, NULL,
                        "its MAC address %s is that of VM \"%s\" in the cluster, which is %s", mac,
                        worst->owner, worst->running ? "running" : "stopped");
        }
    }
}

const struct vf_rule vf_rules_name[] = {
    {.id = "target.name-taken",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "VirtualMachines, DataVolumes and claims of the names to come",
     .message = "something else has the name of the VM, or of one of its disks, and is left alone",
     .action = "import it with another --name (\"vmferry check\" takes it as --target-name)",
     .check = check_name_taken},
    {.id = "target.imported",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "vmferry's marks on what has the names to come",
     .message = "the VM was imported before",
     .action = "an import with another --name brings it once more (\"vmferry check\" takes it as "
               "--target-name); kubectl delete, or vmferry cleanup --all for disks that no VM "
               "uses, makes room",
     .check = check_imported},
    {.id = "target.unfinished",
     .severity = VF_INFORMATION,
     .area = VF_AREA_TARGET,
     .looks_at = "vmferry's marks on what has the names to come",
     .message = "an earlier import of the VM did not come to its end (critical: one by warm "
                "migration, where a cold one is asked for)",
     .action = "nothing: what it left is removed first",
     .check = check_unfinished},
    {.id = "target.mac-in-use",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "MAC addresses of all VMs of the cluster",
     .message = "another VM has the MAC address: in one network neither would be reached (warning: "
                "that VM is stopped)",
     .action = "remove or change the other one, or leave the NIC out: --network MAC=ignore",
     .check = check_mac},
    {.id = NULL},
};
