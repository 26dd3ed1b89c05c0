#include "importer/source/ova.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/source/gunzip.h"
#include "importer/source/ovf_manifest.h"

#define INPUT_BYTES (256u << 10)

struct member {
    char *name;
    struct vf_ovf_digest digest; /* finished, unless it is the current one */
    bool own;                    /* manifest or certificate */
};

/* `raw` gives the member as stored, `lent` what the caller sees. */
struct member_stream {
    struct vf_stream base;
    struct vf_ova *ova;
};

struct vf_ova {
    struct vf_stream *in;
    char *name;
    struct archive *tar;
    uint8_t *input;                /* INPUT_BYTES */
    struct vf_error *stream_error; /* of `in`; libarchive only knows that it failed */
    int stream_code;

    struct member **members;
    size_t n_members;
    struct member *current; /* NULL: none is open */
    uint64_t size_bytes, position_bytes;
    const uint8_t *block; /* of libarchive, not yet handed out */
    size_t block_len;
    struct member_stream raw, lent;
    struct vf_stream *opened; /* over raw, under lent */

    struct vf_ovf_manifest manifest;
    bool has_manifest, has_certificate, has_descriptor, ended;
    int broken; /* what was refused once stays refused */
};

static la_ssize_t tar_read(struct archive *tar, void *opaque, const void **ret_data)
{
    struct vf_ova *ova = opaque;
    size_t n = 0;
    struct vf_error *err = NULL;
    int rc = ova->in->ops->read(ova->in, ova->input, INPUT_BYTES, &n, &err);
    if (rc) {
        ova->stream_code = rc;
        vf_error_move(&ova->stream_error, &err);
        archive_set_error(tar, EIO, "read error");
        return -1;
    }
    *ret_data = ova->input;
    return (la_ssize_t)n;
}

static int refuse(struct vf_ova *ova, struct vf_error **err)
{
    if (ova->stream_code) {
        vf_error_move(err, &ova->stream_error);
        return ova->stream_code;
    }
    const char *reason = archive_error_string(ova->tar);
    return vf_error_set(err, VF_INVALID,
                        ova->n_members ? "the archive is damaged: %s" : "not an OVA: %s",
                        reason ? reason : "no reason given");
}

static int fetch_block(struct vf_ova *ova, struct vf_error **err)
{
    const void *data;
    size_t len;
    la_int64_t offset;
    int rc = archive_read_data_block(ova->tar, &data, &len, &offset);
    if (rc == ARCHIVE_EOF) {
        len = 0;
        offset = (la_int64_t)ova->position_bytes;
    } else if (rc != ARCHIVE_OK) {
        return refuse(ova, err);
    }
    /* Only a sparse member jumps or ends early; the manifest's digest is not over its holes. */
    if ((uint64_t)offset != ova->position_bytes || len > ova->size_bytes - ova->position_bytes ||
        (rc == ARCHIVE_EOF && ova->position_bytes != ova->size_bytes)) {
        return vf_error_set(err, VF_UNSUPPORTED, "\"%s\" is stored sparse", ova->current->name);
    }
    ova->block = data;
    ova->block_len = len;
    ova->position_bytes += len;
    return vf_ovf_digest_update(&ova->current->digest, data, len, err);
}

static int raw_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                    struct vf_error **err)
{
    struct vf_ova *ova = ((struct member_stream *)s)->ova;
    while (ova->block_len == 0 && ova->position_bytes < ova->size_bytes) {
        int rc = fetch_block(ova, err);
        if (rc) {
            return rc;
        }
    }
    size_t n = ova->block_len < len_bytes ? ova->block_len : len_bytes;
    if (n > 0) {
        memcpy(buf, ova->block, n);
        ova->block += n;
        ova->block_len -= n;
    }
    *ret_n = n;
    return 0;
}

static int lent_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                     struct vf_error **err)
{
    struct vf_ova *ova = ((struct member_stream *)s)->ova;
    if (!ova->opened) {
        return vf_error_set(err, VF_INTERNAL, "a member of \"%s\" is read after its time",
                            ova->name);
    }
    return ova->opened->ops->read(ova->opened, buf, len_bytes, ret_n, err);
}

static void member_stream_free(struct vf_stream *s)
{
    (void)s; /* part of struct vf_ova */
}

static const struct vf_stream_ops raw_ops = {.read = raw_read, .free = member_stream_free};
static const struct vf_stream_ops lent_ops = {.read = lent_read, .free = member_stream_free};

int vf_ova_open(struct vf_stream *in, const char *name, struct vf_ova **ret_ova,
                struct vf_error **err)
{
    struct vf_ova *ova = vf_xcalloc(1, sizeof *ova);
    ova->name = vf_xstrdup(name);
    ova->input = vf_xcalloc(INPUT_BYTES, 1);
    ova->raw = (struct member_stream){.base = {.ops = &raw_ops}, .ova = ova};
    ova->lent = (struct member_stream){.base = {.ops = &lent_ops}, .ova = ova};
    /* What a gzip around the whole may blow up to is bounded member by member. */
    int rc = vf_gunzip_open(in, name, UINT64_MAX, &ova->in, err);
    if (rc == 0) {
        ova->tar = archive_read_new();
        if (!ova->tar || archive_read_support_format_tar(ova->tar) != ARCHIVE_OK) {
            rc = vf_error_set(err, VF_INTERNAL, "cannot start libarchive");
        } else if (archive_read_open2(ova->tar, ova, NULL, tar_read, NULL, NULL) != ARCHIVE_OK) {
            rc = refuse(ova, err);
        }
    }
    if (rc) {
        vf_ova_free(ova);
        return rc;
    }
    *ret_ova = ova;
    return 0;
}

void vf_ova_free(struct vf_ova *ova)
{
    if (!ova) {
        return;
    }
    vf_stream_free(ova->opened);
    archive_read_free(ova->tar);
    vf_stream_free(ova->in);
    for (size_t i = 0; i < ova->n_members; i++) {
        vf_ovf_digest_release(&ova->members[i]->digest);
        free(ova->members[i]->name);
        free(ova->members[i]);
    }
    free(ova->members);
    vf_ovf_manifest_release(&ova->manifest);
    vf_error_free(ova->stream_error);
    free(ova->input);
    free(ova->name);
    free(ova);
}

/* Hash what was left unread, and compare if the manifest is known already. */
static int close_member(struct vf_ova *ova, struct vf_error **err)
{
    struct member *m = ova->current;
    if (!m) {
        return 0;
    }
    vf_stream_free(ova->opened);
    ova->opened = NULL;
    int rc = 0;
    while (rc == 0 && ova->position_bytes < ova->size_bytes) {
        rc = fetch_block(ova, err);
    }
    if (rc == 0) {
        rc = vf_ovf_digest_finish(&m->digest, err);
    }
    if (rc == 0 && ova->has_manifest) {
        rc = vf_ovf_manifest_check(&ova->manifest, m->name, &m->digest, err);
    }
    ova->current = NULL;
    ova->block_len = 0;
    return rc;
}

static int check_entry(struct vf_ova *ova, struct archive_entry *entry, const char **ret_name,
                       struct vf_error **err)
{
    const char *name = archive_entry_pathname_utf8(entry);
    name = name ? name : archive_entry_pathname(entry);
    name = vf_ovf_name_trim(name ? name : "");
    int rc = vf_ovf_name_check(name, err);
    if (rc) {
        return rc;
    }
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is a link or device, not a file", name);
    }
    for (size_t i = 0; i < ova->n_members; i++) {
        if (strcmp(ova->members[i]->name, name) == 0) {
            return vf_error_set(err, VF_INVALID, "\"%s\" is in the archive twice", name);
        }
    }
    if (ova->n_members == VF_OVF_MAX_FILES) {
        return vf_error_set(err, VF_INVALID, "more than %d files", VF_OVF_MAX_FILES);
    }
    *ret_name = name;
    return 0;
}

static int open_entry(struct vf_ova *ova, struct archive_entry *entry, struct vf_error **err)
{
    const char *name = NULL;
    int rc = check_entry(ova, entry, &name, err);
    if (rc) {
        return rc;
    }
    /* Until the manifest is met nobody knows which digest it will ask for. */
    unsigned mask =
        ova->has_manifest ? vf_ovf_manifest_mask(&ova->manifest, name) : VF_OVF_ALL_DIGESTS;
    struct member *m = vf_xcalloc(1, sizeof *m);
    m->name = vf_xstrdup(name);
    ova->members = vf_xrealloc_array(ova->members, ova->n_members + 1, sizeof(struct member *));
    ova->members[ova->n_members++] = m;
    ova->current = m;
    ova->size_bytes = (uint64_t)archive_entry_size(entry);
    ova->position_bytes = 0;
    ova->block_len = 0;
    return vf_ovf_digest_init(&m->digest, mask, err);
}

/* Append the whole open member to `text`. */
static int read_text(struct vf_ova *ova, struct vf_stream *s, struct vf_buf *text,
                     struct vf_error **err)
{
    char chunk[16384];
    size_t n;
    do {
        int rc = s->ops->read(s, chunk, sizeof chunk, &n, err);
        if (rc) {
            return rc;
        }
        if (!vf_buf_append(text, chunk, n)) {
            return vf_error_set(err, VF_SPACE, "\"%s\" is larger than %zu MiB", ova->current->name,
                                text->max >> 20);
        }
    } while (n > 0);
    return 0;
}

static int read_manifest(struct vf_ova *ova, struct vf_error **err)
{
    if (ova->has_manifest) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is a second manifest", ova->current->name);
    }
    struct vf_buf text;
    vf_buf_init(&text, VF_OVF_MANIFEST_MAX_BYTES);
    int rc = read_text(ova, &ova->raw.base, &text, err);
    if (rc == 0) {
        rc = vf_ovf_manifest_parse(text.data ? text.data : "", text.len, ova->current->name,
                                   &ova->manifest, err);
    }
    vf_buf_release(&text);
    ova->has_manifest = rc == 0;
    for (size_t i = 0; rc == 0 && i + 1 < ova->n_members; i++) {
        rc = vf_ovf_manifest_check(&ova->manifest, ova->members[i]->name, &ova->members[i]->digest,
                                   err);
    }
    return rc;
}

/* Whether the open member is for the caller. */
static int sort_member(struct vf_ova *ova, bool *ret_mine, struct vf_error **err)
{
    const char *name = ova->current->name;
    bool certificate = vf_ovf_name_has_suffix(name, ".cert");
    *ret_mine = false;
    if (certificate || vf_ovf_name_has_suffix(name, ".mf")) {
        ova->current->own = true;
        ova->has_certificate |= certificate;
        return certificate ? 0 : read_manifest(ova, err);
    }
    bool descriptor = vf_ovf_name_has_suffix(name, ".ovf");
    if (!descriptor && !ova->has_descriptor) {
        vf_error_set(err, VF_INVALID, "not an OVA in order: \"%s\" comes before the descriptor",
                     name);
        vf_error_hint(err, "unpack it with tar and give the .ovf file to --ovf");
        return VF_INVALID;
    }
    if (descriptor && ova->has_descriptor) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is a second descriptor", name);
    }
    ova->has_descriptor = true;
    *ret_mine = true;
    return 0;
}

static int end_archive(struct vf_ova *ova, struct vf_error **err)
{
    ova->ended = true;
    if (!ova->has_descriptor) {
        return vf_error_set(err, VF_INVALID, "the archive holds no descriptor (.ovf)");
    }
    return 0;
}

static int advance(struct vf_ova *ova, struct vf_error **err)
{
    bool mine = false;
    int rc = ova->broken;
    if (rc) {
        return vf_error_set(err, rc, "the archive was refused before");
    }
    while (rc == 0 && !mine && !ova->ended) {
        rc = close_member(ova, err);
        if (rc) {
            break;
        }
        struct archive_entry *entry;
        int status = archive_read_next_header(ova->tar, &entry);
        if (status == ARCHIVE_EOF) {
            rc = end_archive(ova, err);
        } else if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
            rc = refuse(ova, err);
        } else if (archive_entry_filetype(entry) != AE_IFDIR) {
            rc = open_entry(ova, entry, err);
            rc = rc ? rc : sort_member(ova, &mine, err);
        }
    }
    ova->broken = rc;
    return rc;
}

int vf_ova_next(struct vf_ova *ova, struct vf_ova_member *ret_member, bool *ret_end,
                struct vf_error **err)
{
    int rc = advance(ova, err);
    if (rc) {
        return rc;
    }
    *ret_end = ova->ended;
    if (!ova->ended) {
        *ret_member =
            (struct vf_ova_member){.name = ova->current->name, .size_bytes = ova->size_bytes};
    }
    return 0;
}

int vf_ova_open_member(struct vf_ova *ova, uint64_t max_output_bytes, struct vf_stream **ret_stream,
                       struct vf_error **err)
{
    if (!ova->current || ova->opened) {
        return vf_error_set(err, VF_INTERNAL, "no member of \"%s\" to be opened", ova->name);
    }
    ova->raw.base.size_bytes =
        ova->size_bytes <= INT64_MAX ? (int64_t)ova->size_bytes : INT64_C(-1);
    int rc =
        vf_gunzip_open(&ova->raw.base, ova->current->name, max_output_bytes, &ova->opened, err);
    if (rc) {
        return rc;
    }
    ova->lent.base.size_bytes = ova->opened->size_bytes;
    *ret_stream = &ova->lent.base;
    return 0;
}

int vf_ova_read_descriptor(struct vf_ova *ova, char **ret_text, size_t *ret_len,
                           struct vf_error **err)
{
    struct vf_stream *s;
    int rc = vf_ova_open_member(ova, UINT64_MAX, &s, err);
    if (rc) {
        return rc;
    }
    struct vf_buf text;
    vf_buf_init(&text, VF_OVF_DESCRIPTOR_MAX_BYTES);
    rc = read_text(ova, s, &text, err);
    if (rc) {
        vf_buf_release(&text);
        return rc;
    }
    *ret_len = text.len;
    *ret_text = vf_buf_take_string(&text);
    return 0;
}

int vf_ova_finish(struct vf_ova *ova, struct vf_ova_summary *ret_summary, struct vf_error **err)
{
    int rc = 0;
    do {
        rc = advance(ova, err);
    } while (rc == 0 && !ova->ended);
    if (rc == 0) {
        rc = vf_ovf_manifest_check_all(&ova->manifest, err);
    }
    if (rc) {
        return rc;
    }
    struct vf_ova_summary sum = {.has_manifest = ova->has_manifest,
                                 .has_certificate = ova->has_certificate};
    for (size_t i = 0; i < ova->n_members; i++) {
        bool named = vf_ovf_manifest_mask(&ova->manifest, ova->members[i]->name) != 0;
        sum.n_checked += named;
        sum.n_unchecked += !named && !ova->members[i]->own;
    }
    if (ret_summary) {
        *ret_summary = sum;
    }
    return 0;
}
