/* What preflight found out, for its rules to judge. Gathered once for all VMs (source_facts.c,
 * target_facts.c, path_facts.c): a few queries however many VMs there are.
 *
 * Each part says whether it is known; what is not known is not judged. Owned by the struct.
 */
#ifndef JOBS_PREFLIGHT_FACTS_H
#define JOBS_PREFLIGHT_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/vm.h>

#include "converters/vm/os_table.h"
#include "importer/kube/kubevirt_facts.h"
#include "importer/kube/target_facts.h"
#include "importer/vsphere/datastores.h"
#include "importer/vsphere/hosts.h"
#include "importer/vsphere/privileges.h"
#include "jobs/import.h"
#include "jobs/migration/transport.h"

enum vf_probe {
    VF_PROBE_NONE,  /* nothing but queries */
    VF_PROBE_LIGHT, /* names, ports, a range read, a lease of a VM that is off: leaves no trace; of
                       many VMs one for each host and datastore */
    VF_PROBE_FULL,  /* of a running VM a snapshot is taken, read by each transport, and removed */
};

struct vf_check_options {
    const struct vf_import_options *import; /* target, mapping, cluster */
    bool warm;
    bool allow_stun, hard_power_off; /* of a warm migration */
    struct vf_transport_options transport;
    enum vf_probe probe;
    unsigned probe_timeout_ms; /* of all probes together; 0: 20 s, with FULL 150 s */
};

struct vf_source_facts {
    bool known;
    bool is_esxi;
    char *version;                      /* "8.0.2" */
    bool hosts_known, datastores_known; /* what the account sees of them */
    struct vf_host *hosts;
    size_t n_hosts;
    struct vf_datastore *datastores;
    size_t n_datastores;
    bool privileges_known;
    struct vf_privileges privileges; /* of the account, on each VM and its datastores */
    bool clock_known;
    int64_t clock_skew_ms; /* the server's minus ours */
    char *api_version;     /* the one spoken, "8.0.2.0" */
    bool free_licence;     /* of an ESXi host, which lets nothing be changed then */
    char **unknown;        /* what could not be had, one line each */
    size_t n_unknown;
};

/* Why an attempt at something failed. */
enum vf_probe_failure {
    VF_PROBE_GOOD,
    VF_PROBE_NOT_TRIED,   /* no time, or nothing to try it with; `reason` says which */
    VF_PROBE_NAME,        /* a host's name is not known here */
    VF_PROBE_PORT,        /* it does not answer */
    VF_PROBE_CERTIFICATE, /* somebody else's, or not trusted */
    VF_PROBE_REFUSED,     /* vSphere, the datastore or the library does not do it */
};

/* One attempt at something real. */
struct vf_probe_result {
    enum vf_transport_kind transport; /* AUTO: not about a transport, but a host alone */
    char *vm;                         /* name; NULL: not of one VM */
    char *host_moref;                 /* NULL: not of one host */
    char *datastore;                  /* NULL: not of one datastore */
    char *datastore_moref;            /* NULL: not known */
    char *object;                     /* what a person looks for: "esx1:443", a datastore's name */
    enum vf_probe_failure failure;
    bool guessed;       /* that the copy goes to this host is known of its name in vCenter alone */
    bool running;       /* the VM, at that time */
    char *reason;       /* what happened; a person's words; NULL when good */
    char *hint;         /* what helps; NULL: nothing known */
    double bytes_per_s; /* measured; 0: not */
};

struct vf_path_facts {
    struct vf_probe_result *results;
    size_t n_results;
};

/* What several VMs may have in common, sorted by `key`, then by VM. */
struct vf_fact_key {
    const char *key; /* borrowed of the VM */
    size_t vm;       /* which of the VMs */
    size_t item;     /* which of its NICs or disks */
    bool aside;      /* a disk that is not copied */
};
struct vf_fact_keys {
    struct vf_fact_key *items;
    size_t n_items;
};

/* Of the folder that is the target. */
struct vf_folder_facts {
    bool known;
    char *path;
    char *trouble; /* why nothing can be written there; NULL: it can */
    bool has_free;
    uint64_t free_bytes; /* for this user, with what an earlier run left unfinished there */
};

struct vf_facts {
    const struct vf_vm *vms; /* borrowed */
    size_t n_vms;
    char **names;                 /* that they will have, one each (NULL: none can be found) */
    struct vf_os_table *os_table; /* as mapped; NULL: it cannot be read (mapping.invalid) */
    struct vf_fact_keys macs, disk_files; /* of all VMs, by vf_facts_index */
    struct vf_source_facts source;
    struct vf_path_facts path;
    struct vf_folder_facts folder;
    bool has_target; /* a cluster was asked; false: dir, or it could not be reached */
    struct vf_kubevirt_facts kubevirt;
    struct vf_target_facts target;
};

/* Fills macs, but for NICs that the map leaves out (NULL: none), and disk_files, once vms is there.
 */
void vf_facts_index(struct vf_facts *f, const struct vf_network_map *networks);
/* The first of *ret_n in a row with that key; NULL has none. Borrowed. */
const struct vf_fact_key *vf_fact_keys_find(const struct vf_fact_keys *keys, const char *key,
                                            size_t *ret_n);

void vf_facts_release(struct vf_facts *f); /* an all-zero struct is fine */

#endif
