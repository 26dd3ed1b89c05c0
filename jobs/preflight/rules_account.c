/* Rules of what the vSphere account may do. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/preflight/looks.h"
#include "jobs/preflight/rights.h"

/* "Datastore.Browse on datastore "a", "b"": where it is missing, appended; false: nowhere. */
static bool put_missing(const struct vf_check *c, const struct vf_right *r, struct vf_buf *b)
{
    const struct vf_source_facts *s = &c->facts->source;
    const struct vf_vm *vm = c->vm;
    size_t n = 0;
    if (!r->on_datastore) {
        if (vf_privileges_has(&s->privileges, vm->moref, r->name)) {
            return false;
        }
        vf_buf_printf(b, "%s%s", b->len ? ", " : "", r->name);
        return true;
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct vf_vm_disk *at = &vm->disks[i];
        const char *name = at->datastore ? at->datastore : at->datastore_moref;
        const struct vf_datastore *d = vf_datastore_find(s->datastores, s->n_datastores, at);
        bool before = false;
        for (size_t j = 0; j < i; j++) {
            before |= vf_datastore_has(at->datastore_moref, at->datastore, &vm->disks[j]);
        }
        if (!d || before || vf_privileges_has(&s->privileges, d->moref, r->name)) {
            continue;
        }
        if (n++) {
            vf_buf_printf(b, ", \"%s\"", name);
        } else {
            vf_buf_printf(b, "%s%s on datastore \"%s\"", b->len ? ", " : "", r->name, name);
        }
    }
    return n > 0;
}

static bool is_judged(const struct vf_check *c)
{
    return c->facts->source.known && c->facts->source.privileges_known && c->vm->moref;
}

static void check_must(const struct vf_check *c)
{
    struct vf_buf b;
    if (!is_judged(c)) {
        return;
    }
    vf_buf_init(&b, SIZE_MAX);
    for (const struct vf_right *r = vf_rights; r->name; r++) {
        if (vf_right_needed(r, c->options, c->vm) == VF_RIGHT_MUST) {
            put_missing(c, r, &b);
        }
    }
    if (b.len) {
        vf_found(c, NULL, "the account lacks %s", b.data);
    }
    vf_buf_release(&b);
}

static void check_useful(const struct vf_check *c)
{
    for (const struct vf_right *r = vf_rights; is_judged(c) && r->name; r++) {
        struct vf_buf b;
        vf_buf_init(&b, SIZE_MAX);
        if (vf_right_needed(r, c->options, c->vm) == VF_RIGHT_USEFUL && put_missing(c, r, &b)) {
            vf_found(c, NULL, "the account lacks %s: %s", b.data, r->loss);
        }
        vf_buf_release(&b);
    }
}

/* What is missing for one transport; false: nothing, or it is not to be used. */
static bool find_lack(const struct vf_check *c, enum vf_transport_kind kind, struct vf_buf *b)
{
    for (const struct vf_right *r = vf_rights; r->name; r++) {
        if (r->transport == kind && vf_right_needed(r, c->options, c->vm) == VF_RIGHT_TRANSPORT) {
            put_missing(c, r, b);
        }
    }
    return b->len > 0;
}

/* Without the privileges of all transports nothing can be copied; without those of nfc a copy hangs
 * on what the datastore allows; without others' it is merely slower. */
static void check_transports(const struct vf_check *c)
{
    static const enum vf_transport_kind kinds[] = {VF_TRANSPORT_NFC, VF_TRANSPORT_HTTPS,
                                                   VF_TRANSPORT_VDDK};
    enum { N = sizeof kinds / sizeof kinds[0] };
    struct vf_buf lack[N];
    size_t n_used = 0, n_lacking = 0;
    if (!is_judged(c)) {
        return;
    }
    for (size_t i = 0; i < N; i++) {
        vf_buf_init(&lack[i], SIZE_MAX);
        n_used += vf_check_may_use(c->options, kinds[i]);
        n_lacking += find_lack(c, kinds[i], &lack[i]);
    }
    for (size_t i = 0; i < N; i++) {
        enum vf_severity severity = n_lacking == n_used            ? VF_CRITICAL
                                    : kinds[i] == VF_TRANSPORT_NFC ? VF_WARNING
                                                                   : VF_INFORMATION;
        if (lack[i].len) {
            vf_found_as(c, severity, NULL, NULL, "for transport %s the account lacks %s",
                        vf_transport_name(kinds[i]), lack[i].data);
        }
        vf_buf_release(&lack[i]);
    }
}

const struct vf_rule vf_rules_account[] = {
    {.id = "account.privilege",
     .severity = VF_CRITICAL,
     .area = VF_AREA_SOURCE,
     .looks_at = "the account's privileges on the VM",
     .message = "the account may not do what the copy begins or ends with",
     .action = "give the account a role with these privileges on the VM, or on a folder above it",
     .check = check_must},
    {.id = "account.privilege-useful",
     .severity = VF_WARNING,
     .area = VF_AREA_SOURCE,
     .looks_at = "the account's privileges on the VM",
     .message = "the copy goes without these privileges, but something is lost",
     .action = "give the account a role with these privileges on the VM, or on a folder above it",
     .check = check_useful},
    {.id = "account.privilege-transport",
     .severity = VF_CRITICAL,
     .area = VF_AREA_SOURCE,
     .looks_at = "the account's privileges on the VM and the datastores of its disks, by transport",
     .message = "a way to read the disks is barred; milder where another one is not",
     .action = "give the account a role with these privileges on the VM (or a folder above it), "
               "and on the datastore",
     .check = check_transports},
    {.id = NULL},
};
