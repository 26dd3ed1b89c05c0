/* The notes that people keep at a VM (its annotation), and a paragraph of ours in them. */
#ifndef IMPORTER_VSPHERE_NOTES_H
#define IMPORTER_VSPHERE_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>

#include "importer/vsphere/vsphere.h"

/* Longest text of ours, and longest notes that are touched. */
#define VF_NOTES_MAX_TEXT  4000u
#define VF_NOTES_MAX_BYTES ((size_t)256 << 10)

/* `notes` (NULL: none) with `text` as a marked paragraph before all else, in the place of any of
 * ours that stands in it; `text` NULL: without ours. Every byte that is not of a paragraph of ours
 * stays: taking out what was put in gives the notes as they were. Control characters of `text` but
 * for line ends become spaces. Heap. */
char *vf_notes_compose(const char *notes, const char *text);
/* Whether a paragraph of ours stands in them; NULL has none. */
bool vf_notes_have_own(const char *notes);

/* The same at a VM (ReconfigVM_Task); nothing is sent when nothing would change. Notes that a
 * person changes meanwhile are read again, never overwritten. Clean-up call. VF_RANGE for a text or
 * notes too long. Needs VirtualMachine.Config.Annotation. */
int vf_vm_replace_note(struct vf_vsphere *vs, const char *vm_moref, const char *text,
                       struct vf_error **err);

#endif
