#include "converters/vm/mapping.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/mapping_private.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

void vf_mapping_init(struct vf_mapping *m)
{
    *m = (struct vf_mapping){0};
}

/* --- release ------------------------------------------------------------------------------ */

static void release_list(const struct vf_mapping_field *f, void *base)
{
    char *items = vf_mapping_items(f, base);
    size_t n = *VF_MAPPING_MEMBER(size_t, base, f->n_offset);
    for (size_t i = 0; i < n; i++) {
        vf_mapping_release_fields(f->entries, items + i * f->entries->size);
    }
    free(items);
}

static void release_pairs(const struct vf_mapping_field *f, void *base)
{
    struct vf_map_pair *pairs = *VF_MAPPING_MEMBER(struct vf_map_pair *, base, f->offset);
    size_t n = *VF_MAPPING_MEMBER(size_t, base, f->n_offset);
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].key);
        free(pairs[i].value);
    }
    free(pairs);
}

static void release_target(struct vf_network_rule *rule)
{
    free(vf_take(rule->attachment));
    free(vf_take(rule->binding));
}

void vf_mapping_release_fields(const struct vf_mapping_fields *fields, void *base)
{
    for (size_t i = 0; i < fields->n_fields; i++) {
        const struct vf_mapping_field *f = &fields->fields[i];
        switch (f->kind) {
        case VF_MAPPING_TEXT:
        case VF_MAPPING_WORD:
        case VF_MAPPING_DOCUMENT:
            free(*VF_MAPPING_MEMBER(char *, base, f->offset));
            break;
        case VF_MAPPING_LIST:
            release_list(f, base);
            break;
        case VF_MAPPING_PAIRS:
            release_pairs(f, base);
            break;
        case VF_MAPPING_NETWORK:
            release_target(base);
            break;
        case VF_MAPPING_CHOICE:
        case VF_MAPPING_FLAG:
        case VF_MAPPING_TRISTATE:
        case VF_MAPPING_NUMBER:
            break;
        }
    }
}

void vf_mapping_release(struct vf_mapping *m)
{
    vf_mapping_release_fields(&vf_mapping_fields, m);
    vf_mapping_init(m);
}

/* --- one over another --------------------------------------------------------------------- */

int vf_mapping_lay(struct vf_mapping *m, const struct vf_mapping *over, struct vf_error **err)
{
    cJSON *tree = vf_mapping_encode(over);
    int rc = vf_mapping_parse(m, NULL, tree, err);
    cJSON_Delete(tree);
    return rc;
}

/* --- rules of the command line ------------------------------------------------------------ */

static int misread(const char *text, const char *form, struct vf_error **err)
{
    vf_error_set(err, VF_INVALID, "\"%s\" is no such rule", text);
    vf_error_hint(err, "write %s", form);
    return VF_INVALID;
}

/* "io-thread" is ioThread, "class" storageClass. */
static char *field_name(const char *option)
{
    char *name = vf_xstrdup(strcmp(option, "class") == 0 ? "storage-class" : option);
    char *to = name;
    for (const char *c = name; *c; c++) {
        bool dash = *c == '-' && c[1] >= 'a' && c[1] <= 'z';
        *to++ = dash ? (char)(*++c - 'a' + 'A') : *c;
    }
    *to = '\0';
    return name;
}

/* As the field wants it: the command line has nothing but texts. */
static void add_value(cJSON *entry, const char *name, const char *value)
{
    bool truth = !value || strcmp(value, "true") == 0 || strcmp(value, "yes") == 0;
    bool lie = value && (strcmp(value, "false") == 0 || strcmp(value, "no") == 0);
    size_t digits = value ? strspn(value, "0123456789") : 0;
    if (strcmp(name, "boot") == 0 && digits > 0 && digits < 10 && !value[digits]) {
        vf_json_add_u64(entry, name, strtoull(value, NULL, 10));
    } else if ((strcmp(name, "skip") == 0 || strcmp(name, "ioThread") == 0) && (truth || lie)) {
        vf_json_add_bool(entry, name, truth);
    } else {
        vf_json_add_string(entry, name, value ? value : "");
    }
}

static int add_word(cJSON *entry, char *word, struct vf_error **err)
{
    char *equals = strchr(word, '=');
    if (equals) {
        *equals = '\0';
    }
    char *vf_autofree name = field_name(word);
    if (!*name || strcmp(name, "disk") == 0 || cJSON_GetObjectItemCaseSensitive(entry, name)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" cannot be told %s", word,
                            *name && strcmp(name, "disk") != 0 ? "twice" : "here");
    }
    add_value(entry, name, equals ? equals + 1 : NULL);
    return 0;
}

int vf_mapping_add_disk(struct vf_mapping *m, const char *text, struct vf_error **err)
{
    static const char form[] = "DISK:skip, or DISK:KEY=VALUE,..., with the keys bus, class, "
                               "volume-mode, access-mode, claim, serial, boot, rdm and io-thread";
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1]) {
        return misread(text, form, err);
    }
    cJSON *entry = vf_json_new_object();
    char *vf_autofree disk = vf_xstrndup(text, (size_t)(colon - text));
    char *vf_autofree words = vf_xstrdup(colon + 1);
    char *rest = words, *word;
    int rc = 0;
    vf_json_add_string(entry, "disk", disk);
    while (rc == 0 && (word = strsep(&rest, ","))) {
        rc = add_word(entry, word, err);
    }
    if (rc == 0) {
        rc = vf_mapping_add_entry(m, "disks", entry, err);
    }
    if (rc) {
        vf_error_hint(err, "write %s", form);
        rc = vf_error_wrap(err, rc, "\"%s\"", text);
    }
    cJSON_Delete(entry);
    return rc;
}

int vf_mapping_add_storage(struct vf_mapping *m, const char *text, struct vf_error **err)
{
    static const char form[] = "DATASTORE=[CLASS][,Block|Filesystem]"
                               "[,ReadWriteOnce|ReadWriteMany|ReadWriteOncePod]";
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text) {
        return misread(text, form, err);
    }
    cJSON *entry = vf_json_new_object();
    char *vf_autofree datastore = vf_xstrndup(text, (size_t)(equals - text));
    char *vf_autofree words = vf_xstrdup(equals + 1);
    char *rest = words, *word = strsep(&rest, ",");
    int rc = 0;
    vf_json_add_string(entry, "datastore", datastore);
    vf_json_add_string(entry, "storageClass", *word ? word : NULL);
    while (rc == 0 && (word = strsep(&rest, ","))) {
        const char *name = strncmp(word, "Read", 4) == 0 ? "accessMode" : "volumeMode";
        if (cJSON_GetObjectItemCaseSensitive(entry, name)) {
            rc = vf_error_set(err, VF_INVALID, "there is more than one %s",
                              *name == 'a' ? "access mode" : "volume mode");
        } else {
            vf_json_add_string(entry, name, word);
        }
    }
    if (rc == 0) {
        rc = vf_mapping_add_entry(m, "storage", entry, err);
    }
    if (rc) {
        vf_error_hint(err, "write %s", form);
        rc = vf_error_wrap(err, rc, "\"%s\"", text);
    }
    cJSON_Delete(entry);
    return rc;
}

/* --- together ----------------------------------------------------------------------------- */

static int check_disk(const struct vf_mapping *m, size_t i, struct vf_error **err)
{
    const struct vf_disk_rule *d = &m->disks[i];
    if (d->skip == VF_YES && d->claim) {
        return vf_error_set(err, VF_INVALID,
                            "disk \"%s\" is to be left out, and to have the claim \"%s\"", d->disk,
                            d->claim);
    }
    if (d->skip == VF_YES && d->boot) {
        return vf_error_set(err, VF_INVALID, "disk \"%s\" is to be left out, and to be booted from",
                            d->disk);
    }
    if (d->rdm == VF_RDM_LUN && !d->claim) {
        vf_error_set(err, VF_INVALID, "disk \"%s\" is to be a LUN, but no claim is told", d->disk);
        vf_error_hint(err, "tell the claim of the LUN in the cluster by \"claim\"");
        return VF_INVALID;
    }
    for (size_t j = 0; d->claim && j < i; j++) {
        if (m->disks[j].claim && strcmp(m->disks[j].claim, d->claim) == 0) {
            return vf_error_set(err, VF_INVALID,
                                "disks \"%s\" and \"%s\" are to have the same claim \"%s\"",
                                m->disks[j].disk, d->disk, d->claim);
        }
    }
    for (size_t j = 0; d->boot && j < i; j++) {
        if (m->disks[j].boot == d->boot) {
            return vf_error_set(err, VF_INVALID,
                                "disks \"%s\" and \"%s\" have the same place in the boot order",
                                m->disks[j].disk, d->disk);
        }
    }
    return 0;
}

int vf_mapping_check(const struct vf_mapping *m, struct vf_error **err)
{
    if (m->numa && (!m->dedicated_cpus || !m->hugepages)) {
        vf_error_set(err, VF_INVALID,
                     "NUMA nodes cannot be shown without dedicated CPUs and "
                     "hugepages");
        vf_error_hint(err, "tell dedicated-cpus and hugepages, too");
        return VF_INVALID;
    }
    if (m->template_file || m->os_table_file) {
        return vf_error_set(err, VF_INVALID, "file \"%s\" cannot be read from here",
                            m->template_file ? m->template_file : m->os_table_file);
    }
    for (size_t i = 0; i < m->n_disks; i++) {
        int rc = check_disk(m, i, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}
