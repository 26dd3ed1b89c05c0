/* VMs as a person or a program reads them. Pure. */
#ifndef JOBS_CLI_INVENTORY_VIEW_H
#define JOBS_CLI_INVENTORY_VIEW_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include <vmferry/vm.h>

/* A table, one line a VM; caller frees. */
char *vf_inventory_table(const struct vf_vm *vms, size_t n, bool wide);

/* {"vms": [...]} with every fact of struct vf_vm: members are called as its fields, sizes are in
 * bytes; what the source does not say is absent. cJSON_Delete it. */
cJSON *vf_inventory_tree(const struct vf_vm *vms, size_t n);

#endif
