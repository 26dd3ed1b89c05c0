/* jobs/migration/transport* at the command of tests/e2e/test_transports.py: each line on standard
 * input is one step, its words apart by tabs; each is answered by one line of JSON. A failure has
 * "code", "reason", "message" and "hint".
 *
 *   snapshot VM NAME     taken, and what was frozen before is the state to count changes from
 *   remove SNAPSHOT      a reference; "-": the newest one of this program
 *   choose KIND          {"kind", "why"}
 *   cancel MS            the next copy, so long after its start
 *   copy PREFIX WHAT     all disks into PREFIX-0.raw, ...: {"ms", "source", "written", "disks"}
 *
 * VM is a reference. WHAT is "all", "changed", or areas of single disks: "0:4096+512,1:0+512". Of a
 * copy that breaks the contract (a byte twice, or outside of what is to be copied) the program
 * dies. By the environment: VMFERRY_TEST_URL, VMFERRY_TEST_USER, VMFERRY_TEST_PASSWORD,
 * VMFERRY_TEST_CA, and VMFERRY_TEST_LIBDIR, VMFERRY_TEST_PLUGIN, VMFERRY_TEST_NBDKIT for vddk,
 * VMFERRY_TEST_DEBUG.
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
#include "importer/vsphere/cbt.h"
#include "importer/vsphere/snapshot.h"
#include "jobs/migration/transport.h"
#include "tests/support/check.h"
#include "tests/support/kube_real.h"

#define STALL_MS  1500
#define MAX_WORDS 3
#define MAX_DISKS 4

/* --- a file that holds its writer to the contract ------------------------------------------ */

struct file_sink {
    struct vf_sink base;
    int fd;
    const struct vf_areas *todo;
    pthread_mutex_t lock; /* of seen */
    struct vf_areas seen;
};

static void note(struct file_sink *f, uint64_t offset_bytes, uint64_t length_bytes)
{
    vf_test_check(offset_bytes % 512 == 0 && length_bytes > 0);
    vf_test_check(vf_areas_contains(f->todo, offset_bytes, length_bytes));
    pthread_mutex_lock(&f->lock);
    vf_test_check(!vf_areas_overlaps(&f->seen, offset_bytes, length_bytes));
    vf_test_check(vf_areas_add(&f->seen, offset_bytes, length_bytes, NULL) == 0);
    pthread_mutex_unlock(&f->lock);
}

static int file_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                      struct vf_error **err)
{
    struct file_sink *f = (struct file_sink *)s;
    (void)err;
    note(f, offset_bytes, len_bytes);
    vf_test_check(pwrite(f->fd, buf, len_bytes, (off_t)offset_bytes) == (ssize_t)len_bytes);
    return 0;
}

static int file_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_error **err)
{
    static const uint8_t zeros[64 << 10];
    struct file_sink *f = (struct file_sink *)s;
    (void)err;
    note(f, offset_bytes, length_bytes);
    while (length_bytes) {
        size_t n = length_bytes < sizeof zeros ? (size_t)length_bytes : sizeof zeros;
        vf_test_check(pwrite(f->fd, zeros, n, (off_t)offset_bytes) == (ssize_t)n);
        offset_bytes += n;
        length_bytes -= n;
    }
    return 0;
}

static int file_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                     struct vf_error **err)
{
    struct file_sink *f = (struct file_sink *)s;
    (void)err;
    vf_test_check(pread(f->fd, buf, len_bytes, (off_t)offset_bytes) == (ssize_t)len_bytes);
    return 0;
}

static int file_never(struct vf_sink *s, struct vf_error **err)
{
    (void)s;
    (void)err;
    vf_test_check(!"flushing and finishing is the caller's");
    return 0;
}

static void file_free(struct vf_sink *s)
{
    (void)s;
    vf_test_check(!"the sink is borrowed");
}

static const struct vf_sink_ops file_ops = {
    .write = file_write,
    .zero = file_zero,
    .read = file_read,
    .flush = file_never,
    .finish = file_never,
    .free = file_free,
};

static void open_file(struct file_sink *f, const char *path, uint64_t size_bytes,
                      const struct vf_areas *todo)
{
    *f = (struct file_sink){
        .base = {.ops = &file_ops,
                 .size_bytes = size_bytes,
                 .caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE | VF_SINK_READABLE},
        .todo = todo};
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    vf_test_check(f->fd >= 0 && ftruncate(f->fd, (off_t)size_bytes) == 0);
    pthread_mutex_init(&f->lock, NULL);
    vf_areas_init(&f->seen, SIZE_MAX, VF_AREAS_REFUSE);
}

static void close_file(struct file_sink *f)
{
    close(f->fd);
    pthread_mutex_destroy(&f->lock);
    vf_areas_release(&f->seen);
}

/* --- steps --------------------------------------------------------------------------------- */

struct listener {
    struct vf_reporter base;
    atomic_uint n_warnings;
};

struct session {
    struct vf_vsphere *vs;
    struct vf_pool *pool;
    struct vf_cancel *cancel;
    struct listener listener;
    struct vf_secret *password;
    struct vf_transport_options options;
    struct vf_transport_env env;
    struct vf_transport *transport;
    char *snapshot;
    bool has_frozen;
    struct vf_vm frozen;
    char *change_ids[MAX_DISKS]; /* of the snapshot before */
    int64_t cancel_after_ms;     /* 0: not */
};

static void listen(struct vf_reporter *r, const struct vf_event *e)
{
    struct listener *l = (struct listener *)r;
    if (e->type == VF_EVENT_WARNING) {
        l->n_warnings++;
        fprintf(stderr, "warning: %s\n", e->message);
    }
}

static const struct vf_reporter_ops listener_ops = {.event = listen};

static int snapshot(struct session *s, char *const *words, cJSON *said, struct vf_error **err)
{
    for (size_t i = 0; s->has_frozen && i < s->frozen.n_disks; i++) {
        free(s->change_ids[i]);
        s->change_ids[i] = vf_xstrdup(s->frozen.disks[i].change_id);
    }
    if (s->has_frozen) {
        vf_vm_release(&s->frozen);
        s->has_frozen = false;
    }
    free(vf_take(s->snapshot));
    bool quiesced;
    int rc = vf_snapshot_create(s->vs, words[1], words[2], "test", false, &s->snapshot, err);
    rc = rc ? rc : vf_snapshot_fetch(s->vs, words[1], s->snapshot, &s->frozen, &quiesced, err);
    if (rc == 0) {
        s->has_frozen = true;
        vf_test_check(s->frozen.n_disks <= MAX_DISKS);
        vf_replace_string(&s->frozen.moref, words[1]);
        s->frozen.power = strcmp(words[2], "off") == 0 ? VF_POWER_OFF : VF_POWER_ON;
        vf_json_add_string(said, "moref", s->snapshot);
    }
    return rc;
}

static int remove_snapshot(struct session *s, char *const *words, cJSON *said,
                           struct vf_error **err)
{
    (void)said;
    const char *moref = strcmp(words[1], "-") != 0 ? words[1] : s->snapshot;
    return vf_snapshot_remove(s->vs, moref, true, err);
}

static int choose(struct session *s, char *const *words, cJSON *said, struct vf_error **err)
{
    char *vf_autofree reason = NULL;
    vf_transport_free(vf_take(s->transport));
    for (int kind = VF_TRANSPORT_AUTO; kind <= VF_TRANSPORT_CDI; kind++) {
        if (strcmp(vf_transport_name((enum vf_transport_kind)kind), words[1]) == 0) {
            s->options.kind = (enum vf_transport_kind)kind;
        }
    }
    int rc = vf_transport_choose(&s->options, &s->env, s->snapshot, &s->frozen, &s->transport,
                                 &reason, err);
    if (rc == 0) {
        vf_json_add_string(said, "kind", vf_transport_name(s->transport->kind));
        vf_json_add_string(said, "why", reason);
    }
    return rc;
}

static int find_areas(struct session *s, size_t disk, const char *what, struct vf_areas *areas,
                      struct vf_error **err)
{
    const struct vf_vm_disk *d = &s->frozen.disks[disk];
    vf_areas_init(areas, VF_AREAS_MAX_DEFAULT, VF_AREAS_REFUSE);
    if (strcmp(what, "all") == 0) {
        return vf_areas_add(areas, 0, d->capacity_bytes, err);
    }
    if (strcmp(what, "changed") == 0) {
        const struct vf_cbt_query q = {.vm_moref = s->frozen.moref,
                                       .snapshot_moref = s->snapshot,
                                       .disk = d,
                                       .since = {s->change_ids[disk], d->capacity_bytes}};
        struct vf_cbt_answer answer = {0};
        int rc = vf_cbt_fetch_areas(s->vs, &q, &answer, err);
        vf_test_check(rc || answer.why == VF_FULL_COPY_NOT_NEEDED);
        rc = rc ? rc : vf_areas_copy(areas, &answer.areas, err);
        vf_cbt_answer_release(&answer);
        return rc;
    }
    for (const char *at = what; *at;) {
        char *end;
        size_t of = strtoul(at, &end, 10);
        uint64_t offset = strtoull(end + 1, &end, 10), length = strtoull(end + 1, &end, 10);
        if (of == disk) {
            vf_test_check(vf_areas_add(areas, offset, length, NULL) == 0);
        }
        at = *end ? end + 1 : end;
    }
    return 0;
}

static int set_cancel(struct session *s, char *const *words, cJSON *said, struct vf_error **err)
{
    (void)said;
    (void)err;
    s->cancel_after_ms = strtol(words[1], NULL, 10);
    return 0;
}

/* What cancels a copy while it runs. */
struct canceller {
    struct vf_cancel *copy, *over;
    int64_t after_ms;
};

static void *cancel_later(void *opaque)
{
    const struct canceller *c = opaque;
    if (vf_cancel_wait(c->over, c->after_ms, NULL) == 0) {
        vf_cancel_trigger(c->copy);
    }
    return NULL;
}

static int run_copy(struct session *s, const struct vf_transport_round *round, cJSON *said,
                    struct vf_error **err)
{
    struct canceller c = {vf_cancel_new(s->cancel), vf_cancel_new(NULL), s->cancel_after_ms};
    bool cancels = s->cancel_after_ms > 0;
    s->cancel_after_ms = 0;
    pthread_t thread;
    vf_test_check(!cancels || pthread_create(&thread, NULL, cancel_later, &c) == 0);
    int64_t start_ms = vf_clock_ms();
    int rc = vf_transport_copy(s->transport, round, c.copy, err);
    vf_json_add_u64(said, "ms", (uint64_t)(vf_clock_ms() - start_ms));
    vf_test_check(!rc || vf_cancel_is_set(c.copy));
    vf_cancel_trigger(c.over);
    if (cancels) {
        pthread_join(thread, NULL);
    }
    vf_cancel_free(c.copy);
    vf_cancel_free(c.over);
    return rc;
}

/* One disk of a copy. */
struct part {
    struct vf_areas todo;
    struct file_sink file;
    struct vf_progress progress;
};

static int copy_parts(struct session *s, struct part *parts, const char *prefix, const char *what,
                      cJSON *said, struct vf_error **err)
{
    struct vf_transport_disk disks[MAX_DISKS];
    struct vf_transport_round round = {
        .snapshot = s->snapshot, .frozen = &s->frozen, .disks = disks};
    uint64_t source = 0, written = 0;
    for (size_t i = 0; i < s->frozen.n_disks; i++) {
        char *vf_autofree path = vf_xasprintf("%s-%zu.raw", prefix, i);
        open_file(&parts[i].file, path, s->frozen.disks[i].capacity_bytes, &parts[i].todo);
        if (parts[i].todo.count) {
            disks[round.n_disks++] = (struct vf_transport_disk){
                .index = i,
                .disk = &s->frozen.disks[i],
                .todo = &parts[i].todo,
                .sink = &parts[i].file.base,
                .progress = &parts[i].progress,
                .base_change_id = strcmp(what, "all") == 0 ? NULL : s->change_ids[i]};
        }
    }
    int rc = round.n_disks ? run_copy(s, &round, said, err) : 0;
    for (size_t i = 0; i < s->frozen.n_disks; i++) {
        const struct vf_areas *seen = &parts[i].file.seen;
        vf_test_check(rc || seen->total_bytes == parts[i].todo.total_bytes);
        source += atomic_load(&parts[i].progress.source_bytes);
        written += seen->total_bytes;
        close_file(&parts[i].file);
    }
    vf_json_add_u64(said, "source", source);
    vf_json_add_u64(said, "written", written);
    vf_json_add_u64(said, "disks", round.n_disks);
    return rc;
}

static int copy(struct session *s, char *const *words, cJSON *said, struct vf_error **err)
{
    struct part parts[MAX_DISKS] = {0};
    int rc = 0;
    vf_test_check(s->has_frozen && s->transport);
    for (size_t i = 0; i < s->frozen.n_disks && rc == 0; i++) {
        rc = find_areas(s, i, words[2], &parts[i].todo, err);
    }
    rc = rc ? rc : copy_parts(s, parts, words[1], words[2], said, err);
    for (size_t i = 0; i < MAX_DISKS; i++) {
        vf_areas_release(&parts[i].todo);
    }
    return rc;
}

static const struct {
    const char *name;
    size_t words;
    int (*run)(struct session *s, char *const *words, cJSON *said, struct vf_error **err);
} commands[] = {
    {"snapshot", 3, snapshot}, {"remove", 2, remove_snapshot}, {"choose", 2, choose},
    {"copy", 3, copy},         {"cancel", 2, set_cancel},
};

static void say_error(cJSON *said, const struct vf_error *e)
{
    const char *hint = vf_error_get_hint(e), *reason = vf_error_reason(e);
    char *vf_autofree text = vf_error_format(e);
    vf_json_add_string(said, "code", vf_code_name(vf_error_code(e)));
    vf_json_add_string(said, "reason", reason ? reason : "");
    vf_json_add_string(said, "message", text);
    vf_json_add_string(said, "hint", hint ? hint : "");
}

static void obey(struct session *s, char *line)
{
    char *words[MAX_WORDS + 1] = {NULL};
    char *rest = NULL;
    size_t n = 0;
    for (char *w = strtok_r(line, "\t\n", &rest); w && n < MAX_WORDS;
         w = strtok_r(NULL, "\t\n", &rest)) {
        words[n++] = w;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (n == 0 || strcmp(commands[i].name, words[0]) != 0) {
            continue;
        }
        struct vf_error *err = NULL;
        cJSON *said = vf_json_new_object();
        vf_test_check(n == commands[i].words);
        s->listener.n_warnings = 0;
        if (commands[i].run(s, words, said, &err)) {
            say_error(said, err);
        }
        vf_json_add_u64(said, "warnings", s->listener.n_warnings);
        char *vf_autofree text = vf_json_print(said, false);
        printf("%s\n", text);
        fflush(stdout);
        cJSON_Delete(said);
        vf_error_free(err);
        return;
    }
    vf_test_check(!"a known command");
}

static void log_in(struct session *s)
{
    struct vf_error *err = NULL;
    vf_test_check(vf_secret_fetch_env("VMFERRY_TEST_PASSWORD", &s->password, NULL) == 0);
    const struct vf_vsphere_options options = {
        .url = vf_test_setting("VMFERRY_TEST_URL"),
        .user = vf_test_setting("VMFERRY_TEST_USER"),
        .password = s->password,
        .http = {.ca_file = vf_test_setting("VMFERRY_TEST_CA"),
                 .proxy = "",
                 .stall_timeout_ms = STALL_MS},
    };
    if (vf_vsphere_login(&options, s->cancel, &s->vs, &err)) {
        fprintf(stderr, "%s\n", vf_error_message(err));
        exit(1);
    }
}

int main(void)
{
    struct session s = {.pool = vf_pool_new(4),
                        .cancel = vf_cancel_new(NULL),
                        .listener = {.base = {&listener_ops}}};
    char line[1000];
    vf_log_set_debug(getenv("VMFERRY_TEST_DEBUG") != NULL);
    log_in(&s);
    s.options = (struct vf_transport_options){.vddk_libdir = getenv("VMFERRY_TEST_LIBDIR"),
                                              .nbdkit_plugin = getenv("VMFERRY_TEST_PLUGIN"),
                                              .nbdkit_program = getenv("VMFERRY_TEST_NBDKIT"),
                                              .password = s.password};
    s.env = (struct vf_transport_env){
        .vs = s.vs, .pool = s.pool, .reporter = &s.listener.base, .vm = "test", .cancel = s.cancel};
    while (fgets(line, sizeof line, stdin)) {
        obey(&s, line);
    }
    vf_transport_free(s.transport);
    if (s.has_frozen) {
        vf_vm_release(&s.frozen);
    }
    for (size_t i = 0; i < MAX_DISKS; i++) {
        free(s.change_ids[i]);
    }
    free(s.snapshot);
    vf_vsphere_free(s.vs);
    vf_secret_free(s.password);
    vf_pool_free(s.pool);
    vf_cancel_free(s.cancel);
    return 0;
}
