/* The manifest of an OVF package (NAME.mf): a digest for each of its files, over the bytes as they
 * are stored. DMTF DSP0243 2.1.1, section 6.2: lines `SHA256(name)= hex`.
 */
#ifndef IMPORTER_SOURCE_OVF_MANIFEST_H
#define IMPORTER_SOURCE_OVF_MANIFEST_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#define VF_OVF_MANIFEST_MAX_BYTES   (4u << 20)
#define VF_OVF_DESCRIPTOR_MAX_BYTES (16u << 20)
#define VF_OVF_MAX_FILES            4096

enum vf_ovf_digest_kind { VF_OVF_SHA1, VF_OVF_SHA256, VF_OVF_SHA512 };
#define VF_OVF_DIGEST_KINDS 3
#define VF_OVF_ALL_DIGESTS  ((1u << VF_OVF_DIGEST_KINDS) - 1)

/* Digests of one file's bytes, of the kinds in `mask` (bits by kind). */
struct vf_ovf_digest {
    unsigned mask;
    EVP_MD_CTX *contexts[VF_OVF_DIGEST_KINDS]; /* until finished */
    uint8_t values[VF_OVF_DIGEST_KINDS][EVP_MAX_MD_SIZE];
};

int vf_ovf_digest_init(struct vf_ovf_digest *d, unsigned mask, struct vf_error **err);
int vf_ovf_digest_update(struct vf_ovf_digest *d, const void *data, size_t len,
                         struct vf_error **err);
int vf_ovf_digest_finish(struct vf_ovf_digest *d, struct vf_error **err); /* values are set */
void vf_ovf_digest_release(struct vf_ovf_digest *d); /* an all-zero struct is fine */

struct vf_ovf_manifest_entry {
    char *name;
    enum vf_ovf_digest_kind kind;
    uint8_t value[EVP_MAX_MD_SIZE];
    bool checked; /* a file of that name was compared and agreed */
};

struct vf_ovf_manifest {
    struct vf_ovf_manifest_entry *entries;
    size_t n_entries;
};

/* Blanks around the parts, `SHA-256`, capitals and CR LF are taken. VF_INVALID with the line for
 * anything else, for a name twice and for a name that vf_ovf_name_check refuses; VF_UNSUPPORTED for
 * another algorithm. `what` names the manifest in errors. */
int vf_ovf_manifest_parse(const char *data, size_t len, const char *what,
                          struct vf_ovf_manifest *ret_manifest, struct vf_error **err);
void vf_ovf_manifest_release(struct vf_ovf_manifest *m); /* an all-zero struct is fine */

/* Bit of the digest kind that the manifest gives for the file; 0 when it does not name it. */
unsigned vf_ovf_manifest_mask(const struct vf_ovf_manifest *m, const char *name);

/* Compare a finished digest of the whole file with what the manifest says. A file that it does not
 * name passes. VF_INVALID names the file, what was expected and what was got. */
int vf_ovf_manifest_check(struct vf_ovf_manifest *m, const char *name,
                          const struct vf_ovf_digest *d, struct vf_error **err);

/* VF_MISSING for the first entry that no file was compared with. */
int vf_ovf_manifest_check_all(const struct vf_ovf_manifest *m, struct vf_error **err);

/* A name inside a package: relative, no "..", no backslash, no control character, UTF-8, at most
 * 1024 bytes. VF_INVALID. */
int vf_ovf_name_check(const char *name, struct vf_error **err);

/* The name without leading "./"; borrowed. */
const char *vf_ovf_name_trim(const char *name);

bool vf_ovf_name_has_suffix(const char *name, const char *suffix); /* capitals do not matter */

#endif
