/* What is found of a target on a real API server, told as JSON; tests/e2e/cluster makes what there
 * is to find.
 *
 *   VMFERRY_TEST_ATTACHMENTS   "prod/lan,prod/gone"
 *   VMFERRY_TEST_CLASSES       "rig-fs,gone"; each is wished for
 *   VMFERRY_TEST_ACCOUNT       a service account
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/kubevirt_facts.h"
#include "importer/kube/resources.h"
#include "importer/kube/target_facts.h"
#include "tests/support/kube_real.h"

#define MAX_PARTS 8

static struct vf_test_real real;

static size_t split(char *text, const char **parts)
{
    size_t n = 0;
    char *save = NULL;
    for (char *part = strtok_r(text, ",", &save); part && n < MAX_PARTS;
         part = strtok_r(NULL, ",", &save)) {
        parts[n++] = part;
    }
    parts[n] = NULL;
    return n;
}

static void add_strings(cJSON *o, const char *key, char *const *strings, size_t n)
{
    cJSON *array = vf_json_add_array(o, key);
    for (size_t i = 0; i < n; i++) {
        vf_json_append_string(array, strings[i]);
    }
}

static void add_known(cJSON *o, const struct vf_target_facts *f)
{
    const struct {
        const char *name;
        bool known;
    } parts[] = {
        {"macs", f->macs_known},
        {"names", f->names_known},
        {"quotas", f->quotas_known},
        {"classes", f->classes_known},
        {"nodes", f->nodes_known},
        {"preferences", f->preferences_known},
        {"cdi", f->cdi_known},
        {"instancetypes", f->instancetypes_known},
        {"rights", f->rights_known},
        {"limits", f->limits_known},
        {"clock", f->clock_known},
        {"namespace", f->namespace_known},
        {"snapshots", f->snapshots_known},
    };
    cJSON *known = vf_json_add_object(o, "known");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        vf_json_add_bool(known, parts[i].name, parts[i].known);
    }
}

static void add_machines(cJSON *o, const struct vf_target_facts *f)
{
    cJSON *macs = vf_json_add_object(o, "macs"), *names = vf_json_add_object(o, "names");
    for (size_t i = 0; i < f->n_macs; i++) {
        cJSON *m = vf_json_add_object(macs, f->macs[i].mac);
        vf_json_add_string(m, "owner", f->macs[i].owner);
        vf_json_add_bool(m, "running", f->macs[i].running);
    }
    for (size_t i = 0; i < f->n_names; i++) {
        vf_json_add_string(names, f->names[i].key,
                           f->names[i].marks.ours ? f->names[i].marks.import : "");
    }
}

static void add_storage(cJSON *o, const struct vf_target_facts *f)
{
    cJSON *classes = vf_json_add_object(o, "classes"), *wishes = vf_json_add_object(o, "wishes");
    for (size_t i = 0; i < f->n_classes; i++) {
        const struct vf_target_class *c = &f->classes[i];
        cJSON *class = vf_json_add_object(classes, c->name);
        vf_json_add_bool(class, "has_capacity", c->has_capacity);
        vf_json_add_u64(class, "free", c->free_bytes);
        vf_json_add_u64(class, "max_volume", c->max_volume_bytes);
        vf_json_add_string(class, "snapshot_class", c->snapshot_class);
    }
    for (size_t i = 0; i < f->n_storages; i++) {
        const struct vf_target_storage *s = &f->storages[i];
        vf_json_add_string(wishes, s->class_name ? s->class_name : "",
                           s->storage ? s->storage->volume_mode : s->problem);
    }
}

static void add_bounds(cJSON *o, const struct vf_target_facts *f)
{
    cJSON *quotas = vf_json_add_object(o, "quotas"), *nodes = vf_json_add_object(o, "nodes");
    for (size_t i = 0; i < f->n_quotas; i++) {
        vf_json_add_u64(quotas, f->quotas[i].resource, f->quotas[i].hard);
    }
    for (size_t i = 0; i < f->n_nodes; i++) {
        vf_json_add_bool(nodes, f->nodes[i].name,
                         f->nodes[i].schedulable && f->nodes[i].cpu_millis &&
                             f->nodes[i].memory_bytes);
    }
    vf_json_add_u64(o, "max_claim", f->max_claim_bytes);
    cJSON *refused = vf_json_add_array(o, "refused");
    for (size_t i = 0; f->refused && f->refused[i]; i++) {
        vf_json_append_string(refused, f->refused[i]->resource->plural);
    }
}

static void print(const struct vf_target_facts *f, const struct vf_kubevirt_facts *k)
{
    cJSON *o = vf_json_new_object();
    add_known(o, f);
    add_strings(o, "unknown", f->unknown, f->n_unknown);
    add_machines(o, f);
    add_storage(o, f);
    add_bounds(o, f);
    add_strings(o, "attachments", f->attachments, f->n_attachments);
    add_strings(o, "missing_attachments", f->missing_attachments, f->n_missing_attachments);
    add_strings(o, "preferences", f->preferences, f->n_preferences);
    add_strings(o, "instancetypes", f->instancetypes, f->n_instancetypes);
    vf_json_add_string(o, "version", f->version);
    vf_json_add_string(o, "cdi", f->cdi_version);
    vf_json_add_string(o, "pod_security", f->pod_security);
    vf_json_add_string(o, "account",
                       f->account == VF_YES  ? "yes"
                       : f->account == VF_NO ? "no"
                                             : "unknown");
    vf_json_add_bool(o, "clock_is_ours", f->clock_skew_ms > -60000 && f->clock_skew_ms < 60000);
    vf_json_add_string(o, "kubevirt", k->version);
    vf_json_add_string(o, "phase", k->phase);
    char *vf_autofree text = vf_json_print(o, false);
    printf("FACTS %s\n", text);
    cJSON_Delete(o);
}

static void test_target_facts__are_told(void **state)
{
    static const struct vf_kube_need nodes = {.resource = &vf_kube_nodes, .verb = "delete"};
    static const struct vf_kube_need claims = {.resource = &vf_kube_claims, .verb = "create"};
    static const struct vf_kube_need *const needs[] = {&nodes, &claims, NULL};
    char *vf_autofree names = vf_xstrdup(vf_test_setting("VMFERRY_TEST_CLASSES"));
    char *vf_autofree nads = vf_xstrdup(vf_test_setting("VMFERRY_TEST_ATTACHMENTS"));
    const char *classes[MAX_PARTS + 1], *attachments[MAX_PARTS + 1];
    struct vf_kube_storage_wish wishes[MAX_PARTS];
    struct vf_target_facts f;
    struct vf_kubevirt_facts k;
    (void)state;
    size_t n = split(names, classes);
    split(nads, attachments);
    for (size_t i = 0; i < n; i++) {
        wishes[i] = (struct vf_kube_storage_wish){.class_name = classes[i]};
    }
    const struct vf_target_question q = {.attachments = attachments,
                                         .wishes = wishes,
                                         .n_wishes = n,
                                         .account = vf_test_setting("VMFERRY_TEST_ACCOUNT"),
                                         .needs = needs};
    vf_test_real_expect(&real, vf_kube_fetch_target_facts(real.client, &q, NULL, &f, &real.err), 0);
    vf_test_real_expect(&real, vf_kubevirt_fetch_facts(real.client, NULL, &k, &real.err), 0);
    print(&f, &k);
    vf_target_facts_release(&f);
    vf_kubevirt_facts_release(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_target_facts__are_told)};
    vf_test_real_start(&real);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    vf_test_real_stop(&real);
    return failed;
}
