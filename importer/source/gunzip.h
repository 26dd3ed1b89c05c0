/* Take a gzip wrapper (RFC 1952) off a stream, if there is one. */
#ifndef IMPORTER_SOURCE_GUNZIP_H
#define IMPORTER_SOURCE_GUNZIP_H

#include <vmferry/error.h>
#include <vmferry/stream.h>

/* Looks at the first two bytes of `in` (taken, on failure too). gzip: the stream returned gives
 * the content, checks the CRC-32 and length of each member and takes several members one after
 * another; a cut or damaged one, and bytes behind the last, are VF_INVALID at that read. Anything
 * else comes through as it is. Either way more than max_output_bytes is VF_SPACE. `name` is for
 * errors. */
int vf_gunzip_open(struct vf_stream *in, const char *name, uint64_t max_output_bytes,
                   struct vf_stream **ret_stream, struct vf_error **err);

#endif
