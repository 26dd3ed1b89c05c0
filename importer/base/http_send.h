/* A request whose body is pushed while it goes out: uploads of unknown length. Part of http.h.
 *
 * The body is chunked, over HTTP/1.1 also where the peer speaks HTTP/2, after "Expect:
 * 100-continue": a peer that refuses says so before the body comes. Nobody moves bytes but the
 * caller, and every write looks for an answer first, since a server may answer in the middle of a
 * body and then close (RFC 9110, section 10.1.1; RFC 9112, section 9.3).
 *
 * Threads: a send belongs to one thread at a time. Cancellation: every wait ends within a second.
 */
#ifndef IMPORTER_BASE_HTTP_SEND_H
#define IMPORTER_BASE_HTTP_SEND_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>

#include "importer/base/http.h"

struct vf_http_send;

/* The reason (vf_error_reason) of a failure after the whole body went out: the peer may have done
 * what was asked, and the answer is lost. */
#define VF_HTTP_REASON_ANSWER_LOST "AnswerLost"

/* `req` as for vf_http_open, POST unless it says otherwise; body and range are not looked at, and
 * the connection is never one that is kept alive (as with `once`). Returns when the peer said to go
 * on, kept silent for a second, or answered: the answer is then told by the first write. */
int vf_http_send_open(struct vf_http *h, const struct vf_http_request *req,
                      struct vf_http_send **ret_send, struct vf_error **err);

/* 0: taken (it may still be in a buffer of at most 64 KiB). 1: the peer has answered already, and
 * takes no more: go on to vf_http_send_finish. Else transport failures as of vf_http_fetch; a
 * connection that breaks is looked at for an answer first. */
int vf_http_send_write(struct vf_http_send *s, const void *buf, size_t len_bytes,
                       struct vf_error **err);

/* Ends the body, unless the peer has answered, and waits for the answer for as long as
 * answer_timeout_ms (0: the request's stall timeout). Any status is a success; a text that breaks
 * off behind it is taken as far as it came, since a peer that gives up on a body may break off. */
int vf_http_send_finish(struct vf_http_send *s, unsigned answer_timeout_ms,
                        struct vf_http_response *ret_response, struct vf_error **err);

/* Whether the body went out to its end, before the answer if there is one. */
bool vf_http_send_is_whole(const struct vf_http_send *s);

/* Breaks the request off unless it was finished. NULL is fine. */
void vf_http_send_free(struct vf_http_send *s);

#endif
