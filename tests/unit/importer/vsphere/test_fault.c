#include "importer/vsphere/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set(struct vf_error **err, const char *type, const char *message, const char *privilege)
{
    struct vf_fault f = {(char *)(uintptr_t)type, (char *)(uintptr_t)message,
                         (char *)(uintptr_t)privilege, NULL};
    return vf_fault_set_error(err, &f, "export the VM");
}

static void test_fault_code__drives_behaviour(void **state)
{
    (void)state;
    assert_int_equal(vf_fault_code("TaskInProgress"), VF_RETRY);
    assert_int_equal(vf_fault_code("ConcurrentAccess"), VF_RETRY);
    assert_int_equal(vf_fault_code("NotAuthenticated"), VF_AUTH);
    assert_int_equal(vf_fault_code("NoPermission"), VF_AUTH);
    assert_int_equal(vf_fault_code("InvalidPowerState"), VF_CONFLICT);
    assert_int_equal(vf_fault_code("ManagedObjectNotFound"), VF_MISSING);
    assert_int_equal(vf_fault_code("NoDiskSpace"), VF_SPACE);
    assert_int_equal(vf_fault_code("NotSupported"), VF_UNSUPPORTED);
    /* A lease that timed out is lost: repeating the call does not bring it back. */
    assert_int_equal(vf_fault_code("Timedout"), VF_CONFLICT);
    assert_int_equal(vf_fault_code("SomethingNewInVersion10"), VF_INVALID);
    assert_int_equal(vf_fault_code(NULL), VF_INVALID);
}

static void test_fault_set_error__names_type_and_privilege(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    assert_int_equal(set(&err, "NoPermission", "Permission denied.", "VApp.Export"), VF_AUTH);
    assert_string_equal(vf_error_message(err), "cannot export the VM: Permission denied. "
                                               "(NoPermission: VApp.Export)");
    assert_string_equal(vf_error_reason(err), "NoPermission");
    assert_non_null(strstr(vf_error_get_hint(err), "\"VApp.Export\""));
    vf_error_free(err);
}

static void test_fault_set_error__without_text(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    assert_int_equal(set(&err, "NotSupported", "", NULL), VF_UNSUPPORTED);
    assert_string_equal(vf_error_message(err), "cannot export the VM: NotSupported");
    vf_error_free(err);
}

static void test_fault_set_error__foreign_text_is_tamed(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, "a\x1b[31m\nb", 8);
    set(&err, "SystemError", text, NULL);
    assert_true(strlen(vf_error_message(err)) < 600);
    assert_null(strpbrk(vf_error_message(err), "\x1b\n\r"));
    vf_error_free(err);
}

static void test_fault_is_quiesce__only_of_freezing(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool quiesce;
    } cases[] = {{"ApplicationQuiesceFault", true},
                 {"FilesystemQuiesceFault", true},
                 {"ToolsUnavailable", true},
                 {"NoDiskSpace", false},
                 {"SnapshotFault", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vf_error *err = NULL;
        set(&err, cases[i].type, "x", NULL);
        assert_int_equal(vf_fault_is_quiesce(err), cases[i].quiesce);
        vf_error_free(err);
    }
    assert_false(vf_fault_is_quiesce(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_code__drives_behaviour),
        cmocka_unit_test(test_fault_set_error__names_type_and_privilege),
        cmocka_unit_test(test_fault_set_error__without_text),
        cmocka_unit_test(test_fault_set_error__foreign_text_is_tamed),
        cmocka_unit_test(test_fault_is_quiesce__only_of_freezing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
