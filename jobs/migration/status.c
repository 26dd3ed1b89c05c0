#include "jobs/migration/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

#define REQUEST_VERSION   1
#define REQUEST_MAX_BYTES 4096u

/* Longer texts are cut when they are written, and refused when they are read. Those of a status
 * fit into VF_STATUS_MAX_BYTES even if each byte is escaped. */
#define MAX_TEXT_BYTES 2048u
#define MAX_DISKS      1024
/* What a JSON number holds exactly (json.h). */
#define MAX_NUMBER (UINT64_C(1) << 53)

static const char *const phase_names[] = {
    "preparing", "tracking", "snapshot",  "copying",    "settling",
    "waiting",   "stopping", "last-copy", "delivering", "starting",
    "cleaning",  "undoing",  "done",      "failed",     "cancelled",
};
#define N_PHASES (sizeof phase_names / sizeof *phase_names)
_Static_assert(N_PHASES == VF_PHASE_CANCELLED + 1, "each phase has a name");

static const char *const request_names[] = {"none", "cutover", "cancel"};
#define N_REQUESTS (sizeof request_names / sizeof *request_names)

void vf_migration_status_release(struct vf_migration_status *s)
{
    free(s->name);
    free(s->source_vm);
    free(s->source_uuid);
    free(s->source);
    free(s->place);
    free(s->detail);
    free(s->next_step);
    free(s->error);
    free(s->hint);
    free(s->transport);
    free(s->transport_reason);
    free(s->started);
    free(s->updated);
    free(s->last_checkpoint);
    free(s->cutover_at);
    for (size_t i = 0; i < s->n_disks; i++) {
        free(s->disks[i].name);
        free(s->disks[i].target);
    }
    free(s->disks);
    *s = (struct vf_migration_status){0};
}

const char *vf_migration_phase_name(enum vf_migration_phase phase)
{
    return (size_t)phase < N_PHASES ? phase_names[phase] : "unknown";
}

bool vf_migration_phase_is_end(enum vf_migration_phase phase)
{
    return phase == VF_PHASE_DONE || phase == VF_PHASE_FAILED || phase == VF_PHASE_CANCELLED;
}

/* --- writing ------------------------------------------------------------------------------ */

/* In UTF-8, and short enough. */
static void put_text(cJSON *json, const char *key, const char *text)
{
    if (!text) {
        return;
    }
    char *vf_autofree whole = vf_utf8_clean(text);
    size_t len = strlen(whole);
    if (len > MAX_TEXT_BYTES) {
        len = MAX_TEXT_BYTES;
        while (len > 0 && ((unsigned char)whole[len] & 0xc0u) == 0x80u) {
            len--; /* not within a character */
        }
        whole[len] = '\0';
    }
    vf_json_add_string(json, key, whole);
}

static void put_number(cJSON *json, const char *key, uint64_t n)
{
    vf_json_add_u64(json, key, n < MAX_NUMBER ? n : MAX_NUMBER);
}

/* Negative: not known, and not written. */
static void put_ms(cJSON *json, const char *key, int64_t ms)
{
    if (ms >= 0) {
        put_number(json, key, (uint64_t)ms);
    }
}

static void put_disk(cJSON *json, const struct vf_disk_status *d)
{
    put_text(json, "name", d->name);
    put_text(json, "target", d->target);
    put_number(json, "sizeBytes", d->size_bytes);
    put_number(json, "roundBytes", d->round_bytes);
    put_number(json, "roundTotalBytes", d->round_total_bytes);
    put_number(json, "copiedBytes", d->copied_bytes);
}

static void put_forecast(cJSON *root, const struct vf_migration_status *s)
{
    if (!s->forecast) {
        return;
    }
    cJSON *f = vf_json_add_object(root, "forecast");
    put_number(f, "changeBytesPerS", s->change_bytes_per_s);
    put_number(f, "expectedBytes", s->expected_bytes);
    put_ms(f, "downtimeMs", s->downtime_ms);
    put_ms(f, "worstDowntimeMs", s->worst_downtime_ms);
    put_ms(f, "bestDowntimeMs", s->best_downtime_ms);
}

static cJSON *to_json(const struct vf_migration_status *s, size_t n_disks)
{
    cJSON *root = vf_json_new_object();
    vf_json_add_u64(root, "statusVersion", VF_STATUS_VERSION);
    put_text(root, "name", s->name);
    cJSON *source = vf_json_add_object(root, "source");
    put_text(source, "vm", s->source_vm);
    put_text(source, "instanceUuid", s->source_uuid);
    put_text(source, "host", s->source);
    put_text(root, "place", s->place);
    put_text(root, "phase", vf_migration_phase_name(s->phase));
    put_text(root, "detail", s->detail);
    put_text(root, "nextStep", s->next_step);
    put_text(root, "error", s->error);
    put_text(root, "hint", s->hint);
    put_text(root, "transport", s->transport);
    put_text(root, "transportReason", s->transport_reason);
    put_number(root, "round", s->round);
    put_number(root, "tries", s->tries);
    put_number(root, "bytesPerS", s->bytes_per_s);
    put_number(root, "copiedBytes", s->copied_bytes);
    put_forecast(root, s);
    put_ms(root, "etaMs", s->eta_ms);
    put_text(root, "started", s->started);
    put_text(root, "updated", s->updated);
    put_text(root, "lastCheckpoint", s->last_checkpoint);
    put_text(root, "cutoverAt", s->cutover_at);
    put_ms(root, "measuredDowntimeMs", s->measured_downtime_ms);
    cJSON *disks = vf_json_add_array(root, "disks");
    for (size_t i = 0; i < n_disks; i++) {
        put_disk(vf_json_append_object(disks), &s->disks[i]);
    }
    return root;
}

cJSON *vf_migration_status_to_json(const struct vf_migration_status *s)
{
    return to_json(s, s->n_disks);
}

static char *encode(const struct vf_migration_status *s, size_t n_disks)
{
    cJSON *root = to_json(s, n_disks);
    char *text = vf_json_print(root, false);
    cJSON_Delete(root);
    return text;
}

/* Disks whose names are so long that not all of them have room are left out from the end. */
char *vf_migration_status_encode(const struct vf_migration_status *s)
{
    size_t n = s->n_disks < MAX_DISKS ? s->n_disks : MAX_DISKS;
    char *text = encode(s, n);
    while (strlen(text) > VF_STATUS_MAX_BYTES && n > 0) {
        n /= 2;
        free(text);
        text = encode(s, n);
    }
    return text;
}

/* --- reading ------------------------------------------------------------------------------ */

/* A copy of ours, in UTF-8; NULL when absent. */
static int take_text(const cJSON *json, const char *key, char **ret, struct vf_error **err)
{
    const char *text = vf_json_string(json, key);
    if (!text) {
        return 0;
    }
    char *clean = vf_utf8_clean(text);
    if (strlen(clean) > MAX_TEXT_BYTES) {
        free(clean);
        return vf_error_set(err, VF_INVALID, "its \"%s\" has more than %u bytes", key,
                            MAX_TEXT_BYTES);
    }
    *ret = clean;
    return 0;
}

struct text_field {
    const char *key;
    char **to;
};

static int take_texts(const cJSON *json, const struct text_field *fields, size_t n,
                      struct vf_error **err)
{
    for (size_t i = 0; i < n; i++) {
        int rc = take_text(json, fields[i].key, fields[i].to, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

struct number_field {
    const char *key;
    uint64_t *to;
    uint64_t max;
};

/* Absent: 0. */
static int take_numbers(const cJSON *json, const struct number_field *fields, size_t n,
                        struct vf_error **err)
{
    for (size_t i = 0; i < n; i++) {
        *fields[i].to = 0;
        if (cJSON_GetObjectItemCaseSensitive(json, fields[i].key) &&
            (!vf_json_u64(json, fields[i].key, fields[i].to) || *fields[i].to > fields[i].max)) {
            return vf_error_set(err, VF_INVALID, "its \"%s\" is no number that can be",
                                fields[i].key);
        }
    }
    return 0;
}

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static int parse_disk(const cJSON *json, struct vf_disk_status *d, struct vf_error **err)
{
    const struct text_field texts[] = {{"name", &d->name}, {"target", &d->target}};
    const struct number_field numbers[] = {{"sizeBytes", &d->size_bytes, MAX_NUMBER},
                                           {"roundBytes", &d->round_bytes, MAX_NUMBER},
                                           {"roundTotalBytes", &d->round_total_bytes, MAX_NUMBER},
                                           {"copiedBytes", &d->copied_bytes, MAX_NUMBER}};
    if (!cJSON_IsObject(json)) {
        return vf_error_set(err, VF_INVALID, "it is no object");
    }
    int rc = take_texts(json, texts, COUNT_OF(texts), err);
    return rc ? rc : take_numbers(json, numbers, COUNT_OF(numbers), err);
}

static int parse_disks(const cJSON *disks, struct vf_migration_status *s, struct vf_error **err)
{
    int n = disks ? cJSON_GetArraySize(disks) : 0;
    if (n > MAX_DISKS) {
        return vf_error_set(err, VF_INVALID, "it lists %d disks", n);
    }
    s->disks = vf_xcalloc(n > 0 ? (size_t)n : 1, sizeof *s->disks);
    const cJSON *disk;
    cJSON_ArrayForEach(disk, disks)
    {
        int rc = parse_disk(disk, &s->disks[s->n_disks++], err);
        if (rc) {
            return vf_error_wrap(err, rc, "disk %zu", s->n_disks - 1);
        }
    }
    return 0;
}

static int check_version(const cJSON *root, const char *key, uint64_t known, struct vf_error **err)
{
    uint64_t version = 0;
    if (!vf_json_u64(root, key, &version) || version == 0) {
        return vf_error_set(err, VF_INVALID, "it has no %s", key);
    }
    if (version != known) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "it has version %" PRIu64 ", and this vmferry knows %" PRIu64, version,
                            known);
    }
    return 0;
}

static size_t find_name(const cJSON *json, const char *key, const char *const *names, size_t n)
{
    const char *text = vf_json_string(json, key);
    size_t i = 0;
    while (i < n && (!text || strcmp(text, names[i]) != 0)) {
        i++;
    }
    return i;
}

static int parse_texts(const cJSON *root, struct vf_migration_status *s, struct vf_error **err)
{
    const struct text_field texts[] = {{"name", &s->name},
                                       {"place", &s->place},
                                       {"detail", &s->detail},
                                       {"nextStep", &s->next_step},
                                       {"error", &s->error},
                                       {"hint", &s->hint},
                                       {"transport", &s->transport},
                                       {"transportReason", &s->transport_reason},
                                       {"started", &s->started},
                                       {"updated", &s->updated},
                                       {"lastCheckpoint", &s->last_checkpoint},
                                       {"cutoverAt", &s->cutover_at}};
    const struct text_field source[] = {
        {"vm", &s->source_vm}, {"instanceUuid", &s->source_uuid}, {"host", &s->source}};
    int rc = take_texts(root, texts, COUNT_OF(texts), err);
    return rc ? rc : take_texts(vf_json_object(root, "source"), source, COUNT_OF(source), err);
}

static int parse_numbers(const cJSON *root, struct vf_migration_status *s, struct vf_error **err)
{
    uint64_t round, tries, eta, measured, downtime, worst, best;
    const cJSON *f = vf_json_object(root, "forecast");
    const struct number_field numbers[] = {{"round", &round, UINT32_MAX},
                                           {"tries", &tries, UINT32_MAX},
                                           {"bytesPerS", &s->bytes_per_s, MAX_NUMBER},
                                           {"copiedBytes", &s->copied_bytes, MAX_NUMBER},
                                           {"etaMs", &eta, MAX_NUMBER},
                                           {"measuredDowntimeMs", &measured, MAX_NUMBER}};
    const struct number_field forecast[] = {{"changeBytesPerS", &s->change_bytes_per_s, MAX_NUMBER},
                                            {"expectedBytes", &s->expected_bytes, MAX_NUMBER},
                                            {"downtimeMs", &downtime, MAX_NUMBER},
                                            {"worstDowntimeMs", &worst, MAX_NUMBER},
                                            {"bestDowntimeMs", &best, MAX_NUMBER}};
    int rc = take_numbers(root, numbers, COUNT_OF(numbers), err);
    if (rc == 0) {
        rc = take_numbers(f, forecast, COUNT_OF(forecast), err);
    }
    if (rc) {
        return rc;
    }
    s->round = (uint32_t)round;
    s->tries = (uint32_t)tries;
    s->eta_ms = cJSON_GetObjectItemCaseSensitive(root, "etaMs") ? (int64_t)eta : -1;
    s->measured_downtime_ms = (int64_t)measured;
    s->forecast = f != NULL;
    s->downtime_ms = (int64_t)downtime;
    s->worst_downtime_ms = (int64_t)worst;
    s->best_downtime_ms = (int64_t)best;
    return 0;
}

static int parse_status(const cJSON *root, struct vf_migration_status *s, struct vf_error **err)
{
    int rc = check_version(root, "statusVersion", VF_STATUS_VERSION, err);
    if (rc) {
        return rc;
    }
    size_t phase = find_name(root, "phase", phase_names, N_PHASES);
    if (phase == N_PHASES) {
        return vf_error_set(err, VF_INVALID, "it has no known phase");
    }
    s->phase = (enum vf_migration_phase)phase;
    rc = parse_texts(root, s, err);
    if (rc == 0) {
        rc = parse_numbers(root, s, err);
    }
    return rc ? rc : parse_disks(vf_json_array(root, "disks"), s, err);
}

int vf_migration_status_parse(const char *text, size_t len, struct vf_migration_status *ret,
                              struct vf_error **err)
{
    if (len > VF_STATUS_MAX_BYTES) {
        return vf_error_set(err, VF_INVALID, "the migration's status is larger than %zu KiB",
                            VF_STATUS_MAX_BYTES >> 10);
    }
    cJSON *root = NULL;
    struct vf_migration_status s = {0};
    int rc = vf_json_parse(text, len, "it", &root, err);
    if (rc == 0) {
        rc = parse_status(root, &s, err);
    }
    cJSON_Delete(root);
    if (rc) {
        vf_migration_status_release(&s);
        return vf_error_wrap(err, rc, "the migration's status");
    }
    *ret = s;
    return 0;
}

/* --- requests ----------------------------------------------------------------------------- */

char *vf_migration_request_encode(const struct vf_migration_request *r)
{
    cJSON *root = vf_json_new_object();
    vf_json_add_u64(root, "requestVersion", REQUEST_VERSION);
    vf_json_add_string(root, "kind", request_names[r->kind]);
    if (r->kind == VF_REQUEST_CANCEL) {
        vf_json_add_bool(root, "discard", r->discard);
    } else if (r->kind == VF_REQUEST_CUTOVER && r->at_s > 0) {
        put_number(root, "atUnixSeconds", (uint64_t)r->at_s);
    }
    char *text = vf_json_print(root, false);
    cJSON_Delete(root);
    return text;
}

static int parse_request(const cJSON *root, struct vf_migration_request *r, struct vf_error **err)
{
    uint64_t at = 0;
    const struct number_field numbers[] = {{"atUnixSeconds", &at, MAX_NUMBER}};
    int rc = check_version(root, "requestVersion", REQUEST_VERSION, err);
    if (rc) {
        return rc;
    }
    size_t kind = find_name(root, "kind", request_names, N_REQUESTS);
    const cJSON *discard = cJSON_GetObjectItemCaseSensitive(root, "discard");
    if (kind == N_REQUESTS || (discard && !cJSON_IsBool(discard)) ||
        (discard && kind != VF_REQUEST_CANCEL)) {
        return vf_error_set(err, VF_INVALID, "what is asked for makes no sense");
    }
    rc = take_numbers(root, numbers, COUNT_OF(numbers), err);
    if (rc == 0 && at > 0 && kind != VF_REQUEST_CUTOVER) {
        rc = vf_error_set(err, VF_INVALID, "a time is for a cutover alone");
    }
    if (rc == 0) {
        *r = (struct vf_migration_request){.kind = (enum vf_request_kind)kind,
                                           .discard = discard && cJSON_IsTrue(discard),
                                           .at_s = (int64_t)at};
    }
    return rc;
}

int vf_migration_request_parse(const char *text, size_t len, struct vf_migration_request *ret,
                               struct vf_error **err)
{
    if (len > REQUEST_MAX_BYTES) {
        return vf_error_set(err, VF_INVALID, "the request is larger than %u bytes",
                            REQUEST_MAX_BYTES);
    }
    cJSON *root = NULL;
    int rc = vf_json_parse(text, len, "it", &root, err);
    if (rc == 0) {
        rc = parse_request(root, ret, err);
        cJSON_Delete(root);
    }
    return vf_error_wrap(err, rc, "the request");
}
