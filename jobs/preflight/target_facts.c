#include "jobs/preflight/target_facts.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/http.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/upload_proxy.h"
#include "jobs/preflight/demands.h"

/* As deploy/rbac.yaml has it. */
#define DEFAULT_ACCOUNT "vmferry-worker"

/* Names of claims are asked for a token; there is none of this name. */
#define TOKEN_CLAIM "vmferry-check"

const char *vf_target_identity(const struct vf_vm *vm)
{
    const char *uuid = vm->instance_uuid && *vm->instance_uuid ? vm->instance_uuid : vm->bios_uuid;
    return uuid && *uuid ? uuid : NULL;
}

/* --- the question ------------------------------------------------------------------------ */

struct question {
    struct vf_target_question q;
    struct vf_kube_storage_wish *wishes; /* borrow from the mapping */
    char **attachments;
    size_t n_attachments;
};

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}

static bool is_same_wish(const struct vf_kube_storage_wish *a, const struct vf_kube_storage_wish *b)
{
    return is_same(a->class_name, b->class_name) && is_same(a->volume_mode, b->volume_mode) &&
           is_same(a->access_mode, b->access_mode);
}

static void add_wish(struct question *q, const struct vf_kube_storage_wish *wish)
{
    for (size_t i = 0; i < q->q.n_wishes; i++) {
        if (is_same_wish(&q->wishes[i], wish)) {
            return;
        }
    }
    q->wishes = vf_xrealloc_array(q->wishes, q->q.n_wishes + 1, sizeof *q->wishes);
    q->wishes[q->q.n_wishes++] = *wish;
}

static void add_attachment(struct question *q, const char *attachment)
{
    for (size_t i = 0; i < q->n_attachments; i++) {
        if (strcmp(q->attachments[i], attachment) == 0) {
            return;
        }
    }
    /* And the NULL at its end. */
    q->attachments = vf_xrealloc_array(q->attachments, q->n_attachments + 2, sizeof(char *));
    q->attachments[q->n_attachments++] = vf_xstrdup(attachment);
    q->attachments[q->n_attachments] = NULL;
}

/* What no map is good for is a rule's to tell. */
static void ask_networks(struct question *q, const struct vf_check_options *o,
                         const struct vf_vm *vm, const char *ns)
{
    const struct vf_mapping *m = o->import->mapping;
    struct vf_network_choice *choices = NULL;
    if (vf_network_map_resolve(m ? &m->networks : NULL, vm, &choices, NULL)) {
        return;
    }
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (choices[i].attachment) {
            char *vf_autofree name = vf_target_attachment(choices[i].attachment, ns);
            add_attachment(q, name);
        }
    }
    vf_network_choices_free(choices, vm->n_nics);
}

static void ask(struct question *q, const struct vf_check_options *o, const struct vf_vm *vms,
                size_t n, const char *ns)
{
    static const struct vf_kube_storage_wish any;
    const struct vf_import_options *import = o->import;
    for (size_t v = 0; v < n; v++) {
        for (size_t i = 0; i < vms[v].n_disks; i++) {
            struct vf_kube_storage_wish wish = vf_target_wish(o, &vms[v], i);
            add_wish(q, &wish);
        }
        ask_networks(q, o, &vms[v], ns);
        /* Firmware's variables and a TPM's content are kept in a claim of their own. */
        if (vms[v].has_vtpm || vms[v].firmware == VF_FIRMWARE_EFI) {
            add_wish(q, &any);
        }
    }
    q->q.wishes = q->wishes;
    q->q.attachments = (const char *const *)q->attachments;
    q->q.needs = vf_target_needs(o);
    if (import->target == VF_TO_CLAIM && !import->to_path) {
        const char *account = import->cluster.worker_account;
        q->q.account = account ? account : DEFAULT_ACCOUNT;
    }
}

static void release_question(struct question *q)
{
    for (size_t i = 0; i < q->n_attachments; i++) {
        free(q->attachments[i]);
    }
    free(q->attachments);
    free(q->wishes);
}

/* --- names ------------------------------------------------------------------------------- */

static bool is_of_other(const struct vf_target_facts *f, const char *kind, const char *name,
                        const struct vf_owner *owner)
{
    char *vf_autofree key = vf_xasprintf("%s/%s", kind, name);
    const struct vf_target_name *found = vf_target_find_name(f, key);
    return found && vf_owned_judge_marks(&found->marks, owner) == VF_OWNED_OTHER;
}

static bool is_taken(const struct vf_target_facts *f, const struct vf_vm *vm, const char *name)
{
    const struct vf_owner owner = {.import = name, .source_uuid = vf_target_identity(vm)};
    bool taken = is_of_other(f, vf_kube_kind(&vf_kube_virtual_machines), name, &owner);
    for (size_t i = 0; i < vm->n_disks && !taken; i++) {
        char *vf_autofree claim = vf_name_of_disk(name, i);
        taken = is_of_other(f, vf_kube_kind(&vf_kube_data_volumes), claim, &owner) ||
                is_of_other(f, vf_kube_kind(&vf_kube_claims), claim, &owner);
    }
    return taken;
}

static void settle_names(struct vf_facts *f, const struct vf_check_options *o)
{
    if (!f->target.names_known || o->import->name) {
        return;
    }
    for (size_t i = 0; i < f->n_vms; i++) {
        if (f->names && f->names[i] && is_taken(&f->target, &f->vms[i], f->names[i])) {
            free(f->names[i]);
            f->names[i] = vf_name_of_vm_distinct(&f->vms[i]);
        }
    }
}

/* --- what is tried ----------------------------------------------------------------------- */

struct trying {
    struct vf_kube_client *client;
    const struct vf_check_options *options;
    const struct vf_cancel *cancel;
    const struct vf_facts *facts;
    struct vf_findings *findings;
};

static int found(const struct trying *t, const char *id, int rc, struct vf_error *e,
                 struct vf_error **err)
{
    const struct vf_check c = {.options = t->options,
                               .facts = t->facts,
                               .findings = t->findings,
                               .rule = vf_rule_find(id)};
    if (rc == VF_CANCELLED) {
        vf_error_move(err, &e);
        return rc;
    }
    if (rc) {
        vf_found_as(&c, c.rule->severity, NULL, vf_error_get_hint(e), "%s", vf_error_message(e));
    }
    vf_error_free(e);
    return 0;
}

/* A token is for one claim of one namespace, and is good for nothing else; it is thrown away. */
static int try_token(const struct trying *t, struct vf_error **err)
{
    struct vf_secret *token = NULL;
    struct vf_error *e = NULL;
    int rc = vf_cdi_fetch_upload_token(t->client, t->facts->target.ns, TOKEN_CLAIM, t->cancel,
                                       &token, &e);
    vf_secret_free(token);
    return found(t, "upload.token", rc, e, err);
}

static int try_upload(const struct trying *t, struct vf_error **err)
{
    struct vf_cdi_facts cdi = {0};
    struct vf_http *http = NULL;
    struct vf_error *e = NULL;
    char *vf_autofree url = NULL;
    int rc = vf_cdi_fetch_facts(t->client, t->cancel, &cdi, &e);
    rc = rc ? rc
            : vf_upload_proxy_open(&t->options->import->cluster, &cdi, t->cancel, &http, &url, &e);
    vf_http_free(http);
    vf_cdi_facts_release(&cdi);
    rc = found(t, "upload.proxy", rc, e, err);
    return rc ? rc : try_token(t, err);
}

/* --- all --------------------------------------------------------------------------------- */

static int fetch_kubevirt(struct vf_kube_client *client, const struct vf_cancel *cancel,
                          struct vf_kubevirt_facts *ret, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_kubevirt_fetch_facts(client, cancel, ret, &e);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        *ret = (struct vf_kubevirt_facts){.absent = true};
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_target_facts_gather(struct vf_kube_client *client, const struct vf_check_options *options,
                           const struct vf_vm *vms, size_t n, const struct vf_cancel *cancel,
                           struct vf_facts *into, struct vf_findings *findings,
                           struct vf_error **err)
{
    const struct trying t = {.client = client,
                             .options = options,
                             .cancel = cancel,
                             .facts = into,
                             .findings = findings};
    struct question q = {.q = {.wishes = NULL}};
    if (options->import->target == VF_TO_CLAIM && options->import->to_path) {
        into->has_target = false;
        return 0;
    }
    ask(&q, options, vms, n, vf_kube_client_namespace(client));
    int rc = vf_kube_fetch_target_facts(client, &q.q, cancel, &into->target, err);
    rc = rc ? rc : fetch_kubevirt(client, cancel, &into->kubevirt, err);
    into->has_target = rc == 0;
    release_question(&q);
    if (rc == 0) {
        settle_names(into, options);
    }
    if (rc == 0 && options->import->target == VF_TO_UPLOAD && options->probe != VF_PROBE_NONE &&
        into->target.has_cdi) {
        rc = try_upload(&t, err);
    }
    return rc;
}
