/* Rows of the table are read by one list of fields; what a row does not tell stays NULL or false.
 */
#include "converters/vm/os_table.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/mapping_checks.h"
#include "converters/vm/names.h"
#include "converters/vm/os_table_text.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/suggest.h"
#include "importer/base/yaml_read.h"

#define API_VERSION "vmferry.io/v1alpha1"
#define KIND        "OSTable"

/* Ceilings, well above what a table of all guests of the world needs. */
#define MAX_ROWS          2000
#define MAX_PATTERNS      100 /* of a row */
#define MAX_PATTERN_BYTES 128
#define MAX_STARS         6 /* of a pattern: fnmatch() tries every way to spread a text over them */
#define MAX_INSTANCETYPES 1000
#define MAX_CPUS          65536
/* No pattern is tried on a longer text of the source. */
#define MAX_MATCHED_BYTES 256

#define MIB UINT64_C(1048576)
#define GIB UINT64_C(1073741824)

struct row {
    struct vf_os os; /* first: vf_os_instancetype leads from it to the row */
    const struct vf_os_table *table;
    char **patterns;
    size_t n_patterns;
};

struct instancetype {
    const char *name;
    uint64_t cpus, memory_bytes;
};

struct vf_os_table {
    struct vf_yaml *yaml; /* owns all texts but the patterns' array */
    struct row *rows;
    size_t n_rows;
    struct instancetype *instancetypes;
    size_t n_instancetypes;
};

enum field_kind { TEXT, FLAG, FAMILY, PATTERNS };

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset; /* in struct vf_os */
    bool (*is_valid)(const char *text);
    const char *expected;
};

static const char *const families[] = {"other", "linux", "windows"};

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_bus(const char *text)
{
    static const char *const buses[] = {"virtio", "sata", "scsi", "usb", NULL};
    return is_one_of(text, buses);
}

static bool is_nic_model(const char *text)
{
    static const char *const models[] = {"virtio",   "e1000", "e1000e",  "igb",
                                         "ne2k_pci", "pcnet", "rtl8139", NULL};
    return is_one_of(text, models);
}

static const struct field fields[] = {
    {"name", TEXT, offsetof(struct vf_os, name), vf_name_is_label, "a DNS label, such as rhel9"},
    {"match", PATTERNS, 0, NULL, NULL},
    {"family", FAMILY, offsetof(struct vf_os, family), NULL, "linux, windows or other"},
    {"preference", TEXT, offsetof(struct vf_os, preference), vf_name_is_subdomain,
     "a name of a VirtualMachineClusterPreference"},
    {"instancetype", TEXT, offsetof(struct vf_os, instancetype), vf_name_is_label,
     "a series of instance types, such as u1"},
    {"diskBus", TEXT, offsetof(struct vf_os, disk_bus), is_bus, "virtio, sata, scsi or usb"},
    {"nicModel", TEXT, offsetof(struct vf_os, nic_model), is_nic_model,
     "virtio, e1000, e1000e, igb, ne2k_pci, pcnet or rtl8139"},
    {"virtioTransitional", FLAG, offsetof(struct vf_os, virtio_transitional), NULL, NULL},
    {"hyperv", FLAG, offsetof(struct vf_os, hyperv), NULL, NULL},
    {"hostOnlyBootImage", FLAG, offsetof(struct vf_os, host_only_boot_image), NULL, NULL},
    {"unsupported", FLAG, offsetof(struct vf_os, unsupported), NULL, NULL},
    {"templateFile", TEXT, offsetof(struct vf_os, template_file), vf_mapping_is_file_name,
     "a file's name, without a folder"},
};
#define N_FIELDS (sizeof fields / sizeof *fields)

static int unknown_field(const struct vf_yaml *y, const cJSON *item, const char *const *names,
                         size_t n, struct vf_error **err)
{
    const char *near = vf_suggest(item->string, names, n);
    int rc = vf_yaml_error(y, item, VF_INVALID, err, "there is no field \"%s\"", item->string);
    if (near) {
        vf_error_hint(err, "did you mean \"%s\"?", near);
    }
    return rc;
}

static int check_pattern(const struct vf_yaml *y, const cJSON *item, struct vf_error **err)
{
    size_t stars = 0, brackets = 0;
    if (!cJSON_IsString(item) || !item->valuestring[0]) {
        return vf_yaml_error(y, item, VF_INVALID, err,
                             "a pattern of guest IDs or names is expected, such as \"rhel9*\"");
    }
    for (const char *c = item->valuestring; *c; c++) {
        stars += *c == '*';
        brackets += *c == '[';
    }
    if (strlen(item->valuestring) > MAX_PATTERN_BYTES || stars > MAX_STARS) {
        return vf_yaml_error(y, item, VF_INVALID, err,
                             "a pattern has at most %d characters and %d stars", MAX_PATTERN_BYTES,
                             MAX_STARS);
    }
    if (brackets && !strchr(item->valuestring, ']')) {
        return vf_yaml_error(y, item, VF_INVALID, err, "the pattern's \"[\" has no \"]\"");
    }
    return 0;
}

static int read_patterns(struct row *row, const struct vf_yaml *y, const cJSON *list,
                         struct vf_error **err)
{
    size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    if (n == 0 || n > MAX_PATTERNS) {
        return vf_yaml_error(y, list, VF_INVALID, err, "a list of 1 to %d patterns is expected",
                             MAX_PATTERNS);
    }
    row->patterns = vf_xcalloc(n, sizeof *row->patterns);
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        int rc = check_pattern(y, item, err);
        if (rc) {
            return rc;
        }
        row->patterns[row->n_patterns++] = item->valuestring;
    }
    return 0;
}

static int read_text(const struct field *f, void *at, const struct vf_yaml *y, const cJSON *item,
                     struct vf_error **err)
{
    if (!cJSON_IsString(item) || (f->is_valid && !f->is_valid(item->valuestring))) {
        return vf_yaml_error(y, item, VF_INVALID, err, "%s: expected is %s", f->name, f->expected);
    }
    *(const char **)at = item->valuestring;
    return 0;
}

static int read_family(enum vf_guest_family *family, const struct vf_yaml *y, const cJSON *item,
                       struct vf_error **err)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, families[i]) == 0) {
            *family = (enum vf_guest_family)i;
            return 0;
        }
    }
    return vf_yaml_error(y, item, VF_INVALID, err, "family: expected is linux, windows or other");
}

static int read_field(const struct field *f, struct row *row, const struct vf_yaml *y,
                      const cJSON *item, struct vf_error **err)
{
    char *at = (char *)&row->os + f->offset;
    switch (f->kind) {
    case PATTERNS:
        return read_patterns(row, y, item, err);
    case FAMILY:
        return read_family((enum vf_guest_family *)(void *)at, y, item, err);
    case FLAG:
        if (!cJSON_IsBool(item)) {
            return vf_yaml_error(y, item, VF_INVALID, err, "%s: expected is true or false",
                                 f->name);
        }
        *(bool *)at = cJSON_IsTrue(item);
        return 0;
    case TEXT:
    default:
        return read_text(f, at, y, item, err);
    }
}

static int read_row_field(struct row *row, const struct vf_yaml *y, const cJSON *item,
                          struct vf_error **err)
{
    const char *names[N_FIELDS];
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (strcmp(item->string, fields[i].name) == 0) {
            return read_field(&fields[i], row, y, item, err);
        }
        names[i] = fields[i].name;
    }
    return unknown_field(y, item, names, N_FIELDS, err);
}

static bool is_for_any(const struct row *row)
{
    for (size_t i = 0; i < row->n_patterns; i++) {
        if (strcmp(row->patterns[i], "*") == 0) {
            return true;
        }
    }
    return false;
}

static int check_row(const struct vf_os_table *t, const struct row *row, bool last,
                     const cJSON *node, struct vf_error **err)
{
    if (!row->os.name || !row->n_patterns) {
        return vf_yaml_error(t->yaml, node, VF_INVALID, err, "a row needs \"name\" and \"match\"");
    }
    if (vf_os_by_name(t, row->os.name)) {
        return vf_yaml_error(t->yaml, node, VF_INVALID, err, "there is another row \"%s\"",
                             row->os.name);
    }
    if (is_for_any(row) != last) {
        return vf_yaml_error(t->yaml, node, VF_INVALID, err,
                             "the last row, and no other, is to match \"*\": any guest");
    }
    return 0;
}

static int read_rows(struct vf_os_table *t, const cJSON *list, struct vf_error **err)
{
    size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    if (n == 0 || n > MAX_ROWS) {
        return vf_yaml_error(t->yaml, list ? list : vf_yaml_tree(t->yaml), VF_INVALID, err,
                             "\"rows\" is to be a list of 1 to %d rows", MAX_ROWS);
    }
    t->rows = vf_xcalloc(n, sizeof *t->rows);
    const cJSON *node, *item;
    cJSON_ArrayForEach(node, list)
    {
        struct row row = {.table = t};
        int rc = cJSON_IsObject(node)
                     ? 0
                     : vf_yaml_error(t->yaml, node, VF_INVALID, err, "a row is to be a mapping");
        for (item = node->child; rc == 0 && item; item = item->next) {
            rc = read_row_field(&row, t->yaml, item, err);
        }
        if (rc == 0) {
            rc = check_row(t, &row, !node->next, node, err);
        }
        if (rc) {
            free(row.patterns);
            return rc;
        }
        t->rows[t->n_rows++] = row;
    }
    return 0;
}

/* "512Mi", "16Gi" */
static bool parse_memory(const char *text, uint64_t *ret)
{
    char *end = NULL;
    unsigned long long n = *text >= '1' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (n == 0 || n > (1u << 20)) {
        return false;
    }
    *ret = n * (strcmp(end, "Gi") == 0 ? GIB : MIB);
    return strcmp(end, "Gi") == 0 || strcmp(end, "Mi") == 0;
}

static int read_instancetype(struct vf_os_table *t, const cJSON *node, struct vf_error **err)
{
    struct instancetype i = {.name = vf_json_string(node, "name")};
    const char *memory = vf_json_string(node, "memory");
    if (!i.name || !vf_name_is_subdomain(i.name) || !vf_json_u64(node, "cpus", &i.cpus) ||
        i.cpus == 0 || i.cpus > MAX_CPUS || !memory || !parse_memory(memory, &i.memory_bytes) ||
        cJSON_GetArraySize(node) != 3) {
        return vf_yaml_error(t->yaml, node, VF_INVALID, err,
                             "an instance type is to be {name: u1.small, cpus: 1, memory: 2Gi}");
    }
    t->instancetypes[t->n_instancetypes++] = i;
    return 0;
}

static int read_instancetypes(struct vf_os_table *t, const cJSON *list, struct vf_error **err)
{
    size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : 0;
    if (list && (!cJSON_IsArray(list) || n > MAX_INSTANCETYPES)) {
        return vf_yaml_error(t->yaml, list, VF_INVALID, err,
                             "a list of at most %d instance types is expected", MAX_INSTANCETYPES);
    }
    t->instancetypes = vf_xcalloc(n, sizeof *t->instancetypes);
    const cJSON *node;
    cJSON_ArrayForEach(node, list)
    {
        int rc = read_instancetype(t, node, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int read_table(struct vf_os_table *t, struct vf_error **err)
{
    static const char *const names[] = {"apiVersion", "kind", "rows", "instancetypes"};
    const cJSON *tree = vf_yaml_tree(t->yaml);
    const char *version = vf_json_string(tree, "apiVersion"), *kind = vf_json_string(tree, "kind");
    if (!version || !kind || strcmp(version, API_VERSION) != 0 || strcmp(kind, KIND) != 0) {
        return vf_yaml_error(t->yaml, tree, VF_INVALID, err,
                             "expected is \"apiVersion: " API_VERSION "\" and \"kind: " KIND "\"");
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, tree)
    {
        const char *known = vf_suggest(item->string, names, sizeof names / sizeof *names);
        if (!known || strcmp(known, item->string) != 0) {
            return unknown_field(t->yaml, item, names, sizeof names / sizeof *names, err);
        }
    }
    int rc = read_rows(t, cJSON_GetObjectItemCaseSensitive(tree, "rows"), err);
    if (rc == 0) {
        rc = read_instancetypes(t, cJSON_GetObjectItemCaseSensitive(tree, "instancetypes"), err);
    }
    return rc;
}

int vf_os_table_new(const char *text, const char *what, struct vf_os_table **ret_table,
                    struct vf_error **err)
{
    struct vf_os_table *t = vf_xcalloc(1, sizeof *t);
    const char *data = text ? text : vf_os_table_text;
    size_t len = text ? strlen(text) : vf_os_table_text_len;
    int rc = vf_yaml_parse(data, len, text ? what : "the built-in OS table", &t->yaml, err);
    if (rc == 0) {
        rc = read_table(t, err);
    }
    if (rc) {
        vf_os_table_free(t);
        return rc;
    }
    *ret_table = t;
    return 0;
}

void vf_os_table_free(struct vf_os_table *t)
{
    if (!t) {
        return;
    }
    for (size_t i = 0; i < t->n_rows; i++) {
        free(t->rows[i].patterns);
    }
    free(t->rows);
    free(t->instancetypes);
    vf_yaml_free(t->yaml);
    free(t);
}

static const struct row *find_by(const struct vf_os_table *t, const char *text)
{
    bool fits = text && *text && strlen(text) <= MAX_MATCHED_BYTES;
    for (size_t i = 0; fits && i + 1 < t->n_rows; i++) {
        for (size_t p = 0; p < t->rows[i].n_patterns; p++) {
            if (fnmatch(t->rows[i].patterns[p], text, FNM_CASEFOLD) == 0) {
                return &t->rows[i];
            }
        }
    }
    return NULL;
}

const struct vf_os *vf_os_find(const struct vf_os_table *t, const struct vf_vm *vm)
{
    const struct row *row = find_by(t, vm->guest_id);
    if (!row) {
        row = find_by(t, vm->guest_name);
    }
    return row ? &row->os : &t->rows[t->n_rows - 1].os;
}

const struct vf_os *vf_os_by_name(const struct vf_os_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_rows; i++) {
        if (strcmp(t->rows[i].os.name, name) == 0) {
            return &t->rows[i].os;
        }
    }
    return NULL;
}

int vf_os_choose(const struct vf_os_table *t, const char *name, const struct vf_vm *vm,
                 const struct vf_os **ret_os, struct vf_error **err)
{
    const char **names = vf_xcalloc(t->n_rows, sizeof *names);
    const struct vf_os *os = name ? NULL : vf_os_find(t, vm);
    for (size_t i = 0; i < t->n_rows && name && !os; i++) {
        names[i] = t->rows[i].os.name;
        os = strcmp(names[i], name) == 0 ? &t->rows[i].os : NULL;
    }
    if (os) {
        free(names);
        *ret_os = os;
        return 0;
    }
    const char *near = vf_suggest(name, names, t->n_rows);
    vf_error_set(err, VF_INVALID, "the table of guest operating systems has no row \"%s\"", name);
    if (near) {
        vf_error_hint(err, "did you mean \"%s\"?", near);
    } else {
        vf_error_hint(err, "leave --os out to go by the guest's ID, or take the name of a row of "
                           "deploy/os-table.yaml");
    }
    free(names);
    return VF_INVALID;
}

const struct vf_os *vf_os_row(const struct vf_os_table *t, size_t i)
{
    return i < t->n_rows ? &t->rows[i].os : NULL;
}

char *vf_os_instancetype(const struct vf_os *os, uint32_t cpus, uint64_t memory_bytes)
{
    const struct vf_os_table *t = ((const struct row *)(const void *)os)->table;
    const char *series = os->instancetype ? os->instancetype : "u1";
    size_t len = strlen(series);
    const struct instancetype *best = NULL;
    for (size_t i = 0; i < t->n_instancetypes; i++) {
        const struct instancetype *one = &t->instancetypes[i];
        bool of_series = strncmp(one->name, series, len) == 0 && one->name[len] == '.';
        bool holds = of_series && one->cpus >= cpus && one->memory_bytes >= memory_bytes;
        if (holds && (!best || one->memory_bytes < best->memory_bytes ||
                      (one->memory_bytes == best->memory_bytes && one->cpus < best->cpus))) {
            best = one;
        }
    }
    return best ? vf_xstrdup(best->name) : NULL;
}
