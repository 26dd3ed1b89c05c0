#include "tests/support/vm_xml.h"

#include <string.h>

#include "importer/base/xml.h"
#include "tests/support/check.h"

int vf_test_parse_vm(struct vf_vm_draft *d, const char *xml, struct vf_error **err)
{
    xmlDoc *doc = NULL;
    vf_vm_draft_init(d);
    vf_test_check(vf_xml_parse(xml, strlen(xml), "test", &doc, NULL) == 0);
    int rc = vf_vm_draft_parse(d, xmlDocGetRootElement(doc), err);
    xmlFreeDoc(doc);
    return rc;
}
