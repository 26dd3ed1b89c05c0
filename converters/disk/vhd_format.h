/* On-disk constants of VHD and VHDX, as far as they are looked at before qemu-img reads them. VHD
 * is big-endian, VHDX little-endian.
 * Sources: Microsoft "Virtual Hard Disk Image Format Specification" 1.0; [MS-VHDX] 2.
 */
#ifndef CONVERTERS_DISK_VHD_FORMAT_H
#define CONVERTERS_DISK_VHD_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "importer/base/bytes.h"

#define VHD_COOKIE            "conectix"
#define VHD_FOOTER_BYTES      512u
#define VHD_CURRENT_SIZE      48 /* u64, bytes */
#define VHD_TYPE              60 /* u32 */
#define VHD_CHECKSUM          64 /* u32 */
#define VHD_SAVED_STATE       84 /* u8 */
#define VHD_TYPE_FIXED        2u
#define VHD_TYPE_DYNAMIC      3u
#define VHD_TYPE_DIFFERENCING 4u

/* The footer's checksum is the complement of the sum of all its other bytes. */
static inline bool vf_vhd_checksum_is_good(const uint8_t footer[VHD_FOOTER_BYTES])
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < VHD_FOOTER_BYTES; i++) {
        sum += i >= VHD_CHECKSUM && i < VHD_CHECKSUM + 4 ? 0 : footer[i];
    }
    return be32_load(footer + VHD_CHECKSUM) == ~sum;
}

#define VHDX_REGION_TABLE_1   (192u << 10)
#define VHDX_REGION_TABLE_2   (256u << 10)
#define VHDX_REGION_SIGNATURE "regi"
#define VHDX_REGION_COUNT     8  /* u32 */
#define VHDX_REGION_ENTRIES   16 /* of 32 bytes: GUID, u64 offset, u32 length, u32 required */
#define VHDX_REGION_MAX       2047u
#define VHDX_TABLE_BYTES      65536u
#define VHDX_META_SIGNATURE   "metadata"
#define VHDX_META_COUNT       10 /* u16 */
#define VHDX_META_ENTRIES     32 /* of 32 bytes: GUID, u32 offset, u32 length, u32 flags, u32 0 */
#define VHDX_META_MAX         2047u
#define VHDX_ENTRY_BYTES      32u

/* GUIDs as they stand in the file. */
#define VHDX_GUID_METADATA    "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
#define VHDX_GUID_SIZE        "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
#define VHDX_GUID_PARAMETERS  "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
#define VHDX_PARAM_HAS_PARENT 2u

#endif
