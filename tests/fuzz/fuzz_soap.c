/* Answers of vSphere: SOAP with its faults, VMs with devices, snapshots and usage, leases, the list
 * of API versions. The first byte chooses how the rest is read. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/lease_info.h"
#include "importer/vsphere/places.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/version.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_disks(const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vm->disks[i].capacity_bytes > INT64_MAX) {
            abort();
        }
    }
}

static bool is_ip(const char *text)
{
    unsigned char bytes[16];
    return !text || inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* What goes into a guest's configuration is nothing but addresses. */
static void check_network(const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_nics; i++) {
        const struct vf_vm_nic *n = &vm->nics[i];
        bool good = is_ip(n->gateway4) && is_ip(n->gateway6);
        for (size_t j = 0; j < n->n_addresses; j++) {
            const struct vf_vm_address *a = &n->addresses[j];
            good &= a->ip && is_ip(a->ip) && a->prefix_len <= (strchr(a->ip, ':') ? 128 : 32);
        }
        if (!good) {
            abort();
        }
    }
    for (size_t i = 0; i < vm->n_dns_servers; i++) {
        if (!is_ip(vm->dns_servers[i])) {
            abort();
        }
    }
    for (size_t i = 0; i < vm->n_dns_search; i++) {
        if (strpbrk(vm->dns_search[i], " \t\r\n\"':{}[]")) {
            abort();
        }
    }
}

static void read_object(const struct vf_ref *ref, const xmlNode *content, struct vf_places *places)
{
    struct vf_error *err = NULL;
    struct vf_vm_draft d;
    vf_vm_draft_init(&d);
    vf_places_add(places, ref, content);
    int rc = vf_vm_draft_parse(&d, content, &err);
    if ((rc == 0) != (err == NULL)) {
        abort();
    }
    vf_error_free(err);
    vf_places_resolve(places, &d);
    check_disks(&d.vm);
    check_network(&d.vm);
    struct vf_vm vm = vf_vm_draft_take(&d);

    struct vf_lease_info info = {0};
    if (vf_lease_info_parse(&info, vf_property_value(content, "info"), "h:1", "h", NULL) == 0) {
        int *index = vf_xcalloc(info.n_devices, sizeof *index);
        if (vf_lease_info_match(&info, &vm, index, NULL) == 0) {
            for (size_t i = 0; i < info.n_devices; i++) {
                if (index[i] < -1 || index[i] >= (int)vm.n_disks) {
                    abort();
                }
            }
        }
        free(index);
    }
    vf_lease_info_release(&info);
    vf_vm_release(&vm);
}

static void read_answer(const char *text, size_t size)
{
    struct vf_answer answer = {0};
    struct vf_error *err = NULL;
    int rc = vf_soap_parse(text, size, "RetrievePropertiesEx", &answer, &err);
    if (rc) {
        vf_error_free(err);
        return;
    }
    if (answer.fault.type) {
        vf_fault_set_error(&err, &answer.fault, "fuzz");
        vf_error_free(err);
    }
    free(vf_answer_returnval(&answer));
    struct vf_places places;
    vf_places_init(&places, "group-d1");
    const xmlNode *n = vf_xml_path(answer.response, VF_VIM_NS, "returnval", "objects", NULL);
    for (; n; n = vf_xml_next(n, VF_VIM_NS, "objects")) {
        struct vf_ref ref = {0};
        if (vf_soap_get_ref(vf_xml_child(n, VF_VIM_NS, "obj"), &ref)) {
            read_object(&ref, n, &places);
            vf_ref_release(&ref);
        }
    }
    vf_places_release(&places);
    vf_answer_release(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char *text = vf_xcalloc(size, 1); /* NUL-terminated */
    memcpy(text, data + 1, size - 1);
    char *value = NULL;
    switch (data[0]) {
    case 'v':
        vf_vim_parse_versions(text, size - 1, &value, NULL);
        break;
    case 'c':
        value = vf_session_parse_cookie(text);
        break;
    case 'n':
        vf_soap_unescape_name(text);
        break;
    default:
        read_answer(text, size - 1);
    }
    free(value);
    free(text);
    return 0;
}
