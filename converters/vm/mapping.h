/* How VMs become KubeVirt's: everything that a person may decide about it. Filled from options of
 * the command line, from a mapping file (YAML), or, one day, from a plan; all say the same things
 * by the same names, which are in one table (mapping_fields.c).
 *
 * Plain data, owned by the struct: vf_mapping_release. Zero is the default of everything.
 */
#ifndef CONVERTERS_VM_MAPPING_H
#define CONVERTERS_VM_MAPPING_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "converters/vm/network_map.h"
#include "importer/base/yaml_read.h"

enum vf_map_resources {
    VF_RESOURCES_CLUSTER, /* as the cluster does by itself; what is lost is a concern */
    VF_RESOURCES_SOURCE,  /* reservations, limits and shares become requests and limits */
};

enum vf_map_rdm {
    VF_RDM_UNSET,  /* of a disk: as for all of them; of all: as ASK */
    VF_RDM_ASK,    /* a critical finding: nobody decided */
    VF_RDM_COPY,   /* its content is copied; what a snapshot does not hold only from a VM that is
                      off */
    VF_RDM_LUN,    /* the disk is left out of the copy; the VM gets the claim that `claim` of the
                      disk names, as a LUN */
    VF_RDM_IGNORE, /* left out */
};

enum vf_map_cdrom {
    VF_CDROMS_DROP,  /* a concern names each ISO */
    VF_CDROMS_EMPTY, /* the drives are kept, without what is in them */
    VF_CDROMS_KEEP,  /* a drive with an ISO gets the claim that `isos` names for it; others as EMPTY
                      */
};

enum vf_map_addresses {
    VF_ADDRESSES_IGNORE,     /* noted as annotations, and that is all */
    VF_ADDRESSES_CLOUD_INIT, /* static ones are given as cloud-init network data */
};

/* Datastore to storage; the first rule that matches a disk's datastore counts. */
struct vf_storage_rule {
    char *datastore;     /* name or fnmatch(3) pattern; "*": all */
    char *storage_class; /* NULL: the cluster's default */
    char *volume_mode;   /* "Block", "Filesystem"; NULL: as the storage prefers */
    char *access_mode;   /* "ReadWriteMany", ...; NULL: as the storage prefers */
};

/* What is told of one disk; NULL or 0: as for all. */
struct vf_disk_rule {
    char *disk; /* number from 0 as in disk-N, label ("Hard disk 2"), file or backing UUID */
    char *bus;  /* "virtio", "sata", "scsi" */
    char *storage_class, *volume_mode, *access_mode;
    char *claim;   /* one that is there: shared disk of another VM, or a LUN. Not copied */
    char *serial;  /* instead of the one it had */
    uint32_t boot; /* bootOrder, from 1 */
    enum vf_map_rdm rdm;
    enum vf_tristate io_thread; /* a dedicated I/O thread; UNSET: by size and number */
    enum vf_tristate skip;      /* left out; UNSET: no */
};

/* An ISO in a drive, and the claim (filled by whoever maps it) that holds it in the cluster. */
struct vf_iso_rule {
    char *file; /* "[datastore1] iso/x.iso", or fnmatch(3) pattern */
    char *claim;
};

struct vf_map_pair {
    char *key, *value;
};

struct vf_mapping {
    /* CPU and memory */
    char *cpu_model; /* "host-model", "host-passthrough", or a named one; NULL: the cluster's */
    enum vf_tristate nested; /* UNSET: as the source has it */
    bool dedicated_cpus;     /* dedicatedCpuPlacement, isolateEmulatorThread is a template's */
    bool numa;               /* guestMappingPassthrough; wants the one above and hugepages */
    char *hugepages;         /* "2Mi", "1Gi" */
    enum vf_map_resources resources;
    enum vf_tristate hot_plug; /* UNSET: as the source has it */
    /* guest */
    char *os;            /* row of the OS table, instead of the one the guest's ID leads to */
    char *os_table;      /* YAML text that replaces the one built in; NULL: that */
    char *template_text; /* YAML text of a VirtualMachine, merged under what is mapped */
    char *template_name; /* for messages: its file */
    /* Files that a mapping file names in the place of their texts, seen from its own folder:
     * whoever reads the one reads them, too, and takes the names away. */
    char *os_table_file, *template_file;
    struct vf_map_pair *os_templates; /* by the file names that the OS table has: their texts */
    size_t n_os_templates;
    char *preference;   /* "auto" by the OS table, NAME, or KIND/NAME; NULL: none */
    char *instancetype; /* the same; CPU and memory are its own then */
    char *timezone;     /* "Europe/Zurich" */
    enum vf_tristate tpm, persistent_efi, secure_boot; /* UNSET: as the source has it */
    /* disks */
    char *disk_bus;                                  /* NULL: by the OS table, else virtio */
    char *storage_class, *volume_mode, *access_mode; /* where no rule tells */
    struct vf_storage_rule *storage;
    size_t n_storage;
    struct vf_disk_rule *disks;
    size_t n_disks;
    enum vf_map_rdm rdm;
    enum vf_map_cdrom cdroms;
    struct vf_iso_rule *isos;
    size_t n_isos;
    /* NICs */
    char *nic_model; /* NULL: by the OS table, else virtio */
    struct vf_network_map networks;
    enum vf_map_addresses addresses;
    /* metadata */
    struct vf_map_pair *labels, *annotations;
    size_t n_labels, n_annotations;
    bool no_tags; /* tags and attributes stay annotations, and become no labels */
};

void vf_mapping_init(struct vf_mapping *m);
void vf_mapping_release(struct vf_mapping *m); /* an all-zero struct is fine */

/* Fill from a node (an object; names of fields as in mapping_fields.c, the same as of the options:
 * "disk-bus" is diskBus) of the YAML document `y`, or with NULL `y` of any tree. Unknown fields,
 * values of another kind, and what KubeVirt would not take are VF_INVALID with line, column, path
 * and what was expected.
 *
 * It is laid over what is there: fields that the node does not have stay as they are; entries of
 * lists go before those that are there, or, when one of the same disk, datastore, file or network
 * is, are laid over that one and take it along. After an error it is filled in part. */
int vf_mapping_parse(struct vf_mapping *m, const struct vf_yaml *y, const cJSON *node,
                     struct vf_error **err);

/* A mapping file, as above: one YAML document, apiVersion vmferry.io/v1alpha1, kind Mapping, the
 * fields in spec. `what` names it in errors. */
int vf_mapping_load(struct vf_mapping *m, const char *text, const char *what,
                    struct vf_error **err);

/* The whole as an object that vf_mapping_parse takes; defaults are left out. Caller deletes. */
cJSON *vf_mapping_encode(const struct vf_mapping *m);
/* The whole as the text of a file that vf_mapping_load takes. Caller frees. */
int vf_mapping_print(const struct vf_mapping *m, char **ret_text, struct vf_error **err);

/* `over` laid over `m`, as vf_mapping_parse does, with its errors. */
int vf_mapping_lay(struct vf_mapping *m, const struct vf_mapping *over, struct vf_error **err);

/* Whether what is told goes together, once all of it is there: VF_INVALID. */
int vf_mapping_check(const struct vf_mapping *m, struct vf_error **err);

/* Whether what is told goes together for that VM, its disks set aside or not: VF_INVALID for a disk
 * that two rules tell of by different names, of which only the first would count. `m` may be NULL.
 */
int vf_mapping_check_vm(const struct vf_mapping *m, const struct vf_vm *vm, struct vf_error **err);

/* "0:bus=sata,class=fast", "Hard disk 2:skip" as on the command line; added behind m->disks, or
 * laid over the rule of that disk. VF_INVALID. */
int vf_mapping_add_disk(struct vf_mapping *m, const char *text, struct vf_error **err);
/* "DATASTORE=[CLASS][,Block|Filesystem][,ReadWriteMany|...]"; the same with m->storage. */
int vf_mapping_add_storage(struct vf_mapping *m, const char *text, struct vf_error **err);

/* The rule of that disk of a VM; NULL: none. Borrowed. `m` may be NULL here and below. */
const struct vf_disk_rule *vf_mapping_rule_for(const struct vf_mapping *m,
                                               const struct vf_vm_disk *disk);
/* The same by its index in vm->disks. */
const struct vf_disk_rule *vf_mapping_disk_rule(const struct vf_mapping *m, const struct vf_vm *vm,
                                                size_t i);

/* Whether the rule tells of any disk of the VM, set aside or not. */
bool vf_disk_rule_matches(const struct vf_disk_rule *rule, const struct vf_vm *vm);

/* What holds for one disk, from its rule, the storage map, the whole; of a shared disk, for which
 * nothing else will do, Block and ReadWriteMany unless told. Members are borrowed; NULL: the
 * cluster's choice. */
struct vf_disk_storage {
    const char *storage_class, *volume_mode, *access_mode;
};
struct vf_disk_storage vf_mapping_storage_of(const struct vf_mapping *m, const struct vf_vm *vm,
                                             size_t i);

/* What becomes of a raw device mapping. */
enum vf_map_rdm vf_mapping_rdm_of(const struct vf_mapping *m, const struct vf_vm_disk *disk);

/* Is the disk copied? Not when its rule says skip or names a claim, nor a raw device mapping that
 * is a LUN or ignored. */
bool vf_mapping_copies_disk(const struct vf_mapping *m, const struct vf_vm *vm, size_t i);

/* Moves what is not copied from vm->disks to vm->other_disks, so that all that copies sees what it
 * copies and nothing else. For every view of a VM (live, and as a snapshot froze it) right after it
 * was fetched; once more does no harm. Rules find disks set aside too: by label, file and UUID, and
 * by number in the order of all of them (position). */
void vf_mapping_set_aside(const struct vf_mapping *m, struct vf_vm *vm);

#endif
