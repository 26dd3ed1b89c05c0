#include "converters/vm/kubevirt_metadata.h"

#include <arpa/inet.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

/* All annotations of an object share 256 KiB, some of it others'. */
#define MAX_ANNOTATION_BYTES  16384
#define MAX_ANNOTATIONS_BYTES 196608
#define MIN_ANNOTATION_BYTES  16

#define TAG_PREFIX       "tag.vmferry.io/"
#define ATTRIBUTE_PREFIX "attribute.vmferry.io/"

static void add_own_labels(const struct vf_manifest_plan *plan, cJSON *labels)
{
    for (size_t i = 0; i < plan->mapping->n_labels; i++) {
        const struct vf_map_pair *label = &plan->mapping->labels[i];
        if (!cJSON_GetObjectItemCaseSensitive(labels, label->key)) {
            vf_json_add_string(labels, label->key, label->value ? label->value : "");
            vf_origin_note_member(plan->origins, labels, label->key, VF_ORIGIN_OPTION, "--label");
        }
    }
}

cJSON *vf_kubevirt_metadata(cJSON *document, const struct vf_manifest_plan *plan, const char *name)
{
    cJSON *metadata = vf_json_add_object(document, "metadata");
    vf_json_add_string(metadata, "name", name);
    vf_json_add_string(metadata, "namespace", plan->options->namespace_name);
    vf_origin_note_member(plan->origins, metadata, "namespace", VF_ORIGIN_OPTION, "--namespace");
    cJSON *labels = vf_json_add_object(metadata, "labels");
    vf_json_add_string(labels, "app.kubernetes.io/name", plan->name);
    vf_json_add_string(labels, "app.kubernetes.io/managed-by", "vmferry");
    add_own_labels(plan, labels);
    /* Jobs give the name that a VM has by itself, too. */
    char *vf_autofree own = vf_name_of_vm(plan->vm);
    for (size_t i = 0; i < 2; i++) {
        const cJSON *of = i ? labels : metadata;
        const char *key = i ? "app.kubernetes.io/name" : "name";
        if (strcmp(plan->name, own) != 0) {
            vf_origin_note_member(plan->origins, of, key, VF_ORIGIN_OPTION, "--name");
        } else {
            vf_origin_note_member(plan->origins, of, key, VF_ORIGIN_SOURCE, "name \"%s\"",
                                  plan->vm->name ? plan->vm->name : "");
        }
    }
    return metadata;
}

static size_t bytes_of(const cJSON *annotations)
{
    size_t n = 0;
    for (const cJSON *a = annotations->child; a; a = a->next) {
        n += strlen(a->string) + strlen(a->valuestring);
    }
    return n;
}

bool vf_kubevirt_annotate(cJSON *annotations, const char *key, const char *value)
{
    if (!value || !*value) {
        return true;
    }
    size_t used = bytes_of(annotations) + strlen(key);
    size_t room = used < MAX_ANNOTATIONS_BYTES ? MAX_ANNOTATIONS_BYTES - used : 0;
    room = room < MAX_ANNOTATION_BYTES ? room : MAX_ANNOTATION_BYTES;
    if (room < MIN_ANNOTATION_BYTES) {
        return false;
    }
    char *vf_autofree text = vf_name_to_annotation(value, room);
    vf_json_add_string(annotations, key, text);
    return strlen(value) <= room;
}

/* What is being described. */
struct description {
    const struct vf_manifest_plan *plan;
    cJSON *labels, *annotations;
    size_t n_cut; /* annotations that are not there, or not whole */
};

/* `origin` is what the source calls it; NULL: its annotation is none of the source's. */
static void annotate(struct description *d, const char *key, const char *value, const char *origin)
{
    if (cJSON_GetObjectItemCaseSensitive(d->annotations, key)) {
        return;
    }
    d->n_cut += !vf_kubevirt_annotate(d->annotations, key, value);
    if (origin) {
        vf_origin_note_member(d->plan->origins, d->annotations, key, VF_ORIGIN_SOURCE, "%s",
                              origin);
    }
}

static void describe_tags(struct description *d)
{
    const struct vf_vm *vm = d->plan->vm;
    struct vf_buf all;
    vf_buf_init(&all, 2 * (size_t)MAX_ANNOTATION_BYTES);
    for (size_t i = 0; i < vm->n_tags; i++) {
        const char *tag = vm->tags[i], *slash = strchr(tag, '/');
        char *vf_autofree category =
            slash ? vf_xstrndup(tag, (size_t)(slash - tag)) : vf_xstrdup("tag");
        char *vf_autofree name = vf_name_to_label_value(category);
        char *vf_autofree key = vf_xasprintf(TAG_PREFIX "%s", name);
        char *vf_autofree value = vf_name_to_label_value(slash ? slash + 1 : tag);
        vf_buf_printf(&all, "%s%s", i ? ", " : "", tag);
        if (!d->plan->mapping->no_tags && *name && *value &&
            !cJSON_GetObjectItemCaseSensitive(d->labels, key)) {
            vf_json_add_string(d->labels, key, value);
            vf_origin_note_member(d->plan->origins, d->labels, key, VF_ORIGIN_SOURCE, "tag \"%s\"",
                                  tag);
        }
    }
    annotate(d, VF_ANNOTATION("tags"), all.data, "tags");
    d->n_cut += all.overflow;
    vf_buf_release(&all);
}

static void describe_attributes(struct description *d)
{
    const struct vf_vm *vm = d->plan->vm;
    for (size_t i = 0; i < vm->n_attributes; i++) {
        const struct vf_vm_attribute *a = &vm->attributes[i];
        if (!a->name || !*a->name || !a->value || !*a->value) {
            continue;
        }
        char *vf_autofree name = vf_name_to_label_value(a->name);
        char *vf_autofree key = vf_xasprintf(ATTRIBUTE_PREFIX "%s", name);
        char *vf_autofree origin = vf_xasprintf("custom attribute \"%s\"", a->name);
        if (d->plan->mapping->no_tags || !vf_name_is_label_value(a->value)) {
            annotate(d, key, a->value, origin);
        } else if (!cJSON_GetObjectItemCaseSensitive(d->labels, key)) {
            vf_json_add_string(d->labels, key, a->value);
            vf_origin_note_member(d->plan->origins, d->labels, key, VF_ORIGIN_SOURCE, "%s", origin);
        }
    }
}

static void put_words(struct vf_buf *b, char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vf_buf_printf(b, "%s%s", b->len ? ", " : "", words[i]);
    }
}

/* Addresses that nobody but the guest knows: given by hand, or of an origin that is not told. */
static bool is_own(const struct vf_vm_address *a)
{
    return a->ip && (a->origin == VF_ADDRESS_STATIC || a->origin == VF_ADDRESS_UNKNOWN);
}

static bool describe_addresses(struct description *d, size_t i)
{
    const struct vf_vm_nic *nic = &d->plan->vm->nics[i];
    struct vf_buf b;
    vf_buf_init(&b, MAX_ANNOTATION_BYTES);
    for (size_t k = 0; k < nic->n_addresses; k++) {
        const struct vf_vm_address *a = &nic->addresses[k];
        if (is_own(a)) {
            vf_buf_printf(&b, "%s%s", b.len ? ", " : "", a->ip);
            if (a->prefix_len) {
                vf_buf_printf(&b, "/%u", a->prefix_len);
            }
        }
    }
    bool any = b.len > 0;
    char *vf_autofree key = vf_xasprintf(VF_ANNOTATION("network-%zu-addresses"), i);
    annotate(d, key, b.data, "addresses of the guest, told by its tools");
    vf_buf_clear(&b);
    if (any && (nic->gateway4 || nic->gateway6)) {
        char *vf_autofree gateways = vf_xasprintf(VF_ANNOTATION("network-%zu-gateways"), i);
        put_words(&b, &nic->gateway4, nic->gateway4 ? 1 : 0);
        put_words(&b, &nic->gateway6, nic->gateway6 ? 1 : 0);
        annotate(d, gateways, b.data, "routes of the guest, told by its tools");
    }
    vf_buf_release(&b);
    return any;
}

static void describe_networks(struct description *d)
{
    const struct vf_vm *vm = d->plan->vm;
    bool any = false;
    for (size_t i = 0; i < vm->n_nics; i++) {
        char *vf_autofree key = vf_xasprintf(VF_ANNOTATION("network-%zu"), i);
        annotate(d, key, vm->nics[i].network, "network of the NIC");
        any |= describe_addresses(d, i);
    }
    struct vf_buf b;
    vf_buf_init(&b, MAX_ANNOTATION_BYTES);
    if (any) {
        put_words(&b, vm->dns_servers, vm->n_dns_servers);
        annotate(d, VF_ANNOTATION("dns-servers"), b.data, "resolver of the guest");
        vf_buf_clear(&b);
        put_words(&b, vm->dns_search, vm->n_dns_search);
        annotate(d, VF_ANNOTATION("dns-search"), b.data, "resolver of the guest");
    }
    vf_buf_release(&b);
}

static void describe_place(struct description *d)
{
    const struct vf_vm *vm = d->plan->vm;
    annotate(d, VF_ANNOTATION("original-name"), vm->name, "name");
    annotate(d, VF_ANNOTATION("source"), d->plan->options->source, "where it was read from");
    annotate(d, VF_ANNOTATION("source-moref"), vm->moref, "its managed object reference");
    annotate(d, VF_ANNOTATION("instance-uuid"), vm->instance_uuid, "config.instanceUuid");
    annotate(d, VF_ANNOTATION("bios-uuid"), vm->bios_uuid, "config.uuid");
    annotate(d, VF_ANNOTATION("folder"), vm->folder, "inventory path");
    annotate(d, VF_ANNOTATION("host"), vm->host, "runtime.host");
    annotate(d, VF_ANNOTATION("cluster"), vm->cluster, "cluster of the host");
    annotate(d, VF_ANNOTATION("hardware"), vm->hardware, "config.version");
    annotate(d, VF_ANNOTATION("guest-id"), vm->guest_id, "config.guestId");
    annotate(d, VF_ANNOTATION("guest"), vm->guest_name, "config.guestFullName");
}

void vf_kubevirt_describe(const struct vf_manifest_plan *plan, cJSON *metadata,
                          struct vf_concerns *concerns)
{
    struct description d = {.plan = plan,
                            .labels = cJSON_GetObjectItemCaseSensitive(metadata, "labels"),
                            .annotations = vf_json_add_object(metadata, "annotations")};
    for (size_t i = 0; i < plan->mapping->n_annotations; i++) {
        const struct vf_map_pair *a = &plan->mapping->annotations[i];
        if (a->value && *a->value) {
            annotate(&d, a->key, a->value, NULL);
        } else if (!cJSON_GetObjectItemCaseSensitive(d.annotations, a->key)) {
            vf_json_add_string(d.annotations, a->key, ""); /* told so, unlike one of the source's */
        }
        vf_origin_note_member(plan->origins, d.annotations, a->key, VF_ORIGIN_OPTION,
                              "--annotation");
    }
    describe_place(&d);
    describe_tags(&d);
    describe_attributes(&d);
    describe_networks(&d);
    annotate(&d, VF_ANNOTATION("notes"), plan->vm->annotation, "config.annotation");
    if (d.n_cut) {
        vf_concerns_add(concerns, "vm.annotations-cut",
                        "%zu annotation%s cut or left out: notes, tags or attributes are longer "
                        "than Kubernetes takes",
                        d.n_cut, d.n_cut == 1 ? " is" : "s are");
    }
    if (!d.annotations->child) {
        cJSON_DeleteItemFromObjectCaseSensitive(metadata, "annotations");
    }
}

void vf_kubevirt_template_labels(const struct vf_manifest_plan *plan, cJSON *template)
{
    cJSON *labels = vf_json_add_object(vf_json_add_object(template, "metadata"), "labels");
    vf_json_add_string(labels, "app.kubernetes.io/name", plan->name);
    vf_origin_note_member(plan->origins, labels, "app.kubernetes.io/name", VF_ORIGIN_SOURCE,
                          "the VM's name");
    add_own_labels(plan, labels);
}

void vf_kubevirt_hostname(const struct vf_manifest_plan *plan, cJSON *spec)
{
    const char *name = plan->vm->guest_hostname ? plan->vm->guest_hostname : "";
    struct in_addr address; /* of a guest that has no other name */
    if (inet_pton(AF_INET, name, &address) == 1) {
        return;
    }
    char *vf_autofree label = vf_xstrndup(name, strcspn(name, "."));
    for (char *c = label; *c; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    if (vf_name_is_label(label) && strcmp(label, "localhost") != 0) {
        vf_json_add_string(spec, "hostname", label);
        vf_origin_note_member(plan->origins, spec, "hostname", VF_ORIGIN_SOURCE,
                              "guest.hostName %s", name);
    }
}
