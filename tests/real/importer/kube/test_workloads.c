/* Virtual machines as the real KubeVirt has them, and Jobs as the real controller has them; the
 * node is that of tests/peers/kube/rig, whose image "vmferry" is the program under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/job.h"
#include "importer/kube/metadata.h"
#include "importer/kube/owned.h"
#include "importer/kube/resources.h"
#include "importer/kube/virtual_machine.h"
#include "tests/support/kube_real.h"
#include "tests/support/kube_rig.h"

static struct vf_test_real real;
static const struct vf_owner owner = {.import = "web", .source_uuid = "502a-5"};
static const struct vf_owner other = {.import = "web", .source_uuid = "502a-6"};

static cJSON *make_vm(const char *name, const char *more, const struct vf_owner *of)
{
    cJSON *vm = vf_test_tree(
        "{\"apiVersion\":\"kubevirt.io/v1\",\"kind\":\"VirtualMachine\",\"metadata\":{\"name\":"
        "\"%s\"},\"spec\":{\"runStrategy\":\"Halted\",\"template\":{\"spec\":{\"domain\":{"
        "\"memory\":{\"guest\":\"64Mi\"},\"devices\":{}%s}}}}}",
        name, more);
    vf_owned_mark(vm, of, NULL);
    return vm;
}

static int create_vm(const char *name, const char *more, const struct vf_owner *of, bool dry_run)
{
    cJSON *vm = make_vm(name, more, of), *made = NULL;
    int rc = vf_virtual_machine_create(real.client, real.ns, vm, dry_run, NULL, &made, &real.err);
    if (!rc) {
        assert_non_null(vf_kube_uid(made));
        assert_int_equal(vf_owned_judge(made, of), VF_OWNED_UNFINISHED);
    }
    cJSON_Delete(vm);
    cJSON_Delete(made);
    return rc;
}

static void test_vm_is_checked_created_and_refused(void **state)
{
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_virtual_machines, .ns = real.ns, .name = "web"};
    (void)state;
    vf_test_real_expect(&real, vf_virtual_machine_check(real.client, NULL, &real.err), 0);
    vf_test_real_expect(&real, create_vm("web", "", &owner, true), 0);
    vf_test_real_expect(&real, vf_kube_get(real.client, &ref, NULL, NULL, &real.err), VF_MISSING);
    vf_test_real_expect(&real, create_vm("web", "", &owner, false), 0);
    vf_test_real_expect(&real, create_vm("web", "", &other, false), VF_CONFLICT);

    int rc = create_vm("bad", ",\"nonsense\":1", &owner, true);
    vf_test_expect_error(real.err, "spec.template.spec.domain.nonsense");
    vf_test_real_expect(&real, rc, VF_INVALID);
    rc = create_vm("bad", ",\"machine\":{\"type\":\"i440fx\"}", &owner, false);
    vf_test_expect_error(real.err, "machine");
    vf_test_real_expect(&real, rc, VF_INVALID);
}

static int tell_status(void *opaque, const char *status, const char *message)
{
    unsigned *n = opaque;
    fprintf(stderr, "status %s: %s\n", status, message);
    ++*n;
    return 0;
}

static void test_vm_is_started_and_followed(void **state)
{
    unsigned n = 0;
    (void)state;
    vf_test_real_expect(&real, create_vm("runs", "", &owner, false), 0);
    vf_test_real_expect(&real,
                        vf_virtual_machine_start(real.client, real.ns, "runs", NULL, &real.err), 0);
    vf_test_real_expect(&real,
                        vf_virtual_machine_start(real.client, real.ns, "runs", NULL, &real.err), 0);
    vf_test_real_expect(
        &real, vf_virtual_machine_start(real.client, real.ns, "none", NULL, &real.err), VF_MISSING);
    /* No node of this cluster runs guests. */
    int rc = vf_virtual_machine_wait_running(real.client, real.ns, "runs", 20000, tell_status, &n,
                                             NULL, &real.err);
    vf_test_expect_error(real.err, "virtual machine \"runs\": it does not ");
    vf_test_real_expect(&real, rc, rc == VF_CONFLICT ? VF_CONFLICT : VF_RETRY);
    assert_true(n > 0);
}

static char *create_job(const char *name, const char *image, const char *argument, int retries)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_jobs, .ns = real.ns};
    cJSON *made = NULL;
    cJSON *job = vf_test_tree(
        "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"%s\"},\"spec\":{"
        "\"backoffLimit\":%d,\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{"
        "\"name\":\"main\",\"image\":\"%s\",\"args\":[\"%s\"],\"terminationMessagePolicy\":"
        "\"FallbackToLogsOnError\"}]}}}}",
        name, retries, image, argument);
    vf_owned_mark(job, &owner, NULL);
    vf_test_real_expect(&real, vf_kube_create(real.client, &ref, job, NULL, &made, &real.err), 0);
    char *uid = vf_xstrdup(vf_kube_uid(made));
    cJSON_Delete(job);
    cJSON_Delete(made);
    return uid;
}

struct heard {
    struct vf_buf lines, told;
};

static void on_line(void *opaque, const char *line, size_t len)
{
    struct heard *h = opaque;
    (void)len;
    vf_buf_printf(&h->lines, "%s\n", line);
}

static void on_tell(void *opaque, const char *message, const char *hint)
{
    struct heard *h = opaque;
    vf_buf_printf(&h->told, "[%s|%s]", message, hint ? hint : "");
}

static int follow(const char *name, const char *uid, int64_t start_timeout_ms, struct heard *h,
                  struct vf_job_end *end)
{
    const struct vf_job_follow f = {.ns = real.ns,
                                    .name = name,
                                    .uid = uid,
                                    .tell = on_tell,
                                    .line = on_line,
                                    .opaque = h,
                                    .start_timeout_ms = start_timeout_ms,
                                    .timeout_ms = 120000};
    vf_buf_init(&h->lines, SIZE_MAX);
    vf_buf_init(&h->told, SIZE_MAX);
    *end = (struct vf_job_end){.exit_code = -1};
    int rc = vf_job_follow(real.client, &f, end, &real.err);
    fprintf(stderr, "%s: told %s\n%s", name, h->told.data ? h->told.data : "nothing",
            h->lines.data ? h->lines.data : "");
    return rc;
}

static void release(struct heard *h, struct vf_job_end *end)
{
    vf_buf_release(&h->lines);
    vf_buf_release(&h->told);
    vf_job_end_release(end);
}

static unsigned count(const char *text, const char *part)
{
    unsigned n = 0;
    for (; text && (text = strstr(text, part)); text++) {
        n++;
    }
    return n;
}

static void test_job_is_followed_to_its_good_end(void **state)
{
    char *vf_autofree uid = create_job("good", "example.com/vmferry:1", "--version", 0);
    struct heard h;
    struct vf_job_end end;
    (void)state;
    vf_test_real_expect(&real, follow("good", uid, 60000, &h, &end), 0);
    assert_true(end.succeeded);
    assert_int_equal(end.exit_code, 0);
    assert_non_null(end.pod_name);
    assert_int_equal(count(h.lines.data, "vmferry"), 1);
    release(&h, &end);
}

static void test_job_that_fails_has_all_its_pods_logs(void **state)
{
    char *vf_autofree uid = create_job("bad", "vmferry", "no-such-command", 1);
    struct heard h;
    struct vf_job_end end;
    (void)state;
    vf_test_real_expect(&real, follow("bad", uid, 60000, &h, &end), 0);
    assert_false(end.succeeded);
    assert_int_equal(end.exit_code, 2);
    assert_non_null(strstr(end.message, "no-such-command"));
    assert_true(count(h.lines.data, "no-such-command") >= 2);
    release(&h, &end);
}

static void test_job_that_cannot_start_says_why(void **state)
{
    char *vf_autofree uid = create_job("stuck", "example.com/no-such-image:1", "x", 0);
    struct heard h;
    struct vf_job_end end;
    (void)state;
    int rc = follow("stuck", uid, 15000, &h, &end);
    vf_test_expect_error(real.err, "its pod did not start within 15 s: pod \"stuck-");
    vf_test_expect_error(real.err, "no-such-image");
    vf_test_expect_error(real.err, "may pull this image");
    vf_test_real_expect(&real, rc, VF_RETRY);
    release(&h, &end);
    rc = follow("stuck", "another", 0, &h, &end);
    vf_test_real_expect(&real, rc, VF_CONFLICT);
    release(&h, &end);
    rc = follow("none", NULL, 0, &h, &end);
    vf_test_real_expect(&real, rc, VF_MISSING);
    release(&h, &end);
}

/* All that the tests before have left, and nothing that is another's. */
static void test_what_is_ours_is_found_and_removed(void **state)
{
    const struct vf_kube_ref theirs = {
        .resource = &vf_kube_secrets, .ns = real.ns, .name = "theirs"};
    cJSON *secret = vf_test_tree("{\"metadata\":{\"name\":\"theirs\"}}");
    cJSON *ours =
        vf_test_tree("{\"metadata\":{\"name\":\"ours\"},\"stringData\":{\"p\":\"hush\"}}");
    cJSON *items = NULL;
    const cJSON *item;
    unsigned n = 0;
    (void)state;
    vf_owned_mark(ours, &owner, NULL);
    vf_test_real_expect(&real, vf_kube_create(real.client, &theirs, secret, NULL, NULL, &real.err),
                        0);
    vf_test_real_expect(&real, vf_kube_create(real.client, &theirs, ours, NULL, NULL, &real.err),
                        0);
    int rc = vf_owned_list(real.client, real.ns, NULL, NULL, &items, &real.err);
    vf_test_real_expect(&real, rc, 0);
    cJSON_ArrayForEach(item, items)
    {
        assert_string_not_equal(vf_kube_name(item), "theirs");
        assert_null(cJSON_GetObjectItemCaseSensitive(item, "data"));
        rc = vf_owned_delete(real.client, item, 60000, NULL, &real.err);
        vf_test_real_expect(&real, rc, 0);
        n++;
    }
    assert_true(n >= 1);
    cJSON_Delete(items);
    items = NULL;
    rc = vf_owned_list(real.client, real.ns, NULL, NULL, &items, &real.err);
    vf_test_real_expect(&real, rc, 0);
    assert_int_equal(cJSON_GetArraySize(items), 0);
    vf_test_real_expect(&real, vf_kube_get(real.client, &theirs, NULL, NULL, &real.err), 0);
    cJSON_Delete(items);
    cJSON_Delete(secret);
    cJSON_Delete(ours);
}

static int setup(void **state)
{
    (void)state;
    vf_test_real_start(&real);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vf_test_real_stop(&real);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_is_checked_created_and_refused),
        cmocka_unit_test(test_vm_is_started_and_followed),
        cmocka_unit_test(test_job_is_followed_to_its_good_end),
        cmocka_unit_test(test_job_that_fails_has_all_its_pods_logs),
        cmocka_unit_test(test_job_that_cannot_start_says_why),
        cmocka_unit_test(test_what_is_ours_is_found_and_removed),
    };
    cmocka_set_test_filter(getenv("VMFERRY_TEST_FILTER"));
    return cmocka_run_group_tests(tests, setup, teardown);
}
