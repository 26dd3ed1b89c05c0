#include "tests/support/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/certificate.h"
#include "tests/support/check.h"

#define MAX_CONNECTIONS 1024
#define MAX_HEAD_BYTES  65536
#define MAX_BODY_BYTES  (256u << 20)

struct vf_test_connection {
    struct vf_test_server *server;
    pthread_t thread;
    int fd;
    SSL *ssl; /* NULL: plain */
    char client_name[64];
    bool broken;
    char head[MAX_HEAD_BYTES + 1];
    size_t head_len;
    size_t chunk_left; /* of the chunk that is being read */
    bool chunks_begun; /* a line end stands before the next size */
    bool chunks_ended;
};

struct vf_test_server {
    enum vf_test_server_kind kind;
    vf_test_handler *handler;
    void *opaque;
    int fd;
    int stop_fd; /* readable: stop */
    unsigned port;
    char url[64];
    SSL_CTX *ctx;
    struct vf_test_certificate ca, leaf;
    char *sha1, *sha256, *ca_file;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct vf_test_connection *connections[MAX_CONNECTIONS];
    unsigned n_connections, n_requests;
};

/* False: the server stops or the time is over. */
static bool await_fd(struct vf_test_server *s, int fd, short events, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = s->stop_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    while (poll(fds, 2, timeout_ms) < 0) {
        vf_test_check(errno == EINTR);
    }
    return !fds[0].revents && fds[1].revents;
}

static ssize_t receive(struct vf_test_connection *c, void *buf, size_t len)
{
    if (!(c->ssl && SSL_pending(c->ssl)) && !await_fd(c->server, c->fd, POLLIN, -1)) {
        return 0;
    }
    return c->ssl ? SSL_read(c->ssl, buf, (int)len) : recv(c->fd, buf, len, 0);
}

void vf_test_send(struct vf_test_exchange *x, const void *data, size_t len)
{
    struct vf_test_connection *c = x->connection;
    const char *at = data;
    while (len && !c->broken) {
        size_t part = len < 65536 ? len : 65536;
        ssize_t n = c->ssl ? SSL_write(c->ssl, at, (int)part) : send(c->fd, at, part, MSG_NOSIGNAL);
        if (n <= 0) {
            c->broken = true;
            return;
        }
        at += n;
        len -= (size_t)n;
    }
}

void vf_test_printf(struct vf_test_exchange *x, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    vf_test_check(n >= 0);
    vf_test_send(x, text, (size_t)n);
    free(text);
}

void vf_test_answer(struct vf_test_exchange *x, int status, const char *headers, const char *body)
{
    vf_test_printf(x, "HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n%s\r\n", status, strlen(body),
                   headers ? headers : "");
    if (strcmp(x->method, "HEAD") != 0) {
        vf_test_send(x, body, strlen(body));
    }
}

void vf_test_reset(struct vf_test_exchange *x)
{
    struct linger hard = {.l_onoff = 1};
    setsockopt(x->connection->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    x->connection->broken = true;
    x->close = true;
}

void vf_test_cut(struct vf_test_exchange *x)
{
    x->connection->broken = true;
}

void vf_test_hang(struct vf_test_exchange *x)
{
    await_fd(x->connection->server, x->connection->fd, POLLIN | POLLRDHUP, -1);
    x->close = true;
}

void vf_test_stall(struct vf_test_exchange *x)
{
    await_fd(x->connection->server, x->connection->fd, POLLRDHUP, -1);
    x->close = true;
}

void vf_test_drop(struct vf_test_exchange *x)
{
    char bytes[65536];
    while (receive(x->connection, bytes, sizeof bytes) > 0) {
    }
    x->close = true;
}

/* What was read with the head comes first. */
static ssize_t receive_rest(struct vf_test_connection *c, void *buf, size_t cap)
{
    if (c->head_len == 0) {
        return receive(c, buf, cap);
    }
    size_t n = c->head_len < cap ? c->head_len : cap;
    memcpy(buf, c->head, n);
    memmove(c->head, c->head + n, c->head_len - n);
    c->head_len -= n;
    return (ssize_t)n;
}

static bool read_line(struct vf_test_connection *c, char *line, size_t cap)
{
    for (size_t n = 0; n + 1 < cap; n++) {
        if (receive_rest(c, line + n, 1) != 1) {
            return false;
        }
        if (line[n] == '\n') {
            line[n] = '\0';
            return true;
        }
    }
    return false;
}

static bool read_chunk_size(struct vf_test_connection *c)
{
    char line[64];
    if (c->chunks_begun && !read_line(c, line, sizeof line)) {
        return false;
    }
    if (!read_line(c, line, sizeof line)) {
        return false;
    }
    c->chunks_begun = true;
    c->chunk_left = strtoul(line, NULL, 16);
    c->chunks_ended = c->chunk_left == 0;
    return !c->chunks_ended || read_line(c, line, sizeof line);
}

ptrdiff_t vf_test_read_chunked(struct vf_test_exchange *x, void *buf, size_t cap)
{
    struct vf_test_connection *c = x->connection;
    if (!c->chunks_ended && c->chunk_left == 0 && !read_chunk_size(c)) {
        return -1;
    }
    if (c->chunks_ended) {
        return 0;
    }
    ssize_t n = receive_rest(c, buf, cap < c->chunk_left ? cap : c->chunk_left);
    if (n <= 0) {
        return -1;
    }
    c->chunk_left -= (size_t)n;
    return n;
}

void vf_test_pause(struct vf_test_exchange *x, int ms)
{
    await_fd(x->connection->server, -1, 0, ms);
}

char *vf_test_header(const struct vf_test_exchange *x, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(x->head, "\r\n"); line && line[2]; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *value = line + len + 1 + strspn(line + len + 1, " ");
            return strndup(value, strcspn(value, "\r\n"));
        }
    }
    return NULL;
}

void vf_test_tunnel(struct vf_test_exchange *x, unsigned port)
{
    struct vf_test_connection *c = x->connection;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fds[2] = {c->fd, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    vf_test_check(fds[1] >= 0 && connect(fds[1], (struct sockaddr *)&to, sizeof to) == 0);
    x->close = true;
    for (;;) {
        struct pollfd p[3] = {{.fd = fds[0], .events = POLLIN},
                              {.fd = fds[1], .events = POLLIN},
                              {.fd = c->server->stop_fd, .events = POLLIN}};
        if (poll(p, 3, -1) < 0 || p[2].revents) {
            break;
        }
        char buf[65536];
        int from = p[0].revents ? 0 : 1;
        ssize_t n = recv(fds[from], buf, sizeof buf, 0);
        if (n <= 0 || send(fds[!from], buf, (size_t)n, MSG_NOSIGNAL) != n) {
            break;
        }
    }
    close(fds[1]);
}

/* Reads to the end of the headers; what came behind is moved to the front of *ret_rest. */
static bool read_head(struct vf_test_connection *c, size_t *ret_head_len)
{
    for (;;) {
        c->head[c->head_len] = '\0';
        char *end = strstr(c->head, "\r\n\r\n");
        if (end) {
            *ret_head_len = (size_t)(end - c->head) + 4;
            return true;
        }
        vf_test_check(c->head_len < MAX_HEAD_BYTES);
        ssize_t n = receive(c, c->head + c->head_len, MAX_HEAD_BYTES - c->head_len);
        if (n <= 0) {
            return false;
        }
        c->head_len += (size_t)n;
    }
}

/* Takes the body out of what was read with the head, then from the connection. */
static char *read_body(struct vf_test_connection *c, size_t head_len, size_t len)
{
    char *body = calloc(1, len + 1);
    vf_test_check(body && len <= MAX_BODY_BYTES);
    size_t have = c->head_len - head_len < len ? c->head_len - head_len : len;
    memcpy(body, c->head + head_len, have);
    memmove(c->head + head_len, c->head + head_len + have, c->head_len - head_len - have);
    c->head_len -= have;
    while (have < len) {
        ssize_t n = receive(c, body + have, len - have);
        if (n <= 0) {
            free(body);
            return NULL;
        }
        have += (size_t)n;
    }
    return body;
}

static void note(struct vf_test_server *s, unsigned *counter)
{
    pthread_mutex_lock(&s->lock);
    ++*counter;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* False: the connection is over. A handler may answer without the body: "X-Body: late". */
static bool serve_one(struct vf_test_connection *c)
{
    size_t head_len = 0;
    if (!read_head(c, &head_len)) {
        return false;
    }
    char *head = strndup(c->head, head_len);
    struct vf_test_exchange x = {.head = head, .connection = c};
    char method[16], target[8192];
    vf_test_check(sscanf(head, "%15s %8191s", method, target) == 2);
    x.server_name = c->ssl ? SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    x.client_name = c->client_name[0] ? c->client_name : NULL;
    x.method = method;
    x.target = target;
    char *length = vf_test_header(&x, "Content-Length");
    char *late = vf_test_header(&x, "X-Body");
    x.body_len = length && !late ? strtoul(length, NULL, 10) : 0;
    char *body = read_body(c, head_len, x.body_len);
    memmove(c->head, c->head + head_len, c->head_len - head_len);
    c->head_len -= head_len;
    c->chunk_left = 0;
    c->chunks_begun = c->chunks_ended = false;
    if (body) {
        x.body = body;
        note(c->server, &c->server->n_requests);
        c->server->handler(&x, c->server->opaque);
    }
    bool more = body && !x.close && !c->broken && !late;
    free(body);
    free(length);
    free(late);
    free(head);
    return more;
}

static bool is_tls(const struct vf_test_server *s)
{
    return s->kind != VF_TEST_PLAIN && s->kind != VF_TEST_SILENT && s->kind != VF_TEST_GIBBERISH;
}

static void note_client(struct vf_test_connection *c)
{
    X509 *cert = SSL_get0_peer_certificate(c->ssl);
    if (cert) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, c->client_name,
                                  sizeof c->client_name);
    }
}

static void *run_connection(void *opaque)
{
    struct vf_test_connection *c = opaque;
    struct vf_test_server *s = c->server;
    if (s->kind == VF_TEST_SILENT) {
        char byte;
        while (receive(c, &byte, 1) > 0) {
        }
    } else if (s->kind == VF_TEST_GIBBERISH) {
        static const char text[] = "220 mail.test ESMTP\r\n";
        char bytes[4096];
        if (receive(c, bytes, sizeof bytes) > 0) {
            send(c->fd, text, sizeof text - 1, MSG_NOSIGNAL);
        }
    } else if (is_tls(s)) {
        c->ssl = SSL_new(s->ctx);
        vf_test_check(c->ssl && SSL_set_fd(c->ssl, c->fd));
        c->broken = SSL_accept(c->ssl) != 1;
        note_client(c);
    }
    if (s->handler) {
        while (!c->broken && serve_one(c)) {
        }
    }
    if (c->ssl) {
        if (!c->broken) {
            SSL_shutdown(c->ssl);
        }
        SSL_free(c->ssl);
    }
    pthread_mutex_lock(&s->lock);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *run_server(void *opaque)
{
    struct vf_test_server *s = opaque;
    while (await_fd(s, s->fd, POLLIN, -1)) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        /* Answers are written in parts: none is to wait for the peer's delayed acknowledgement. */
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct vf_test_connection *c = calloc(1, sizeof *c);
        vf_test_check(c);
        c->server = s;
        c->fd = fd;
        pthread_mutex_lock(&s->lock);
        vf_test_check(s->n_connections < MAX_CONNECTIONS);
        s->connections[s->n_connections++] = c;
        vf_test_check(pthread_create(&c->thread, NULL, run_connection, c) == 0);
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void make_certificates(struct vf_test_server *s)
{
    struct vf_test_certificate_options ca = {.common_name = "test CA", .is_ca = true, .days = 30};
    struct vf_test_certificate_options leaf = {
        .common_name = "test server",
        .alt_names = "IP:127.0.0.1,DNS:localhost",
        .days = s->kind == VF_TEST_TLS_EXPIRED ? -1 : 30,
        .issuer = s->kind == VF_TEST_TLS_SELF_SIGNED ? NULL : &s->ca,
    };
    if (s->kind == VF_TEST_TLS_WRONG_NAME) {
        leaf.alt_names = "DNS:elsewhere.test";
    }
    vf_test_certificate_init(&s->ca, &ca);
    vf_test_certificate_init(&s->leaf, &leaf);
    s->sha1 = vf_test_certificate_thumbprint(&s->leaf, EVP_sha1());
    s->sha256 = vf_test_certificate_thumbprint(&s->leaf, EVP_sha256());
    s->ca_file = vf_test_certificate_write(&s->ca);
    s->ctx = SSL_CTX_new(TLS_server_method());
    vf_test_check(s->ctx && SSL_CTX_use_certificate(s->ctx, s->leaf.cert) &&
                  SSL_CTX_use_PrivateKey(s->ctx, s->leaf.key));
    if (s->kind == VF_TEST_TLS_MUTUAL) {
        vf_test_check(X509_STORE_add_cert(SSL_CTX_get_cert_store(s->ctx), s->ca.cert) &&
                      SSL_CTX_set_session_id_context(s->ctx, (const unsigned char *)"test", 4));
        SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
    }
}

static void listen_on_free_port(struct vf_test_server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof at;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    vf_test_check(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&at, sizeof at) == 0);
    vf_test_check(listen(s->fd, 64) == 0);
    vf_test_check(getsockname(s->fd, (struct sockaddr *)&at, &len) == 0);
    s->port = ntohs(at.sin_port);
    snprintf(s->url, sizeof s->url, "%s://127.0.0.1:%u",
             s->kind == VF_TEST_PLAIN ? "http" : "https", s->port);
}

struct vf_test_server *vf_test_server_start(enum vf_test_server_kind kind, vf_test_handler *handler,
                                            void *opaque)
{
    struct vf_test_server *s = calloc(1, sizeof *s);
    vf_test_check(s);
    s->kind = kind;
    s->handler = kind == VF_TEST_SILENT || kind == VF_TEST_GIBBERISH ? NULL : handler;
    s->opaque = opaque;
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    vf_test_check(s->stop_fd >= 0);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (is_tls(s)) {
        make_certificates(s);
    }
    listen_on_free_port(s);
    /* OpenSSL writes with write(); the threads made here inherit the mask, the caller keeps its. */
    sigset_t pipe, old;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    vf_test_check(pthread_create(&s->thread, NULL, run_server, s) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return s;
}

void vf_test_server_stop(struct vf_test_server *s)
{
    uint64_t one = 1;
    vf_test_check(write(s->stop_fd, &one, sizeof one) == sizeof one);
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < s->n_connections; i++) {
        struct vf_test_connection *c = s->connections[i];
        pthread_mutex_lock(&s->lock);
        if (c->fd >= 0) {
            shutdown(c->fd, SHUT_RDWR);
        }
        pthread_mutex_unlock(&s->lock);
        pthread_join(c->thread, NULL);
        free(c);
    }
    close(s->fd);
    close(s->stop_fd);
    SSL_CTX_free(s->ctx);
    vf_test_certificate_release(&s->ca);
    vf_test_certificate_release(&s->leaf);
    if (s->ca_file) {
        unlink(s->ca_file);
    }
    free(s->sha1);
    free(s->sha256);
    free(s->ca_file);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *vf_test_server_url(const struct vf_test_server *s)
{
    return s->url;
}

unsigned vf_test_server_port(const struct vf_test_server *s)
{
    return s->port;
}

const char *vf_test_server_sha1(const struct vf_test_server *s)
{
    return s->sha1;
}

const char *vf_test_server_sha256(const struct vf_test_server *s)
{
    return s->sha256;
}

const char *vf_test_server_ca_file(const struct vf_test_server *s)
{
    return s->ca_file;
}

char *vf_test_server_ca_pem(const struct vf_test_server *s)
{
    return vf_test_certificate_pem(&s->ca);
}

void vf_test_server_issue(const struct vf_test_server *s, const char *common_name,
                          char **ret_cert_pem, char **ret_key_pem)
{
    struct vf_test_certificate_options o = {
        .common_name = common_name, .days = 30, .issuer = &s->ca};
    struct vf_test_certificate c;
    vf_test_certificate_init(&c, &o);
    *ret_cert_pem = vf_test_certificate_pem(&c);
    *ret_key_pem = vf_test_certificate_key_pem(&c);
    vf_test_certificate_release(&c);
}

unsigned vf_test_server_connections(struct vf_test_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->n_connections;
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned vf_test_server_requests(struct vf_test_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->n_requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static bool await_count(struct vf_test_server *s, const unsigned *counter, unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (*counter < n && !rc) {
        rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
    }
    bool reached = *counter >= n;
    pthread_mutex_unlock(&s->lock);
    return reached;
}

bool vf_test_server_await_connections(struct vf_test_server *s, unsigned n)
{
    return await_count(s, &s->n_connections, n);
}

bool vf_test_server_await_requests(struct vf_test_server *s, unsigned n)
{
    return await_count(s, &s->n_requests, n);
}
