/* importer/source/datastore at the command of tests/e2e/test_datastore_disk.py, and for comparisons
 * of speed by hand. Opens one disk and says so; then every line on standard input is a file into
 * which the whole disk is copied ("-": only read). Each step is answered by one line of JSON with
 * "size", "ms", "renewals"; a failure has "code", "reason", "message" and "hint".
 *
 *   real.importer.source.datastore DATACENTER FILE SIZE THREADS READ_BYTES STALL_MS
 *
 * By the environment: VMFERRY_TEST_URL, VMFERRY_TEST_USER, VMFERRY_TEST_PASSWORD, VMFERRY_TEST_CA,
 * and VMFERRY_TEST_DEBUG for the log on stderr.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/source/datastore.h"
#include "importer/vsphere/session.h"
#include "tests/support/check.h"
#include "tests/support/kube_real.h"

#define MAX_THREADS 64

struct copy {
    struct vf_disk *disk;
    int fd; /* -1: none */
    size_t read_bytes;
    _Atomic uint64_t next;
    atomic_bool failed;
    pthread_mutex_t lock; /* of err */
    struct vf_error *err;
};

static atomic_uint renewals;

static struct vf_vsphere *log_in(unsigned stall_ms)
{
    struct vf_secret *password = NULL;
    struct vf_vsphere *vs = NULL;
    struct vf_error *err = NULL;
    vf_test_check(vf_secret_fetch_env("VMFERRY_TEST_PASSWORD", &password, NULL) == 0);
    const struct vf_vsphere_options options = {
        .url = vf_test_setting("VMFERRY_TEST_URL"),
        .user = vf_test_setting("VMFERRY_TEST_USER"),
        .password = password,
        .http = {.ca_file = vf_test_setting("VMFERRY_TEST_CA"),
                 .proxy = "",
                 .stall_timeout_ms = stall_ms},
    };
    if (vf_vsphere_login(&options, NULL, &vs, &err)) {
        fprintf(stderr, "%s\n", vf_error_message(err));
        exit(1);
    }
    vf_secret_free(password);
    return vs;
}

/* The real session behind the contract. */
static int give_cookie(void *opaque, const struct vf_secret *refused, struct vf_secret **ret_cookie,
                       struct vf_error **err)
{
    struct vf_vsphere *vs = opaque;
    for (;;) {
        pthread_mutex_lock(&vs->lock);
        unsigned generation = vs->generation;
        struct vf_secret *have = vf_secret_new(vs->cookie, strlen(vs->cookie));
        pthread_mutex_unlock(&vs->lock);
        if (!refused || strcmp(vf_secret_reveal(refused), vf_secret_reveal(have)) != 0) {
            *ret_cookie = have;
            return 0;
        }
        vf_secret_free(have);
        renewals++;
        int rc = vf_session_relogin(vs, generation, 0, err);
        if (rc) {
            return rc;
        }
    }
}

static void write_all(int fd, const uint8_t *buf, size_t len, uint64_t offset)
{
    while (len) {
        ssize_t n = pwrite(fd, buf, len, (off_t)offset);
        vf_test_check(n > 0);
        buf += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
}

static void *copy_pieces(void *opaque)
{
    struct copy *c = opaque;
    struct vf_disk *d = c->disk;
    uint8_t *vf_autofree buf = vf_xcalloc(c->read_bytes, 1);
    while (!c->failed) {
        uint64_t at = atomic_fetch_add(&c->next, c->read_bytes);
        if (at >= d->size_bytes) {
            break;
        }
        uint64_t left = d->size_bytes - at;
        size_t n = left < c->read_bytes ? (size_t)left : c->read_bytes;
        struct vf_error *err = NULL;
        if (d->ops->pread(d, buf, n, at, &err)) {
            c->failed = true;
            pthread_mutex_lock(&c->lock);
            vf_error_move(&c->err, &err);
            pthread_mutex_unlock(&c->lock);
        } else if (c->fd >= 0) {
            write_all(c->fd, buf, n, at);
        }
    }
    return NULL;
}

static struct vf_error *copy_disk(struct vf_disk *disk, const char *path, unsigned n_threads,
                                  size_t read_bytes)
{
    struct copy c = {.disk = disk, .fd = -1, .read_bytes = read_bytes};
    pthread_t threads[MAX_THREADS];
    if (strcmp(path, "-") != 0) {
        c.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        vf_test_check(c.fd >= 0);
    }
    pthread_mutex_init(&c.lock, NULL);
    for (unsigned i = 0; i < n_threads; i++) {
        vf_test_check(pthread_create(&threads[i], NULL, copy_pieces, &c) == 0);
    }
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_destroy(&c.lock);
    if (c.fd >= 0) {
        close(c.fd);
    }
    return c.err;
}

static void say(const struct vf_disk *disk, int64_t started_ms, const struct vf_error *err)
{
    cJSON *said = vf_json_new_object();
    const char *reason = vf_error_reason(err), *hint = vf_error_get_hint(err);
    if (err) {
        char *vf_autofree text = vf_error_format(err);
        vf_json_add_string(said, "code", vf_code_name(vf_error_code(err)));
        vf_json_add_string(said, "reason", reason ? reason : "");
        vf_json_add_string(said, "message", text);
        vf_json_add_string(said, "hint", hint ? hint : "");
    } else {
        vf_json_add_u64(said, "size", disk->size_bytes);
        vf_json_add_u64(said, "ms", (uint64_t)(vf_clock_ms() - started_ms));
        vf_json_add_u64(said, "renewals", renewals);
    }
    char *vf_autofree line = vf_json_print(said, false);
    printf("%s\n", line);
    fflush(stdout);
    cJSON_Delete(said);
}

static int run(struct vf_vsphere *vs, struct vf_http *http, char **argv)
{
    struct vf_datastore_options o = {
        .http = http,
        .authority = vf_vsphere_authority(vs),
        .dc_path = argv[1],
        .file = argv[2],
        .size_bytes = strtoull(argv[3], NULL, 10),
        .cookie = give_cookie,
        .cookie_opaque = vs,
        .max_requests = (unsigned)strtoul(argv[4], NULL, 10),
    };
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    char line[4096];
    int64_t start_ms = vf_clock_ms();
    int rc = vf_datastore_open(&o, &disk, &err);
    say(disk, start_ms, err);
    while (!rc && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        start_ms = vf_clock_ms();
        err = copy_disk(disk, line, o.max_requests, strtoul(argv[5], NULL, 10));
        say(disk, start_ms, err);
        vf_error_clear(&err);
    }
    vf_error_free(err);
    vf_disk_free(disk);
    return rc != 0;
}

int main(int argc, char **argv)
{
    vf_test_check(argc == 7 && strtoul(argv[4], NULL, 10) - 1 < MAX_THREADS &&
                  strtoul(argv[5], NULL, 10) > 0);
    vf_log_set_debug(getenv("VMFERRY_TEST_DEBUG") != NULL);
    struct vf_vsphere *vs = log_in((unsigned)strtoul(argv[6], NULL, 10));
    struct vf_http *http = NULL;
    vf_test_check(vf_http_new(vf_vsphere_http_options(vs), NULL, &http, NULL) == 0);
    int status = run(vs, http, argv);
    vf_http_free(http);
    vf_vsphere_free(vs);
    return status;
}
