#include "converters/disk/image_format.h"

const char *vf_format_name(enum vf_format f)
{
    switch (f) {
    case VF_FORMAT_RAW:
        return "raw";
    case VF_FORMAT_QCOW2:
        return "qcow2";
    default:
        return "auto";
    }
}

const char *vf_format_suffix(enum vf_format f)
{
    return f == VF_FORMAT_QCOW2 ? ".qcow2" : ".img";
}
