/* Names of what VMs stand in and on: folders, datacenters, hosts, networks, by reference. */
#ifndef IMPORTER_VSPHERE_PLACES_H
#define IMPORTER_VSPHERE_PLACES_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/base/buf.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/vm_draft.h"

struct vf_place {
    char *moref;
    char *name;
    char *parent;     /* moref; NULL at the top */
    char *key;        /* of a port group or opaque network, when it differs from the moref */
    uint32_t cpu_mhz; /* of a core of a host */
};

struct vf_places {
    struct vf_place *list;
    size_t n, cap;
    bool sorted;
    char *root; /* moref of the root folder, which no path shows */
};

void vf_places_init(struct vf_places *p, const char *root_moref);
void vf_places_clear(struct vf_places *p);
void vf_places_release(struct vf_places *p);

/* The propSets that fill this table; `hosts`: with what vf_places_resolve tells of hosts beside
 * their names. */
void vf_places_put_sets(struct vf_buf *specs, bool hosts);

/* Any object but a VirtualMachine. */
void vf_places_add(struct vf_places *p, const struct vf_ref *ref, const xmlNode *content);

/* Fill in the folder, host, cluster and networks of a VM. All places must be there. */
void vf_places_resolve(struct vf_places *p, struct vf_vm_draft *d);

#endif
