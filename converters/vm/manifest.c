#include "converters/vm/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/kubevirt_devices.h"
#include "converters/vm/kubevirt_vm.h"
#include "converters/vm/kubevirt_volumes.h"
#include "converters/vm/names.h"
#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"
#include "importer/base/yaml.h"

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

/* NULL, which is a default, is among any. */
static int check_word(const char *word, const char *what, const char *const *words,
                      struct vf_error **err)
{
    for (size_t i = 0; word && words[i]; i++) {
        if (strcmp(word, words[i]) == 0) {
            return 0;
        }
    }
    return word ? vf_error_set(err, VF_INVALID, "\"%s\" is no %s", word, what) : 0;
}

static int check_class(const char *name, struct vf_error **err)
{
    if (name && !vf_name_is_subdomain(name)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a storage class", name);
    }
    return 0;
}

/* Claims may be pre-bound to no class at all, which is "". */
static int check_disk(const struct vf_manifest_plan *plan, size_t i, struct vf_error **err)
{
    static const char *const volume_modes[] = {"Block", "Filesystem", NULL};
    static const char *const access_modes[] = {"ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany",
                                               "ReadWriteOncePod", NULL};
    const struct vf_manifest_disk *o = vf_kubevirt_disk_options(plan, i);
    if (!vf_name_is_subdomain(plan->claims[i])) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no name of a claim", plan->claims[i]);
    }
    if (o->image && has_control(o->image)) {
        return vf_error_set(err, VF_INVALID,
                            "the file of disk %zu has a name that cannot be written down", i);
    }
    int rc = check_word(o->volume_mode, "mode of a volume", volume_modes, err);
    if (rc == 0) {
        rc = check_word(o->access_mode, "access mode of a claim", access_modes, err);
    }
    return rc || !o->storage_class || !*o->storage_class ? rc : check_class(o->storage_class, err);
}

static int check_devices(const struct vf_mapping *m, struct vf_error **err)
{
    static const char *const buses[] = {"virtio", "sata", "scsi", "usb", NULL};
    static const char *const models[] = {"virtio",   "e1000", "e1000e",  "igb",
                                         "ne2k_pci", "pcnet", "rtl8139", NULL};
    int rc = check_word(m->disk_bus, "bus of a disk in KubeVirt", buses, err);
    return rc ? rc : check_word(m->nic_model, "model of a NIC in KubeVirt", models, err);
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
    int rc = check_class(plan->mapping->storage_class, err);
    if (rc == 0) {
        rc = check_devices(plan->mapping, err);
    }
    for (size_t i = 0; i < plan->vm->n_disks && rc == 0; i++) {
        rc = check_disk(plan, i, err);
    }
    return rc;
}

static bool is_alone(const struct vf_manifest_plan *plan)
{
    return plan->options->vm_only || plan->options->handover == VF_HANDOVER_ADOPT;
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
        const char *image = vf_kubevirt_disk_options(plan, i)->image;
        if (image) {
            vf_buf_printf(b, "#      virtctl image-upload dv %s%s --no-create --image-path=",
                          plan->claims[i], in_namespace);
            put_shell_word(b, image);
            vf_buf_puts(b, "\n");
        }
    }
}

static void put_steps(struct vf_buf *b, const struct vf_manifest_plan *plan)
{
    const struct vf_manifest_options *o = plan->options;
    char *vf_autofree in_namespace =
        o->namespace_name ? vf_xasprintf(" --namespace %s", o->namespace_name) : vf_xstrdup("");
    bool alone = is_alone(plan);
    unsigned step = 2;
    vf_buf_printf(b, "#\n# 1. %s\n#      kubectl apply --filename manifests.yaml\n",
                  alone ? "Create it. Its claims must be there, and filled:"
                        : "Create the objects. The DataVolumes then wait for their disks:");
    if (plan->vm->n_disks && !alone) {
        vf_buf_printf(b, "# %u. Upload the disks, from the folder of this file:\n", step++);
        put_uploads(b, plan, in_namespace);
    }
    if (strcmp(vf_kubevirt_run_strategy(plan), "Halted") == 0) {
        vf_buf_printf(b, "# %u. Start it:\n#      virtctl start %s%s\n", step, plan->name,
                      in_namespace);
    }
}

static char *build_comment(const struct vf_manifest_plan *plan, const struct vf_concerns *concerns)
{
    char *vf_autofree title = vf_xasprintf("Virtual machine \"%s\"%s%s, written by vmferry",
                                           plan->vm->name ? plan->vm->name : plan->name,
                                           plan->options->source ? " of " : "",
                                           plan->options->source ? plan->options->source : "");
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    put_comment(&b, " ", title);
    put_steps(&b, plan);
    if (concerns->n_items) {
        vf_buf_puts(&b, "#\n# Look at this before:\n");
    }
    for (size_t i = 0; i < concerns->n_items; i++) {
        put_comment(&b, " - ", concerns->items[i].text);
    }
    return vf_buf_take_string(&b);
}

static void fill(const struct vf_manifest_plan *plan, struct vf_manifests *m)
{
    size_t n = is_alone(plan) ? 0 : plan->vm->n_disks;
    vf_vm_concerns(plan->vm, strcmp(vf_kubevirt_disk_bus(plan), "virtio") == 0, &m->concerns);
    m->origins = plan->origins;
    m->documents = vf_xcalloc(n + 1, sizeof(cJSON *));
    for (size_t i = 0; i < n; i++) {
        m->documents[m->n_documents++] = vf_kubevirt_data_volume(plan, i);
    }
    m->documents[m->n_documents++] = vf_kubevirt_vm(plan, &m->concerns);
    m->comment = build_comment(plan, &m->concerns);
}

/* What the options say beside a mapping, as one; the networks are borrowed. */
static struct vf_mapping mapping_of_options(const struct vf_manifest_options *o)
{
    struct vf_mapping m = {.storage_class = vf_xstrdup(o->storage_class),
                           .timezone = vf_xstrdup(o->timezone),
                           .disk_bus = vf_xstrdup(o->disk_bus),
                           .nic_model = vf_xstrdup(o->nic_model)};
    if (o->networks) {
        m.networks = *o->networks;
    }
    return m;
}

static void free_mapping_of_options(struct vf_mapping *m)
{
    free(m->storage_class);
    free(m->timezone);
    free(m->disk_bus);
    free(m->nic_model);
}

static int build(struct vf_manifest_plan *plan, struct vf_manifests *ret_manifests,
                 struct vf_error **err)
{
    size_t n_disks = plan->vm->n_disks;
    plan->claims = vf_xcalloc(n_disks, sizeof(char *));
    for (size_t i = 0; i < n_disks; i++) {
        const char *claim = vf_kubevirt_disk_options(plan, i)->claim;
        plan->claims[i] = claim ? vf_xstrdup(claim) : vf_name_of_disk(plan->name, i);
    }
    struct vf_manifests m = {0};
    int rc = check_plan(plan, err);
    if (rc == 0) {
        rc = vf_network_map_resolve(&plan->mapping->networks, plan->vm, &plan->networks, err);
    }
    if (rc == 0) {
        plan->origins = vf_origins_new();
        fill(plan, &m);
        *ret_manifests = m;
    }
    for (size_t i = 0; i < n_disks; i++) {
        free(plan->claims[i]);
    }
    free(plan->claims);
    vf_network_choices_free(plan->networks, plan->vm->n_nics);
    return rc;
}

int vf_manifests_build(const struct vf_vm *vm, const struct vf_manifest_options *options,
                       struct vf_manifests *ret_manifests, struct vf_error **err)
{
    if (options->disks && options->n_disks != vm->n_disks) {
        return vf_error_set(err, VF_INVALID, "%zu disks are described, but the VM has %zu",
                            options->n_disks, vm->n_disks);
    }
    char *vf_autofree name = options->name ? vf_xstrdup(options->name) : vf_name_of_vm(vm);
    struct vf_mapping beside = mapping_of_options(options);
    struct vf_manifest_plan plan = {.vm = vm,
                                    .options = options,
                                    .mapping = options->mapping ? options->mapping : &beside,
                                    .name = name};
    int rc = build(&plan, ret_manifests, err);
    free_mapping_of_options(&beside);
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
    vf_origins_free(m->origins);
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
