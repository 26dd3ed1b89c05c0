/* What a copy makes of findings: it goes on with warnings, and not with anything critical. */
#include <stdlib.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/preflight/judge.h"

/* Of all reasons, and of all that helps: for a person to read. */
#define MAX_TEXT ((size_t)16 << 10)

static char *text_of(const struct vf_finding *f)
{
    return vf_xasprintf("%s%s%s (%s)", f->object ? f->object : "", f->object ? ": " : "",
                        f->message, f->rule->id);
}

/* Several disks may want the same. */
static bool is_first(const struct vf_findings *f, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (f->items[k].severity == VF_CRITICAL && f->items[k].rule == f->items[i].rule) {
            return false;
        }
    }
    return true;
}

static int refuse(const struct vf_findings *f, struct vf_error **err)
{
    struct vf_buf reasons, actions;
    vf_buf_init(&reasons, MAX_TEXT);
    vf_buf_init(&actions, MAX_TEXT);
    size_t left_out = 0;
    for (size_t i = 0; i < f->n_items; i++) {
        if (f->items[i].severity != VF_CRITICAL) {
            continue;
        }
        char *vf_autofree text = text_of(&f->items[i]);
        if (!vf_buf_printf(&reasons, "%s%s", reasons.len ? "; " : "", text)) {
            left_out++;
        } else if (is_first(f, i)) {
            vf_buf_printf(&actions, "%s%s", actions.len ? "; " : "",
                          vf_finding_action(&f->items[i]));
        }
    }
    if (left_out) {
        vf_error_set(err, VF_UNSUPPORTED, "%s; and %zu more", reasons.data, left_out);
    } else {
        vf_error_set(err, VF_UNSUPPORTED, "%s", reasons.data);
    }
    vf_error_hint(err, "%s; --skip-check ID leaves out a check that is wrong", actions.data);
    vf_buf_release(&reasons);
    vf_buf_release(&actions);
    return VF_UNSUPPORTED;
}

int vf_findings_report(const struct vf_findings *f, struct vf_reporter *reporter,
                       struct vf_error **err)
{
    bool critical = false;
    for (size_t i = 0; i < f->n_items; i++) {
        const struct vf_finding *item = &f->items[i];
        critical = critical || item->severity == VF_CRITICAL;
        if (item->severity == VF_WARNING && item->rule->area != VF_AREA_MAPPING) {
            char *vf_autofree text = text_of(item);
            vf_report_warning(reporter, item->vm, "%s; %s", text, vf_finding_action(item));
        }
    }
    return critical ? refuse(f, err) : 0;
}
