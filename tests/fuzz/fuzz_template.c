/* An admin's template, merged into a VirtualMachine: what tells VMs apart stays the VM's own, every
 * note leads to a node, and the result can be written down. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/manifest.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"

#define TEXT(s) ((char *)(uintptr_t)(s)) /* the model owns its strings; nobody frees these */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static void expect_own(const cJSON *object, const char *key, const char *want)
{
    const char *got = vf_json_string(object, key);
    vf_test_check(got && strcmp(got, want) == 0);
}

static void check_machine(const struct vf_manifests *m)
{
    const cJSON *machine = m->documents[m->n_documents - 1], *spec = member(machine, "spec");
    const cJSON *inner = member(member(spec, "template"), "spec");
    const cJSON *domain = member(inner, "domain"), *firmware = member(domain, "firmware");
    expect_own(machine, "apiVersion", "kubevirt.io/v1");
    expect_own(machine, "kind", "VirtualMachine");
    expect_own(member(machine, "metadata"), "name", "web01");
    expect_own(spec, "runStrategy", "Halted");
    expect_own(inner, "architecture", "amd64");
    expect_own(firmware, "uuid", "564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f");
    vf_test_check(!member(spec, "running") && !member(machine, "status"));
    const cJSON *nic = cJSON_GetArrayItem(member(member(domain, "devices"), "interfaces"), 0);
    expect_own(nic, "macAddress", "00:50:56:9a:11:02");
}

static void check_notes(const struct vf_manifests *m)
{
    struct vf_explained *list;
    size_t n;
    vf_origins_explain(m->origins, m->documents[m->n_documents - 1], &list, &n);
    vf_test_check(n > 20);
    vf_explained_free(list, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vf_os_table *table; /* reading it takes longer than all else */
    vf_test_check(table || vf_os_table_new(NULL, "table", &table, NULL) == 0);
    char *vf_autofree text = vf_xstrndup((const char *)data, size);
    struct vf_vm_disk disk = {.capacity_bytes = 512};
    struct vf_vm_nic nic = {.mac = TEXT("00:50:56:9a:11:02"), .network = TEXT("lan")};
    struct vf_vm vm = {.name = TEXT("web01"),
                       .bios_uuid = TEXT("564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f"),
                       .memory_hot_add = VF_NO,
                       .disks = &disk,
                       .n_disks = 1,
                       .nics = &nic,
                       .n_nics = 1};
    const struct vf_mapping mappings[] = {
        {.template_text = text},
        {.template_text = text, .template_name = TEXT("t"), .instancetype = TEXT("u1.small")}};
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++) {
        struct vf_manifest_options options = {.mapping = &mappings[i], .os_table = table};
        struct vf_manifests m;
        struct vf_error *err = NULL;
        if (vf_manifests_build(&vm, &options, &m, &err)) {
            free(vf_error_format(err));
            vf_error_free(err);
            return 0;
        }
        char *yaml = NULL;
        check_machine(&m);
        check_notes(&m);
        vf_test_check(vf_manifests_render(&m, &yaml, NULL) == 0);
        free(yaml);
        vf_manifests_release(&m);
    }
    return 0;
}
