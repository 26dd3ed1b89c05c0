#include "jobs/cluster/launch_job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/secret.h"
#include "importer/kube/metadata.h"
#include "jobs/import_plan.h"

#define DISKS_PATH       "/vmferry/disks"
#define TRUST_PATH       "/vmferry/trust"
#define MAPPING_PATH     "/vmferry/mapping"
#define TERMINATION_PATH "/dev/termination-log"

#define PASSWORD_KEY "password"
#define URL_KEY      "url"
#define CA_KEY       "ca.pem"
#define MAPPING_KEY  VF_WORKER_MAPPING_KEY

/* A Job whose launcher died takes its Secret along when it goes. */
#define TTL_S 3600

/* The Job waits longer each time, up to minutes: for hours in all. */
#define MIGRATION_RESTARTS 30

#define CONTAINER        "vmferry"
#define DEFAULT_ACCOUNT  "vmferry-worker"
#define DEFAULT_THREADS  4u
#define DEFAULT_PARALLEL 4u
#define MIB              (1ull << 20)

char *vf_worker_job_name(const char *import)
{
    return vf_xasprintf("%s-import", import);
}

char *vf_worker_migration_name(const char *import)
{
    return vf_xasprintf("%s-migrate", import);
}

char *vf_worker_name_of(const struct vf_worker_plan *p)
{
    return p->migration ? vf_worker_migration_name(p->owner->import)
                        : vf_worker_job_name(p->owner->import);
}

int vf_worker_secret_name(const char *job, char **ret_name, struct vf_error **err)
{
    unsigned char bytes[5];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return vf_error_set_errno(err, errno, "no random bytes");
    }
    *ret_name = vf_xasprintf("%s-%02x%02x%02x%02x%02x", job, bytes[0], bytes[1], bytes[2], bytes[3],
                             bytes[4]);
    return 0;
}

static bool has_pods(const cJSON *job, const char *which)
{
    uint64_t n = 0;
    return vf_json_u64(vf_json_object(job, "status"), which, &n) && n > 0;
}

bool vf_worker_job_runs(const cJSON *job)
{
    if (vf_kube_condition_is(job, "Complete", "True") ||
        vf_kube_condition_is(job, "Failed", "True")) {
        return false;
    }
    /* Suspended later, by a person or a queue, its pod has its time of grace to write. */
    return !vf_json_bool(vf_json_object(job, "spec"), "suspend", false) ||
           has_pods(job, "active") || has_pods(job, "terminating");
}

/* --- the command line -------------------------------------------------------------------- */

struct args {
    char **list; /* NULL-terminated */
    size_t n;
};

/* The kubelet replaces $(NAME) by a variable of the container, the password too, and $$ by $. */
static char *escape(const char *s)
{
    char *out = vf_xcalloc(2 * strlen(s) + 1, 1), *at = out;
    for (; *s; s++) {
        if (*s == '$') {
            *at++ = '$';
        }
        *at++ = *s;
    }
    return out;
}

/* Takes `arg` over. */
static void add_raw(struct args *a, char *arg)
{
    a->list = vf_xrealloc_array(a->list, a->n + 2, sizeof *a->list);
    a->list[a->n++] = arg;
    a->list[a->n] = NULL;
}

/* NULL adds nothing. In one word, since a value may look like an option. */
static void add(struct args *a, const char *option, const char *value)
{
    if (value) {
        char *vf_autofree escaped = escape(value);
        add_raw(a, vf_xasprintf("--%s=%s", option, escaped));
    }
}

static void add_number(struct args *a, const char *option, unsigned value)
{
    if (value) {
        add_raw(a, vf_xasprintf("--%s=%u", option, value));
    }
}

static void add_flag(struct args *a, const char *option, bool on)
{
    if (on) {
        add_raw(a, vf_xasprintf("--%s", option));
    }
}

static const struct vf_http_options *http_of(const struct vf_import_options *o)
{
    return o->kind == VF_IMPORT_VSPHERE ? &o->vsphere.http : &o->http;
}

static void add_source(struct args *a, const struct vf_worker_plan *p)
{
    const struct vf_import_options *o = p->options;
    const struct vf_http_options *http = http_of(o);
    if (o->kind == VF_IMPORT_VSPHERE) {
        add(a, "source", o->vsphere.url);
        add(a, "user", o->vsphere.user);
        add(a, "vm", p->vm);
        add_flag(a, "no-quiesce", o->no_quiesce);
    } else {
        /* A URL may be signed, and then it is a password; what reads the Job does not see it. */
        add_raw(a, vf_xasprintf("--%s=$(VMFERRY_URL)", vf_import_kind_name(o->kind)));
    }
    add(a, "ca-file", p->ca_pem ? TRUST_PATH "/" CA_KEY : NULL);
    add(a, "thumbprint", http->thumbprint);
    add_flag(a, "insecure-skip-verify", http->insecure);
    add(a, "proxy", http->proxy);
}

/* How many threads a node would give is not known here, and memory goes with them. */
static unsigned threads_of(const struct vf_import_options *o)
{
    return o->threads ? o->threads : DEFAULT_THREADS;
}

/* In whole seconds; 0 is not said. */
static void add_duration(struct args *a, const char *option, int64_t ms)
{
    if (ms > 0) {
        add_raw(a, vf_xasprintf("--%s=%" PRId64 "s", option, (ms + 999) / 1000));
    }
}

#define TIME_SIZE 32

static const char *print_time(char buf[TIME_SIZE], int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(buf, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return buf;
}

static void add_cutover(struct args *a, const struct vf_machine_policy *p)
{
    char from[TIME_SIZE], until[TIME_SIZE];
    switch (p->when) {
    case VF_CUTOVER_ON_REQUEST:
        add(a, "cutover", "command");
        break;
    case VF_CUTOVER_ASAP:
        add(a, "cutover", "asap");
        break;
    case VF_CUTOVER_AT:
        add(a, "cutover", print_time(from, p->from_s));
        break;
    case VF_CUTOVER_WINDOW:
        add_raw(a, vf_xasprintf("--cutover=%s/%s", print_time(from, p->from_s),
                                print_time(until, p->until_s)));
        break;
    }
    add_duration(a, "max-downtime", p->max_downtime_ms);
}

static void add_migration(struct args *a, const struct vf_migration_options *m)
{
    const struct vf_transport_options *t = &m->transport;
    add(a, "transport", vf_transport_name(t->kind));
    add_number(a, "connections", t->connections);
    add(a, "vddk-libdir", t->vddk_libdir);
    add(a, "vddk-thumbprint", t->vddk_thumbprint);
    add(a, "nbdkit", t->nbdkit_program);
    add_flag(a, "allow-stun", m->policy.may_stun);
    add_duration(a, "min-interval", m->policy.min_interval_ms);
    add_duration(a, "max-interval", m->policy.max_interval_ms);
    add_cutover(a, &m->policy);
    add_duration(a, "shutdown-timeout", m->shutdown_timeout_ms);
    add_flag(a, "hard-power-off", m->hard_power_off);
    add_flag(a, "no-digest", m->no_digest);
}

char **vf_worker_args(const struct vf_worker_plan *p)
{
    const struct vf_import_options *o = p->options;
    const struct vf_import_cluster *c = &o->cluster;
    struct args a = {0};
    add_raw(&a, vf_xstrdup(p->migration ? "migrate" : "import"));
    add_flag(&a, "warm", p->migration != NULL);
    add_source(&a, p);
    if (p->migration) {
        add_migration(&a, p->migration);
    }
    add(&a, "name", p->owner->import);
    add(&a, "to", "pvc:" DISKS_PATH);
    add(&a, "namespace", p->ns);
    add(&a, "storage-class", p->storage);
    add(&a, "mapping", p->mapping ? MAPPING_PATH "/" MAPPING_KEY : NULL);
    add(&a, "check", "none"); /* it was judged out here */
    add(&a, "handover", c->handover == VF_IMPORT_ADOPT ? "adopt" : "claim");
    add_flag(&a, "start", c->start);
    add_number(&a, "cluster-timeout", c->where.timeout_s);
    add_number(&a, "parallel-disks", o->parallel_disks);
    add_number(&a, "threads", threads_of(o));
    add(&a, "progress", "json");
    add_flag(&a, "debug", p->debug);
    return a.list;
}

void vf_worker_args_free(char **args)
{
    for (size_t i = 0; args && args[i]; i++) {
        free(args[i]);
    }
    free(args);
}

/* --- the pod ----------------------------------------------------------------------------- */

static void add_value(cJSON *env, const char *name, const char *value)
{
    cJSON *item = vf_json_append_object(env);
    vf_json_add_string(item, "name", name);
    vf_json_add_string(item, "value", value);
}

static void add_secret_value(cJSON *env, const char *name, const char *secret, const char *key)
{
    cJSON *item = vf_json_append_object(env);
    vf_json_add_string(item, "name", name);
    cJSON *ref = vf_json_add_object(vf_json_add_object(item, "valueFrom"), "secretKeyRef");
    vf_json_add_string(ref, "name", secret);
    vf_json_add_string(ref, "key", key);
}

static void add_env(cJSON *container, const struct vf_worker_plan *p)
{
    cJSON *env = vf_json_add_array(container, "env");
    if (p->options->kind != VF_IMPORT_VSPHERE) {
        add_secret_value(env, "VMFERRY_URL", p->secret, URL_KEY);
    } else if (p->options->vsphere.password) {
        add_secret_value(env, "VMFERRY_PASSWORD", p->secret, PASSWORD_KEY);
    }
    add_value(env, "VMFERRY_TERMINATION_LOG", TERMINATION_PATH);
}

static void add_mount(cJSON *mounts, const char *name, const char *path, bool read_only)
{
    cJSON *mount = vf_json_append_object(mounts);
    vf_json_add_string(mount, "name", name);
    vf_json_add_string(mount, "mountPath", path);
    if (read_only) {
        vf_json_add_bool(mount, "readOnly", true);
    }
}

static void add_mounts(cJSON *container, const struct vf_worker_plan *p)
{
    cJSON *mounts = vf_json_add_array(container, "volumeMounts");
    cJSON *devices = NULL;
    for (size_t i = 0; i < p->n_claims; i++) {
        char *vf_autofree name = vf_xasprintf("disk-%zu", i);
        char *vf_autofree path =
            vf_xasprintf(DISKS_PATH "/disk-%u", p->numbers ? p->numbers[i] : (unsigned)i);
        if (p->blocks && p->blocks[i]) {
            devices = devices ? devices : vf_json_add_array(container, "volumeDevices");
            cJSON *device = vf_json_append_object(devices);
            vf_json_add_string(device, "name", name);
            vf_json_add_string(device, "devicePath", path);
        } else {
            add_mount(mounts, name, path, false);
        }
    }
    add_mount(mounts, "tmp", "/tmp", false);
    if (p->ca_pem) {
        add_mount(mounts, "trust", TRUST_PATH, true);
    }
    if (p->mapping) {
        add_mount(mounts, "mapping", MAPPING_PATH, true);
    }
}

/* A slot of 2 MiB a thread and one more, for every disk that is copied at the same time, beside
 * what the program itself takes; data goes past the page cache. Of a migration also what it knows
 * of each disk, and its requests under way; and VMware's library. */
static uint64_t memory_bytes(const struct vf_import_options *o,
                             const struct vf_transport_options *warm, size_t n_claims)
{
    size_t parallel = o->parallel_disks ? o->parallel_disks : DEFAULT_PARALLEL;
    parallel = parallel < n_claims ? parallel : n_claims;
    uint64_t bytes = 192 * MIB + 2 * MIB * (threads_of(o) + 1) * parallel;
    if (warm) {
        bytes += 48 * MIB * parallel + 16 * MIB * n_claims;
        bytes += warm->vddk_libdir ? 512 * MIB : 0;
    }
    return bytes;
}

/* Requests what it limits in memory: a copy that is evicted begins anew. */
struct vf_worker_size vf_worker_size_of(const struct vf_import_options *options,
                                        const struct vf_transport_options *warm, size_t n_claims)
{
    return (struct vf_worker_size){.cpu_millis = 500,
                                   .cpu_limit_millis = (threads_of(options) + 1) * UINT64_C(1000),
                                   .memory_bytes = memory_bytes(options, warm, n_claims)};
}

static void add_resources(cJSON *container, const struct vf_worker_plan *p)
{
    const struct vf_worker_size size =
        vf_worker_size_of(p->options, p->migration ? &p->migration->transport : NULL, p->n_claims);
    char *vf_autofree memory = vf_xasprintf("%" PRIu64 "Mi", size.memory_bytes / (uint64_t)MIB);
    char *vf_autofree cpu = vf_xasprintf("%" PRIu64 "m", size.cpu_millis);
    char *vf_autofree most = vf_xasprintf("%" PRIu64, size.cpu_limit_millis / 1000);
    cJSON *resources = vf_json_add_object(container, "resources");
    cJSON *requests = vf_json_add_object(resources, "requests");
    vf_json_add_string(requests, "cpu", cpu);
    vf_json_add_string(requests, "memory", memory);
    cJSON *limits = vf_json_add_object(resources, "limits");
    vf_json_add_string(limits, "cpu", most);
    vf_json_add_string(limits, "memory", memory);
}

static void add_container(cJSON *spec, const struct vf_worker_plan *p)
{
    cJSON *container = vf_json_append_object(vf_json_add_array(spec, "containers"));
    vf_json_add_string(container, "name", CONTAINER);
    vf_json_add_string(container, "image", p->image);
    cJSON *list = vf_json_add_array(container, "args");
    char **args = vf_worker_args(p);
    for (size_t i = 0; args[i]; i++) {
        vf_json_append_string(list, args[i]);
    }
    vf_worker_args_free(args);
    add_env(container, p);
    add_mounts(container, p);
    add_resources(container, p);
    vf_json_add_string(container, "terminationMessagePath", TERMINATION_PATH);

    cJSON *security = vf_json_add_object(container, "securityContext");
    vf_json_add_bool(security, "allowPrivilegeEscalation", false);
    vf_json_add_bool(security, "readOnlyRootFilesystem", true);
    vf_json_append_string(vf_json_add_array(vf_json_add_object(security, "capabilities"), "drop"),
                          "ALL");
}

static void add_file_of_secret(cJSON *volumes, const char *name, const char *secret_name,
                               const char *key)
{
    cJSON *volume = vf_json_append_object(volumes);
    vf_json_add_string(volume, "name", name);
    cJSON *secret = vf_json_add_object(volume, "secret");
    vf_json_add_string(secret, "secretName", secret_name);
    cJSON *item = vf_json_append_object(vf_json_add_array(secret, "items"));
    vf_json_add_string(item, "key", key);
    vf_json_add_string(item, "path", key);
}

static void add_volumes(cJSON *spec, const struct vf_worker_plan *p)
{
    cJSON *volumes = vf_json_add_array(spec, "volumes");
    for (size_t i = 0; i < p->n_claims; i++) {
        char *vf_autofree name = vf_xasprintf("disk-%zu", i);
        cJSON *volume = vf_json_append_object(volumes);
        vf_json_add_string(volume, "name", name);
        vf_json_add_string(vf_json_add_object(volume, "persistentVolumeClaim"), "claimName",
                           p->claims[i]);
    }
    cJSON *tmp = vf_json_append_object(volumes);
    vf_json_add_string(tmp, "name", "tmp");
    vf_json_add_string(vf_json_add_object(tmp, "emptyDir"), "sizeLimit", "64Mi");
    if (p->ca_pem) {
        add_file_of_secret(volumes, "trust", p->secret, CA_KEY);
    }
    if (p->mapping) {
        add_file_of_secret(volumes, "mapping", p->secret, MAPPING_KEY);
    }
}

static void add_pod_security(cJSON *spec)
{
    cJSON *security = vf_json_add_object(spec, "securityContext");
    vf_json_add_bool(security, "runAsNonRoot", true);
    vf_json_add_u64(security, "runAsUser", VF_WORKER_UID);
    vf_json_add_u64(security, "runAsGroup", VF_WORKER_UID);
    vf_json_add_u64(security, "fsGroup", VF_WORKER_UID);
    vf_json_add_string(security, "fsGroupChangePolicy", "OnRootMismatch");
    vf_json_add_string(vf_json_add_object(security, "seccompProfile"), "type", "RuntimeDefault");
}

/* Ends by a signal, as shells count them (128 and its number): hang-up to quit, illegal
 * instruction, abort, bus error, arithmetic, kill, segmentation fault, termination. */
static const unsigned killed[] = {129, 130, 131, 132, 134, 135, 136, 137, 139, 143};

static void add_failure_policy(cJSON *spec)
{
    cJSON *rules = vf_json_add_array(vf_json_add_object(spec, "podFailurePolicy"), "rules");
    cJSON *evicted = vf_json_append_object(rules);
    vf_json_add_string(evicted, "action", "Ignore");
    cJSON *condition = vf_json_append_object(vf_json_add_array(evicted, "onPodConditions"));
    vf_json_add_string(condition, "type", "DisruptionTarget");
    vf_json_add_string(condition, "status", "True");
    cJSON *ended = vf_json_append_object(rules);
    vf_json_add_string(ended, "action", "FailJob");
    cJSON *codes = vf_json_add_object(ended, "onExitCodes");
    vf_json_add_string(codes, "containerName", CONTAINER);
    vf_json_add_string(codes, "operator", "NotIn");
    cJSON *values = vf_json_add_array(codes, "values");
    for (size_t i = 0; i < sizeof killed / sizeof *killed; i++) {
        cJSON_AddItemToArray(values, cJSON_CreateNumber(killed[i]));
    }
    vf_json_add_string(spec, "podReplacementPolicy", "Failed");
}

cJSON *vf_worker_build_job(const struct vf_worker_plan *p)
{
    const char *account = p->options->cluster.worker_account;
    char *vf_autofree name = vf_worker_name_of(p);
    cJSON *job = vf_json_new_object();
    vf_json_add_string(job, "apiVersion", "batch/v1");
    vf_json_add_string(job, "kind", "Job");
    cJSON *metadata = vf_json_add_object(job, "metadata");
    vf_json_add_string(metadata, "name", name);
    vf_json_add_string(metadata, "namespace", p->ns);
    vf_owned_mark(job, p->owner, NULL);

    cJSON *spec = vf_json_add_object(job, "spec");
    vf_json_add_bool(spec, "suspend", true);
    vf_json_add_u64(spec, "backoffLimit", p->migration ? MIGRATION_RESTARTS : 0);
    if (p->migration) {
        add_failure_policy(spec);
    }
    vf_json_add_u64(spec, "ttlSecondsAfterFinished", TTL_S);
    cJSON *template = vf_json_add_object(spec, "template");
    vf_owned_mark(template, p->owner, NULL);
    cJSON *pod = vf_json_add_object(template, "spec");
    vf_json_add_string(pod, "restartPolicy", "Never");
    vf_json_add_string(pod, "serviceAccountName", account ? account : DEFAULT_ACCOUNT);
    vf_json_add_u64(pod, "terminationGracePeriodSeconds",
                    p->migration ? VF_WORKER_MIGRATION_GRACE_S : VF_WORKER_GRACE_S);
    vf_json_add_bool(pod, "enableServiceLinks", false);
    add_pod_security(pod);
    add_container(pod, p);
    add_volumes(pod, p);
    return job;
}

/* --- the secret -------------------------------------------------------------------------- */

bool vf_worker_needs_secret(const struct vf_worker_plan *p)
{
    return p->ca_pem || p->mapping || p->options->kind != VF_IMPORT_VSPHERE ||
           p->options->vsphere.password;
}

cJSON *vf_worker_build_secret(const struct vf_worker_plan *p, const char *job_uid)
{
    const struct vf_import_options *o = p->options;
    char *vf_autofree job_name = vf_worker_name_of(p);
    cJSON *secret = vf_json_new_object();
    vf_json_add_string(secret, "apiVersion", "v1");
    vf_json_add_string(secret, "kind", "Secret");
    cJSON *metadata = vf_json_add_object(secret, "metadata");
    vf_json_add_string(metadata, "name", p->secret);
    vf_json_add_string(metadata, "namespace", p->ns);
    vf_owned_mark(secret, p->owner, NULL);
    if (job_uid) {
        cJSON *owner = vf_json_append_object(vf_json_add_array(metadata, "ownerReferences"));
        vf_json_add_string(owner, "apiVersion", "batch/v1");
        vf_json_add_string(owner, "kind", "Job");
        vf_json_add_string(owner, "name", job_name);
        vf_json_add_string(owner, "uid", job_uid);
    }

    vf_json_add_string(secret, "type", "Opaque");
    vf_json_add_bool(secret, "immutable", true);
    cJSON *data = vf_json_add_object(secret, "stringData");
    if (o->kind != VF_IMPORT_VSPHERE) {
        vf_json_add_string(data, URL_KEY, o->path);
    } else if (o->vsphere.password) {
        vf_json_add_string(data, PASSWORD_KEY, vf_secret_reveal(o->vsphere.password));
    }
    vf_json_add_string(data, CA_KEY, p->ca_pem);
    vf_json_add_string(data, MAPPING_KEY, p->mapping);
    return secret;
}
