#include "tests/support/check_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"

#define MIB ((uint64_t)1 << 20)

void check_world_add_disk(struct vf_vm *vm, const char *file)
{
    vm->disks = vf_xrealloc_array(vm->disks, vm->n_disks + 1, sizeof *vm->disks);
    int32_t n = (int32_t)vm->n_disks;
    vm->disks[vm->n_disks++] = (struct vf_vm_disk){
        .label = vf_xasprintf("Hard disk %d", n + 1),
        .key = 2000 + n,
        .file = vf_xstrdup(file),
        .datastore = vf_xstrdup("fast"),
        .capacity_bytes = 1024 * MIB,
        .used_bytes = 100 * MIB,
        .mode = vf_xstrdup("persistent"),
        .uuid = vf_xasprintf("6000C29a-5e1f-0b7c-9d2e-00000000%04d", n),
        .change_id = vf_xstrdup("52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81"),
        .bus = VF_BUS_SCSI,
        .controller_type = vf_xstrdup("ParaVirtualSCSIController"),
        .unit_number = n,
        .controller_key = 1000,
        .position = (uint32_t)n,
    };
}

void check_world_add_nic(struct vf_vm *vm, const char *mac, const char *network)
{
    vm->nics = vf_xrealloc_array(vm->nics, vm->n_nics + 1, sizeof *vm->nics);
    int32_t n = (int32_t)vm->n_nics;
    struct vf_vm_address *address = vf_xcalloc(1, sizeof *address);
    *address = (struct vf_vm_address){
        .ip = vf_xstrdup("10.0.0.7"), .prefix_len = 24, .origin = VF_ADDRESS_DHCP};
    vm->nics[vm->n_nics++] = (struct vf_vm_nic){
        .label = vf_xasprintf("Network adapter %d", n + 1),
        .key = 4000 + n,
        .mac = vf_xstrdup(mac),
        .model = vf_xstrdup("vmxnet3"),
        .network = vf_xstrdup(network),
        .connected = vm->power == VF_POWER_ON,
        .start_connected = true,
        .addresses = address,
        .n_addresses = 1,
    };
}

void check_world_add_snapshot(struct vf_vm *vm, const char *name, int32_t depth)
{
    vm->snapshots = vf_xrealloc_array(vm->snapshots, vm->n_snapshots + 1, sizeof *vm->snapshots);
    vm->snapshots[vm->n_snapshots] =
        (struct vf_vm_snapshot){.moref = vf_xasprintf("snapshot-%zu", vm->n_snapshots),
                                .name = vf_xstrdup(name),
                                .depth = depth};
    vm->n_snapshots++;
}

void check_world_add_device(struct vf_vm *vm, enum vf_device_kind kind, const char *label)
{
    vm->devices = vf_xrealloc_array(vm->devices, vm->n_devices + 1, sizeof *vm->devices);
    vm->devices[vm->n_devices++] = (struct vf_vm_device){
        .kind = kind, .label = vf_xstrdup(label), .type = vf_xstrdup("VirtualDevice")};
}

void check_world_add_guest_disk(struct vf_vm *vm, const char *path, uint64_t free_mib)
{
    vm->guest_disks =
        vf_xrealloc_array(vm->guest_disks, vm->n_guest_disks + 1, sizeof *vm->guest_disks);
    vm->guest_disks[vm->n_guest_disks++] = (struct vf_vm_guest_disk){
        .path = vf_xstrdup(path), .capacity_bytes = 10240 * MIB, .free_bytes = free_mib * MIB};
}

static void make_vm(struct vf_vm *vm, const char *name, enum vf_power power)
{
    vf_vm_init(vm);
    vm->name = vf_xstrdup(name);
    vm->moref = vf_xasprintf("vm-%s", name);
    vm->folder = vf_xstrdup("/DC0/vm");
    vm->host = vf_xstrdup("esx1");
    vm->host_moref = vf_xstrdup("host-1");
    vm->instance_uuid = vf_xasprintf("50-%s", name);
    vm->bios_uuid = vf_xstrdup("423a9b1c-7d11-4f6e-9a53-0f2b6c1d8e77");
    vm->guest_id = vf_xstrdup("ubuntu64Guest");
    vm->guest_name = vf_xstrdup("Ubuntu Linux (64-bit)");
    vm->guest_hostname = vf_xstrdup(name);
    vm->hardware = vf_xstrdup("vmx-19");
    vm->power = power;
    vm->connection = VF_CONNECTION_GOOD;
    vm->tools = power == VF_POWER_ON ? VF_TOOLS_RUNNING : VF_TOOLS_NOT_RUNNING;
    vm->tools_running = power == VF_POWER_ON;
    vm->firmware = VF_FIRMWARE_BIOS;
    vm->family = VF_GUEST_LINUX;
    vm->cbt_enabled = vm->cbt_supported = true;
    vm->cpus = 2;
    vm->cores_per_socket = 2;
    vm->cpu_hot_add = vm->memory_hot_add = VF_NO;
    vm->memory_bytes = 4096 * MIB;
    vm->cpu_allocation.limit = vm->memory_allocation.limit = VF_NO_LIMIT;
    char *vf_autofree file = vf_xasprintf("[fast] %s/%s.vmdk", name, name);
    check_world_add_disk(vm, file);
    check_world_add_nic(vm, power == VF_POWER_ON ? "00:50:56:9a:00:01" : "00:50:56:9a:00:02",
                        "VM Network");
}

void check_world_init(struct check_world *w)
{
    *w = (struct check_world){0};
    make_vm(&w->vms[0], "web01", VF_POWER_ON);
    make_vm(&w->vms[1], "db01", VF_POWER_OFF);
    vf_mapping_init(&w->mapping);
}

void check_world_release(struct check_world *w)
{
    vf_findings_release(&w->findings);
    vf_facts_release(&w->facts);
    vf_mapping_release(&w->mapping);
    for (size_t i = 0; i < CHECK_WORLD_VMS; i++) {
        vf_vm_release(&w->vms[i]);
    }
}

void check_world_judge(struct check_world *w)
{
    const struct vf_vm *vms[CHECK_WORLD_VMS];
    for (size_t i = 0; i < CHECK_WORLD_VMS; i++) {
        vf_mapping_set_aside(&w->mapping, &w->vms[i]);
        vms[i] = &w->vms[i];
    }
    w->import.mapping = &w->mapping;
    w->check.import = &w->import;
    w->facts.vms = w->vms;
    w->facts.n_vms = CHECK_WORLD_VMS;
    if (!w->facts.names) {
        vf_names_assign(vms, CHECK_WORLD_VMS, NULL, 0, &w->facts.names);
    }
    vf_test_check(vf_os_table_new(NULL, "os table", &w->facts.os_table, NULL) == 0);
    vf_facts_index(&w->facts, &w->mapping.networks);
    const struct vf_judge j = {.options = &w->check,
                               .facts = &w->facts,
                               .source = "vc.example",
                               .skip = w->skip,
                               .findings = &w->findings};
    for (size_t i = 0; i < CHECK_WORLD_VMS; i++) {
        vf_judge_vm(&j, i);
    }
    vf_judge_once(&j);
    vf_findings_sort(&w->findings);
}

const struct vf_finding *check_world_find(const struct check_world *w, const char *id)
{
    for (size_t i = 0; i < w->findings.n_items; i++) {
        if (strcmp(w->findings.items[i].rule->id, id) == 0) {
            return &w->findings.items[i];
        }
    }
    return NULL;
}

static void run_trip(const struct check_case *c)
{
    struct check_world w;
    check_world_init(&w);
    c->trip(&w);
    check_world_judge(&w);
    const struct vf_finding *f = check_world_find(&w, c->id);
    if (!f) {
        fail_msg("%s: nothing was found", c->id);
        return; /* not reached, which not every version of cmocka declares */
    }
    if (f->severity != c->severity) {
        fail_msg("%s: %s instead of %s", c->id, vf_severity_name(f->severity),
                 vf_severity_name(c->severity));
    }
    if (!strstr(f->message, c->says) && !(f->object && strstr(f->object, c->says))) {
        fail_msg("%s: no \"%s\" in \"%s\" of %s", c->id, c->says, f->message,
                 f->object ? f->object : "the VM");
    }
    check_world_release(&w);
}

static void run_near(const struct check_case *c)
{
    struct check_world w;
    check_world_init(&w);
    if (c->near) {
        c->near(&w);
    }
    check_world_judge(&w);
    const struct vf_finding *f = check_world_find(&w, c->id);
    if (f) {
        fail_msg("%s: found where it is not so: %s", c->id, f->message);
    }
    check_world_release(&w);
}

void check_world_run_case(const struct check_case *c)
{
    run_trip(c);
    run_near(c);
}
