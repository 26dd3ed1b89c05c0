#include <vmferry/event.h>

#include <stdarg.h>
#include <stdlib.h>

#include "importer/base/mem.h"

void vf_report(struct vf_reporter *r, const struct vf_event *e)
{
    if (r) {
        r->ops->event(r, e);
    }
}

static void __attribute__((format(printf, 5, 0)))
report_text(struct vf_reporter *r, enum vf_event_type type, const char *vm, const char *name,
            const char *fmt, va_list ap)
{
    if (!r) {
        return;
    }
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    vf_report(r, &(struct vf_event){.type = type, .vm = vm, .name = name, .message = text});
}

void vf_report_phase(struct vf_reporter *r, const char *vm, const char *phase, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_text(r, VF_EVENT_PHASE, vm, phase, fmt, ap);
    va_end(ap);
}

void vf_report_warning(struct vf_reporter *r, const char *vm, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_text(r, VF_EVENT_WARNING, vm, NULL, fmt, ap);
    va_end(ap);
}

void vf_report_info(struct vf_reporter *r, const char *vm, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_text(r, VF_EVENT_INFO, vm, NULL, fmt, ap);
    va_end(ap);
}

void vf_reporter_free(struct vf_reporter *r)
{
    if (r) {
        r->ops->free(r);
    }
}
