#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "jobs/import_plan.h"
#include "tests/support/disk_check.h"

/* An import of one disk, ended by its cancellation between copy and finish. */
static void test_landing_dir__cancelled_before_the_finish_leaves_no_folder(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    struct vf_import_options options = {.target = VF_TO_DIR, .format = VF_FORMAT_RAW};
    struct vf_disk_copy copy = {.name = strdup("disk 0")};
    struct vf_import im = {.options = &options,
                           .cancel = vf_cancel_new(NULL),
                           .vm_name = strdup("vm"),
                           .name = strdup("vm"),
                           .copies = &copy,
                           .n_copies = 1};
    struct vf_vm vm;
    vf_vm_init(&vm);
    vm.name = strdup("vm");
    vm.disks = calloc(1, sizeof *vm.disks);
    vm.n_disks = 1;
    assert_int_equal(vf_landing_dir_open(&im, scratch_path(dir, "new"), &im.landing, NULL), 0);
    assert_int_equal(im.landing->ops->prepare(im.landing, &vm, NULL), 0);
    assert_int_equal(access(scratch_path(dir, "new/.vmferry-unfinished"), F_OK), 0);
    vf_cancel_trigger(im.cancel);
    check_error(im.landing->ops->finish(im.landing, &vm, &err), &err, VF_CANCELLED, "cancelled");
    im.landing->ops->free(im.landing);
    assert_int_equal(access(scratch_path(dir, "new"), F_OK), -1);
    vf_vm_release(&vm);
    vf_disk_copy_release(&copy);
    vf_cancel_free(im.cancel);
    free(im.vm_name);
    free(im.name);
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_landing_dir__cancelled_before_the_finish_leaves_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
