/* Answers that no real peer gives on demand; what the simulator can do is in tests/real. */
#include "importer/vsphere/cbt.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/vsphere/change_id.h"
#include "importer/vsphere/fault.h"
#include "tests/support/check.h"
#include "tests/support/soap_server.h"

#define DISK_BYTES ((uint64_t)4 << 20)
#define TRACKING   "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63"
#define OTHER      "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 64"
#define SINCE      TRACKING "/81"

#define WINDOW(start, length, areas)                                                               \
    "<returnval><startOffset>" start "</startOffset><length>" length "</length>" areas             \
    "</returnval>"
#define AREA(start, length)                                                                        \
    "<changedArea><start>" start "</start><length>" length "</length></changedArea>"

/* The n-th entry answers the n-th question, the last one all that follow. */
struct plan {
    const char *const *answers;
    unsigned n;
    struct vf_cancel *trigger; /* at the second question */
    char asked[200];           /* startOffsets */
    char text[400];
};

static uint64_t asked_of(const char *body)
{
    const char *at = strstr(body, "<startOffset>");
    vf_test_check(at);
    return strtoull(at + strlen("<startOffset>"), NULL, 10);
}

static const char *play(const struct vf_test_soap_call *c, void *opaque)
{
    struct plan *p = opaque;
    if (strcmp(c->method, "QueryChangedDiskAreas") != 0) {
        return NULL;
    }
    vf_test_check(strstr(c->body, "<deviceKey>2000</deviceKey>"));
    size_t len = strlen(p->asked);
    snprintf(p->asked + len, sizeof p->asked - len, "%llu ", (unsigned long long)asked_of(c->body));
    if (p->trigger && c->nth == 2) {
        vf_cancel_trigger(p->trigger);
    }
    return p->answers[c->nth < p->n ? c->nth - 1 : p->n - 1];
}

static int fetch(struct plan *p, const char *since, const char *now, struct vf_cbt_answer *ret,
                 struct vf_error **err)
{
    char change_id[100];
    snprintf(change_id, sizeof change_id, "%s", now ? now : "");
    const struct vf_vm_disk disk = {
        .key = 2000, .capacity_bytes = DISK_BYTES, .change_id = now ? change_id : NULL};
    const struct vf_cbt_query q = {.vm_moref = "vm-1",
                                   .snapshot_moref = "snapshot-2",
                                   .disk = &disk,
                                   .since = {since, DISK_BYTES}};
    struct vf_test_soap *s = vf_test_soap_start(play, p);
    struct vf_vsphere *vs = vf_test_soap_login(s, p->trigger);
    int rc = vf_cbt_fetch_areas(vs, &q, ret, err);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return rc;
}

#define RUN(ret, ...)                                                                              \
    static const char *const answers[] = {__VA_ARGS__};                                            \
    struct plan plan = {.answers = answers, .n = sizeof answers / sizeof answers[0]};              \
    assert_int_equal(fetch(&plan, SINCE, TRACKING "/82", ret, NULL), 0)

static void expect_whole(struct vf_cbt_answer *a, enum vf_full_copy why)
{
    assert_int_equal(a->why, why);
    assert_int_equal(a->areas.count, 1);
    assert_true(vf_areas_contains(&a->areas, 0, DISK_BYTES));
    assert_int_equal(a->areas.total_bytes, DISK_BYTES);
    vf_cbt_answer_release(a);
}

static void test_fetch_areas__asks_on_until_the_end(void **state)
{
    (void)state;
    struct vf_cbt_answer a;
    RUN(&a, WINDOW("0", "1048576", AREA("65536", "65536")), WINDOW("1048576", "65536", ""),
        VF_TEST_SOAP_RESET, VF_TEST_SOAP_RAW "503 busy", /* both asked again */
        WINDOW("1114112", "3080192", AREA("1114112", "512") AREA("4128768", "65536")));
    assert_int_equal(a.why, VF_FULL_COPY_NOT_NEEDED);
    assert_null(a.detail);
    assert_string_equal(plan.asked, "0 1048576 1114112 1114112 1114112 ");
    assert_int_equal(a.areas.count, 3);
    assert_true(vf_areas_contains(&a.areas, 65536, 65536));
    assert_true(vf_areas_contains(&a.areas, 1114112, 512));
    assert_true(vf_areas_contains(&a.areas, 4128768, 65536));
    assert_int_equal(a.areas.total_bytes, 65536 + 512 + 65536);
    vf_cbt_answer_release(&a);
    vf_cbt_answer_release(&a);
}

static void test_fetch_areas__nothing_changed_is_no_area(void **state)
{
    (void)state;
    struct vf_cbt_answer a;
    RUN(&a, WINDOW("0", "4194304", ""));
    assert_int_equal(a.why, VF_FULL_COPY_NOT_NEEDED);
    assert_int_equal(a.areas.count, 0);
    assert_int_equal(a.areas.total_bytes, 0);
    vf_cbt_answer_release(&a);
}

static void test_fetch_areas__fault_in_the_middle_is_a_full_copy(void **state)
{
    (void)state;
    static const char *const faults[] = {"FileFault",        "InvalidArgument", "FileNotFound",
                                         "CannotAccessFile", "NotSupported",    "SystemError"};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char fault[60];
        snprintf(fault, sizeof fault, VF_TEST_SOAP_FAULT "%s", faults[i]);
        const char *const answers[] = {WINDOW("0", "1048576", AREA("65536", "65536")), fault};
        struct plan plan = {.answers = answers, .n = 2};
        struct vf_cbt_answer a;
        assert_int_equal(fetch(&plan, SINCE, TRACKING "/82", &a, NULL), 0);
        assert_non_null(strstr(a.detail, faults[i]));
        expect_whole(&a, VF_FULL_COPY_REFUSED);
        assert_string_equal(plan.asked, "0 1048576 ");
    }
}

static void test_fetch_areas__fault_that_is_not_of_the_tracking_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int rc;
    } others[] = {
        {VF_TEST_SOAP_FAULT "NoPermission", VF_AUTH},
        {VF_TEST_SOAP_FAULT "ManagedObjectNotFound", VF_MISSING},
        {VF_TEST_SOAP_FAULT "NotFound", VF_MISSING},
        {VF_TEST_SOAP_FAULT "InvalidPowerState", VF_CONFLICT},
        {VF_TEST_SOAP_RAW "200 <html>", VF_INVALID},
        {VF_TEST_SOAP_RAW "404 gone", VF_MISSING},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct plan plan = {.answers = &others[i].answer, .n = 1};
        struct vf_cbt_answer a = {.why = VF_FULL_COPY_RESIZED};
        struct vf_error *err = NULL;
        assert_int_equal(fetch(&plan, SINCE, TRACKING "/82", &a, &err), others[i].rc);
        assert_int_equal(a.why, VF_FULL_COPY_RESIZED); /* untouched */
        assert_non_null(err);
        vf_error_free(err);
    }
}

static void test_fetch_areas__answer_that_skips_is_a_full_copy(void **state)
{
    (void)state;
    struct vf_cbt_answer a;
    RUN(&a, WINDOW("0", "1048576", ""), WINDOW("2097152", "2097152", ""));
    assert_non_null(strstr(a.detail, "leaves out"));
    expect_whole(&a, VF_FULL_COPY_BAD_ANSWER);
}

static void test_fetch_areas__area_behind_the_end_is_a_full_copy(void **state)
{
    (void)state;
    struct vf_cbt_answer a;
    RUN(&a, WINDOW("0", "4194304", AREA("0", "512") AREA("4194304", "65536")));
    assert_non_null(strstr(a.detail, "not on the disk"));
    expect_whole(&a, VF_FULL_COPY_BAD_ANSWER);
}

static void test_fetch_areas__standing_still_is_a_full_copy(void **state)
{
    (void)state;
    struct vf_cbt_answer a;
    RUN(&a, WINDOW("0", "0", ""));
    expect_whole(&a, VF_FULL_COPY_BAD_ANSWER);
    assert_string_equal(plan.asked, "0 ");
}

static const char *crawl(const struct vf_test_soap_call *c, void *opaque)
{
    struct plan *p = opaque;
    if (strcmp(c->method, "QueryChangedDiskAreas") != 0) {
        return NULL;
    }
    snprintf(p->text, sizeof p->text,
             "<returnval><startOffset>%llu</startOffset><length>512</length></returnval>",
             (unsigned long long)asked_of(c->body));
    return p->text;
}

static void test_fetch_areas__endless_small_windows_are_a_full_copy(void **state)
{
    (void)state;
    struct plan p = {.n = 0};
    char now[] = TRACKING "/82";
    const struct vf_vm_disk disk = {.key = 2000, .capacity_bytes = DISK_BYTES, .change_id = now};
    const struct vf_cbt_query q = {.vm_moref = "vm-1", .disk = &disk, .since = {SINCE, 0}};
    struct vf_test_soap *s = vf_test_soap_start(crawl, &p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_cbt_answer a;
    assert_int_equal(vf_cbt_fetch_areas(vs, &q, &a, NULL), 0);
    expect_whole(&a, VF_FULL_COPY_BAD_ANSWER);
    assert_in_range(vf_test_soap_count(s, "QueryChangedDiskAreas"), 100, 1000);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

#define CROWD_WINDOW_BYTES ((uint64_t)4 << 20)
#define CROWD_BYTES        (75 * CROWD_WINDOW_BYTES)

/* Every second sector changed. */
static const char *crowd(const struct vf_test_soap_call *c, void *opaque)
{
    struct vf_buf *b = opaque;
    if (strcmp(c->method, "QueryChangedDiskAreas") != 0) {
        return NULL;
    }
    uint64_t from = asked_of(c->body);
    vf_buf_clear(b);
    vf_buf_printf(b,
                  "<returnval><startOffset>%" PRIu64 "</startOffset><length>%" PRIu64 "</length>",
                  from, CROWD_WINDOW_BYTES);
    for (uint64_t at = from; at < from + CROWD_WINDOW_BYTES; at += 1024) {
        vf_buf_printf(b, AREA("%" PRIu64, "512"), at);
    }
    vf_buf_puts(b, "</returnval>");
    vf_test_check(!b->overflow);
    return b->data;
}

static void test_fetch_areas__more_than_fit_lose_none(void **state)
{
    (void)state;
    assert_true(CROWD_BYTES / 1024 > VF_AREAS_MAX_DEFAULT);
    char now[] = TRACKING "/82";
    const struct vf_vm_disk disk = {.key = 2000, .capacity_bytes = CROWD_BYTES, .change_id = now};
    const struct vf_cbt_query q = {.vm_moref = "vm-1", .disk = &disk, .since = {SINCE, 0}};
    struct vf_buf text;
    vf_buf_init(&text, (size_t)1 << 20);
    struct vf_test_soap *s = vf_test_soap_start(crowd, &text);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_cbt_answer a;
    assert_int_equal(vf_cbt_fetch_areas(vs, &q, &a, NULL), 0);
    assert_int_equal(a.why, VF_FULL_COPY_NOT_NEEDED);
    assert_true(a.areas.inexact && a.areas.count <= VF_AREAS_MAX_DEFAULT);
    for (uint64_t at = 0; at < CROWD_BYTES; at += 1024) {
        assert_true(vf_areas_contains(&a.areas, at, 512));
    }
    vf_cbt_answer_release(&a);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    vf_buf_release(&text);
}

static void test_fetch_areas__cancelled_between_windows(void **state)
{
    (void)state;
    static const char *const answers[] = {WINDOW("0", "1048576", AREA("0", "512")),
                                          WINDOW("1048576", "65536", "")};
    struct plan plan = {.answers = answers, .n = 2, .trigger = vf_cancel_new(NULL)};
    struct vf_cbt_answer a = {0};
    assert_int_equal(fetch(&plan, SINCE, TRACKING "/82", &a, NULL), VF_CANCELLED);
    assert_null(a.areas.blocks); /* untouched */
    assert_string_equal(plan.asked, "0 1048576 ");
    vf_cancel_free(plan.trigger);
}

static void test_fetch_areas__known_to_be_stale_is_not_asked(void **state)
{
    (void)state;
    static const struct {
        const char *since, *now;
        enum vf_full_copy why;
    } stale[] = {
        {NULL, TRACKING "/82", VF_FULL_COPY_NO_CHANGE_ID},
        {SINCE, NULL, VF_FULL_COPY_NO_CHANGE_ID},
        {SINCE, OTHER "/82", VF_FULL_COPY_OTHER_TRACKING},
        {SINCE, TRACKING "/80", VF_FULL_COPY_TAKEN_BACK},
    };
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++) {
        struct plan plan = {.n = 0};
        struct vf_cbt_answer a;
        assert_int_equal(fetch(&plan, stale[i].since, stale[i].now, &a, NULL), 0);
        assert_null(a.detail);
        expect_whole(&a, stale[i].why);
        assert_string_equal(plan.asked, "");
    }
}

static enum vf_full_copy judge(const char *since, uint64_t capacity_bytes, char *now)
{
    const struct vf_cbt_since s = {since, capacity_bytes};
    const struct vf_vm_disk disk = {.capacity_bytes = DISK_BYTES, .change_id = now};
    return vf_cbt_judge(&s, &disk);
}

static void test_judge__by_ids_and_size(void **state)
{
    (void)state;
    char same[] = SINCE, later[] = TRACKING "/100", odd[] = "no id";
    assert_int_equal(judge(SINCE, DISK_BYTES, same), VF_FULL_COPY_NOT_NEEDED);
    assert_int_equal(judge(SINCE, DISK_BYTES, later), VF_FULL_COPY_NOT_NEEDED);
    assert_int_equal(judge(SINCE, 0, later), VF_FULL_COPY_NOT_NEEDED);
    assert_int_equal(judge(SINCE, DISK_BYTES - 512, later), VF_FULL_COPY_RESIZED);
    assert_int_equal(judge(SINCE, DISK_BYTES, odd), VF_FULL_COPY_NO_CHANGE_ID);
    assert_int_equal(judge("81", DISK_BYTES, later), VF_FULL_COPY_NO_CHANGE_ID);
    assert_int_equal(judge(VF_CHANGE_ID_ALLOCATED, 1, later), VF_FULL_COPY_NOT_NEEDED);
    assert_int_equal(judge(VF_CHANGE_ID_ALLOCATED, 1, NULL), VF_FULL_COPY_NO_CHANGE_ID);
}

static void test_full_copy_text__each_reason_has_its_own(void **state)
{
    (void)state;
    for (int i = VF_FULL_COPY_NOT_NEEDED; i < VF_FULL_COPY_BAD_ANSWER; i++) {
        for (int k = i + 1; k <= VF_FULL_COPY_BAD_ANSWER; k++) {
            assert_string_not_equal(vf_full_copy_text((enum vf_full_copy)i),
                                    vf_full_copy_text((enum vf_full_copy)k));
        }
    }
}

static void test_state__of_each_disk(void **state)
{
    (void)state;
    char id[] = SINCE;
    struct vf_vm_disk disks[] = {
        {.change_id = id}, {.independent = true}, {.rdm = true}, {.rdm = true, .change_id = id}};
    struct vf_vm vm = {.cbt_enabled = true, .disks = disks, .n_disks = 4};
    assert_int_equal(vf_cbt_get_state(&vm, &disks[0]), VF_CBT_ON);
    assert_int_equal(vf_cbt_get_state(&vm, &disks[1]), VF_CBT_OUTSIDE);
    assert_int_equal(vf_cbt_get_state(&vm, &disks[2]), VF_CBT_OUTSIDE);
    assert_int_equal(vf_cbt_get_state(&vm, &disks[3]), VF_CBT_ON);
    assert_false(vf_cbt_is_stun_due(&vm));
    disks[0].change_id = NULL;
    assert_int_equal(vf_cbt_get_state(&vm, &disks[0]), VF_CBT_WAITING);
    assert_true(vf_cbt_is_stun_due(&vm));
    vm.cbt_enabled = false;
    assert_int_equal(vf_cbt_get_state(&vm, &disks[0]), VF_CBT_OFF);
    assert_false(vf_cbt_is_stun_due(&vm));
}

/* Enabling and the stun, of VMs that refuse. */

#define VM(enabled, supported, snapshots)                                                          \
    "<returnval><objects><obj type=\"VirtualMachine\">vm-1</obj><propSet><name>name</name>"        \
    "<val>web</val></propSet><propSet><name>config.version</name><val>vmx-04</val></propSet>"      \
    "<propSet><name>config.changeTrackingEnabled</name><val>" enabled "</val></propSet>"           \
    "<propSet><name>capability.changeTrackingSupported</name><val>" supported "</val></propSet>"   \
    "<propSet><name>snapshot</name><val>" snapshots "</val></propSet></objects></returnval>"
#define SNAPSHOT                                                                                   \
    "<rootSnapshotList><snapshot type=\"VirtualMachineSnapshot\">snapshot-1</snapshot>"            \
    "<name>before update</name></rootSnapshotList>"
#define TASK                                                                                       \
    "<returnval><version>1</version><filterSet><filter type=\"PropertyFilter\">f</filter>"         \
    "<objectSet><kind>enter</kind><obj type=\"Task\">task-1</obj><changeSet><name>info</name>"     \
    "<op>assign</op><val xsi:type=\"TaskInfo\"><state>success</state></val></changeSet>"           \
    "</objectSet></filterSet></returnval>"

struct world {
    const char *vm;
    bool answer_lost; /* of the first two reconfigurations */
    struct vf_test_soap *soap;
    struct vf_vsphere *vs;
};

static const char *play_vm(const struct vf_test_soap_call *c, void *opaque)
{
    const struct world *w = opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return w->vm;
    }
    if (strcmp(c->method, "ReconfigVM_Task") == 0) {
        return w->answer_lost && c->nth == 1   ? VF_TEST_SOAP_RESET
               : w->answer_lost && c->nth == 2 ? VF_TEST_SOAP_RAW "503 busy"
                                               : "<returnval type=\"Task\">task-1</returnval>";
    }
    if (strcmp(c->method, "CreatePropertyCollector") == 0) {
        return "<returnval type=\"PropertyCollector\">pc-2</returnval>";
    }
    return strcmp(c->method, "WaitForUpdatesEx") == 0 ? TASK : NULL;
}

static void start(struct world *w)
{
    w->soap = vf_test_soap_start(play_vm, w);
    w->vs = vf_test_soap_login(w->soap, NULL);
}

static void stop(struct world *w)
{
    vf_vsphere_free(w->vs);
    vf_test_soap_stop(w->soap);
}

static void test_enable__only_when_it_is_off(void **state)
{
    (void)state;
    struct world w = {.vm = VM("true", "true", SNAPSHOT)};
    bool changed = true;
    start(&w);
    assert_int_equal(vf_cbt_enable(w.vs, "vm-1", &changed, NULL), 0);
    assert_false(changed);
    assert_int_equal(vf_test_soap_count(w.soap, "ReconfigVM_Task"), 0);
    stop(&w);
}

static void test_enable__lost_answer_is_asked_again(void **state)
{
    (void)state;
    struct world w = {.vm = VM("false", "true", ""), .answer_lost = true};
    bool changed = false;
    start(&w);
    assert_int_equal(vf_cbt_enable(w.vs, "vm-1", &changed, NULL), 0);
    assert_true(changed);
    assert_int_equal(vf_test_soap_count(w.soap, "ReconfigVM_Task"), 3);
    stop(&w);
}

static void test_enable__old_hardware_is_unsupported(void **state)
{
    (void)state;
    struct world w = {.vm = VM("false", "false", "")};
    struct vf_error *err = NULL;
    bool changed = true;
    start(&w);
    assert_int_equal(vf_cbt_enable(w.vs, "vm-1", &changed, &err), VF_UNSUPPORTED);
    assert_true(changed); /* untouched */
    assert_non_null(strstr(vf_error_message(err), "vmx-04"));
    assert_non_null(vf_error_get_hint(err));
    assert_int_equal(vf_test_soap_count(w.soap, "ReconfigVM_Task"), 0);
    vf_error_free(err);
    stop(&w);
}

static void test_enable__snapshots_are_in_the_way(void **state)
{
    (void)state;
    struct world w = {.vm = VM("false", "true", SNAPSHOT)};
    struct vf_error *err = NULL;
    start(&w);
    assert_int_equal(vf_cbt_enable(w.vs, "vm-1", NULL, &err), VF_CONFLICT);
    assert_non_null(strstr(vf_error_message(err), "before update"));
    assert_int_equal(vf_test_soap_count(w.soap, "ReconfigVM_Task"), 0);
    vf_error_free(err);
    stop(&w);
}

static void test_stun__snapshots_are_in_the_way(void **state)
{
    (void)state;
    struct world w = {.vm = VM("true", "true", SNAPSHOT)};
    start(&w);
    assert_int_equal(vf_cbt_stun(w.vs, "vm-1", "vmferry-1", "mark", NULL), VF_CONFLICT);
    assert_int_equal(vf_test_soap_count(w.soap, "CreateSnapshot_Task"), 0);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch_areas__asks_on_until_the_end),
        cmocka_unit_test(test_fetch_areas__nothing_changed_is_no_area),
        cmocka_unit_test(test_fetch_areas__fault_in_the_middle_is_a_full_copy),
        cmocka_unit_test(test_fetch_areas__fault_that_is_not_of_the_tracking_is_an_error),
        cmocka_unit_test(test_fetch_areas__answer_that_skips_is_a_full_copy),
        cmocka_unit_test(test_fetch_areas__area_behind_the_end_is_a_full_copy),
        cmocka_unit_test(test_fetch_areas__standing_still_is_a_full_copy),
        cmocka_unit_test(test_fetch_areas__endless_small_windows_are_a_full_copy),
        cmocka_unit_test(test_fetch_areas__more_than_fit_lose_none),
        cmocka_unit_test(test_fetch_areas__cancelled_between_windows),
        cmocka_unit_test(test_fetch_areas__known_to_be_stale_is_not_asked),
        cmocka_unit_test(test_judge__by_ids_and_size),
        cmocka_unit_test(test_full_copy_text__each_reason_has_its_own),
        cmocka_unit_test(test_state__of_each_disk),
        cmocka_unit_test(test_enable__only_when_it_is_off),
        cmocka_unit_test(test_enable__lost_answer_is_asked_again),
        cmocka_unit_test(test_enable__old_hardware_is_unsupported),
        cmocka_unit_test(test_enable__snapshots_are_in_the_way),
        cmocka_unit_test(test_stun__snapshots_are_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
