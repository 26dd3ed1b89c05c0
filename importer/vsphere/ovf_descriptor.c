/* OvfManager.CreateDescriptor. Without ovfFiles it is a dry run: no lease needed, placeholders for
 * the files. */
#include <stdlib.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/lease.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/vim_names.h"

static const char what[] = "describe the VM as OVF";

static int read_result(const struct vf_answer *answer, char **ret_xml, struct vf_error **err)
{
    const xmlNode *result = vf_xml_child(answer->response, VF_VIM_NS, "returnval");
    char *xml = vf_xml_child_text(result, VF_VIM_NS, "ovfDescriptor");
    if (xml && *xml) {
        *ret_xml = xml;
        return 0;
    }
    free(xml);
    struct vf_fault f = {0};
    const xmlNode *error = vf_xml_child(result, VF_VIM_NS, "error");
    if (!error) {
        return vf_error_set(err, VF_INVALID, "cannot %s: no descriptor came", what);
    }
    vf_fault_parse_localized(error, &f);
    int rc = vf_fault_set_error(err, &f, what);
    vf_fault_release(&f);
    return rc;
}

int vf_ovf_fetch_descriptor(struct vf_vsphere *vs, const char *vm_moref, const char *name,
                            char **ret_xml, struct vf_error **err)
{
    if (!vs->services.ovf_manager) {
        return vf_error_set(err, VF_UNSUPPORTED, "cannot %s: this server has no OVF manager", what);
    }
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_create_descriptor(&body, vs->services.ovf_manager, vm_moref, name);
    struct vf_call call = {
        .method = "CreateDescriptor", .what = what, .body = &body, .flags = VF_CALL_REPEATABLE};
    struct vf_answer answer = {0};
    int rc = vf_session_call(vs, &call, &answer, err);
    vf_buf_release(&body);
    if (rc == 0) {
        rc = read_result(&answer, ret_xml, err);
        vf_answer_release(&answer);
    }
    return rc;
}
