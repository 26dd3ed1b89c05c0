/* Whole reads and writes at an offset, and zeroing without allocation, on a local file or block
 * device: what the sinks and disks that end in one share. `path` is for errors alone. Thread-safe.
 */
#ifndef IMPORTER_BASE_FILE_IO_H
#define IMPORTER_BASE_FILE_IO_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

/* A new file for reading and writing, locked (flock) as long as it is open, so that a partial image
 * tells whether its writer lives. VF_CONFLICT when the name exists, or another takes it at the same
 * time. *ret_fd is the caller's. */
int vf_file_create(const char *path, int *ret_fd, struct vf_error **err);

/* The file that an earlier run left, locked in the same way, for going on with it. VF_MISSING;
 * VF_CONFLICT when it is no regular file, or another writes it. *ret_fd is the caller's. */
int vf_file_reopen(const char *path, int *ret_fd, uint64_t *ret_size_bytes, struct vf_error **err);

/* fsync. Once it failed the kernel may have dropped what was to be written and forgets that it did:
 * that a later one succeeds says nothing. `failed` remembers it: 0 until the first failure. */
int vf_file_sync(int fd, const char *path, int *failed, struct vf_error **err);

int vf_file_pwrite(int fd, const char *path, const void *buf, size_t len_bytes,
                   uint64_t offset_bytes, struct vf_error **err);

/* A second descriptor of the same file for the bulk of the data, past the page cache: a copy is
 * larger than memory and is read by somebody else, so caching it costs much and serves nobody. */
struct vf_bulk {
    atomic_int fd; /* -1: the filesystem cannot; buffered writes serve then */
    size_t granule_bytes;
};

#define VF_BULK_ALIGN     4096u       /* of memory; of offset and length too, or a page if larger */
#define VF_BULK_MIN_BYTES (64u << 10) /* less is gathered better by the cache */

/* Of the very file or device that `fd` is, whatever its name means by now (it is opened by way of
 * /proc). Cannot fail. */
void vf_bulk_open(struct vf_bulk *b, int fd);
void vf_bulk_close(struct vf_bulk *b);

/* As vf_file_pwrite, by the bulk descriptor where alignment and filesystem let it. A page is never
 * written both ways at once, which a device would not survive: its direct writes take no lock. */
int vf_bulk_pwrite(struct vf_bulk *b, int fd, const char *path, const void *buf, size_t len_bytes,
                   uint64_t offset_bytes, struct vf_error **err);

/* *ret_n is less than len_bytes only at the end of the file. */
int vf_file_pread_upto(int fd, const char *path, void *buf, size_t len_bytes, uint64_t offset_bytes,
                       size_t *ret_n, struct vf_error **err);

/* VF_INVALID at a premature end of the file. */
int vf_file_pread(int fd, const char *path, void *buf, size_t len_bytes, uint64_t offset_bytes,
                  struct vf_error **err);

int vf_file_write_zeros(int fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
                        struct vf_error **err);

/* Make the range read as zero. What is a hole already costs one lseek; data is punched out, or
 * overwritten where the filesystem cannot punch. */
int vf_file_zero(int fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err);

#endif
