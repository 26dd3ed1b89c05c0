/* An HTTP/1.1 server for tests, plain or with TLS, on a free port of 127.0.0.1: a thread a
 * connection, answers written byte by byte by a handler, so that any misbehaviour can be had.
 * Failures of the server itself abort the test program.
 */
#ifndef TESTS_SUPPORT_HTTP_SERVER_H
#define TESTS_SUPPORT_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vf_test_server_kind {
    VF_TEST_PLAIN,
    VF_TEST_TLS,             /* signed by a CA of its own, for 127.0.0.1 and localhost */
    VF_TEST_TLS_SELF_SIGNED, /* for the right names */
    VF_TEST_TLS_WRONG_NAME,  /* signed by the CA, for "elsewhere.test" */
    VF_TEST_TLS_EXPIRED,     /* signed by the CA, until yesterday */
    VF_TEST_TLS_MUTUAL,      /* as TLS, and asks for a client certificate of the CA; none is fine */
    VF_TEST_SILENT,          /* takes connections and never says a word */
    VF_TEST_GIBBERISH,       /* answers the first bytes with something that is neither */
};

struct vf_test_server;

/* One request; all borrowed. */
struct vf_test_exchange {
    const char *method;
    const char *target;
    const char *head; /* request line and headers */
    const char *body;
    size_t body_len;
    const char *server_name; /* what TLS's client named (SNI); NULL: nothing */
    const char *client_name; /* common name of its certificate; NULL: it showed none */
    bool close;              /* set by the handler: no further request on this connection */
    struct vf_test_connection *connection;
};

/* Called by the connection's thread. */
typedef void vf_test_handler(struct vf_test_exchange *x, void *opaque);

struct vf_test_server *vf_test_server_start(enum vf_test_server_kind kind, vf_test_handler *handler,
                                            void *opaque);
void vf_test_server_stop(struct vf_test_server *s); /* ends all connections and waits for them */

/* "https://127.0.0.1:PORT" */
const char *vf_test_server_url(const struct vf_test_server *s);
unsigned vf_test_server_port(const struct vf_test_server *s);
/* Of the leaf, "AA:BB:..."; and of the CA in a temporary file. */
const char *vf_test_server_sha1(const struct vf_test_server *s);
const char *vf_test_server_sha256(const struct vf_test_server *s);
const char *vf_test_server_ca_file(const struct vf_test_server *s);
/* The CA as text; and a certificate with its key that the CA signs for a client. Caller frees. */
char *vf_test_server_ca_pem(const struct vf_test_server *s);
void vf_test_server_issue(const struct vf_test_server *s, const char *common_name,
                          char **ret_cert_pem, char **ret_key_pem);

unsigned vf_test_server_connections(struct vf_test_server *s);
unsigned vf_test_server_requests(struct vf_test_server *s);
/* Waits until that many connections were taken, or requests read; false after 10 s. */
bool vf_test_server_await_connections(struct vf_test_server *s, unsigned n);
bool vf_test_server_await_requests(struct vf_test_server *s, unsigned n);

/* For handlers. Sending to a peer that went away does nothing. */
void vf_test_send(struct vf_test_exchange *x, const void *data, size_t len);
void vf_test_printf(struct vf_test_exchange *x, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A whole answer with Content-Length. */
void vf_test_answer(struct vf_test_exchange *x, int status, const char *headers, const char *body);
/* The end of the connection as a reset. */
void vf_test_reset(struct vf_test_exchange *x);
/* The end of the connection without TLS's close_notify. */
void vf_test_cut(struct vf_test_exchange *x);
/* Does nothing until the peer goes away or the server is stopped. */
void vf_test_hang(struct vf_test_exchange *x);
/* Takes nothing more and says nothing until the peer goes away or the server is stopped. */
void vf_test_stall(struct vf_test_exchange *x);
/* Takes and drops what comes until the peer goes away or the server is stopped. */
void vf_test_drop(struct vf_test_exchange *x);
/* Some of a chunked body, which is not read before the handler is called: its bytes, 0 at its end,
 * -1 when the connection is over. */
ptrdiff_t vf_test_read_chunked(struct vf_test_exchange *x, void *buf, size_t cap);
/* Lets time pass between two parts of an answer; less when the server is stopped. */
void vf_test_pause(struct vf_test_exchange *x, int ms);
/* Of a header in the request; heap, NULL when absent. */
char *vf_test_header(const struct vf_test_exchange *x, const char *name);
/* As a proxy: connects to "host:port" on 127.0.0.1 and passes bytes both ways to the end. */
void vf_test_tunnel(struct vf_test_exchange *x, unsigned port);

#endif
