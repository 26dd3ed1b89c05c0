/* The formats that vmferry writes. */
#ifndef CONVERTERS_DISK_IMAGE_FORMAT_H
#define CONVERTERS_DISK_IMAGE_FORMAT_H

enum vf_format { VF_FORMAT_AUTO, VF_FORMAT_RAW, VF_FORMAT_QCOW2 };

const char *vf_format_name(enum vf_format f);   /* "raw", "qcow2"; "auto" */
const char *vf_format_suffix(enum vf_format f); /* ".img", ".qcow2" */

#endif
