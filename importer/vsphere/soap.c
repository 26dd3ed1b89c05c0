#include "importer/vsphere/soap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"

void vf_ref_release(struct vf_ref *r)
{
    free(r->type);
    free(r->value);
    *r = (struct vf_ref){0};
}

void vf_soap_put_text(struct vf_buf *b, const char *element, const char *text)
{
    vf_buf_printf(b, "<%s>", element);
    vf_buf_put_xml(b, text);
    vf_buf_printf(b, "</%s>", element);
}

void vf_soap_put_name(struct vf_buf *b, const char *element, const char *name)
{
    struct vf_buf escaped;
    vf_buf_init(&escaped, b->max);
    for (; *name; name++) {
        switch (*name) {
        case '%':
            vf_buf_puts(&escaped, "%25");
            break;
        case '/':
            vf_buf_puts(&escaped, "%2f");
            break;
        case '\\':
            vf_buf_puts(&escaped, "%5c");
            break;
        default:
            vf_buf_append(&escaped, name, 1);
        }
    }
    vf_soap_put_text(b, element, escaped.data ? escaped.data : "");
    b->overflow |= escaped.overflow;
    vf_buf_release(&escaped);
}

void vf_soap_put_bool(struct vf_buf *b, const char *element, bool value)
{
    vf_soap_put_text(b, element, value ? "true" : "false");
}

void vf_soap_put_int(struct vf_buf *b, const char *element, int64_t value)
{
    vf_buf_printf(b, "<%s>%" PRId64 "</%s>", element, value, element);
}

void vf_soap_put_ref(struct vf_buf *b, const char *element, const char *type, const char *moref)
{
    vf_buf_printf(b, "<%s type=\"", element);
    vf_buf_put_xml(b, type);
    vf_buf_puts(b, "\">");
    vf_buf_put_xml(b, moref);
    vf_buf_printf(b, "</%s>", element);
}

void vf_soap_open(struct vf_buf *b, const char *method, const char *this_type,
                  const char *this_moref)
{
    vf_buf_puts(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><e:Envelope xmlns:e=\"" VF_SOAP_NS
                   "\" xmlns:xsi=\"" VF_XSI_NS "\"><e:Body><");
    vf_buf_puts(b, method);
    vf_buf_puts(b, " xmlns=\"" VF_VIM_NS "\">");
    vf_soap_put_ref(b, "_this", this_type, this_moref);
}

void vf_soap_close(struct vf_buf *b, const char *method)
{
    vf_buf_printf(b, "</%s></e:Body></e:Envelope>", method);
}

void vf_soap_encode_plain(struct vf_buf *b, const char *method, const char *this_type,
                          const char *this_moref)
{
    vf_soap_open(b, method, this_type, this_moref);
    vf_soap_close(b, method);
}

void vf_soap_unescape_name(char *name)
{
    if (!name) {
        return;
    }
    char *to = name;
    for (const char *from = name; *from;) {
        char c = *from;
        size_t used = 1;
        if (strncasecmp(from, "%2f", 3) == 0) {
            c = '/';
            used = 3;
        } else if (strncasecmp(from, "%5c", 3) == 0) {
            c = '\\';
            used = 3;
        } else if (strncmp(from, "%25", 3) == 0) {
            c = '%';
            used = 3;
        }
        *to++ = c;
        from += used;
    }
    *to = '\0';
}

void vf_answer_release(struct vf_answer *a)
{
    if (a->doc) {
        xmlFreeDoc(a->doc);
    }
    vf_fault_release(&a->fault);
    *a = (struct vf_answer){0};
}

bool vf_soap_get_ref(const xmlNode *n, struct vf_ref *ret)
{
    char *vf_autofree type = vf_xml_attr(n, NULL, "type");
    char *vf_autofree value = vf_xml_text(n);
    if (!type || !*type || !value || !*value) {
        return false;
    }
    *ret = (struct vf_ref){vf_take(type), vf_take(value)};
    return true;
}

char *vf_answer_returnval(const struct vf_answer *a)
{
    return vf_xml_child_text(a->response, VF_VIM_NS, "returnval");
}

/* What a fault tells besides its type and text. */
static void parse_fault_fields(const xmlNode *n, struct vf_fault *f)
{
    f->privilege = vf_xml_child_text(n, VF_VIM_NS, "privilegeId");
    f->state = vf_xml_child_text(n, VF_VIM_NS, "existingState");
}

void vf_fault_parse_localized(const xmlNode *n, struct vf_fault *ret)
{
    *ret = (struct vf_fault){0};
    const xmlNode *fault = vf_xml_child(n, VF_VIM_NS, "fault");
    ret->type = vf_xml_type(fault);
    if (!ret->type) {
        ret->type = vf_xstrdup("MethodFault"); /* the root of all fault types */
    }
    ret->message = vf_xml_child_text(n, VF_VIM_NS, "localizedMessage");
    parse_fault_fields(fault, ret);
}

static const xmlNode *first_element(const xmlNode *n)
{
    const xmlNode *c = n ? n->children : NULL;
    while (c && c->type != XML_ELEMENT_NODE) {
        c = c->next;
    }
    return c;
}

/* <Fault><faultcode/><faultstring/><detail><InvalidLoginFault xsi:type="InvalidLogin"/></detail>:
 * the children carry no namespace. Without an xsi:type the element's name, less its "Fault", is the
 * type; without a detail the request itself was not understood. */
static void parse_fault(const xmlNode *n, struct vf_fault *f)
{
    f->message = vf_xml_child_text(n, NULL, "faultstring");
    const xmlNode *detail = first_element(vf_xml_child(n, NULL, "detail"));
    f->type = vf_xml_type(detail);
    if (!f->type && detail) {
        const char *name = (const char *)detail->name;
        size_t len = strlen(name);
        if (len > 5 && strcmp(name + len - 5, "Fault") == 0) {
            len -= 5;
        }
        f->type = vf_xstrndup(name, len);
    }
    if (!f->type) {
        f->type = vf_xstrdup("MethodFault");
    }
    parse_fault_fields(detail, f);
}

int vf_soap_parse(const char *data, size_t len, const char *method, struct vf_answer *ret,
                  struct vf_error **err)
{
    xmlDoc *doc = NULL;
    int rc = vf_xml_parse(data, len, "the server's SOAP answer", &doc, err);
    if (rc) {
        return rc;
    }
    *ret = (struct vf_answer){.doc = doc};
    const xmlNode *root = xmlDocGetRootElement(doc);
    const xmlNode *body =
        vf_xml_is(root, VF_SOAP_NS, "Envelope") ? vf_xml_child(root, VF_SOAP_NS, "Body") : NULL;
    const xmlNode *fault = vf_xml_child(body, VF_SOAP_NS, "Fault");
    if (fault) {
        parse_fault(fault, &ret->fault);
        return 0;
    }
    char *vf_autofree expected = vf_xasprintf("%sResponse", method);
    ret->response = vf_xml_child(body, VF_VIM_NS, expected);
    if (!ret->response) {
        vf_answer_release(ret);
        return vf_error_set(err, VF_INVALID, "the server's answer holds no %s", expected);
    }
    return 0;
}
