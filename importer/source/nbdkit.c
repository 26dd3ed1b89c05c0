#include "importer/source/nbdkit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/proc.h"
#include "importer/base/utf8.h"

#define DEFAULT_START_TIMEOUT_MS 30000
#define DEFAULT_THREADS          64
/* nbdkit has no way to tell that it listens but the file with its number. */
#define LOOK_MS         10
#define RESTART_WAIT_MS 200
/* A server says what is wrong before it answers, but it is read by another thread than the answer.
 */
#define NEWS_WAIT_MS      1000
#define SAID_BYTES        512
#define MAX_ARGUMENTS     256
#define SECRET_DESCRIPTOR "3" /* as vf_proc_options.pass_fd has it */
#define HIDDEN            "********"

struct vf_nbdkit {
    char *dir, *socket, *pid_path;
    char *argv[MAX_ARGUMENTS + 1];
    char *env[5];
    struct vf_secret *secret;
    int secret_fd; /* -1: none */
    struct vf_cancel *cancel;
    const struct vf_cancel *callers_cancel;
    /* The kernel ends a child that asked for it (PR_SET_PDEATHSIG, --exit-with-parent) with the
     * thread that made it: this one lives as long as the child. */
    pthread_t keeper;
    bool has_keeper;

    pthread_mutex_t lock;
    bool ready; /* it listened once */
    bool ended; /* and is not started again */
    unsigned restarts_left;
    struct vf_error *end; /* how it ended the last time; NULL: did not */
    char said[SAID_BYTES];
    size_t n_said;
    uint64_t said_bytes, told_bytes; /* in all: by it, and up to where in errors */
};

/* On the keeper. */
static void on_stderr(void *opaque, const char *data, size_t len)
{
    struct vf_nbdkit *k = opaque;
    if (len > SAID_BYTES) {
        data += len - SAID_BYTES;
        len = SAID_BYTES;
    }
    pthread_mutex_lock(&k->lock);
    if (k->n_said + len > SAID_BYTES) {
        size_t keep = SAID_BYTES - len;
        memmove(k->said, k->said + k->n_said - keep, keep);
        k->n_said = keep;
    }
    memcpy(k->said + k->n_said, data, len);
    k->n_said += len;
    k->said_bytes += len;
    pthread_mutex_unlock(&k->lock);
}

static bool tells_secret(const struct vf_nbdkit *k, const char *text)
{
    const char *secret = k->secret ? vf_secret_reveal(k->secret) : "";
    return *secret && strstr(text, secret);
}

/* The last line, or as much of it as is kept, without what a terminal would obey and without the
 * secret. Under the lock; caller frees. */
static char *last_line(const struct vf_nbdkit *k)
{
    size_t end = k->n_said;
    while (end && (unsigned char)k->said[end - 1] <= ' ') {
        end--;
    }
    size_t begin = end;
    while (begin && k->said[begin - 1] != '\n') {
        begin--;
    }
    char *vf_autofree raw = vf_xstrndup(k->said + begin, end - begin);
    char *line = vf_utf8_clean(raw);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = ' ';
        }
    }
    if (tells_secret(k, line)) {
        free(line);
        return vf_xstrdup(HIDDEN);
    }
    return line;
}

/* A line comes in several writes. */
static bool has_news(struct vf_nbdkit *k)
{
    pthread_mutex_lock(&k->lock);
    bool whole = k->n_said && k->said[k->n_said - 1] == '\n';
    bool news = (whole && k->said_bytes != k->told_bytes) || k->ended;
    pthread_mutex_unlock(&k->lock);
    return news;
}

static void wait_for_news(struct vf_nbdkit *k)
{
    int64_t deadline_ms = vf_clock_ms() + NEWS_WAIT_MS;
    while (!has_news(k) && vf_clock_ms() < deadline_ms &&
           vf_cancel_wait(k->cancel, LOOK_MS, NULL) == 0) {
    }
}

void vf_nbdkit_explain(void *server, struct vf_error **err)
{
    struct vf_nbdkit *k = server;
    if (!err || !*err) {
        return;
    }
    int rc = (int)vf_error_code(*err);
    wait_for_news(k);
    pthread_mutex_lock(&k->lock);
    k->told_bytes = k->said_bytes;
    char *vf_autofree line = last_line(k);
    char *vf_autofree end = k->ended && k->end ? vf_error_format(k->end) : NULL;
    pthread_mutex_unlock(&k->lock);
    if (end) {
        vf_error_wrap(err, rc, "nbdkit ended (%s)", end);
    } else if (*line) {
        vf_error_wrap(err, rc, "nbdkit said last \"%s\"", line);
    }
}

/* Whether it is to be started again. */
static bool note_end(struct vf_nbdkit *k, int rc, struct vf_error *err)
{
    if (!rc) {
        vf_error_set(&err, VF_INTERNAL, "\"%s\" was told to end by somebody else", k->argv[0]);
    }
    if (tells_secret(k, vf_error_message(err))) { /* the end of its standard error is in there */
        vf_error_clear(&err);
        vf_error_set(&err, VF_INTERNAL, "\"%s\" ended, with a message that tells a secret",
                     k->argv[0]);
    }
    unlink(k->pid_path);
    unlink(k->socket); /* it would refuse to take its place */
    pthread_mutex_lock(&k->lock);
    vf_error_clear(&k->end);
    vf_error_move(&k->end, &err);
    bool again = k->ready && k->restarts_left > 0 && rc != VF_CANCELLED;
    k->restarts_left -= again;
    k->ended = !again;
    pthread_mutex_unlock(&k->lock);
    return again;
}

static void *keep(void *opaque)
{
    struct vf_nbdkit *k = opaque;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    struct vf_proc_options o = {.argv = (const char *const *)k->argv,
                                .env = (const char *const *)k->env,
                                .cancel = k->cancel,
                                .pass_fd = k->secret_fd > 0 ? k->secret_fd : 0,
                                .on_stderr = on_stderr,
                                .on_stderr_opaque = k};
    int rc;
    do {
        struct vf_error *err = NULL;
        if (k->secret_fd > 0) {
            lseek(k->secret_fd, 0, SEEK_SET); /* the offset is the child's too */
        }
        rc = vf_proc_run(&o, NULL, &err);
        if (!note_end(k, rc, err)) {
            break;
        }
        vf_debug("nbdkit: started again, it ended: %s", vf_code_name(rc));
    } while (vf_cancel_wait(k->cancel, RESTART_WAIT_MS, NULL) == 0);
    return NULL;
}

static int make_dir(struct vf_nbdkit *k, struct vf_error **err)
{
    const char *base = getenv("TMPDIR");
    char *vf_autofree dir =
        vf_xasprintf("%s/vmferry-nbdkit-XXXXXX", base && *base == '/' ? base : "/tmp");
    if (strlen(dir) + sizeof "/socket" > sizeof((struct sockaddr_un *)0)->sun_path) {
        vf_error_set(err, VF_INVALID, "the path of folder \"%s\" is too long for a socket", base);
        vf_error_hint(err, "set TMPDIR to a folder with a short path");
        return VF_INVALID;
    }
    if (!mkdtemp(dir)) { /* for this user alone */
        return vf_error_set_errno(err, errno, "cannot make a folder \"%s\"", dir);
    }
    k->dir = vf_take(dir);
    k->socket = vf_xasprintf("%s/socket", k->dir);
    k->pid_path = vf_xasprintf("%s/pid", k->dir);
    return 0;
}

static int make_secret(struct vf_nbdkit *k, const struct vf_secret *secret, struct vf_error **err)
{
    const char *text = vf_secret_reveal(secret);
    size_t len = strlen(text);
    k->secret = vf_secret_new(text, len);
    k->secret_fd = memfd_create("vmferry", MFD_CLOEXEC);
    if (k->secret_fd < 0 || write(k->secret_fd, text, len) != (ssize_t)len) {
        return vf_error_set_errno(err, errno, "cannot keep a secret in memory");
    }
    if (!len || strchr(text, '\n')) {
        return vf_error_set(err, VF_INVALID, "nbdkit takes no secret that is empty or has lines");
    }
    return 0;
}

static int add(struct vf_nbdkit *k, unsigned *n, char *argument, struct vf_error **err)
{
    if (*n == MAX_ARGUMENTS) {
        free(argument);
        return vf_error_set(err, VF_INVALID, "too many parameters for nbdkit");
    }
    k->argv[(*n)++] = argument;
    return 0;
}

static int make_argv(struct vf_nbdkit *k, const struct vf_nbdkit_options *o, struct vf_error **err)
{
    unsigned n = 0;
    char *vf_autofree threads = vf_xasprintf("%u", o->threads ? o->threads : DEFAULT_THREADS);
    const char *const fixed[] = {
        "--exit-with-parent", "--readonly", "--threads", threads, "--unix", k->socket,
        "--pidfile",          k->pid_path};
    int rc = add(k, &n, vf_xstrdup(o->program ? o->program : "nbdkit"), err);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0] && !rc; i++) {
        rc = add(k, &n, vf_xstrdup(fixed[i]), err);
    }
    for (size_t i = 0; o->filters && o->filters[i] && !rc; i++) {
        rc = add(k, &n, vf_xasprintf("--filter=%s", o->filters[i]), err);
    }
    if (!rc && (!*o->plugin || *o->plugin == '-')) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no plugin of nbdkit", o->plugin);
    }
    rc = rc ? rc : add(k, &n, vf_xstrdup(o->plugin), err);
    for (size_t i = 0; o->parameters && o->parameters[i] && !rc; i++) {
        const char *p = o->parameters[i];
        if (*p == '-' || *p == '=' || !strchr(p, '=')) {
            return vf_error_set(err, VF_INVALID, "\"%s\" is no parameter of nbdkit", p);
        }
        rc = add(k, &n, vf_xstrdup(p), err);
    }
    if (!rc && o->secret_key) {
        rc = make_secret(k, o->secret, err);
        rc = rc ? rc : add(k, &n, vf_xasprintf("%s=-%s", o->secret_key, SECRET_DESCRIPTOR), err);
    }
    return rc;
}

static void make_env(struct vf_nbdkit *k)
{
    static const char *const names[] = {"PATH", "HOME", "TMPDIR"};
    unsigned n = 0;
    k->env[n++] = vf_xstrdup("LC_ALL=C");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value) {
            k->env[n++] = vf_xasprintf("%s=%s", names[i], value);
        }
    }
}

/* The number in the file, once its line is whole. */
pid_t vf_nbdkit_get_pid(const struct vf_nbdkit *k)
{
    long pid = 0;
    char end = 0;
    FILE *in = fopen(k->pid_path, "re");
    if (in) {
        char line[32] = "";
        char *rest = NULL;
        if (fgets(line, sizeof line, in)) {
            pid = strtol(line, &rest, 10);
            end = *rest;
        }
        fclose(in);
    }
    return end == '\n' && pid > 0 ? (pid_t)pid : 0;
}

static int wait_ready(struct vf_nbdkit *k, int64_t timeout_ms, struct vf_error **err)
{
    int64_t deadline_ms = vf_clock_ms() + timeout_ms;
    int rc = 0;
    while (!rc) {
        bool listens = vf_nbdkit_get_pid(k) != 0;
        pthread_mutex_lock(&k->lock);
        k->ready = listens && !k->ended;
        bool ready = k->ready, ended = k->ended;
        if (ended) {
            rc = (int)vf_error_code(k->end);
            vf_error_move(err, &k->end);
        }
        pthread_mutex_unlock(&k->lock);
        if (ready || ended) {
            return rc;
        }
        if (vf_clock_ms() >= deadline_ms) {
            rc = vf_error_set(err, VF_RETRY, "nbdkit was not ready within %lld s",
                              (long long)(timeout_ms + 500) / 1000);
            vf_nbdkit_explain(k, err);
            return rc;
        }
        rc = vf_cancel_wait(k->cancel, LOOK_MS, err);
    }
    return rc;
}

int vf_nbdkit_start(const struct vf_nbdkit_options *options, struct vf_nbdkit **ret_server,
                    struct vf_error **err)
{
    struct vf_nbdkit *k = vf_xcalloc(1, sizeof *k);
    pthread_mutex_init(&k->lock, NULL);
    k->secret_fd = -1;
    k->restarts_left = options->restarts;
    k->callers_cancel = options->cancel;
    k->cancel = vf_cancel_new(options->cancel);
    int rc = k->cancel ? 0 : vf_error_set_errno(err, errno, "cannot make a cancellation");
    rc = rc ? rc : make_dir(k, err);
    rc = rc ? rc : make_argv(k, options, err);
    if (!rc) {
        make_env(k);
        int errnum = pthread_create(&k->keeper, NULL, keep, k);
        k->has_keeper = !errnum;
        rc = errnum ? vf_error_set_errno(err, errnum, "cannot start a thread") : 0;
    }
    int64_t timeout_ms = options->start_timeout_ms;
    rc = rc ? rc : wait_ready(k, timeout_ms ? timeout_ms : DEFAULT_START_TIMEOUT_MS, err);
    if (rc) {
        vf_nbdkit_free(k);
        return vf_error_wrap(err, rc, "nbdkit plugin \"%s\"", options->plugin);
    }
    *ret_server = k;
    return 0;
}

void vf_nbdkit_free(struct vf_nbdkit *k)
{
    if (!k) {
        return;
    }
    if (k->has_keeper) {
        vf_cancel_trigger(k->cancel);
        pthread_join(k->keeper, NULL);
    }
    vf_cancel_free(k->cancel);
    if (k->dir) {
        unlink(k->socket);
        unlink(k->pid_path);
        rmdir(k->dir);
    }
    free(k->dir);
    free(k->socket);
    free(k->pid_path);
    for (size_t i = 0; k->argv[i]; i++) {
        free(k->argv[i]);
    }
    for (size_t i = 0; k->env[i]; i++) {
        free(k->env[i]);
    }
    if (k->secret_fd >= 0) {
        close(k->secret_fd);
    }
    vf_secret_free(k->secret);
    vf_error_free(k->end);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

const char *vf_nbdkit_get_socket(const struct vf_nbdkit *k)
{
    return k->socket;
}

int vf_nbdkit_open_disk(struct vf_nbdkit *k, const struct vf_nbd_options *options,
                        struct vf_disk **ret_disk, struct vf_error **err)
{
    struct vf_nbd_options o = {0};
    if (options) {
        o = *options;
    }
    o.unix_socket = k->socket;
    o.host = NULL;
    o.tls = VF_NBD_TLS_OFF;
    o.explain = vf_nbdkit_explain;
    o.explain_opaque = k;
    o.cancel = k->callers_cancel;
    return vf_nbd_disk_open(&o, ret_disk, err);
}
