#include "converters/disk/qcow2_journal.h"

#include <string.h>

#include "importer/base/bytes.h"
#include "importer/base/file_io.h"
#include "importer/base/xxh64.h"

#define SLOT_DISTANCE 4096u

#define R_GENERATION 16
#define R_SIZE       24
#define R_CLUSTERS   32
#define R_CHECK      (QCOW2_RECORD_BYTES - 8)

static const char magic[16] = "vmferry-qcow2-1\n";

uint64_t qcow2_commit_offset(uint64_t generation)
{
    return SLOT_DISTANCE * (1 + generation % 2);
}

static uint64_t checksum(const uint8_t *record)
{
    struct vf_xxh64 x;
    vf_xxh64_init(&x);
    vf_xxh64_update(&x, record, R_CHECK);
    return vf_xxh64_get(&x);
}

void qcow2_commit_encode(const struct qcow2_commit *c, uint8_t record[QCOW2_RECORD_BYTES])
{
    memset(record, 0, QCOW2_RECORD_BYTES);
    memcpy(record, magic, sizeof magic);
    be64_store(record + R_GENERATION, c->generation);
    be64_store(record + R_SIZE, c->size_bytes);
    be64_store(record + R_CLUSTERS, c->clusters);
    be64_store(record + R_CHECK, checksum(record));
}

bool qcow2_commit_parse(const uint8_t record[QCOW2_RECORD_BYTES], struct qcow2_commit *ret)
{
    struct qcow2_commit c = {.generation = be64_load(record + R_GENERATION),
                             .size_bytes = be64_load(record + R_SIZE),
                             .clusters = be64_load(record + R_CLUSTERS)};
    uint8_t same[QCOW2_RECORD_BYTES];
    qcow2_commit_encode(&c, same);
    if (memcmp(record, same, sizeof same) != 0) {
        return false;
    }
    *ret = c;
    return true;
}

int qcow2_commit_write(int fd, const char *path, const struct qcow2_commit *c,
                       struct vf_error **err)
{
    uint8_t record[QCOW2_RECORD_BYTES];
    qcow2_commit_encode(c, record);
    return vf_file_pwrite(fd, path, record, sizeof record, qcow2_commit_offset(c->generation), err);
}

int qcow2_commit_read(int fd, const char *path, struct qcow2_commit *ret, struct vf_error **err)
{
    bool found = false;
    for (unsigned slot = 0; slot < 2; slot++) {
        uint8_t record[QCOW2_RECORD_BYTES];
        struct qcow2_commit c;
        size_t n;
        int rc =
            vf_file_pread_upto(fd, path, record, sizeof record, qcow2_commit_offset(slot), &n, err);
        if (rc) {
            return rc;
        }
        if (n == sizeof record && qcow2_commit_parse(record, &c) && c.generation % 2 == slot &&
            (!found || c.generation > ret->generation)) {
            *ret = c;
            found = true;
        }
    }
    return found ? 0
                 : vf_error_set(err, VF_INVALID, "\"%s\" was never flushed, or is no image of ours",
                                path);
}
