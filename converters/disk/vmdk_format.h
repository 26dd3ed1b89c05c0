/* On-disk constants of VMDK. All integers little-endian, unaligned; a sector is 512 bytes.
 *
 * Sources: VMware "Virtual Disk Format 5.0" technical note; vmware/open-vmdk vmdk/vmware_vmdk.h;
 * qemu block/vmdk.c (COWD, SESparse); libyal/libvmdk documentation.
 */
#ifndef CONVERTERS_DISK_VMDK_FORMAT_H
#define CONVERTERS_DISK_VMDK_FORMAT_H

#define VMDK_SECTOR_BYTES 512u

/* Sparse header, "KDMV" in the file; hosted sparse and streamOptimized. Offsets in bytes. */
#define VMDK_SPARSE_MAGIC        0x564d444bu
#define VMDK_SPARSE_HEADER_BYTES 512u
#define VMDK_SPARSE_VERSION      4
#define VMDK_SPARSE_FLAGS        8
#define VMDK_SPARSE_CAPACITY     12 /* u64, sectors */
#define VMDK_SPARSE_GRAIN_SIZE   20 /* u64, sectors */
#define VMDK_SPARSE_DESC_OFFSET  28 /* u64, sectors; 0: none */
#define VMDK_SPARSE_DESC_SIZE    36 /* u64, sectors */
#define VMDK_SPARSE_GTES_PER_GT  44 /* u32 */
#define VMDK_SPARSE_RGD_OFFSET   48 /* u64, sectors */
#define VMDK_SPARSE_GD_OFFSET    56 /* u64, sectors, or VMDK_GD_AT_END */
#define VMDK_SPARSE_OVERHEAD     64 /* u64, sectors before the first grain or marker */
#define VMDK_SPARSE_UNCLEAN      72 /* u8 */
#define VMDK_SPARSE_NEWLINES     73 /* "\n \r\n" */
#define VMDK_SPARSE_COMPRESSION  77 /* u16 */

#define VMDK_FLAG_NEWLINE_TEST (1u << 0)
#define VMDK_FLAG_REDUNDANT_GT (1u << 1)
#define VMDK_FLAG_ZERO_GRAIN   (1u << 2) /* a GTE of 1 reads as zero */
#define VMDK_FLAG_COMPRESSED   (1u << 16)
#define VMDK_FLAG_MARKERS      (1u << 17)

#define VMDK_GD_AT_END           0xffffffffffffffffull
#define VMDK_COMPRESSION_DEFLATE 1u
#define VMDK_NEWLINES            "\n \r\n"

/* Stream records: a grain is { u64 lba, u32 size > 0, data }, a marker { u64 value, u32 0,
 * u32 type }, each padded to a sector. */
#define VMDK_GRAIN_HEADER_BYTES 12u
#define VMDK_MARKER_EOS         0u
#define VMDK_MARKER_GRAIN_TABLE 1u
#define VMDK_MARKER_GRAIN_DIR   2u
#define VMDK_MARKER_FOOTER      3u
#define VMDK_MARKER_PROGRESS    4u

/* What we accept: larger is not a disk that any vSphere makes (62 TiB). */
#define VMDK_MAX_CAPACITY_BYTES   (64ull << 40)
#define VMDK_MAX_GRAIN_BYTES      (1u << 20)
#define VMDK_MAX_DESCRIPTOR_BYTES (1u << 20)
#define VMDK_MAX_DIRECTORY_BYTES  (16u << 20)

/* A grain table entry with VMDK_FLAG_ZERO_GRAIN. */
#define VMDK_GTE_ZERO 1u

/* COWD, "vmfsSparse": VMFS5 snapshots. Offsets in bytes; all fields u32. */
#define VMDK_COWD_MAGIC        0x44574f43u
#define VMDK_COWD_HEADER_BYTES 2048u
#define VMDK_COWD_VERSION      4
#define VMDK_COWD_FLAGS        8
#define VMDK_COWD_CAPACITY     12 /* sectors */
#define VMDK_COWD_GRAIN_SIZE   16 /* sectors */
#define VMDK_COWD_GD_OFFSET    20 /* sectors */
#define VMDK_COWD_GD_ENTRIES   24
#define VMDK_COWD_FREE_SECTOR  28
#define VMDK_COWD_GTES_PER_GT  4096u

/* SESparse: VMFS6 snapshots. Offsets in bytes; all fields u64; sizes and places in sectors. */
#define VMDK_SESPARSE_MAGIC          0x00000000cafebabeull
#define VMDK_SESPARSE_VERSION        0x0000000200000001ull
#define VMDK_SESPARSE_VOLATILE_MAGIC 0x00000000cafecafeull
#define VMDK_SESPARSE_HEADER_BYTES   512u
#define VMDK_SESPARSE_VERSION_AT     8
#define VMDK_SESPARSE_CAPACITY       16
#define VMDK_SESPARSE_GRAIN_SIZE     24 /* 8 */
#define VMDK_SESPARSE_TABLE_SIZE     32 /* 64 */
#define VMDK_SESPARSE_FLAGS          40
#define VMDK_SESPARSE_RESERVED       48 /* four */
#define VMDK_SESPARSE_VOLATILE       80 /* place, size; so do all that follow */
#define VMDK_SESPARSE_JOURNAL_HEADER 96
#define VMDK_SESPARSE_JOURNAL        112
#define VMDK_SESPARSE_GRAIN_DIR      128
#define VMDK_SESPARSE_GRAIN_TABLES   144
#define VMDK_SESPARSE_FREE_BITMAP    160
#define VMDK_SESPARSE_BACKMAP        176
#define VMDK_SESPARSE_GRAINS         192
/* In the volatile header: the journal must be replayed. */
#define VMDK_SESPARSE_VOLATILE_REPLAY 24
#define VMDK_SESPARSE_GRAIN_SECTORS   8u
#define VMDK_SESPARSE_TABLE_SECTORS   64u
#define VMDK_SESPARSE_GTES_PER_GT     4096u
#define VMDK_SESPARSE_GDE_MASK        0xffffffff00000000ull
#define VMDK_SESPARSE_GDE_ALLOCATED   0x1000000000000000ull
#define VMDK_SESPARSE_GTE_MASK        0xf000000000000000ull
#define VMDK_SESPARSE_GTE_UNMAPPED    0x1000000000000000ull
#define VMDK_SESPARSE_GTE_ZERO        0x2000000000000000ull
#define VMDK_SESPARSE_GTE_ALLOCATED   0x3000000000000000ull

/* Descriptor text. */
#define VMDK_DESCRIPTOR_SIGNATURE "# Disk DescriptorFile"
#define VMDK_CID_NONE             0xffffffffu

#endif
