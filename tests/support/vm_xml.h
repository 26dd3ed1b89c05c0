/* An ObjectContent of a VM, as recorded servers write it: xsi and xsd declared once. */
#ifndef TESTS_SUPPORT_VM_XML_H
#define TESTS_SUPPORT_VM_XML_H

#include "importer/vsphere/vm_draft.h"

#define VM_CONTENT(sets)                                                                           \
    "<objects xmlns=\"urn:vim25\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""                  \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"                                    \
    "<obj type=\"VirtualMachine\">vm-1</obj>" sets "</objects>"
#define VM_PROP(path, type, val)                                                                   \
    "<propSet><name>" path "</name><val xsi:type=\"" type "\">" val "</val></propSet>"
#define VM_DEVICES(list) VM_PROP("config.hardware.device", "ArrayOfVirtualDevice", list)
#define VM_DEVICE(type, key, rest)                                                                 \
    "<VirtualDevice xsi:type=\"" type "\"><key>" key "</key><deviceInfo><label>" type " " key      \
    "</label></deviceInfo>" rest "</VirtualDevice>"

/* A new draft of it; what vf_vm_draft_parse returns. */
int vf_test_parse_vm(struct vf_vm_draft *d, const char *xml, struct vf_error **err);

#endif
