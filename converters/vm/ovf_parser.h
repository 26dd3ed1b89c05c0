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
    size_t n_items;
    struct vf_ovf *out;
};

/* Attribute of OVF's own namespace or of none; heap, NULL when absent. */
char *ovf_attr(const xmlNode *n, const char *name);

/* Decimal digits with blanks around. */
bool ovf_parse_number(const char *s, uint64_t *ret);

/* Into p->out->vm: CPUs, memory, disks, NICs, firmware. */
int ovf_parse_hardware(struct ovf_parser *p, struct vf_error **err);

#endif
