#include "importer/base/json.h"
#include "jobs/cli/inventory_names.h"
#include "jobs/cli/inventory_view.h"

/* vSphere's keys and units are small and not negative; -1 stands for "none" in places. */
static void add_int(cJSON *object, const char *key, int32_t value)
{
    if (value >= 0) {
        vf_json_add_u64(object, key, (uint64_t)value);
    }
}

static void add_size(cJSON *object, const char *key, uint64_t n_bytes)
{
    if (n_bytes > 0) {
        vf_json_add_u64(object, key, n_bytes);
    }
}

static void add_tristate(cJSON *object, const char *key, enum vf_tristate value)
{
    if (value != VF_UNSET) {
        vf_json_add_bool(object, key, value == VF_YES);
    }
}

static void add_strings(cJSON *object, const char *key, char *const *strings, size_t n)
{
    cJSON *array = vf_json_add_array(object, key);
    for (size_t i = 0; i < n; i++) {
        vf_json_append_string(array, strings[i]);
    }
}

static void add_disk(cJSON *o, const struct vf_vm_disk *d)
{
    vf_json_add_string(o, "label", d->label);
    add_int(o, "key", d->key);
    vf_json_add_string(o, "source_id", d->source_id);
    vf_json_add_string(o, "file", d->file);
    vf_json_add_string(o, "datastore", d->datastore);
    vf_json_add_u64(o, "capacity_bytes", d->capacity_bytes);
    add_size(o, "used_bytes", d->used_bytes);
    vf_json_add_string(o, "bus", vf_bus_name(d->bus));
    vf_json_add_string(o, "controller_type", d->controller_type);
    add_int(o, "controller_key", d->controller_key);
    add_int(o, "bus_number", d->bus_number);
    add_int(o, "unit_number", d->unit_number);
    vf_json_add_string(o, "mode", d->mode);
    vf_json_add_bool(o, "thin", d->thin);
    vf_json_add_bool(o, "independent", d->independent);
    vf_json_add_bool(o, "rdm", d->rdm);
    vf_json_add_bool(o, "shared", d->shared);
    vf_json_add_bool(o, "encrypted", d->encrypted);
    vf_json_add_string(o, "uuid", d->uuid);
    vf_json_add_string(o, "change_id", d->change_id);
}

static void add_nic(cJSON *o, const struct vf_vm_nic *n)
{
    vf_json_add_string(o, "label", n->label);
    add_int(o, "key", n->key);
    vf_json_add_string(o, "mac", n->mac);
    vf_json_add_string(o, "model", n->model);
    vf_json_add_string(o, "network", n->network);
    vf_json_add_bool(o, "connected", n->connected);
    vf_json_add_bool(o, "start_connected", n->start_connected);
    cJSON *ips = vf_json_add_array(o, "ips");
    for (size_t i = 0; i < n->n_addresses; i++) {
        vf_json_append_string(ips, n->addresses[i].ip);
    }
}

static void add_devices(cJSON *o, const struct vf_vm *vm)
{
    cJSON *disks = vf_json_add_array(o, "disks");
    for (size_t i = 0; i < vm->n_disks; i++) {
        add_disk(vf_json_append_object(disks), &vm->disks[i]);
    }
    cJSON *nics = vf_json_add_array(o, "nics");
    for (size_t i = 0; i < vm->n_nics; i++) {
        add_nic(vf_json_append_object(nics), &vm->nics[i]);
    }
    cJSON *snapshots = vf_json_add_array(o, "snapshots");
    for (size_t i = 0; i < vm->n_snapshots; i++) {
        const struct vf_vm_snapshot *s = &vm->snapshots[i];
        cJSON *snapshot = vf_json_append_object(snapshots);
        vf_json_add_string(snapshot, "name", s->name);
        vf_json_add_string(snapshot, "moref", s->moref);
        vf_json_add_bool(snapshot, "quiesced", s->quiesced);
        add_int(snapshot, "depth", s->depth);
    }
}

static void add_identity(cJSON *o, const struct vf_vm *vm)
{
    vf_json_add_string(o, "name", vm->name);
    vf_json_add_string(o, "moref", vm->moref);
    vf_json_add_string(o, "folder", vm->folder);
    vf_json_add_string(o, "host", vm->host);
    vf_json_add_string(o, "instance_uuid", vm->instance_uuid);
    vf_json_add_string(o, "bios_uuid", vm->bios_uuid);
    vf_json_add_string(o, "power", vf_power_name(vm->power));
    vf_json_add_bool(o, "template", vm->template);
    vf_json_add_string(o, "guest_id", vm->guest_id);
    vf_json_add_string(o, "guest_name", vm->guest_name);
    vf_json_add_string(o, "guest_family", vf_guest_family_name(vm->family));
    vf_json_add_string(o, "guest_hostname", vm->guest_hostname);
    vf_json_add_bool(o, "tools_running", vm->tools_running);
    vf_json_add_string(o, "annotation", vm->annotation);
    add_strings(o, "tags", vm->tags, vm->n_tags);
}

static void add_hardware(cJSON *o, const struct vf_vm *vm)
{
    vf_json_add_string(o, "hardware", vm->hardware);
    vf_json_add_string(o, "firmware", vf_firmware_name(vm->firmware));
    vf_json_add_bool(o, "secure_boot", vm->secure_boot);
    vf_json_add_bool(o, "has_vtpm", vm->has_vtpm);
    vf_json_add_bool(o, "nested_hv", vm->nested_hv);
    vf_json_add_u64(o, "cpus", vm->cpus);
    add_size(o, "cores_per_socket", vm->cores_per_socket);
    add_tristate(o, "cpu_hot_add", vm->cpu_hot_add);
    vf_json_add_u64(o, "memory_bytes", vm->memory_bytes);
    add_tristate(o, "memory_hot_add", vm->memory_hot_add);
    add_size(o, "provisioned_bytes", vm->provisioned_bytes);
    add_size(o, "used_bytes", vm->used_bytes);
    vf_json_add_bool(o, "cbt_enabled", vm->cbt_enabled);
    vf_json_add_bool(o, "cbt_supported", vm->cbt_supported);
    vf_json_add_bool(o, "consolidation_needed", vm->consolidation_needed);
}

cJSON *vf_inventory_tree(const struct vf_vm *vms, size_t n)
{
    cJSON *tree = vf_json_new_object();
    cJSON *array = vf_json_add_array(tree, "vms");
    for (size_t i = 0; i < n; i++) {
        cJSON *o = vf_json_append_object(array);
        add_identity(o, &vms[i]);
        add_hardware(o, &vms[i]);
        add_devices(o, &vms[i]);
    }
    return tree;
}
