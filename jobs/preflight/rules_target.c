/* Rules of the cluster and the namespace: rights, clock, networks, what a VM is made after. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "jobs/preflight/demands.h"
#include "jobs/preflight/looks.h"

/* Certificates and tokens are issued some minutes back, so that clocks may differ by as much. */
#define MAX_SKEW_MS ((int64_t)5 * 60 * 1000)

#define MAX_VERBS_BYTES 400

static bool starts(const struct vf_check *c)
{
    return c->options->import->cluster.start;
}

/* --- the account ------------------------------------------------------------------------- */

static bool is_same_object(const struct vf_kube_need *a, const struct vf_kube_need *b)
{
    const char *x = a->subresource ? a->subresource : "";
    return a->resource == b->resource && a->needed == b->needed &&
           strcmp(x, b->subresource ? b->subresource : "") == 0;
}

/* The verbs of all that are refused on the same kind of object, told at the first: heap, NULL at
 * the others. */
static char *collect_verbs(const struct vf_kube_need *const *refused, size_t i)
{
    struct vf_buf b;
    for (size_t k = 0; k < i; k++) {
        if (is_same_object(refused[k], refused[i])) {
            return NULL;
        }
    }
    vf_buf_init(&b, MAX_VERBS_BYTES);
    for (size_t k = i; refused[k]; k++) {
        if (is_same_object(refused[k], refused[i])) {
            vf_buf_printf(&b, "%s\"%s\"", b.len ? ", " : "", refused[k]->verb);
        }
    }
    return vf_buf_take_string(&b);
}

static void check_rights(const struct vf_check *c)
{
    const struct vf_target_facts *f = &c->facts->target;
    for (size_t i = 0; f->rights_known && f->refused && f->refused[i]; i++) {
        const struct vf_kube_need *n = f->refused[i];
        char *vf_autofree verbs = collect_verbs(f->refused, i);
        if (verbs) {
            vf_found_as(c, n->needed ? c->rule->severity : VF_INFORMATION, NULL, NULL,
                        "the account may not %s %s%s%s%s%s in namespace \"%s\", by which an import "
                        "%s",
                        verbs, n->resource->plural, n->subresource ? "/" : "",
                        n->subresource ? n->subresource : "", n->resource->group[0] ? "." : "",
                        n->resource->group, f->ns, n->purpose);
        }
    }
}

static void check_account(const struct vf_check *c)
{
    const struct vf_target_facts *f = &c->facts->target;
    const char *told = c->options->import->cluster.worker_account;
    if (f->account == VF_NO) {
        vf_found(c, NULL, "there is no service account \"%s\" in namespace \"%s\"",
                 told ? told : "vmferry-worker", f->ns);
    }
}

static void check_unknown(const struct vf_check *c)
{
    for (size_t i = 0; i < c->facts->target.n_unknown; i++) {
        vf_found(c, NULL, "not judged: %s", c->facts->target.unknown[i]);
    }
}

static void check_clock(const struct vf_check *c)
{
    const struct vf_target_facts *f = &c->facts->target;
    int64_t skew_ms = f->clock_skew_ms;
    int64_t off_ms = skew_ms < 0 ? -skew_ms : skew_ms;
    if (f->clock_known && off_ms > MAX_SKEW_MS) {
        vf_found(c, NULL, "the API server's clock is %lld minutes %s of this one",
                 (long long)(off_ms / 60000), skew_ms > 0 ? "ahead" : "behind");
    }
}

static void check_pod_security(const struct vf_check *c)
{
    const char *level = c->facts->target.pod_security;
    if (level && strcmp(level, "restricted") == 0 && !c->facts->kubevirt.seccomp_profile) {
        vf_found_as(c, starts(c) ? VF_CRITICAL : c->rule->severity, NULL, NULL,
                    "namespace \"%s\" enforces the level \"restricted\" of pod security",
                    c->facts->target.ns);
    }
}

/* --- networks ---------------------------------------------------------------------------- */

typedef void choice_fn(const struct vf_check *c, size_t nic, const struct vf_network_choice *choice,
                       const char *attachment);

static void each_attachment(const struct vf_check *c, choice_fn *fn)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    struct vf_network_choice *choices = NULL;
    if (vf_network_map_resolve(m ? &m->networks : NULL, c->vm, &choices, NULL)) {
        return; /* mapping.invalid, nic.pod-network-twice */
    }
    for (size_t i = 0; i < c->vm->n_nics; i++) {
        if (choices[i].attachment) {
            char *vf_autofree name =
                vf_target_attachment(choices[i].attachment, c->facts->target.ns);
            fn(c, i, &choices[i], name);
        }
    }
    vf_network_choices_free(choices, c->vm->n_nics);
}

static void judge_missing(const struct vf_check *c, size_t nic,
                          const struct vf_network_choice *choice, const char *attachment)
{
    const struct vf_target_facts *f = &c->facts->target;
    if (!vf_target_has_string(f->missing_attachments, f->n_missing_attachments, attachment)) {
        return;
    }
    char *vf_autofree object = vf_check_nic_object(c->vm, nic);
    const char *network = c->vm->nics[nic].network;
    vf_found_as(c, choice->guessed && !starts(c) ? VF_WARNING : c->rule->severity, object, NULL,
                "network \"%s\" would be NetworkAttachmentDefinition \"%s\"%s, which is not there",
                network ? network : "", attachment, choice->guessed ? " by its name" : "");
}

static void check_attachment_missing(const struct vf_check *c)
{
    each_attachment(c, judge_missing);
}

/* Multus's global namespaces are "default", unless it was told others. */
static void judge_namespace(const struct vf_check *c, size_t nic,
                            const struct vf_network_choice *choice, const char *attachment)
{
    const struct vf_target_facts *f = &c->facts->target;
    size_t len = strcspn(attachment, "/");
    bool own = strlen(f->ns) == len && strncmp(attachment, f->ns, len) == 0;
    bool global = len == strlen("default") && strncmp(attachment, "default", len) == 0;
    (void)choice;
    if (!own && !global) {
        char *vf_autofree object = vf_check_nic_object(c->vm, nic);
        vf_found(c, object, "NetworkAttachmentDefinition \"%s\" is not in namespace \"%s\"",
                 attachment, f->ns);
    }
}

static void check_attachment_namespace(const struct vf_check *c)
{
    each_attachment(c, judge_namespace);
}

static const cJSON *find_pod_interface(const struct vf_check *c)
{
    const cJSON *devices = vf_json_object(vf_target_domain(c), "devices");
    const cJSON *network, *interface;
    cJSON_ArrayForEach(network, vf_json_array(vf_target_instance(c), "networks"))
    {
        const char *name = vf_json_object(network, "pod") ? vf_json_string(network, "name") : NULL;
        cJSON_ArrayForEach(interface, vf_json_array(devices, "interfaces"))
        {
            const char *of = vf_json_string(interface, "name");
            if (name && of && strcmp(name, of) == 0) {
                return interface;
            }
        }
    }
    return NULL;
}

static void check_user_defined_network(const struct vf_check *c)
{
    const cJSON *interface = find_pod_interface(c);
    if (c->facts->target.is_user_defined_network && vf_json_object(interface, "masquerade")) {
        vf_found(c, NULL,
                 "the primary network of namespace \"%s\" is a UserDefinedNetwork, and a NIC is to "
                 "be on it by masquerade",
                 c->facts->target.ns);
    }
}

static void check_bridge_on_pod(const struct vf_check *c)
{
    const cJSON *interface = find_pod_interface(c);
    if (c->facts->kubevirt.known && !c->facts->kubevirt.permit_bridge_on_pod_network &&
        vf_json_object(interface, "bridge")) {
        vf_found(c, NULL, "a NIC is to be on the pod network by a bridge, which is not permitted");
    }
}

/* --- what the VM is made after ----------------------------------------------------------- */

struct made_after {
    const struct vf_kube_resource *usual, *namespaced;
};

/* KubeVirt takes the kind in any case of its letters, and its plural, as the same
 * (pkg/instancetype, find). NULL: it knows none of that name. */
static const char *normalise_kind(const struct made_after *m, const char *kind)
{
    const struct vf_kube_resource *const kinds[] = {m->usual, m->namespaced};
    if (!kind || !*kind) {
        return vf_kube_kind(m->usual);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof(void *); i++) {
        if (strcasecmp(kind, vf_kube_kind(kinds[i])) == 0 ||
            strcasecmp(kind, kinds[i]->plural) == 0) {
            return vf_kube_kind(kinds[i]);
        }
    }
    return NULL;
}

static void check_kind(const struct vf_check *c, const char *field, const struct made_after *m,
                       char *const *there, size_t n)
{
    const cJSON *of = vf_json_object(vf_json_object(vf_target_machine(c), "spec"), field);
    const char *name = vf_json_string(of, "name"), *told = vf_json_string(of, "kind");
    if (!name) {
        return;
    }
    const char *kind = normalise_kind(m, told);
    char *vf_autofree key = vf_xasprintf("%s/%s", kind ? kind : told, name);
    if (!vf_target_has_string(there, n, key)) {
        vf_found(c, NULL, "there is no %s", key);
    }
}

static void check_preference(const struct vf_check *c)
{
    const struct vf_target_facts *f = &c->facts->target;
    static const struct made_after preference = {.usual = &vf_kube_cluster_preferences,
                                                 .namespaced = &vf_kube_preferences};
    if (f->preferences_known) {
        check_kind(c, "preference", &preference, f->preferences, f->n_preferences);
    }
}

static void check_instancetype(const struct vf_check *c)
{
    const struct vf_target_facts *f = &c->facts->target;
    static const struct made_after instancetype = {.usual = &vf_kube_cluster_instancetypes,
                                                   .namespaced = &vf_kube_instancetypes};
    if (f->instancetypes_known) {
        check_kind(c, "instancetype", &instancetype, f->instancetypes, f->n_instancetypes);
    }
}

const struct vf_rule vf_rules_target[] = {
    {.id = "target.right",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "what the account of the kubeconfig may do in the namespace",
     .message = "the account lacks a right that an import needs (information: that it can do "
                "without)",
     .action = "give it the roles of deploy/rbac.yaml, which names them all",
     .once = true,
     .check = check_rights},
    {.id = "target.worker-account",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "the service account of the worker, for --to pvc",
     .message = "the Job that copies would have no service account to run as",
     .action = "sed 's/NAMESPACE/NS/' deploy/rbac.yaml | kubectl apply -f -, or name another with "
               "--worker-account",
     .once = true,
     .check = check_account},
    {.id = "target.unknown",
     .severity = VF_INFORMATION,
     .area = VF_AREA_TARGET,
     .looks_at = "what this account may not look at",
     .message = "rules that need it were not judged",
     .action = "bind the account to vmferry-checker of deploy/rbac.yaml, which may only read",
     .once = true,
     .check = check_unknown},
    {.id = "target.clock",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "the time in the API server's answers",
     .message = "the clock differs by more than five minutes: certificates and tokens that were "
                "just issued may be refused, and times in reports do not fit",
     .action = "let both get their time by NTP",
     .once = true,
     .check = check_clock},
    {.id = "target.pod-security",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "pod-security.kubernetes.io/enforce of the namespace, and KubeVirt's "
                 "seccompConfiguration",
     .message = "the pods of KubeVirt's VMs do not meet the level \"restricted\" unless they are "
                "given a seccomp profile: a VM would not start (critical with --start)",
     .action =
         "kubectl label namespace NS --overwrite pod-security.kubernetes.io/enforce=baseline, "
         "or set seccompConfiguration.virtualMachineInstanceProfile.customProfile."
         "runtimeDefaultProfile in the KubeVirt object",
     .once = true,
     .check = check_pod_security},
    {.id = "target.network-missing",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "the NetworkAttachmentDefinition of each NIC",
     .message = "the VM would not start without it (warning: it is only a guess by the network's "
                "name, and the VM is not to be started)",
     .action = "--network \"SOURCE=[NAMESPACE/]NAD\" names one that is there, =pod or =ignore does "
               "without",
     .check = check_attachment_missing},
    {.id = "target.network-namespace",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "the namespace of each NIC's NetworkAttachmentDefinition",
     .message = "where Multus isolates namespaces, a VM may use those of its own namespace and of "
                "\"default\" only",
     .action = "see namespaceIsolation of Multus, or make the NetworkAttachmentDefinition in the "
               "VM's namespace",
     .check = check_attachment_namespace},
    {.id = "target.user-defined-network",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "k8s.ovn.org/primary-user-defined-network of the namespace, and the NIC on the "
                 "pod network",
     .message = "on a primary UserDefinedNetwork masquerade does not work",
     .action = "--network \"SOURCE=pod:l2bridge\", where that binding is registered in KubeVirt",
     .check = check_user_defined_network},
    {.id = "target.bridge-on-pod",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "permitBridgeInterfaceOnPodNetwork of KubeVirt, and the NIC on the pod network",
     .message = "KubeVirt would refuse the VM",
     .action = "take masquerade in the template, which is vmferry's own choice",
     .check = check_bridge_on_pod},
    {.id = "target.preference",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "the preference that the VM names",
     .message = "KubeVirt would refuse the VM, since there is no such preference",
     .action = "kubectl get virtualmachineclusterpreferences lists them; --preference names one",
     .check = check_preference},
    {.id = "target.instancetype",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "the instancetype that the VM names",
     .message = "KubeVirt would refuse the VM, since there is no such instancetype",
     .action = "kubectl get virtualmachineclusterinstancetypes lists them; --instancetype names "
               "one",
     .check = check_instancetype},
    {.id = "upload.proxy",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "a request to CDI's upload proxy, as an upload would send it",
     .message = "CDI's upload proxy cannot be reached from here, or is not trusted",
     .action = "--upload-proxy URL names another way to it, --upload-ca-file FILE what trusts it",
     .once = true},
    {.id = "upload.token",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "a token for an upload, which is asked for and thrown away",
     .message = "CDI gives no token for an upload",
     .action = "allow the account the verb \"create\" on uploadtokenrequests of group "
               "upload.cdi.kubevirt.io (deploy/rbac.yaml)",
     .once = true},
    {.id = NULL},
};
