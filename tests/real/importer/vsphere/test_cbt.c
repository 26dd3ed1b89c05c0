/* importer/vsphere/cbt at the command of tests/e2e/test_cbt_client.py: each line on standard input
 * is one call, its words apart by tabs; each is answered by one line of JSON. A failure has "code",
 * "message" and "hint".
 *
 *   enable VM                               {"changed"}
 *   stun VM NAME                            {}
 *   look VM                                 {"stun_due", "states"}
 *   snapshot VM NAME                        {"moref", "change_ids"}
 *   remove SNAPSHOT                         {}
 *   areas VM SNAPSHOT DISK SINCE CAPACITY   {"why", "detail", "total", "areas": [[OFFSET, LENGTH]]}
 *
 * VM and SNAPSHOT are references, DISK counts from 0; SNAPSHOT and SINCE may be "-" for none.
 * By the environment: VMFERRY_TEST_URL, VMFERRY_TEST_USER, VMFERRY_TEST_PASSWORD, VMFERRY_TEST_CA.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/vsphere/cbt.h"
#include "importer/vsphere/inventory.h"
#include "importer/vsphere/snapshot.h"
#include "tests/support/check.h"
#include "tests/support/kube_real.h"

#define MAX_WORDS 6

static struct vf_vsphere *log_in(void)
{
    struct vf_secret *password = NULL;
    struct vf_vsphere *vs = NULL;
    struct vf_error *err = NULL;
    vf_test_check(vf_secret_fetch_env("VMFERRY_TEST_PASSWORD", &password, NULL) == 0);
    const struct vf_vsphere_options options = {
        .url = vf_test_setting("VMFERRY_TEST_URL"),
        .user = vf_test_setting("VMFERRY_TEST_USER"),
        .password = password,
        .http = {.ca_file = vf_test_setting("VMFERRY_TEST_CA"), .proxy = ""},
    };
    if (vf_vsphere_login(&options, NULL, &vs, &err)) {
        fprintf(stderr, "%s\n", vf_error_message(err));
        exit(1);
    }
    vf_secret_free(password);
    return vs;
}

static int enable(struct vf_vsphere *vs, char *const *words, cJSON *said, struct vf_error **err)
{
    bool changed = false;
    int rc = vf_cbt_enable(vs, words[1], &changed, err);
    if (rc == 0) {
        vf_json_add_bool(said, "changed", changed);
    }
    return rc;
}

static int stun(struct vf_vsphere *vs, char *const *words, cJSON *said, struct vf_error **err)
{
    (void)said;
    return vf_cbt_stun(vs, words[1], words[2], "test", err);
}

static int look(struct vf_vsphere *vs, char *const *words, cJSON *said, struct vf_error **err)
{
    static const char *const names[] = {"off", "waiting", "on", "outside"};
    struct vf_vm vm;
    int rc = vf_vsphere_fetch_vm(vs, words[1], &vm, err);
    if (rc) {
        return rc;
    }
    vf_json_add_bool(said, "stun_due", vf_cbt_is_stun_due(&vm));
    cJSON *states = vf_json_add_array(said, "states");
    for (size_t i = 0; i < vm.n_disks; i++) {
        vf_json_append_string(states, names[vf_cbt_get_state(&vm, &vm.disks[i])]);
    }
    vf_vm_release(&vm);
    return 0;
}

static int snapshot(struct vf_vsphere *vs, char *const *words, cJSON *said, struct vf_error **err)
{
    char *vf_autofree moref = NULL;
    struct vf_vm frozen;
    bool quiesced;
    int rc = vf_snapshot_create(vs, words[1], words[2], "test", false, &moref, err);
    rc = rc ? rc : vf_snapshot_fetch(vs, words[1], moref, &frozen, &quiesced, err);
    if (rc) {
        return rc;
    }
    vf_json_add_string(said, "moref", moref);
    cJSON *ids = vf_json_add_array(said, "change_ids");
    for (size_t i = 0; i < frozen.n_disks; i++) {
        const char *id = frozen.disks[i].change_id;
        vf_json_append_string(ids, id ? id : "");
    }
    vf_vm_release(&frozen);
    return 0;
}

static int remove_one(struct vf_vsphere *vs, char *const *words, cJSON *said, struct vf_error **err)
{
    (void)said;
    return vf_snapshot_remove(vs, words[1], true, err);
}

static void say_areas(const struct vf_cbt_answer *a, cJSON *said)
{
    vf_json_add_u64(said, "why", (uint64_t)a->why);
    vf_json_add_string(said, "detail", a->detail);
    vf_json_add_u64(said, "total", a->areas.total_bytes);
    cJSON *areas = vf_json_add_array(said, "areas");
    struct vf_area e;
    for (uint64_t from = 0; vf_areas_next(&a->areas, from, &e);
         from = e.offset_bytes + e.length_bytes) {
        cJSON *pair = cJSON_CreateArray();
        cJSON_AddItemToArray(pair, cJSON_CreateNumber((double)e.offset_bytes));
        cJSON_AddItemToArray(pair, cJSON_CreateNumber((double)e.length_bytes));
        cJSON_AddItemToArray(areas, pair);
    }
}

static int areas(struct vf_vsphere *vs, char *const *words, cJSON *said, struct vf_error **err)
{
    const char *moref = strcmp(words[2], "-") != 0 ? words[2] : NULL;
    struct vf_vm vm;
    struct vf_cbt_answer answer;
    bool quiesced;
    int rc = moref ? vf_snapshot_fetch(vs, words[1], moref, &vm, &quiesced, err)
                   : vf_vsphere_fetch_vm(vs, words[1], &vm, err);
    if (rc) {
        return rc;
    }
    size_t disk = strtoul(words[3], NULL, 10);
    vf_test_check(disk < vm.n_disks);
    const struct vf_cbt_query q = {
        .vm_moref = words[1],
        .snapshot_moref = moref,
        .disk = &vm.disks[disk],
        .since = {strcmp(words[4], "-") != 0 ? words[4] : NULL, strtoull(words[5], NULL, 10)},
    };
    rc = vf_cbt_fetch_areas(vs, &q, &answer, err);
    if (rc == 0) {
        say_areas(&answer, said);
        vf_cbt_answer_release(&answer);
    }
    vf_vm_release(&vm);
    return rc;
}

static const struct {
    const char *name;
    size_t words;
    int (*run)(struct vf_vsphere *vs, char *const *words, cJSON *said, struct vf_error **err);
} commands[] = {
    {"enable", 2, enable},     {"stun", 3, stun},         {"look", 2, look},
    {"snapshot", 3, snapshot}, {"remove", 2, remove_one}, {"areas", 6, areas},
};

static void obey(struct vf_vsphere *vs, char *line)
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
        int rc = commands[i].run(vs, words, said, &err);
        if (rc) {
            vf_json_add_string(said, "code", vf_code_name(rc));
            vf_json_add_string(said, "message", vf_error_message(err));
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

int main(void)
{
    struct vf_vsphere *vs = log_in();
    char line[1000];
    while (fgets(line, sizeof line, stdin)) {
        obey(vs, line);
    }
    vf_vsphere_free(vs);
    return 0;
}
