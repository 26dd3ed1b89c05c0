#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"
#include "importer/base/xxh64.h"
#include "importer/vsphere/change_id.h"
#include "jobs/checkpoint.h"
#include "jobs/checkpoint_private.h"

#define SECTOR_BYTES     512u
#define MAX_DISKS        1024
#define MAX_STRING_BYTES 1024

#define CHECK_HEAD   ",\"check\":\"xxh64-"
#define CHECK_DIGITS 16
#define CHECK_BYTES  (sizeof CHECK_HEAD - 1 + CHECK_DIGITS + 2) /* with "\"}" */
/* The key of the areas with its quotes, comma and colon. */
#define DONE_KEY_BYTES sizeof ",\"done\":\"\""

/* The shortest area: "1,1,". */
#define MIN_AREA_BYTES 4

static const char *const phase_names[] = {"full", "delta", "complete"};
static const char *const stage_names[] = {"precopy", "cutover", "delivered"};
#define N_NAMES 3 /* of either */

/* The seal: ,"check":"xxh64-HEX" over all bytes before it. */

static void check_of(const char *text, size_t len, char digits[CHECK_DIGITS + 1])
{
    struct vf_xxh64 x;
    vf_xxh64_init(&x);
    vf_xxh64_update(&x, text, len);
    snprintf(digits, CHECK_DIGITS + 1, "%016" PRIx64, vf_xxh64_get(&x));
}

char *vf_checkpoint_seal(const char *text, size_t len)
{
    char digits[CHECK_DIGITS + 1];
    len = len ? len - 1 : 0; /* without the brace */
    check_of(text, len, digits);
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_append(&b, text, len);
    vf_buf_printf(&b, CHECK_HEAD "%s\"}", digits);
    return vf_buf_take_string(&b);
}

static int check_seal(const char *text, size_t len, struct vf_error **err)
{
    if (len <= CHECK_BYTES ||
        memcmp(text + len - CHECK_BYTES, CHECK_HEAD, sizeof CHECK_HEAD - 1) != 0) {
        return vf_error_set(err, VF_INVALID, "it ends without its checksum: it was cut off");
    }
    size_t body = len - CHECK_BYTES;
    char digits[CHECK_DIGITS + 1];
    check_of(text, body, digits);
    if (memcmp(text + body + sizeof CHECK_HEAD - 1, digits, CHECK_DIGITS) != 0) {
        return vf_error_set(err, VF_INVALID, "its checksum is wrong: it was damaged or altered");
    }
    return 0;
}

/* Areas: "GAP,LENGTH,GAP,LENGTH", hexadecimal, in sectors; each gap is counted from the end of the
 * area before. The last sector of a disk may be a part of one. */

static uint64_t sectors_of(uint64_t size_bytes)
{
    return size_bytes / SECTOR_BYTES + (size_bytes % SECTOR_BYTES != 0);
}

static char *print_areas(const struct vf_areas *s)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    uint64_t end = 0;
    struct vf_area a;
    while (vf_areas_next(s, end * SECTOR_BYTES, &a)) {
        uint64_t begin = a.offset_bytes / SECTOR_BYTES, n = sectors_of(a.length_bytes);
        vf_buf_printf(&b, "%s%" PRIx64 ",%" PRIx64, b.len ? "," : "", begin - end, n);
        end = begin + n;
    }
    return vf_buf_take_string(&b);
}

/* In at most max_bytes; NULL when nothing is left. */
static char *encode_areas(const struct vf_checkpoint_disk *d, size_t max_bytes)
{
    if (max_bytes < MIN_AREA_BYTES || d->done.count == 0) {
        return NULL;
    }
    struct vf_areas s;
    vf_areas_init(&s, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);
    vf_areas_copy(&s, &d->done, NULL); /* cannot fail under this rule */
    vf_areas_shrink(&s, SECTOR_BYTES, d->size_bytes);
    vf_areas_limit(&s, max_bytes / MIN_AREA_BYTES);
    char *text = print_areas(&s);
    for (size_t len; text[0] && (len = strlen(text)) > max_bytes;) {
        /* A little fewer than would fit now: gaps grow when areas go. */
        size_t most = (size_t)((double)s.count * ((double)max_bytes / (double)len) * 0.95);
        if (most == 0) {
            vf_areas_clear(&s);
        }
        vf_areas_limit(&s, most);
        free(text);
        text = print_areas(&s);
    }
    vf_areas_release(&s);
    if (!text[0]) {
        free(text);
        return NULL;
    }
    return text;
}

/* One number as encode_areas writes it, and what ends it: ',' or NUL. */
static bool parse_hex(const char **at, uint64_t *ret)
{
    static const char digits[] = "0123456789abcdef";
    const char *s = *at;
    uint64_t v = 0;
    size_t n = 0;
    for (const char *digit; *s && (digit = strchr(digits, *s)); s++) {
        v = v << 4 | (uint64_t)(digit - digits);
        n++;
    }
    bool plain = n > 0 && n <= 15 && !(n > 1 && **at == '0');
    *at = s + (*s == ',');
    *ret = v;
    return plain && (*s == '\0' || (*s == ',' && s[1]));
}

static int parse_areas(const char *text, struct vf_checkpoint_disk *d, struct vf_error **err)
{
    uint64_t end = 0, sectors = sectors_of(d->size_bytes);
    while (*text) {
        uint64_t gap, n;
        bool well = parse_hex(&text, &gap) && *text && parse_hex(&text, &n) && n > 0 &&
                    (gap > 0 || end == 0) && gap <= sectors - end && n <= sectors - end - gap;
        if (!well || d->done.count == VF_AREAS_MAX_DEFAULT) {
            return vf_error_set(err, VF_INVALID, "its done areas make no sense");
        }
        uint64_t offset = (end + gap) * SECTOR_BYTES, length = n * SECTOR_BYTES;
        length = length < d->size_bytes - offset ? length : d->size_bytes - offset;
        int rc = vf_areas_add(&d->done, offset, length, err);
        if (rc) {
            return rc;
        }
        end += gap + n;
    }
    return 0;
}

static void encode_disk(cJSON *json, const struct vf_checkpoint_disk *d, size_t areas_bytes)
{
    vf_json_add_u64(json, "key", (uint64_t)d->key);
    vf_json_add_string(json, "label", d->label);
    vf_json_add_string(json, "target", d->target);
    vf_json_add_string(json, "backingUuid", d->backing_uuid);
    vf_json_add_u64(json, "sizeBytes", d->size_bytes);
    vf_json_add_string(json, "phase", phase_names[d->phase]);
    vf_json_add_u64(json, "round", d->round);
    vf_json_add_string(json, "snapshot", d->snapshot);
    vf_json_add_string(json, "changeId", d->change_id);
    vf_json_add_string(json, "baseChangeId", d->base_change_id);
    vf_json_add_u64(json, "roundBytes", d->round_bytes);
    vf_json_add_u64(json, "copiedBytes", d->copied_bytes);
    vf_json_add_string(json, "roundStarted", d->round_started);
    char *vf_autofree done = encode_areas(d, areas_bytes);
    vf_json_add_string(json, "done", done);
}

/* Within what parse takes. */
static uint64_t to_count(int64_t v)
{
    uint64_t n = v > 0 ? (uint64_t)v : 0;
    return n < VF_CHECKPOINT_MAX_COUNT ? n : VF_CHECKPOINT_MAX_COUNT;
}

static void encode_rounds(cJSON *root, const struct vf_checkpoint *c)
{
    cJSON *rounds = c->n_rounds ? vf_json_add_array(root, "rounds") : NULL;
    for (size_t i = 0; i < c->n_rounds; i++) {
        const struct vf_round *r = &c->rounds[i];
        cJSON *json = vf_json_append_object(rounds);
        vf_json_add_u64(json, "bytes",
                        r->bytes < VF_CHECKPOINT_MAX_COUNT ? r->bytes : VF_CHECKPOINT_MAX_COUNT);
        vf_json_add_u64(json, "spanMs", to_count(r->span_ms));
        vf_json_add_u64(json, "copyMs", to_count(r->copy_ms));
        vf_json_add_u64(json, "overheadMs", to_count(r->overhead_ms));
    }
}

/* Each running disk's areas in at most areas_bytes. */
static char *encode(const struct vf_checkpoint *c, size_t areas_bytes)
{
    cJSON *root = vf_json_new_object();
    vf_json_add_u64(root, "checkpointVersion", VF_CHECKPOINT_VERSION);
    cJSON *vm = vf_json_add_object(root, "vm");
    vf_json_add_string(vm, "instanceUuid", c->instance_uuid);
    vf_json_add_string(vm, "moref", c->moref);
    vf_json_add_string(vm, "name", c->vm_name);
    vf_json_add_string(root, "updated", c->updated);
    vf_json_add_string(root, "stage", stage_names[c->stage]);
    vf_json_add_bool(root, "sourceWasOn", c->was_on);
    if (c->cutover_s > 0) {
        vf_json_add_u64(root, "cutoverUnixSeconds", to_count(c->cutover_s));
    }
    cJSON *disks = vf_json_add_array(root, "disks");
    for (size_t i = 0; i < c->n_disks; i++) {
        encode_disk(vf_json_append_object(disks), &c->disks[i], areas_bytes);
    }
    encode_rounds(root, c);
    char *vf_autofree text = vf_json_print(root, false);
    cJSON_Delete(root);
    return vf_checkpoint_seal(text, strlen(text));
}

static bool is_short(const char *s)
{
    return !s || strnlen(s, MAX_STRING_BYTES + 1) <= MAX_STRING_BYTES;
}

/* What both directions ask of a disk. */
static int check_disk(const struct vf_checkpoint_disk *d, struct vf_error **err)
{
    if (d->key < 0 || !d->target || !d->target[0] || !d->snapshot || !d->snapshot[0] ||
        !d->round_started) {
        return vf_error_set(err, VF_INVALID,
                            "it has no key, target, snapshot or start of its round");
    }
    if (!is_short(d->label) || !is_short(d->target) || !is_short(d->backing_uuid) ||
        !is_short(d->snapshot) || !is_short(d->round_started)) {
        return vf_error_set(err, VF_INVALID, "it has a text of more than %d bytes",
                            MAX_STRING_BYTES);
    }
    if (d->size_bytes == 0 || d->size_bytes > VF_CHECKPOINT_MAX_COUNT) {
        return vf_error_set(err, VF_INVALID, "its size is %" PRIu64 " bytes", d->size_bytes);
    }
    if (d->round_bytes > VF_CHECKPOINT_MAX_COUNT || d->copied_bytes > VF_CHECKPOINT_MAX_COUNT) {
        return vf_error_set(err, VF_INVALID, "it counts more bytes than there can be");
    }
    struct vf_change_id base, id;
    if (d->change_id && vf_change_id_parse(d->change_id, &id, NULL)) {
        return vf_error_set(err, VF_INVALID, "its change ID is none");
    }
    bool delta = d->phase == VF_CHECKPOINT_DELTA;
    if (delta != (d->base_change_id != NULL) || (delta && !d->change_id) ||
        (d->phase == VF_CHECKPOINT_FULL && d->round != 0) ||
        (d->phase == VF_CHECKPOINT_COMPLETE && d->done.count > 0)) {
        return vf_error_set(err, VF_INVALID, "what it says does not fit phase \"%s\"",
                            phase_names[d->phase]);
    }
    if (delta) {
        enum vf_change_order order = vf_change_id_parse(d->base_change_id, &base, NULL)
                                         ? VF_CHANGE_FOREIGN
                                         : vf_change_id_compare(&base, &id);
        if (order != VF_CHANGE_SAME && order != VF_CHANGE_LATER) {
            return vf_error_set(err, VF_INVALID, "its change IDs do not follow on each other");
        }
    }
    return 0;
}

static int check_whole(const struct vf_checkpoint *c, struct vf_error **err)
{
    if (!c->instance_uuid || !c->instance_uuid[0]) {
        return vf_error_set(err, VF_INVALID, "it names no VM");
    }
    if (!is_short(c->instance_uuid) || !is_short(c->moref) || !is_short(c->vm_name) ||
        !is_short(c->updated)) {
        return vf_error_set(err, VF_INVALID, "it has a text of more than %d bytes",
                            MAX_STRING_BYTES);
    }
    for (size_t i = 0; i < c->n_disks; i++) {
        int rc = check_disk(&c->disks[i], err);
        if (rc == 0 && vf_checkpoint_find_disk(c, c->disks[i].key) != &c->disks[i]) {
            rc = vf_error_set(err, VF_INVALID, "another has the same key");
        }
        if (rc) {
            return vf_error_wrap(err, rc, "disk %zu", i);
        }
    }
    return 0;
}

int vf_checkpoint_encode(const struct vf_checkpoint *c, size_t max_bytes, char **ret_text,
                         struct vf_error **err)
{
    int rc = check_whole(c, err);
    if (rc) {
        return vf_error_wrap(err, rc, "checkpoint");
    }
    char *text = encode(c, 0);
    size_t least = strlen(text), running = 0;
    for (size_t i = 0; i < c->n_disks; i++) {
        running += c->disks[i].done.count > 0;
    }
    if (least > max_bytes || c->n_disks > MAX_DISKS) {
        free(text);
        return vf_error_set(err, VF_SPACE,
                            "the checkpoint of %zu disks takes %zu bytes, and %zu is the most",
                            c->n_disks, least, max_bytes);
    }
    size_t share = running ? (max_bytes - least) / running : 0;
    if (share > DONE_KEY_BYTES) {
        free(text);
        text = encode(c, share - DONE_KEY_BYTES);
    }
    *ret_text = text;
    return 0;
}

/* A copy of ours, in UTF-8; NULL when absent. */
static char *take_string(const cJSON *json, const char *key)
{
    const char *s = vf_json_string(json, key);
    return s ? vf_utf8_clean(s) : NULL;
}

/* The index of the text `key` in `names`; N_NAMES when it is none of them. */
static size_t find_name(const cJSON *json, const char *key, const char *const names[N_NAMES])
{
    const char *text = vf_json_string(json, key);
    size_t i = 0;
    while (i < N_NAMES && (!text || strcmp(text, names[i]) != 0)) {
        i++;
    }
    return i;
}

static int parse_disk(const cJSON *json, struct vf_checkpoint_disk *d, struct vf_error **err)
{
    d->label = take_string(json, "label");
    d->target = take_string(json, "target");
    d->backing_uuid = take_string(json, "backingUuid");
    d->snapshot = take_string(json, "snapshot");
    d->change_id = take_string(json, "changeId");
    d->base_change_id = take_string(json, "baseChangeId");
    d->round_started = take_string(json, "roundStarted");
    vf_areas_init(&d->done, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);

    uint64_t key, round;
    if (!vf_json_u64(json, "key", &key) || key > INT32_MAX || !vf_json_u64(json, "round", &round) ||
        round > UINT32_MAX || !vf_json_u64(json, "sizeBytes", &d->size_bytes) ||
        !vf_json_u64(json, "roundBytes", &d->round_bytes) ||
        !vf_json_u64(json, "copiedBytes", &d->copied_bytes)) {
        return vf_error_set(err, VF_INVALID, "it lacks a number, or has a bad one");
    }
    d->key = (int32_t)key;
    d->round = (uint32_t)round;

    size_t phase = find_name(json, "phase", phase_names);
    if (phase == N_NAMES) {
        return vf_error_set(err, VF_INVALID, "it has no known phase");
    }
    d->phase = (enum vf_checkpoint_phase)phase;
    if (d->size_bytes > VF_CHECKPOINT_MAX_COUNT) {
        return vf_error_set(err, VF_INVALID, "its size is %" PRIu64 " bytes", d->size_bytes);
    }
    const char *done = vf_json_string(json, "done");
    return done ? parse_areas(done, d, err) : 0;
}

static int parse_rounds(const cJSON *rounds, struct vf_checkpoint *c, struct vf_error **err)
{
    const cJSON *json;
    cJSON_ArrayForEach(json, rounds)
    {
        uint64_t bytes, span, copy, overhead;
        if (c->n_rounds == VF_CHECKPOINT_MAX_ROUNDS || !vf_json_u64(json, "bytes", &bytes) ||
            !vf_json_u64(json, "spanMs", &span) || !vf_json_u64(json, "copyMs", &copy) ||
            !vf_json_u64(json, "overheadMs", &overhead)) {
            return vf_error_set(err, VF_INVALID, "its rounds make no sense");
        }
        c->rounds[c->n_rounds++] =
            (struct vf_round){bytes, (int64_t)span, (int64_t)copy, (int64_t)overhead};
    }
    return 0;
}

static int parse_stage(const cJSON *root, struct vf_checkpoint *c, struct vf_error **err)
{
    size_t stage = find_name(root, "stage", stage_names);
    if (stage == N_NAMES || !cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(root, "sourceWasOn"))) {
        return vf_error_set(err, VF_INVALID,
                            "it does not say how far the cutover is, or whether the source was on");
    }
    uint64_t cutover_s = 0;
    if (cJSON_GetObjectItemCaseSensitive(root, "cutoverUnixSeconds") &&
        (!vf_json_u64(root, "cutoverUnixSeconds", &cutover_s) ||
         cutover_s > VF_CHECKPOINT_MAX_COUNT)) {
        return vf_error_set(err, VF_INVALID, "the time of its cutover is none");
    }
    c->cutover_s = (int64_t)cutover_s;
    c->stage = (enum vf_checkpoint_stage)stage;
    c->was_on = vf_json_bool(root, "sourceWasOn", false);
    return 0;
}

static int parse_tree(const cJSON *root, struct vf_checkpoint *c, struct vf_error **err)
{
    uint64_t version = 0;
    if (!vf_json_u64(root, "checkpointVersion", &version) || version == 0) {
        return vf_error_set(err, VF_INVALID, "it has no checkpointVersion");
    }
    if (version != VF_CHECKPOINT_VERSION) {
        vf_error_set(err, VF_UNSUPPORTED, "it has version %" PRIu64 ", and this vmferry knows %d",
                     version, VF_CHECKPOINT_VERSION);
        vf_error_hint(err, "go on with the vmferry that began, or start anew");
        return VF_UNSUPPORTED;
    }
    const cJSON *vm = vf_json_object(root, "vm");
    c->instance_uuid = take_string(vm, "instanceUuid");
    c->moref = take_string(vm, "moref");
    c->vm_name = take_string(vm, "name");
    c->updated = take_string(root, "updated");

    const cJSON *disks = vf_json_array(root, "disks");
    int n = disks ? cJSON_GetArraySize(disks) : 0;
    if (n < 1 || n > MAX_DISKS) {
        return vf_error_set(err, VF_INVALID, "it lists %d disks", n);
    }
    c->disks = vf_xcalloc((size_t)n, sizeof *c->disks);
    const cJSON *disk;
    cJSON_ArrayForEach(disk, disks)
    {
        int rc = parse_disk(disk, &c->disks[c->n_disks++], err);
        if (rc) {
            return vf_error_wrap(err, rc, "disk %zu", c->n_disks - 1);
        }
    }
    int rc = parse_rounds(vf_json_array(root, "rounds"), c, err);
    if (rc == 0) {
        rc = parse_stage(root, c, err);
    }
    return rc ? rc : check_whole(c, err);
}

int vf_checkpoint_parse(const char *text, size_t len, struct vf_checkpoint *ret_checkpoint,
                        struct vf_error **err)
{
    while (len > 0 && memchr(" \t\r\n", text[len - 1], 4)) {
        len--;
    }
    if (len > VF_CHECKPOINT_MAX_BYTES) {
        return vf_error_set(err, VF_INVALID, "the checkpoint is larger than %zu KiB",
                            VF_CHECKPOINT_MAX_BYTES >> 10);
    }
    cJSON *root = NULL;
    struct vf_checkpoint c = {0};
    int rc = check_seal(text, len, err);
    if (rc == 0) {
        rc = vf_json_parse(text, len, "it", &root, err);
    }
    if (rc == 0) {
        rc = parse_tree(root, &c, err);
    }
    cJSON_Delete(root);
    if (rc) {
        vf_checkpoint_release(&c);
        return vf_error_wrap(err, rc, "checkpoint");
    }
    *ret_checkpoint = c;
    return 0;
}
