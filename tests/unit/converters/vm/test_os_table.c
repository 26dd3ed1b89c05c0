#include "converters/vm/os_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/disk_check.h"

#define TEXT(s) ((char *)(uintptr_t)(s)) /* the model owns its strings; nobody frees these */
#define GIB     (UINT64_C(1) << 30)

static struct vf_os_table *built_in(void)
{
    struct vf_os_table *t = NULL;
    struct vf_error *err = NULL;
    if (vf_os_table_new(NULL, NULL, &t, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    return t;
}

static const struct vf_os *find(const struct vf_os_table *t, const char *id, const char *name)
{
    struct vf_vm vm = {.guest_id = TEXT(id), .guest_name = TEXT(name)};
    return vf_os_find(t, &vm);
}

/* VirtualMachineGuestOsIdentifier of the vSphere API, versions 7 to 9. */
static const struct {
    const char *id, *row;
} guests[] = {
    {"rhel10_64Guest", "rhel10"},
    {"rhel9_64Guest", "rhel9"},
    {"rhel6Guest", "rhel6"},
    {"rhel5_64Guest", "rhel5"},
    {"rhel2Guest", "rhel2"},
    {"redhatGuest", "rhel2"},
    {"centos64Guest", "centos5"},
    {"centos6_64Guest", "centos6"},
    {"centos6Guest", "centos6"},
    {"centos7_64Guest", "centos7"},
    {"rockylinux_64Guest", "rocky"},
    {"almalinux_64Guest", "alma"},
    {"oracleLinux64Guest", "oracle5"},
    {"oracleLinux6_64Guest", "oracle6"},
    {"oracleLinux8_64Guest", "oracle8"},
    {"oracleLinux10_64Guest", "oracle10"},
    {"asianux8_64Guest", "asianux"},
    {"asianux4Guest", "asianux-old"},
    {"fedora64Guest", "fedora"},
    {"amazonlinux3_64Guest", "amazon"},
    {"sles64Guest", "sles9"},
    {"sles10_64Guest", "sles-old"},
    {"sles16_64Guest", "sles"},
    {"opensuse64Guest", "opensuse"},
    {"suseGuest", "opensuse"},
    {"debian4_64Guest", "debian4"},
    {"debian8_64Guest", "debian-old"},
    {"debian9_64Guest", "debian"},
    {"debian13_64Guest", "debian"},
    {"ubuntu64Guest", "ubuntu"},
    {"coreos64Guest", "flatcar"},
    {"vmwarePhoton64Guest", "photon"},
    {"crxPod1Guest", "photon"},
    {"mandriva64Guest", "mandriva"},
    {"other24xLinuxGuest", "linux24"},
    {"other26xLinux64Guest", "linux26"},
    {"other3xLinux64Guest", "linux"},
    {"other6xLinux64Guest", "linux"},
    {"otherLinux64Guest", "linux"},
    {"windows2022srvNext_64Guest", "win2k25"},
    {"windows2019srvNext_64Guest", "win2k22"},
    {"windows2019srv_64Guest", "win2k19"},
    {"windows9Server64Guest", "win2k16"},
    {"windows8Server64Guest", "win2k12"},
    {"windowsHyperVGuest", "win2k12"},
    {"windows7Server64Guest", "win2k8r2"},
    {"winLonghorn64Guest", "win2k8"},
    {"windows11_64Guest", "win11"},
    {"windows12_64Guest", "win11"},
    {"windows9_64Guest", "win10"},
    {"windows9Guest", "win10"},
    {"windows8_64Guest", "win8"},
    {"windows7Guest", "win7"},
    {"winVista64Guest", "vista"},
    {"winNetEnterprise64Guest", "win2k3"},
    {"winXPPro64Guest", "winxp"},
    {"win2000AdvServGuest", "win2000"},
    {"win98Guest", "win2000"},
    {"winNTGuest", "win2000"},
    {"freebsd64Guest", "freebsd-old"},
    {"freebsd14_64Guest", "freebsd"},
    {"solaris11_64Guest", "solaris"},
    {"solaris9Guest", "solaris-old"},
    {"vmkernel8Guest", "esxi"},
    {"darwin23_64Guest", "macos"},
    {"netware6Guest", "netware"},
    {"eComStation2Guest", "os2"},
    {"dosGuest", "dos"},
    {"unixWare7Guest", "unix"},
    {"otherGuest64", "other"},
    {"nobody knows", "other"},
    {"", "other"},
    {NULL, "other"},
};

static void test_os_table__guest_ids_lead_to_rows(void **state)
{
    (void)state;
    struct vf_os_table *t = built_in();
    for (size_t i = 0; i < sizeof guests / sizeof *guests; i++) {
        const struct vf_os *os = find(t, guests[i].id, NULL);
        if (strcmp(os->name, guests[i].row) != 0) {
            fail_msg("%s leads to %s, wanted %s", guests[i].id, os->name, guests[i].row);
        }
        assert_ptr_equal(vf_os_by_name(t, os->name), os);
    }
    assert_null(vf_os_by_name(t, "rhel"));
    vf_os_table_free(t);
}

/* The family by which the rest of the program goes is the same. */
static void test_os_table__families_are_those_of_the_model(void **state)
{
    (void)state;
    struct vf_os_table *t = built_in();
    for (size_t i = 0; i < sizeof guests / sizeof *guests; i++) {
        const struct vf_os *os = find(t, guests[i].id, NULL);
        if (os->family != vf_vm_guest_family(guests[i].id, NULL) &&
            strcmp(os->name, "sles9") != 0 && strncmp(os->name, "photon", 6) != 0 &&
            strncmp(os->name, "asianux", 7) != 0 && strcmp(os->name, "mandriva") != 0) {
            fail_msg("%s is of another family in the table", guests[i].id);
        }
    }
    vf_os_table_free(t);
}

static void test_os_table__names_help_where_ids_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *id, *name, *row;
    } rows[] = {
        {NULL, "Microsoft Windows Server 2019 (64-bit)", "win2k19"},
        {NULL, "Microsoft Windows Server 2008 R2 (64-bit)", "win2k8r2"},
        {"brandNewGuest", "Red Hat Enterprise Linux 9 (64-bit)", "rhel9"},
        {NULL, "CENTOS 7 (64-BIT)", "centos7"},
        {NULL, "Oracle Linux 8 (64-bit)", "oracle8"},
        {NULL, "SUSE Linux Enterprise 15 (64-bit)", "sles"},
        {NULL, "Debian GNU/Linux 12 (64-bit)", "debian"},
        {NULL, "Ubuntu Linux (64-bit)", "ubuntu"},
        {NULL, "FreeBSD 13 (64-bit)", "freebsd"},
        {NULL, "Apple macOS 12 (64-bit)", "macos"},
        {NULL, "Microsoft MS-DOS", "dos"},
        {NULL, "Microsoft Windows Something", "windows"},
        {"Windows2016_64", NULL, "win2k16"},
        {"RedHat_64", NULL, "linux"},
        /* The ID goes first. */
        {"windows9_64Guest", "Ubuntu Linux (64-bit)", "win10"},
        {NULL, "Something else", "other"},
    };
    struct vf_os_table *t = built_in();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(find(t, rows[i].id, rows[i].name)->name, rows[i].row);
    }
    char longest[600];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "rhel9", 5);
    longest[sizeof longest - 1] = '\0';
    assert_string_equal(find(t, longest, longest)->name, "other");
    vf_os_table_free(t);
}

static void test_os_table__rows_tell_what_starts(void **state)
{
    (void)state;
    struct vf_os_table *t = built_in();
    const struct vf_os *os = vf_os_by_name(t, "win2k19");
    assert_int_equal(os->family, VF_GUEST_WINDOWS);
    assert_string_equal(os->disk_bus, "sata");
    assert_string_equal(os->nic_model, "e1000e");
    assert_string_equal(os->preference, "windows.2k19");
    assert_true(os->hyperv);
    assert_false(os->virtio_transitional || os->unsupported || os->host_only_boot_image);
    os = vf_os_by_name(t, "rhel6");
    assert_true(os->virtio_transitional);
    assert_string_equal(os->disk_bus, "virtio");
    assert_false(os->host_only_boot_image);
    assert_true(vf_os_by_name(t, "rhel9")->host_only_boot_image);
    assert_false(vf_os_by_name(t, "ubuntu")->host_only_boot_image);
    assert_true(vf_os_by_name(t, "winxp")->unsupported);
    assert_null(vf_os_by_name(t, "dos")->preference);
    vf_os_table_free(t);
}

static void test_os_choose__a_name_goes_before_the_guest(void **state)
{
    (void)state;
    struct vf_os_table *t = built_in();
    struct vf_vm vm = {.guest_id = TEXT("rhel9_64Guest")};
    const struct vf_os *os = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_os_choose(t, NULL, &vm, &os, NULL), 0);
    assert_string_equal(os->name, "rhel9");
    assert_int_equal(vf_os_choose(t, "win2k22", &vm, &os, NULL), 0);
    assert_string_equal(os->name, "win2k22");
    int rc = vf_os_choose(t, "win2k222", &vm, &os, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "\"win2k22\""));
    check_error(rc, &err, VF_INVALID, "no row \"win2k222\"");
    rc = vf_os_choose(t, "a different thing", &vm, &os, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "os-table.yaml"));
    check_error(rc, &err, VF_INVALID, "no row");
    vf_os_table_free(t);
}

static void test_os_instancetype__smallest_that_holds(void **state)
{
    (void)state;
    static const struct {
        uint32_t cpus;
        uint64_t memory_bytes;
        const char *want;
    } rows[] = {
        {1, GIB / 2, "u1.nano"},   {1, GIB / 2 + 1, "u1.micro"}, {2, 4 * GIB, "u1.2xmedium"},
        {1, 4 * GIB, "u1.medium"}, {3, GIB, "u1.xlarge"},        {32, 128 * GIB, "u1.8xlarge"},
        {33, GIB, NULL},           {1, 129 * GIB, NULL},         {0, 0, "u1.nano"},
    };
    struct vf_os_table *t = built_in();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got =
            vf_os_instancetype(vf_os_by_name(t, "ubuntu"), rows[i].cpus, rows[i].memory_bytes);
        if (rows[i].want) {
            assert_string_equal(got, rows[i].want);
        } else {
            assert_null(got);
        }
        free(got);
    }
    vf_os_table_free(t);

#define HEAD "apiVersion: vmferry.io/v1alpha1\nkind: OSTable\n"
    static const char mine[] = HEAD "rows:\n"
                                    "- {name: db, match: [x], instancetype: m1}\n"
                                    "- {name: any, match: ['*']}\n"
                                    "instancetypes:\n"
                                    "- {name: m1.large, cpus: 2, memory: 16Gi}\n"
                                    "- {name: m10.small, cpus: 1, memory: 1Gi}\n"
                                    "- {name: u1.tiny, cpus: 1, memory: 256Mi}\n";
    assert_int_equal(vf_os_table_new(mine, "mine", &t, NULL), 0);
    char *got = vf_os_instancetype(vf_os_by_name(t, "db"), 1, GIB);
    assert_string_equal(got, "m1.large");
    free(got);
    got = vf_os_instancetype(vf_os_by_name(t, "any"), 1, 256 << 20);
    assert_string_equal(got, "u1.tiny");
    free(got);
    vf_os_table_free(t);
}

static void test_os_table__own_table_takes_the_others_place(void **state)
{
    (void)state;
    static const char text[] = HEAD "rows:\n"
                                    "- name: web\n"
                                    "  match: [ubuntu*]\n"
                                    "  family: linux\n"
                                    "  diskBus: scsi\n"
                                    "  nicModel: igb\n"
                                    "  templateFile: web.yaml\n"
                                    "- {name: rest, match: ['*']}\n";
    struct vf_os_table *t = NULL;
    assert_int_equal(vf_os_table_new(text, "mine", &t, NULL), 0);
    const struct vf_os *os = find(t, "UBUNTU64Guest", NULL);
    assert_string_equal(os->name, "web");
    assert_string_equal(os->disk_bus, "scsi");
    assert_string_equal(os->nic_model, "igb");
    assert_string_equal(os->template_file, "web.yaml");
    assert_int_equal(os->family, VF_GUEST_LINUX);
    assert_null(os->preference);
    assert_null(vf_os_instancetype(os, 1, GIB));
    assert_string_equal(find(t, "rhel9_64Guest", NULL)->name, "rest");
    vf_os_table_free(t);
}

static void test_os_table__what_is_wrong_is_told_with_its_place(void **state)
{
    (void)state;
#define ANY "\n- {name: any, match: ['*']}\n"
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"", "apiVersion"},
        {"- a", "apiVersion"},
        {"kind: OSTable\napiVersion: v1", "apiVersion"},
        {HEAD, "\"rows\" is to be a list"},
        {HEAD "rows: []", "line 3"},
        {HEAD "rows: {}", "line 3"},
        {HEAD "rows:\n- a", "line 4, column 3: a row is to be a mapping"},
        {HEAD "rows:" ANY "row: x", "line 5, column 1: there is no field \"row\""},
        {HEAD "rows:\n- {name: a, match: [b], diskbus: sata}" ANY, "no field \"diskbus\""},
        {HEAD "rows:\n- {name: a, match: [b], diskBus: ide}" ANY, "expected is virtio, sata"},
        {HEAD "rows:\n- {name: a, match: [b], nicModel: vmxnet3}" ANY, "rtl8139"},
        {HEAD "rows:\n- {name: a, match: [b], hyperv: 1}" ANY, "true or false"},
        {HEAD "rows:\n- {name: a, match: [b], family: bsd}" ANY, "linux, windows or other"},
        {HEAD "rows:\n- {name: a, match: [b], templateFile: ../x}" ANY, "without a folder"},
        {HEAD "rows:\n- {name: a, match: [b], templateFile: a b.yaml}" ANY, "without a folder"},
        {HEAD "rows:\n- {name: a, match: [b], preference: A_b}" ANY, "VirtualMachineCluster"},
        {HEAD "rows:\n- {name: A b, match: [b]}" ANY, "a DNS label"},
        {HEAD "rows:\n- {name: a, match: []}" ANY, "1 to 100 patterns"},
        {HEAD "rows:\n- {name: a, match: x}" ANY, "1 to 100 patterns"},
        {HEAD "rows:\n- {name: a, match: ['']}" ANY, "a pattern"},
        {HEAD "rows:\n- {name: a, match: [1]}" ANY, "a pattern"},
        {HEAD "rows:\n- {name: a, match: ['x[y']}" ANY, "no \"]\""},
        {HEAD "rows:\n- {name: a, match: ['*a*b*c*d*e*f*g']}" ANY, "6 stars"},
        {HEAD "rows:\n- {name: a}" ANY, "needs \"name\" and \"match\""},
        {HEAD "rows:\n- {match: [a]}" ANY, "needs \"name\" and \"match\""},
        {HEAD "rows:\n- {name: any, match: [a]}" ANY, "another row \"any\""},
        {HEAD "rows:\n- {name: a, match: ['*']}" ANY, "the last row, and no other"},
        {HEAD "rows:\n- {name: a, match: [a]}\n", "the last row, and no other"},
        {HEAD "rows:" ANY "instancetypes: {}", "instance types"},
        {HEAD "rows:" ANY "instancetypes: [{name: a, cpus: 0, memory: 1Gi}]", "an instance type"},
        {HEAD "rows:" ANY "instancetypes: [{name: a, cpus: 1, memory: 1G}]", "an instance type"},
        {HEAD "rows:" ANY "instancetypes: [{name: a, cpus: 1, memory: 99999999999999999999Gi}]",
         "an instance type"},
        {HEAD "rows:" ANY "instancetypes: [{name: a, cpus: 1, memory: 1Gi, x: 1}]",
         "an instance type"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_os_table *t = NULL;
        struct vf_error *err = NULL;
        int rc = vf_os_table_new(rows[i].text, "table \"t.yaml\"", &t, &err);
        assert_non_null(strstr(vf_error_message(err), "table \"t.yaml\""));
        check_error(rc, &err, VF_INVALID, rows[i].part);
        assert_null(t);
    }
    vf_os_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_os_table__guest_ids_lead_to_rows),
        cmocka_unit_test(test_os_table__families_are_those_of_the_model),
        cmocka_unit_test(test_os_table__names_help_where_ids_do_not),
        cmocka_unit_test(test_os_table__rows_tell_what_starts),
        cmocka_unit_test(test_os_choose__a_name_goes_before_the_guest),
        cmocka_unit_test(test_os_instancetype__smallest_that_holds),
        cmocka_unit_test(test_os_table__own_table_takes_the_others_place),
        cmocka_unit_test(test_os_table__what_is_wrong_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
