/* What a snapshot lacks comes from the VM itself, and what it has stays. */
#include "jobs/snapshot_take.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static void fill_live(struct vf_vm *vm)
{
    vf_vm_init(vm);
    vm->moref = vf_xstrdup("vm-1");
    vm->folder = vf_xstrdup("/DC0/vm");
    vm->host = vf_xstrdup("esx2");
    vm->host_moref = vf_xstrdup("host-2");
    vm->cluster = vf_xstrdup("Gold");
    vm->host_cpu_mhz = 2294;
    vm->power = VF_POWER_ON;
    vm->connection = VF_CONNECTION_GOOD;
    vm->tools = VF_TOOLS_RUNNING;
    vm->tools_running = vm->tools_outdated = vm->fault_tolerant = vm->numa_affinity = true;
    vm->question = vf_xstrdup("moved?");
    vm->evc_mode = vf_xstrdup("intel-skylake");
    vm->guest_hostname = vf_xstrdup("web01");
    vm->cpus = 8;
    vm->tags = vf_xcalloc(1, sizeof vm->tags[0]);
    vm->tags[vm->n_tags++] = vf_xstrdup("env/prod");
    vm->attributes = vf_xcalloc(1, sizeof vm->attributes[0]);
    vm->attributes[vm->n_attributes++] =
        (struct vf_vm_attribute){vf_xstrdup("owner"), vf_xstrdup("me")};
    vm->guest_disks = vf_xcalloc(1, sizeof vm->guest_disks[0]);
    vm->guest_disks[vm->n_guest_disks++] = (struct vf_vm_guest_disk){vf_xstrdup("/"), 100, 10};
    vm->dns_servers = vf_xcalloc(1, sizeof vm->dns_servers[0]);
    vm->dns_servers[vm->n_dns_servers++] = vf_xstrdup("192.0.2.53");
    vm->dns_search = vf_xcalloc(1, sizeof vm->dns_search[0]);
    vm->dns_search[vm->n_dns_search++] = vf_xstrdup("example.org");
    vm->nics = vf_xcalloc(1, sizeof vm->nics[0]);
    vm->n_nics = 1;
    vm->nics[0].key = 4000;
    vm->nics[0].network = vf_xstrdup("prod");
    vm->nics[0].gateway4 = vf_xstrdup("192.0.2.1");
    vm->nics[0].addresses = vf_xcalloc(1, sizeof vm->nics[0].addresses[0]);
    vm->nics[0].addresses[vm->nics[0].n_addresses++] =
        (struct vf_vm_address){vf_xstrdup("192.0.2.7"), 24, VF_ADDRESS_STATIC};
    vm->disks = vf_xcalloc(2, sizeof vm->disks[0]);
    vm->n_disks = 2;
    vm->disks[0] = (struct vf_vm_disk){.key = 2000, .used_bytes = 11};
    vm->disks[1] = (struct vf_vm_disk){.key = 2001, .used_bytes = 22};
}

static void fill_frozen(struct vf_vm *vm)
{
    vf_vm_init(vm);
    vm->cpus = 4;
    vm->nics = vf_xcalloc(2, sizeof vm->nics[0]);
    vm->n_nics = 2;
    vm->nics[0].key = 4001; /* pulled out since */
    vm->nics[1].key = 4000;
    vm->disks = vf_xcalloc(1, sizeof vm->disks[0]);
    vm->n_disks = 1;
    vm->disks[0].key = 2001;
    vm->other_disks = vf_xcalloc(1, sizeof vm->other_disks[0]);
    vm->n_other_disks = 1;
    vm->other_disks[0].key = 2000;
}

static void test_snapshot_carry_live_facts__what_only_the_vm_knows(void **state)
{
    (void)state;
    struct vf_vm live, frozen;
    fill_live(&live);
    fill_frozen(&frozen);
    for (int round = 0; round < 2; round++) { /* the second changes nothing */
        vf_snapshot_carry_live_facts(&frozen, &live);
        assert_string_equal(frozen.moref, "vm-1");
        assert_string_equal(frozen.host_moref, "host-2");
        assert_string_equal(frozen.cluster, "Gold");
        assert_int_equal(frozen.host_cpu_mhz, 2294);
        assert_int_equal(frozen.power, VF_POWER_ON);
        assert_int_equal(frozen.connection, VF_CONNECTION_GOOD);
        assert_int_equal(frozen.tools, VF_TOOLS_RUNNING);
        assert_true(frozen.tools_running && frozen.tools_outdated && frozen.fault_tolerant);
        assert_true(frozen.numa_affinity);
        assert_string_equal(frozen.question, "moved?");
        assert_string_equal(frozen.evc_mode, "intel-skylake");
        assert_int_equal(frozen.n_tags, 1);
        assert_string_equal(frozen.tags[0], "env/prod");
        assert_int_equal(frozen.n_attributes, 1);
        assert_string_equal(frozen.attributes[0].value, "me");
        assert_int_equal(frozen.n_guest_disks, 1);
        assert_int_equal(frozen.guest_disks[0].free_bytes, 10);
        assert_int_equal(frozen.n_dns_servers, 1);
        assert_string_equal(frozen.dns_search[0], "example.org");
        assert_int_equal(frozen.nics[1].n_addresses, 1);
        assert_int_equal(frozen.nics[1].addresses[0].prefix_len, 24);
        assert_int_equal(frozen.nics[1].addresses[0].origin, VF_ADDRESS_STATIC);
        assert_string_equal(frozen.nics[1].gateway4, "192.0.2.1");
        assert_int_equal(frozen.nics[0].n_addresses, 0);
        assert_int_equal(frozen.disks[0].used_bytes, 22);
        assert_int_equal(frozen.other_disks[0].used_bytes, 11);
    }
    assert_int_equal(frozen.cpus, 4); /* as it was frozen */
    vf_vm_release(&frozen);
    vf_vm_release(&live);
}

static void test_snapshot_carry_live_facts__a_question_that_was_answered_goes(void **state)
{
    (void)state;
    struct vf_vm live, frozen;
    fill_live(&live);
    fill_frozen(&frozen);
    vf_snapshot_carry_live_facts(&frozen, &live);
    vf_replace_string(&live.question, NULL);
    vf_replace_string(&live.host, "esx3");
    vf_snapshot_carry_live_facts(&frozen, &live);
    assert_null(frozen.question);
    assert_string_equal(frozen.host, "esx3");
    vf_vm_release(&frozen);
    vf_vm_release(&live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_carry_live_facts__what_only_the_vm_knows),
        cmocka_unit_test(test_snapshot_carry_live_facts__a_question_that_was_answered_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
