#include "tests/support/kube_script.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"

struct vf_test_script_state {
    pthread_mutex_t lock;
    struct vf_buf requests;
    unsigned *used; /* of each route */
};

static size_t count(const struct vf_test_route *routes)
{
    size_t n = 0;
    while (routes[n].path) {
        n++;
    }
    return n;
}

static bool fits(const struct vf_test_route *r, const struct vf_test_exchange *x)
{
    size_t len = strcspn(x->target, "?");
    bool watches = strstr(x->target, VF_TEST_WATCH) != NULL;
    return strcmp(r->method ? r->method : "GET", x->method) == 0 && strlen(r->path) == len &&
           strncmp(r->path, x->target, len) == 0 &&
           (r->query ? strstr(x->target + len, r->query) != NULL : !watches);
}

static const struct vf_test_route *choose(struct vf_test_script *s,
                                          const struct vf_test_exchange *x)
{
    for (size_t i = 0; s->routes[i].path; i++) {
        const struct vf_test_route *r = &s->routes[i];
        if (fits(r, x) && (!r->times || s->state->used[i] < r->times)) {
            s->state->used[i]++;
            return r;
        }
    }
    return NULL;
}

static void answer_missing(struct vf_test_exchange *x)
{
    const char *name = strrchr(x->target, '/') + 1;
    char *vf_autofree clean = vf_xstrndup(name, strcspn(name, "?"));
    char *vf_autofree details = vf_xasprintf("{\"name\":\"%s\",\"kind\":\"things\"}", clean);
    vf_test_kube_status(x, 404, "NotFound", "things not found", details, NULL);
}

static void answer_watch(const struct vf_test_route *r, struct vf_test_exchange *x)
{
    vf_test_kube_begin_watch(x);
    if (r->body && *r->body) {
        vf_test_kube_chunk(x, r->body);
    }
    if (r->ends) {
        vf_test_kube_end_watch(x);
    } else {
        vf_test_hang(x);
    }
}

static void handle(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    struct vf_test_script *s = k->opaque;
    (void)n;
    pthread_mutex_lock(&s->state->lock);
    vf_buf_printf(&s->state->requests, "%s %s%s%.*s\n", x->method, x->target,
                  x->body_len ? " " : "", (int)x->body_len, x->body_len ? x->body : "");
    const struct vf_test_route *r = choose(s, x);
    pthread_mutex_unlock(&s->state->lock);
    if (!r) {
        fprintf(stderr, "not in the script: %s %s\n", x->method, x->target);
        vf_test_check(!"request as expected");
    } else if (r->status < 0) {
        vf_test_cut(x);
    } else if (r->query && strcmp(r->query, VF_TEST_WATCH) == 0 && !r->status) {
        answer_watch(r, x);
    } else if (r->status == 404 && !r->body) {
        answer_missing(x);
    } else {
        vf_test_answer(x, r->status ? r->status : 200, NULL, r->body ? r->body : "");
    }
}

void vf_test_script_start(struct vf_test_script *s, const struct vf_test_route *routes)
{
    *s = (struct vf_test_script){.routes = routes};
    s->state = vf_xcalloc(1, sizeof *s->state);
    s->state->used = vf_xcalloc(count(routes) + 1, sizeof *s->state->used);
    pthread_mutex_init(&s->state->lock, NULL);
    vf_buf_init(&s->state->requests, SIZE_MAX);
    vf_test_kube_start(&s->kube, handle);
    s->kube.opaque = s;
}

void vf_test_script_stop(struct vf_test_script *s)
{
    vf_test_kube_stop(&s->kube);
    vf_buf_release(&s->state->requests);
    pthread_mutex_destroy(&s->state->lock);
    free(s->state->used);
    free(s->state);
}

char *vf_test_script_requests(struct vf_test_script *s)
{
    pthread_mutex_lock(&s->state->lock);
    char *text = vf_xstrdup(s->state->requests.data ? s->state->requests.data : "");
    pthread_mutex_unlock(&s->state->lock);
    return text;
}

static void expect(struct vf_test_script *s, const char *text, bool wanted)
{
    char *vf_autofree requests = vf_test_script_requests(s);
    if ((strstr(requests, text) != NULL) != wanted) {
        fprintf(stderr, "%s: %s\n%s", wanted ? "not requested" : "requested", text, requests);
        vf_test_check(!"requests as expected");
    }
}

void vf_test_script_expect(struct vf_test_script *s, const char *text)
{
    expect(s, text, true);
}

void vf_test_script_expect_no(struct vf_test_script *s, const char *text)
{
    expect(s, text, false);
}
