#include <stdlib.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/cli/inventory_names.h"
#include "jobs/cli/inventory_view.h"
#include "jobs/cli/table.h"
#include "jobs/report/text.h"

/* The first n_plain are those of the plain table. */
static const struct vf_table_column columns[] = {
    {"NAME", false},  {"POWER", false},    {"GUEST", false},         {"CPU", true},
    {"MEMORY", true}, {"DISKS", true},     {"PROVISIONED", true},    {"USED", true},
    {"CBT", false},   {"SNAPSHOTS", true}, {"FOLDER", false},        {"REF", false},
    {"HOST", false},  {"FIRMWARE", false}, {"HARDWARE", false},      {"NICS", true},
    {"IPS", false},   {"TAGS", false},     {"INSTANCE UUID", false},
};
static const size_t n_plain = 11;
static const size_t n_wide = sizeof columns / sizeof *columns;

static void add_bytes(struct vf_table *t, uint64_t n_bytes)
{
    char text[VF_TEXT_BYTES_SIZE];
    vf_table_add(t, n_bytes ? vf_text_bytes(text, n_bytes) : NULL);
}

/* What the disks add up to when the server keeps no sum. */
static uint64_t provisioned_bytes(const struct vf_vm *vm)
{
    uint64_t sum = vm->provisioned_bytes;
    for (size_t i = 0; !vm->provisioned_bytes && i < vm->n_disks; i++) {
        sum += vm->disks[i].capacity_bytes;
    }
    return sum;
}

static void add_plain(struct vf_table *t, const struct vf_vm *vm)
{
    vf_table_add(t, vm->name);
    vf_table_add(t, vm->template ? "template" : vf_power_name(vm->power));
    vf_table_add(t, vm->guest_name ? vm->guest_name : vm->guest_id);
    vf_table_addf(t, "%u", vm->cpus);
    add_bytes(t, vm->memory_bytes);
    vf_table_addf(t, "%zu", vm->n_disks);
    add_bytes(t, provisioned_bytes(vm));
    add_bytes(t, vm->used_bytes);
    vf_table_add(t, vm->cbt_enabled ? "on" : vm->cbt_supported ? "off" : NULL);
    vf_table_addf(t, "%zu", vm->n_snapshots);
    vf_table_add(t, vm->folder);
}

static void add_joined(struct vf_table *t, struct vf_buf *b)
{
    vf_table_add(t, b->data);
    vf_buf_release(b);
}

static void put_joined(struct vf_buf *b, const char *text)
{
    vf_buf_puts(b, b->len ? "," : "");
    vf_buf_puts(b, text);
}

static void add_wide(struct vf_table *t, const struct vf_vm *vm)
{
    vf_table_add(t, vm->moref);
    vf_table_add(t, vm->host);
    vf_table_add(t, vf_firmware_name(vm->firmware));
    vf_table_add(t, vm->hardware);
    vf_table_addf(t, "%zu", vm->n_nics);

    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < vm->n_nics; i++) {
        for (size_t j = 0; j < vm->nics[i].n_addresses; j++) {
            put_joined(&b, vm->nics[i].addresses[j].ip);
        }
    }
    add_joined(t, &b);
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < vm->n_tags; i++) {
        put_joined(&b, vm->tags[i]);
    }
    add_joined(t, &b);
    vf_table_add(t, vm->instance_uuid);
}

char *vf_inventory_table(const struct vf_vm *vms, size_t n, bool wide)
{
    struct vf_table *t = vf_table_new(columns, wide ? n_wide : n_plain);
    for (size_t i = 0; i < n; i++) {
        add_plain(t, &vms[i]);
        if (wide) {
            add_wide(t, &vms[i]);
        }
    }
    char *text = vf_table_print(t);
    vf_table_free(t);
    return text;
}
