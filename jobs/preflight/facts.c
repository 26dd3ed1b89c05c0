#include "jobs/preflight/facts.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/preflight/folder_facts.h"
#include "jobs/preflight/path_facts.h"
#include "jobs/preflight/source_facts.h"

static void add(struct vf_fact_keys *keys, struct vf_fact_key key)
{
    if (key.key && *key.key) {
        keys->items[keys->n_items++] = key;
    }
}

/* MAC addresses are lower case in the model; paths of datastores tell case apart. */
static int compare(const void *a, const void *b)
{
    const struct vf_fact_key *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->vm < y->vm ? -1 : x->vm > y->vm;
}

static void sort(struct vf_fact_keys *keys)
{
    if (keys->n_items) {
        qsort(keys->items, keys->n_items, sizeof *keys->items, compare);
    }
}

/* Where the map cannot be resolved, which is told elsewhere, every NIC counts. */
static void index_nics(struct vf_facts *f, size_t v, const struct vf_network_map *networks)
{
    const struct vf_vm *vm = &f->vms[v];
    struct vf_network_choice *choices = NULL;
    (void)vf_network_map_resolve(networks, vm, &choices, NULL);
    for (size_t i = 0; i < vm->n_nics; i++) {
        if (!choices || choices[i].kind != VF_NETWORK_IGNORE) {
            add(&f->macs, (struct vf_fact_key){.key = vm->nics[i].mac, .vm = v, .item = i});
        }
    }
    vf_network_choices_free(choices, vm->n_nics);
}

static void index_disks(struct vf_facts *f, size_t v)
{
    const struct vf_vm *vm = &f->vms[v];
    for (size_t i = 0; i < vm->n_disks; i++) {
        add(&f->disk_files, (struct vf_fact_key){.key = vm->disks[i].file, .vm = v, .item = i});
    }
    for (size_t i = 0; i < vm->n_other_disks; i++) {
        add(&f->disk_files, (struct vf_fact_key){
                                .key = vm->other_disks[i].file, .vm = v, .item = i, .aside = true});
    }
}

void vf_facts_index(struct vf_facts *f, const struct vf_network_map *networks)
{
    size_t nics = 0, disks = 0;
    for (size_t v = 0; v < f->n_vms; v++) {
        nics += f->vms[v].n_nics;
        disks += f->vms[v].n_disks + f->vms[v].n_other_disks;
    }
    f->macs = (struct vf_fact_keys){.items = vf_xcalloc(nics, sizeof(struct vf_fact_key))};
    f->disk_files = (struct vf_fact_keys){.items = vf_xcalloc(disks, sizeof(struct vf_fact_key))};
    for (size_t v = 0; v < f->n_vms; v++) {
        index_nics(f, v, networks);
        index_disks(f, v);
    }
    sort(&f->macs);
    sort(&f->disk_files);
}

const struct vf_fact_key *vf_fact_keys_find(const struct vf_fact_keys *keys, const char *key,
                                            size_t *ret_n)
{
    size_t low = 0, high = keys->n_items;
    *ret_n = 0;
    if (!key) {
        return NULL;
    }
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(keys->items[mid].key, key) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    while (low + *ret_n < keys->n_items && strcmp(keys->items[low + *ret_n].key, key) == 0) {
        (*ret_n)++;
    }
    return *ret_n ? &keys->items[low] : NULL;
}

void vf_facts_release(struct vf_facts *f)
{
    for (size_t i = 0; f->names && i < f->n_vms; i++) {
        free(f->names[i]);
    }
    free(f->names);
    vf_os_table_free(f->os_table);
    free(f->macs.items);
    free(f->disk_files.items);
    vf_source_facts_release(&f->source);
    vf_path_facts_release(&f->path);
    vf_folder_facts_release(&f->folder);
    vf_kubevirt_facts_release(&f->kubevirt);
    vf_target_facts_release(&f->target);
    *f = (struct vf_facts){0};
}
