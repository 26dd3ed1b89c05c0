#include "jobs/cluster/launch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/job.h"
#include "tests/support/check.h"
#include "tests/support/event_log.h"
#include "tests/support/kube_rig.h"

#define JOBS     "/apis/batch/v1/namespaces/prod/jobs"
#define JOB      JOBS "/web01-import"
#define SECRETS  "/api/v1/namespaces/prod/secrets"
#define CLAIMS   "/api/v1/namespaces/prod/persistentvolumeclaims"
#define MACHINES "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines"

/* What the pod does in this test; the real following is tested in importer/kube. */
typedef int follow_fn(const struct vf_job_follow *f, struct vf_job_end *ret_end,
                      struct vf_error **err);

struct fixture {
    struct vf_test_kube kube;
    struct vf_test_events events;
    struct vf_secret *password;
    struct vf_cancel *cancel;
    struct vf_import_options options;
    struct vf_import im;
    struct vf_kube_storage storage;
    struct vf_landing_cluster l;
    struct vf_cluster_disk disks[2];
    struct vf_vm vm;
    struct vf_vm_disk vm_disks[2];
    struct vf_mapping mapping;
    struct vf_error *err;

    pthread_mutex_t lock;   /* guards what follows */
    struct vf_buf requests; /* "POST /apis/...", one a line */
    const char *job_there;  /* NULL: none */
    bool machine_there;     /* as made by this import */
    bool lose_job_answer;   /* reset once the Job is made */
    const char *refuse;     /* a POST to this path is 403 */
    bool job_deleted;
    char *secret; /* as it was posted */
};

static struct fixture *current;
static follow_fn *pod;

int vf_job_follow(struct vf_kube_client *client, const struct vf_job_follow *f,
                  struct vf_job_end *ret_end, struct vf_error **err)
{
    assert_ptr_equal(client, current->kube.client);
    assert_string_equal(f->ns, "prod");
    assert_string_equal(f->name, "web01-import");
    assert_string_equal(f->uid, "uid-of-job");
    return pod(f, ret_end, err);
}

void vf_job_end_release(struct vf_job_end *end)
{
    free(end->reason);
    free(end->message);
    free(end->pod_name);
    *end = (struct vf_job_end){0};
}

/* --- the API server ---------------------------------------------------------------------- */

#define MARKS                                                                                      \
    "\"labels\":{\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web01\"},"   \
    "\"annotations\":{\"vmferry.io/source-uuid\":\"u-1\"}"
#define JOB_HEAD                                                                                   \
    "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"web01-import\","       \
    "\"namespace\":\"prod\",\"uid\":\"uid-of-job\","

static void post(struct fixture *f, struct vf_test_exchange *x)
{
    if (f->refuse && strncmp(x->target, f->refuse, strlen(f->refuse)) == 0 &&
        !vf_test_target_has(x, "dryRun=All")) {
        vf_test_kube_status(x, 403, "Forbidden", "not for you", NULL, NULL);
        return;
    }
    cJSON *object = NULL;
    vf_test_check(vf_json_parse(x->body, x->body_len, "body", &object, NULL) == 0);
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    bool job = strncmp(x->target, JOBS, strlen(JOBS)) == 0;
    bool secret = strncmp(x->target, SECRETS, strlen(SECRETS)) == 0;
    vf_json_add_string(metadata, "uid", job ? "uid-of-job" : secret ? "uid-of-secret" : "uid-x");
    char *vf_autofree text = vf_json_print(object, false);
    if (secret && vf_test_target_has(x, "dryRun=All")) {
        vf_test_check(!strstr(text, "pass-word"));
    } else if (secret) {
        vf_replace_string(&f->secret, text);
    }
    if (job && f->lose_job_answer && !vf_test_target_has(x, "dryRun=All")) {
        f->job_there = JOB_HEAD MARKS "}}";
        vf_test_reset(x);
    } else {
        vf_test_answer(x, 201, NULL, text);
    }
    cJSON_Delete(object);
}

static void get(struct fixture *f, struct vf_test_exchange *x)
{
    if (vf_test_target_has(x, "fieldSelector")) { /* is it gone? */
        vf_test_answer(x, 200, NULL, "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}");
    } else if (vf_test_target_has(x, JOB) && f->job_there) {
        vf_test_answer(x, 200, NULL, f->job_there);
    } else if (vf_test_target_has(x, MACHINES) && f->machine_there) {
        vf_test_answer(x, 200, NULL, "{\"metadata\":{\"name\":\"web01\"," MARKS "}}");
    } else {
        vf_test_kube_status(x, 404, "NotFound", "not found", NULL, NULL);
    }
}

static void serve(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    struct fixture *f = k->opaque;
    (void)n;
    pthread_mutex_lock(&f->lock);
    vf_buf_printf(&f->requests, "%s %.*s%s\n", x->method, (int)strcspn(x->target, "?"), x->target,
                  vf_test_target_has(x, "dryRun=All") ? " dry" : "");
    if (strcmp(x->method, "POST") == 0) {
        post(f, x);
    } else if (strcmp(x->method, "GET") == 0) {
        get(f, x);
    } else {
        if (strcmp(x->method, "DELETE") == 0 && vf_test_target_has(x, JOB)) {
            vf_test_check(strstr(x->body, "\"Foreground\"") && strstr(x->body, "uid-of-job"));
            f->job_deleted = true;
            f->job_there = NULL;
        }
        vf_test_answer(x, 200, NULL, "{}");
    }
    pthread_mutex_unlock(&f->lock);
}

static bool job_is_deleted(void)
{
    pthread_mutex_lock(&current->lock);
    bool deleted = current->job_deleted;
    pthread_mutex_unlock(&current->lock);
    return deleted;
}

/* --- the landing ------------------------------------------------------------------------- */

static char names[][16] = {"web01-disk-0", "web01-disk-1"};

static void init_import(struct fixture *f)
{
    static char vm_name[] = "Web 01", name[] = "web01", class_name[] = "fast",
                mode[] = VF_VOLUME_MODE_FILESYSTEM, access[] = "ReadWriteOnce", moref[] = "vm-42";
    f->options = (struct vf_import_options){
        .kind = VF_IMPORT_VSPHERE,
        .vm = "Web 01",
        .vsphere = {.url = "https://vc/sdk", .user = "u", .password = f->password},
        .target = VF_TO_CLAIM,
        .cluster = {.worker_image = "vmferry"}};
    f->im = (struct vf_import){.options = &f->options,
                               .reporter = &f->events.reporter,
                               .cancel = f->cancel,
                               .vm_name = vm_name,
                               .name = name};
    f->storage = (struct vf_kube_storage){
        .class_name = class_name, .volume_mode = mode, .access_mode = access, .overhead = 0.06};
    f->vm = (struct vf_vm){.moref = moref, .disks = f->vm_disks, .n_disks = 2};
    f->l = (struct vf_landing_cluster){
        .landing = {.im = &f->im},
        .client = f->kube.client,
        .ns = "prod",
        .owner = {.import = "web01", .source_vm = "Web 01", .source_uuid = "u-1"},
        .disks = f->disks,
        .n_disks = 2};
    for (size_t i = 0; i < 2; i++) {
        f->disks[i] = (struct vf_cluster_disk){.landing = &f->l,
                                               .index = i,
                                               .storage = &f->storage,
                                               .claim = names[i],
                                               .label = i ? "Hard disk 2" : "Hard disk 1",
                                               .size_bytes = 1ull << 30};
    }
}

static int setup(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    vf_buf_init(&f->requests, 1 << 20);
    vf_test_events_init(&f->events);
    f->password = vf_secret_new("pass-word", 9);
    f->cancel = vf_cancel_new(NULL);
    vf_test_kube_start(&f->kube, serve);
    f->kube.opaque = f;
    init_import(f);
    current = f;
    unsetenv("VMFERRY_WORKER_IMAGE");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_false(vf_test_events_has(&f->events, "pass-word"));
    for (size_t i = 0; i < 2; i++) {
        free(f->disks[i].uid);
    }
    free(f->l.landing.place);
    vf_test_kube_stop(&f->kube);
    vf_test_events_release(&f->events);
    vf_secret_free(f->password);
    vf_cancel_free(f->cancel);
    vf_error_free(f->err);
    vf_buf_release(&f->requests);
    pthread_mutex_destroy(&f->lock);
    free(f->secret);
    free(f);
    return 0;
}

static int launch(struct fixture *f)
{
    return vf_cluster_launch(&f->l, &f->vm, &f->err);
}

static void expect_requests(struct fixture *f, const char *requests)
{
    assert_string_equal(f->requests.data ? f->requests.data : "", requests);
}

static bool requested(struct fixture *f, const char *request)
{
    return f->requests.data && strstr(f->requests.data, request);
}

static void say(const struct vf_job_follow *f, const char *line)
{
    f->line(f->opaque, line, strlen(line));
}

static int ends(struct vf_job_end *end, int exit_code, const char *message)
{
    *end = (struct vf_job_end){
        .succeeded = exit_code == 0, .exit_code = exit_code, .message = vf_xstrdup(message)};
    return 0;
}

/* --- a good end -------------------------------------------------------------------------- */

static int good_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)err;
    f->tell(f->opaque, "0/1 nodes are available", "wait");
    say(f, "{\"event\":\"disk_start\",\"disk\":1,\"total_bytes\":100}");
    say(f, "{\"event\":\"disk_end\",\"disk\":1,\"done_bytes\":100,\"code\":\"ok\"}");
    say(f, "{\"event\":\"result\",\"code\":\"ok\",\"message\":\"somewhere else\"}");
    return ends(end, 0, NULL);
}

static void strip_secret_name(struct fixture *f)
{
    for (char *at = f->requests.data; (at = strstr(at, "/secrets/web01-import-"));) {
        char *from = at + strcspn(at, "\n");
        at += strlen("/secrets/");
        memmove(at, from, strlen(from) + 1);
    }
}

static void test_launch__makes_follows_and_removes(void **state)
{
    struct fixture *f = *state;
    pod = good_pod;
    int rc = launch(f);
    assert_string_equal(vf_error_message(f->err), "");
    assert_int_equal(rc, 0);
    strip_secret_name(f);
    expect_requests(f, "POST " CLAIMS "\n"
                       "POST " CLAIMS "\n"
                       "POST " JOBS "\n"
                       "POST " SECRETS "\n"
                       "PATCH " JOB "\n"
                       "DELETE " JOB "\n"
                       "GET " JOBS "\n"
                       "DELETE " SECRETS "/\n");
    assert_true(f->l.keep);
    assert_string_equal(f->l.landing.place, "VirtualMachine \"web01\" in namespace \"prod\"");
    vf_test_events_expect(&f->events, "warning Web 01: the worker cannot start: 0/1 nodes are "
                                      "available (wait)\n"
                                      "disk_start Web 01 1 Hard disk 2 0/100\n"
                                      "disk_end Web 01 1 Hard disk 2 100/100 ok");
    assert_non_null(strstr(f->secret, "\"uid\":\"uid-of-job\""));
    assert_non_null(strstr(f->secret, "pass-word"));
}

static void test_launch__image_may_come_from_the_environment(void **state)
{
    struct fixture *f = *state;
    pod = good_pod;
    f->options.cluster.worker_image = NULL;
    setenv("VMFERRY_WORKER_IMAGE", "elsewhere/vmferry", 1);
    assert_int_equal(launch(f), 0);
}

static void test_launch__a_job_whose_answer_is_lost_is_found(void **state)
{
    struct fixture *f = *state;
    pod = good_pod;
    f->lose_job_answer = true;
    assert_int_equal(launch(f), 0);
    assert_true(f->job_deleted);
}

/* --- what cannot work -------------------------------------------------------------------- */

static int check(struct fixture *f, cJSON **ret_documents)
{
    *ret_documents = vf_json_new_array();
    return vf_cluster_check_launch(&f->l, &f->vm, *ret_documents, &f->err);
}

static void expect_refused(struct fixture *f, int code, const char *part)
{
    cJSON *documents;
    assert_int_equal(check(f, &documents), code);
    vf_test_expect_error(f->err, part);
    vf_error_clear(&f->err);
    expect_requests(f, "");
    cJSON_Delete(documents);
}

static void test_check_launch__server_looks_and_values_stay_hidden(void **state)
{
    struct fixture *f = *state;
    cJSON *documents;
    assert_int_equal(check(f, &documents), 0);
    expect_requests(f, "POST " SECRETS " dry\nPOST " JOBS " dry\n");
    assert_int_equal(cJSON_GetArraySize(documents), 2);
    char *vf_autofree text = vf_json_print(documents, false);
    assert_null(strstr(text, "pass-word"));
    assert_non_null(strstr(text, "\"stringData\":{\"password\":\"(not shown)\"}"));
    cJSON_Delete(documents);
}

static void test_check_launch__mapping_goes_along_and_is_shown(void **state)
{
    struct fixture *f = *state;
    cJSON *documents;
    f->options.mapping = &f->mapping;
    assert_int_equal(vf_mapping_add_disk(&f->mapping, "1:bus=sata", NULL), 0);
    assert_int_equal(check(f, &documents), 0);
    char *vf_autofree text = vf_json_print(documents, false);
    assert_non_null(strstr(text, "\"password\":\"(not shown)\""));
    assert_non_null(strstr(text, "\"mapping.yaml\":\"apiVersion: vmferry.io/v1alpha1\\n"));
    assert_non_null(strstr(text, "--mapping=/vmferry/mapping/mapping.yaml"));
    assert_non_null(strstr(text, "--storage-class=")); /* the default, as it is now */
    cJSON_Delete(documents);
    vf_mapping_release(&f->mapping);

    f->mapping.storage_class = vf_xstrdup("told");
    assert_int_equal(check(f, &documents), 0);
    char *vf_autofree again = vf_json_print(documents, false);
    assert_null(strstr(again, "--storage-class="));
    cJSON_Delete(documents);
    vf_mapping_release(&f->mapping);
}

static void test_check_launch__a_mapping_that_no_secret_takes_is_refused(void **state)
{
    struct fixture *f = *state;
    cJSON *documents;
    f->options.mapping = &f->mapping;
    f->mapping.template_text = vf_xcalloc(1, 400u << 10);
    memset(f->mapping.template_text, 'a', (400u << 10) - 1);
    assert_int_equal(check(f, &documents), VF_SPACE);
    assert_non_null(strstr(vf_error_message(f->err), "the Secret of a Job takes 393216 of it"));
    assert_non_null(strstr(vf_error_get_hint(f->err), "--to upload"));
    expect_requests(f, "");
    cJSON_Delete(documents);
    vf_mapping_release(&f->mapping);
}

static void test_check_launch__what_a_pod_cannot_do_is_refused(void **state)
{
    struct fixture *f = *state;
    f->options.cluster.worker_image = NULL;
    expect_refused(f, VF_INVALID, "--worker-image");
    f->options.cluster.worker_image = "vmferry";
    f->disks[1].size_bytes = 0;
    expect_refused(f, VF_UNSUPPORTED, "the size of disk 1 (Hard disk 2) is not known");
    f->disks[1].size_bytes = 1;
    f->options.kind = VF_IMPORT_OVA;
    f->options.path = "-";
    expect_refused(f, VF_UNSUPPORTED, "standard input");
    f->options.path = "web01.ova";
    expect_refused(f, VF_UNSUPPORTED, "use --to upload");
    f->options.path = "https://x/web01.ova";
    f->options.http.ca_file = "/nonexistent/ca.pem";
    expect_refused(f, VF_MISSING, "/nonexistent/ca.pem");
}

static void expect_worker(struct fixture *f, bool look_only, int code, const char *part)
{
    assert_int_equal(vf_cluster_check_worker(&f->l, look_only, &f->err), code);
    if (part) {
        vf_test_expect_error(f->err, part);
    }
    vf_error_clear(&f->err);
}

static void test_check_worker__a_running_job_is_left_alone(void **state)
{
    struct fixture *f = *state;
    expect_worker(f, false, 0, NULL);
    f->job_there = JOB_HEAD MARKS "}}";
    expect_worker(f, false, VF_CONFLICT, "still imports this VM");
    f->job_there = JOB_HEAD "\"labels\":{}}}";
    expect_worker(f, false, VF_CONFLICT, "which is not vmferry's");
    assert_false(f->job_deleted);
}

static void test_check_worker__an_ended_job_is_removed(void **state)
{
    struct fixture *f = *state;
    f->job_there =
        JOB_HEAD MARKS "},\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\"}]}}";
    expect_worker(f, true, 0, NULL);
    assert_false(f->job_deleted);
    expect_worker(f, false, 0, NULL);
    assert_true(f->job_deleted);
}

/* Nothing that runs, and no password, stays behind. */
static void test_launch__half_a_start_is_taken_back(void **state)
{
    struct fixture *f = *state;
    f->refuse = SECRETS;
    assert_int_equal(launch(f), VF_AUTH);
    assert_true(f->job_deleted);
    assert_false(requested(f, "PATCH"));
    assert_false(f->l.keep);
    assert_non_null(f->disks[0].uid); /* for the landing, which removes it */
}

/* --- a bad end --------------------------------------------------------------------------- */

static int failing_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)err;
    say(f, "{\"event\":\"disk_start\",\"disk\":0,\"total_bytes\":100}");
    say(f, "{\"event\":\"result\",\"code\":\"space\",\"message\":\"vm \\\"Web 01\\\": disk 0: no "
           "room\",\"hint\":\"make some\"}");
    return ends(end, 1, "no room");
}

static void test_launch__the_workers_error_is_the_launchers(void **state)
{
    struct fixture *f = *state;
    pod = failing_pod;
    assert_int_equal(launch(f), VF_SPACE);
    char *vf_autofree text = vf_error_format(f->err);
    assert_string_equal(text, "Job \"web01-import\": disk 0: no room");
    assert_string_equal(vf_error_get_hint(f->err), "make some");
    assert_true(f->job_deleted);
    assert_false(f->l.keep);
    vf_test_events_expect(&f->events, "disk_end Web 01 0 Hard disk 1 0/100 space: Job");
}

static void test_launch__disks_of_a_vm_that_was_made_stay(void **state)
{
    struct fixture *f = *state;
    pod = failing_pod;
    f->machine_there = true;
    assert_int_equal(launch(f), VF_SPACE);
    assert_true(f->l.keep);
    vf_test_expect_error(f->err, "was made, or may have been"); /* beside the worker's hint */
    vf_test_expect_error(f->err, "make some");
}

static int silent_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)err;
    say(f, "exec format error");
    return ends(end, 127, NULL);
}

static int killed_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)f;
    (void)err;
    ends(end, 137, "limit reached");
    end->reason = vf_xstrdup("OOMKilled");
    return 0;
}

static int evicted_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)f;
    (void)err;
    ends(end, -1, "the node was low on memory");
    end->reason = vf_xstrdup("Evicted");
    return 0;
}

static int lying_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)err;
    say(f, "{\"event\":\"result\",\"code\":\"ok\"}");
    return ends(end, 3, NULL);
}

static void expect_end(struct fixture *f, follow_fn *p, const char *text, const char *hint)
{
    pod = p;
    assert_int_equal(launch(f), VF_INTERNAL);
    vf_test_expect_error(f->err, text);
    vf_test_expect_error(f->err, hint);
    vf_error_clear(&f->err);
    for (size_t i = 0; i < 2; i++) {
        free(vf_take(f->disks[i].uid));
    }
}

static void test_launch__a_worker_without_a_result_is_explained(void **state)
{
    struct fixture *f = *state;
    expect_end(f, silent_pod, "exit code 127: exec format error", "kubectl get events");
    expect_end(f, killed_pod, "exit code 137 (OOMKilled): limit reached", "--threads");
    expect_end(f, evicted_pod, "ended before its time (Evicted): the node was low on memory",
               "kubectl get events");
    expect_end(f, lying_pod, "exit code 3", "kubectl");
    assert_false(f->l.keep);
}

static int late_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)end;
    assert_true(f->start_timeout_ms > 0);
    vf_error_set(err, VF_RETRY, "its pod did not start");
    vf_error_set_reason(err, VF_KUBE_REASON_TIMEOUT);
    return VF_RETRY;
}

static void test_launch__a_pod_that_never_starts_is_given_up(void **state)
{
    struct fixture *f = *state;
    pod = late_pod;
    assert_int_equal(launch(f), VF_RETRY);
    assert_true(f->job_deleted);
    assert_false(f->l.keep);
}

static int hidden_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)f;
    (void)end;
    return vf_error_set(err, VF_RETRY, "no route");
}

/* Hours of copying do not end because the one who watches lost sight of it. */
static void test_launch__a_job_out_of_sight_goes_on(void **state)
{
    struct fixture *f = *state;
    pod = hidden_pod;
    assert_int_equal(launch(f), VF_RETRY);
    vf_test_expect_error(f->err, "the Job goes on");
    vf_test_expect_error(f->err, "--force ends it");
    assert_false(f->job_deleted);
    assert_true(f->l.keep);
}

static int forbidden_pod(const struct vf_job_follow *f, struct vf_job_end *end,
                         struct vf_error **err)
{
    (void)f;
    (void)end;
    vf_error_set(err, VF_AUTH, "forbidden");
    vf_error_hint(err, "allow this account the verb \"list\"");
    return VF_AUTH;
}

/* The error's own hint does not hide it. */
static void test_launch__that_a_job_goes_on_is_told_beside_a_hint(void **state)
{
    struct fixture *f = *state;
    pod = forbidden_pod;
    assert_int_equal(launch(f), VF_AUTH);
    vf_test_expect_error(f->err, "the Job goes on");
    vf_test_expect_error(f->err, "allow this account");
    assert_false(f->job_deleted);
}

/* --- cancelled --------------------------------------------------------------------------- */

static int wait_for_deletion(const struct vf_job_follow *f)
{
    assert_true(f->through_deletion);
    vf_cancel_trigger(current->cancel);
    while (!job_is_deleted()) {
        assert_int_equal(vf_cancel_wait(f->cancel, 5, NULL), 0);
    }
    return 0;
}

static int obedient_pod(const struct vf_job_follow *f, struct vf_job_end *end,
                        struct vf_error **err)
{
    (void)end;
    say(f, "{\"event\":\"phase\",\"phase\":\"copy\",\"message\":\"2 disks\"}");
    wait_for_deletion(f);
    say(f, "{\"event\":\"phase\",\"phase\":\"cleanup\",\"message\":\"removing snapshot\"}");
    say(f, "{\"event\":\"result\",\"code\":\"cancelled\",\"message\":\"cancelled\"}");
    return vf_error_set(err, VF_MISSING, "it was deleted");
}

static void test_launch__cancellation_lets_the_worker_clean_up(void **state)
{
    struct fixture *f = *state;
    pod = obedient_pod;
    assert_int_equal(launch(f), VF_CANCELLED);
    vf_test_events_expect(&f->events, "cleanup: stopping Job \"web01-import\"");
    vf_test_events_expect(&f->events, "phase Web 01 cleanup: removing snapshot\n");
    assert_false(vf_test_events_has(&f->events, "warning"));
    assert_false(f->l.keep);
    assert_true(requested(f, "DELETE " SECRETS));
}

static int stubborn_pod(const struct vf_job_follow *f, struct vf_job_end *end,
                        struct vf_error **err)
{
    (void)end;
    say(f, "{\"event\":\"phase\",\"phase\":\"copy\",\"message\":\"2 disks\"}");
    wait_for_deletion(f);
    return vf_error_set(err, VF_MISSING, "it was deleted");
}

static int sorry_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)end;
    wait_for_deletion(f);
    say(f, "{\"event\":\"result\",\"code\":\"cancelled\",\"message\":\"removing the snapshot: "
           "x\",\"hint\":\"remove it in vSphere\"}");
    return vf_error_set(err, VF_MISSING, "it was deleted");
}

static void test_launch__what_a_cancelled_worker_left_is_told(void **state)
{
    struct fixture *f = *state;
    pod = stubborn_pod;
    assert_int_equal(launch(f), VF_CANCELLED);
    vf_test_events_expect(&f->events, "a snapshot of the VM whose name begins with "
                                      "\"vmferry-import-\" may be left");
}

static void test_launch__what_a_cancelled_worker_says_is_told(void **state)
{
    struct fixture *f = *state;
    pod = sorry_pod;
    assert_int_equal(launch(f), VF_CANCELLED);
    vf_test_events_expect(&f->events, "the worker: removing the snapshot: x; remove it in vSphere");
}

static int quick_pod(const struct vf_job_follow *f, struct vf_job_end *end, struct vf_error **err)
{
    (void)end;
    wait_for_deletion(f);
    say(f, "{\"event\":\"result\",\"code\":\"ok\",\"message\":\"done\"}");
    return vf_error_set(err, VF_MISSING, "it was deleted");
}

static void test_launch__cancelled_when_all_was_done_is_done(void **state)
{
    struct fixture *f = *state;
    pod = quick_pod;
    f->machine_there = true;
    assert_int_equal(launch(f), 0);
    assert_null(f->err);
    assert_true(f->l.keep);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_launch__makes_follows_and_removes),
        TEST(test_launch__image_may_come_from_the_environment),
        TEST(test_launch__a_job_whose_answer_is_lost_is_found),
        TEST(test_check_launch__what_a_pod_cannot_do_is_refused),
        TEST(test_check_launch__server_looks_and_values_stay_hidden),
        TEST(test_check_launch__mapping_goes_along_and_is_shown),
        TEST(test_check_launch__a_mapping_that_no_secret_takes_is_refused),
        TEST(test_check_worker__a_running_job_is_left_alone),
        TEST(test_check_worker__an_ended_job_is_removed),
        TEST(test_launch__half_a_start_is_taken_back),
        TEST(test_launch__the_workers_error_is_the_launchers),
        TEST(test_launch__disks_of_a_vm_that_was_made_stay),
        TEST(test_launch__a_worker_without_a_result_is_explained),
        TEST(test_launch__a_pod_that_never_starts_is_given_up),
        TEST(test_launch__a_job_out_of_sight_goes_on),
        TEST(test_launch__that_a_job_goes_on_is_told_beside_a_hint),
        TEST(test_launch__cancellation_lets_the_worker_clean_up),
        TEST(test_launch__what_a_cancelled_worker_left_is_told),
        TEST(test_launch__what_a_cancelled_worker_says_is_told),
        TEST(test_launch__cancelled_when_all_was_done_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
