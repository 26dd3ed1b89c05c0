#include "jobs/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/target/dir.h"

#define MAX_RECORD_BYTES (4u << 20)
#define MAX_DISKS        4096

void vf_record_release(struct vf_record *r)
{
    for (size_t i = 0; i < r->n_disks; i++) {
        free(r->disks[i].file);
        free(r->disks[i].format);
        free(r->disks[i].digest);
        free(r->disks[i].label);
        free(r->disks[i].source);
    }
    free(r->disks);
    free(r->vm);
    free(r->name);
    free(r->source_kind);
    free(r->source);
    free(r->moref);
    free(r->instance_uuid);
    *r = (struct vf_record){0};
}

char *vf_record_encode(const struct vf_record *r)
{
    char now[VF_CLOCK_RFC3339_SIZE];
    vf_clock_rfc3339(now);

    cJSON *root = vf_json_new_object();
    vf_json_add_u64(root, "recordVersion", VF_RECORD_VERSION);
    vf_json_add_string(root, "vmferryVersion", VF_VERSION);
    vf_json_add_string(root, "created", now);
    vf_json_add_string(root, "vm", r->vm);
    vf_json_add_string(root, "name", r->name);
    cJSON *source = vf_json_add_object(root, "source");
    vf_json_add_string(source, "kind", r->source_kind);
    vf_json_add_string(source, "from", r->source);
    vf_json_add_string(source, "moref", r->moref);
    vf_json_add_string(source, "instanceUuid", r->instance_uuid);
    if (r->snapshot) {
        cJSON *snapshot = vf_json_add_object(source, "snapshot");
        vf_json_add_bool(snapshot, "quiesced", r->quiesced);
    }
    cJSON *disks = vf_json_add_array(root, "disks");
    for (size_t i = 0; i < r->n_disks; i++) {
        const struct vf_record_disk *d = &r->disks[i];
        cJSON *disk = vf_json_append_object(disks);
        vf_json_add_string(disk, "file", d->file);
        vf_json_add_string(disk, "format", d->format);
        vf_json_add_u64(disk, "sizeBytes", d->size_bytes);
        vf_json_add_string(disk, "digest", d->digest);
        vf_json_add_string(disk, "label", d->label);
        vf_json_add_string(disk, "source", d->source);
    }
    char *vf_autofree text = vf_json_print(root, true);
    cJSON_Delete(root);
    return vf_xasprintf("%s\n", text);
}

static int parse_disk(const cJSON *json, size_t index, struct vf_record_disk *d,
                      struct vf_error **err)
{
    d->file = vf_xstrdup(vf_json_string(json, "file"));
    d->format = vf_xstrdup(vf_json_string(json, "format"));
    d->digest = vf_xstrdup(vf_json_string(json, "digest"));
    d->label = vf_xstrdup(vf_json_string(json, "label"));
    d->source = vf_xstrdup(vf_json_string(json, "source"));
    bool sized = vf_json_u64(json, "sizeBytes", &d->size_bytes);
    if (!d->file || !d->format || !sized) {
        return vf_error_set(err, VF_INVALID, "disk %zu lacks file, format or sizeBytes", index);
    }
    if (!d->file[0] || strchr(d->file, '/') || strcmp(d->file, "..") == 0 ||
        strcmp(d->file, ".") == 0) {
        return vf_error_set(err, VF_INVALID, "disk %zu names a file outside the folder", index);
    }
    if (strcmp(d->format, "raw") != 0 && strcmp(d->format, "qcow2") != 0) {
        return vf_error_set(err, VF_INVALID, "disk %zu has format \"%s\", not raw or qcow2", index,
                            d->format);
    }
    return 0;
}

static int parse_tree(const cJSON *root, struct vf_record *r, struct vf_error **err)
{
    uint64_t version = 0;
    if (!vf_json_u64(root, "recordVersion", &version) || version == 0) {
        return vf_error_set(err, VF_INVALID, "it has no recordVersion");
    }
    if (version != VF_RECORD_VERSION) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "it has version %" PRIu64 ", and this vmferry knows %d", version,
                            VF_RECORD_VERSION);
    }
    r->vm = vf_xstrdup(vf_json_string(root, "vm"));
    r->name = vf_xstrdup(vf_json_string(root, "name"));
    const cJSON *source = vf_json_object(root, "source");
    r->source_kind = vf_xstrdup(vf_json_string(source, "kind"));
    r->source = vf_xstrdup(vf_json_string(source, "from"));
    r->moref = vf_xstrdup(vf_json_string(source, "moref"));
    r->instance_uuid = vf_xstrdup(vf_json_string(source, "instanceUuid"));
    const cJSON *snapshot = vf_json_object(source, "snapshot");
    r->snapshot = snapshot != NULL;
    r->quiesced = vf_json_bool(snapshot, "quiesced", false);

    const cJSON *disks = vf_json_array(root, "disks");
    int n = disks ? cJSON_GetArraySize(disks) : 0;
    if (!disks) {
        return vf_error_set(err, VF_INVALID, "it lists no disks");
    }
    if (n > MAX_DISKS) {
        return vf_error_set(err, VF_INVALID, "it lists %d disks", n);
    }
    r->disks = vf_xcalloc((size_t)n, sizeof *r->disks);
    const cJSON *disk;
    cJSON_ArrayForEach(disk, disks)
    {
        int rc = parse_disk(disk, r->n_disks, &r->disks[r->n_disks], err);
        r->n_disks++;
        if (rc) {
            return rc;
        }
    }
    return 0;
}

int vf_record_parse(const char *text, size_t len, struct vf_record *ret_record,
                    struct vf_error **err)
{
    struct vf_record r = {0};
    cJSON *root = NULL;
    int rc = vf_json_parse(text, len, "the record", &root, err);
    if (rc) {
        return rc;
    }
    rc = parse_tree(root, &r, err);
    cJSON_Delete(root);
    if (rc) {
        vf_record_release(&r);
        return rc;
    }
    *ret_record = r;
    return 0;
}

static int read_file(const char *path, struct vf_buf *b, struct vf_error **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    char part[16384];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0 && vf_buf_append(b, part, (size_t)n)) {
    }
    int rc = 0;
    if (n < 0) {
        rc = vf_error_set_errno(err, errno, "cannot read \"%s\"", path);
    } else if (b->overflow) {
        rc = vf_error_set(err, VF_INVALID, "\"%s\" is too large for a record", path);
    }
    close(fd);
    return rc;
}

int vf_record_load(const char *dir, struct vf_record *ret_record, struct vf_error **err)
{
    char *vf_autofree path = vf_xasprintf("%s/%s", dir, VF_RECORD_NAME);
    struct vf_buf b;
    vf_buf_init(&b, MAX_RECORD_BYTES);
    int rc = read_file(path, &b, err);
    if (rc == VF_MISSING) {
        vf_error_hint(err, "a folder without %s holds no finished import", VF_RECORD_NAME);
    }
    if (rc == 0) {
        rc = vf_record_parse(b.data ? b.data : "", b.len, ret_record, err);
        if (rc) {
            rc = vf_error_wrap(err, rc, "record \"%s\"", path);
        }
    }
    vf_buf_release(&b);
    return rc;
}
