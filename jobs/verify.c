#include "jobs/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/image.h"
#include "importer/base/mem.h"
#include "jobs/disk_digest.h"
#include "jobs/record.h"

static int verify_disk(const char *dir, const struct vf_record *record, size_t index,
                       struct vf_pool *pool, struct vf_reporter *reporter, struct vf_cancel *cancel,
                       struct vf_error **err)
{
    const struct vf_record_disk *d = &record->disks[index];
    char *vf_autofree path = vf_xasprintf("%s/%s", dir, d->file);
    char *vf_autofree digest = NULL;
    struct vf_progress progress = {.total_bytes = d->size_bytes};
    struct vf_disk *disk = NULL;

    if (!d->digest) {
        return vf_error_set(err, VF_MISSING,
                            "nothing says what \"%s\" must hold: it was copied without a digest",
                            path);
    }
    int rc = vf_image_open(path, d->format, &disk, NULL, err);
    if (rc) {
        return rc;
    }
    struct vf_event event = {.type = VF_EVENT_DISK_START,
                             .vm = record->vm,
                             .disk = (unsigned)index,
                             .name = d->label ? d->label : d->file,
                             .progress = &progress};
    vf_report(reporter, &event);
    if (disk->size_bytes != d->size_bytes) {
        rc = vf_error_set(err, VF_INVALID,
                          "\"%s\" is of %" PRIu64 " bytes, and the record says %" PRIu64, path,
                          disk->size_bytes, d->size_bytes);
    }
    if (rc == 0) {
        rc = vf_disk_compute_digest(disk, pool, &progress, cancel, &digest, err);
    }
    if (rc == 0 && strcmp(digest, d->digest) != 0) {
        rc = vf_error_set(err, VF_INVALID,
                          "\"%s\" differs from what was read from the source: it has %s, and the "
                          "record says %s",
                          path, digest, d->digest);
        vf_error_hint(err, "was the VM started from it, or the file damaged? import it again "
                           "with --overwrite");
    }
    vf_disk_free(disk);
    event.type = VF_EVENT_DISK_END;
    event.error = rc && err ? *err : NULL;
    vf_report(reporter, &event);
    return rc;
}

int vf_verify_run(const char *dir, unsigned threads, struct vf_reporter *reporter,
                  struct vf_cancel *cancel, struct vf_error **err)
{
    struct vf_record record = {0};
    int rc = vf_record_load(dir, &record, err);
    if (rc) {
        return rc;
    }
    struct vf_pool *pool = vf_pool_new(threads);
    if (!pool) {
        vf_record_release(&record);
        return vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    }
    unsigned n_bad = 0;
    struct vf_error *first = NULL;
    for (size_t i = 0; i < record.n_disks && rc != VF_CANCELLED; i++) {
        struct vf_cancel *child = vf_cancel_new(cancel);
        struct vf_error *e = NULL;
        rc = verify_disk(dir, &record, i, pool, reporter, child, &e);
        vf_cancel_free(child);
        if (rc == 0) {
            vf_report_info(reporter, record.vm, "\"%s\" is as it was read: %s",
                           record.disks[i].file, record.disks[i].digest);
        } else if (n_bad++ == 0) {
            vf_error_move(&first, &e);
        } else {
            char *vf_autofree text = vf_error_format(e);
            vf_report_warning(reporter, record.vm, "%s", text);
        }
        vf_error_free(e);
    }
    if (rc == VF_CANCELLED) {
        vf_cancel_check(cancel, err);
    } else if (n_bad > 0) {
        rc = vf_error_code(first);
        vf_error_wrap(&first, rc, "%u of %zu disks failed", n_bad, record.n_disks);
        vf_error_move(err, &first);
    }
    vf_error_free(first);
    vf_pool_free(pool);
    vf_record_release(&record);
    return rc;
}
