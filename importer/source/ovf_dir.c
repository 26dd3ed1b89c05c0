#include "importer/source/ovf_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/percent.h"
#include "importer/source/file.h"
#include "importer/source/gunzip.h"
#include "importer/source/ovf_manifest.h"

#define DRAIN_BYTES (256u << 10)

/* A file that was opened: what its stream leaves unread, finish() reads on from here. */
struct file {
    char *name;
    struct vf_stream *in;
    struct vf_ovf_digest digest;
};

struct file_view {
    struct vf_stream base;
    struct file *file; /* of the package */
};

struct vf_ovf_dir {
    char *folder; /* absolute, without symbolic links */
    const struct vf_cancel *cancel;
    struct vf_buf descriptor;
    struct vf_ovf_manifest manifest;
    bool has_manifest, has_certificate;
    struct file **files;
    size_t n_files;
};

static int hashed_read(struct file *f, void *buf, size_t len_bytes, size_t *ret_n,
                       struct vf_error **err)
{
    int rc = f->in->ops->read(f->in, buf, len_bytes, ret_n, err);
    return rc ? rc : vf_ovf_digest_update(&f->digest, buf, *ret_n, err);
}

static int view_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                     struct vf_error **err)
{
    return hashed_read(((struct file_view *)s)->file, buf, len_bytes, ret_n, err);
}

static void view_free(struct vf_stream *s)
{
    free((struct file_view *)s);
}

static const struct vf_stream_ops view_ops = {.read = view_read, .free = view_free};

static void free_file(struct file *f)
{
    if (f) {
        vf_stream_free(f->in);
        vf_ovf_digest_release(&f->digest);
        free(f->name);
        free(f);
    }
}

/* The folder is as foreign as the package: a link in it must not pull in files of this machine. */
static int resolve_name(const struct vf_ovf_dir *dir, const char *name, char **ret_path,
                        struct vf_error **err)
{
    int rc = vf_ovf_name_check(name, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree joined = vf_xasprintf("%s/%s", dir->folder, name);
    char *vf_autofree real = realpath(joined, NULL);
    if (!real) {
        return vf_error_set_errno(err, errno, "cannot find \"%s\" beside the descriptor", name);
    }
    size_t n = strcmp(dir->folder, "/") == 0 ? 0 : strlen(dir->folder);
    if (strncmp(real, dir->folder, n) != 0 || real[n] != '/') {
        return vf_error_set(err, VF_INVALID, "\"%s\" is a link that leads out of the package",
                            name);
    }
    *ret_path = vf_take(real);
    return 0;
}

/* An href is a URI reference, but some write the name as it is: that is tried first. */
static int resolve(const struct vf_ovf_dir *dir, const char *href, char **ret_name, char **ret_path,
                   struct vf_error **err)
{
    char *vf_autofree plain = vf_xstrdup(vf_ovf_name_trim(href));
    char *vf_autofree decoded = vf_percent_decode(plain);
    struct vf_error *first = NULL;
    int rc = resolve_name(dir, plain, ret_path, &first);
    if (rc == 0) {
        *ret_name = vf_take(plain);
    } else if (rc == VF_MISSING && strcmp(plain, decoded) != 0 &&
               resolve_name(dir, decoded, ret_path, NULL) == 0) {
        *ret_name = vf_take(decoded);
        vf_error_clear(&first);
        return 0;
    }
    if (rc) {
        vf_error_move(err, &first);
    }
    return rc;
}

int vf_ovf_dir_fetch_path(struct vf_ovf_dir *dir, const char *href, char **ret_path,
                          struct vf_error **err)
{
    char *vf_autofree name = NULL;
    return resolve(dir, href, &name, ret_path, err);
}

static struct file *find_file(const struct vf_ovf_dir *dir, const char *name)
{
    for (size_t i = 0; i < dir->n_files; i++) {
        if (strcmp(dir->files[i]->name, name) == 0) {
            return dir->files[i];
        }
    }
    return NULL;
}

static int add_file(struct vf_ovf_dir *dir, const char *href, struct file **ret_file,
                    struct vf_error **err)
{
    char *vf_autofree name = NULL;
    char *vf_autofree path = NULL;
    int rc = resolve(dir, href, &name, &path, err);
    if (rc) {
        return rc;
    }
    if (find_file(dir, name)) {
        return vf_error_set(err, VF_INTERNAL, "\"%s\" is opened twice", name);
    }
    struct file *f = vf_xcalloc(1, sizeof *f);
    f->name = vf_take(name);
    rc = vf_file_stream_open(path, dir->cancel, &f->in, err);
    if (rc == 0) {
        rc = vf_ovf_digest_init(&f->digest, vf_ovf_manifest_mask(&dir->manifest, f->name), err);
    }
    if (rc) {
        free_file(f);
        return rc;
    }
    dir->files = vf_xrealloc_array(dir->files, dir->n_files + 1, sizeof(struct file *));
    dir->files[dir->n_files++] = f;
    *ret_file = f;
    return 0;
}

int vf_ovf_dir_open_file(struct vf_ovf_dir *dir, const char *href, uint64_t max_output_bytes,
                         struct vf_stream **ret_stream, struct vf_error **err)
{
    struct file *f = NULL;
    int rc = add_file(dir, href, &f, err);
    if (rc) {
        return rc;
    }
    struct file_view *v = vf_xcalloc(1, sizeof *v);
    *v = (struct file_view){.base = {.ops = &view_ops, .size_bytes = f->in->size_bytes}, .file = f};
    return vf_gunzip_open(&v->base, f->name, max_output_bytes, ret_stream, err);
}

static int fetch_text(const struct vf_ovf_dir *dir, const char *path, struct vf_buf *text,
                      struct vf_error **err)
{
    struct vf_stream *s = NULL;
    int rc = vf_file_stream_open(path, dir->cancel, &s, err);
    size_t n = 1;
    while (rc == 0 && n > 0) {
        char chunk[16384];
        rc = s->ops->read(s, chunk, sizeof chunk, &n, err);
        if (rc == 0 && !vf_buf_append(text, chunk, n)) {
            rc =
                vf_error_set(err, VF_SPACE, "\"%s\" is larger than %zu MiB", path, text->max >> 20);
        }
    }
    vf_stream_free(s);
    return rc;
}

static int check_descriptor(struct vf_ovf_dir *dir, const char *name, struct vf_error **err)
{
    struct vf_ovf_digest digest;
    int rc = vf_ovf_digest_init(&digest, vf_ovf_manifest_mask(&dir->manifest, name), err);
    if (rc) {
        return rc;
    }
    rc = vf_ovf_digest_update(&digest, dir->descriptor.data ? dir->descriptor.data : "",
                              dir->descriptor.len, err);
    rc = rc ? rc : vf_ovf_digest_finish(&digest, err);
    rc = rc ? rc : vf_ovf_manifest_check(&dir->manifest, name, &digest, err);
    vf_ovf_digest_release(&digest);
    return rc;
}

/* `stem` is the descriptor's path without its suffix. */
static int fetch_manifest(struct vf_ovf_dir *dir, const char *stem, const char *descriptor_name,
                          struct vf_error **err)
{
    char *vf_autofree path = vf_xasprintf("%s.mf", stem);
    char *vf_autofree certificate = vf_xasprintf("%s.cert", stem);
    dir->has_certificate = access(certificate, F_OK) == 0;
    if (access(path, F_OK) != 0) {
        return errno == ENOENT ? 0 : vf_error_set_errno(err, errno, "cannot read \"%s\"", path);
    }
    struct vf_buf text;
    vf_buf_init(&text, VF_OVF_MANIFEST_MAX_BYTES);
    int rc = fetch_text(dir, path, &text, err);
    if (rc == 0) {
        rc = vf_ovf_manifest_parse(text.data ? text.data : "", text.len, path, &dir->manifest, err);
    }
    vf_buf_release(&text);
    dir->has_manifest = rc == 0;
    return rc ? rc : check_descriptor(dir, descriptor_name, err);
}

int vf_ovf_dir_open(const char *ovf_path, const struct vf_cancel *cancel,
                    struct vf_ovf_dir **ret_dir, struct vf_error **err)
{
    if (!vf_ovf_name_has_suffix(ovf_path, ".ovf")) {
        return vf_error_set(err, VF_INVALID, "\"%s\" does not end in .ovf", ovf_path);
    }
    const char *slash = strrchr(ovf_path, '/');
    const char *name = slash ? slash + 1 : ovf_path;
    char *vf_autofree parent =
        slash ? vf_xstrndup(ovf_path, (size_t)(slash - ovf_path) + 1) : vf_xstrdup(".");
    struct vf_ovf_dir *dir = vf_xcalloc(1, sizeof *dir);
    dir->cancel = cancel;
    vf_buf_init(&dir->descriptor, VF_OVF_DESCRIPTOR_MAX_BYTES);
    dir->folder = realpath(parent, NULL);
    int rc = dir->folder
                 ? 0
                 : vf_error_set_errno(err, errno, "cannot open the folder of \"%s\"", ovf_path);
    if (rc == 0) {
        rc = fetch_text(dir, ovf_path, &dir->descriptor, err);
    }
    if (rc == 0) {
        char *vf_autofree stem = vf_xstrndup(ovf_path, strlen(ovf_path) - strlen(".ovf"));
        rc = fetch_manifest(dir, stem, name, err);
    }
    if (rc) {
        vf_ovf_dir_free(dir);
        return rc;
    }
    *ret_dir = dir;
    return 0;
}

void vf_ovf_dir_free(struct vf_ovf_dir *dir)
{
    if (!dir) {
        return;
    }
    for (size_t i = 0; i < dir->n_files; i++) {
        free_file(dir->files[i]);
    }
    free(dir->files);
    vf_ovf_manifest_release(&dir->manifest);
    vf_buf_release(&dir->descriptor);
    free(dir->folder);
    free(dir);
}

const char *vf_ovf_dir_descriptor(const struct vf_ovf_dir *dir, size_t *ret_len)
{
    *ret_len = dir->descriptor.len;
    return dir->descriptor.data ? dir->descriptor.data : "";
}

static int finish_file(struct vf_ovf_dir *dir, const char *name, struct vf_error **err)
{
    struct file *f = find_file(dir, name);
    int rc = f ? 0 : add_file(dir, name, &f, err);
    char *vf_autofree buf = vf_xcalloc(DRAIN_BYTES, 1);
    size_t n = 1;
    while (rc == 0 && n > 0) {
        rc = hashed_read(f, buf, DRAIN_BYTES, &n, err);
    }
    rc = rc ? rc : vf_ovf_digest_finish(&f->digest, err);
    return rc ? rc : vf_ovf_manifest_check(&dir->manifest, name, &f->digest, err);
}

int vf_ovf_dir_finish(struct vf_ovf_dir *dir, struct vf_ovf_dir_summary *ret_summary,
                      struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < dir->manifest.n_entries; i++) {
        if (!dir->manifest.entries[i].checked) {
            rc = finish_file(dir, dir->manifest.entries[i].name, err);
        }
    }
    if (rc) {
        return rc;
    }
    if (ret_summary) {
        *ret_summary = (struct vf_ovf_dir_summary){.has_manifest = dir->has_manifest,
                                                   .has_certificate = dir->has_certificate,
                                                   .n_checked = (unsigned)dir->manifest.n_entries};
    }
    return 0;
}
