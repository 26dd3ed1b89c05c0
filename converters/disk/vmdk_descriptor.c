#include "converters/disk/vmdk_descriptor.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"

#define BLANKS    " \t\r\v\f"
#define BOM       "\xef\xbb\xbf"
#define SIGNATURE VMDK_DESCRIPTOR_SIGNATURE

/* Encodings that VMware's products write. iconv is not asked for anything else that a file names.
 */
static const char *const encodings[] = {
    "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255",
    "windows-1256", "windows-1257", "windows-1258", "ISO-8859-1",   "ISO-8859-15",  "GBK",
    "GB18030",      "Big5",         "Shift_JIS",    "EUC-JP",       "EUC-KR",       "windows-949",
};

struct parser {
    struct vf_vmdk_descriptor *d;
    unsigned line; /* from 1 */
    size_t cap;    /* of d->extents */
    char *encoding;
    bool seen_cid, seen_parent_cid;
};

static const char *skip_bom(const char *text, size_t *len)
{
    if (*len >= 3 && memcmp(text, BOM, 3) == 0) {
        *len -= 3;
        return text + 3;
    }
    return text;
}

bool vf_vmdk_descriptor_is(const char *text, size_t len)
{
    text = skip_bom(text, &len);
    return len >= strlen(SIGNATURE) && strncasecmp(text, SIGNATURE, strlen(SIGNATURE)) == 0;
}

void vf_vmdk_descriptor_release(struct vf_vmdk_descriptor *d)
{
    for (size_t i = 0; i < d->n_extents; i++) {
        free(d->extents[i].file);
        free(d->extents[i].file_bytes);
    }
    free(d->extents);
    free(d->create_type);
    free(d->parent_hint);
    *d = (struct vf_vmdk_descriptor){.n_extents = 0};
}

static int bad_line(const struct parser *p, const char *what, struct vf_error **err)
{
    return vf_error_set(err, VF_INVALID, "line %u of the VMDK descriptor: %s", p->line, what);
}

/* The next word of *s, which moves behind it; "" at the end. Cuts the string. */
static char *next_word(char **s)
{
    char *word = *s + strspn(*s, BLANKS);
    char *end = word + strcspn(word, BLANKS);
    *s = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

static bool get_number(const char *s, uint64_t *ret)
{
    if (!isdigit((unsigned char)s[0])) {
        return false;
    }
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    *ret = v;
    return errno == 0 && *end == '\0';
}

static bool get_cid(const char *s, uint32_t *ret)
{
    if (!isxdigit((unsigned char)s[0]) || strlen(s) > 8) {
        return false;
    }
    char *end;
    *ret = (uint32_t)strtoul(s, &end, 16);
    return *end == '\0';
}

static bool get_access(const char *word, enum vf_vmdk_access *ret)
{
    static const char *const names[] = {"RW", "RDONLY", "NOACCESS"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcasecmp(word, names[i]) == 0) {
            *ret = (enum vf_vmdk_access)i;
            return true;
        }
    }
    return false;
}

static bool get_type(const char *word, enum vf_vmdk_extent_type *ret)
{
    static const char *const names[] = {"FLAT",       "SPARSE",  "ZERO",    "VMFS",
                                        "VMFSSPARSE", "VMFSRDM", "VMFSRAW", "SESPARSE"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcasecmp(word, names[i]) == 0) {
            *ret = (enum vf_vmdk_extent_type)i;
            return true;
        }
    }
    return false;
}

/* The file name and offset at the end of an extent's line. */
static int parse_file(const struct parser *p, char *rest, struct vf_vmdk_extent *e,
                      struct vf_error **err)
{
    rest += strspn(rest, BLANKS);
    if (e->type == VF_VMDK_ZERO) {
        return *rest ? bad_line(p, "a ZERO extent has no file", err) : 0;
    }
    char *end = *rest == '"' ? strchr(rest + 1, '"') : NULL;
    if (!end || end == rest + 1) {
        return bad_line(p, "the extent's file name is not in quotes, or empty", err);
    }
    *end = '\0';
    for (const char *c = rest + 1; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return bad_line(p, "the extent's file name has control characters", err);
        }
    }
    e->file_bytes = vf_xstrdup(rest + 1);
    rest = end + 1;
    const char *offset = next_word(&rest);
    /* Behind the offset a device's identifier may follow. */
    if (*offset && !get_number(offset, &e->offset_sectors)) {
        return bad_line(p, "the extent's offset is no number", err);
    }
    if (e->offset_sectors && e->type != VF_VMDK_FLAT) {
        return bad_line(p, "only a FLAT extent has an offset", err);
    }
    return 0;
}

static int parse_extent(struct parser *p, enum vf_vmdk_access access, char *rest,
                        struct vf_error **err)
{
    struct vf_vmdk_descriptor *d = p->d;
    struct vf_vmdk_extent e = {.access = access};
    if (!get_number(next_word(&rest), &e.sectors) || e.sectors == 0) {
        return bad_line(p, "the extent's size is no number above 0", err);
    }
    if (__builtin_add_overflow(d->capacity_sectors, e.sectors, &d->capacity_sectors) ||
        d->capacity_sectors > VMDK_MAX_CAPACITY_BYTES / VMDK_SECTOR_BYTES) {
        return bad_line(p, "the extents add up to more than 64 TiB", err);
    }
    if (!get_type(next_word(&rest), &e.type)) {
        return bad_line(p, "the extent's type is not known", err);
    }
    int rc = parse_file(p, rest, &e, err);
    if (rc == 0 && d->n_extents == VF_VMDK_MAX_EXTENTS) {
        rc = bad_line(p, "too many extents", err);
    }
    if (rc) {
        free(e.file_bytes);
        return rc;
    }
    if (d->n_extents == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 8;
        d->extents = vf_xrealloc_array(d->extents, p->cap, sizeof *d->extents);
    }
    d->extents[d->n_extents++] = e;
    return 0;
}

/* Blanks and one pair of quotes off both ends. */
static char *trim(char *s)
{
    s += strspn(s, BLANKS);
    size_t n = strlen(s);
    while (n && strchr(BLANKS, s[n - 1])) {
        n--;
    }
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
        s++;
        n -= 2;
    }
    s[n] = '\0';
    return s;
}

static int set_once(const struct parser *p, char **field, const char *value, struct vf_error **err)
{
    if (*field && strcmp(*field, value) != 0) {
        return bad_line(p, "this was given before, with another value", err);
    }
    vf_replace_string(field, value);
    return 0;
}

static int set_cid(const struct parser *p, bool *seen, uint32_t *field, const char *value,
                   struct vf_error **err)
{
    uint32_t cid;
    if (!get_cid(value, &cid)) {
        return bad_line(p, "a content ID has up to eight hexadecimal digits", err);
    }
    if (*seen && *field != cid) {
        return bad_line(p, "this was given before, with another value", err);
    }
    *seen = true;
    *field = cid;
    return 0;
}

/* Keys of Workstation's encrypted disks begin with "encryption."; vSphere's VM encryption is an I/O
 * filter. */
static bool tells_encryption(const char *key, const char *value)
{
    return strncasecmp(key, "encrypt", 7) == 0 || strcasestr(key, "keysafe") ||
           (strcasecmp(key, "ddb.iofilters") == 0 && strcasestr(value, "vmcrypt"));
}

static int parse_pair(struct parser *p, char *line, struct vf_error **err)
{
    struct vf_vmdk_descriptor *d = p->d;
    char *equals = strchr(line, '=');
    if (!equals) {
        return bad_line(p, "neither a comment, nor key=value, nor an extent", err);
    }
    *equals = '\0';
    const char *key = trim(line), *value = trim(equals + 1);
    if (tells_encryption(key, value)) {
        d->encrypted = true;
    }
    if (strcasecmp(key, "CID") == 0) {
        return set_cid(p, &p->seen_cid, &d->cid, value, err);
    }
    if (strcasecmp(key, "parentCID") == 0) {
        return set_cid(p, &p->seen_parent_cid, &d->parent_cid, value, err);
    }
    if (strcasecmp(key, "createType") == 0) {
        return set_once(p, &d->create_type, value, err);
    }
    if (strcasecmp(key, "parentFileNameHint") == 0) {
        return set_once(p, &d->parent_hint, value, err);
    }
    if (strcasecmp(key, "encoding") == 0) {
        return set_once(p, &p->encoding, value, err);
    }
    return 0;
}

static int parse_line(struct parser *p, char *line, struct vf_error **err)
{
    line += strspn(line, BLANKS);
    if (*line == '\0' || *line == '#') {
        return 0;
    }
    size_t n = strcspn(line, BLANKS);
    char word[16] = "";
    if (n < sizeof word) {
        memcpy(word, line, n);
    }
    enum vf_vmdk_access access;
    if (line[n] && get_access(word, &access)) {
        return parse_extent(p, access, line + n + 1, err);
    }
    return parse_pair(p, line, err);
}

static bool is_ascii(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s >= 0x80) {
            return false;
        }
    }
    return true;
}

/* The canonical name of an encoding that needs conversion; NULL for UTF-8, or when not known. */
static const char *known_encoding(const char *name)
{
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        if (strcasecmp(name, encodings[i]) == 0) {
            return encodings[i];
        }
    }
    return NULL;
}

static char *convert(iconv_t cd, const char *s)
{
    size_t in_left = strlen(s), room = in_left * 4 + 1, out_left = room - 1;
    char *in_copy = vf_xstrdup(s), *in = in_copy;
    char *text = vf_xcalloc(1, room), *out = text;
    iconv(cd, NULL, NULL, NULL, NULL);
    size_t rc = iconv(cd, &in, &in_left, &out, &out_left);
    free(in_copy);
    if (rc == (size_t)-1) {
        free(text);
        return NULL;
    }
    return text;
}

/* A name in UTF-8; heap, NULL when its encoding is not known or it breaks its rules. */
static char *to_utf8(const char *encoding, const char *s)
{
    if (!encoding || is_ascii(s) || strcasecmp(encoding, "UTF-8") == 0) {
        return vf_xstrdup(s);
    }
    const char *known = known_encoding(encoding);
    iconv_t cd = known ? iconv_open("UTF-8", known) : (iconv_t)-1;
    if (cd == (iconv_t)-1) {
        return NULL;
    }
    char *text = convert(cd, s);
    iconv_close(cd);
    return text;
}

static int convert_names(struct parser *p, struct vf_error **err)
{
    struct vf_vmdk_descriptor *d = p->d;
    bool good = true;
    for (size_t i = 0; good && i < d->n_extents; i++) {
        struct vf_vmdk_extent *e = &d->extents[i];
        e->file = e->file_bytes ? to_utf8(p->encoding, e->file_bytes) : NULL;
        good = e->file || !e->file_bytes;
    }
    if (good && d->parent_hint) {
        char *hint = to_utf8(p->encoding, d->parent_hint);
        free(d->parent_hint);
        d->parent_hint = hint;
        good = hint != NULL;
    }
    return good ? 0
                : vf_error_set(err, VF_UNSUPPORTED,
                               "a file name in the VMDK descriptor cannot be read by its encoding");
}

static int check_whole(const struct vf_vmdk_descriptor *d, struct vf_error **err)
{
    if (d->n_extents == 0) {
        return vf_error_set(err, VF_INVALID, "the VMDK descriptor names no extent");
    }
    if (d->parent_hint && *d->parent_hint && d->parent_cid == VMDK_CID_NONE) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK descriptor names a parent, but no content ID of it");
    }
    return 0;
}

int vf_vmdk_descriptor_parse(const char *text, size_t len, struct vf_vmdk_descriptor *ret_desc,
                             struct vf_error **err)
{
    if (!vf_vmdk_descriptor_is(text, len)) {
        return vf_error_set(err, VF_INVALID, "not a VMDK descriptor: it does not begin with \"%s\"",
                            SIGNATURE);
    }
    if (len > VMDK_MAX_DESCRIPTOR_BYTES) {
        return vf_error_set(err, VF_INVALID, "a VMDK descriptor of %zu bytes is none", len);
    }
    text = skip_bom(text, &len);
    struct vf_vmdk_descriptor d = {.parent_cid = VMDK_CID_NONE};
    struct parser p = {.d = &d};
    char *vf_autofree copy = vf_xstrndup(text, strnlen(text, len));
    char *rest = copy;
    int rc = 0;
    while (rc == 0 && rest) {
        char *line = strsep(&rest, "\n");
        p.line++;
        rc = parse_line(&p, line, err);
    }
    if (rc == 0) {
        rc = convert_names(&p, err);
    }
    if (rc == 0) {
        rc = check_whole(&d, err);
    }
    free(p.encoding);
    if (rc) {
        vf_vmdk_descriptor_release(&d);
        return rc;
    }
    *ret_desc = d;
    return 0;
}
