#include "converters/vm/mapping_fields.h"

#include <string.h>

#include "converters/vm/mapping_checks.h"
#include "converters/vm/mapping_private.h"
#include "converters/vm/names.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const disk_buses[] = {"virtio", "sata", "scsi", NULL};
static const char *const volume_modes[] = {"Block", "Filesystem", NULL};
static const char *const access_modes[] = {"ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod",
                                           NULL};
static const char *const nic_models[] = {"virtio",   "e1000", "e1000e",  "igb",
                                         "ne2k_pci", "pcnet", "rtl8139", NULL};
/* In the order of their enums in mapping.h. */
static const char *const resources[] = {"cluster", "source", NULL};
static const char *const rdms[] = {"ask", "copy", "lun", "ignore", NULL};
static const char *const cdroms[] = {"drop", "empty", "keep", NULL};
static const char *const addresses[] = {"ignore", "cloud-init", NULL};

static const char a_class[] = "a name of a storage class";
static const char a_claim[] = "a name of a PersistentVolumeClaim";
static const char a_kind_name[] = "\"auto\", NAME or KIND/NAME";

#define OF(member)         .offset = offsetof(struct vf_mapping, member)
#define OF_STORAGE(member) .offset = offsetof(struct vf_storage_rule, member)
#define OF_DISK(member)    .offset = offsetof(struct vf_disk_rule, member)
#define OF_ISO(member)     .offset = offsetof(struct vf_iso_rule, member)
#define LIST_OF(member)    OF(member), .n_offset = offsetof(struct vf_mapping, n_##member)

static const struct vf_mapping_field storage_fields[] = {
    {.name = "datastore",
     .kind = VF_MAPPING_TEXT,
     .help = "name or shell pattern of a datastore; * is all of them",
     OF_STORAGE(datastore)},
    {.name = "storageClass",
     .kind = VF_MAPPING_TEXT,
     .help = "of the claims of its disks",
     .is_valid = vf_name_is_subdomain,
     .expected = a_class,
     OF_STORAGE(storage_class)},
    {.name = "volumeMode",
     .kind = VF_MAPPING_WORD,
     .help = "of the claims of its disks",
     .choices = volume_modes,
     OF_STORAGE(volume_mode)},
    {.name = "accessMode",
     .kind = VF_MAPPING_WORD,
     .help = "of the claims of its disks",
     .choices = access_modes,
     OF_STORAGE(access_mode)},
};
static const struct vf_mapping_fields storage_entry = {storage_fields, COUNT(storage_fields),
                                                       sizeof(struct vf_storage_rule)};

static const struct vf_mapping_field disk_fields[] = {
    {.name = "disk",
     .kind = VF_MAPPING_TEXT,
     .help = "number from 0 in the guest's order, label, file or UUID of the disk",
     .number_too = true,
     OF_DISK(disk)},
    {.name = "bus",
     .kind = VF_MAPPING_WORD,
     .help = "that the guest finds it on",
     .choices = disk_buses,
     OF_DISK(bus)},
    {.name = "storageClass",
     .kind = VF_MAPPING_TEXT,
     .help = "of its claim",
     .is_valid = vf_name_is_subdomain,
     .expected = a_class,
     OF_DISK(storage_class)},
    {.name = "volumeMode",
     .kind = VF_MAPPING_WORD,
     .help = "of its claim",
     .choices = volume_modes,
     OF_DISK(volume_mode)},
    {.name = "accessMode",
     .kind = VF_MAPPING_WORD,
     .help = "of its claim",
     .choices = access_modes,
     OF_DISK(access_mode)},
    {.name = "claim",
     .kind = VF_MAPPING_TEXT,
     .help = "claim that is there already and takes its place; the disk is not copied",
     .is_valid = vf_name_is_subdomain,
     .expected = a_claim,
     OF_DISK(claim)},
    {.name = "serial",
     .kind = VF_MAPPING_TEXT,
     .help = "that the guest reads from it, instead of the one it had",
     .is_valid = vf_mapping_is_serial,
     .expected = "up to 256 letters, digits, or any of _.+-",
     .number_too = true,
     OF_DISK(serial)},
    {.name = "boot",
     .kind = VF_MAPPING_NUMBER,
     .help = "its place in the boot order, from 1",
     .max = 256,
     OF_DISK(boot)},
    {.name = "rdm",
     .kind = VF_MAPPING_CHOICE,
     .help = "what becomes of it, if it is a raw device mapping",
     .choices = rdms,
     .has_unset = true,
     OF_DISK(rdm)},
    {.name = "ioThread",
     .kind = VF_MAPPING_TRISTATE,
     .help = "an I/O thread of its own; by size and number of the disks unless told",
     OF_DISK(io_thread)},
    {.name = "skip", .kind = VF_MAPPING_TRISTATE, .help = "leave the disk out", OF_DISK(skip)},
};
static const struct vf_mapping_fields disk_entry = {disk_fields, COUNT(disk_fields),
                                                    sizeof(struct vf_disk_rule)};

static const struct vf_mapping_field iso_fields[] = {
    {.name = "file",
     .kind = VF_MAPPING_TEXT,
     .help = "file, or a shell pattern of it: [datastore1] iso/x.iso",
     OF_ISO(file)},
    {.name = "claim",
     .kind = VF_MAPPING_TEXT,
     .help = "claim that holds its content",
     .is_valid = vf_name_is_subdomain,
     .expected = a_claim,
     .required = true,
     OF_ISO(claim)},
};
static const struct vf_mapping_fields iso_entry = {iso_fields, COUNT(iso_fields),
                                                   sizeof(struct vf_iso_rule)};

static const struct vf_mapping_field network_fields[] = {
    {.name = "source",
     .kind = VF_MAPPING_TEXT,
     .help = "name of a network, a shell pattern of names, or the MAC address of one NIC",
     .offset = offsetof(struct vf_network_rule, source)},
    {.name = "to",
     .kind = VF_MAPPING_NETWORK,
     .help = VF_NETWORK_TARGETS,
     .expected = VF_NETWORK_TARGETS,
     .required = true},
};
static const struct vf_mapping_fields network_entry = {network_fields, COUNT(network_fields),
                                                       sizeof(struct vf_network_rule)};

static const struct vf_mapping_field fields[] = {
    {.name = "cpuModel",
     .kind = VF_MAPPING_TEXT,
     .help = "host-model, host-passthrough or a named model; the cluster's default unless told",
     .is_valid = vf_mapping_is_cpu_model,
     .expected = "host-model, host-passthrough or a model such as Skylake-Server-IBRS",
     OF(cpu_model)},
    {.name = "nested",
     .kind = VF_MAPPING_TRISTATE,
     .help = "virtualisation inside the guest; as the source has it unless told",
     OF(nested)},
    {.name = "dedicatedCpus",
     .kind = VF_MAPPING_FLAG,
     .help = "CPUs of the node for this VM alone",
     OF(dedicated_cpus)},
    {.name = "numa",
     .kind = VF_MAPPING_FLAG,
     .help = "show the guest the NUMA nodes it runs on; wants dedicatedCpus and hugepages",
     OF(numa)},
    {.name = "hugepages",
     .kind = VF_MAPPING_TEXT,
     .help = "size of the pages that the memory is made of",
     .is_valid = vf_mapping_is_hugepages,
     .expected = "a size such as 2Mi or 1Gi",
     OF(hugepages)},
    {.name = "resources",
     .kind = VF_MAPPING_CHOICE,
     .help = "source: reservations, limits and shares become requests and limits",
     .choices = resources,
     OF(resources)},
    {.name = "hotPlug",
     .kind = VF_MAPPING_TRISTATE,
     .help = "CPUs and memory may be added while the VM runs; as the source has it unless told",
     OF(hot_plug)},
    {.name = "os",
     .kind = VF_MAPPING_TEXT,
     .help = "row of the table of guest operating systems",
     .is_valid = vf_name_is_subdomain,
     .expected = "a name of a row, such as rhel9",
     OF(os)},
    {.name = "osTable",
     .kind = VF_MAPPING_DOCUMENT,
     .help = "YAML text of a table of guest operating systems, instead of the one built in",
     OF(os_table)},
    {.name = "osTableFile",
     .kind = VF_MAPPING_TEXT,
     .help = "the file it is in, seen from that of the mapping",
     OF(os_table_file)},
    {.name = "template",
     .kind = VF_MAPPING_DOCUMENT,
     .help = "YAML text of a VirtualMachine whose fields are merged under what is mapped",
     OF(template_text)},
    {.name = "templateName",
     .kind = VF_MAPPING_TEXT,
     .help = "what messages call it",
     OF(template_name)},
    {.name = "templateFile",
     .kind = VF_MAPPING_TEXT,
     .help = "the file it is in, seen from that of the mapping",
     OF(template_file)},
    {.name = "osTemplates",
     .kind = VF_MAPPING_PAIRS,
     .help = "YAML texts of the templates that rows of the table name, by their file names",
     .is_valid_key = vf_mapping_is_file_name,
     .expected = "a file's name without folders",
     LIST_OF(os_templates)},
    {.name = "preference",
     .kind = VF_MAPPING_TEXT,
     .help = "auto, by the guest operating system; or [KIND/]NAME of a preference",
     .is_valid = vf_mapping_is_kind_name,
     .expected = a_kind_name,
     OF(preference)},
    {.name = "instancetype",
     .kind = VF_MAPPING_TEXT,
     .help = "auto, by CPUs and memory; or [KIND/]NAME of an instance type, whose CPUs and memory "
             "the VM has then",
     .is_valid = vf_mapping_is_kind_name,
     .expected = a_kind_name,
     OF(instancetype)},
    {.name = "timezone",
     .kind = VF_MAPPING_TEXT,
     .help = "that the hardware clock of a Windows guest shows; UTC unless told",
     .is_valid = vf_mapping_is_timezone,
     .expected = "a time zone such as Europe/Zurich",
     OF(timezone)},
    {.name = "tpm",
     .kind = VF_MAPPING_TRISTATE,
     .help = "a TPM that keeps its content; as the source has it unless told",
     OF(tpm)},
    {.name = "persistentEfi",
     .kind = VF_MAPPING_TRISTATE,
     .help = "keep the firmware's variables; as the source has it unless told",
     OF(persistent_efi)},
    {.name = "secureBoot",
     .kind = VF_MAPPING_TRISTATE,
     .help = "start only what is signed, of a VM that boots by EFI; as the source has it unless "
             "told",
     OF(secure_boot)},
    {.name = "diskBus",
     .kind = VF_MAPPING_WORD,
     .help = "that the guest finds its disks on; by the guest operating system unless told",
     .choices = disk_buses,
     OF(disk_bus)},
    {.name = "storageClass",
     .kind = VF_MAPPING_TEXT,
     .help = "of claims that no rule tells of; the cluster's default unless told",
     .is_valid = vf_name_is_subdomain,
     .expected = a_class,
     OF(storage_class)},
    {.name = "volumeMode",
     .kind = VF_MAPPING_WORD,
     .help = "of claims that no rule tells of; what the storage prefers unless told",
     .choices = volume_modes,
     OF(volume_mode)},
    {.name = "accessMode",
     .kind = VF_MAPPING_WORD,
     .help = "of claims that no rule tells of; what the storage prefers unless told",
     .choices = access_modes,
     OF(access_mode)},
    {.name = "storage",
     .kind = VF_MAPPING_LIST,
     .help = "storage by datastore; the first that matches counts",
     LIST_OF(storage),
     .entries = &storage_entry},
    {.name = "disks",
     .kind = VF_MAPPING_LIST,
     .help = "what is told of single disks; one rule a disk",
     LIST_OF(disks),
     .entries = &disk_entry},
    {.name = "rdm",
     .kind = VF_MAPPING_CHOICE,
     .help = "what becomes of raw device mappings: ask refuses them, copy takes the content, lun "
             "attaches the claim of the disk's rule, ignore leaves them out",
     .choices = rdms,
     .has_unset = true,
     OF(rdm)},
    {.name = "cdroms",
     .kind = VF_MAPPING_CHOICE,
     .help = "what becomes of CD-ROM drives: drop, keep them empty, or keep them with the claims "
             "that isos names",
     .choices = cdroms,
     OF(cdroms)},
    {.name = "isos",
     .kind = VF_MAPPING_LIST,
     .help = "claims that hold what is in CD-ROM drives",
     LIST_OF(isos),
     .entries = &iso_entry},
    {.name = "nicModel",
     .kind = VF_MAPPING_WORD,
     .help = "of the NICs; by the guest operating system unless told",
     .choices = nic_models,
     OF(nic_model)},
    {.name = "networks",
     .kind = VF_MAPPING_LIST,
     .help = "where NICs are attached to",
     .offset = offsetof(struct vf_mapping, networks.rules),
     .n_offset = offsetof(struct vf_mapping, networks.n_rules),
     .entries = &network_entry},
    {.name = "addresses",
     .kind = VF_MAPPING_CHOICE,
     .help = "static addresses of the guest: ignore notes them, cloud-init hands them over",
     .choices = addresses,
     OF(addresses)},
    {.name = "labels",
     .kind = VF_MAPPING_PAIRS,
     .help = "labels of the VirtualMachine",
     .is_valid_key = vf_mapping_is_own_key,
     .is_valid = vf_mapping_is_label_value,
     .expected = "a label that is none of vmferry's own",
     LIST_OF(labels)},
    {.name = "annotations",
     .kind = VF_MAPPING_PAIRS,
     .help = "annotations of the VirtualMachine",
     .is_valid_key = vf_mapping_is_own_key,
     .expected = "an annotation that is none of vmferry's own",
     LIST_OF(annotations)},
    {.name = "noTags",
     .kind = VF_MAPPING_FLAG,
     .help = "tags and custom attributes become no labels",
     OF(no_tags)},
};

const struct vf_mapping_fields vf_mapping_fields = {fields, COUNT(fields),
                                                    sizeof(struct vf_mapping)};

const struct vf_mapping_field *vf_mapping_field_find(const struct vf_mapping_fields *of_struct,
                                                     const char *name)
{
    for (size_t i = 0; i < of_struct->n_fields; i++) {
        if (strcmp(of_struct->fields[i].name, name) == 0) {
            return &of_struct->fields[i];
        }
    }
    return NULL;
}

void *vf_mapping_items(const struct vf_mapping_field *f, const void *base)
{
    void *items;
    memcpy(&items, (const char *)base + f->offset, sizeof items);
    return items;
}

void vf_mapping_set_items(const struct vf_mapping_field *f, void *base, void *items)
{
    memcpy((char *)base + f->offset, &items, sizeof items);
}
