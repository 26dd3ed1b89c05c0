/* What preflight gathers of the target, beside what importer/kube tells. */
#include "jobs/preflight/target_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/check_world.h"
#include "tests/support/kube_rig.h"

#define CDI "/apis/cdi.kubevirt.io/v1beta1"

/* A cluster that has what is in the table, and knows of nothing else. */
struct answer {
    const char *target; /* the path, and what else the request's target begins with */
    const char *body;
};

struct rig {
    struct vf_test_kube kube;
    struct check_world w;
    const struct answer *answers; /* up to one without a target */
    char *config;                 /* of CDI; NULL: none */
    int token_status;
    int rc;
};

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static void answer(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    const struct rig *r = k->opaque;
    (void)n;
    if (begins(x->target, "/version")) {
        vf_test_answer(x, 200, NULL, "{\"gitVersion\":\"v1.34.2\"}");
        return;
    }
    if (begins(x->target, CDI "/cdiconfigs/config") && r->config) {
        vf_test_answer(x, 200, NULL, r->config);
        return;
    }
    if (begins(x->target, "/proxy/healthz")) {
        vf_test_answer(x, 200, NULL, "OK");
        return;
    }
    if (strstr(x->target, "/uploadtokenrequests")) {
        vf_test_answer(x, r->token_status, NULL,
                       r->token_status == 200 ? "{\"status\":{\"token\":\"t\"}}" : "{}");
        return;
    }
    for (const struct answer *a = r->answers; a && a->target; a++) {
        if (begins(x->target, a->target)) {
            vf_test_answer(x, 200, NULL, a->body);
            return;
        }
    }
    vf_test_answer(x, 404, NULL, "404 page not found");
}

static void start(struct rig *r, const struct answer *answers)
{
    *r = (struct rig){.answers = answers, .token_status = 200};
    check_world_init(&r->w);
    r->kube.opaque = r;
    vf_test_kube_start(&r->kube, answer);
    r->kube.opaque = r;
    r->w.import.target = VF_TO_CLAIM;
    r->w.import.mapping = &r->w.mapping;
    r->w.check.import = &r->w.import;
    r->w.check.probe = VF_PROBE_LIGHT;
    r->w.facts.vms = r->w.vms;
    r->w.facts.n_vms = CHECK_WORLD_VMS;
    r->w.facts.names = vf_xcalloc(CHECK_WORLD_VMS, sizeof(char *));
    r->w.facts.names[0] = vf_xstrdup("web01");
    r->w.facts.names[1] = vf_xstrdup("db01");
}

static void gather(struct rig *r)
{
    r->rc = vf_target_facts_gather(r->kube.client, &r->w.check, r->w.vms, CHECK_WORLD_VMS, NULL,
                                   &r->w.facts, &r->w.findings, &r->kube.err);
}

static void stop(struct rig *r)
{
    vf_test_kube_stop(&r->kube);
    check_world_release(&r->w);
    free(r->config);
}

#define MACHINES(import, uuid)                                                                     \
    "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"metadata\":{\"name\":\"web01\","      \
    "\"namespace\":\"prod\",\"labels\":{\"app.kubernetes.io/managed-by\":\"vmferry\","             \
    "\"vmferry.io/import\":\"" import "\"},\"annotations\":{\"vmferry.io/source-uuid\":\"" uuid    \
    "\"}}}]}"

static void test_target_facts__a_name_of_another_import_is_replaced(void **state)
{
    static const struct answer other[] = {
        {"/apis/kubevirt.io/v1/namespaces/prod/virtualmachines", MACHINES("web01", "50-mail")},
        {NULL, NULL},
    };
    static const struct answer own[] = {
        {"/apis/kubevirt.io/v1/namespaces/prod/virtualmachines", MACHINES("web01", "50-web01")},
        {NULL, NULL},
    };
    struct rig r;
    (void)state;
    start(&r, other);
    gather(&r);
    assert_int_equal(r.rc, 0);
    assert_true(begins(r.w.facts.names[0], "web01-"));
    assert_string_equal(r.w.facts.names[1], "db01");
    stop(&r);

    start(&r, other); /* what was told stays, and is refused by a rule */
    r.w.import.name = "web01";
    gather(&r);
    assert_string_equal(r.w.facts.names[0], "web01");
    stop(&r);

    start(&r, own);
    gather(&r);
    assert_string_equal(r.w.facts.names[0], "web01");
    stop(&r);
}

static void test_target_facts__no_kubevirt_is_a_fact(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    gather(&r);
    assert_int_equal(r.rc, 0);
    assert_true(r.w.facts.has_target && r.w.facts.kubevirt.absent);
    assert_false(r.w.facts.kubevirt.known);
    assert_false(r.w.facts.target.has_cdi);
    assert_int_equal(r.w.findings.n_items, 0);
    stop(&r);
}

/* A worker's claims are there, and its account may not look around. */
static void test_target_facts__a_worker_asks_nothing(void **state)
{
    struct rig r;
    (void)state;
    start(&r, NULL);
    r.w.import.to_path = "/disks";
    gather(&r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.kube.n, 0);
    assert_false(r.w.facts.has_target);
    stop(&r);
}

/* --- what is asked ----------------------------------------------------------------------- */

static const struct answer with_cdi[] = {
    {CDI "/cdis", "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}"},
    {CDI "/", "{}"},
    {"/api/v1/namespaces/cdi/configmaps/", "{}"},
    {CDI, "{\"resources\":[{\"name\":\"datavolumes\"}]}"},
    {"/apis/upload.cdi.kubevirt.io/v1beta1",
     "{\"resources\":[{\"name\":\"uploadtokenrequests\"}]}"},
    {"/apis/storage.k8s.io/v1/storageclasses/", "{\"metadata\":{\"name\":\"x\"}}"},
    {NULL, NULL},
};

static void test_target_facts__each_wish_is_asked_for_once(void **state)
{
    struct rig r;
    (void)state;
    start(&r, with_cdi);
    for (unsigned i = 0; i < 20; i++) {
        check_world_add_disk(&r.w.vms[0], "[fast] web01/more.vmdk");
    }
    assert_int_equal(vf_mapping_add_storage(&r.w.mapping, "fast=gold", NULL), 0);
    assert_int_equal(vf_mapping_add_disk(&r.w.mapping, "3:class=silver", NULL), 0);
    gather(&r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.w.facts.target.n_storages, 2);
    assert_string_equal(r.w.facts.target.storages[0].class_name, "gold");
    assert_string_equal(r.w.facts.target.storages[1].class_name, "silver");
    stop(&r);
}

/* --- what is tried ----------------------------------------------------------------------- */

static char *config_of(const struct rig *r, const char *path)
{
    char *vf_autofree ca = vf_test_server_ca_pem(r->kube.server);
    cJSON *config = vf_json_new_object();
    cJSON *status = vf_json_add_object(config, "status");
    char *vf_autofree url = vf_xasprintf("%s%s", vf_test_server_url(r->kube.server), path);
    vf_json_add_string(status, "uploadProxyURL", url);
    vf_json_add_string(status, "uploadProxyCA", ca);
    char *text = vf_json_print(config, false);
    cJSON_Delete(config);
    return text;
}

static void expect(const struct rig *r, const char *id, const char *says)
{
    const struct vf_finding *f = check_world_find(&r->w, id);
    vf_test_check(f != NULL);
    if (!strstr(f->message, says)) {
        fail_msg("%s: %s", id, f->message);
    }
    assert_int_equal(f->severity, VF_CRITICAL);
}

static void test_target_facts__uploads_are_tried(void **state)
{
    struct rig r;
    (void)state;
    start(&r, with_cdi);
    r.w.import.target = VF_TO_UPLOAD;
    r.config = config_of(&r, "/proxy");
    gather(&r);
    assert_int_equal(r.rc, 0);
    assert_null(check_world_find(&r.w, "upload.proxy"));
    assert_null(check_world_find(&r.w, "upload.token"));
    stop(&r);
}

static void test_target_facts__what_keeps_uploads_away_is_found(void **state)
{
    struct rig r;
    (void)state;
    start(&r, with_cdi);
    r.w.import.target = VF_TO_UPLOAD;
    r.config = vf_xstrdup("{}");
    r.token_status = 403;
    gather(&r);
    assert_int_equal(r.rc, 0);
    expect(&r, "upload.proxy", "publishes no address");
    expect(&r, "upload.token", "status 403");
    stop(&r);

    start(&r, with_cdi); /* its certificate is of nobody we know */
    r.w.import.target = VF_TO_UPLOAD;
    char *vf_autofree url = vf_xasprintf("%s/proxy", vf_test_server_url(r.kube.server));
    r.config = vf_xstrdup("{}");
    r.w.import.cluster.proxy_url = url;
    gather(&r);
    assert_int_equal(r.rc, 0);
    expect(&r, "upload.proxy", "certificate");
    assert_null(check_world_find(&r.w, "upload.token"));
    stop(&r);
}

static void test_target_facts__without_a_probe_nothing_is_tried(void **state)
{
    struct rig r;
    (void)state;
    start(&r, with_cdi);
    r.w.import.target = VF_TO_UPLOAD;
    r.w.check.probe = VF_PROBE_NONE;
    r.config = vf_xstrdup("{}");
    r.token_status = 403;
    gather(&r);
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.w.findings.n_items, 0);
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_facts__a_name_of_another_import_is_replaced),
        cmocka_unit_test(test_target_facts__no_kubevirt_is_a_fact),
        cmocka_unit_test(test_target_facts__a_worker_asks_nothing),
        cmocka_unit_test(test_target_facts__each_wish_is_asked_for_once),
        cmocka_unit_test(test_target_facts__uploads_are_tried),
        cmocka_unit_test(test_target_facts__what_keeps_uploads_away_is_found),
        cmocka_unit_test(test_target_facts__without_a_probe_nothing_is_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
