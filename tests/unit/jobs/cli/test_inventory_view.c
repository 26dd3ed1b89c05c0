#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "jobs/cli/inventory_view.h"

static char name[] = "web01", folder[] = "/DC0/vm/prod", guest[] = "Ubuntu", moref[] = "vm-1",
            host[] = "esx1", hardware[] = "vmx-19", tag1[] = "env/prod", tag2[] = "tier/web",
            ip1[] = "10.0.0.1", ip2[] = "fe80::1", uuid[] = "5032", label[] = "Hard disk 1",
            mac[] = "00:50:56:00:00:01", snapshot_name[] = "before\nafter";
static char *tags[] = {tag1, tag2};
static struct vf_vm_address ips[] = {{.ip = ip1}, {.ip = ip2}};
static struct vf_vm_disk disks[] = {
    {.label = label, .key = 2000, .capacity_bytes = UINT64_C(1) << 60, .bus = VF_BUS_NVME},
    {.key = -1, .capacity_bytes = 3, .thin = true, .unit_number = -1}};
static struct vf_vm_nic nics[] = {{.mac = mac, .addresses = ips, .n_addresses = 2},
                                  {.connected = true}};
static struct vf_vm_snapshot snapshots[] = {{.name = snapshot_name, .quiesced = true, .depth = 1}};
static const struct vf_vm vms[] = {
    {.name = name,
     .folder = folder,
     .guest_name = guest,
     .moref = moref,
     .host = host,
     .hardware = hardware,
     .instance_uuid = uuid,
     .power = VF_POWER_ON,
     .firmware = VF_FIRMWARE_EFI,
     .family = VF_GUEST_LINUX,
     .cpus = 4,
     .memory_bytes = UINT64_C(6) << 29,
     .provisioned_bytes = UINT64_C(40) << 30,
     .used_bytes = UINT64_C(1) << 30,
     .cbt_enabled = true,
     .cpu_hot_add = VF_NO,
     .tags = tags,
     .n_tags = 2,
     .disks = disks,
     .n_disks = 2,
     .nics = nics,
     .n_nics = 2,
     .snapshots = snapshots,
     .n_snapshots = 1},
    {.template = true, .power = VF_POWER_OFF, .cbt_supported = true},
};

static void test_inventory_table__plain(void **state)
{
    (void)state;
    char *text = vf_inventory_table(vms, 2, false);
    assert_string_equal(
        text, "NAME   POWER     GUEST   CPU   MEMORY  DISKS  PROVISIONED     USED  CBT  SNAPSHOTS  "
              "FOLDER\n"
              "web01  on        Ubuntu    4  3.0 GiB      2     40.0 GiB  1.0 GiB  on           1  "
              "/DC0/vm/prod\n"
              "-      template  -         0        -      0            -        -  off          0  "
              "-\n");
    free(text);
}

static void test_inventory_table__wide_adds_columns(void **state)
{
    (void)state;
    char *text = vf_inventory_table(vms, 1, true);
    char *second = strchr(text, '\n') + 1;
    assert_non_null(strstr(text, "FOLDER        REF   HOST  FIRMWARE  HARDWARE  NICS  IPS"));
    assert_non_null(strstr(second, "/DC0/vm/prod  vm-1  esx1  efi       vmx-19       2  "
                                   "10.0.0.1,fe80::1  env/prod,tier/web  5032\n"));
    free(text);
}

static void test_inventory_table__sum_of_disks_when_the_server_keeps_none(void **state)
{
    (void)state;
    struct vf_vm_disk two[] = {{.capacity_bytes = 1 << 30}, {.capacity_bytes = 1 << 30}};
    struct vf_vm vm = {.name = name, .disks = two, .n_disks = 2};
    char *text = vf_inventory_table(&vm, 1, false);
    assert_non_null(strstr(text, "  2.0 GiB  "));
    free(text);
}

static void test_inventory_tree__has_the_facts_in_bytes(void **state)
{
    (void)state;
    cJSON *tree = vf_inventory_tree(vms, 2);
    const cJSON *array = vf_json_array(tree, "vms");
    assert_int_equal(cJSON_GetArraySize(array), 2);
    const cJSON *vm = cJSON_GetArrayItem(array, 0);
    uint64_t number = 0;
    assert_string_equal(vf_json_string(vm, "name"), "web01");
    assert_string_equal(vf_json_string(vm, "power"), "on");
    assert_string_equal(vf_json_string(vm, "firmware"), "efi");
    assert_string_equal(vf_json_string(vm, "guest_family"), "linux");
    assert_true(vf_json_u64(vm, "memory_bytes", &number) && number == UINT64_C(6) << 29);
    assert_true(vf_json_bool(vm, "cbt_enabled", false));
    assert_false(vf_json_bool(vm, "cpu_hot_add", true));
    assert_null(cJSON_GetObjectItem(vm, "memory_hot_add")); /* not said */
    const cJSON *disk = cJSON_GetArrayItem(vf_json_array(vm, "disks"), 0);
    assert_true(vf_json_u64(disk, "capacity_bytes", &number) && number == UINT64_C(1) << 60);
    assert_string_equal(vf_json_string(disk, "bus"), "nvme");
    disk = cJSON_GetArrayItem(vf_json_array(vm, "disks"), 1);
    assert_null(cJSON_GetObjectItem(disk, "key"));
    assert_null(cJSON_GetObjectItem(disk, "unit_number"));
    const cJSON *nic = cJSON_GetArrayItem(vf_json_array(vm, "nics"), 0);
    assert_string_equal(vf_json_string(nic, "mac"), mac);
    assert_int_equal(cJSON_GetArraySize(vf_json_array(nic, "ips")), 2);
    const cJSON *snapshot = cJSON_GetArrayItem(vf_json_array(vm, "snapshots"), 0);
    assert_string_equal(vf_json_string(snapshot, "name"), snapshot_name);
    cJSON_Delete(tree);
}

static void test_inventory_tree__empty_is_an_empty_list(void **state)
{
    (void)state;
    cJSON *tree = vf_inventory_tree(NULL, 0);
    char *text = vf_json_print(tree, false);
    assert_string_equal(text, "{\"vms\":[]}");
    free(text);
    cJSON_Delete(tree);
}

int main(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inventory_table__plain),
        cmocka_unit_test(test_inventory_table__wide_adds_columns),
        cmocka_unit_test(test_inventory_table__sum_of_disks_when_the_server_keeps_none),
        cmocka_unit_test(test_inventory_tree__has_the_facts_in_bytes),
        cmocka_unit_test(test_inventory_tree__empty_is_an_empty_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
