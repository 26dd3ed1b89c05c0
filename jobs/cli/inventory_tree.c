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

/* An array only when there is something in it. */
static cJSON *add_list(cJSON *object, const char *key, size_t n)
{
    return n > 0 ? vf_json_add_array(object, key) : NULL;
}

/* A fact that is told only of those it holds for. */
static void add_flag(cJSON *object, const char *key, bool value)
{
    if (value) {
        vf_json_add_bool(object, key, true);
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
    add_flag(o, "rdm_physical", d->rdm_physical);
    vf_json_add_string(o, "rdm_device", d->rdm_device);
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
    cJSON *addresses = add_list(o, "addresses", n->n_addresses);
    for (size_t i = 0; i < n->n_addresses; i++) {
        cJSON *a = vf_json_append_object(addresses);
        vf_json_add_string(a, "ip", n->addresses[i].ip);
        add_size(a, "prefix_len", n->addresses[i].prefix_len);
        vf_json_add_string(a, "origin", vf_address_origin_name(n->addresses[i].origin));
    }
    vf_json_add_string(o, "gateway4", n->gateway4);
    vf_json_add_string(o, "gateway6", n->gateway6);
}

static const char *label_of(const struct vf_vm *vm, int32_t key)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vm->disks[i].key == key) {
            return vm->disks[i].label;
        }
    }
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (vm->nics[i].key == key) {
            return vm->nics[i].label;
        }
    }
    return NULL;
}

/* By labels, for that is how a person knows the devices. */
static void add_boot_order(cJSON *o, const struct vf_vm *vm)
{
    cJSON *order = vf_json_add_array(o, "boot_order");
    if (vm->boot_keys_cdrom_first) {
        vf_json_append_string(order, "CD-ROM");
    }
    for (size_t i = 0; i < vm->n_boot_keys; i++) {
        const char *label = label_of(vm, vm->boot_keys[i]);
        vf_json_append_string(order, label ? label : "a device that is gone");
    }
}

static void add_drives(cJSON *o, const struct vf_vm *vm)
{
    cJSON *cdroms = add_list(o, "cdroms", vm->n_cdroms);
    for (size_t i = 0; i < vm->n_cdroms; i++) {
        const struct vf_vm_cdrom *c = &vm->cdroms[i];
        cJSON *cdrom = vf_json_append_object(cdroms);
        vf_json_add_string(cdrom, "label", c->label);
        add_int(cdrom, "key", c->key);
        vf_json_add_string(cdrom, "file", c->file);
        vf_json_add_string(cdrom, "bus", vf_bus_name(c->bus));
        add_int(cdrom, "bus_number", c->bus_number);
        add_int(cdrom, "unit_number", c->unit_number);
        vf_json_add_bool(cdrom, "connected", c->connected);
        vf_json_add_bool(cdrom, "start_connected", c->start_connected);
    }
    cJSON *devices = add_list(o, "devices", vm->n_devices);
    for (size_t i = 0; i < vm->n_devices; i++) {
        cJSON *device = vf_json_append_object(devices);
        vf_json_add_string(device, "kind", vf_device_kind_name(vm->devices[i].kind));
        vf_json_add_string(device, "label", vm->devices[i].label);
        vf_json_add_string(device, "type", vm->devices[i].type);
    }
    if (vm->n_boot_keys > 0 || vm->boot_keys_cdrom_first) {
        add_boot_order(o, vm);
    }
}

static void add_guest(cJSON *o, const struct vf_vm *vm)
{
    cJSON *disks = add_list(o, "guest_disks", vm->n_guest_disks);
    for (size_t i = 0; i < vm->n_guest_disks; i++) {
        cJSON *disk = vf_json_append_object(disks);
        vf_json_add_string(disk, "path", vm->guest_disks[i].path);
        vf_json_add_u64(disk, "capacity_bytes", vm->guest_disks[i].capacity_bytes);
        vf_json_add_u64(disk, "free_bytes", vm->guest_disks[i].free_bytes);
    }
    if (vm->n_dns_servers > 0) {
        add_strings(o, "dns_servers", vm->dns_servers, vm->n_dns_servers);
    }
    if (vm->n_dns_search > 0) {
        add_strings(o, "dns_search", vm->dns_search, vm->n_dns_search);
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
    add_drives(o, vm);
    add_guest(o, vm);
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
    vf_json_add_string(o, "cluster", vm->cluster);
    vf_json_add_string(o, "instance_uuid", vm->instance_uuid);
    vf_json_add_string(o, "bios_uuid", vm->bios_uuid);
    vf_json_add_string(o, "power", vf_power_name(vm->power));
    vf_json_add_bool(o, "template", vm->template);
    vf_json_add_string(o, "guest_id", vm->guest_id);
    vf_json_add_string(o, "guest_name", vm->guest_name);
    vf_json_add_string(o, "guest_family", vf_guest_family_name(vm->family));
    vf_json_add_string(o, "guest_hostname", vm->guest_hostname);
    vf_json_add_string(o, "connection", vf_connection_name(vm->connection));
    vf_json_add_string(o, "question", vm->question);
    vf_json_add_string(o, "tools", vf_tools_name(vm->tools));
    vf_json_add_bool(o, "tools_running", vm->tools_running);
    add_flag(o, "tools_outdated", vm->tools_outdated);
    vf_json_add_string(o, "annotation", vm->annotation);
    add_strings(o, "tags", vm->tags, vm->n_tags);
    cJSON *attributes = add_list(o, "attributes", vm->n_attributes);
    for (size_t i = 0; i < vm->n_attributes; i++) {
        cJSON *a = vf_json_append_object(attributes);
        vf_json_add_string(a, "name", vm->attributes[i].name);
        vf_json_add_string(a, "value", vm->attributes[i].value);
    }
}

/* In MHz or bytes, as the key says. */
static void add_allocation(cJSON *o, const char *key, const struct vf_vm_allocation *a,
                           const char *reservation, const char *limit)
{
    bool limited = a->limit != 0 && a->limit != VF_NO_LIMIT;
    if (a->reservation == 0 && !limited && a->shares == 0) {
        return;
    }
    cJSON *allocation = vf_json_add_object(o, key);
    add_size(allocation, reservation, a->reservation);
    if (limited) {
        vf_json_add_u64(allocation, limit, a->limit);
    }
    vf_json_add_string(allocation, "level", vf_shares_name(a->level));
    add_size(allocation, "shares", a->shares);
}

static void add_placement(cJSON *o, const struct vf_vm *vm)
{
    add_allocation(o, "cpu_allocation", &vm->cpu_allocation, "reservation_mhz", "limit_mhz");
    add_allocation(o, "memory_allocation", &vm->memory_allocation, "reservation_bytes",
                   "limit_bytes");
    add_size(o, "host_cpu_mhz", vm->host_cpu_mhz);
    add_flag(o, "memory_locked", vm->memory_locked);
    add_flag(o, "cpu_affinity", vm->cpu_affinity);
    add_flag(o, "numa_affinity", vm->numa_affinity);
    vf_json_add_string(o, "latency", vm->latency);
    vf_json_add_string(o, "evc_mode", vm->evc_mode);
    add_flag(o, "encrypted", vm->encrypted);
    add_flag(o, "fault_tolerant", vm->fault_tolerant);
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
    add_flag(o, "cpu_hot_remove", vm->cpu_hot_remove);
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
        add_placement(o, &vms[i]);
        add_devices(o, &vms[i]);
    }
    return tree;
}
