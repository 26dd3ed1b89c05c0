#include "jobs/cli/findings_view.h"

#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/command.h"
#include "jobs/report/text.h"

/* "information" and two blanks. */
#define SEVERITY_COLUMNS 13

/* What a span without findings points to. */
static const struct vf_finding nothing;

/* The findings of one VM: they stand together, VM by VM, those of no VM last. */
struct span {
    const struct vf_finding *items;
    size_t n;
};

static struct span take_vm(const struct vf_findings *f, size_t *at, size_t index)
{
    struct span s = {.items = f->items ? f->items + *at : &nothing};
    while (*at + s.n < f->n_items && s.items[s.n].vm && s.items[s.n].index == index) {
        s.n++;
    }
    *at += s.n;
    return s;
}

static struct span rest_of(const struct vf_findings *f, size_t at)
{
    return (struct span){.items = f->items ? f->items + at : &nothing, .n = f->n_items - at};
}

static size_t count_of(struct span s, enum vf_severity severity)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += s.items[i].severity == severity;
    }
    return n;
}

static size_t count_from(struct span s, enum vf_severity least)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += s.items[i].severity >= least;
    }
    return n;
}

/* A rule's action is for every case, a finding's for this one. */
static const char *action_of(const struct vf_finding *f)
{
    return f->action ? f->action : f->rule->action;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void put_finding(struct vf_buf *b, const struct vf_finding *f)
{
    vf_buf_printf(b, "  %-*s", SEVERITY_COLUMNS, vf_severity_name(f->severity));
    if (f->object) {
        vf_text_put_safe(b, f->object);
        vf_buf_puts(b, ": ");
    }
    vf_text_put_safe(b, f->message);
    vf_buf_printf(b, " [%s]\n", f->rule->id);
}

static void put_action(struct vf_buf *b, const char *action)
{
    if (action && *action) {
        vf_buf_printf(b, "  %*sdo: ", SEVERITY_COLUMNS, "");
        vf_text_put_safe(b, action);
        vf_buf_puts(b, "\n");
    }
}

/* What helps against several of one rule is said once, behind the last of them. */
static void put_findings(struct vf_buf *b, struct span s, enum vf_severity least)
{
    const struct vf_finding *last = NULL;
    for (size_t i = 0; i < s.n; i++) {
        const struct vf_finding *f = &s.items[i];
        if (f->severity < least) {
            continue;
        }
        if (last && (last->rule != f->rule || !is_same(action_of(last), action_of(f)))) {
            put_action(b, action_of(last));
        }
        put_finding(b, f);
        last = f;
    }
    if (last) {
        put_action(b, action_of(last));
    }
}

static void put_vm(struct vf_buf *b, const struct vf_preflight *p, size_t i, struct span s,
                   enum vf_severity least)
{
    const struct vf_vm *vm = &p->vms[i];
    const char *name = p->facts.names ? p->facts.names[i] : NULL;
    vf_buf_puts(b, b->len ? "\n" : "");
    vf_text_put_safe(b, vm->name);
    if (vm->folder) {
        vf_buf_puts(b, " (");
        vf_text_put_safe(b, vm->folder);
        vf_buf_puts(b, ")");
    }
    if (name) {
        vf_buf_printf(b, ", to be \"%s\"", name);
    }
    vf_buf_puts(b, "\n");
    put_findings(b, s, least);
}

/* VMs of which nothing is shown, in one line. Names may have commas and blanks in them. */
static void put_quiet(struct vf_buf *b, const struct vf_preflight *p, const bool *shown,
                      enum vf_severity least)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_vms; i++) {
        if (!shown[i]) {
            const char *title = least == VF_CRITICAL ? "nothing critical" : "clean";
            vf_buf_printf(b, "%s%s%s\"", n == 0 && b->len ? "\n" : "", n == 0 ? title : "",
                          n == 0 ? ": " : ", ");
            vf_text_put_safe(b, p->vms[i].name);
            vf_buf_puts(b, "\"");
            n++;
        }
    }
    vf_buf_puts(b, n ? "\n" : "");
}

static struct vf_estimate sum_of(const struct vf_preflight *p)
{
    struct vf_estimate sum = {.measured = true};
    for (size_t i = 0; p->estimates && i < p->n_vms; i++) {
        sum.bytes += p->estimates[i].bytes;
        sum.copy_s += p->estimates[i].copy_s;
        sum.measured &= p->estimates[i].measured;
    }
    return sum;
}

/* VMs by their gravest finding; [0] are those with nothing that is worse than information. */
static void count_vms(const struct vf_preflight *p, size_t counts[VF_CRITICAL + 1])
{
    size_t at = 0;
    for (size_t i = 0; i < p->n_vms; i++) {
        struct span s = take_vm(&p->findings, &at, i);
        enum vf_severity worst = count_of(s, VF_CRITICAL)  ? VF_CRITICAL
                                 : count_of(s, VF_WARNING) ? VF_WARNING
                                                           : VF_INFORMATION;
        counts[worst]++;
    }
}

static void put_summary(struct vf_buf *b, const struct vf_preflight *p, enum vf_severity least,
                        struct span others)
{
    size_t counts[VF_CRITICAL + 1] = {0};
    count_vms(p, counts);
    vf_buf_printf(b, "%s%zu %s: %zu clean, %zu with warnings, %zu critical", b->len ? "\n" : "",
                  p->n_vms, p->n_vms == 1 ? "VM" : "VMs", counts[VF_INFORMATION],
                  counts[VF_WARNING], counts[VF_CRITICAL]);
    size_t of_all = count_from(others, VF_WARNING);
    if (of_all > 0) {
        vf_buf_printf(b, "; %zu %s them all", of_all,
                      of_all == 1 ? "finding concerns" : "findings concern");
    }
    struct vf_estimate sum = sum_of(p);
    if (sum.bytes > 0) {
        char bytes[VF_TEXT_BYTES_SIZE], took[VF_TEXT_DURATION_SIZE];
        vf_buf_printf(b, "; %s to copy", vf_text_bytes(bytes, sum.bytes));
        if (sum.copy_s > 0) {
            vf_buf_printf(b, ", about %s%s%s", vf_text_duration(took, (uint64_t)sum.copy_s + 1),
                          p->n_vms > 1 ? " one after the other" : "",
                          sum.measured ? "" : " at the usual rate, which was not measured");
        }
    }
    vf_buf_puts(b, "\n");
    size_t hidden = 0;
    for (int s = VF_INFORMATION; s < (int)least; s++) {
        hidden += p->counts[s];
    }
    if (hidden > 0) {
        vf_buf_printf(b, "%zu milder %s not shown: \"--least %s\" does\n", hidden,
                      hidden == 1 ? "finding is" : "findings are",
                      vf_severity_name(VF_INFORMATION));
    }
}

char *vf_findings_print(const struct vf_preflight *p, enum vf_severity least)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    size_t at = 0;
    for (size_t i = 0; i < p->n_vms; i++) {
        take_vm(&p->findings, &at, i);
    }
    struct span others = rest_of(&p->findings, at);
    if (count_from(others, least) > 0) {
        vf_buf_puts(&b, "all VMs\n");
        put_findings(&b, others, least);
    }
    bool *shown = vf_xcalloc(p->n_vms + 1, sizeof *shown);
    at = 0;
    for (size_t i = 0; i < p->n_vms; i++) {
        struct span s = take_vm(&p->findings, &at, i);
        shown[i] = count_from(s, least) > 0;
        if (shown[i]) {
            put_vm(&b, p, i, s, least);
        }
    }
    put_quiet(&b, p, shown, least);
    put_summary(&b, p, least, others);
    vf_autofree_cleanup(&shown);
    return vf_buf_take_string(&b);
}

static void add_findings(cJSON *object, struct span s)
{
    cJSON *list = vf_json_add_array(object, "findings");
    for (size_t i = 0; i < s.n; i++) {
        const struct vf_finding *f = &s.items[i];
        cJSON *o = vf_json_append_object(list);
        vf_json_add_string(o, "id", f->rule->id);
        vf_json_add_string(o, "severity", vf_severity_name(f->severity));
        vf_json_add_string(o, "area", vf_rule_area_name(f->rule->area));
        vf_json_add_string(o, "object", f->object);
        vf_json_add_string(o, "message", f->message);
        vf_json_add_string(o, "action", action_of(f));
    }
}

static void add_seconds(cJSON *object, const char *key, double seconds)
{
    vf_json_add_u64(object, key, seconds > 0 ? (uint64_t)(seconds + 0.5) : 0);
}

static void add_estimate(cJSON *object, const struct vf_estimate *e)
{
    cJSON *o = vf_json_add_object(object, "estimate");
    vf_json_add_u64(o, "bytes", e->bytes);
    vf_json_add_u64(o, "bytes_per_s", e->bytes_per_s > 0 ? (uint64_t)e->bytes_per_s : 0);
    vf_json_add_bool(o, "measured", e->measured);
    add_seconds(o, "copy_s", e->copy_s);
    add_seconds(o, "downtime_s", e->downtime_s);
}

static void add_vm(cJSON *list, const struct vf_preflight *p, size_t i, struct span s)
{
    const struct vf_vm *vm = &p->vms[i];
    cJSON *o = vf_json_append_object(list);
    vf_json_add_string(o, "name", vm->name);
    vf_json_add_string(o, "reference", vm->moref);
    vf_json_add_string(o, "folder", vm->folder);
    vf_json_add_string(o, "target_name", p->facts.names ? p->facts.names[i] : NULL);
    enum vf_severity worst = VF_INFORMATION;
    for (size_t k = 0; k < s.n; k++) {
        worst = s.items[k].severity > worst ? s.items[k].severity : worst;
    }
    vf_json_add_string(o, "severity", s.n ? vf_severity_name(worst) : "none");
    add_findings(o, s);
    if (p->estimates) {
        add_estimate(o, &p->estimates[i]);
    }
}

static void add_summary(cJSON *tree, const struct vf_preflight *p)
{
    size_t counts[VF_CRITICAL + 1] = {0};
    count_vms(p, counts);
    cJSON *o = vf_json_add_object(tree, "summary");
    vf_json_add_u64(o, "vms", p->n_vms);
    vf_json_add_u64(o, "clean", counts[VF_INFORMATION]);
    vf_json_add_u64(o, "with_warnings", counts[VF_WARNING]);
    vf_json_add_u64(o, "critical", counts[VF_CRITICAL]);
    cJSON *findings = vf_json_add_object(o, "findings");
    for (int s = VF_INFORMATION; s <= VF_CRITICAL; s++) {
        vf_json_add_u64(findings, vf_severity_name((enum vf_severity)s), p->counts[s]);
    }
    struct vf_estimate sum = sum_of(p);
    vf_json_add_u64(o, "bytes", sum.bytes);
    add_seconds(o, "copy_s", sum.copy_s);
}

cJSON *vf_findings_to_json(const struct vf_preflight *p)
{
    cJSON *tree = vf_json_new_object();
    cJSON *list = vf_json_add_array(tree, "vms");
    size_t at = 0;
    for (size_t i = 0; i < p->n_vms; i++) {
        add_vm(list, p, i, take_vm(&p->findings, &at, i));
    }
    add_findings(tree, rest_of(&p->findings, at));
    add_summary(tree, p);
    return tree;
}
