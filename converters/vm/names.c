#include "converters/vm/names.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

#define HASH_DIGITS 6
#define ELLIPSIS    "\xe2\x80\xa6"

/* Base letters of U+00C0..U+00FF (Latin-1) and U+0100..U+017F (Latin Extended-A); "-" has none. */
static const char latin[] = "aaaaaaaceeeeiiiidnooooo-ouuuuyts"
                            "aaaaaaaceeeeiiiidnooooo-ouuuuyty"
                            "aaaaaaccccccccddddeeeeeeeeeegggg"
                            "gggghhhhiiiiiiiiiiiijjkkkllllllll"
                            "llnnnnnnnnnoooooooorrrrrrssssssss"
                            "ttttttuuuuuuuuuuuuwwyyyzzzzzzs";
_Static_assert(sizeof latin == 192 + 1, "one letter a character");

static const struct {
    uint32_t c;
    const char *letters;
} ligatures[] = {{0xc6, "ae"},  {0xe6, "ae"},  {0xde, "th"},  {0xfe, "th"}, {0xdf, "ss"},
                 {0x152, "oe"}, {0x153, "oe"}, {0x132, "ij"}, {0x133, "ij"}};

static void put_dash(struct vf_buf *b)
{
    if (b->len > 0 && b->data[b->len - 1] != '-') {
        vf_buf_append(b, "-", 1);
    }
}

static void put_transliterated(struct vf_buf *b, uint32_t c)
{
    for (size_t i = 0; i < sizeof ligatures / sizeof *ligatures; i++) {
        if (ligatures[i].c == c) {
            vf_buf_puts(b, ligatures[i].letters);
            return;
        }
    }
    if (c >= 0xc0 && c < 0x180 && latin[c - 0xc0] != '-') {
        vf_buf_append(b, &latin[c - 0xc0], 1);
    } else if (c < 0x300 || c >= 0x370) { /* combining accents leave nothing */
        put_dash(b);
    }
}

static void cut(struct vf_buf *b, size_t max_len, const char *trimmed)
{
    b->len = b->len < max_len ? b->len : max_len;
    while (b->len > 0 && strchr(trimmed, b->data[b->len - 1])) {
        b->len--;
    }
    if (b->data) {
        b->data[b->len] = '\0';
    }
}

/* Whether more than the case of ASCII letters was changed. */
static bool put_label(struct vf_buf *b, const char *s)
{
    bool lossy = false;
    for (size_t len = strlen(s); len > 0;) {
        uint32_t c = 0xfffd;
        size_t n = vf_utf8_decode(s, len, &c);
        n = n ? n : 1;
        bool upper = c >= 'A' && c <= 'Z';
        if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            char letter = (char)(upper ? c - 'A' + 'a' : c);
            vf_buf_append(b, &letter, 1);
        } else {
            size_t before = b->len;
            put_transliterated(b, c);
            lossy |= c != '-' || b->len == before;
        }
        s += n;
        len -= n;
    }
    return lossy;
}

static void put_hash(struct vf_buf *b, const void *original, size_t len)
{
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};
    EVP_Digest(original, len, hash, NULL, EVP_sha256(), NULL);
    vf_buf_puts(b, b->len ? "-" : "vm-");
    for (size_t i = 0; i < HASH_DIGITS / 2; i++) {
        vf_buf_printf(b, "%02x", hash[i]);
    }
}

char *vf_name_to_label(const char *original, size_t max_len)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    bool lossy = put_label(&b, original);
    size_t full = b.len;
    cut(&b, max_len, "-");
    if (lossy || b.len != full || b.len == 0) {
        cut(&b, max_len - 1 - HASH_DIGITS, "-");
        put_hash(&b, original, strlen(original));
    }
    return vf_buf_take_string(&b);
}

char *vf_name_of_vm(const struct vf_vm *vm)
{
    return vf_name_to_label(vm->name ? vm->name : "vm", VF_NAME_VM_MAX);
}

char *vf_name_of_vm_distinct(const struct vf_vm *vm)
{
    const char *name = vm->name ? vm->name : "vm";
    const char *identity = vm->instance_uuid ? vm->instance_uuid : vm->moref;
    struct vf_buf b, hashed;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_init(&hashed, SIZE_MAX);
    vf_buf_append(&hashed, name, strlen(name) + 1); /* the NUL parts it from what follows */
    vf_buf_puts(&hashed, identity ? identity : "");
    put_label(&b, name);
    cut(&b, VF_NAME_VM_MAX - 1 - HASH_DIGITS, "-");
    put_hash(&b, hashed.data, hashed.len);
    vf_buf_release(&hashed);
    return vf_buf_take_string(&b);
}

char *vf_name_of_disk(const char *vm_name, size_t index)
{
    return vf_xasprintf("%s-disk-%zu", vm_name, index);
}

bool vf_name_is_label(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= VF_NAME_LABEL_MAX && s[0] != '-' && s[n - 1] != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

bool vf_name_is_subdomain(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 253 && !strchr("-.", s[0]) && !strchr("-.", s[n - 1]) &&
           !strstr(s, "..") && !strstr(s, ".-") && !strstr(s, "-.") &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

char *vf_name_to_label_value(const char *s)
{
    static const char taken[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (; *s; s++) {
        if (strchr("._-", *s) && b.len == 0) {
            continue;
        }
        if (strchr(taken, *s)) {
            vf_buf_append(&b, s, 1);
        } else {
            put_dash(&b);
        }
    }
    cut(&b, VF_NAME_LABEL_MAX, "._-");
    return vf_buf_take_string(&b);
}

char *vf_name_to_annotation(const char *s, size_t max_len)
{
    char *clean = vf_utf8_clean(s);
    if (strlen(clean) > max_len) {
        size_t at = max_len - strlen(ELLIPSIS);
        while (at > 0 && ((unsigned char)clean[at] & 0xc0) == 0x80) {
            at--;
        }
        memcpy(clean + at, ELLIPSIS, sizeof ELLIPSIS); /* fits: it stands within what was longer */
    }
    return clean;
}
