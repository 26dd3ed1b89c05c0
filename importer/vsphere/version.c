#include "importer/vsphere/version.h"

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"

/* The newest version this client was written against. A newer server lists it as a prior one. */
#define NEWEST_KNOWN "8.0.3.0"

#define MAX_PARTS 6

static bool parse_version(const char *s, unsigned parts[MAX_PARTS])
{
    memset(parts, 0, MAX_PARTS * sizeof parts[0]);
    for (unsigned i = 0; i < MAX_PARTS; i++) {
        size_t digits = strspn(s, "0123456789");
        if (digits == 0 || digits > 6) {
            return false;
        }
        parts[i] = (unsigned)strtoul(s, NULL, 10);
        s += digits;
        if (*s == '\0') {
            return true;
        }
        if (*s++ != '.') {
            return false;
        }
    }
    return false;
}

int vf_vim_compare_versions(const char *a, const char *b)
{
    unsigned pa[MAX_PARTS], pb[MAX_PARTS];
    bool oka = parse_version(a, pa), okb = parse_version(b, pb);
    if (!oka || !okb) {
        return (int)oka - (int)okb;
    }
    for (unsigned i = 0; i < MAX_PARTS; i++) {
        if (pa[i] != pb[i]) {
            return pa[i] < pb[i] ? -1 : 1;
        }
    }
    return 0;
}

struct choice {
    char *best;
    bool any;
};

static void consider(struct choice *c, const xmlNode *version)
{
    unsigned parts[MAX_PARTS];
    char *vf_autofree text = vf_xml_text(version);
    if (!text || !parse_version(text, parts)) {
        return;
    }
    c->any = true;
    if (vf_vim_compare_versions(text, NEWEST_KNOWN) <= 0 &&
        (!c->best || vf_vim_compare_versions(text, c->best) > 0)) {
        free(c->best);
        c->best = vf_take(text);
    }
}

int vf_vim_parse_versions(const char *data, size_t len, char **ret_version, struct vf_error **err)
{
    xmlDoc *doc = NULL;
    int rc = vf_xml_parse(data, len, "the server's list of API versions", &doc, err);
    if (rc) {
        return rc;
    }
    /* Some releases put these elements into a namespace of their own: any is taken. */
    struct choice c = {0};
    const xmlNode *ns = vf_xml_child(xmlDocGetRootElement(doc), NULL, "namespace");
    for (; ns; ns = vf_xml_next(ns, NULL, "namespace")) {
        char *vf_autofree name = vf_xml_child_text(ns, NULL, "name");
        if (!name || strcmp(name, VF_VIM_NS) != 0) {
            continue;
        }
        consider(&c, vf_xml_child(ns, NULL, "version"));
        const xmlNode *prior =
            vf_xml_child(vf_xml_child(ns, NULL, "priorVersions"), NULL, "version");
        for (; prior; prior = vf_xml_next(prior, NULL, "version")) {
            consider(&c, prior);
        }
    }
    xmlFreeDoc(doc);
    if (!c.any) {
        rc = vf_error_set(err, VF_INVALID, "the server lists no version of the vSphere API");
    } else if (!c.best || vf_vim_compare_versions(c.best, VF_VIM_MIN_VERSION) < 0) {
        rc = vf_error_set(err, VF_UNSUPPORTED,
                          "the server speaks no vSphere API between " VF_VIM_MIN_VERSION
                          " and " NEWEST_KNOWN);
    } else {
        *ret_version = vf_take(c.best);
    }
    free(c.best);
    return rc;
}
