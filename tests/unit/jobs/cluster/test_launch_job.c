#include "jobs/cluster/launch_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/secret.h"
#include "jobs/cli/command.h"
#include "jobs/cli/mapping_args.h"
#include "jobs/cli/options.h"

struct fixture {
    struct vf_import_options options;
    struct vf_owner owner;
    struct vf_worker_plan plan;
    struct vf_migration_options migration;
    struct vf_secret *password;
};

static const char *const claims[] = {"web01-disk-0", "web01-disk-1"};

static int setup(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->password = vf_secret_new("pa$$ \"word\"", 11);
    f->owner = (struct vf_owner){.import = "web01", .source_vm = "Web 01", .source_uuid = "u-1"};
    f->options = (struct vf_import_options){.kind = VF_IMPORT_VSPHERE,
                                            .vm = "Web 01",
                                            .vsphere = {.url = "https://vc.example/sdk",
                                                        .user = "DOM\\admin$(HOME)",
                                                        .password = f->password},
                                            .target = VF_TO_CLAIM};
    f->plan = (struct vf_worker_plan){.options = &f->options,
                                      .owner = &f->owner,
                                      .ns = "prod",
                                      .vm = "vm-42",
                                      .storage = "fast",
                                      .claims = claims,
                                      .n_claims = 2,
                                      .image = "registry.example/vmferry:1",
                                      .secret = "web01-import-abc"};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vf_secret_free(f->password);
    free(f);
    return 0;
}

static bool has(char **args, const char *arg)
{
    for (size_t i = 0; args[i]; i++) {
        if (strcmp(args[i], arg) == 0) {
            return true;
        }
    }
    return false;
}

static void expect_arg(char **args, const char *arg)
{
    if (!has(args, arg)) {
        for (size_t i = 0; args[i]; i++) {
            print_error("%s\n", args[i]);
        }
        fail_msg("no %s", arg);
    }
}

static const cJSON *at(const cJSON *tree, const char *path)
{
    char *vf_autofree copy = vf_xstrdup(path);
    char *rest = copy;
    for (const char *key; tree && (key = strsep(&rest, "."));) {
        tree = cJSON_IsArray(tree) ? cJSON_GetArrayItem(tree, atoi(key))
                                   : cJSON_GetObjectItemCaseSensitive(tree, key);
    }
    return tree;
}

static void expect_text(const cJSON *tree, const char *path, const char *value)
{
    const char *is = cJSON_GetStringValue(at(tree, path));
    if (!is || strcmp(is, value) != 0) {
        fail_msg("%s is \"%s\", not \"%s\"", path, is ? is : "absent", value);
    }
}

static void expect_json(const cJSON *tree, const char *path, const char *value)
{
    const cJSON *found = at(tree, path);
    char *vf_autofree is = found ? vf_json_print(found, false) : vf_xstrdup("absent");
    assert_string_equal(is, value);
}

/* --- the command line -------------------------------------------------------------------- */

static void test_worker_args__of_a_vm(void **state)
{
    struct fixture *f = *state;
    f->options.vsphere.http = (struct vf_http_options){.thumbprint = "AA:BB", .proxy = ""};
    char **args = vf_worker_args(&f->plan);
    assert_string_equal(args[0], "import");
    expect_arg(args, "--source=https://vc.example/sdk");
    expect_arg(args, "--user=DOM\\admin$$(HOME)"); /* no variable */
    expect_arg(args, "--vm=vm-42");
    expect_arg(args, "--thumbprint=AA:BB");
    expect_arg(args, "--proxy=");
    expect_arg(args, "--name=web01");
    expect_arg(args, "--to=pvc:/vmferry/disks");
    expect_arg(args, "--namespace=prod");
    expect_arg(args, "--storage-class=fast");
    expect_arg(args, "--handover=adopt");
    expect_arg(args, "--threads=4");
    expect_arg(args, "--progress=json");
    assert_false(has(args, "--start"));
    assert_false(has(args, "--debug"));
    assert_false(has(args, "--no-quiesce"));
    for (size_t i = 0; args[i]; i++) {
        assert_null(strstr(args[i], "word"));
    }
    vf_worker_args_free(args);
}

/* A signed URL is a secret. */
static void test_worker_args__of_a_url_name_the_variable(void **state)
{
    struct fixture *f = *state;
    f->options = (struct vf_import_options){.kind = VF_IMPORT_OVA,
                                            .path = "https://images.example/web01.ova?sig=S3CRET",
                                            .http = {.insecure = true}};
    char **args = vf_worker_args(&f->plan);
    expect_arg(args, "--ova=$(VMFERRY_URL)");
    expect_arg(args, "--insecure-skip-verify");
    vf_worker_args_free(args);

    cJSON *job = vf_worker_build_job(&f->plan);
    char *vf_autofree text = vf_json_print(job, false);
    assert_null(strstr(text, "S3CRET"));
    expect_text(job, "spec.template.spec.containers.0.env.0.name", "VMFERRY_URL");
    expect_text(job, "spec.template.spec.containers.0.env.0.valueFrom.secretKeyRef.key", "url");
    cJSON_Delete(job);
    cJSON *secret = vf_worker_build_secret(&f->plan, "job-uid");
    expect_text(secret, "stringData.url", "https://images.example/web01.ova?sig=S3CRET");
    cJSON_Delete(secret);
}

/* Everything that can be told the worker, with values that are not the defaults. */
static void tell_all(struct fixture *f)
{
    struct vf_import_options *o = &f->options;
    o->cluster.where.timeout_s = 30;
    o->no_quiesce = true;
    o->parallel_disks = 7;
    o->threads = 9;
    o->vsphere.http =
        (struct vf_http_options){.thumbprint = "AA", .insecure = true, .proxy = "http://p:1"};
    o->cluster.handover = VF_IMPORT_CLAIM;
    o->cluster.start = true;
    f->plan.ca_pem = "PEM";
    f->plan.mapping = "kind: Mapping\n";
    f->plan.debug = true;
}

/* Options that the launcher keeps to itself. */
static const struct {
    const char *name, *why;
} not_told[] = {
    {"ova", "another source, see above"},
    {"ovf", "a file, which no pod reads"},
    {"vmdk", "of unknown size"},
    {"password-file", "by the environment"},
    {"format", "of target dir"},
    {"overwrite", "of target dir"},
    {"kubeconfig", "the pod has an account of its own"},
    {"context", "the pod has an account of its own"},
    {"dry-run", "makes no Job"},
    {"bind-immediately", "of target upload"},
    {"upload-proxy", "of target upload"},
    {"upload-ca-file", "of target upload"},
    {"upload-thumbprint", "of target upload"},
    {"upload-insecure-skip-verify", "of target upload"},
    {"upload-coding", "of target upload"},
    {"vddk-image", "of transport cdi, which takes no Job"},
    {"worker-image", "it runs from it"},
    {"worker-account", "it has it"},
    {"skip-check", "the launcher has judged"},
    {"quiet", "its events are the launcher's"},
    {"help", "runs nothing"},
};

static bool is_told(char **args, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; args[i]; i++) {
        if (strncmp(args[i], "--", 2) == 0 && strncmp(args[i] + 2, name, len) == 0 &&
            (args[i][len + 2] == '=' || !args[i][len + 2])) {
            return true;
        }
    }
    return false;
}

/* NULL: it is not. */
static const char *why_kept_back(const char *name)
{
    for (size_t i = 0; i < VF_COUNT(not_told); i++) {
        if (strcmp(not_told[i].name, name) == 0) {
            return not_told[i].why;
        }
    }
    return NULL;
}

/* All but the file itself, and the class that the launcher found to be the default, are in it. */
static bool is_of_mapping(const char *name)
{
    for (size_t i = 0; i < VF_N_MAPPING_OPTIONS; i++) {
        if (strcmp(vf_mapping_options[i].name, name) == 0) {
            return strcmp(name, "mapping") != 0 && strcmp(name, "storage-class") != 0;
        }
    }
    return false;
}

/* Whoever gives the command a new option decides here what the worker is told of it. */
static void expect_all_told(const struct vf_worker_plan *plan, const char *name_of_command)
{
    const struct vf_command *command = vf_command_find(name_of_command);
    char **args = vf_worker_args(plan);
    for (size_t g = 0; g < command->n_groups; g++) {
        for (size_t i = 0; i < command->groups[g].n_options; i++) {
            const char *name = command->groups[g].options[i].name;
            const char *why = is_of_mapping(name) ? "in the mapping" : why_kept_back(name);
            if (is_told(args, name) == (why != NULL)) {
                fail_msg("--%s is %s", name, why ? why : "not told");
            }
        }
    }
    vf_worker_args_free(args);
}

static void test_worker_args__every_option_of_import_is_told_or_not_for_a_reason(void **state)
{
    struct fixture *f = *state;
    tell_all(f);
    expect_all_told(&f->plan, "import");
}

/* A warm one of the same VM, told all that there is. */
static void migrate_all(struct fixture *f)
{
    tell_all(f);
    f->migration = (struct vf_migration_options){.policy = {.when = VF_CUTOVER_WINDOW,
                                                            .from_s = 1795348800,
                                                            .until_s = 1795359600,
                                                            .max_downtime_ms = 60000,
                                                            .min_interval_ms = 1500,
                                                            .max_interval_ms = 7200000,
                                                            .may_stun = true},
                                                 .transport = {.kind = VF_TRANSPORT_VDDK,
                                                               .vddk_libdir = "/opt/vddk",
                                                               .vddk_thumbprint = "AA:BB",
                                                               .nbdkit_program = "/usr/sbin/nbdkit",
                                                               .connections = 8},
                                                 .hard_power_off = true,
                                                 .shutdown_timeout_ms = 90000,
                                                 .no_digest = true};
    f->plan.migration = &f->migration;
}

static void test_worker_args__every_option_of_migrate_is_told_or_not_for_a_reason(void **state)
{
    struct fixture *f = *state;
    migrate_all(f);
    expect_all_told(&f->plan, "migrate");
    char **args = vf_worker_args(&f->plan);
    assert_string_equal(args[0], "migrate");
    expect_arg(args, "--warm");
    expect_arg(args, "--to=pvc:/vmferry/disks");
    expect_arg(args, "--transport=vddk");
    expect_arg(args, "--cutover=2026-11-22T12:00:00Z/2026-11-22T15:00:00Z");
    expect_arg(args, "--max-downtime=60s");
    expect_arg(args, "--min-interval=2s"); /* whole ones, not less than was asked for */
    expect_arg(args, "--shutdown-timeout=90s");
    vf_worker_args_free(args);
}

static void test_worker_args__say_when_to_cut_over(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum vf_cutover_when when;
        const char *arg;
    } rows[] = {{VF_CUTOVER_ON_REQUEST, "--cutover=command"},
                {VF_CUTOVER_ASAP, "--cutover=asap"},
                {VF_CUTOVER_AT, "--cutover=2026-11-22T12:00:00Z"}};
    migrate_all(f);
    for (size_t i = 0; i < VF_COUNT(rows); i++) {
        f->migration.policy.when = rows[i].when;
        char **args = vf_worker_args(&f->plan);
        expect_arg(args, rows[i].arg);
        vf_worker_args_free(args);
    }
}

static void expect_parsed(const struct vf_worker_plan *plan)
{
    const struct vf_command *import = vf_command_find(plan->migration ? "migrate" : "import");
    char **args = vf_worker_args(plan);
    void *parsed = vf_xcalloc(1, import->args_size);
    struct vf_error *err = NULL;
    int argc = 0;
    while (args[argc]) {
        argc++;
    }
    int rc = vf_options_parse(import, argc - 1, args + 1, parsed, &err);
    assert_string_equal(vf_error_message(err), "");
    assert_int_equal(rc, 0);
    vf_options_release(import, parsed);
    vf_error_free(err);
    free(parsed);
    vf_worker_args_free(args);
}

static void test_worker_args__are_understood_by_import(void **state)
{
    struct fixture *f = *state;
    expect_parsed(&f->plan);
    tell_all(f);
    expect_parsed(&f->plan);
    f->options.kind = VF_IMPORT_OVA;
    f->options.path = "https://x/y.ova";
    expect_parsed(&f->plan);
}

static void test_worker_args__are_understood_by_migrate(void **state)
{
    struct fixture *f = *state;
    f->plan.migration = &f->migration;
    expect_parsed(&f->plan);
    migrate_all(f);
    expect_parsed(&f->plan);
}

/* --- the Job ----------------------------------------------------------------------------- */

#define POD       "spec.template.spec."
#define CONTAINER POD "containers.0."

static void test_worker_job__pod_is_restricted(void **state)
{
    struct fixture *f = *state;
    cJSON *job = vf_worker_build_job(&f->plan);
    expect_json(job, POD "securityContext",
                "{\"runAsNonRoot\":true,\"runAsUser\":107,\"runAsGroup\":107,\"fsGroup\":107,"
                "\"fsGroupChangePolicy\":\"OnRootMismatch\",\"seccompProfile\":{\"type\":"
                "\"RuntimeDefault\"}}");
    expect_json(job, CONTAINER "securityContext",
                "{\"allowPrivilegeEscalation\":false,\"readOnlyRootFilesystem\":true,"
                "\"capabilities\":{\"drop\":[\"ALL\"]}}");
    expect_text(job, POD "restartPolicy", "Never");
    expect_text(job, POD "serviceAccountName", "vmferry-worker");
    expect_json(job, POD "terminationGracePeriodSeconds", "120");
    expect_json(job, POD "volumes.2", "{\"name\":\"tmp\",\"emptyDir\":{\"sizeLimit\":\"64Mi\"}}");
    cJSON_Delete(job);
}

/* A pod that was killed or evicted is replaced, once it is gone; one that ended by itself is not.
 */
static void test_worker_job__of_a_migration_goes_on(void **state)
{
    struct fixture *f = *state;
    static const unsigned numbers[] = {0, 3};
    f->plan.migration = &f->migration;
    f->plan.numbers = numbers;
    cJSON *job = vf_worker_build_job(&f->plan);
    expect_text(job, "metadata.name", "web01-migrate");
    expect_text(job, "spec.podReplacementPolicy", "Failed");
    expect_json(job, "spec.podFailurePolicy.rules.0",
                "{\"action\":\"Ignore\",\"onPodConditions\":[{\"type\":\"DisruptionTarget\","
                "\"status\":\"True\"}]}");
    expect_json(job, "spec.podFailurePolicy.rules.1",
                "{\"action\":\"FailJob\",\"onExitCodes\":{\"containerName\":\"vmferry\","
                "\"operator\":\"NotIn\",\"values\":[129,130,131,132,134,135,136,137,139,143]}}");
    expect_json(job, POD "terminationGracePeriodSeconds", "600");
    expect_text(job, CONTAINER "volumeMounts.0.mountPath", "/vmferry/disks/disk-0");
    expect_text(job, CONTAINER "volumeMounts.1.mountPath", "/vmferry/disks/disk-3");
    uint64_t restarts = 0;
    assert_true(vf_json_u64(at(job, "spec"), "backoffLimit", &restarts) && restarts > 0);
    cJSON_Delete(job);
    cJSON *secret = vf_worker_build_secret(&f->plan, "job-uid");
    expect_text(secret, "metadata.ownerReferences.0.name", "web01-migrate");
    cJSON_Delete(secret);
}

static void test_worker_job__runs_once_and_is_marked(void **state)
{
    struct fixture *f = *state;
    f->options.cluster.worker_account = "other";
    cJSON *job = vf_worker_build_job(&f->plan);
    expect_text(job, "metadata.name", "web01-import");
    expect_text(job, "metadata.namespace", "prod");
    expect_json(job, "spec.backoffLimit", "0");
    expect_json(job, "spec.suspend", "true");
    expect_json(job, "spec.ttlSecondsAfterFinished", "3600");
    assert_int_equal(vf_owned_judge(job, &f->owner), VF_OWNED_UNFINISHED);
    const cJSON *template = at(job, "spec.template");
    assert_true(vf_owned_is_ours(template));
    expect_text(job, POD "serviceAccountName", "other");
    expect_text(job, CONTAINER "image", "registry.example/vmferry:1");
    expect_text(job, CONTAINER "args.0", "import");
    expect_text(job, CONTAINER "terminationMessagePath", "/dev/termination-log");
    cJSON_Delete(job);
}

static void test_worker_job__mounts_claims_as_they_are(void **state)
{
    struct fixture *f = *state;
    cJSON *job = vf_worker_build_job(&f->plan);
    expect_json(job, POD "volumes.1",
                "{\"name\":\"disk-1\",\"persistentVolumeClaim\":{\"claimName\":\"web01-disk-1\"}}");
    expect_json(job, CONTAINER "volumeMounts.1",
                "{\"name\":\"disk-1\",\"mountPath\":\"/vmferry/disks/disk-1\"}");
    assert_null(at(job, CONTAINER "volumeDevices"));
    cJSON_Delete(job);

    f->plan.blocks = (const bool[]){true, true};
    job = vf_worker_build_job(&f->plan);
    expect_json(job, CONTAINER "volumeDevices.1",
                "{\"name\":\"disk-1\",\"devicePath\":\"/vmferry/disks/disk-1\"}");
    expect_json(job, CONTAINER "volumeMounts", "[{\"name\":\"tmp\",\"mountPath\":\"/tmp\"}]");
    cJSON_Delete(job);

    f->plan.blocks = (const bool[]){false, true}; /* disks may be of several kinds of storage */
    job = vf_worker_build_job(&f->plan);
    expect_json(job, CONTAINER "volumeDevices",
                "[{\"name\":\"disk-1\",\"devicePath\":\"/vmferry/disks/disk-1\"}]");
    expect_json(job, CONTAINER "volumeMounts.0",
                "{\"name\":\"disk-0\",\"mountPath\":\"/vmferry/disks/disk-0\"}");
    cJSON_Delete(job);
}

static void test_worker_job__memory_goes_with_threads_and_disks(void **state)
{
    struct fixture *f = *state;
    cJSON *job = vf_worker_build_job(&f->plan);
    expect_json(job, CONTAINER "resources",
                "{\"requests\":{\"cpu\":\"500m\",\"memory\":\"212Mi\"},\"limits\":{\"cpu\":\"5\","
                "\"memory\":\"212Mi\"}}");
    cJSON_Delete(job);
    f->options.threads = 63;
    f->options.parallel_disks = 1;
    job = vf_worker_build_job(&f->plan);
    expect_text(job, CONTAINER "resources.limits.memory", "320Mi");
    expect_text(job, CONTAINER "resources.limits.cpu", "64");
    cJSON_Delete(job);
}

static void test_worker_job__password_and_ca_come_by_the_secret(void **state)
{
    struct fixture *f = *state;
    f->plan.ca_pem = "-----BEGIN CERTIFICATE-----\n";
    cJSON *job = vf_worker_build_job(&f->plan);
    char *vf_autofree text = vf_json_print(job, false);
    assert_null(strstr(text, "word\\\""));
    assert_null(strstr(text, "BEGIN"));
    expect_json(job, CONTAINER "env",
                "[{\"name\":\"VMFERRY_PASSWORD\",\"valueFrom\":{\"secretKeyRef\":{\"name\":"
                "\"web01-import-abc\",\"key\":\"password\"}}},{\"name\":"
                "\"VMFERRY_TERMINATION_LOG\",\"value\":\"/dev/termination-log\"}]");
    expect_json(job, POD "volumes.3",
                "{\"name\":\"trust\",\"secret\":{\"secretName\":\"web01-import-abc\",\"items\":[{"
                "\"key\":\"ca.pem\",\"path\":\"ca.pem\"}]}}");
    expect_json(job, CONTAINER "volumeMounts.3",
                "{\"name\":\"trust\",\"mountPath\":\"/vmferry/trust\",\"readOnly\":true}");
    cJSON_Delete(job);
    char **args = vf_worker_args(&f->plan);
    expect_arg(args, "--ca-file=/vmferry/trust/ca.pem");
    vf_worker_args_free(args);
}

static void test_worker_job__mapping_comes_by_the_secret(void **state)
{
    struct fixture *f = *state;
    f->plan.mapping = "kind: Mapping\n";
    f->options.vsphere.password = NULL;
    assert_true(vf_worker_needs_secret(&f->plan));
    cJSON *job = vf_worker_build_job(&f->plan);
    expect_json(job, POD "volumes.3",
                "{\"name\":\"mapping\",\"secret\":{\"secretName\":\"web01-import-abc\",\"items\":[{"
                "\"key\":\"mapping.yaml\",\"path\":\"mapping.yaml\"}]}}");
    expect_json(job, CONTAINER "volumeMounts.3",
                "{\"name\":\"mapping\",\"mountPath\":\"/vmferry/mapping\",\"readOnly\":true}");
    cJSON_Delete(job);
    cJSON *secret = vf_worker_build_secret(&f->plan, "job-uid");
    expect_json(secret, "stringData", "{\"mapping.yaml\":\"kind: Mapping\\n\"}");
    cJSON_Delete(secret);
    char **args = vf_worker_args(&f->plan);
    expect_arg(args, "--mapping=/vmferry/mapping/mapping.yaml");
    expect_arg(args, "--check=none"); /* it was judged by who made the Job */
    vf_worker_args_free(args);
}

static void test_worker_secret__goes_with_its_job(void **state)
{
    struct fixture *f = *state;
    f->plan.ca_pem = "PEM";
    cJSON *secret = vf_worker_build_secret(&f->plan, "job-uid");
    expect_text(secret, "metadata.name", "web01-import-abc");
    expect_json(secret, "metadata.ownerReferences",
                "[{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"name\":\"web01-import\",\"uid\":"
                "\"job-uid\"}]");
    assert_int_equal(vf_owned_judge(secret, &f->owner), VF_OWNED_UNFINISHED);
    expect_json(secret, "stringData", "{\"password\":\"pa$$ \\\"word\\\"\",\"ca.pem\":\"PEM\"}");
    expect_json(secret, "immutable", "true");
    vf_json_delete_wiped(secret);
    secret = vf_worker_build_secret(&f->plan, NULL);
    assert_null(at(secret, "metadata.ownerReferences"));
    vf_json_delete_wiped(secret);
}

static void test_worker_secret__names_are_new_each_time(void **state)
{
    (void)state;
    char *one = NULL, *two = NULL;
    assert_int_equal(vf_worker_secret_name("web01-import", &one, NULL), 0);
    assert_int_equal(vf_worker_secret_name("web01-import", &two, NULL), 0);
    assert_int_equal(strlen(one), strlen("web01-import-0123456789"));
    assert_string_not_equal(one, two);
    free(one);
    free(two);
}

static void expect_runs(const char *text, bool runs)
{
    cJSON *job = cJSON_Parse(text);
    assert_non_null(job);
    assert_int_equal(vf_worker_job_runs(job), runs);
    cJSON_Delete(job);
}

static void test_worker_job__runs_until_a_condition_says_otherwise(void **state)
{
    (void)state;
    expect_runs("{}", true);
    expect_runs("{\"status\":{\"active\":1}}", true);
    expect_runs("{\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":\"False\"}]}}", true);
    expect_runs("{\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\"}]}}", false);
    expect_runs("{\"status\":{\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}}",
                false);
    expect_runs("{\"spec\":{\"suspend\":true}}", false);
    expect_runs("{\"spec\":{\"suspend\":true},\"status\":{\"active\":0}}", false);
    expect_runs("{\"spec\":{\"suspend\":true},\"status\":{\"active\":1}}", true);
    expect_runs("{\"spec\":{\"suspend\":true},\"status\":{\"terminating\":1}}", true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_worker_args__of_a_vm),
        TEST(test_worker_args__of_a_url_name_the_variable),
        TEST(test_worker_args__every_option_of_import_is_told_or_not_for_a_reason),
        TEST(test_worker_args__every_option_of_migrate_is_told_or_not_for_a_reason),
        TEST(test_worker_args__say_when_to_cut_over),
        TEST(test_worker_args__are_understood_by_import),
        TEST(test_worker_args__are_understood_by_migrate),
        TEST(test_worker_job__of_a_migration_goes_on),
        TEST(test_worker_job__pod_is_restricted),
        TEST(test_worker_job__runs_once_and_is_marked),
        TEST(test_worker_job__mounts_claims_as_they_are),
        TEST(test_worker_job__memory_goes_with_threads_and_disks),
        TEST(test_worker_job__password_and_ca_come_by_the_secret),
        TEST(test_worker_job__mapping_comes_by_the_secret),
        TEST(test_worker_secret__goes_with_its_job),
        TEST(test_worker_secret__names_are_new_each_time),
        TEST(test_worker_job__runs_until_a_condition_says_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
