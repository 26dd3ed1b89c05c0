#include "jobs/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/disk_check.h"

#define ITEM(number, id, rest)                                                                     \
    "<Item>" rest "<rasd:InstanceID>" id "</rasd:InstanceID><rasd:ResourceType>" number            \
    "</rasd:ResourceType></Item>"
#define DISK(n)                                                                                    \
    ITEM("17", "1" n,                                                                              \
         "<rasd:AddressOnParent>" n "</rasd:AddressOnParent><rasd:ElementName>Hard disk " n        \
         "</rasd:ElementName><rasd:HostResource>ovf:/disk/d" n                                     \
         "</rasd:HostResource><rasd:Parent>3</rasd:Parent>")

/* Its disks' files are not there, and nobody asks for them. */
static const char descriptor[] =
    "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "
    "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" "
    "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
    "CIM_ResourceAllocationSettingData\">"
    "<References><File ovf:id=\"f0\" ovf:href=\"d0.vmdk\"/><File ovf:id=\"f1\" "
    "ovf:href=\"d1.vmdk\"/></References>"
    "<DiskSection><Disk ovf:diskId=\"d0\" ovf:capacity=\"1073741824\" ovf:fileRef=\"f0\"/>"
    "<Disk ovf:diskId=\"d1\" ovf:capacity=\"2147483648\" ovf:fileRef=\"f1\"/></DiskSection>"
    "<VirtualSystem ovf:id=\"web01\"><Name>Web 01</Name><VirtualHardwareSection>" ITEM(
        "3", "1", "<rasd:VirtualQuantity>2</rasd:VirtualQuantity>")
        ITEM("4", "2",
             "<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>"
             "<rasd:VirtualQuantity>1024</rasd:VirtualQuantity>")
            ITEM("6", "3",
                 "<rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>"
                 "<rasd:Address>0</rasd:Address>") DISK("0")
                DISK("1") "</VirtualHardwareSection></VirtualSystem></Envelope>";

struct fixture {
    char *dir, *path;
    struct vf_mapping mapping;
    struct vf_import_options options;
    struct vf_explanation e;
    struct vf_error *err;
};

static int setup(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->dir = scratch_new();
    f->path = vf_xasprintf("%s/web.ovf", f->dir);
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fputs(descriptor, file);
    fclose(file);
    f->options =
        (struct vf_import_options){.kind = VF_IMPORT_OVF, .path = f->path, .mapping = &f->mapping};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vf_explanation_release(&f->e);
    vf_mapping_release(&f->mapping);
    vf_error_free(f->err);
    scratch_release(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static void expect_field(const struct fixture *f, const char *path, const char *value,
                         enum vf_origin_kind kind)
{
    for (size_t i = 0; i < f->e.n_fields; i++) {
        if (strcmp(f->e.fields[i].path, path) == 0) {
            assert_string_equal(f->e.fields[i].value, value);
            assert_int_equal(f->e.fields[i].kind, kind);
            return;
        }
    }
    for (size_t i = 0; i < f->e.n_fields; i++) {
        print_error("%s: %s\n", f->e.fields[i].path, f->e.fields[i].value);
    }
    fail_msg("there is no %s", path);
}

static void test_explain__says_where_fields_come_from(void **state)
{
    struct fixture *f = *state;
    f->mapping.disk_bus = vf_xstrdup("scsi");
    assert_int_equal(vf_explain_run(&f->options, NULL, &f->e, &f->err), 0);
    assert_string_equal(f->e.vm, "Web 01");
    assert_int_equal(f->e.manifests.n_documents, 3);
    expect_field(f, "spec.template.spec.domain.memory.guest", "\"1Gi\"", VF_ORIGIN_SOURCE);
    expect_field(f, "spec.template.spec.domain.devices.disks[disk-1].disk.bus", "\"scsi\"",
                 VF_ORIGIN_OPTION);
    expect_field(f, "spec.template.spec.domain.machine.type", "\"q35\"", VF_ORIGIN_DEFAULT);
}

static void test_explain__what_is_set_aside_has_no_volume(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(vf_mapping_add_disk(&f->mapping, "1:skip", NULL), 0);
    assert_int_equal(vf_explain_run(&f->options, NULL, &f->e, &f->err), 0);
    assert_int_equal(f->e.manifests.n_documents, 2);
}

static void test_explain__what_cannot_be_is_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(vf_mapping_add_disk(&f->mapping, "0:rdm=lun", NULL), 0);
    check_error(vf_explain_run(&f->options, NULL, &f->e, &f->err), &f->err, VF_INVALID,
                "is to be a LUN, but no claim is told");
    unlink(f->path);
    vf_mapping_release(&f->mapping);
    check_error(vf_explain_run(&f->options, NULL, &f->e, &f->err), &f->err, VF_MISSING, "web.ovf");
}

/* A dry run leaves nothing behind, and has nothing but what it puts out. */
static void test_import__dry_run_makes_nothing(void **state)
{
    struct fixture *f = *state;
    char *vf_autofree out = vf_xasprintf("%s/out", f->dir);
    cJSON *documents = NULL;
    f->options.to_path = out;
    f->options.dry_run = true;
    assert_int_equal(vf_import_run(&f->options, NULL, NULL, &documents, &f->err), 0);
    assert_int_equal(cJSON_GetArraySize(documents), 3);
    assert_int_equal(access(out, F_OK), -1);
    cJSON_Delete(documents);

    f->options.target = VF_TO_CLAIM; /* no cluster is asked, none is there */
    assert_int_equal(vf_import_run(&f->options, NULL, NULL, &documents, &f->err), 0);
    assert_int_equal(cJSON_GetArraySize(documents), 1);
    cJSON_Delete(documents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_explain__says_where_fields_come_from, setup, teardown),
        cmocka_unit_test_setup_teardown(test_explain__what_is_set_aside_has_no_volume, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_explain__what_cannot_be_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_import__dry_run_makes_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
