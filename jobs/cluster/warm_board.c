#include "jobs/cluster/warm_board.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "converters/vm/names.h"
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "jobs/cluster/launch_job.h"

/* Nothing here is worth a long wait: the migration goes on without. */
#define AWAY_TIMEOUT_S 10u
#define END_TIMEOUT_MS 60000

#define PUBLISH_MS   2000  /* between two of one phase */
#define FETCH_MS     2000  /* between two looks for a request */
#define HEARTBEAT_MS 15000 /* between two signs of life */
/* Clocks of machines differ, and the API server may be away for a while. */
#define ALIVE_S 90

#define MAX_CONFLICTS 10

struct cluster_board {
    struct vf_board base;
    struct vf_kube_client *client;
    char *name; /* of the ConfigMap */
    char *import;
    bool makes; /* the migration's side; the owner below is set then */
    struct vf_owner owner;
    char *source_vm, *source_uuid;
    bool checked;                                   /* it is there, and ours */
    int64_t published_ms, heartbeat_ms, fetched_ms; /* 0: never */
    enum vf_migration_phase phase;                  /* that was published last */
};

char *vf_board_cluster_name(const char *migration)
{
    return vf_xasprintf("vmferry-%s", migration);
}

static struct vf_kube_ref ref_of(const struct cluster_board *b)
{
    return (struct vf_kube_ref){.resource = &vf_kube_config_maps, .name = b->name};
}

static const char *data_of(const cJSON *map, const char *key)
{
    return vf_json_string(vf_json_object(map, "data"), key);
}

/* --- the ConfigMap ----------------------------------------------------------------------- */

static int refuse(const struct cluster_board *b, const char *why, struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT, "ConfigMap \"%s\" in namespace \"%s\" %s", b->name,
                 vf_kube_client_namespace(b->client), why);
    vf_error_hint(err, "it was left alone; remove or rename it, or choose another name for the VM");
    return VF_CONFLICT;
}

static int check_owner(const struct cluster_board *b, const cJSON *map, struct vf_error **err)
{
    if (!vf_owned_is_warm(map) || !vf_kube_has_label(map, VF_OWNED_IMPORT, b->import)) {
        return refuse(b, "is not of a migration by vmferry", err);
    }
    if (b->makes && vf_owned_judge(map, &b->owner) == VF_OWNED_OTHER) {
        return refuse(b, "is of the migration of another VM", err);
    }
    return vf_kube_is_being_deleted(map) ? refuse(b, "is being deleted", err) : 0;
}

/* VF_MISSING says that there is no migration. */
static int fetch_map(struct cluster_board *b, cJSON **ret_map, struct vf_error **err)
{
    const struct vf_kube_ref ref = ref_of(b);
    const struct vf_kube_options options = {.cancel = b->base.cancel};
    struct vf_error *e = NULL;
    cJSON *map = NULL;
    int rc = vf_kube_get(b->client, &ref, &options, &map, &e);
    if (rc == VF_MISSING) {
        vf_error_free(e);
        vf_error_set(err, VF_MISSING, "there is no migration \"%s\" in namespace \"%s\"", b->import,
                     vf_kube_client_namespace(b->client));
        vf_error_hint(err, "\"vmferry status --namespace %s\" lists those there are",
                      vf_kube_client_namespace(b->client));
        return VF_MISSING;
    }
    vf_error_move(err, &e);
    rc = rc ? rc : check_owner(b, map, err);
    if (rc == 0) {
        b->checked = true;
        *ret_map = vf_take(map);
    }
    cJSON_Delete(map);
    return rc;
}

static void add_heartbeat(cJSON *data)
{
    char now[VF_CLOCK_RFC3339_SIZE];
    vf_clock_rfc3339(now);
    vf_json_add_string(data, VF_BOARD_HEARTBEAT_KEY, now);
}

static int create_map(struct cluster_board *b, const cJSON *data, struct vf_error **err)
{
    const struct vf_kube_ref ref = ref_of(b);
    const struct vf_kube_options options = {.cancel = b->base.cancel};
    cJSON *map = vf_json_new_object();
    vf_json_add_string(map, "apiVersion", "v1");
    vf_json_add_string(map, "kind", vf_kube_kind(&vf_kube_config_maps));
    cJSON *metadata = vf_json_add_object(map, "metadata");
    vf_json_add_string(metadata, "name", b->name);
    vf_json_add_string(metadata, "namespace", vf_kube_client_namespace(b->client));
    vf_owned_mark(map, &b->owner, NULL);
    cJSON_AddItemToObject(map, "data", cJSON_Duplicate(data, true));
    int rc = vf_kube_create(b->client, &ref, map, &options, NULL, err);
    cJSON_Delete(map);
    return rc;
}

/* Some keys of its data, whatever becomes of the others. A null in `data` removes its key. */
static int patch_map(struct cluster_board *b, const cJSON *data, const char *version,
                     struct vf_error **err)
{
    const struct vf_kube_ref ref = ref_of(b);
    const struct vf_kube_options options = {.cancel = b->base.cancel};
    cJSON *patch = vf_json_new_object();
    if (version) {
        vf_json_add_string(vf_json_add_object(patch, "metadata"), "resourceVersion", version);
    }
    cJSON_AddItemToObject(patch, "data", cJSON_Duplicate(data, true));
    int rc = vf_kube_merge_patch(b->client, &ref, patch, &options, NULL, err);
    cJSON_Delete(patch);
    return rc;
}

/* The migration's side: it is made where it is not there, also when somebody removed it since. */
static int put_data(struct cluster_board *b, const cJSON *data, struct vf_error **err)
{
    struct vf_error *e = NULL;
    cJSON *map = NULL;
    int rc = b->checked ? 0 : fetch_map(b, &map, &e);
    cJSON_Delete(map);
    rc = rc ? rc : patch_map(b, data, NULL, &e);
    if (rc == VF_MISSING && b->makes) {
        vf_error_clear(&e);
        b->checked = false;
        rc = create_map(b, data, &e);
    }
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "the migration's status in ConfigMap \"%s\"", b->name) : 0;
}

/* --- the migration's side ---------------------------------------------------------------- */

static int put_status(struct cluster_board *b, const struct vf_migration_status *status,
                      struct vf_error **err)
{
    char *vf_autofree text = vf_migration_status_encode(status);
    cJSON *data = vf_json_new_object();
    vf_json_add_string(data, VF_BOARD_STATUS_KEY, text);
    add_heartbeat(data);
    int rc = put_data(b, data, err);
    cJSON_Delete(data);
    if (rc == 0) {
        b->published_ms = b->heartbeat_ms = vf_clock_ms();
        b->phase = status->phase;
    }
    return rc;
}

/* What a migration came to is what somebody will look for. */
static int put_end(struct cluster_board *b, const struct vf_migration_status *status,
                   struct vf_error **err)
{
    const struct vf_retry_policy policy = {
        .max_tries = 1000, .first_wait_ms = 500, .timeout_ms = END_TIMEOUT_MS};
    const struct vf_cancel *cancel = b->base.cancel;
    struct vf_retry retry;
    int rc;
    b->base.cancel = NULL; /* which may be the reason for the end */
    vf_retry_init(&retry, &policy, NULL);
    do {
        rc = put_status(b, status, err);
    } while (vf_retry_again(&retry, &rc, err));
    b->base.cancel = cancel;
    return rc;
}

static bool is_due(int64_t last_ms, int64_t every_ms)
{
    return last_ms == 0 || vf_clock_ms() - last_ms >= every_ms;
}

static int publish(struct vf_board *board, const struct vf_migration_status *status,
                   struct vf_error **err)
{
    struct cluster_board *b = (struct cluster_board *)board;
    if (vf_migration_phase_is_end(status->phase)) {
        return put_end(b, status, err);
    }
    if (status->phase == b->phase && !is_due(b->published_ms, PUBLISH_MS)) {
        return 0;
    }
    int rc = vf_inject("board.publish", err);
    rc = rc ? rc : put_status(b, status, err);
    if (rc) {
        b->published_ms = vf_clock_ms(); /* not again at once */
        b->phase = status->phase;
    }
    return rc;
}

static int clear_request(struct vf_board *board, struct vf_error **err)
{
    struct cluster_board *b = (struct cluster_board *)board;
    cJSON *data = vf_json_new_object();
    cJSON_AddNullToObject(data, VF_BOARD_REQUEST_KEY);
    int rc = vf_inject("board.clear", err);
    rc = rc ? rc : put_data(b, data, err);
    cJSON_Delete(data);
    return rc;
}

/* Between rounds nothing is published for long; that somebody waits is told all the same. */
static void give_sign_of_life(struct cluster_board *b)
{
    if (b->checked && is_due(b->heartbeat_ms, HEARTBEAT_MS)) {
        cJSON *data = vf_json_new_object();
        add_heartbeat(data);
        b->heartbeat_ms = vf_clock_ms();
        (void)patch_map(b, data, NULL, NULL); /* the next one comes soon */
        cJSON_Delete(data);
    }
}

static int fetch_request(struct vf_board *board, struct vf_migration_request *ret,
                         struct vf_error **err)
{
    struct cluster_board *b = (struct cluster_board *)board;
    struct vf_error *e = NULL;
    cJSON *map = NULL;
    *ret = (struct vf_migration_request){.kind = VF_REQUEST_NONE};
    if (!is_due(b->fetched_ms, FETCH_MS)) {
        return 0;
    }
    int rc = fetch_map(b, &map, &e);
    b->fetched_ms = vf_clock_ms();
    if (rc == VF_MISSING) { /* nothing was published yet, or somebody removed it */
        vf_error_free(e);
        return 0;
    }
    const char *text = rc ? NULL : data_of(map, VF_BOARD_REQUEST_KEY);
    if (text) {
        rc = vf_migration_request_parse(text, strlen(text), ret, &e);
    }
    cJSON_Delete(map);
    if (rc == VF_INVALID) {
        (void)clear_request(board, NULL);
    }
    if (rc == 0) {
        give_sign_of_life(b);
    }
    vf_error_move(err, &e);
    return rc;
}

/* --- the other side ---------------------------------------------------------------------- */

static int read_status(const cJSON *map, struct vf_migration_status *ret, struct vf_error **err)
{
    const char *text = data_of(map, VF_BOARD_STATUS_KEY);
    if (!text) {
        return vf_error_set(err, VF_MISSING, "the migration has not told anything yet");
    }
    return vf_migration_status_parse(text, strlen(text), ret, err);
}

static int fetch_status(struct vf_board *board, struct vf_migration_status *ret,
                        struct vf_error **err)
{
    struct cluster_board *b = (struct cluster_board *)board;
    cJSON *map = NULL;
    int rc = fetch_map(b, &map, err);
    if (rc == 0) {
        rc = read_status(map, ret, err);
        rc = rc ? vf_error_wrap(err, rc, "ConfigMap \"%s\"", b->name) : 0;
    }
    cJSON_Delete(map);
    return rc;
}

static int try_to_leave(struct cluster_board *b, const char *text, struct vf_error **err)
{
    cJSON *map = NULL;
    int rc = fetch_map(b, &map, err);
    const char *there = rc ? NULL : data_of(map, VF_BOARD_REQUEST_KEY);
    if (there && strcmp(there, text) == 0) {
        cJSON_Delete(map); /* left by the try before, whose answer was lost; or just the same */
        return 0;
    }
    if (there) {
        rc = vf_error_set(err, VF_CONFLICT, "another request waits still to be taken");
        vf_error_hint(err, "\"vmferry status %s\" shows whether the migration runs", b->import);
    }
    if (rc == 0) {
        const char *version = vf_json_string(vf_json_object(map, "metadata"), "resourceVersion");
        cJSON *data = vf_json_new_object();
        vf_json_add_string(data, VF_BOARD_REQUEST_KEY, text);
        rc = patch_map(b, data, version, err);
        cJSON_Delete(data);
    }
    cJSON_Delete(map);
    return rc;
}

/* The migration writes its status meanwhile. */
static int leave_request(struct vf_board *board, const struct vf_migration_request *r,
                         struct vf_error **err)
{
    struct cluster_board *b = (struct cluster_board *)board;
    char *vf_autofree text = vf_migration_request_encode(r);
    for (unsigned tries = 1;; tries++) {
        struct vf_error *e = NULL;
        int rc = try_to_leave(b, text, &e);
        const char *reason = vf_error_reason(e);
        bool again = rc == VF_RETRY ||
                     (rc == VF_CONFLICT && reason && strcmp(reason, VF_KUBE_REASON_CONFLICT) == 0);
        if (!again || tries == MAX_CONFLICTS) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
    }
}

/* RFC 3339 as vf_clock_rfc3339 writes it; negative when it is none. */
static int64_t parse_time(const char *text)
{
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;
    return end && *end == '\0' ? (int64_t)timegm(&tm) : -1;
}

static bool beats(const cJSON *map)
{
    int64_t then = parse_time(data_of(map, VF_BOARD_HEARTBEAT_KEY));
    int64_t age = (int64_t)time(NULL) - then;
    return then >= 0 && age < ALIVE_S && age > -ALIVE_S;
}

/* A Job that has not ended has a pod, or will have one again. */
static int fetch_job_runs(struct cluster_board *b, bool *ret_runs, struct vf_error **err)
{
    char *vf_autofree name = vf_worker_migration_name(b->import);
    const struct vf_kube_ref ref = {.resource = &vf_kube_jobs, .name = name};
    const struct vf_kube_options options = {.cancel = b->base.cancel};
    struct vf_error *e = NULL;
    cJSON *job = NULL;
    int rc = vf_kube_get(b->client, &ref, &options, &job, &e);
    *ret_runs = rc == 0 && vf_owned_is_warm(job) && vf_worker_job_runs(job);
    if (rc == VF_MISSING || vf_error_http_status(e) == 403) {
        vf_error_clear(&e);
        rc = 0;
    }
    cJSON_Delete(job);
    vf_error_move(err, &e);
    return rc;
}

/* One that ended has said so; after that its Job may still be at its last. */
static bool has_ended(const cJSON *map)
{
    struct vf_migration_status status = {0};
    bool ended = read_status(map, &status, NULL) == 0 && vf_migration_phase_is_end(status.phase);
    vf_migration_status_release(&status);
    return ended;
}

bool vf_board_cluster_is_alive(const cJSON *map)
{
    return beats(map) && !has_ended(map);
}

static int fetch_alive(struct vf_board *board, bool *ret_alive, struct vf_error **err)
{
    struct cluster_board *b = (struct cluster_board *)board;
    struct vf_error *e = NULL;
    cJSON *map = NULL;
    int rc = fetch_job_runs(b, ret_alive, err);
    if (rc || *ret_alive) {
        return rc;
    }
    rc = fetch_map(b, &map, &e);
    if (rc == 0) {
        *ret_alive = vf_board_cluster_is_alive(map);
    } else if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    }
    cJSON_Delete(map);
    vf_error_move(err, &e);
    return rc;
}

static void free_board(struct vf_board *board)
{
    struct cluster_board *b = (struct cluster_board *)board;
    vf_kube_client_free(b->client);
    free(b->name);
    free(b->import);
    free(b->source_vm);
    free(b->source_uuid);
    free(b);
}

static int open_client(const struct vf_cluster_options *where, const struct vf_cancel *cancel,
                       struct vf_kube_client **ret_client, struct vf_error **err)
{
    struct vf_cluster_options quick = *where;
    if (quick.timeout_s == 0 || quick.timeout_s > AWAY_TIMEOUT_S) {
        quick.timeout_s = AWAY_TIMEOUT_S;
    }
    return vf_cluster_open(&quick, cancel, ret_client, err);
}

static const struct vf_board_ops ops = {.publish = publish,
                                        .fetch_request = fetch_request,
                                        .clear_request = clear_request,
                                        .fetch_status = fetch_status,
                                        .leave_request = leave_request,
                                        .fetch_alive = fetch_alive,
                                        .free = free_board};

/* Takes `client` over. */
static struct vf_board *new_board(struct vf_kube_client *client, const char *name,
                                  const struct vf_owner *owner, const struct vf_cancel *cancel)
{
    struct cluster_board *b = vf_xcalloc(1, sizeof *b);
    b->base = (struct vf_board){.ops = &ops, .cancel = cancel};
    b->client = client;
    b->import = vf_name_to_label(name, VF_NAME_VM_MAX);
    b->name = vf_board_cluster_name(b->import);
    b->phase = VF_PHASE_DONE; /* none that goes on */
    if (owner) {
        b->makes = true;
        b->source_vm = vf_xstrdup(owner->source_vm);
        b->source_uuid = vf_xstrdup(owner->source_uuid);
        b->owner = (struct vf_owner){.import = b->import,
                                     .source_vm = b->source_vm,
                                     .source_uuid = b->source_uuid,
                                     .warm = true};
    }
    return &b->base;
}

int vf_board_cluster_open(const struct vf_board_cluster_options *options,
                          struct vf_board **ret_board, struct vf_error **err)
{
    struct vf_kube_client *client = NULL;
    int rc = open_client(options->where, options->cancel, &client, err);
    if (rc == 0) {
        *ret_board = new_board(client, options->name, options->owner, options->cancel);
    }
    return rc;
}

/* --- all of a namespace ------------------------------------------------------------------ */

static bool job_runs(const cJSON *jobs, const char *import)
{
    const cJSON *job;
    cJSON_ArrayForEach(job, jobs)
    {
        if (vf_owned_is_warm(job) && vf_kube_has_label(job, VF_OWNED_IMPORT, import) &&
            vf_worker_job_runs(job)) {
            return true;
        }
    }
    return false;
}

/* Other things of a migration are kept in ConfigMaps, too. */
static bool is_board(const cJSON *map)
{
    char *vf_autofree name = vf_board_cluster_name(vf_kube_label(map, VF_OWNED_IMPORT));
    const char *have = vf_kube_name(map);
    return have && strcmp(have, name) == 0;
}

static void read_one(const cJSON *map, const cJSON *jobs, struct vf_cluster_migration *m)
{
    struct vf_error *e = NULL;
    m->name = vf_xstrdup(vf_kube_label(map, VF_OWNED_IMPORT));
    if (read_status(map, &m->status, &e) != 0) {
        m->status = (struct vf_migration_status){.name = vf_xstrdup(m->name),
                                                 .error = vf_xstrdup(vf_error_message(e))};
    }
    vf_error_free(e);
    m->alive =
        job_runs(jobs, m->name) || (beats(map) && !vf_migration_phase_is_end(m->status.phase));
}

static int by_name(const void *a, const void *b)
{
    const struct vf_cluster_migration *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int list_warm(struct vf_kube_client *client, const struct vf_kube_resource *resource,
                     const struct vf_cancel *cancel, cJSON **ret_items, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = resource};
    const struct vf_kube_select select = {.labels = VF_OWNED_MANAGED_BY
                                          "=" VF_OWNED_MANAGER "," VF_OWNED_MIGRATION
                                          "=" VF_OWNED_WARM "," VF_OWNED_IMPORT};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_list(client, &ref, &select, &options, ret_items, NULL, &e);
    if (rc == VF_AUTH && resource == &vf_kube_jobs) { /* signs of life tell, too */
        vf_error_clear(&e);
        *ret_items = vf_json_new_array();
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_cluster_fetch_migrations(const struct vf_cluster_options *where,
                                const struct vf_cancel *cancel,
                                struct vf_cluster_migration **ret_migrations, size_t *ret_n,
                                struct vf_error **err)
{
    struct vf_kube_client *client = NULL;
    cJSON *maps = NULL, *jobs = NULL;
    int rc = open_client(where, cancel, &client, err);
    rc = rc ? rc : list_warm(client, &vf_kube_config_maps, cancel, &maps, err);
    rc = rc ? rc : list_warm(client, &vf_kube_jobs, cancel, &jobs, err);
    if (rc == 0) {
        struct vf_cluster_migration *list =
            vf_xcalloc((size_t)cJSON_GetArraySize(maps) + 1, sizeof *list);
        size_t n = 0;
        const cJSON *map;
        cJSON_ArrayForEach(map, maps)
        {
            if (is_board(map)) {
                read_one(map, jobs, &list[n++]);
            }
        }
        qsort(list, n, sizeof *list, by_name);
        *ret_migrations = list;
        *ret_n = n;
    }
    cJSON_Delete(maps);
    cJSON_Delete(jobs);
    vf_kube_client_free(client);
    return rc;
}

void vf_cluster_migrations_free(struct vf_cluster_migration *migrations, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(migrations[i].name);
        vf_migration_status_release(&migrations[i].status);
    }
    free(migrations);
}
