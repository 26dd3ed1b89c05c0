/* What the namespace allows: its labels, quotas, limits, what is in it for VMs to use, and what
 * this account may do there.
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/attachment.h"
#include "importer/kube/metadata.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "importer/kube/target_facts_private.h"

/* Kubernetes, concepts/security/pod-security-admission. */
#define POD_SECURITY "pod-security.kubernetes.io/enforce"
/* ovn-kubernetes, docs/features/user-defined-networks: there from the namespace's creation on. */
#define USER_DEFINED_NETWORK "k8s.ovn.org/primary-user-defined-network"

static int fetch_labels(struct vf_target_look *l, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_namespaces, .name = l->facts->ns};
    const struct vf_kube_options options = {.cancel = l->cancel};
    struct vf_error *e = NULL;
    cJSON *ns = NULL;
    int rc = vf_kube_get(l->client, &ref, &options, &ns, &e);
    if (rc == 0) {
        l->facts->pod_security = vf_target_text(vf_kube_label(ns, POD_SECURITY));
        l->facts->is_user_defined_network = vf_kube_label(ns, USER_DEFINED_NETWORK) != NULL;
    }
    cJSON_Delete(ns);
    return vf_target_judge(l, rc, &e, "the namespace's labels", &l->facts->namespace_known, err);
}

/* --- quotas ------------------------------------------------------------------------------ */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool parse_amount(const char *resource, const char *text, uint64_t *ret)
{
    bool is_cpu = strcmp(resource, "cpu") == 0 || ends_with(resource, ".cpu");
    return is_cpu ? vf_kube_parse_millis(text, ret) : vf_kube_parse_bytes(text, ret);
}

/* Those with scopes count some pods only, which ours need not be among. What the controller has not
 * counted yet (no status) stands as written, with nothing used. */
static void add_quota(struct vf_target_facts *f, const struct vf_target_list *list,
                      const cJSON *item)
{
    const cJSON *spec = vf_json_object(item, "spec"), *status = vf_json_object(item, "status");
    const cJSON *counted = vf_json_object(status, "hard");
    const cJSON *hard = counted ? counted : vf_json_object(spec, "hard");
    const cJSON *used = vf_json_object(status, "used"), *amount;
    const char *name = vf_kube_name(item);
    (void)list;
    if (vf_json_array(spec, "scopes") || vf_json_object(spec, "scopeSelector")) {
        return;
    }
    cJSON_ArrayForEach(amount, hard)
    {
        struct vf_target_quota q = {.name = NULL};
        if (!amount->string ||
            !parse_amount(amount->string, cJSON_GetStringValue(amount), &q.hard)) {
            continue;
        }
        if (!parse_amount(amount->string, vf_json_string(used, amount->string), &q.used)) {
            q.used = 0;
        }
        q.name = vf_target_text(name ? name : "");
        q.resource = vf_target_text(amount->string);
        f->quotas = vf_xrealloc_array(f->quotas, f->n_quotas + 1, sizeof *f->quotas);
        f->quotas[f->n_quotas++] = q;
    }
}

static void forget_quotas(struct vf_target_facts *f)
{
    for (size_t i = 0; i < f->n_quotas; i++) {
        free(f->quotas[i].name);
        free(f->quotas[i].resource);
    }
    f->n_quotas = 0;
}

static int compare_quotas(const void *a, const void *b)
{
    const struct vf_target_quota *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->resource, y->resource);
}

/* --- limits ------------------------------------------------------------------------------ */

static void take_least(uint64_t *least, const cJSON *max, const char *key)
{
    uint64_t bytes;
    if (vf_kube_parse_bytes(vf_json_string(max, key), &bytes) && (!*least || bytes < *least)) {
        *least = bytes;
    }
}

static void add_limits(struct vf_target_facts *f, const struct vf_target_list *list,
                       const cJSON *item)
{
    const cJSON *limit;
    (void)list;
    cJSON_ArrayForEach(limit, vf_json_array(vf_json_object(item, "spec"), "limits"))
    {
        const char *type = vf_json_string(limit, "type");
        const cJSON *max = vf_json_object(limit, "max");
        if (type && strcmp(type, "PersistentVolumeClaim") == 0) {
            take_least(&f->max_claim_bytes, max, "storage");
        } else if (type && (strcmp(type, "Pod") == 0 || strcmp(type, "Container") == 0)) {
            take_least(&f->max_memory_bytes, max, "memory");
        }
    }
}

static void forget_limits(struct vf_target_facts *f)
{
    f->max_claim_bytes = f->max_memory_bytes = 0;
}

static int fetch_bounds(struct vf_target_look *l, struct vf_error **err)
{
    static const struct vf_target_list quotas = {.resource = &vf_kube_resource_quotas,
                                                 .what = "the namespace's quotas",
                                                 .begin = forget_quotas,
                                                 .each = add_quota};
    static const struct vf_target_list limits = {.resource = &vf_kube_limit_ranges,
                                                 .what = "the namespace's LimitRanges",
                                                 .begin = forget_limits,
                                                 .each = add_limits};
    struct vf_target_facts *f = l->facts;
    int rc = vf_target_list(l, &quotas, &f->quotas_known, err);
    if (f->n_quotas) {
        qsort(f->quotas, f->n_quotas, sizeof *f->quotas, compare_quotas);
    }
    return rc ? rc : vf_target_list(l, &limits, &f->limits_known, err);
}

/* --- attachments, account, rights -------------------------------------------------------- */

static int compare_strings(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static int fetch_attachment(struct vf_target_look *l, const char *attachment, struct vf_error **err)
{
    struct vf_target_facts *f = l->facts;
    struct vf_error *e = NULL;
    bool known;
    int rc = vf_kube_check_attachment(l->client, f->ns, attachment, l->cancel, &e);
    bool there = rc == 0;
    char *vf_autofree what = vf_xasprintf("NetworkAttachmentDefinition \"%s\"", attachment);
    rc = vf_target_judge(l, rc, &e, what, &known, err);
    if (there) {
        vf_target_add_string(&f->attachments, &f->n_attachments, vf_xstrdup(attachment));
    } else if (known) {
        vf_target_add_string(&f->missing_attachments, &f->n_missing_attachments,
                             vf_xstrdup(attachment));
    }
    return rc;
}

static int fetch_attachments(struct vf_target_look *l, struct vf_error **err)
{
    struct vf_target_facts *f = l->facts;
    const char *const *at = l->question->attachments;
    int rc = 0;
    f->attachments_known = at != NULL;
    for (; at && *at && rc == 0; at++) {
        rc = fetch_attachment(l, *at, err);
    }
    if (f->n_attachments) {
        qsort(f->attachments, f->n_attachments, sizeof *f->attachments, compare_strings);
    }
    if (f->n_missing_attachments) {
        qsort(f->missing_attachments, f->n_missing_attachments, sizeof *f->missing_attachments,
              compare_strings);
    }
    return rc;
}

static int fetch_account(struct vf_target_look *l, struct vf_error **err)
{
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_service_accounts, .ns = l->facts->ns, .name = l->question->account};
    const struct vf_kube_options options = {.cancel = l->cancel};
    struct vf_error *e = NULL;
    bool known;
    if (!l->question->account) {
        return 0;
    }
    int rc = vf_kube_get(l->client, &ref, &options, NULL, &e);
    bool there = rc == 0;
    char *vf_autofree what = vf_xasprintf("service account \"%s\"", l->question->account);
    rc = vf_target_judge(l, rc, &e, what, &known, err);
    l->facts->account = there ? VF_YES : known ? VF_NO : VF_UNSET;
    return rc;
}

static int fetch_rights(struct vf_target_look *l, struct vf_error **err)
{
    struct vf_target_facts *f = l->facts;
    struct vf_error *e = NULL;
    if (!l->question->needs) {
        return 0;
    }
    int rc = vf_kube_rights_fetch_refused(l->client, f->ns, l->question->needs, l->cancel,
                                          &f->refused, &e);
    return vf_target_judge(l, rc, &e, "this account's rights", &f->rights_known, err);
}

int vf_target_fetch_namespace(struct vf_target_look *l, struct vf_error **err)
{
    int rc = fetch_labels(l, err);
    rc = rc ? rc : fetch_bounds(l, err);
    rc = rc ? rc : fetch_attachments(l, err);
    rc = rc ? rc : fetch_account(l, err);
    return rc ? rc : fetch_rights(l, err);
}
