#include "tests/support/soap_server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/http_server.h"

#define MAX_METHODS 40

struct count {
    char *method;
    unsigned n;
};

struct vf_test_soap {
    struct vf_test_server *server;
    vf_test_soap_fn *fn;
    void (*rest)(struct vf_test_exchange *x, void *opaque);
    void *opaque;
    pthread_mutex_t lock; /* of what follows */
    struct count counts[MAX_METHODS];
    unsigned logins;
};

static unsigned *count_of(struct vf_test_soap *s, const char *method)
{
    for (size_t i = 0; i < MAX_METHODS; i++) {
        struct count *c = &s->counts[i];
        if (!c->method) {
            c->method = vf_xstrdup(method);
        }
        if (strcmp(c->method, method) == 0) {
            return &c->n;
        }
    }
    abort();
}

/* The first element inside the body: <METHOD xmlns="urn:vim25"> */
static char *method_of(const char *body)
{
    const char *open = strstr(body, "<e:Body><");
    vf_test_check(open);
    open += strlen("<e:Body><");
    return vf_xstrndup(open, strcspn(open, " >"));
}

static const char *own_answer(struct vf_test_soap *s, const char *method)
{
    if (strcmp(method, "RetrieveServiceContent") == 0) {
        return "<returnval><rootFolder type=\"Folder\">group-d1</rootFolder>"
               "<propertyCollector type=\"PropertyCollector\">pc</propertyCollector>"
               "<viewManager type=\"ViewManager\">ViewManager</viewManager>"
               "<about><name>VMware vCenter Server</name><version>8.0.3</version>"
               "<apiType>VirtualCenter</apiType><instanceUuid>1f</instanceUuid></about>"
               "<sessionManager type=\"SessionManager\">SessionManager</sessionManager>"
               "<authorizationManager type=\"AuthorizationManager\">AuthorizationManager"
               "</authorizationManager><licenseManager type=\"LicenseManager\">LicenseManager"
               "</licenseManager><customFieldsManager type=\"CustomFieldsManager\">"
               "CustomFieldsManager</customFieldsManager><ovfManager "
               "type=\"OvfManager\">OvfManager</ovfManager></returnval>";
    }
    if (strcmp(method, "Login") == 0) {
        s->logins++;
    }
    return "";
}

static void answer_soap(struct vf_test_exchange *x, const char *method, const char *text,
                        unsigned logins)
{
    char header[100] = "Content-Type: text/xml\r\n";
    if (strcmp(method, "Login") == 0) {
        snprintf(header, sizeof header,
                 "Set-Cookie: vmware_soap_session=\"s%u\"; Path=/; HttpOnly; Secure\r\n", logins);
    }
    static const char open[] =
        "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" "
        "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>";
    static const char close[] = "</soapenv:Body></soapenv:Envelope>";
    char *body;
    int status = 200;
    if (strncmp(text, VF_TEST_SOAP_RAW, strlen(VF_TEST_SOAP_RAW)) == 0) {
        char *end;
        status = (int)strtol(text + strlen(VF_TEST_SOAP_RAW), &end, 10);
        body = vf_xstrdup(end + 1);
    } else if (strncmp(text, VF_TEST_SOAP_FAULT, strlen(VF_TEST_SOAP_FAULT)) == 0) {
        status = 500;
        body = vf_xasprintf("%s<soapenv:Fault><faultstring>text</faultstring><detail>"
                            "<F xsi:type=\"%s\"/></detail></soapenv:Fault>%s",
                            open, text + strlen(VF_TEST_SOAP_FAULT), close);
    } else {
        body = vf_xasprintf("%s<%sResponse xmlns=\"urn:vim25\">%s</%sResponse>%s", open, method,
                            text, method, close);
    }
    vf_test_answer(x, status, header, body);
    free(body);
}

static void handle_soap(struct vf_test_soap *s, struct vf_test_exchange *x)
{
    char *vf_autofree body = vf_xstrndup(x->body, x->body_len);
    char *vf_autofree method = method_of(body);
    char *vf_autofree cookie = vf_test_header(x, "Cookie");
    char *vf_autofree action = vf_test_header(x, "SOAPAction");
    pthread_mutex_lock(&s->lock);
    struct vf_test_soap_call call = {.method = method,
                                     .nth = ++*count_of(s, method),
                                     .cookie = cookie,
                                     .action = action,
                                     .body = body,
                                     .logins = s->logins};
    const char *text = s->fn ? s->fn(&call, s->opaque) : NULL;
    char *vf_autofree copy = vf_xstrdup(text ? text : own_answer(s, method));
    unsigned logins = s->logins;
    pthread_mutex_unlock(&s->lock);
    if (strcmp(copy, VF_TEST_SOAP_RESET) == 0) {
        vf_test_reset(x);
    } else {
        answer_soap(x, method, copy, logins);
    }
}

static void handle(struct vf_test_exchange *x, void *opaque)
{
    struct vf_test_soap *s = opaque;
    if (strcmp(x->target, "/sdk/vimServiceVersions.xml") == 0) {
        vf_test_answer(x, 200, "Content-Type: text/xml\r\n",
                       "<namespaces version=\"1.0\"><namespace><name>urn:vim25</name>"
                       "<version>uA046D008</version><priorVersions><version>8.0.2.0</version>"
                       "<version>7.0.3.0</version></priorVersions></namespace></namespaces>");
    } else if (strcmp(x->target, "/sdk") == 0) {
        handle_soap(s, x);
    } else if (s->rest) {
        s->rest(x, s->opaque);
    } else {
        vf_test_answer(x, 404, "", "no such page");
    }
}

struct vf_test_soap *vf_test_soap_start(vf_test_soap_fn *fn, void *opaque)
{
    struct vf_test_soap *s = vf_xcalloc(1, sizeof *s);
    s->fn = fn;
    s->opaque = opaque;
    pthread_mutex_init(&s->lock, NULL);
    s->server = vf_test_server_start(VF_TEST_TLS, handle, s);
    return s;
}

void vf_test_soap_set_rest(struct vf_test_soap *s,
                           void (*rest)(struct vf_test_exchange *x, void *opaque))
{
    s->rest = rest;
}

void vf_test_soap_stop(struct vf_test_soap *s)
{
    vf_test_server_stop(s->server);
    for (size_t i = 0; i < MAX_METHODS; i++) {
        free(s->counts[i].method);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

unsigned vf_test_soap_count(struct vf_test_soap *s, const char *method)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = *count_of(s, method);
    pthread_mutex_unlock(&s->lock);
    return n;
}

struct vf_vsphere_options vf_test_soap_options(struct vf_test_soap *s)
{
    return (struct vf_vsphere_options){
        .url = vf_test_server_url(s->server),
        .user = "u",
        .password = vf_secret_new("p4ssw0rd", 8),
        .http = {.ca_file = vf_test_server_ca_file(s->server), .proxy = ""},
        .retry_deadline_ms = 5000,
    };
}

struct vf_vsphere *vf_test_soap_login(struct vf_test_soap *s, const struct vf_cancel *cancel)
{
    struct vf_vsphere_options o = vf_test_soap_options(s);
    struct vf_vsphere *vs = NULL;
    struct vf_error *err = NULL;
    if (vf_vsphere_login(&o, cancel, &vs, &err)) {
        char *text = vf_error_format(err);
        fprintf(stderr, "%s\n", text);
        abort();
    }
    vf_secret_free((struct vf_secret *)(uintptr_t)o.password);
    return vs;
}
