#include "jobs/preflight/source_facts.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/vsphere/vim_names.h"
#include "jobs/preflight/rights.h"

void vf_source_facts_release(struct vf_source_facts *f)
{
    free(f->version);
    free(f->api_version);
    vf_hosts_free(f->hosts, f->n_hosts);
    vf_datastores_free(f->datastores, f->n_datastores);
    vf_privileges_release(&f->privileges);
    for (size_t i = 0; i < f->n_unknown; i++) {
        free(f->unknown[i]);
    }
    free(f->unknown);
    *f = (struct vf_source_facts){0};
}

/* A part that cannot be had: only a cancellation ends the whole. */
static int forgive(struct vf_source_facts *f, const char *what, int rc, struct vf_error **e,
                   struct vf_error **err)
{
    if (rc == VF_CANCELLED) {
        vf_error_move(err, e);
        return rc;
    }
    if (rc) {
        char *vf_autofree text = vf_error_format(*e);
        f->unknown = vf_xrealloc_array(f->unknown, f->n_unknown + 1, sizeof *f->unknown);
        f->unknown[f->n_unknown++] = vf_xasprintf("%s: %s", what, text);
        vf_error_clear(e);
    }
    return 0;
}

static bool is_used(const struct vf_vm *vms, size_t n, const struct vf_datastore *d)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < vms[i].n_disks; j++) {
            if (vf_datastore_has(d->moref, d->name, &vms[i].disks[j])) {
                return true;
            }
        }
    }
    return false;
}

/* The VMs, and the datastores that their disks are on. */
static size_t collect_entities(const struct vf_source_facts *f, const struct vf_vm *vms, size_t n,
                               struct vf_entity *entities)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (vms[i].moref) {
            entities[count++] = (struct vf_entity){VF_MO_VM, vms[i].moref};
        }
    }
    for (size_t i = 0; i < f->n_datastores; i++) {
        const struct vf_datastore *d = &f->datastores[i];
        if (is_used(vms, n, d)) {
            entities[count++] = (struct vf_entity){VF_MO_DATASTORE, d->moref};
        }
    }
    return count;
}

static bool is_among(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* All that any of the VMs needs, each once. */
static void collect_names(const struct vf_check_options *options, const struct vf_vm *vms, size_t n,
                          const char **names)
{
    size_t count = 0;
    for (const struct vf_right *r = vf_rights; r->name; r++) {
        for (size_t i = 0; i < n && !is_among(names, count, r->name); i++) {
            if (vf_right_needed(r, options, &vms[i]) != VF_RIGHT_NONE) {
                names[count++] = r->name;
                break;
            }
        }
    }
}

static int fetch_privileges(struct vf_vsphere *vs, const struct vf_check_options *options,
                            const struct vf_vm *vms, size_t n, struct vf_source_facts *f,
                            struct vf_error **err)
{
    size_t n_rights = 1;
    for (const struct vf_right *r = vf_rights; r->name; r++) {
        n_rights++;
    }
    const char **names = vf_xcalloc(n_rights, sizeof *names);
    struct vf_entity *entities = vf_xcalloc(n + f->n_datastores, sizeof *entities);
    collect_names(options, vms, n, names);
    size_t n_entities = collect_entities(f, vms, n, entities);
    int rc = 0;
    if (names[0] && n_entities > 0) {
        rc = vf_vsphere_fetch_privileges(vs, entities, n_entities, names, &f->privileges, err);
        f->privileges_known = rc == 0;
    }
    free(entities);
    free(names);
    return rc;
}

static int fetch_parts(struct vf_vsphere *vs, const struct vf_check_options *options,
                       const struct vf_vm *vms, size_t n, const struct vf_cancel *cancel,
                       struct vf_source_facts *f, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_vsphere_fetch_hosts(vs, &f->hosts, &f->n_hosts, &e);
    f->hosts_known = rc == 0;
    rc = forgive(f, "hosts and clusters", rc, &e, err);
    rc = rc ? rc : vf_cancel_check(cancel, err);
    if (rc == 0) {
        rc = vf_vsphere_fetch_datastores(vs, &f->datastores, &f->n_datastores, &e);
        f->datastores_known = rc == 0;
        rc = forgive(f, "datastores", rc, &e, err);
    }
    rc = rc ? rc : vf_cancel_check(cancel, err);
    if (rc == 0) {
        rc = vf_vsphere_fetch_clock_skew(vs, &f->clock_skew_ms, &e);
        f->clock_known = rc == 0;
        rc = forgive(f, "the server's clock", rc, &e, err);
    }
    if (rc == 0 && f->is_esxi) {
        rc = vf_vsphere_fetch_free_licence(vs, &f->free_licence, &e);
        rc = forgive(f, "the host's licence", rc, &e, err);
    }
    rc = rc ? rc : vf_cancel_check(cancel, err);
    /* A bare host cannot be asked, which source.esxi tells. */
    if (rc == 0 && !f->is_esxi) {
        rc = fetch_privileges(vs, options, vms, n, f, &e);
        rc = forgive(f, "the account's privileges", rc, &e, err);
    }
    return rc;
}

int vf_source_facts_fetch(struct vf_vsphere *vs, const struct vf_check_options *options,
                          const struct vf_vm *vms, size_t n, const struct vf_cancel *cancel,
                          struct vf_source_facts *ret, struct vf_error **err)
{
    struct vf_source_facts f = {.known = true,
                                .is_esxi = vf_vsphere_is_esxi(vs),
                                .version = vf_xstrdup(vf_vsphere_about_version(vs)),
                                .api_version = vf_xstrdup(vf_vsphere_api_version(vs))};
    int rc = fetch_parts(vs, options, vms, n, cancel, &f, err);
    if (rc) {
        vf_source_facts_release(&f);
        return rc;
    }
    *ret = f;
    return 0;
}
