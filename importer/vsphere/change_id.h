/* Change IDs: the name that vSphere gives to a state of a tracked disk.
 *
 * "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81": what stands before the last '/' names the
 * tracking itself, which starts anew when it is reset; the number counts the disk's states in it.
 * The API calls the whole opaque, so the first part is only ever compared, byte for byte: an
 * unknown form of it is at worst a full copy too many. No network here.
 */
#ifndef IMPORTER_VSPHERE_CHANGE_ID_H
#define IMPORTER_VSPHERE_CHANGE_ID_H

#include <stdint.h>

#include <vmferry/error.h>

/* In the place of a change ID: every area that is allocated. No state of a disk has this name. */
#define VF_CHANGE_ID_ALLOCATED "*"

/* Longest name of a tracking, in bytes; vSphere's is 47 long. */
#define VF_CHANGE_ID_MAX_TRACKING 127

struct vf_change_id {
    char tracking[VF_CHANGE_ID_MAX_TRACKING + 1];
    uint64_t sequence;
};

/* VF_INVALID for NULL, for what has no '/' with a decimal number of 64 bits behind it, for an empty
 * or overlong first part, for bytes other than printable ASCII, and for "*". */
int vf_change_id_parse(const char *text, struct vf_change_id *ret, struct vf_error **err);

/* What a later look at a disk shows, against one before. */
enum vf_change_order {
    VF_CHANGE_SAME,
    VF_CHANGE_LATER,
    VF_CHANGE_EARLIER, /* the disk was taken back: a snapshot was reverted to */
    VF_CHANGE_FOREIGN, /* another tracking: it was reset, or this is another disk */
};

/* Of `now` as seen from `then`. Only for VF_CHANGE_SAME and VF_CHANGE_LATER can what changed
 * between the two be asked for. */
enum vf_change_order vf_change_id_compare(const struct vf_change_id *then,
                                          const struct vf_change_id *now);

#endif
