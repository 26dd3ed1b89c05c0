/* An admin's VM template: a VirtualMachine manifest whose fields are merged under what is mapped.
 *
 * What the source, an option or the OS table tells stands. What is only vmferry's default gives way
 * to the template's. What the mapping does not have is added. Entries of lists of named things
 * (disks, interfaces, inputs, filesystems, gpus, hostDevices) are merged by name; of volumes and
 * networks that both have, the mapping's stands, and of all other lists too. Of members that
 * exclude each other (an interface's bindings, what a disk is, hyperv and hypervPassthrough) the
 * template's are left out where the mapping has one; a bootloader or a clock's offset of the
 * mapping gives way if it is no more than a default.
 *
 * Not taken from a template, so that a manifest of another VM may serve as one: name, namespace and
 * whatever else of metadata but labels and annotations; labels and annotations of vmferry's own;
 * runStrategy, running and status; architecture; what tells VMs apart (firmware's uuid and serial,
 * chassis's serial, MAC addresses); what is null. Beside an instance type no CPUs, memory and
 * requests; beside CPUs and memory of the source no instance type, no other CPUs, memory or maxima
 * of them; no bootOrder where the mapping has one; no other pod network, with its interface, where
 * the mapping has one.
 */
#ifndef CONVERTERS_VM_TEMPLATE_H
#define CONVERTERS_VM_TEMPLATE_H

#include <cjson/cJSON.h>

#include <vmferry/error.h>

#include "converters/vm/origins.h"

/* `text` is YAML: one document, apiVersion kubevirt.io/v1, kind VirtualMachine. `what` names it in
 * errors. VF_INVALID with line and column: fields beside those of a VirtualMachine (of which spec
 * and spec.template are looked at, and nothing below), dataVolumeTemplates and volumes that are
 * claims or cloud-init data (disks are the source's; what a filesystem shares is none), what is
 * inferred from a volume, labels and annotations that are none, entries without a name or with one
 * that another has. Caller deletes. */
int vf_template_parse(const char *text, const char *what, cJSON **ret_template,
                      struct vf_error **err);

/* Into `machine`, a VirtualMachine; notes what it added (VF_ORIGIN_TEMPLATE, `what`). */
void vf_template_merge(const cJSON *template, const char *what, cJSON *machine,
                       struct vf_origins *origins);

#endif
