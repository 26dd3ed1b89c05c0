#include "importer/kube/credential.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/secret.h"
#include "importer/kube/exec.h"
#include "importer/kube/material.h"

/* Kubelets renew a token once four fifths of its life are over, and swap a link; looked for this
 * often, and read this often whatever the file's times say. */
#define LOOK_AT_FILE_MS 1000
#define READ_FILE_MS    60000
/* A thread that waits for another's plugin looks at its cancellation this often. */
#define WAIT_MS 100

/* One client certificate's connections. */
struct transport {
    unsigned refs;
    struct vf_http *http;
    char *cert_pem; /* NULL: none */
};

struct credential {
    struct vf_kube_credential public; /* first */
    unsigned refs;
    struct transport *transport;
    struct vf_secret *authorization;
};

struct vf_kube_keeper {
    const struct vf_kube_config *config;
    const struct vf_cancel *cancel;
    pthread_mutex_t lock; /* of all below, and of all refs; no other lock is taken under it */
    pthread_cond_t renewed;
    bool renewing; /* a thread works on it without the lock; the fields below are its own then */
    struct credential *current;
    int64_t looked_at_ms, read_at_ms; /* of the token file */
    struct stat file;
    int64_t expires_at_s; /* of what a plugin gave; 0: not told */
};

/* What a credential is made from. */
struct fresh {
    struct vf_secret *authorization;
    char *cert_pem;
    struct vf_secret *key_pem;
};

static void release_fresh(struct fresh *f)
{
    vf_secret_free(f->authorization);
    vf_secret_free(f->key_pem);
    free(f->cert_pem);
}

static void unref(struct credential *c)
{
    if (!c || --c->refs) {
        return;
    }
    if (--c->transport->refs == 0) {
        vf_http_free(c->transport->http);
        free(c->transport->cert_pem);
        free(c->transport);
    }
    vf_secret_free(c->authorization);
    free(c);
}

static int make_transport(const struct vf_kube_keeper *k, const struct fresh *f,
                          struct transport **ret, struct vf_error **err)
{
    const struct vf_kube_config *c = k->config;
    struct vf_http_options o = {
        .ca_pem = c->ca_pem,
        .insecure = c->insecure,
        .proxy = c->proxy,
        .client_cert_pem = f->cert_pem,
        .client_key_pem = f->key_pem,
        .tls_server_name = c->tls_server_name,
        .trust_hint = "check the cluster's certificate-authority and server in the kubeconfig",
    };
    struct vf_http *http;
    int rc = vf_http_new(&o, k->cancel, &http, err);
    if (rc) {
        return vf_error_wrap(err, rc, "%s", c->origin);
    }
    *ret = vf_xcalloc(1, sizeof **ret);
    (*ret)->http = http;
    (*ret)->cert_pem = vf_xstrdup(f->cert_pem);
    return 0;
}

static bool is_same(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static bool is_same_secret(const struct vf_secret *a, const struct vf_secret *b)
{
    return is_same(a ? vf_secret_reveal(a) : NULL, b ? vf_secret_reveal(b) : NULL);
}

static struct vf_secret *make_header(const char *scheme, const char *value)
{
    char *text = vf_xasprintf("%s %s", scheme, value);
    struct vf_secret *s = vf_secret_new(text, strlen(text));
    vf_kube_wipe(text);
    return s;
}

static struct vf_secret *make_basic(const char *user, const struct vf_secret *password)
{
    char *pair = vf_xasprintf("%s:%s", user, password ? vf_secret_reveal(password) : "");
    char *encoded = vf_kube_encode_base64(pair, strlen(pair));
    struct vf_secret *s = encoded ? make_header("Basic", encoded) : NULL;
    vf_kube_wipe(pair);
    vf_kube_wipe(encoded);
    return s;
}

static void add_static(const struct vf_kube_config *c, struct fresh *f)
{
    if (!f->authorization && c->token) {
        f->authorization = make_header("Bearer", vf_secret_reveal(c->token));
    }
    if (!f->authorization && c->username) {
        f->authorization = make_basic(c->username, c->password);
    }
    if (!f->cert_pem && c->client_cert_pem) {
        const char *key = vf_secret_reveal(c->client_key_pem);
        f->cert_pem = vf_xstrdup(c->client_cert_pem);
        f->key_pem = vf_secret_new(key, strlen(key));
    }
}

static int read_token_file(struct vf_kube_keeper *k, struct fresh *f, struct vf_error **err)
{
    struct vf_secret *token;
    struct stat st;
    memset(&k->file, 0, sizeof k->file);
    if (stat(k->config->token_file, &st) == 0) {
        k->file = st;
    }
    k->looked_at_ms = k->read_at_ms = vf_clock_ms();
    int rc = vf_kube_fetch_secret_file(k->config->token_file, "the token", &token, err);
    if (rc) {
        return rc;
    }
    f->authorization = make_header("Bearer", vf_secret_reveal(token));
    vf_secret_free(token);
    return 0;
}

static int run_plugin(struct vf_kube_keeper *k, const struct vf_cancel *cancel, struct fresh *f,
                      struct vf_error **err)
{
    struct vf_kube_exec_result r = {0};
    int rc = vf_kube_exec_run(k->config, cancel, &r, err);
    if (rc) {
        return rc;
    }
    k->expires_at_s = r.expires_at_s;
    f->authorization = r.token ? make_header("Bearer", vf_secret_reveal(r.token)) : NULL;
    f->cert_pem = vf_take(r.cert_pem);
    f->key_pem = vf_take(r.key_pem);
    vf_kube_exec_result_release(&r);
    return 0;
}

/* Without the lock, by the thread that set `renewing`. *ret is NULL when nothing changed. */
static int renew(struct vf_kube_keeper *k, const struct vf_cancel *cancel, struct credential **ret,
                 struct vf_error **err)
{
    struct fresh f = {0};
    struct transport *t = k->current ? k->current->transport : NULL;
    int rc = 0;
    *ret = NULL;
    if (k->config->exec) {
        rc = run_plugin(k, cancel, &f, err);
    } else if (k->config->token_file) {
        rc = read_token_file(k, &f, err);
    }
    add_static(k->config, &f);
    bool same_cert = t && is_same(t->cert_pem, f.cert_pem);
    bool same = same_cert && is_same_secret(k->current->authorization, f.authorization);
    if (!rc && !same && !same_cert) {
        rc = make_transport(k, &f, &t, err);
    }
    if (!rc && !same) {
        struct credential *c = vf_xcalloc(1, sizeof *c);
        c->transport = t;
        c->authorization = vf_take(f.authorization);
        c->public.http = t->http;
        c->public.authorization = c->authorization;
        *ret = c;
    }
    release_fresh(&f);
    return rc;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool is_file_due(struct vf_kube_keeper *k)
{
    int64_t now_ms = vf_clock_ms();
    struct stat st;
    if (now_ms - k->read_at_ms >= READ_FILE_MS) {
        return true;
    }
    if (now_ms - k->looked_at_ms < LOOK_AT_FILE_MS) {
        return false;
    }
    k->looked_at_ms = now_ms;
    return stat(k->config->token_file, &st) == 0 && !is_same_file(&st, &k->file);
}

static bool is_due(struct vf_kube_keeper *k)
{
    if (!k->current) {
        return true;
    }
    if (k->config->exec) {
        return k->expires_at_s && time(NULL) >= k->expires_at_s;
    }
    return k->config->token_file && is_file_due(k);
}

static void await_other(struct vf_kube_keeper *k)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&k->renewed, &k->lock, &until);
}

/* With the lock held, which is let go of meanwhile. */
static int renew_unlocked(struct vf_kube_keeper *k, const struct vf_cancel *cancel,
                          struct vf_error **err)
{
    struct credential *made;
    k->renewing = true;
    pthread_mutex_unlock(&k->lock);
    int rc = renew(k, cancel, &made, err);
    pthread_mutex_lock(&k->lock);
    k->renewing = false;
    if (made) {
        made->refs = 1;
        made->transport->refs++;
        unref(k->current);
        k->current = made;
    }
    pthread_cond_broadcast(&k->renewed);
    return rc;
}

/* With the lock held: brings k->current up to date, and, when `refused` is given, to something
 * else than that if it can be had. */
static int settle(struct vf_kube_keeper *k, const struct vf_kube_credential *refused,
                  const struct vf_cancel *cancel, struct vf_error **err)
{
    for (;;) {
        int rc = vf_cancel_check(cancel, err);
        if (rc) {
            return rc;
        }
        if (k->renewing) {
            await_other(k);
            continue;
        }
        if (!is_due(k) && !(refused && refused == &k->current->public)) {
            return 0;
        }
        struct vf_error *e = NULL;
        rc = renew_unlocked(k, cancel, &e);
        /* A token file may be missing for the moment of its change; the last one is good still. */
        if (rc && k->current && k->config->token_file && !k->config->exec) {
            vf_debug("kube: token not read again: %s", vf_error_message(e));
            vf_error_clear(&e);
            rc = 0;
        }
        vf_error_move(err, &e);
        return rc;
    }
}

int vf_kube_keeper_take(struct vf_kube_keeper *k, const struct vf_cancel *cancel,
                        struct vf_kube_credential **ret_credential, struct vf_error **err)
{
    pthread_mutex_lock(&k->lock);
    int rc = settle(k, NULL, cancel, err);
    if (!rc) {
        k->current->refs++;
        *ret_credential = &k->current->public;
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

void vf_kube_keeper_give(struct vf_kube_keeper *k, struct vf_kube_credential *c)
{
    if (c) {
        pthread_mutex_lock(&k->lock);
        unref((struct credential *)c);
        pthread_mutex_unlock(&k->lock);
    }
}

int vf_kube_keeper_renew(struct vf_kube_keeper *k, const struct vf_kube_credential *c,
                         const struct vf_cancel *cancel, bool *ret_changed, struct vf_error **err)
{
    pthread_mutex_lock(&k->lock);
    int rc = settle(k, c, cancel, err);
    *ret_changed = !rc && c != &k->current->public;
    pthread_mutex_unlock(&k->lock);
    return rc;
}

int vf_kube_keeper_new(const struct vf_kube_config *config, const struct vf_cancel *cancel,
                       struct vf_kube_keeper **ret_keeper, struct vf_error **err)
{
    struct vf_kube_keeper *k = vf_xcalloc(1, sizeof *k);
    k->config = config;
    k->cancel = cancel;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->renewed, &attr);
    pthread_condattr_destroy(&attr);
    int rc = 0;
    if (!config->exec) { /* bad certificates are told now; a plugin's come with the first request */
        pthread_mutex_lock(&k->lock);
        rc = settle(k, NULL, cancel, err);
        pthread_mutex_unlock(&k->lock);
    }
    if (rc) {
        vf_kube_keeper_free(k);
        return rc;
    }
    *ret_keeper = k;
    return 0;
}

void vf_kube_keeper_free(struct vf_kube_keeper *k)
{
    if (k) {
        unref(k->current);
        pthread_cond_destroy(&k->renewed);
        pthread_mutex_destroy(&k->lock);
        free(k);
    }
}
