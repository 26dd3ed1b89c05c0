/* What the parts of the OVF parser share. */
#ifndef CONVERTERS_VM_OVF_PARSER_H
#define CONVERTERS_VM_OVF_PARSER_H

#include <libxml/tree.h>

#include "converters/vm/ovf.h"

/* A Disk of the DiskSection. */
struct ovf_disk {
    char *id;
    char *file_href; /* NULL: empty */
    uint64_t capacity_bytes, populated_bytes;
    bool attached;
};

struct ovf_parser {
    xmlNode *envelope, *system, *hardware;
    char *configuration; /* of the deployment options; NULL: there are none */
    struct ovf_disk *disks;
    size_t n_disks;
    xmlNode **items; /* of the hardware section, as the configuration has it */
    int32_t *keys;   /* of the disk or NIC that each item became; -1: neither */
    size_t n_items;
    struct vf_ovf *out;
};

/* Attribute of OVF's own namespace or of none; heap, NULL when absent. */
char *ovf_attr(const xmlNode *n, const char *name);

/* Decimal digits with blanks around. */
bool ovf_parse_number(const char *s, uint64_t *ret);

/* Children of an Item, heap or in *ret: NULL, false or `otherwise` when absent. */
char *ovf_item_text(const xmlNode *item, const char *name);
bool ovf_item_number(const xmlNode *item, const char *name, uint64_t *ret);
int32_t ovf_item_small_number(const xmlNode *item, const char *name, int32_t otherwise);
char *ovf_item_instance(const xmlNode *item);
/* The item of that InstanceID; NULL: none. */
xmlNode **ovf_find_item(const struct ovf_parser *p, const char *instance);
enum vf_bus ovf_controller_bus(const xmlNode *controller);

/* ovf_devices.c, into p->out->vm: a drive; what has no counterpart in KubeVirt; reservation, limit
 * and shares in units of `unit`; the boot order, once all items are read. */
void ovf_add_cdrom(struct ovf_parser *p, const xmlNode *item);
void ovf_add_device(struct ovf_parser *p, const xmlNode *item, uint64_t type);
void ovf_parse_allocation(struct vf_vm_allocation *to, const xmlNode *item, uint64_t unit,
                          uint64_t normal_shares);
void ovf_parse_boot_order(struct ovf_parser *p);

/* Into p->out->vm: CPUs, memory, disks, NICs, firmware. */
int ovf_parse_hardware(struct ovf_parser *p, struct vf_error **err);

#endif
