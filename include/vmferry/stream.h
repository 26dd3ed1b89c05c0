/* Contract: bytes that come in order, once. An NFC export, a member of an OVA, standard input.
 *
 * A stream is used by one thread at a time. Implementations embed `struct vf_stream` as their
 * first member.
 */
#ifndef VMFERRY_STREAM_H
#define VMFERRY_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

struct vf_stream;

struct vf_stream_ops {
    /* Read 1..len_bytes bytes into buf; *ret_n is what came, 0 only at a proper end of the stream.
     * An end that the protocol can tell to be premature is an error, never 0. Blocks with a
     * deadline of its own; returns VF_CANCELLED soon after a cancellation. */
    int (*read)(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                struct vf_error **err);
    void (*free)(struct vf_stream *s);
};

struct vf_stream {
    const struct vf_stream_ops *ops;
    int64_t size_bytes; /* -1: not told beforehand */
};

/* Fills buf wholly, or as far as the stream goes: *ret_n < len_bytes only at its end. */
int vf_stream_read_full(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                        struct vf_error **err);
void vf_stream_free(struct vf_stream *s); /* NULL is fine */

#endif
