/* XML as peers send it: libxml2 with entity expansion, DTD loading and network off, size and depth
 * capped. Elements are found by namespace and local name, never by prefix.
 */
#ifndef IMPORTER_BASE_XML_H
#define IMPORTER_BASE_XML_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#define VF_XML_MAX_BYTES (256u << 20)
#define VF_XML_MAX_DEPTH 256
#define VF_XSI_NS        "http://www.w3.org/2001/XMLSchema-instance"

/* VF_INVALID with line and libxml2's reason; a DOCTYPE is refused. xmlFreeDoc the result. `what`
 * names the document in the error. Thread-safe after vf_xml_init. */
int vf_xml_parse(const char *data, size_t len, const char *what, xmlDoc **ret_doc,
                 struct vf_error **err);

void vf_xml_init(void); /* once, before threads */

bool vf_xml_is(const xmlNode *n, const char *ns, const char *name); /* ns NULL: any */
/* First child element, or the next sibling after `after` (a child of n), of that name. */
xmlNode *vf_xml_child(const xmlNode *n, const char *ns, const char *name);
xmlNode *vf_xml_next(const xmlNode *after, const char *ns, const char *name);
/* Follow a chain of child names: vf_xml_path(n, ns, "config", "hardware", NULL). */
xmlNode *vf_xml_path(const xmlNode *n, const char *ns, ...) __attribute__((sentinel));

/* Text content of n, or of its child; heap, NULL when there is none. */
char *vf_xml_text(const xmlNode *n);
char *vf_xml_child_text(const xmlNode *n, const char *ns, const char *name);
bool vf_xml_child_bool(const xmlNode *n, const char *ns, const char *name, bool otherwise);
/* false when absent or not a number that fits; *ret is untouched then. */
bool vf_xml_child_i64(const xmlNode *n, const char *ns, const char *name, int64_t *ret);
bool vf_xml_child_u64(const xmlNode *n, const char *ns, const char *name, uint64_t *ret);
/* Attribute in that namespace (NULL: none); heap, NULL when absent. */
char *vf_xml_attr(const xmlNode *n, const char *ns, const char *name);
/* xsi:type without its prefix; heap, NULL when absent. */
char *vf_xml_type(const xmlNode *n);

#endif
