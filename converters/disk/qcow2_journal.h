/* What an unfinished qcow2 image of ours says of itself: how much of it a flush made durable.
 *
 * Two records stand in the header's cluster, behind what the header will fill, and are written in
 * turn, so that one is whole whatever becomes of the other. A record is a sector of 512 bytes,
 * big-endian: 16 bytes magic, u64 generation, u64 size of the disk in bytes, u64 number of clusters
 * in the file, zeros, and XXH64 of all that before. They lie 4 KiB apart, since a device may lose
 * a whole physical sector in a power loss.
 */
#ifndef CONVERTERS_DISK_QCOW2_JOURNAL_H
#define CONVERTERS_DISK_QCOW2_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

#define QCOW2_RECORD_BYTES 512u

struct qcow2_commit {
    uint64_t generation; /* from 1 */
    uint64_t size_bytes; /* of the disk */
    uint64_t clusters;   /* of the file: what lies behind is not durable */
};

/* Where the record of this generation stands. */
uint64_t qcow2_commit_offset(uint64_t generation);

void qcow2_commit_encode(const struct qcow2_commit *c, uint8_t record[QCOW2_RECORD_BYTES]);
/* False for anything that encode does not write. */
bool qcow2_commit_parse(const uint8_t record[QCOW2_RECORD_BYTES], struct qcow2_commit *ret);

/* Not durable before the file is synced. */
int qcow2_commit_write(int fd, const char *path, const struct qcow2_commit *c,
                       struct vf_error **err);

/* The newest whole one; VF_INVALID when there is none: no flush ever came back. */
int qcow2_commit_read(int fd, const char *path, struct qcow2_commit *ret, struct vf_error **err);

#endif
