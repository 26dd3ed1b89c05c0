#include "jobs/preflight/judge.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/preflight/looks.h"

static bool is_listed(const char *const *list, const char *id)
{
    for (; list && *list; list++) {
        if (strcmp(*list, id) == 0) {
            return true;
        }
    }
    return false;
}

int vf_judge_check_skip(const char *const *skip, struct vf_error **err)
{
    for (; skip && *skip; skip++) {
        if (!vf_rule_find(*skip)) {
            vf_error_set(err, VF_INVALID, "no check is called \"%s\"", *skip);
            vf_error_hint(err, "vmferry check --list-rules lists them");
            return VF_INVALID;
        }
    }
    return 0;
}

static struct vf_check check_of(const struct vf_judge *j, const struct vf_rule *rule)
{
    return (struct vf_check){.options = j->options,
                             .facts = j->facts,
                             .findings = j->findings,
                             .index = j->findings->index,
                             .rule = rule};
}

static bool is_known(const struct vf_judge *j, const struct vf_rule *rule)
{
    return rule->folder ? j->facts->folder.known
                        : rule->area != VF_AREA_TARGET || j->facts->has_target;
}

static bool is_judged(const struct vf_judge *j, const struct vf_rule *rule, bool once)
{
    return rule->check && rule->once == once && !is_listed(j->skip, rule->id) && is_known(j, rule);
}

void vf_judge_found(const struct vf_judge *j, const char *id, const char *action, const char *fmt,
                    ...)
{
    const struct vf_rule *rule = vf_rule_find(id);
    if (!rule || is_listed(j->skip, id)) {
        return;
    }
    struct vf_check c = check_of(j, rule);
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    vf_found_as(&c, rule->severity, NULL, action, "%s", text);
}

void vf_judge_notes(const struct vf_judge *j, const struct vf_vm_notes *notes)
{
    if (notes->unreadable) {
        vf_judge_found(j, "source.vm-unreadable", NULL,
                       "of %zu of %zu VMs some properties may not be read", notes->unreadable,
                       j->facts->n_vms);
    }
    /* An ESXi host has no tags: that it is one is told by itself. */
    if (notes->tags_unavailable && !j->facts->source.is_esxi) {
        vf_judge_found(j, "source.tags-unreadable", NULL, "tags cannot be read%s%s",
                       notes->tags_reason ? ": " : "",
                       notes->tags_reason ? notes->tags_reason : "");
    }
}

void vf_judge_unreachable(const struct vf_judge *j, const struct vf_error *e)
{
    char *vf_autofree text = vf_error_format(e);
    vf_judge_found(j, "target.unreachable", vf_error_get_hint(e), "%s", text);
}

/* --- what the mapping tells -------------------------------------------------------------- */

static int build(const struct vf_judge *j, size_t index, struct vf_manifests *ret,
                 struct vf_error **err)
{
    const struct vf_import_options *import = j->options->import;
    bool folder = import->target == VF_TO_DIR;
    const struct vf_manifest_options mo = {
        .mapping = import->mapping,
        .os_table = j->facts->os_table,
        .name = j->facts->names ? j->facts->names[index] : NULL,
        .namespace_name = j->ns,
        .source = j->source,
        .handover = folder                                        ? VF_HANDOVER_DATA_VOLUME
                    : import->cluster.handover == VF_IMPORT_ADOPT ? VF_HANDOVER_ADOPT
                                                                  : VF_HANDOVER_CLAIM,
        .run = !folder && import->cluster.start ? VF_RUN_ALWAYS : VF_RUN_HALTED,
        .vm_only = !folder,
    };
    return vf_manifests_build(&j->facts->vms[index], &mo, ret, err);
}

void vf_judge_concerns(const struct vf_judge *j, const struct vf_concerns *concerns)
{
    for (size_t i = 0; i < concerns->n_items; i++) {
        const struct vf_concern *item = &concerns->items[i];
        const struct vf_rule *rule = vf_rule_find(item->id);
        if (rule && !rule->check) {
            vf_judge_found(j, item->id, NULL, "%s", item->text);
        } else if (!rule) { /* a bug, which must not hide what is so: a test looks for such */
            vf_judge_found(j, "mapping.other", NULL, "%s (%s)", item->text, item->id);
        }
    }
}

static bool has_networks(const struct vf_judge *j, const struct vf_vm *vm)
{
    const struct vf_mapping *m = j->options->import->mapping;
    struct vf_network_choice *choices = NULL;
    if (vf_network_map_resolve(m ? &m->networks : NULL, vm, &choices, NULL) != 0) {
        return false;
    }
    vf_network_choices_free(choices, vm->n_nics);
    return true;
}

static void judge_rules(const struct vf_judge *j, const struct vf_vm *vm, bool told,
                        const struct vf_manifests *manifests)
{
    for (const struct vf_rule *const *r = vf_rules_all(); *r; r++) {
        if (is_judged(j, *r, false) && (told || (*r)->blind)) {
            struct vf_check c = check_of(j, *r);
            c.vm = vm;
            c.manifests = manifests;
            (*r)->check(&c);
        }
    }
}

static void judge_told(const struct vf_judge *j, const struct vf_vm *vm, size_t index)
{
    struct vf_manifests manifests = {0};
    struct vf_error *e = NULL;
    int rc = build(j, index, &manifests, &e);
    judge_rules(j, vm, true, rc == 0 ? &manifests : NULL);
    if (rc == 0) {
        vf_judge_concerns(j, &manifests.concerns);
    } else if (has_networks(j, vm)) { /* else nic.pod-network-twice has told */
        vf_judge_found(j, "mapping.invalid", vf_error_get_hint(e), "%s", vf_error_message(e));
    }
    vf_error_free(e);
    vf_manifests_release(&manifests);
}

void vf_judge_vm(const struct vf_judge *j, size_t index)
{
    const struct vf_vm *vm = &j->facts->vms[index];
    j->findings->vm = vm->name ? vm->name : "";
    j->findings->index = index;
    if (vf_check_is_told(vm)) {
        judge_told(j, vm, index);
    } else {
        judge_rules(j, vm, false, NULL);
    }
    j->findings->vm = NULL;
    j->findings->index = 0;
}

void vf_judge_once(const struct vf_judge *j)
{
    for (const struct vf_rule *const *r = vf_rules_all(); *r; r++) {
        if (is_judged(j, *r, true)) {
            struct vf_check c = check_of(j, *r);
            (*r)->check(&c);
        }
    }
}

/* --- findings ---------------------------------------------------------------------------- */

const char *vf_finding_action(const struct vf_finding *f)
{
    return f->action ? f->action : f->rule->action;
}

void vf_findings_drop(struct vf_findings *f, const char *const *skip)
{
    size_t kept = 0;
    struct vf_findings gone = {0};
    gone.items = vf_xcalloc(f->n_items, sizeof *gone.items);
    for (size_t i = 0; i < f->n_items; i++) {
        if (is_listed(skip, f->items[i].rule->id)) {
            gone.items[gone.n_items++] = f->items[i];
        } else {
            f->items[kept++] = f->items[i];
        }
    }
    f->n_items = kept;
    vf_findings_release(&gone);
}

struct place {
    struct vf_finding finding;
    size_t order; /* as they were found: disks in order */
};

static int compare_size(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

static int compare(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    const struct vf_finding *x = &p->finding, *y = &q->finding;
    if (!x->vm != !y->vm) {
        return x->vm ? -1 : 1;
    }
    if (x->vm && x->index != y->index) {
        return compare_size(x->index, y->index);
    }
    if (x->severity != y->severity) {
        return x->severity > y->severity ? -1 : 1;
    }
    if (x->rule->area != y->rule->area) {
        return x->rule->area < y->rule->area ? -1 : 1;
    }
    int order = strcmp(x->rule->id, y->rule->id);
    return order ? order : compare_size(p->order, q->order);
}

void vf_findings_sort(struct vf_findings *f)
{
    struct place *vf_autofree places = vf_xcalloc(f->n_items, sizeof *places);
    for (size_t i = 0; i < f->n_items; i++) {
        places[i] = (struct place){.finding = f->items[i], .order = i};
    }
    if (f->n_items) {
        qsort(places, f->n_items, sizeof *places, compare);
    }
    for (size_t i = 0; i < f->n_items; i++) {
        f->items[i] = places[i].finding;
    }
}
