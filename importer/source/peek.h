/* A stream whose first bytes may be looked at before it is read. */
#ifndef IMPORTER_SOURCE_PEEK_H
#define IMPORTER_SOURCE_PEEK_H

#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/stream.h>

/* `in` is taken, on failure too. Up to len_bytes (at most 64 KiB) are read ahead; *ret_head is
 * borrowed from the stream, *ret_len less than len_bytes only when the stream is that short. */
int vf_peek_open(struct vf_stream *in, size_t len_bytes, struct vf_stream **ret_stream,
                 const void **ret_head, size_t *ret_len, struct vf_error **err);

#endif
