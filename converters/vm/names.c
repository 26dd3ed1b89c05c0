#include "converters/vm/names.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

/* No vowels, nothing like them; as Kubernetes itself takes them for names that it makes up. */
static const char hash_letters[] = "bcdfghjklmnpqrstvwxz2456789";
#define HASH_BASE (sizeof hash_letters - 1)

#define ELLIPSIS "\xe2\x80\xa6"

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
    uint64_t bits = 0; /* of which 27^10 are taken, so that none is likelier than others */
    for (size_t i = 0; i < sizeof bits; i++) {
        bits = bits << 8 | hash[i];
    }
    char text[VF_NAME_HASH_LEN];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = hash_letters[bits % HASH_BASE];
        bits /= HASH_BASE;
    }
    vf_buf_append(b, text, sizeof text);
}

/* Such a name would be another's that had to be changed. */
static bool looks_hashed(const struct vf_buf *b)
{
    if (b->len <= VF_NAME_HASH_LEN || b->data[b->len - VF_NAME_HASH_LEN - 1] != '-') {
        return false;
    }
    return strspn(b->data + b->len - VF_NAME_HASH_LEN, hash_letters) == VF_NAME_HASH_LEN;
}

/* "BASE-HASH" for what of the base has room. */
static void put_hash_behind(struct vf_buf *b, size_t max_len, const void *original, size_t len)
{
    cut(b, max_len - 1 - VF_NAME_HASH_LEN, "._-");
    vf_buf_puts(b, b->len ? "-" : "vm-");
    put_hash(b, original, len);
}

char *vf_name_to_label(const char *original, size_t max_len)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    bool lossy = put_label(&b, original);
    size_t full = b.len;
    cut(&b, max_len, "-");
    if (lossy || b.len != full || b.len == 0 || looks_hashed(&b)) {
        put_hash_behind(&b, max_len, original, strlen(original));
    }
    return vf_buf_take_string(&b);
}

static const char *name_of(const struct vf_vm *vm)
{
    return vm->name ? vm->name : "vm";
}

static const char *identity_of(const struct vf_vm *vm)
{
    const char *identity = vm->instance_uuid ? vm->instance_uuid : vm->moref;
    return identity ? identity : "";
}

char *vf_name_of_vm(const struct vf_vm *vm)
{
    return vf_name_to_label(name_of(vm), VF_NAME_VM_MAX);
}

/* `again`: 0, or the number of the attempt after a collision. */
static char *distinct_name(const struct vf_vm *vm, size_t again)
{
    struct vf_buf b, hashed;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_init(&hashed, SIZE_MAX);
    vf_buf_append(&hashed, name_of(vm), strlen(name_of(vm)) + 1); /* NUL parts it from the rest */
    vf_buf_puts(&hashed, identity_of(vm));
    if (again) {
        vf_buf_append(&hashed, "", 1);
        vf_buf_printf(&hashed, "%zu", again);
    }
    put_label(&b, name_of(vm));
    put_hash_behind(&b, VF_NAME_VM_MAX, hashed.data, hashed.len);
    vf_buf_release(&hashed);
    return vf_buf_take_string(&b);
}

char *vf_name_of_vm_distinct(const struct vf_vm *vm)
{
    return distinct_name(vm, 0);
}

/* A name that is spoken for; the table is never more than half full. */
struct slot {
    const char *name; /* NULL: free; borrowed */
    bool shared;      /* by several VMs, or with what was there before */
};

struct name_table {
    struct slot *slots;
    size_t n_slots; /* a power of two */
};

static struct slot *find_slot(const struct name_table *t, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *s = name; *s; s++) {
        hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    }
    size_t i = (size_t)hash & (t->n_slots - 1);
    while (t->slots[i].name && strcmp(t->slots[i].name, name) != 0) {
        i = (i + 1) & (t->n_slots - 1);
    }
    return &t->slots[i];
}

static void speak_for(const struct name_table *t, const char *name, bool shared)
{
    struct slot *s = find_slot(t, name);
    s->shared = shared || s->name != NULL;
    s->name = name;
}

/* A VM that has to have its distinct name. */
struct member {
    const struct vf_vm *vm;
    size_t index;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = strcmp(name_of(x->vm), name_of(y->vm));
    c = c ? c : strcmp(identity_of(x->vm), identity_of(y->vm));
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

static void assign_distinct(const struct name_table *t, struct member *members, size_t n,
                            char **names)
{
    qsort(members, n, sizeof *members, compare_members);
    for (size_t i = 0; i < n; i++) {
        for (size_t again = 0; !names[members[i].index]; again++) {
            char *name = distinct_name(members[i].vm, again);
            if (find_slot(t, name)->name) {
                free(name);
                continue;
            }
            speak_for(t, name, false);
            names[members[i].index] = name;
        }
    }
}

void vf_names_assign(const struct vf_vm *const *vms, size_t n, const char *const *taken,
                     size_t n_taken, char ***ret_names)
{
    struct name_table t = {.n_slots = 1};
    while (t.n_slots < 2 * (2 * n + n_taken + 1)) {
        t.n_slots *= 2;
    }
    t.slots = vf_xcalloc(t.n_slots, sizeof *t.slots);
    for (size_t i = 0; i < n_taken; i++) {
        speak_for(&t, taken[i], true);
    }
    char **plain = vf_xcalloc(n, sizeof *plain);
    for (size_t i = 0; i < n; i++) {
        plain[i] = vf_name_of_vm(vms[i]);
        speak_for(&t, plain[i], false);
    }
    char **names = vf_xcalloc(n, sizeof *names);
    struct member *members = vf_xcalloc(n, sizeof *members);
    size_t n_members = 0;
    for (size_t i = 0; i < n; i++) {
        if (find_slot(&t, plain[i])->shared) {
            members[n_members++] = (struct member){vms[i], i};
        } else {
            names[i] = vf_xstrdup(plain[i]);
        }
    }
    assign_distinct(&t, members, n_members, names);
    vf_names_free(plain, n);
    free(members);
    free(t.slots);
    *ret_names = names;
}

void vf_names_free(char **names, size_t n)
{
    for (size_t i = 0; names && i < n; i++) {
        free(names[i]);
    }
    free(names);
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

static const char label_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

bool vf_name_is_label_value(const char *s)
{
    size_t n = strlen(s);
    return n <= VF_NAME_LABEL_MAX && strspn(s, label_letters) == n &&
           (n == 0 || (!strchr("._-", s[0]) && !strchr("._-", s[n - 1])));
}

char *vf_name_to_label_value(const char *s)
{
    if (vf_name_is_label_value(s)) {
        return vf_xstrdup(s);
    }
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (const char *c = s; *c; c++) {
        if (strchr("._-", *c) && b.len == 0) {
            continue;
        }
        if (strchr(label_letters, *c)) {
            vf_buf_append(&b, c, 1);
        } else {
            put_dash(&b);
        }
    }
    cut(&b, VF_NAME_LABEL_MAX - 1 - VF_NAME_HASH_LEN, "._-");
    vf_buf_puts(&b, b.len ? "-" : "");
    put_hash(&b, s, strlen(s));
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
