/* What rules found. */
#include <stdarg.h>
#include <stdlib.h>

#include "importer/base/mem.h"
#include "jobs/preflight/rule.h"

static void add(const struct vf_check *c, enum vf_severity severity, const char *object,
                const char *action, char *message)
{
    struct vf_findings *f = c->findings;
    f->items = vf_xrealloc_array(f->items, f->n_items + 1, sizeof *f->items);
    f->items[f->n_items++] = (struct vf_finding){
        .rule = c->rule,
        .severity = severity,
        .vm = vf_xstrdup(f->vm),
        .index = f->index,
        .object = vf_xstrdup(object),
        .message = message,
        .action = vf_xstrdup(action),
    };
}

void vf_found(const struct vf_check *c, const char *object, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(c, c->rule->severity, object, NULL, vf_xvasprintf(fmt, ap));
    va_end(ap);
}

void vf_found_as(const struct vf_check *c, enum vf_severity severity, const char *object,
                 const char *action, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(c, severity, object, action, vf_xvasprintf(fmt, ap));
    va_end(ap);
}

static void release_finding(struct vf_finding *f)
{
    free(f->vm);
    free(f->object);
    free(f->message);
    free(f->action);
}

void vf_findings_release(struct vf_findings *f)
{
    for (size_t i = 0; i < f->n_items; i++) {
        release_finding(&f->items[i]);
    }
    free(f->items);
    *f = (struct vf_findings){0};
}

const char *vf_severity_name(enum vf_severity severity)
{
    switch (severity) {
    case VF_INFORMATION:
        return "information";
    case VF_WARNING:
        return "warning";
    case VF_CRITICAL:
        return "critical";
    }
    return "unknown";
}

const char *vf_rule_area_name(enum vf_rule_area area)
{
    switch (area) {
    case VF_AREA_VM:
        return "VM";
    case VF_AREA_SOURCE:
        return "source";
    case VF_AREA_PATH:
        return "path";
    case VF_AREA_TARGET:
        return "target";
    case VF_AREA_MAPPING:
        return "mapping";
    }
    return "unknown";
}
