#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/explain_view.h"

#define MACHINE                                                                                    \
    "{\"metadata\":{\"name\":\"web01\",\"annotations\":{\"vmferry.io/notes\":\"%s\"}},\"spec\":{"  \
    "\"runStrategy\":\"Halted\",\"template\":{\"spec\":{\"hostname\":\"web01\",\"domain\":{"       \
    "\"cpu\":{\"sockets\":2},\"devices\":{\"rng\":{},\"disks\":[{\"name\":\"disk-0\",\"disk\":{"   \
    "\"bus\":\"sata\"}}]}}}}}}"
#define LONG_NOTES "a note that is much longer than what a table has room for in one of its columns"

static char vm[] = "Web\033 01", concern[] = "what TPM held is lost";

struct world {
    cJSON *documents[1];
    struct vf_concern concerns[1];
    struct vf_explanation e;
};

static void world_init(struct world *w)
{
    char *vf_autofree text = vf_xasprintf(MACHINE, LONG_NOTES);
    *w = (struct world){.concerns = {{"vm.tpm", concern}}};
    assert_int_equal(vf_json_parse(text, strlen(text), "it", &w->documents[0], NULL), 0);
    struct vf_origins *o = vf_origins_new();
    const cJSON *spec = vf_json_object(w->documents[0], "spec");
    const cJSON *inner = vf_json_object(vf_json_object(spec, "template"), "spec");
    const cJSON *domain = vf_json_object(inner, "domain");
    vf_origin_note(o, vf_json_object(domain, "cpu"), VF_ORIGIN_SOURCE, "numCPU %d", 2);
    const cJSON *disk =
        cJSON_GetArrayItem(vf_json_array(vf_json_object(domain, "devices"), "disks"), 0);
    vf_origin_note(o, vf_json_object(disk, "disk"), VF_ORIGIN_OS, "row \"win\033dows\"");
    w->e = (struct vf_explanation){.vm = vm,
                                   .manifests = {.documents = w->documents,
                                                 .n_documents = 1,
                                                 .concerns = {w->concerns, 1},
                                                 .origins = o}};
    vf_origins_explain(o, w->documents[0], &w->e.fields, &w->e.n_fields);
}

static void world_release(struct world *w)
{
    vf_explained_free(w->e.fields, w->e.n_fields);
    vf_origins_free(w->e.manifests.origins);
    cJSON_Delete(w->documents[0]);
}

static void test_explain_print__parts_in_order(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    char *vf_autofree text = vf_explain_print(&w.e);
    assert_string_equal(
        text, "VirtualMachine \"web01\" of VM \"Web? 01\"\n"
              "\n"
              "metadata\n"
              "  name              \"web01\"                                       default\n"
              "\n"
              "metadata.annotations\n"
              "  vmferry.io/notes  \"a note that is much longer than what a tab\342\200\246  "
              "default\n"
              "\n"
              "spec\n"
              "  runStrategy       \"Halted\"                                      default\n"
              "\n"
              "spec.template.spec\n"
              "  hostname          \"web01\"                                       default\n"
              "\n"
              "spec.template.spec.domain.cpu\n"
              "  sockets           2                                             source    numCPU "
              "2\n"
              "\n"
              "spec.template.spec.domain.devices\n"
              "  rng               {}                                            default\n"
              "\n"
              "spec.template.spec.domain.devices.disks[disk-0]\n"
              "  name              \"disk-0\"                                      default\n"
              "  disk.bus          \"sata\"                                        guest OS  row "
              "\"win?dows\"\n"
              "\n"
              "lost, or to be decided\n"
              "  what TPM held is lost [vm.tpm]\n");
    world_release(&w);
}

static void test_explain_json__values_are_the_manifests(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    cJSON *tree = vf_explain_to_json(&w.e);
    assert_string_equal(vf_json_string(tree, "vm"), vm);
    assert_string_equal(vf_json_string(tree, "name"), "web01");
    const cJSON *fields = vf_json_array(tree, "fields");
    assert_int_equal(cJSON_GetArraySize(fields), 8);
    const cJSON *notes = cJSON_GetArrayItem(fields, 1), *sockets = cJSON_GetArrayItem(fields, 4);
    assert_string_equal(vf_json_string(notes, "path"),
                        "metadata.annotations[\"vmferry.io/notes\"]");
    assert_string_equal(vf_json_string(notes, "value"), LONG_NOTES);
    char *vf_autofree text = vf_json_print(sockets, false);
    assert_string_equal(text, "{\"path\":\"spec.template.spec.domain.cpu.sockets\",\"value\":2,"
                              "\"from\":\"source\",\"detail\":\"numCPU 2\"}");
    char *vf_autofree concerns = vf_json_print(vf_json_array(tree, "concerns"), false);
    assert_string_equal(concerns, "[{\"id\":\"vm.tpm\",\"message\":\"what TPM held is lost\"}]");
    cJSON_Delete(tree);
    world_release(&w);
}

static int set_locale(void **state)
{
    (void)state;
    setlocale(LC_ALL, "C.UTF-8");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain_print__parts_in_order),
        cmocka_unit_test(test_explain_json__values_are_the_manifests),
    };
    return cmocka_run_group_tests(tests, set_locale, NULL);
}
