/* An admin's VM template: a VirtualMachine manifest whose fields are merged under what is mapped.
 *
 * What the source, an option or the OS table tells stands. What is only vmferry's default gives way
 * to the template's. What the mapping does not have is added. Entries of lists of named things
 * (disks, interfaces, volumes, networks, inputs, filesystems, gpus, hostDevices) are merged by
 * name; of other lists the mapping's stands, whole. Of members that exclude each other (bootloader
 * bios and efi, an interface's bindings, a volume's sources, clock utc and timezone, CPU and memory
 * beside an instance type, runStrategy and running) the template's are left out where the mapping
 * has one. Name, namespace and kind are never the template's.
 */
#ifndef CONVERTERS_VM_TEMPLATE_H
#define CONVERTERS_VM_TEMPLATE_H

#include <cjson/cJSON.h>

#include <vmferry/error.h>

#include "converters/vm/origins.h"

/* `text` is YAML: one document, apiVersion kubevirt.io/v1, kind VirtualMachine. `what` names it in
 * errors. VF_INVALID with line and column. Caller deletes. */
int vf_template_parse(const char *text, const char *what, cJSON **ret_template,
                      struct vf_error **err);

/* Into `machine`; notes what it added (VF_ORIGIN_TEMPLATE, "template WHAT"). */
void vf_template_merge(const cJSON *template, const char *what, cJSON *machine,
                       struct vf_origins *origins);

#endif
