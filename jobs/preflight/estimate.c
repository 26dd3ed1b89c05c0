#include "jobs/preflight/estimate.h"

#include <string.h>

#include "jobs/preflight/rights.h"

#define MIB (1024.0 * 1024.0)

/* What is usual, where nothing was measured. An NFC stream is slow because the host compresses it:
 * 18.8 to 29.3 MB/s were published, for each disk. Of /folder 730 Mb/s over 8 connections; of VDDK
 * 141 to 145 MB/s a disk. */
#define USUAL_NFC   (23.0 * MIB)
#define USUAL_HTTPS (87.0 * MIB)
#define USUAL_VDDK  (135.0 * MIB)

#define USUAL_PARALLEL_DISKS 4u

/* Of a cutover beside the copy: the guest's shutdown, a snapshot made and removed, the conversion,
 * the start of the new VM. */
#define CUTOVER_S 120.0
/* Assumed of a guest: so much of what it uses is written in a day, and the last round before the
 * cutover was ten minutes ago. */
#define CHANGE_OF_USED_A_DAY 0.05
#define LAST_ROUND_S         600.0
#define DAY_S                86400.0

static double usual_rate(enum vf_transport_kind kind)
{
    return kind == VF_TRANSPORT_HTTPS  ? USUAL_HTTPS
           : kind == VF_TRANSPORT_VDDK ? USUAL_VDDK
                                       : USUAL_NFC;
}

static bool is_of_vm(const struct vf_probe_result *r, const struct vf_vm *vm)
{
    if (r->host_moref && vm->host_moref && strcmp(r->host_moref, vm->host_moref) == 0) {
        return true;
    }
    for (size_t i = 0; r->datastore && i < vm->n_disks; i++) {
        if (vf_datastore_has(r->datastore_moref, r->datastore, &vm->disks[i])) {
            return true;
        }
    }
    return false;
}

/* Of the VM's own host or datastore, else of all that were measured; 0: none. */
static double measured_rate(const struct vf_path_facts *path, const struct vf_vm *vm,
                            enum vf_transport_kind kind)
{
    double own = 0, all = 0;
    size_t n_own = 0, n_all = 0;
    for (size_t i = 0; path && i < path->n_results; i++) {
        const struct vf_probe_result *r = &path->results[i];
        if (r->transport == kind && r->failure == VF_PROBE_GOOD && r->bytes_per_s > 0) {
            all += r->bytes_per_s;
            n_all++;
            if (is_of_vm(r, vm)) {
                own += r->bytes_per_s;
                n_own++;
            }
        }
    }
    return n_own ? own / (double)n_own : n_all ? all / (double)n_all : 0;
}

/* On its host, or its datastores; that a disk of a VM which is off can be read says nothing of one
 * that runs. */
static bool was_good(const struct vf_path_facts *path, const struct vf_vm *vm,
                     enum vf_transport_kind kind)
{
    bool good = false;
    for (size_t i = 0; path && i < path->n_results; i++) {
        const struct vf_probe_result *r = &path->results[i];
        if (r->transport != kind || !is_of_vm(r, vm) || r->failure == VF_PROBE_NOT_TRIED) {
            continue;
        }
        if (r->failure != VF_PROBE_GOOD || (vm->power == VF_POWER_ON && !r->running)) {
            return false;
        }
        good = true;
    }
    return good;
}

enum vf_transport_kind vf_estimate_transport(const struct vf_check_options *options,
                                             const struct vf_vm *vm,
                                             const struct vf_path_facts *path)
{
    static const enum vf_transport_kind preferred[] = {VF_TRANSPORT_VDDK, VF_TRANSPORT_HTTPS};
    if (options->warm && options->transport.kind != VF_TRANSPORT_AUTO) {
        return options->transport.kind == VF_TRANSPORT_CDI ? VF_TRANSPORT_VDDK
                                                           : options->transport.kind;
    }
    for (size_t i = 0; i < sizeof preferred / sizeof preferred[0]; i++) {
        if (vf_check_may_use(options, preferred[i]) && was_good(path, vm, preferred[i])) {
            return preferred[i];
        }
    }
    return VF_TRANSPORT_NFC;
}

static uint64_t used_bytes(const struct vf_vm_disk *d)
{
    return d->used_bytes && d->used_bytes < d->capacity_bytes ? d->used_bytes : d->capacity_bytes;
}

void vf_estimate_copy(const struct vf_check_options *options, const struct vf_vm *vm,
                      const struct vf_path_facts *path, struct vf_estimate *ret)
{
    enum vf_transport_kind kind = vf_estimate_transport(options, vm, path);
    unsigned parallel = options->import ? options->import->parallel_disks : 0;
    uint64_t largest = 0;
    size_t at_once = parallel ? parallel : USUAL_PARALLEL_DISKS;
    *ret = (struct vf_estimate){0};
    for (size_t i = 0; i < vm->n_disks; i++) {
        uint64_t used = used_bytes(&vm->disks[i]);
        largest = used > largest ? used : largest;
        ret->bytes = ret->bytes > UINT64_MAX - used ? UINT64_MAX : ret->bytes + used;
    }
    double one = measured_rate(path, vm, kind);
    ret->measured = one > 0;
    one = ret->measured ? one : usual_rate(kind);
    /* What one NFC stream brings is bounded by the host's compression, and several bring more; the
     * others fill what there is with one disk. */
    at_once = at_once < vm->n_disks ? at_once : vm->n_disks;
    at_once = kind == VF_TRANSPORT_NFC && at_once ? at_once : 1;
    ret->bytes_per_s = one * (double)at_once;
    ret->copy_s = (double)ret->bytes / ret->bytes_per_s;
    if (ret->copy_s < (double)largest / one) {
        ret->copy_s = (double)largest / one;
    }
    ret->downtime_s = ret->copy_s;
    if (options->warm) {
        double changed = (double)ret->bytes * CHANGE_OF_USED_A_DAY * LAST_ROUND_S / DAY_S;
        /* By NFC the last round, too, reads the whole export. */
        ret->downtime_s =
            CUTOVER_S + (kind == VF_TRANSPORT_NFC ? ret->copy_s : changed / ret->bytes_per_s);
    }
}
