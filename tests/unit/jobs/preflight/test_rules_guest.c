#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_world.h"

static void boot_full(struct check_world *w)
{
    check_world_add_guest_disk(&w->vms[0], "/boot", 49);
}

static void boot_just_enough(struct check_world *w)
{
    check_world_add_guest_disk(&w->vms[0], "/boot", 50);
    check_world_add_guest_disk(&w->vms[0], "/", 100);
    check_world_add_guest_disk(&w->vms[0], "/home", 10);
    check_world_add_guest_disk(&w->vms[0], "C:\\", 100);
}

static void netware(struct check_world *w)
{
    vf_replace_string(&w->vms[0].guest_id, "netware6Guest");
    vf_replace_string(&w->vms[0].guest_name, "Novell NetWare 6.x");
    w->vms[0].family = VF_GUEST_OTHER;
}

static void netware_told_otherwise(struct check_world *w)
{
    netware(w);
    vf_replace_string(&w->mapping.os, "rhel9");
}

static void other(struct check_world *w)
{
    vf_replace_string(&w->vms[0].guest_id, "otherGuest64");
}

static void other_told(struct check_world *w)
{
    other(w);
    vf_replace_string(&w->mapping.os, "rhel9");
}

static void thirty_two(struct check_world *w)
{
    vf_replace_string(&w->vms[0].guest_id, "ubuntuGuest");
}

static void windows(struct check_world *w, const char *id)
{
    vf_replace_string(&w->vms[0].guest_id, id);
    vf_replace_string(&w->vms[0].guest_name, "Microsoft Windows");
    w->vms[0].family = VF_GUEST_WINDOWS;
    check_world_add_disk(&w->vms[0], "[fast] web01/web01_1.vmdk");
}

static void windows_server(struct check_world *w)
{
    windows(w, "windows2019srv_64Guest");
}

static void windows_desktop(struct check_world *w)
{
    windows(w, "windows9_64Guest");
}

static void localhost(struct check_world *w)
{
    vf_replace_string(&w->vms[0].guest_hostname, "localhost.localdomain");
}

static void localhost_off(struct check_world *w)
{
    vf_replace_string(&w->vms[1].guest_hostname, "localhost.localdomain");
    vf_replace_string(&w->vms[0].guest_hostname, "localhosts");
}

static void no_addresses(struct check_world *w)
{
    free(w->vms[0].nics[0].addresses[0].ip);
    free(vf_take(w->vms[0].nics[0].addresses));
    w->vms[0].nics[0].n_addresses = 0;
}

static void no_addresses_stopped(struct check_world *w)
{
    no_addresses(w);
    w->vms[0].tools = VF_TOOLS_NOT_RUNNING;
}

static const struct check_case cases[] = {
    {"guest.free-space", VF_INFORMATION, "\"/boot\"", boot_full, boot_just_enough},
    {"guest.os-unsupported", VF_WARNING, "NetWare", netware, netware_told_otherwise},
    {"guest.os-unknown", VF_INFORMATION, "otherGuest64", other, other_told},
    {"guest.32-bit", VF_INFORMATION, "ubuntuGuest", thirty_two, NULL},
    {"guest.disks-offline", VF_INFORMATION, "2 disks", windows_server, windows_desktop},
    {"guest.hostname", VF_WARNING, "localhost.localdomain", localhost, localhost_off},
    {"guest.addresses-unknown", VF_WARNING, "1 NIC", no_addresses, no_addresses_stopped},
};

static void test_rules_guest__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

static void test_rules_guest__each_file_system_has_its_own_need(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint64_t free_mib;
        bool found;
    } rows[] = {
        {"/", 99, true},      {"/", 100, false},    {"C:\\", 99, true},         {"c:", 99, true},
        {"/home", 9, true},   {"/home", 10, false}, {"D:\\", 9, true},          {"D:\\", 10, false},
        {"/boot", 50, false}, {"/boot", 0, true},   {"/snap/core/1", 0, false}, {"D:\\", 0, false},
        {"C:\\", 0, true},    {"/data", 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct check_world w;
        check_world_init(&w);
        check_world_add_guest_disk(&w.vms[0], rows[i].path, rows[i].free_mib);
        check_world_judge(&w);
        assert_int_equal(check_world_find(&w, "guest.free-space") != NULL, rows[i].found);
        check_world_release(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_guest__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_guest__each_file_system_has_its_own_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
