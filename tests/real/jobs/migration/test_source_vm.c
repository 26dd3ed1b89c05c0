/* jobs/migration/source_vm at the command of tests/e2e/test_source_vm.py: each line on standard
 * input is one call, its words apart by tabs; each is answered by one line of JSON with what was
 * told meanwhile ("told"), and of a failure "code", "message" and "hint".
 *
 *   PROGRAM VM [no-quiesce] [hard] [SHUTDOWN_TIMEOUT_MS]
 *
 *   look             {"name", "power", "host", "own", "others", "tracked"}
 *   track no|stun    {}
 *   snapshot         {"moref", "frozen": {"power", "host", "change_ids"}}
 *   adopt MOREF      the same
 *   frozen           the same, of what is held; {} when nothing is
 *   remove           {}
 *   areas DISK SINCE {"why", "total"}    of the snapshot that is held
 *   shut_down        {}
 *   power_on         {}
 *   note TEXT        {}    "-": out with it; "|" stands for a line end
 *   cancel MS        {}    after so long, whatever runs then
 *
 * By the environment: VMFERRY_TEST_URL, VMFERRY_TEST_USER, VMFERRY_TEST_PASSWORD, VMFERRY_TEST_CA.
 */
#include "jobs/migration/source_vm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/event_log.h"
#include "tests/support/kube_real.h"

static struct vf_cancel *cancel;

static struct vf_source_vm *open_source(int argc, char **argv, struct vf_reporter *reporter)
{
    struct vf_secret *password = NULL;
    struct vf_source_vm *s = NULL;
    struct vf_error *err = NULL;
    vf_test_check(vf_secret_fetch_env("VMFERRY_TEST_PASSWORD", &password, NULL) == 0);
    const struct vf_vsphere_options vsphere = {
        .url = vf_test_setting("VMFERRY_TEST_URL"),
        .user = vf_test_setting("VMFERRY_TEST_USER"),
        .password = password,
        .http = {.ca_file = vf_test_setting("VMFERRY_TEST_CA"), .proxy = ""},
    };
    struct vf_source_vm_options options = {
        .vsphere = &vsphere, .vm = argv[1], .reporter = reporter, .cancel = cancel};
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "no-quiesce") == 0) {
            options.no_quiesce = true;
        } else if (strcmp(argv[i], "hard") == 0) {
            options.hard_power_off = true;
        } else {
            options.shutdown_timeout_ms = (int64_t)strtoull(argv[i], NULL, 10);
        }
    }
    if (vf_source_vm_open(&options, &s, &err)) {
        fprintf(stderr, "%s\n", vf_error_message(err));
        exit(1);
    }
    vf_secret_free(password);
    return s;
}

static void say_power(cJSON *said, const struct vf_vm *vm)
{
    static const char *const powers[] = {"unknown", "off", "on", "suspended"};
    vf_json_add_string(said, "power", powers[vm->power]);
    vf_json_add_string(said, "host", vm->host);
}

static int look(struct vf_source_vm *s, const char *const *words, cJSON *said,
                struct vf_error **err)
{
    (void)words;
    int rc = vf_source_vm_look(s, err);
    if (rc) {
        return rc;
    }
    size_t own, others;
    const struct vf_vm *vm = vf_source_vm_get(s);
    vf_source_vm_count_snapshots(s, &own, &others);
    vf_json_add_string(said, "name", vm->name);
    say_power(said, vm);
    vf_json_add_u64(said, "own", own);
    vf_json_add_u64(said, "others", others);
    vf_json_add_bool(said, "tracked", vm->cbt_enabled && !vf_source_vm_is_stun_due(s));
    return 0;
}

static int track(struct vf_source_vm *s, const char *const *words, cJSON *said,
                 struct vf_error **err)
{
    (void)said;
    return vf_source_vm_track(s, strcmp(words[1], "stun") == 0, err);
}

static int say_frozen(struct vf_source_vm *s, const char *const *words, cJSON *said,
                      struct vf_error **err)
{
    (void)words;
    (void)err;
    const struct vf_vm *vm = vf_source_vm_get_frozen(s);
    vf_json_add_string(said, "moref", vf_source_vm_get_snapshot(s));
    if (vm) {
        cJSON *frozen = vf_json_add_object(said, "frozen");
        say_power(frozen, vm);
        cJSON *ids = vf_json_add_array(frozen, "change_ids");
        for (size_t i = 0; i < vm->n_disks; i++) {
            vf_json_append_string(ids, vm->disks[i].change_id ? vm->disks[i].change_id : "");
        }
    }
    return 0;
}

static int snapshot(struct vf_source_vm *s, const char *const *words, cJSON *said,
                    struct vf_error **err)
{
    int rc = vf_source_vm_take_snapshot(s, err);
    return rc ? rc : say_frozen(s, words, said, err);
}

static int adopt(struct vf_source_vm *s, const char *const *words, cJSON *said,
                 struct vf_error **err)
{
    int rc = vf_source_vm_adopt_snapshot(s, words[1], err);
    return rc ? rc : say_frozen(s, words, said, err);
}

static int remove_all(struct vf_source_vm *s, const char *const *words, cJSON *said,
                      struct vf_error **err)
{
    (void)words;
    (void)said;
    return vf_source_vm_remove_snapshots(s, err);
}

static int areas(struct vf_source_vm *s, const char *const *words, cJSON *said,
                 struct vf_error **err)
{
    const struct vf_vm *vm = vf_source_vm_get_frozen(s);
    size_t disk = strtoul(words[1], NULL, 10);
    struct vf_cbt_answer answer;
    vf_test_check(vm && disk < vm->n_disks);
    const struct vf_cbt_query q = {.vm_moref = vm->moref,
                                   .snapshot_moref = vf_source_vm_get_snapshot(s),
                                   .disk = &vm->disks[disk],
                                   .since = {words[2], vm->disks[disk].capacity_bytes}};
    int rc = vf_source_vm_fetch_changes(s, &q, &answer, err);
    if (rc == 0) {
        vf_json_add_u64(said, "why", (uint64_t)answer.why);
        vf_json_add_u64(said, "total", answer.areas.total_bytes);
        vf_cbt_answer_release(&answer);
    }
    return rc;
}

static int shut_down(struct vf_source_vm *s, const char *const *words, cJSON *said,
                     struct vf_error **err)
{
    (void)words;
    (void)said;
    return vf_source_vm_shut_down(s, err);
}

static int power_on(struct vf_source_vm *s, const char *const *words, cJSON *said,
                    struct vf_error **err)
{
    (void)words;
    (void)said;
    return vf_source_vm_power_on(s, err);
}

static int note(struct vf_source_vm *s, const char *const *words, cJSON *said,
                struct vf_error **err)
{
    (void)said;
    char *vf_autofree text = strcmp(words[1], "-") != 0 ? vf_xstrdup(words[1]) : NULL;
    for (char *p = text; p && *p; p++) {
        *p = *p == '|' ? '\n' : *p;
    }
    return vf_source_vm_note(s, text, err);
}

static pthread_t canceller;
static bool cancelling;
static int64_t cancel_ms;

static void *run_cancel(void *opaque)
{
    (void)opaque;
    vf_cancel_wait(NULL, cancel_ms, NULL);
    vf_cancel_trigger(cancel);
    return NULL;
}

static int cancel_later(struct vf_source_vm *s, const char *const *words, cJSON *said,
                        struct vf_error **err)
{
    (void)s;
    (void)said;
    (void)err;
    cancel_ms = (int64_t)strtoull(words[1], NULL, 10);
    vf_test_check(!cancelling && pthread_create(&canceller, NULL, run_cancel, NULL) == 0);
    cancelling = true;
    return 0;
}

#define MAX_WORDS 3

static const struct {
    const char *name;
    size_t words;
    int (*run)(struct vf_source_vm *s, const char *const *words, cJSON *said,
               struct vf_error **err);
} commands[] = {
    {"look", 1, look},   {"track", 2, track},         {"snapshot", 1, snapshot},
    {"adopt", 2, adopt}, {"frozen", 1, say_frozen},   {"remove", 1, remove_all},
    {"areas", 3, areas}, {"shut_down", 1, shut_down}, {"power_on", 1, power_on},
    {"note", 2, note},   {"cancel", 2, cancel_later},
};

static void obey(struct vf_source_vm *s, struct vf_test_events *events, char *line)
{
    const char *words[MAX_WORDS + 1] = {NULL};
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
        char *vf_autofree before = vf_test_events_text(events);
        int rc = commands[i].run(s, words, said, &err);
        char *vf_autofree told = vf_test_events_text(events);
        vf_json_add_string(said, "told", told + strlen(before));
        if (rc) {
            vf_json_add_string(said, "code", vf_code_name(rc));
            char *vf_autofree message = vf_error_format(err);
            vf_json_add_string(said, "message", message);
            vf_json_add_string(said, "hint", vf_error_get_hint(err));
        }
        char *vf_autofree text = vf_json_print(said, false);
        printf("%s\n", text);
        fflush(stdout);
        cJSON_Delete(said);
        vf_error_free(err);
        return;
    }
    vf_test_check(!"a known command");
}

int main(int argc, char **argv)
{
    struct vf_test_events events;
    char line[4000];
    vf_test_check(argc >= 2);
    vf_test_events_init(&events);
    cancel = vf_cancel_new(NULL);
    struct vf_source_vm *s = open_source(argc, argv, &events.reporter);
    while (fgets(line, sizeof line, stdin)) {
        obey(s, &events, line);
    }
    vf_source_vm_free(s);
    if (cancelling) {
        pthread_join(canceller, NULL);
    }
    vf_cancel_free(cancel);
    vf_test_events_release(&events);
    return 0;
}
