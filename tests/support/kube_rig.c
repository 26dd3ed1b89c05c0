#include "tests/support/kube_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"

const struct vf_kube_resource vf_test_datavolumes = {
    .group = "cdi.kubevirt.io", .version = "v1beta1", .plural = "datavolumes", .namespaced = true};

static void handle(struct vf_test_exchange *x, void *opaque)
{
    struct vf_test_kube *k = opaque;
    k->handler(k, x, atomic_fetch_add(&k->n, 1) + 1);
}

void vf_test_kube_start_with(struct vf_test_kube *k, vf_test_kube_handler *handler,
                             struct vf_kube_config *c)
{
    static const struct vf_retry_policy retry = {
        .max_tries = 5, .first_wait_ms = 5, .max_wait_ms = 20, .timeout_ms = 20000};
    const struct vf_kube_client_options o = {.retry = &retry, .timeout_ms = 10000, .watch_s = 10};
    *k = (struct vf_test_kube){.handler = handler};
    k->server = vf_test_server_start(VF_TEST_TLS_MUTUAL, handle, k);
    k->cancel = vf_cancel_new(NULL);
    vf_test_check(k->cancel);
    c->proxy = c->proxy ? c->proxy : vf_xstrdup("");
    c->ns = c->ns ? c->ns : vf_xstrdup("prod");
    c->origin = c->origin ? c->origin : vf_xstrdup("test");
    c->server = c->server ? c->server : vf_xstrdup(vf_test_server_url(k->server));
    c->ca_pem = c->ca_pem ? c->ca_pem : vf_test_server_ca_pem(k->server);
    if (vf_kube_client_new(c, &o, k->cancel, &k->client, &k->err)) {
        fprintf(stderr, "%s\n", vf_error_message(k->err));
        vf_test_check(false);
    }
}

void vf_test_kube_start(struct vf_test_kube *k, vf_test_kube_handler *handler)
{
    struct vf_kube_config *c = vf_xcalloc(1, sizeof *c);
    c->token = vf_secret_new("t0", 2);
    vf_test_kube_start_with(k, handler, c);
}

void vf_test_kube_stop(struct vf_test_kube *k)
{
    vf_kube_client_free(k->client);
    vf_test_server_stop(k->server);
    vf_cancel_free(k->cancel);
    vf_error_free(k->err);
}

void vf_test_kube_status(struct vf_test_exchange *x, int code, const char *reason,
                         const char *message, const char *details, const char *headers)
{
    char *vf_autofree body =
        vf_xasprintf("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":"
                     "\"Failure\",\"message\":\"%s\",\"reason\":\"%s\",\"details\":%s,"
                     "\"code\":%d}",
                     message, reason, details ? details : "{}", code);
    vf_test_answer(x, code, headers, body);
}

void vf_test_kube_begin_watch(struct vf_test_exchange *x)
{
    vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n");
}

void vf_test_kube_chunk(struct vf_test_exchange *x, const char *text)
{
    vf_test_printf(x, "%zx\r\n%s\r\n", strlen(text), text);
}

void vf_test_kube_end_watch(struct vf_test_exchange *x)
{
    vf_test_printf(x, "0\r\n\r\n");
}

bool vf_test_target_has(const struct vf_test_exchange *x, const char *text)
{
    return strstr(x->target, text) != NULL;
}

void vf_test_expect_error(const struct vf_error *err, const char *text)
{
    char *vf_autofree line = vf_error_format(err);
    const char *hint = vf_error_get_hint(err);
    if (!strstr(line, text) && !(hint && strstr(hint, text))) {
        fprintf(stderr, "not in the error: %s\n  %s\n  hint: %s\n", text, line, hint ? hint : "");
        vf_test_check(!"error as expected");
    }
}

char *vf_test_make_dir(void)
{
    char *dir = vf_xstrdup("/tmp/vmferry-test-kube-XXXXXX");
    vf_test_check(mkdtemp(dir));
    return dir;
}

/* By a rename, as those who renew tokens do it. */
char *vf_test_make_file(const char *dir, const char *name, const char *text, unsigned mode)
{
    char *path = vf_xasprintf("%s/%s", dir, name);
    char *vf_autofree fresh = vf_xasprintf("%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    vf_test_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    vf_test_check(fchmod(fd, mode) == 0 && close(fd) == 0 && rename(fresh, path) == 0);
    return path;
}

void vf_test_remove_dir(char *dir)
{
    DIR *d = opendir(dir);
    vf_test_check(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] != '.') {
            vf_test_check(unlinkat(dirfd(d), e->d_name, 0) == 0);
        }
    }
    closedir(d);
    vf_test_check(rmdir(dir) == 0);
    free(dir);
}
