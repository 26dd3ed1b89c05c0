/* Private to the rules: what several of them ask of a VM. */
#ifndef JOBS_PREFLIGHT_LOOKS_H
#define JOBS_PREFLIGHT_LOOKS_H

#include <stdbool.h>

#include "jobs/preflight/rule.h"

/* Is a snapshot made for the copy? Of a VM that runs, and by a warm migration of any. */
bool vf_check_takes_snapshot(const struct vf_check *c);

/* 'disk 1 ("Hard disk 2")', 'NIC 0 ("Network adapter 1")'. Heap. */
char *vf_check_disk_object(const struct vf_vm_disk *d);
char *vf_check_nic_object(const struct vf_vm *vm, size_t i);

/* Does the network map leave the NIC out? */
bool vf_check_ignores_nic(const struct vf_check *c, size_t i);

/* Does vSphere tell of its hardware at all? Not of a VM whose configuration cannot be read. */
bool vf_check_is_told(const struct vf_vm *vm);

/* The number behind "vmx-"; 0: not told. */
unsigned vf_check_hardware(const struct vf_vm *vm);

/* What a person decided; NULL: nothing. */
const struct vf_mapping *vf_check_mapping(const struct vf_check *c);

/* "s" behind anything but one. */
const char *vf_check_plural(size_t n);

#endif
