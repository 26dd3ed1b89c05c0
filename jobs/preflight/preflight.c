#include "jobs/preflight/preflight.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "jobs/find_vm.h"
#include "jobs/preflight/estimate.h"
#include "jobs/preflight/folder_facts.h"
#include "jobs/preflight/judge.h"
#include "jobs/preflight/path_facts.h"
#include "jobs/preflight/source_facts.h"
#include "jobs/preflight/target_facts.h"

/* What one look has at hand. Borrowed. */
struct look {
    const struct vf_check_options *check;
    struct vf_vsphere *vs;
    struct vf_kube_client *client; /* NULL: no cluster */
    struct vf_reporter *reporter;
    const struct vf_cancel *cancel;
    const char *const *skip;
};

static struct vf_judge judge_of(const struct look *l, const struct vf_facts *facts,
                                struct vf_findings *findings)
{
    return (struct vf_judge){.options = l->check,
                             .facts = facts,
                             .ns = l->client ? vf_kube_client_namespace(l->client)
                                             : l->check->import->namespace_name,
                             .source = vf_vsphere_host(l->vs),
                             .skip = l->skip,
                             .findings = findings};
}

static int read_os_table(const struct vf_mapping *m, struct vf_facts *facts, struct vf_error **err)
{
    return vf_os_table_new(m ? m->os_table : NULL, "the table of operating systems",
                           &facts->os_table, err);
}

static void assign_names(const struct vf_import_options *import, struct vf_facts *f)
{
    if (import->name && f->n_vms == 1) {
        f->names = vf_xcalloc(1, sizeof *f->names);
        f->names[0] = vf_name_to_label(import->name, VF_NAME_VM_MAX); /* as the import does */
        return;
    }
    const struct vf_vm **vf_autofree vms = vf_xcalloc(f->n_vms, sizeof(void *));
    for (size_t i = 0; i < f->n_vms; i++) {
        vms[i] = &f->vms[i];
    }
    vf_names_assign(vms, f->n_vms, NULL, 0, &f->names);
}

static int gather_target(const struct look *l, struct vf_facts *facts, struct vf_findings *findings,
                         struct vf_error **err)
{
    if (!l->client) {
        return 0;
    }
    struct vf_error *e = NULL;
    int rc = vf_target_facts_gather(l->client, l->check, facts->vms, facts->n_vms, l->cancel, facts,
                                    findings, &e);
    if (rc && vf_error_code(e) != VF_CANCELLED) {
        const struct vf_judge j = judge_of(l, facts, findings);
        vf_judge_unreachable(&j, e);
        vf_error_free(e);
        facts->has_target = false;
        return 0;
    }
    facts->has_target = rc == 0 && facts->has_target;
    vf_error_move(err, &e);
    return rc;
}

static int gather(const struct look *l, struct vf_facts *facts, struct vf_findings *findings,
                  struct vf_error **err)
{
    assign_names(l->check->import, facts);
    const struct vf_mapping *mapping = l->check->import->mapping;
    vf_facts_index(facts, mapping ? &mapping->networks : NULL);
    int rc = vf_source_facts_fetch(l->vs, l->check, facts->vms, facts->n_vms, l->cancel,
                                   &facts->source, err);
    rc = rc ? rc : gather_target(l, facts, findings, err);
    return rc ? rc
              : vf_path_facts_fetch(l->vs, l->check, &facts->source, facts->vms, facts->n_vms,
                                    l->reporter, l->cancel, &facts->path, err);
}

static int judge(const struct look *l, const struct vf_facts *facts, struct vf_findings *findings,
                 struct vf_error **err)
{
    const struct vf_judge j = judge_of(l, facts, findings);
    int rc = 0;
    for (size_t i = 0; i < facts->n_vms && rc == 0; i++) {
        rc = vf_cancel_check(l->cancel, err);
        if (rc == 0) {
            vf_judge_vm(&j, i);
        }
    }
    if (rc == 0) {
        vf_judge_once(&j);
        vf_findings_drop(findings, l->skip);
        vf_findings_sort(findings);
    }
    return rc;
}

/* --- check ------------------------------------------------------------------------------- */

static struct vf_vm_query full_query(const struct vf_vm_query *wanted)
{
    struct vf_vm_query q = wanted ? *wanted : (struct vf_vm_query){0};
    q.brief = false;
    q.want_tags = q.want_attributes = q.want_disk_usage = true;
    return q;
}

/* So many single queries are cheaper than one for the whole inventory. */
#define MAX_FEW 16u

struct wanted {
    const char **morefs, **names; /* borrowed of what was listed; names are NULL-terminated */
    size_t n;
};

/* A VM that two names lead to is there once. */
static int find_wanted(const char *const *asked, const struct vf_vm *listed, size_t n_listed,
                       struct wanted *w, struct vf_error **err)
{
    for (; *asked; asked++) {
        const char *moref = NULL;
        int rc = vf_find_among(*asked, listed, n_listed, &moref, err);
        if (rc) {
            return rc;
        }
        size_t same = 0, at = 0;
        while (same < w->n && strcmp(w->morefs[same], moref) != 0) {
            same++;
        }
        while (strcmp(listed[at].moref, moref) != 0) {
            at++;
        }
        if (same == w->n) {
            w->morefs[w->n] = moref;
            w->names[w->n++] = listed[at].name;
        }
    }
    return 0;
}

/* Out of those that have their names, in the order in which they were asked for. */
static int fetch_wanted(const struct look *l, const struct wanted *w, struct vf_preflight *p,
                        struct vf_vm_notes *notes, struct vf_error **err)
{
    struct vf_vm_query q = full_query(NULL);
    q.names = w->names;
    struct vf_vm *vms = NULL;
    size_t n = 0;
    int rc = vf_vsphere_fetch_vms(l->vs, &q, &vms, &n, notes, err);
    p->vms = vf_xcalloc(w->n, sizeof *p->vms);
    for (size_t i = 0; i < w->n && rc == 0; i++) {
        size_t at = 0;
        while (at < n && (!vms[at].moref || strcmp(vms[at].moref, w->morefs[i]) != 0)) {
            at++;
        }
        if (at == n) {
            rc = vf_error_set(err, VF_MISSING, "VM \"%s\" (%s) was removed or renamed meanwhile",
                              w->names[i], w->morefs[i]);
        } else {
            p->vms[p->n_vms++] = vms[at];
            vf_vm_init(&vms[at]);
        }
    }
    vf_vms_free(vms, n);
    return rc;
}

/* One after the other, in the order in which they were asked for. */
static int fetch_few(const struct look *l, const struct wanted *w, struct vf_preflight *p,
                     struct vf_vm_notes *notes, struct vf_error **err)
{
    p->vms = vf_xcalloc(w->n, sizeof *p->vms);
    for (size_t i = 0; i < w->n; i++) {
        int rc = vf_vsphere_fetch_vm(l->vs, w->morefs[i], &p->vms[i], err);
        if (rc) {
            return rc;
        }
        p->n_vms++;
    }
    return vf_vsphere_add_tags(l->vs, p->vms, p->n_vms, notes, err);
}

/* One small query for what all are called; for what those asked for are, one for each of a few,
 * else one for all, in which the server tells everything about every VM. */
static int fetch_named(const struct look *l, const char *const *asked, struct vf_preflight *p,
                       struct vf_vm_notes *notes, struct vf_error **err)
{
    const struct vf_vm_query q = {.brief = true};
    struct vf_vm *listed = NULL;
    size_t n_listed = 0, n = 0;
    while (asked[n]) {
        n++;
    }
    struct wanted w = {.morefs = vf_xcalloc(n + 1, sizeof(void *)),
                       .names = vf_xcalloc(n + 1, sizeof(void *))};
    int rc = vf_vsphere_fetch_vms(l->vs, &q, &listed, &n_listed, NULL, err);
    rc = rc ? rc : find_wanted(asked, listed, n_listed, &w, err);
    if (rc == 0) {
        rc = w.n <= MAX_FEW ? fetch_few(l, &w, p, notes, err) : fetch_wanted(l, &w, p, notes, err);
    }
    vf_vms_free(listed, n_listed);
    free(w.morefs);
    free(w.names);
    return rc;
}

static int fetch_vms(const struct look *l, const struct vf_preflight_options *o,
                     struct vf_preflight *p, struct vf_vm_notes *notes, struct vf_error **err)
{
    if (o->vms) {
        return fetch_named(l, o->vms, p, notes, err);
    }
    const struct vf_vm_query q = full_query(o->query);
    return vf_vsphere_fetch_vms(l->vs, &q, &p->vms, &p->n_vms, notes, err);
}

/* No cluster is a finding: what is at the source can be judged all the same. */
static int open_cluster(struct look *l, struct vf_preflight *p, struct vf_error **err)
{
    const struct vf_import_options *import = l->check->import;
    struct vf_error *e = NULL;
    if (import->target == VF_TO_DIR) {
        return 0;
    }
    int rc = vf_cluster_open(&import->cluster.where, l->cancel, &l->client, &e);
    if (rc && vf_error_code(e) != VF_CANCELLED) {
        const struct vf_judge j = judge_of(l, &p->facts, &p->findings);
        vf_judge_unreachable(&j, e);
        vf_error_free(e);
        return 0;
    }
    vf_error_move(err, &e);
    return rc;
}

static int look_at(struct look *l, const struct vf_preflight_options *o, struct vf_preflight *p,
                   struct vf_error **err)
{
    const struct vf_mapping *m = o->check.import->mapping;
    struct vf_vm_notes notes = {0};
    vf_report_phase(l->reporter, NULL, "look", "reading the inventory");
    int rc = fetch_vms(l, o, p, &notes, err);
    for (size_t i = 0; m && i < p->n_vms; i++) {
        vf_mapping_set_aside(m, &p->vms[i]);
    }
    p->facts.vms = p->vms;
    p->facts.n_vms = p->n_vms;
    if (rc == 0 && o->check.import->target == VF_TO_DIR) {
        /* Not before a copy, which has opened the folder, and sees to its space by itself. */
        vf_folder_facts_get(o->check.import->to_path, &p->facts.folder);
    }
    if (rc == 0) {
        rc = open_cluster(l, p, err);
    }
    if (rc == 0) {
        vf_report_phase(l->reporter, NULL, "look", "%zu VM%s, source%s and path", p->n_vms,
                        p->n_vms == 1 ? "" : "s", l->client ? ", target" : "");
        rc = gather(l, &p->facts, &p->findings, err);
    }
    if (rc == 0) {
        const struct vf_judge j = judge_of(l, &p->facts, &p->findings);
        vf_judge_notes(&j, &notes);
    }
    vf_vm_notes_release(&notes);
    return rc ? rc : judge(l, &p->facts, &p->findings, err);
}

static void sum_up(const struct vf_check_options *check, struct vf_preflight *p)
{
    p->estimates = vf_xcalloc(p->n_vms, sizeof *p->estimates);
    for (size_t i = 0; i < p->n_vms; i++) {
        vf_estimate_copy(check, &p->vms[i], &p->facts.path, &p->estimates[i]);
    }
    for (size_t i = 0; i < p->findings.n_items; i++) {
        p->counts[p->findings.items[i].severity]++;
    }
}

int vf_preflight_run(const struct vf_preflight_options *options, struct vf_reporter *reporter,
                     struct vf_cancel *cancel, struct vf_preflight *ret, struct vf_error **err)
{
    const struct vf_import_options *import = options->check.import;
    struct look l = {
        .check = &options->check, .reporter = reporter, .cancel = cancel, .skip = options->skip};
    struct vf_preflight p = {0};
    int rc = vf_judge_check_skip(options->skip, err);
    rc = rc ? rc : read_os_table(import->mapping, &p.facts, err);
    if (rc == 0) {
        vf_report_phase(reporter, NULL, "connect", "logging in to %s", import->vsphere.url);
        rc = vf_vsphere_login(&import->vsphere, cancel, &l.vs, err);
    }
    rc = rc ? rc : look_at(&l, options, &p, err);
    vf_kube_client_free(l.client);
    vf_vsphere_free(l.vs);
    if (rc) {
        vf_preflight_release(&p);
        return rc;
    }
    sum_up(&options->check, &p);
    *ret = p;
    return 0;
}

void vf_preflight_release(struct vf_preflight *p)
{
    vf_findings_release(&p->findings);
    vf_facts_release(&p->facts);
    vf_vms_free(p->vms, p->n_vms);
    free(p->estimates);
    *p = (struct vf_preflight){0};
}

/* --- before a copy ----------------------------------------------------------------------- */

int vf_preflight_before_copy(const struct vf_check_options *options, struct vf_vsphere *vs,
                             struct vf_kube_client *client, const struct vf_vm *vm,
                             const char *const *skip, struct vf_reporter *reporter,
                             const struct vf_cancel *cancel, struct vf_error **err)
{
    const struct look l = {.check = options,
                           .vs = vs,
                           .client = client,
                           .reporter = reporter,
                           .cancel = cancel,
                           .skip = skip};
    struct vf_facts facts = {.vms = vm, .n_vms = 1};
    struct vf_findings findings = {0};
    int rc = vf_judge_check_skip(skip, err);
    rc = rc ? rc : read_os_table(options->import->mapping, &facts, err);
    rc = rc ? rc : gather(&l, &facts, &findings, err);
    rc = rc ? rc : judge(&l, &facts, &findings, err);
    rc = rc ? rc : vf_findings_report(&findings, reporter, err);
    vf_findings_release(&findings);
    vf_facts_release(&facts);
    return rc;
}
