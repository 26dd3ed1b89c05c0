#include "importer/vsphere/hosts.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/view.h"
#include "importer/vsphere/vim_names.h"

#define PAGE_OBJECTS 200
#define MAX_HOSTS    20000 /* a vCenter has 2,500 at most */

static const char what[] = "read hosts and clusters";

struct cluster {
    char *moref, *name;
    bool drs, dpm, ha;
    char *evc_mode;
};

struct fetch {
    struct vf_host *hosts;
    size_t n_hosts, cap_hosts;
    char **parents; /* morefs, one for each host */
    struct cluster *clusters;
    size_t n_clusters;
};

static void host_release(struct vf_host *h)
{
    char *owned[] = {h->moref,    h->name,       h->cluster, h->version,
                     h->timezone, h->thumbprint, h->evc_mode};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        free(owned[i]);
    }
}

void vf_hosts_free(struct vf_host *hosts, size_t n)
{
    for (size_t i = 0; hosts && i < n; i++) {
        host_release(&hosts[i]);
    }
    free(hosts);
}

static void reset(void *opaque)
{
    struct fetch *f = opaque;
    for (size_t i = 0; i < f->n_hosts; i++) {
        free(f->parents[i]);
    }
    for (size_t i = 0; i < f->n_clusters; i++) {
        free(f->clusters[i].moref);
        free(f->clusters[i].name);
        free(f->clusters[i].evc_mode);
    }
    vf_hosts_free(f->hosts, f->n_hosts);
    free(f->parents);
    free(f->clusters);
    *f = (struct fetch){0};
}

/* DRS, HA and the like are on or off in places of one form. */
static bool is_enabled(const xmlNode *configuration, const char *part)
{
    const xmlNode *n = vf_xml_child(configuration, VF_VIM_NS, part);
    return vf_xml_child_bool(n, VF_VIM_NS, "enabled", false);
}

static void add_cluster(struct fetch *f, const char *moref, const xmlNode *content)
{
    /* Taken whole: a path into what only the subtype has is refused by some servers. */
    const xmlNode *configuration = vf_property_value(content, "configurationEx");
    const xmlNode *summary = vf_property_value(content, "summary");
    f->clusters = vf_xrealloc_array(f->clusters, f->n_clusters + 1, sizeof *f->clusters);
    struct cluster *c = &f->clusters[f->n_clusters++];
    *c = (struct cluster){.moref = vf_xstrdup(moref)};
    c->name = vf_xml_text(vf_property_value(content, "name"));
    vf_soap_unescape_name(c->name);
    c->drs = is_enabled(configuration, "drsConfig");
    c->ha = is_enabled(configuration, "dasConfig");
    c->dpm = is_enabled(configuration, "dpmConfigInfo");
    c->evc_mode = vf_xml_child_text(summary, VF_VIM_NS, "currentEVCModeKey");
}

static char *take_text(const xmlNode *content, const char *path)
{
    char *text = vf_xml_text(vf_property_value(content, path));
    if (text && !*text) {
        free(text);
        text = NULL;
    }
    return text;
}

static bool text_is(const xmlNode *content, const char *path, const char *want)
{
    char *vf_autofree text = take_text(content, path);
    return text && strcmp(text, want) == 0;
}

static void add_host(struct fetch *f, const char *moref, const xmlNode *content)
{
    if (f->n_hosts == f->cap_hosts) {
        f->cap_hosts = f->cap_hosts ? f->cap_hosts * 2 : 16;
        f->hosts = vf_xrealloc_array(f->hosts, f->cap_hosts, sizeof *f->hosts);
        f->parents = vf_xrealloc_array(f->parents, f->cap_hosts, sizeof *f->parents);
    }
    int64_t mhz = 0;
    const xmlNode *hardware = vf_property_value(content, "summary.hardware");
    vf_xml_child_i64(hardware, VF_VIM_NS, "cpuMhz", &mhz);
    f->parents[f->n_hosts] = take_text(content, "parent");
    struct vf_host *h = &f->hosts[f->n_hosts++];
    *h = (struct vf_host){.moref = vf_xstrdup(moref),
                          .name = take_text(content, "name"),
                          .version = take_text(content, "summary.config.product.version"),
                          .thumbprint = take_text(content, "summary.config.sslThumbprint"),
                          .cpu_mhz = mhz > 0 && mhz < 1000000 ? (uint32_t)mhz : 0};
    /* What may not be read is taken to be well. */
    h->connected = !vf_property_value(content, "runtime.connectionState") ||
                   text_is(content, "runtime.connectionState", "connected");
    h->maintenance = text_is(content, "runtime.inMaintenanceMode", "true") ||
                     text_is(content, "runtime.inMaintenanceMode", "1");
    const xmlNode *zone = vf_property_value(content, "config.dateTimeInfo.timeZone");
    h->timezone = vf_xml_child_text(zone, VF_VIM_NS, "key");
    vf_soap_unescape_name(h->name);
}

static int on_object(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                     struct vf_error **err)
{
    struct fetch *f = opaque;
    if (f->n_hosts + f->n_clusters >= MAX_HOSTS) {
        return vf_error_set(err, VF_RANGE, "cannot %s: more than %d came", what, MAX_HOSTS);
    }
    if (strcmp(ref->type, VF_MO_HOST) == 0) {
        add_host(f, ref->value, content);
    } else if (strcmp(ref->type, VF_MO_CLUSTER) == 0) {
        add_cluster(f, ref->value, content);
    }
    return 0;
}

static void put_sets(struct vf_buf *specs, void *opaque)
{
    static const char *const host[] = {"name",
                                       "parent",
                                       "runtime.connectionState",
                                       "runtime.inMaintenanceMode",
                                       "summary.hardware",
                                       "summary.config.product.version",
                                       "summary.config.sslThumbprint",
                                       "config.dateTimeInfo.timeZone",
                                       NULL};
    static const char *const cluster[] = {"name", "configurationEx", "summary", NULL};
    (void)opaque;
    vf_property_put_set(specs, VF_MO_HOST, host);
    vf_property_put_set(specs, VF_MO_CLUSTER, cluster);
}

static void join_clusters(struct fetch *f)
{
    for (size_t i = 0; i < f->n_hosts; i++) {
        struct vf_host *h = &f->hosts[i];
        for (size_t j = 0; f->parents[i] && j < f->n_clusters; j++) {
            const struct cluster *c = &f->clusters[j];
            if (strcmp(f->parents[i], c->moref) == 0) {
                h->cluster = vf_xstrdup(c->name);
                h->evc_mode = vf_xstrdup(c->evc_mode);
                h->drs = c->drs;
                h->dpm = c->dpm;
                h->ha = c->ha;
            }
        }
    }
}

static int compare(const void *pa, const void *pb)
{
    const struct vf_host *a = pa, *b = pb;
    int c = strcmp(a->name ? a->name : "", b->name ? b->name : "");
    return c ? c : strcmp(a->moref, b->moref);
}

int vf_vsphere_fetch_hosts(struct vf_vsphere *vs, struct vf_host **ret_hosts, size_t *ret_n,
                           struct vf_error **err)
{
    static const char *const types[] = {VF_MO_HOST, VF_MO_CLUSTER, NULL};
    struct fetch f = {0};
    const struct vf_view_query q = {.what = what,
                                    .types = types,
                                    .put_sets = put_sets,
                                    .reset = reset,
                                    .object = on_object,
                                    .opaque = &f,
                                    .max_objects = PAGE_OBJECTS};
    int rc = vf_view_fetch(vs, &q, err);
    if (rc == 0) {
        join_clusters(&f);
        *ret_n = f.n_hosts;
        *ret_hosts = f.hosts;
        for (size_t i = 0; i < f.n_hosts; i++) {
            free(f.parents[i]);
        }
        f.hosts = NULL;
        f.n_hosts = 0;
        if (*ret_n > 1) {
            qsort(*ret_hosts, *ret_n, sizeof **ret_hosts, compare);
        }
    }
    reset(&f);
    return rc;
}

const struct vf_host *vf_host_find(const struct vf_host *hosts, size_t n, const char *moref)
{
    for (size_t i = 0; moref && i < n; i++) {
        if (strcmp(hosts[i].moref, moref) == 0) {
            return &hosts[i];
        }
    }
    return NULL;
}
