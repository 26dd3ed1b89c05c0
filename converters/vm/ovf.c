#include "converters/vm/ovf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/ovf_names.h"
#include "converters/vm/ovf_parser.h"
#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/percent.h"
#include "importer/base/xml.h"

char *ovf_attr(const xmlNode *n, const char *name)
{
    for (const xmlAttr *a = n->properties; a; a = a->next) {
        const char *ns = a->ns ? (const char *)a->ns->href : NULL;
        if (strcmp((const char *)a->name, name) == 0 &&
            (!ns || strncmp(ns, OVF_NS_PREFIX, strlen(OVF_NS_PREFIX)) == 0)) {
            return vf_xml_attr(n, ns, name);
        }
    }
    return NULL;
}

/* Packages name their files by relative URI references, or plainly; some lead with "./". */
static char *decode_href(const char *href)
{
    char *name = vf_percent_decode(href);
    size_t skip = strncmp(name, "./", 2) == 0 ? 2 : 0;
    memmove(name, name + skip, strlen(name + skip) + 1);
    return name;
}

static int check_file(const xmlNode *n, const struct vf_ovf_file *f, struct vf_error **err)
{
    if (!f->id || !f->href || !*f->href) {
        return vf_error_set(err, VF_INVALID, "a File without id or href");
    }
    char *vf_autofree compression = ovf_attr(n, "compression");
    char *vf_autofree chunk = ovf_attr(n, "chunkSize");
    if (strstr(f->href, "://")) {
        return vf_error_set(err, VF_UNSUPPORTED, "file \"%s\" is not in the package", f->href);
    }
    if (chunk) {
        return vf_error_set(err, VF_UNSUPPORTED, "file \"%s\" is cut into chunks", f->href);
    }
    if (compression && *compression && !f->gzip && strcasecmp(compression, "identity") != 0) {
        return vf_error_set(err, VF_UNSUPPORTED, "file \"%s\" has compression \"%s\"", f->href,
                            compression);
    }
    return 0;
}

static struct vf_ovf_file *file_by_id(const struct vf_ovf *ovf, const char *id)
{
    for (size_t i = 0; i < ovf->n_files; i++) {
        if (strcmp(ovf->files[i].id, id) == 0) {
            return &ovf->files[i];
        }
    }
    return NULL;
}

static int parse_file(struct ovf_parser *p, const xmlNode *n, struct vf_error **err)
{
    struct vf_ovf *ovf = p->out;
    if (ovf->n_files == OVF_MAX_ITEMS) {
        return vf_error_set(err, VF_INVALID, "more than %d files", OVF_MAX_ITEMS);
    }
    ovf->files = vf_xrealloc_array(ovf->files, ovf->n_files + 1, sizeof *ovf->files);
    struct vf_ovf_file *f = &ovf->files[ovf->n_files];
    char *vf_autofree compression = ovf_attr(n, "compression");
    *f = (struct vf_ovf_file){.id = ovf_attr(n, "id"),
                              .href = ovf_attr(n, "href"),
                              .gzip = compression && strcasecmp(compression, "gzip") == 0};
    f->name = f->href ? decode_href(f->href) : NULL;
    bool twice = f->id && file_by_id(ovf, f->id);
    ovf->n_files++;
    int rc = check_file(n, f, err);
    if (rc) {
        return rc;
    }
    if (twice) {
        return vf_error_set(err, VF_INVALID, "file id \"%s\" is given twice", f->id);
    }
    char *vf_autofree size = ovf_attr(n, "size");
    if (size && *size && !ovf_parse_number(size, &f->size_bytes)) {
        return vf_error_set(err, VF_RANGE, "size \"%s\" of file \"%s\" is no number", size,
                            f->href);
    }
    return 0;
}

static int parse_references(struct ovf_parser *p, struct vf_error **err)
{
    const xmlNode *section = vf_xml_child(p->envelope, NULL, "References");
    int rc = 0;
    for (const xmlNode *n = vf_xml_child(section, NULL, "File"); rc == 0 && n;
         n = vf_xml_next(n, NULL, "File")) {
        rc = parse_file(p, n, err);
    }
    return rc;
}

/* "${key}": the value that the product section proposes (DSP0243, section 9.1). */
static char *property_value(const struct ovf_parser *p, const char *reference)
{
    size_t len = strlen(reference);
    for (const xmlNode *s = vf_xml_child(p->system, NULL, "ProductSection"); s;
         s = vf_xml_next(s, NULL, "ProductSection")) {
        for (const xmlNode *n = vf_xml_child(s, NULL, "Property"); n;
             n = vf_xml_next(n, NULL, "Property")) {
            char *vf_autofree key = ovf_attr(n, "key");
            if (key && strlen(key) == len - 3 && strncmp(key, reference + 2, len - 3) == 0) {
                return ovf_attr(n, "value");
            }
        }
    }
    return NULL;
}

static int parse_capacity(const struct ovf_parser *p, const xmlNode *n, struct ovf_disk *d,
                          struct vf_error **err)
{
    char *vf_autofree text = ovf_attr(n, "capacity");
    char *vf_autofree units = ovf_attr(n, "capacityAllocationUnits");
    size_t len = text ? strlen(text) : 0;
    if (len > 3 && strncmp(text, "${", 2) == 0 && text[len - 1] == '}') {
        char *value = property_value(p, text);
        free(text);
        text = value;
    }
    uint64_t factor;
    int rc = vf_ovf_parse_units(units, &factor, err);
    if (rc) {
        return rc;
    }
    uint64_t v;
    if (!text || !ovf_parse_number(text, &v)) {
        return vf_error_set(err, VF_RANGE, "capacity \"%s\" is no number", text ? text : "");
    }
    if (__builtin_mul_overflow(v, factor, &v) || v == 0 || v > OVF_MAX_DISK_BYTES || v % 512) {
        return vf_error_set(err, VF_RANGE, "capacity \"%s\" of \"%s\" is no size of a disk", text,
                            units ? units : "byte");
    }
    d->capacity_bytes = v;
    char *vf_autofree populated = ovf_attr(n, "populatedSize");
    if (populated && ovf_parse_number(populated, &v)) { /* an estimate, in bytes */
        d->populated_bytes = v;
    }
    return 0;
}

static int parse_disk(struct ovf_parser *p, const xmlNode *n, struct ovf_disk *d,
                      struct vf_error **err)
{
    char *vf_autofree parent = ovf_attr(n, "parentRef");
    if (parent) {
        vf_error_set(err, VF_UNSUPPORTED, "the disk is a difference to disk \"%s\"", parent);
        vf_error_hint(err, "export the VM again without snapshots or linked clones");
        return VF_UNSUPPORTED;
    }
    char *vf_autofree reference = ovf_attr(n, "fileRef");
    if (reference && *reference) {
        const struct vf_ovf_file *f = file_by_id(p->out, reference);
        if (!f) {
            return vf_error_set(err, VF_INVALID, "there is no file \"%s\"", reference);
        }
        d->file_href = vf_xstrdup(f->href);
    }
    return parse_capacity(p, n, d, err);
}

static int parse_disks(struct ovf_parser *p, struct vf_error **err)
{
    const xmlNode *section = vf_xml_child(p->envelope, NULL, "DiskSection");
    for (const xmlNode *n = vf_xml_child(section, NULL, "Disk"); n;
         n = vf_xml_next(n, NULL, "Disk")) {
        if (p->n_disks == OVF_MAX_ITEMS) {
            return vf_error_set(err, VF_INVALID, "more than %d disks", OVF_MAX_ITEMS);
        }
        p->disks = vf_xrealloc_array(p->disks, p->n_disks + 1, sizeof *p->disks);
        struct ovf_disk *d = &p->disks[p->n_disks];
        *d = (struct ovf_disk){.id = ovf_attr(n, "diskId")};
        if (!d->id) {
            return vf_error_set(err, VF_INVALID, "a Disk without diskId");
        }
        p->n_disks++;
        int rc = parse_disk(p, n, d, err);
        if (rc) {
            return vf_error_wrap(err, rc, "disk \"%s\"", d->id);
        }
    }
    return 0;
}

static char *system_name(const xmlNode *system)
{
    char *name = vf_xml_child_text(system, NULL, "Name");
    if (name && *name) {
        return name;
    }
    free(name);
    return ovf_attr(system, "id");
}

/* Nested collections are followed as deep as libxml2 lets them be (256). */
static void collect_systems(xmlNode *from, xmlNode **ret_system, size_t *ret_n,
                            struct vf_buf *names)
{
    for (xmlNode *n = from->children; n; n = n->next) {
        if (vf_xml_is(n, NULL, "VirtualSystemCollection")) {
            collect_systems(n, ret_system, ret_n, names);
        } else if (vf_xml_is(n, NULL, "VirtualSystem")) {
            char *vf_autofree name = system_name(n);
            vf_buf_printf(names, "%s\"%s\"", *ret_n ? ", " : "", name ? name : "");
            *ret_system = n;
            (*ret_n)++;
        }
    }
}

static int find_system(struct ovf_parser *p, struct vf_error **err)
{
    struct vf_buf names;
    vf_buf_init(&names, 4096);
    size_t n = 0;
    collect_systems(p->envelope, &p->system, &n, &names);
    int rc = 0;
    if (n == 0) {
        rc = vf_error_set(err, VF_INVALID, "the descriptor holds no virtual machine");
    } else if (n > 1) {
        rc = vf_error_set(err, VF_INVALID, "the descriptor holds %zu virtual machines: %s", n,
                          names.data);
        vf_error_hint(err, "export each of them on its own");
    }
    vf_buf_release(&names);
    return rc;
}

static int find_envelope(struct ovf_parser *p, const xmlDoc *doc, struct vf_error **err)
{
    p->envelope = doc->children;
    while (p->envelope && p->envelope->type != XML_ELEMENT_NODE) {
        p->envelope = p->envelope->next;
    }
    if (!p->envelope || !vf_xml_is(p->envelope, NULL, "Envelope")) {
        return vf_error_set(err, VF_INVALID, "not an OVF descriptor");
    }
    const char *ns = p->envelope->ns ? (const char *)p->envelope->ns->href : "";
    if (strncmp(ns, OVF_NS_PREFIX, strlen(OVF_NS_PREFIX)) != 0) {
        vf_error_set(err, VF_UNSUPPORTED, "the descriptor is not OVF 1 or 2, but \"%s\"", ns);
        vf_error_hint(err, "convert the package with a current ovftool");
        return VF_UNSUPPORTED;
    }
    if (vf_xml_child(p->envelope, NULL, "EncryptionSection")) {
        return vf_error_set(err, VF_UNSUPPORTED, "the package is encrypted");
    }
    return 0;
}

static void find_configuration(struct ovf_parser *p)
{
    const xmlNode *section = vf_xml_child(p->envelope, NULL, "DeploymentOptionSection");
    const xmlNode *first = vf_xml_child(section, NULL, "Configuration");
    const xmlNode *chosen = first;
    for (const xmlNode *n = first; n; n = vf_xml_next(n, NULL, "Configuration")) {
        char *vf_autofree is_default = ovf_attr(n, "default");
        if (is_default && (strcmp(is_default, "true") == 0 || strcmp(is_default, "1") == 0)) {
            chosen = n;
            break;
        }
    }
    if (chosen) {
        p->configuration = ovf_attr(chosen, "id");
        vf_concerns_add(&p->out->concerns, "ovf.deployment-option",
                        "of the deployment options \"%s\" is taken, the default",
                        p->configuration ? p->configuration : "");
    }
}

static void parse_system(struct ovf_parser *p)
{
    struct vf_vm *vm = &p->out->vm;
    vm->name = system_name(p->system);
    const xmlNode *os = vf_xml_child(p->system, NULL, "OperatingSystemSection");
    if (os) {
        vm->guest_id = vf_xml_attr(os, OVF_NS_VMW, "osType");
        vm->guest_name = vf_xml_child_text(os, NULL, "Description");
        char *vf_autofree text = NULL;
        if (!vm->guest_name) {
            text = vf_xml_child_text(os, OVF_NS_VBOX, "OSType");
            vm->guest_name = vf_take(text);
        }
    }
    vm->family = vf_vm_guest_family(vm->guest_id, vm->guest_name);
    vm->annotation =
        vf_xml_text(vf_xml_path(p->system, NULL, "AnnotationSection", "Annotation", (char *)NULL));
}

static void parser_release(struct ovf_parser *p)
{
    for (size_t i = 0; i < p->n_disks; i++) {
        free(p->disks[i].id);
        free(p->disks[i].file_href);
    }
    free(p->disks);
    free(p->items);
    free(p->keys);
    free(p->configuration);
}

static int parse_document(struct ovf_parser *p, const xmlDoc *doc, struct vf_error **err)
{
    int rc = find_envelope(p, doc, err);
    rc = rc ? rc : find_system(p, err);
    rc = rc ? rc : parse_references(p, err);
    rc = rc ? rc : parse_disks(p, err);
    if (rc == 0) {
        find_configuration(p);
        parse_system(p);
        rc = ovf_parse_hardware(p, err);
    }
    return rc;
}

int vf_ovf_parse(const char *data, size_t len, const char *what, struct vf_ovf *ret_ovf,
                 struct vf_error **err)
{
    xmlDoc *doc = NULL;
    int rc = vf_xml_parse(data, len, what, &doc, err);
    if (rc) {
        return rc;
    }
    struct vf_ovf ovf = {0};
    vf_vm_init(&ovf.vm);
    struct ovf_parser p = {.out = &ovf};
    rc = parse_document(&p, doc, err);
    parser_release(&p);
    xmlFreeDoc(doc);
    if (rc) {
        vf_ovf_release(&ovf);
        return vf_error_wrap(err, rc, "%s", what);
    }
    *ret_ovf = ovf;
    return 0;
}

void vf_ovf_release(struct vf_ovf *ovf)
{
    for (size_t i = 0; i < ovf->n_files; i++) {
        free(ovf->files[i].id);
        free(ovf->files[i].href);
        free(ovf->files[i].name);
    }
    free(ovf->files);
    vf_vm_release(&ovf->vm);
    vf_concerns_release(&ovf->concerns);
    *ovf = (struct vf_ovf){0};
}

const struct vf_ovf_file *vf_ovf_find_file(const struct vf_ovf *ovf, const char *name)
{
    for (size_t i = 0; i < ovf->n_files; i++) {
        if (strcmp(ovf->files[i].href, name) == 0 || strcmp(ovf->files[i].name, name) == 0) {
            return &ovf->files[i];
        }
    }
    return NULL;
}

const struct vf_vm_disk *vf_ovf_find_disk(const struct vf_ovf *ovf, const struct vf_ovf_file *file)
{
    for (size_t i = 0; i < ovf->vm.n_disks; i++) {
        const struct vf_vm_disk *d = &ovf->vm.disks[i];
        if (d->file && strcmp(d->file, file->href) == 0) {
            return d;
        }
    }
    return NULL;
}
