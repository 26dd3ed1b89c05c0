/* Bytes of a local file, a descriptor or standard input, in order. */
#ifndef IMPORTER_SOURCE_FILE_H
#define IMPORTER_SOURCE_FILE_H

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/stream.h>

/* `path` "-" is standard input. A regular file tells its size and must keep it: one that ends
 * earlier is VF_INVALID at that read. Pipes and sockets are waited for without a deadline, since
 * only the user knows how fast their other end is; cancellation ends the wait. Nothing is
 * buffered: read in large pieces. `cancel` may be NULL and must outlive the stream. VF_MISSING,
 * VF_AUTH, VF_CONFLICT for a directory. */
int vf_file_stream_open(const char *path, const struct vf_cancel *cancel,
                        struct vf_stream **ret_stream, struct vf_error **err);

/* As above from the descriptor's position on. The descriptor is taken, on failure too; `name` is
 * for errors. */
int vf_file_stream_from_fd(int fd, const char *name, const struct vf_cancel *cancel,
                           struct vf_stream **ret_stream, struct vf_error **err);

#endif
