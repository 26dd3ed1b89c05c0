#include "converters/disk/qemu_img.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/disk/mapped_disk.h"
#include "converters/disk/qcow2_disk.h"
#include "converters/disk/qcow2_format.h"
#include "converters/disk/vhd_format.h"
#include "importer/base/file_io.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/proc.h"

#define INFO_TIMEOUT_MS 60000

bool vf_qemu_img_covers(enum vf_image_kind kind)
{
    return kind == VF_IMAGE_QCOW2 || kind == VF_IMAGE_VHD || kind == VF_IMAGE_VHDX ||
           kind == VF_IMAGE_VDI;
}

static const char *driver_name(enum vf_image_kind kind)
{
    switch (kind) {
    case VF_IMAGE_QCOW2:
        return "qcow2";
    case VF_IMAGE_VHD:
        return "vpc";
    case VF_IMAGE_VHDX:
        return "vhdx";
    case VF_IMAGE_VDI:
        return "vdi";
    default:
        return NULL;
    }
}

/* --- what qemu-img would read wrongly without a word -------------------------------------------
 */

/* qemu-img opens a differencing VHD as a dynamic one, the parent's data as zero. */
static int check_vhd(int fd, const char *path, uint64_t *ret_size_bytes, struct vf_error **err)
{
    uint8_t footer[VHD_FOOTER_BYTES];
    uint64_t size;
    int rc = vf_file_size(fd, path, &size, err);
    if (rc == 0) {
        uint64_t at = size < sizeof footer ? 0 : size - sizeof footer;
        rc = vf_file_pread(fd, path, footer, sizeof footer, at, err);
    }
    if (rc) {
        return rc;
    }
    if (memcmp(footer, VHD_COOKIE, 8) != 0 || !vf_vhd_checksum_is_good(footer)) {
        return vf_error_set(err, VF_INVALID, "the VHD's footer is damaged or absent");
    }
    uint32_t type = be32_load(footer + VHD_TYPE);
    if (type == VHD_TYPE_DIFFERENCING) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "this is a differencing VHD, which needs a parent");
    }
    if (type != VHD_TYPE_FIXED && type != VHD_TYPE_DYNAMIC) {
        return vf_error_set(err, VF_UNSUPPORTED, "VHD type %" PRIu32 " is not known", type);
    }
    if (footer[VHD_SAVED_STATE] != 0) {
        return vf_error_set(err, VF_UNSUPPORTED, "the VHD is in a saved state");
    }
    if (type == VHD_TYPE_FIXED && be64_load(footer + VHD_CURRENT_SIZE) > size - sizeof footer) {
        return vf_error_set(err, VF_INVALID,
                            "the VHD is cut off: its footer says %" PRIu64 " bytes",
                            be64_load(footer + VHD_CURRENT_SIZE));
    }
    *ret_size_bytes = be64_load(footer + VHD_CURRENT_SIZE) & ~511ull; /* qemu-img drops the rest */
    return 0;
}

/* The entry with this GUID in a table of 32-byte entries; NULL when there is none. */
static const uint8_t *find_entry(const uint8_t *entries, unsigned n, const char *guid)
{
    for (unsigned i = 0; i < n; i++) {
        if (memcmp(entries + (size_t)i * VHDX_ENTRY_BYTES, guid, 16) == 0) {
            return entries + (size_t)i * VHDX_ENTRY_BYTES;
        }
    }
    return NULL;
}

/* Where the metadata region begins. */
static int find_metadata(int fd, const char *path, uint8_t *table, uint64_t *ret_offset,
                         struct vf_error **err)
{
    static const uint64_t places[] = {VHDX_REGION_TABLE_1, VHDX_REGION_TABLE_2};
    for (unsigned i = 0; i < 2; i++) {
        int rc = vf_file_pread(fd, path, table, VHDX_TABLE_BYTES, places[i], err);
        if (rc) {
            return rc;
        }
        uint32_t n = le32_load(table + VHDX_REGION_COUNT);
        if (memcmp(table, VHDX_REGION_SIGNATURE, 4) != 0 || n > VHDX_REGION_MAX) {
            continue;
        }
        const uint8_t *e = find_entry(table + VHDX_REGION_ENTRIES, n, VHDX_GUID_METADATA);
        if (e && le64_load(e + 16) <= INT64_MAX - VHDX_TABLE_BYTES) {
            *ret_offset = le64_load(e + 16);
            return 0;
        }
    }
    return vf_error_set(err, VF_INVALID, "the VHDX has no good region table");
}

static int read_item(int fd, const char *path, const uint8_t *table, uint64_t metadata_offset,
                     const char *guid, uint8_t item[8], struct vf_error **err)
{
    uint16_t n = le16_load(table + VHDX_META_COUNT);
    const uint8_t *e = memcmp(table, VHDX_META_SIGNATURE, 8) == 0 && n <= VHDX_META_MAX
                           ? find_entry(table + VHDX_META_ENTRIES, n, guid)
                           : NULL;
    uint64_t at;
    if (!e || le32_load(e + 20) < 8 ||
        __builtin_add_overflow(metadata_offset, (uint64_t)le32_load(e + 16), &at) ||
        at > INT64_MAX - 8) {
        return vf_error_set(err, VF_INVALID, "the VHDX lacks metadata that it must have");
    }
    return vf_file_pread(fd, path, item, 8, at, err);
}

/* The size by our own reading, to compare: qemu's driver counts in logical sectors. */
static int check_vhdx(int fd, const char *path, uint64_t *ret_size_bytes, struct vf_error **err)
{
    uint8_t *vf_autofree table = vf_xcalloc(1, VHDX_TABLE_BYTES);
    uint8_t item[8];
    uint64_t at = 0;
    int rc = find_metadata(fd, path, table, &at, err);
    if (rc == 0) {
        rc = vf_file_pread(fd, path, table, VHDX_TABLE_BYTES, at, err);
    }
    if (rc == 0) {
        rc = read_item(fd, path, table, at, VHDX_GUID_PARAMETERS, item, err);
    }
    if (rc == 0 && (le32_load(item + 4) & VHDX_PARAM_HAS_PARENT)) {
        rc = vf_error_set(err, VF_UNSUPPORTED, "this is a differencing VHDX, which needs a parent");
    }
    if (rc == 0) {
        rc = read_item(fd, path, table, at, VHDX_GUID_SIZE, item, err);
    }
    if (rc == 0) {
        *ret_size_bytes = le64_load(item);
    }
    return rc;
}

static int check_qcow2(int fd, const char *path, struct vf_error **err)
{
    uint8_t head[QCOW2_HEADER_V3_BYTES];
    struct vf_qcow2_header header;
    uint64_t size;
    int rc = vf_file_size(fd, path, &size, err);
    size_t n = rc == 0 && size < sizeof head ? (size_t)size : sizeof head;
    if (rc == 0) {
        rc = vf_file_pread(fd, path, head, n, 0, err);
    }
    return rc ? rc : vf_qcow2_header_parse(head, n, &header, err);
}

/* *ret_expected: what the image itself says its size is; 0 when that is left to qemu-img. */
static int check_source(const char *path, enum vf_image_kind kind, uint64_t *ret_expected,
                        struct vf_error **err)
{
    *ret_expected = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    int rc = 0;
    if (kind == VF_IMAGE_VHD) {
        rc = check_vhd(fd, path, ret_expected, err);
    } else if (kind == VF_IMAGE_VHDX) {
        rc = check_vhdx(fd, path, ret_expected, err);
    } else if (kind == VF_IMAGE_QCOW2) {
        rc = check_qcow2(fd, path, err);
    }
    close(fd);
    return rc;
}

/* --- running it ------------------------------------------------------------------------------ */

/* The image as a "json:" name: format and protocol are fixed, whatever the path looks like. */
static char *source_name(const char *path, enum vf_image_kind kind)
{
    cJSON *tree = vf_json_new_object();
    vf_json_add_string(tree, "driver", driver_name(kind));
    if (kind == VF_IMAGE_VHD) {
        /* Else the size comes from a rounded geometry for some creators, and the end is cut. */
        vf_json_add_string(tree, "force_size_calc", "current_size");
    }
    cJSON *file = vf_json_add_object(tree, "file");
    vf_json_add_string(file, "driver", "file");
    vf_json_add_string(file, "filename", path);
    char *vf_autofree text = vf_json_print(tree, false);
    cJSON_Delete(tree);
    return vf_xasprintf("json:%s", text);
}

/* A status of failure says that the image is bad, or the target's disk full; qemu-img tells which
 * in words alone (LC_ALL is C). */
static int run(const char *const *argv, int64_t timeout_ms, const struct vf_cancel *cancel,
               char **ret_output, struct vf_error **err)
{
    struct vf_proc_options options = {
        .argv = argv,
        .timeout_ms = timeout_ms,
        .max_output_bytes = 1 << 20,
        .cancel = cancel,
    };
    struct vf_error *inner = NULL;
    int rc = vf_proc_run(&options, ret_output, &inner);
    if (rc == VF_INTERNAL) {
        const char *text = vf_error_message(inner);
        rc = strstr(text, "No space left on device") ? VF_SPACE : VF_INVALID;
        rc = vf_error_set(err, rc, "%s", text);
        vf_error_clear(&inner);
        return rc;
    }
    vf_error_move(err, &inner);
    return rc;
}

static int fetch_size(const char *name, const struct vf_cancel *cancel, uint64_t *ret_size_bytes,
                      struct vf_error **err)
{
    const char *argv[] = {"qemu-img", "info", "--output=json", name, NULL};
    char *vf_autofree output = NULL;
    cJSON *tree = NULL;
    int rc = run(argv, INFO_TIMEOUT_MS, cancel, &output, err);
    if (rc == 0) {
        rc = vf_json_parse(output, strlen(output), "the answer of qemu-img info", &tree, err);
    }
    if (rc == 0 && !vf_json_u64(tree, "virtual-size", ret_size_bytes)) {
        rc = vf_error_set(err, VF_INTERNAL, "qemu-img info gives no virtual size");
    }
    cJSON_Delete(tree);
    return rc;
}

static int check_and_size(const char *path, enum vf_image_kind kind, const char *name,
                          const struct vf_cancel *cancel, uint64_t *ret_size_bytes,
                          struct vf_error **err)
{
    uint64_t expected, size = 0;
    int rc = check_source(path, kind, &expected, err);
    if (rc == 0) {
        rc = fetch_size(name, cancel, &size, err);
    }
    if (rc) {
        return rc;
    }
    if (expected && expected != size) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "qemu-img takes the disk for %" PRIu64 " bytes, it says %" PRIu64, size,
                            expected);
    }
    *ret_size_bytes = size;
    return 0;
}

static int check_kind(const char *path, enum vf_image_kind kind, struct vf_error **err)
{
    return vf_qemu_img_covers(kind)
               ? 0
               : vf_error_set(err, VF_UNSUPPORTED, "\"%s\" (%s) is not left to qemu-img", path,
                              vf_image_kind_name(kind));
}

int vf_qemu_img_size(const char *path, enum vf_image_kind kind, const struct vf_cancel *cancel,
                     uint64_t *ret_size_bytes, struct vf_error **err)
{
    int rc = check_kind(path, kind, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree name = source_name(path, kind);
    rc = check_and_size(path, kind, name, cancel, ret_size_bytes, err);
    return rc ? vf_error_wrap(err, rc, "\"%s\"", path) : 0;
}

/* qemu-img leaves the data in the page cache. */
static int make_durable(const char *path, struct vf_error **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    int rc = fsync(fd) == 0 ? 0 : vf_error_set_errno(err, errno, "cannot sync \"%s\"", path);
    close(fd);
    return rc;
}

int vf_qemu_img_convert(const char *source, enum vf_image_kind kind, const char *target,
                        enum vf_format format, const struct vf_cancel *cancel,
                        struct vf_error **err)
{
    uint64_t size;
    int rc = check_kind(source, kind, err);
    if (rc) {
        return rc;
    }
    if (format != VF_FORMAT_RAW && format != VF_FORMAT_QCOW2) {
        return vf_error_set(err, VF_INVALID, "a target format must be named");
    }
    char *vf_autofree name = source_name(source, kind);
    /* With a slash in front of any colon the name cannot be taken for a protocol. */
    char *vf_autofree out = vf_xasprintf("%s%s", target[0] == '/' ? "" : "./", target);
    const char *argv[] = {"qemu-img", "convert", "-O", format == VF_FORMAT_RAW ? "raw" : "qcow2",
                          name,       out,       NULL};
    rc = check_and_size(source, kind, name, cancel, &size, err);
    if (rc) {
        return vf_error_wrap(err, rc, "\"%s\"", source);
    }
    if (unlink(target) != 0 && errno != ENOENT) {
        return vf_error_set_errno(err, errno, "cannot replace \"%s\"", target);
    }
    rc = run(argv, 0, cancel, NULL, err);
    if (rc == 0) {
        rc = make_durable(target, err);
    }
    if (rc) {
        unlink(target);
        return vf_error_wrap(err, rc, "\"%s\"", source);
    }
    return 0;
}

int vf_qemu_img_check(const char *path, const struct vf_cancel *cancel, struct vf_error **err)
{
    uint64_t unused;
    int rc = check_source(path, VF_IMAGE_QCOW2, &unused, err);
    if (rc) {
        return vf_error_wrap(err, rc, "\"%s\"", path);
    }
    char *vf_autofree name = source_name(path, VF_IMAGE_QCOW2);
    const char *argv[] = {"qemu-img", "check", name, NULL};
    rc = run(argv, 0, cancel, NULL, err); /* status 2 and 3: errors, leaks */
    return rc ? vf_error_wrap(err, rc, "qemu-img check of \"%s\"", path) : 0;
}
