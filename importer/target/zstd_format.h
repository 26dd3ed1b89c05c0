/* The zstd frame (RFC 8878, section 3.1.1), as far as it is written here rather than by libzstd. */
#ifndef IMPORTER_TARGET_ZSTD_FORMAT_H
#define IMPORTER_TARGET_ZSTD_FORMAT_H

#define ZSTD_FORMAT_MAGIC 0xFD2FB528u

/* Frame_Header_Descriptor: Frame_Content_Size of 8 bytes, Content_Checksum. */
#define ZSTD_FORMAT_FCS_8_BYTES (3u << 6)
#define ZSTD_FORMAT_CHECKSUM    (1u << 2)
/* Window_Descriptor without mantissa. */
#define ZSTD_FORMAT_WINDOW(log) (((log)-10u) << 3)

#define ZSTD_FORMAT_HEADER_BYTES 14 /* magic, descriptor, window, content size */
/* Of a frame without content size, as libzstd begins it. */
#define ZSTD_FORMAT_BARE_HEADER_BYTES 6

/* Block_Header, 3 bytes: Last_Block, Block_Type, Block_Size. */
#define ZSTD_FORMAT_BLOCK_HEADER(last, type, size) ((unsigned)(last) | (type) << 1 | (size) << 3)
#define ZSTD_FORMAT_BLOCK_RAW                      0u
#define ZSTD_FORMAT_BLOCK_RLE                      1u
#define ZSTD_FORMAT_BLOCK_COMPRESSED               2u
#define ZSTD_FORMAT_BLOCK_MAX_BYTES                (128u << 10)

#endif
