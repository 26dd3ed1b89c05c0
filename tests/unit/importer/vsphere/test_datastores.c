#include "importer/vsphere/datastores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/disk_check.h"
#include "tests/support/soap_server.h"

#define DATASTORE(moref, name, summary)                                                            \
    "<objects><obj type=\"Datastore\">" moref "</obj><propSet><name>name</name><val>" name         \
    "</val></propSet><propSet><name>summary</name><val>" summary "</val></propSet></objects>"

static const char good[] = "<returnval>" DATASTORE(
    "datastore-2", "nfs tier 2",
    "<capacity>4398046511104</capacity><freeSpace>17</freeSpace><accessible>false</accessible>"
    "<type>NFS</type><maintenanceMode>enteringMaintenance</maintenanceMode>")
    DATASTORE("datastore-1", "a%25b",
              "<capacity>100</capacity><freeSpace>-1</freeSpace><accessible>true</accessible>"
              "<type>VMFS</type><maintenanceMode>normal</maintenanceMode>") "</returnval>";

static const char *answer(const struct vf_test_soap_call *c, void *opaque)
{
    const char *const *script = opaque;
    if (strcmp(c->method, "CreateContainerView") == 0) {
        return "<returnval type=\"ContainerView\">view-1</returnval>";
    }
    return strcmp(c->method, "RetrievePropertiesEx") == 0 ? *script : NULL;
}

static int fetch(const char *script, struct vf_datastore **ret, size_t *ret_n,
                 struct vf_error **err)
{
    struct vf_test_soap *s = vf_test_soap_start(answer, &script);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    int rc = vf_vsphere_fetch_datastores(vs, ret, ret_n, err);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return rc;
}

static void test_datastores__are_sorted_and_found_by_name(void **state)
{
    struct vf_datastore *list = NULL;
    size_t n = 0;
    (void)state;
    assert_int_equal(fetch(good, &list, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "a%b");
    assert_string_equal(list[0].type, "VMFS");
    assert_int_equal(list[0].capacity_bytes, 100);
    assert_int_equal(list[0].free_bytes, 0); /* what is no size is none */
    assert_true(list[0].accessible && !list[0].maintenance);
    struct vf_vm_disk disk = {.datastore = (char[]){"nfs tier 2"}};
    const struct vf_datastore *d = vf_datastore_find(list, n, &disk);
    assert_string_equal(d->moref, "datastore-2");
    assert_int_equal(d->capacity_bytes, 4398046511104);
    assert_int_equal(d->free_bytes, 17);
    assert_true(!d->accessible && d->maintenance);
    disk.datastore = (char[]){"other"};
    assert_null(vf_datastore_find(list, n, &disk));
    disk.datastore = NULL;
    assert_null(vf_datastore_find(list, n, &disk));
    vf_datastores_free(list, n);
}

/* Each datacenter has one of the name. */
static void test_datastores__of_one_name_are_told_apart_by_reference(void **state)
{
    struct vf_datastore list[] = {
        {.moref = (char[]){"datastore-1"}, .name = (char[]){"datastore1"}},
        {.moref = (char[]){"datastore-2"}, .name = (char[]){"datastore1"}},
    };
    struct vf_vm_disk disk = {.datastore = list[0].name, .datastore_moref = list[1].moref};
    (void)state;
    assert_ptr_equal(vf_datastore_find(list, 2, &disk), &list[1]);
    assert_null(vf_datastore_find(list, 1, &disk)); /* the account does not see it */
    assert_false(vf_datastore_has("datastore-1", "datastore1", &disk));
    assert_true(vf_datastore_has(NULL, "datastore1", &disk));
}

static void test_datastores__of_an_empty_inventory_are_none(void **state)
{
    struct vf_datastore *list = NULL;
    size_t n = 1;
    (void)state;
    assert_int_equal(fetch("", &list, &n, NULL), 0);
    assert_int_equal(n, 0);
    vf_datastores_free(list, n);
}

static void test_datastores__refused_is_auth(void **state)
{
    struct vf_datastore *list = NULL;
    size_t n = 0;
    struct vf_error *err = NULL;
    (void)state;
    int rc = fetch(VF_TEST_SOAP_FAULT "NoPermission", &list, &n, &err);
    check_error(rc, &err, VF_AUTH, "read the datastores");
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datastores__are_sorted_and_found_by_name),
        cmocka_unit_test(test_datastores__of_one_name_are_told_apart_by_reference),
        cmocka_unit_test(test_datastores__of_an_empty_inventory_are_none),
        cmocka_unit_test(test_datastores__refused_is_auth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
