#include "jobs/package_copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/memory_sink.h"
#include "tests/support/memory_stream.h"
#include "tests/support/package.h"
#include "tests/support/vmdk_writer.h"

#define SECTORS 512u
#define N_DISKS 4u

/* Two disks with files, and two that are empty. */
static const char ovf_text[] =
    "<?xml version=\"1.0\"?><Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "
    "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" "
    "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
    "CIM_ResourceAllocationSettingData\"><References>"
    "<File ovf:id=\"f0\" ovf:href=\"0.vmdk\"/><File ovf:id=\"f1\" ovf:href=\"1.vmdk\"/>"
    "</References><DiskSection><Info/>"
    "<Disk ovf:diskId=\"d0\" ovf:fileRef=\"f0\" ovf:capacity=\"262144\"/>"
    "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"262144\"/>"
    "<Disk ovf:diskId=\"d2\" ovf:capacity=\"262144\"/>"
    "<Disk ovf:diskId=\"d3\" ovf:capacity=\"262144\"/>"
    "</DiskSection><VirtualSystem ovf:id=\"vm\"><Name>vm</Name><VirtualHardwareSection><Info/>"
    "<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>"
#define ITEM(i)                                                                                    \
    "<Item><rasd:AddressOnParent>" i "</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d" i     \
    "</rasd:HostResource><rasd:InstanceID>1" i "</rasd:InstanceID><rasd:Parent>3</rasd:Parent>"    \
    "<rasd:ResourceType>17</rasd:ResourceType></Item>"
    ITEM("0") ITEM("1") ITEM("2") ITEM("3") "</VirtualHardwareSection></VirtualSystem></Envelope>";

struct target {
    struct vf_disk_target base;
    unsigned n_opens;
    bool broken;
};

static int open_target(struct vf_disk_target *target, uint64_t size_bytes,
                       const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                       struct vf_error **err)
{
    struct target *t = (struct target *)target;
    (void)cancel;
    t->n_opens++;
    if (t->broken) {
        return vf_error_set(err, VF_RETRY, "broken for now");
    }
    *ret_sink = &memory_sink_new(size_bytes, MEMORY_SINK_ALL)->base;
    return 0;
}

static void discard(struct vf_disk_target *target)
{
    (void)target;
}

static const struct vf_disk_target_ops target_ops = {.open = open_target, .discard = discard};

struct fixture {
    struct vf_copy_env env;
    struct target targets[N_DISKS];
    struct vf_disk_copy copies[N_DISKS];
};

static int prepare(void *opaque, struct vf_ovf *ovf, struct vf_disk_copy **ret_copies,
                   struct vf_error **err)
{
    struct fixture *f = opaque;
    (void)err;
    assert_int_equal(ovf->vm.n_disks, N_DISKS);
    *ret_copies = f->copies;
    return 0;
}

static void set_up(struct fixture *f)
{
    *f = (struct fixture){.env = {.pool = vf_pool_new(2)}};
    for (unsigned i = 0; i < N_DISKS; i++) {
        f->targets[i].base.ops = &target_ops;
        f->copies[i] = (struct vf_disk_copy){.index = i,
                                             .name = strdup("disk"),
                                             .want_digest = true,
                                             .expected_bytes = SECTORS * 512,
                                             .target = &f->targets[i].base};
    }
}

static void tear_down(struct fixture *f)
{
    for (unsigned i = 0; i < N_DISKS; i++) {
        vf_disk_copy_release(&f->copies[i]);
    }
    vf_pool_free(f->env.pool);
}

static void add_disk(struct package *p, const char *name, uint64_t seed)
{
    struct vmdk_image image;
    struct vmdk_file file;
    vmdk_image_init(&image, SECTORS, 8, seed);
    vmdk_write_stream_esxi(&image, NULL, &file);
    package_add(p, name, file.bytes, file.len);
    vmdk_file_release(&file);
    vmdk_image_release(&image);
}

/* One try at an OVA of which the first disk is `seed`'s. */
static int copy_ova(struct fixture *f, uint64_t seed, struct vf_error **err)
{
    struct package p;
    struct vf_ovf ovf = {0};
    struct vf_package_summary summary;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    package_begin(&p);
    package_add_text(&p, "x.ovf", ovf_text);
    add_disk(&p, "0.vmdk", seed);
    add_disk(&p, "1.vmdk", 2);
    package_end(&p);
    struct vf_stream *in = memory_stream_new(p.data, p.len, 5000, false);
    int rc = vf_package_copy_ova(in, "x.ova", &f->env, prepare, f, cancel, &ovf, &summary, err);
    vf_ovf_release(&ovf);
    package_release(&p);
    vf_cancel_free(cancel);
    return rc;
}

static void test_package_copy__later_try_copies_what_is_missing(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    set_up(&f);
    f.targets[1].broken = true;
    check_error(copy_ova(&f, 1, &err), &err, VF_RETRY, "broken for now");
    assert_true(f.copies[0].complete);
    f.targets[1].broken = false;
    f.targets[3].broken = true;
    check_error(copy_ova(&f, 1, &err), &err, VF_RETRY, "broken for now");
    f.targets[3].broken = false;
    assert_int_equal(copy_ova(&f, 1, NULL), 0);
    assert_int_equal(f.targets[0].n_opens, 1);
    assert_int_equal(f.targets[1].n_opens, 2);
    assert_int_equal(f.targets[2].n_opens, 1);
    assert_int_equal(f.targets[3].n_opens, 2);
    tear_down(&f);
}

static void test_package_copy__disks_of_two_states_are_a_conflict(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    set_up(&f);
    f.targets[1].broken = true;
    check_error(copy_ova(&f, 1, &err), &err, VF_RETRY, "broken for now");
    f.targets[1].broken = false;
    check_error(copy_ova(&f, 3, &err), &err, VF_CONFLICT, "changed meanwhile");
    assert_int_equal(f.targets[1].n_opens, 1);
    tear_down(&f);
}

static int copy_ovf(struct fixture *f, const char *dir, struct vf_error **err)
{
    struct vf_ovf ovf = {0};
    struct vf_package_summary summary;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    int rc = vf_package_copy_ovf(scratch_path(dir, "x.ovf"), &f->env, prepare, f, cancel, &ovf,
                                 &summary, err);
    vf_ovf_release(&ovf);
    vf_cancel_free(cancel);
    return rc;
}

/* Streams are compared by what was read of them, images by their digests. */
static void write_disk(const char *dir, const char *name, uint64_t seed, bool sparse)
{
    const struct vmdk_layout layout = {0};
    struct vmdk_image image;
    struct vmdk_file file;
    vmdk_image_init(&image, SECTORS, 8, seed);
    if (sparse) {
        vmdk_write_sparse(&image, &layout, &file);
    } else {
        vmdk_write_stream_esxi(&image, NULL, &file);
    }
    scratch_write(dir, name, file.bytes, file.len);
    vmdk_file_release(&file);
    vmdk_image_release(&image);
}

static void test_package_copy__files_of_two_states_are_a_conflict(void **state)
{
    (void)state;
    for (unsigned sparse = 0; sparse < 2; sparse++) {
        struct fixture f;
        struct vf_error *err = NULL;
        char *dir = scratch_new();
        set_up(&f);
        scratch_write_text(dir, "x.ovf", ovf_text);
        write_disk(dir, "0.vmdk", 1, sparse);
        write_disk(dir, "1.vmdk", 2, sparse);
        f.targets[1].broken = true;
        check_error(copy_ovf(&f, dir, &err), &err, VF_RETRY, "broken for now");
        write_disk(dir, "0.vmdk", 3, sparse);
        f.targets[1].broken = false;
        check_error(copy_ovf(&f, dir, &err), &err, VF_CONFLICT, "changed meanwhile");
        write_disk(dir, "0.vmdk", 1, sparse);
        assert_int_equal(copy_ovf(&f, dir, NULL), 0);
        assert_int_equal(f.targets[0].n_opens, 1);
        tear_down(&f);
        scratch_release(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_package_copy__later_try_copies_what_is_missing),
        cmocka_unit_test(test_package_copy__disks_of_two_states_are_a_conflict),
        cmocka_unit_test(test_package_copy__files_of_two_states_are_a_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
