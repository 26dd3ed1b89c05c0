#include "importer/base/xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

static const xmlChar *to_xml(const char *s)
{
    return (const xmlChar *)s;
}

void vf_xml_init(void)
{
    xmlInitParser();
}

static void ignore_error(void *opaque, xmlErrorPtr e)
{
    (void)opaque;
    (void)e;
}

/* Told at "<!DOCTYPE", before a declaration behind it is read: with XML_PARSE_HUGE libxml2 has no
 * bound of its own on what entities grow to inside attributes. */
static void on_doctype(void *opaque, const xmlChar *name, const xmlChar *id, const xmlChar *system)
{
    (void)name;
    (void)id;
    (void)system;
    xmlParserCtxt *ctxt = opaque;
    *(bool *)ctxt->_private = true;
    xmlStopParser(ctxt);
}

/* Not by recursion: XML_PARSE_HUGE lifts libxml2's bound on depth too. */
static bool is_deep(const xmlNode *root)
{
    unsigned depth = 1;
    const xmlNode *n = root;
    while (n) {
        if (n->children && n->type == XML_ELEMENT_NODE) {
            n = n->children;
            if (++depth > VF_XML_MAX_DEPTH) {
                return true;
            }
            continue;
        }
        while (n != root && !n->next) {
            n = n->parent;
            depth--;
        }
        n = n == root ? NULL : n->next;
    }
    return false;
}

static int refuse(xmlParserCtxt *ctxt, const char *what, struct vf_error **err)
{
    const xmlError *e = xmlCtxtGetLastError(ctxt);
    if (!e || !e->message) {
        return vf_error_set(err, VF_INVALID, "%s is not well-formed XML", what);
    }
    char *vf_autofree reason = vf_xstrdup(e->message);
    reason[strcspn(reason, "\r\n")] = '\0';
    return vf_error_set(err, VF_INVALID, "%s is not well-formed XML: line %d: %s", what, e->line,
                        reason);
}

int vf_xml_parse(const char *data, size_t len, const char *what, xmlDoc **ret_doc,
                 struct vf_error **err)
{
    if (len == 0) {
        return vf_error_set(err, VF_INVALID, "%s is empty", what);
    }
    if (len > VF_XML_MAX_BYTES) {
        return vf_error_set(err, VF_SPACE, "%s is larger than %u MiB", what,
                            VF_XML_MAX_BYTES >> 20);
    }
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    if (!ctxt) {
        return vf_error_set(err, VF_INTERNAL, "cannot create an XML parser");
    }
    bool has_doctype = false;
    ctxt->_private = &has_doctype;
    xmlSetStructuredErrorFunc(ctxt, ignore_error);
    ctxt->sax->serror = ignore_error;
    ctxt->sax->internalSubset = on_doctype;
    /* No NOENT, no DTDLOAD. HUGE lifts the limit on one text node only as far as our own ceiling
     * above. */
    xmlDoc *doc = xmlCtxtReadMemory(ctxt, data, (int)len, NULL, NULL,
                                    XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_NOBLANKS |
                                        XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                        (len > (8u << 20) ? XML_PARSE_HUGE : 0));
    int rc = 0;
    if (has_doctype) {
        rc = vf_error_set(err, VF_INVALID, "%s carries a DOCTYPE, which is refused", what);
    } else if (!doc) {
        rc = refuse(ctxt, what, err);
    } else if (is_deep(xmlDocGetRootElement(doc))) {
        rc = vf_error_set(err, VF_INVALID, "%s nests elements deeper than %d", what,
                          VF_XML_MAX_DEPTH);
    } else {
        *ret_doc = vf_take(doc);
    }
    xmlFreeDoc(doc);
    xmlFreeParserCtxt(ctxt);
    xmlSetStructuredErrorFunc(NULL, NULL);
    return rc;
}

bool vf_xml_is(const xmlNode *n, const char *ns, const char *name)
{
    if (!n || n->type != XML_ELEMENT_NODE || !xmlStrEqual(n->name, to_xml(name))) {
        return false;
    }
    return !ns || (n->ns && xmlStrEqual(n->ns->href, to_xml(ns)));
}

static xmlNode *find_from(xmlNode *n, const char *ns, const char *name)
{
    while (n && !vf_xml_is(n, ns, name)) {
        n = n->next;
    }
    return n;
}

xmlNode *vf_xml_child(const xmlNode *n, const char *ns, const char *name)
{
    return n ? find_from(n->children, ns, name) : NULL;
}

xmlNode *vf_xml_next(const xmlNode *after, const char *ns, const char *name)
{
    return after ? find_from(after->next, ns, name) : NULL;
}

xmlNode *vf_xml_path(const xmlNode *n, const char *ns, ...)
{
    va_list ap;
    va_start(ap, ns);
    xmlNode *at = NULL;
    const char *name;
    while ((name = va_arg(ap, const char *))) {
        at = vf_xml_child(at ? at : n, ns, name);
        if (!at) {
            break;
        }
    }
    va_end(ap);
    return at;
}

static char *from_xml(xmlChar *s)
{
    char *copy = s ? vf_xstrdup((const char *)s) : NULL;
    xmlFree(s);
    return copy;
}

char *vf_xml_text(const xmlNode *n)
{
    return n ? from_xml(xmlNodeGetContent(n)) : NULL;
}

char *vf_xml_child_text(const xmlNode *n, const char *ns, const char *name)
{
    return vf_xml_text(vf_xml_child(n, ns, name));
}

bool vf_xml_child_bool(const xmlNode *n, const char *ns, const char *name, bool otherwise)
{
    char *vf_autofree s = vf_xml_child_text(n, ns, name);
    if (!s) {
        return otherwise;
    }
    return strcmp(s, "true") == 0 || strcmp(s, "1") == 0;
}

bool vf_xml_child_i64(const xmlNode *n, const char *ns, const char *name, int64_t *ret)
{
    char *vf_autofree s = vf_xml_child_text(n, ns, name);
    if (!s || !*s) {
        return false;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end) {
        return false;
    }
    *ret = v;
    return true;
}

bool vf_xml_child_u64(const xmlNode *n, const char *ns, const char *name, uint64_t *ret)
{
    char *vf_autofree s = vf_xml_child_text(n, ns, name);
    if (!s || *s < '0' || *s > '9') {
        return false;
    }
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno || *end) {
        return false;
    }
    *ret = v;
    return true;
}

char *vf_xml_attr(const xmlNode *n, const char *ns, const char *name)
{
    if (!n) {
        return NULL;
    }
    return from_xml(ns ? xmlGetNsProp(n, to_xml(name), to_xml(ns))
                       : xmlGetNoNsProp(n, to_xml(name)));
}

char *vf_xml_type(const xmlNode *n)
{
    char *vf_autofree type = vf_xml_attr(n, VF_XSI_NS, "type");
    if (!type) {
        return NULL;
    }
    const char *colon = strrchr(type, ':');
    return vf_xstrdup(colon ? colon + 1 : type);
}
