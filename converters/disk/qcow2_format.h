/* On-disk constants of qcow2 version 3. All integers big-endian.
 * Source: QEMU docs/interop/qcow2.txt.
 */
#ifndef CONVERTERS_DISK_QCOW2_FORMAT_H
#define CONVERTERS_DISK_QCOW2_FORMAT_H

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */

/* Header fields, offsets in bytes. */
#define QCOW2_H_MAGIC             0
#define QCOW2_H_VERSION           4
#define QCOW2_H_BACKING_OFFSET    8   /* u64 */
#define QCOW2_H_BACKING_SIZE      16  /* u32 */
#define QCOW2_H_CLUSTER_BITS      20  /* u32 */
#define QCOW2_H_SIZE              24  /* u64, bytes */
#define QCOW2_H_CRYPT             32  /* u32 */
#define QCOW2_H_L1_SIZE           36  /* u32, entries */
#define QCOW2_H_L1_OFFSET         40  /* u64 */
#define QCOW2_H_REFTABLE_OFFSET   48  /* u64 */
#define QCOW2_H_REFTABLE_CLUSTERS 56  /* u32 */
#define QCOW2_H_N_SNAPSHOTS       60  /* u32 */
#define QCOW2_H_SNAPSHOTS_OFFSET  64  /* u64 */
#define QCOW2_H_INCOMPATIBLE      72  /* u64 */
#define QCOW2_H_COMPATIBLE        80  /* u64 */
#define QCOW2_H_AUTOCLEAR         88  /* u64 */
#define QCOW2_H_REFCOUNT_ORDER    96  /* u32; 4: 16 bits */
#define QCOW2_H_LENGTH            100 /* u32 */
#define QCOW2_HEADER_V2_BYTES     72u
#define QCOW2_HEADER_V3_BYTES     104u

#define QCOW2_OFFSET_MASK     0x00fffffffffffe00ull
#define QCOW2_FLAG_COPIED     (1ull << 63)
#define QCOW2_FLAG_COMPRESSED (1ull << 62)
#define QCOW2_FLAG_ZERO       1ull /* L2, version 3 */

/* What we write. */
#define QCOW2_CLUSTER_BITS        16u
#define QCOW2_CLUSTER_BYTES       (1u << QCOW2_CLUSTER_BITS)
#define QCOW2_L2_ENTRIES          (QCOW2_CLUSTER_BYTES / 8)
#define QCOW2_REFCOUNTS_PER_BLOCK (QCOW2_CLUSTER_BYTES / 2)
#define QCOW2_MAX_L1_BYTES        (32ull << 20) /* qemu opens no larger one; 2 PiB of disk */

#endif
