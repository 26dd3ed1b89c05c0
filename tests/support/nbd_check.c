#include "tests/support/nbd_check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"

#define HOLE_BYTES (64u << 10)

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 24;
}

static void make_content(struct vf_test_nbd *t)
{
    t->size_bytes = t->size_bytes ? t->size_bytes : (4u << 20) + 512;
    t->content = vf_xcalloc(t->size_bytes, 1);
    uint64_t state = t->size_bytes;
    for (size_t i = 0; i < t->size_bytes; i++) {
        if (i / HOLE_BYTES % 2 == 0) {
            t->content[i] = (uint8_t)next_random(&state);
        }
    }
    int fd = open(scratch_path(t->dir, "content"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    vf_test_check(fd >= 0 && ftruncate(fd, (off_t)t->size_bytes) == 0);
    for (size_t at = 0; at < t->size_bytes; at += (size_t)2 * HOLE_BYTES) {
        size_t left = t->size_bytes - at, n = left < HOLE_BYTES ? left : HOLE_BYTES;
        vf_test_check(pwrite(fd, t->content + at, n, (off_t)at) == (ssize_t)n);
    }
    close(fd);
}

void vf_test_nbd_start(struct vf_test_nbd *t)
{
    t->dir = scratch_new();
    make_content(t);
    char *vf_autofree file = vf_xasprintf("file=%s", scratch_path(t->dir, "content"));
    const char *parameters[VF_TEST_NBD_ARGS + 2] = {0};
    unsigned n = 0;
    if (!t->plugin) {
        parameters[n++] = file;
    }
    for (unsigned i = 0; i < VF_TEST_NBD_ARGS && t->parameters[i]; i++) {
        parameters[n++] = t->parameters[i];
    }
    struct vf_nbdkit_options o = {.plugin = t->plugin ? t->plugin : "file",
                                  .filters = t->filters,
                                  .parameters = parameters,
                                  .restarts = t->restarts,
                                  .cancel = t->cancel};
    struct vf_error *err = NULL;
    if (vf_nbdkit_start(&o, &t->server, &err)) {
        fprintf(stderr, "nbdkit: %s\n", vf_error_format(err));
        abort();
    }
    if (!t->options.retry.first_wait_ms) {
        t->options.retry.first_wait_ms = 20;
        t->options.retry.max_wait_ms = 200;
    }
}

void vf_test_nbd_open(struct vf_test_nbd *t)
{
    vf_test_nbd_start(t);
    struct vf_error *err = NULL;
    if (vf_nbdkit_open_disk(t->server, &t->options, &t->disk, &err)) {
        fprintf(stderr, "nbd: %s\n", vf_error_format(err));
        abort();
    }
}

void vf_test_nbd_release(struct vf_test_nbd *t)
{
    vf_disk_free(t->disk);
    vf_nbdkit_free(t->server);
    free(t->content);
    scratch_release(t->dir);
}

void vf_test_nbd_kill(struct vf_test_nbd *t)
{
    pid_t pid = vf_nbdkit_get_pid(t->server);
    vf_test_check(pid > 0 && kill(pid, SIGKILL) == 0);
    /* Its keeper reaps it and removes the number, or it is another by then. */
    for (unsigned i = 0; i < 6000 && vf_nbdkit_get_pid(t->server) == pid; i++) {
        usleep(10000);
    }
    vf_test_check(vf_nbdkit_get_pid(t->server) != pid);
}
