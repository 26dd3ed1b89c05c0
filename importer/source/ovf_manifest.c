#include "importer/source/ovf_manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"
#include "importer/base/utf8.h"

#define MAX_NAME_BYTES 1024

static const struct {
    const char *name;   /* as shown */
    const char *dashed; /* also met */
    size_t bytes;
} kinds[VF_OVF_DIGEST_KINDS] = {
    [VF_OVF_SHA1] = {"SHA1", "SHA-1", 20},
    [VF_OVF_SHA256] = {"SHA256", "SHA-256", 32},
    [VF_OVF_SHA512] = {"SHA512", "SHA-512", 64},
};

int vf_ovf_digest_init(struct vf_ovf_digest *d, unsigned mask, struct vf_error **err)
{
    *d = (struct vf_ovf_digest){.mask = mask};
    for (unsigned k = 0; k < VF_OVF_DIGEST_KINDS; k++) {
        if (!(mask & 1u << k)) {
            continue;
        }
        d->contexts[k] = EVP_MD_CTX_new();
        if (!d->contexts[k] ||
            !EVP_DigestInit_ex(d->contexts[k], EVP_get_digestbyname(kinds[k].name), NULL)) {
            vf_ovf_digest_release(d);
            return vf_error_set(err, VF_UNSUPPORTED, "OpenSSL does not offer %s here",
                                kinds[k].name);
        }
    }
    return 0;
}

int vf_ovf_digest_update(struct vf_ovf_digest *d, const void *data, size_t len,
                         struct vf_error **err)
{
    for (unsigned k = 0; k < VF_OVF_DIGEST_KINDS; k++) {
        if (d->contexts[k] && !EVP_DigestUpdate(d->contexts[k], data, len)) {
            return vf_error_set(err, VF_INTERNAL, "%s failed", kinds[k].name);
        }
    }
    return 0;
}

int vf_ovf_digest_finish(struct vf_ovf_digest *d, struct vf_error **err)
{
    for (unsigned k = 0; k < VF_OVF_DIGEST_KINDS; k++) {
        if (d->contexts[k] && !EVP_DigestFinal_ex(d->contexts[k], d->values[k], NULL)) {
            return vf_error_set(err, VF_INTERNAL, "%s failed", kinds[k].name);
        }
    }
    vf_ovf_digest_release(d);
    return 0;
}

void vf_ovf_digest_release(struct vf_ovf_digest *d)
{
    for (unsigned k = 0; k < VF_OVF_DIGEST_KINDS; k++) {
        EVP_MD_CTX_free(d->contexts[k]);
        d->contexts[k] = NULL;
    }
}

const char *vf_ovf_name_trim(const char *name)
{
    while (name[0] == '.' && name[1] == '/') {
        name += 2 + strspn(name + 2, "/");
    }
    return name;
}

bool vf_ovf_name_has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t s = strlen(suffix);
    return n > s && strcasecmp(name + n - s, suffix) == 0;
}

static bool is_printable(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t n = vf_utf8_decode(name + i, len - i, &c);
        if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            return false;
        }
        i += n;
    }
    return true;
}

int vf_ovf_name_check(const char *name, struct vf_error **err)
{
    if (!*name || strlen(name) > MAX_NAME_BYTES || !is_printable(name)) {
        return vf_error_set(err, VF_INVALID,
                            "a file name is empty, too long, not UTF-8 or has control characters");
    }
    bool ok = *name != '/' && !strchr(name, '\\');
    for (const char *part = name; ok && part; part = strchr(part, '/')) {
        part += *part == '/';
        ok = strncmp(part, "..", 2) != 0 || (part[2] != '/' && part[2] != '\0');
    }
    return ok ? 0
              : vf_error_set(err, VF_INVALID, "file name \"%s\" leads out of the package", name);
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool parse_hex(const char *s, size_t len, uint8_t *value, size_t bytes)
{
    if (len != 2 * bytes) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_value(s[2 * i]);
        int low = hex_value(s[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        value[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1])) {
        s[--n] = '\0';
    }
    return s;
}

static bool parse_kind(const char *s, enum vf_ovf_digest_kind *ret_kind)
{
    for (unsigned k = 0; k < VF_OVF_DIGEST_KINDS; k++) {
        if (strcasecmp(s, kinds[k].name) == 0 || strcasecmp(s, kinds[k].dashed) == 0) {
            *ret_kind = k;
            return true;
        }
    }
    return false;
}

static struct vf_ovf_manifest_entry *find(const struct vf_ovf_manifest *m, const char *name)
{
    for (size_t i = 0; i < m->n_entries; i++) {
        if (strcmp(m->entries[i].name, name) == 0) {
            return &m->entries[i];
        }
    }
    return NULL;
}

static int add(struct vf_ovf_manifest *m, const char *name, const struct vf_ovf_manifest_entry *e,
               struct vf_error **err)
{
    int rc = vf_ovf_name_check(name, err);
    if (rc) {
        return rc;
    }
    if (find(m, name)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is named twice", name);
    }
    if (m->n_entries == VF_OVF_MAX_FILES) {
        return vf_error_set(err, VF_INVALID, "more than %d files", VF_OVF_MAX_FILES);
    }
    m->entries = vf_xrealloc_array(m->entries, m->n_entries + 1, sizeof *m->entries);
    m->entries[m->n_entries] = *e;
    m->entries[m->n_entries++].name = vf_xstrdup(name);
    return 0;
}

/* `line` is changed. The name may itself hold parentheses and equals signs: the digest is what
 * follows the last "=". */
static int parse_line(struct vf_ovf_manifest *m, char *line, struct vf_error **err)
{
    line = trim(line);
    if (!*line) {
        return 0;
    }
    char *open = strchr(line, '(');
    char *equals = strrchr(line, '=');
    if (!open || !equals || equals < open) {
        return vf_error_set(err, VF_INVALID, "not of the form SHA256(file)= digest");
    }
    *equals = '\0';
    char *value = trim(equals + 1);
    char *name = trim(open + 1);
    size_t name_len = strlen(name);
    if (name_len == 0 || name[name_len - 1] != ')') {
        return vf_error_set(err, VF_INVALID, "not of the form SHA256(file)= digest");
    }
    name[name_len - 1] = '\0';
    *open = '\0';
    struct vf_ovf_manifest_entry e = {0};
    if (!parse_kind(trim(line), &e.kind)) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "a digest algorithm other than SHA1, SHA256 and SHA512");
    }
    if (!parse_hex(value, strlen(value), e.value, kinds[e.kind].bytes)) {
        return vf_error_set(err, VF_INVALID, "not a %s digest", kinds[e.kind].name);
    }
    return add(m, vf_ovf_name_trim(trim(name)), &e, err);
}

int vf_ovf_manifest_parse(const char *data, size_t len, const char *what,
                          struct vf_ovf_manifest *ret_manifest, struct vf_error **err)
{
    if (len > VF_OVF_MANIFEST_MAX_BYTES) {
        return vf_error_set(err, VF_SPACE, "%s is larger than %u MiB", what,
                            VF_OVF_MANIFEST_MAX_BYTES >> 20);
    }
    if (len && memchr(data, '\0', len)) {
        return vf_error_set(err, VF_INVALID, "%s is not text", what);
    }
    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        len -= 3;
    }
    char *vf_autofree text = vf_xstrndup(data, len);
    struct vf_ovf_manifest m = {0};
    unsigned line_number = 1;
    for (char *line = text; line; line_number++) {
        char *next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        int rc = parse_line(&m, line, err);
        if (rc) {
            vf_ovf_manifest_release(&m);
            return vf_error_wrap(err, rc, "%s, line %u", what, line_number);
        }
        line = next;
    }
    *ret_manifest = m;
    return 0;
}

void vf_ovf_manifest_release(struct vf_ovf_manifest *m)
{
    for (size_t i = 0; i < m->n_entries; i++) {
        free(m->entries[i].name);
    }
    free(m->entries);
    *m = (struct vf_ovf_manifest){0};
}

unsigned vf_ovf_manifest_mask(const struct vf_ovf_manifest *m, const char *name)
{
    const struct vf_ovf_manifest_entry *e = find(m, name);
    return e ? 1u << e->kind : 0;
}

static char *encode_hex(const uint8_t *value, size_t bytes)
{
    char *s = vf_xcalloc(2 * bytes + 1, 1);
    for (size_t i = 0; i < bytes; i++) {
        snprintf(s + 2 * i, 3, "%02x", value[i]);
    }
    return s;
}

int vf_ovf_manifest_check(struct vf_ovf_manifest *m, const char *name,
                          const struct vf_ovf_digest *d, struct vf_error **err)
{
    struct vf_ovf_manifest_entry *e = find(m, name);
    if (!e) {
        return 0;
    }
    if (!(d->mask & 1u << e->kind)) {
        return vf_error_set(err, VF_INTERNAL, "no %s of \"%s\" was taken", kinds[e->kind].name,
                            name);
    }
    size_t bytes = kinds[e->kind].bytes;
    if (memcmp(e->value, d->values[e->kind], bytes) != 0) {
        char *vf_autofree expected = encode_hex(e->value, bytes);
        char *vf_autofree got = encode_hex(d->values[e->kind], bytes);
        vf_error_set(err, VF_INVALID, "\"%s\" does not match the manifest: %s expected %s, got %s",
                     name, kinds[e->kind].name, expected, got);
        vf_error_hint(err, "fetch the package again; it was damaged or changed after it was made");
        return VF_INVALID;
    }
    e->checked = true;
    return 0;
}

int vf_ovf_manifest_check_all(const struct vf_ovf_manifest *m, struct vf_error **err)
{
    for (size_t i = 0; i < m->n_entries; i++) {
        if (!m->entries[i].checked) {
            return vf_error_set(err, VF_MISSING,
                                "\"%s\" is in the manifest, but not in the package",
                                m->entries[i].name);
        }
    }
    return 0;
}
