#include "converters/vm/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/kubevirt_vm.h"
#include "converters/vm/names.h"
#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"
#include "importer/base/yaml.h"

#define CDI_ANNOTATION(name) "cdi.kubevirt.io/" name

static const struct vf_manifest_disk no_disk = {0};

static const struct vf_manifest_disk *disk_options(const struct vf_manifest_plan *plan, size_t i)
{
    return plan->options->disks ? &plan->options->disks[i] : &no_disk;
}

/* An upload needs a place before anything consumes the claim; and the VM names the DataVolume,
 * which CDI before 1.62 may collect once it is done. */
static void add_claim_annotations(const struct vf_manifest_plan *plan, size_t i, cJSON *metadata)
{
    const struct vf_vm_disk *d = &plan->vm->disks[i];
    const struct vf_manifest_disk *o = disk_options(plan, i);
    cJSON *a = vf_json_add_object(metadata, "annotations");
    vf_json_add_string(a, CDI_ANNOTATION("storage.bind.immediate.requested"), "true");
    vf_json_add_string(a, CDI_ANNOTATION("storage.deleteAfterCompletion"), "false");
    vf_kubevirt_annotate(a, VF_ANNOTATION("disk-label"), d->label);
    vf_kubevirt_annotate(a, VF_ANNOTATION("disk-file"), d->file);
    vf_kubevirt_annotate(a, VF_ANNOTATION("datastore"), d->datastore);
    vf_kubevirt_annotate(a, VF_ANNOTATION("disk-uuid"), d->uuid);
    vf_kubevirt_annotate(a, VF_ANNOTATION("image"), o->image);
    vf_kubevirt_annotate(a, VF_ANNOTATION("image-format"), o->format);
    vf_kubevirt_annotate(a, VF_ANNOTATION("digest"), o->digest);
}

static cJSON *data_volume(const struct vf_manifest_plan *plan, size_t i)
{
    const struct vf_vm_disk *d = &plan->vm->disks[i];
    const struct vf_manifest_disk *o = disk_options(plan, i);
    cJSON *document = vf_json_new_object();
    vf_json_add_string(document, "apiVersion", "cdi.kubevirt.io/v1beta1");
    vf_json_add_string(document, "kind", "DataVolume");
    add_claim_annotations(plan, i, vf_kubevirt_metadata(document, plan, plan->claims[i]));
    cJSON *spec = vf_json_add_object(document, "spec");
    vf_json_add_object(vf_json_add_object(spec, "source"), o->image ? "upload" : "blank");
    vf_json_add_string(spec, "contentType", "kubevirt");
    cJSON *storage = vf_json_add_object(spec, "storage");
    vf_json_add_string(storage, "storageClassName", plan->options->storage_class);
    if (d->shared) {
        vf_json_add_string(storage, "volumeMode", "Block");
        vf_json_append_string(vf_json_add_array(storage, "accessModes"), "ReadWriteMany");
    }
    char *vf_autofree size =
        vf_kubevirt_quantity(o->size_bytes ? o->size_bytes : d->capacity_bytes);
    cJSON *requests = vf_json_add_object(vf_json_add_object(storage, "resources"), "requests");
    vf_json_add_string(requests, "storage", size);
    return document;
}

static bool has_control(const char *s)
{
    for (size_t len = strlen(s); len > 0;) {
        uint32_t c;
        size_t n = vf_utf8_decode(s, len, &c);
        if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029) {
            return true;
        }
        s += n;
        len -= n;
    }
    return false;
}

/* RFC 1123 subdomain */
static bool is_subdomain(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 253 && !strchr("-.", s[0]) && !strchr("-.", s[n - 1]) &&
           !strstr(s, "..") && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

static int check_plan(const struct vf_manifest_plan *plan, struct vf_error **err)
{
    const struct vf_manifest_options *o = plan->options;
    if (!vf_name_is_label(plan->name)) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is no name for a virtual machine in Kubernetes", plan->name);
    }
    if (o->namespace_name && !vf_name_is_label(o->namespace_name)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a namespace", o->namespace_name);
    }
    if (o->storage_class && !is_subdomain(o->storage_class)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a storage class",
                            o->storage_class);
    }
    for (size_t i = 0; i < plan->vm->n_disks; i++) {
        const char *image = disk_options(plan, i)->image;
        if (!is_subdomain(plan->claims[i])) {
            return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a claim", plan->claims[i]);
        }
        if (image && has_control(image)) {
            return vf_error_set(err, VF_INVALID,
                                "the file of disk %zu has a name that cannot be "
                                "written down",
                                i);
        }
    }
    return 0;
}

/* One line; what could end it or drive a terminal becomes a blank. */
static void put_comment(struct vf_buf *b, const char *lead, const char *text)
{
    char *vf_autofree clean = vf_utf8_clean(text);
    vf_buf_printf(b, "#%s", lead);
    size_t len = strlen(clean);
    for (const char *s = clean; len > 0;) {
        uint32_t c;
        size_t n = vf_utf8_decode(s, len, &c);
        bool bad = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff;
        vf_buf_append(b, bad ? " " : s, bad ? 1 : n);
        s += n;
        len -= n;
    }
    vf_buf_puts(b, "\n");
}

static void put_shell_word(struct vf_buf *b, const char *s)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/+=:,@";
    if (*s && strspn(s, plain) == strlen(s)) {
        vf_buf_puts(b, s);
        return;
    }
    vf_buf_puts(b, "'");
    for (; *s; s++) {
        if (*s == '\'') {
            vf_buf_puts(b, "'\\''");
        } else {
            vf_buf_append(b, s, 1);
        }
    }
    vf_buf_puts(b, "'");
}

static void put_uploads(struct vf_buf *b, const struct vf_manifest_plan *plan,
                        const char *in_namespace)
{
    for (size_t i = 0; i < plan->vm->n_disks; i++) {
        const char *image = disk_options(plan, i)->image;
        if (image) {
            vf_buf_printf(b, "#      virtctl image-upload dv %s%s --no-create --image-path=",
                          plan->claims[i], in_namespace);
            put_shell_word(b, image);
            vf_buf_puts(b, "\n");
        }
    }
}

static char *build_comment(const struct vf_manifest_plan *plan, const struct vf_concerns *concerns)
{
    const char *ns = plan->options->namespace_name;
    char *vf_autofree in_namespace = ns ? vf_xasprintf(" --namespace %s", ns) : vf_xstrdup("");
    char *vf_autofree title = vf_xasprintf("Virtual machine \"%s\"%s%s, written by vmferry",
                                           plan->vm->name ? plan->vm->name : plan->name,
                                           plan->options->source ? " of " : "",
                                           plan->options->source ? plan->options->source : "");
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    put_comment(&b, " ", title);
    vf_buf_puts(&b, "#\n# 1. Create the objects. The DataVolumes then wait for their disks:\n"
                    "#      kubectl apply --filename manifests.yaml\n");
    if (plan->vm->n_disks) {
        vf_buf_puts(&b, "# 2. Upload the disks, from the folder of this file:\n");
        put_uploads(&b, plan, in_namespace);
    }
    vf_buf_printf(&b, "# %d. Start it:\n#      virtctl start %s%s\n", plan->vm->n_disks ? 3 : 2,
                  plan->name, in_namespace);
    if (concerns->n_items) {
        vf_buf_puts(&b, "#\n# Look at this before:\n");
    }
    for (size_t i = 0; i < concerns->n_items; i++) {
        put_comment(&b, " - ", concerns->items[i]);
    }
    return vf_buf_take_string(&b);
}

static void fill(const struct vf_manifest_plan *plan, struct vf_manifests *m)
{
    size_t n = plan->vm->n_disks;
    vf_vm_concerns(plan->vm, &m->concerns);
    m->documents = vf_xcalloc(n + 1, sizeof(cJSON *));
    for (size_t i = 0; i < n; i++) {
        m->documents[m->n_documents++] = data_volume(plan, i);
    }
    m->documents[m->n_documents++] = vf_kubevirt_vm(plan, &m->concerns);
    m->comment = build_comment(plan, &m->concerns);
}

int vf_manifests_build(const struct vf_vm *vm, const struct vf_manifest_options *options,
                       struct vf_manifests *ret_manifests, struct vf_error **err)
{
    if (options->disks && options->n_disks != vm->n_disks) {
        return vf_error_set(err, VF_INVALID, "%zu disks are described, but the VM has %zu",
                            options->n_disks, vm->n_disks);
    }
    char *vf_autofree name = options->name ? vf_xstrdup(options->name) : vf_name_of_vm(vm);
    struct vf_manifest_plan plan = {.vm = vm,
                                    .options = options,
                                    .name = name,
                                    .claims = vf_xcalloc(vm->n_disks, sizeof(char *))};
    for (size_t i = 0; i < vm->n_disks; i++) {
        const char *claim = disk_options(&plan, i)->claim;
        plan.claims[i] = claim ? vf_xstrdup(claim) : vf_name_of_disk(name, i);
    }
    struct vf_manifests m = {0};
    int rc = check_plan(&plan, err);
    if (rc == 0) {
        fill(&plan, &m);
        *ret_manifests = m;
    }
    for (size_t i = 0; i < vm->n_disks; i++) {
        free(plan.claims[i]);
    }
    free(plan.claims);
    return rc;
}

void vf_manifests_release(struct vf_manifests *m)
{
    for (size_t i = 0; i < m->n_documents; i++) {
        cJSON_Delete(m->documents[i]);
    }
    free(m->documents);
    free(m->comment);
    vf_concerns_release(&m->concerns);
    *m = (struct vf_manifests){0};
}

int vf_manifests_render(const struct vf_manifests *m, char **ret_text, struct vf_error **err)
{
    const cJSON **documents = vf_xcalloc(m->n_documents, sizeof(cJSON *));
    for (size_t i = 0; i < m->n_documents; i++) {
        documents[i] = m->documents[i];
    }
    char *vf_autofree yaml = NULL;
    int rc = vf_yaml_print(documents, m->n_documents, &yaml, err);
    free(documents);
    if (rc == 0) {
        *ret_text = vf_xasprintf("%s---\n%s", m->comment, yaml);
    }
    return rc;
}
