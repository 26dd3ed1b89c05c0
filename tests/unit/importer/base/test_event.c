#include <vmferry/event.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "importer/base/mem.h"

struct recorder {
    struct vf_reporter base;
    char text[512];
};

static void record(struct vf_reporter *r, const struct vf_event *e)
{
    struct recorder *rec = (struct recorder *)r;
    snprintf(rec->text, sizeof rec->text, "%d|%s|%s|%s", (int)e->type, e->vm ? e->vm : "-",
             e->name ? e->name : "-", e->message ? e->message : "-");
}

static void free_recorder(struct vf_reporter *r)
{
    free((struct recorder *)r);
}

static const struct vf_reporter_ops ops = {.event = record, .free = free_recorder};

static void test_report__builds_events(void **state)
{
    (void)state;
    struct recorder *rec = vf_xcalloc(1, sizeof *rec);
    rec->base.ops = &ops;
    char *vf_autofree phase = vf_xasprintf("%d|web01|copy|2 disks", VF_EVENT_PHASE);
    vf_report_phase(&rec->base, "web01", "copy", "%d disks", 2);
    assert_string_equal(rec->text, phase);
    char *vf_autofree warning = vf_xasprintf("%d|-|-|100%% odd", VF_EVENT_WARNING);
    vf_report_warning(&rec->base, NULL, "%d%% odd", 100);
    assert_string_equal(rec->text, warning);
    char *vf_autofree info = vf_xasprintf("%d|web01|-|plain", VF_EVENT_INFO);
    vf_report_info(&rec->base, "web01", "plain");
    assert_string_equal(rec->text, info);
    vf_reporter_free(&rec->base);
}

static void test_report__nobody_listens(void **state)
{
    (void)state;
    vf_report(NULL, &(struct vf_event){.type = VF_EVENT_INFO});
    vf_report_phase(NULL, "vm", "copy", "%s", "x");
    vf_report_warning(NULL, "vm", "%s", "x");
    vf_report_info(NULL, "vm", "%s", "x");
    vf_reporter_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report__builds_events),
        cmocka_unit_test(test_report__nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
