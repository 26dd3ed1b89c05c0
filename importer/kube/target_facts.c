#include "importer/kube/target_facts.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "importer/kube/server.h"
#include "importer/kube/target_facts_private.h"
#include "importer/kube/text.h"

#define MAX_UNKNOWN 100

char *vf_target_text(const char *text)
{
    return text ? vf_kube_clean_text(text, VF_TARGET_MAX_TEXT) : NULL;
}

void vf_target_add_string(char ***strings, size_t *n, char *s)
{
    *strings = vf_xrealloc_array(*strings, *n + 1, sizeof **strings);
    (*strings)[(*n)++] = s;
}

static bool is_not_there(int rc, const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    return rc == VF_MISSING ||
           (rc == VF_UNSUPPORTED && reason && strcmp(reason, VF_KUBE_REASON_NOT_SERVED) == 0);
}

static void note_unknown(struct vf_target_facts *f, const char *what, const struct vf_error *e)
{
    if (f->n_unknown < MAX_UNKNOWN) {
        vf_target_add_string(&f->unknown, &f->n_unknown,
                             vf_xasprintf("%s: %s", what, vf_error_message(e)));
    }
}

int vf_target_judge(struct vf_target_look *l, int rc, struct vf_error **e, const char *what,
                    bool *ret_known, struct vf_error **err)
{
    *ret_known = rc == 0 || is_not_there(rc, *e);
    if (rc == VF_CANCELLED || (rc == VF_AUTH && vf_error_http_status(*e) != 403)) {
        vf_error_move(err, e);
        return rc;
    }
    if (!*ret_known) {
        note_unknown(l->facts, what, *e);
    }
    vf_error_clear(e);
    return 0;
}

/* --- lists ------------------------------------------------------------------------------- */

struct telling {
    struct vf_target_facts *facts;
    const struct vf_target_list *list;
};

static int tell(void *opaque, const cJSON *item, struct vf_error **err)
{
    const struct telling *t = opaque;
    (void)err;
    if (item) {
        t->list->each(t->facts, t->list, item);
    } else if (t->list->begin) {
        t->list->begin(t->facts);
    }
    return 0;
}

int vf_target_list(struct vf_target_look *l, const struct vf_target_list *list, bool *ret_known,
                   struct vf_error **err)
{
    const struct vf_kube_ref ref = {
        .resource = list->resource, .ns = l->facts->ns, .all_namespaces = list->all_namespaces};
    const struct vf_kube_select select = {.metadata_only = list->metadata_only};
    const struct vf_kube_options options = {.cancel = l->cancel};
    struct telling telling = {.facts = l->facts, .list = list};
    struct vf_error *e = NULL;
    int rc = vf_kube_each(l->client, &ref, &select, &options, tell, &telling, &e);
    if (rc && list->begin) {
        list->begin(l->facts); /* half of it would be taken for all */
    }
    return vf_target_judge(l, rc, &e, list->what, ret_known, err);
}

/* --- the parts --------------------------------------------------------------------------- */

static int fetch_server(struct vf_target_look *l, struct vf_error **err)
{
    struct vf_kube_server server = {0};
    struct vf_error *e = NULL;
    int rc = vf_kube_server_fetch(l->client, l->cancel, &server, &e);
    if (rc == VF_AUTH && vf_error_http_status(e) == 403) {
        /* Not even that: but it is there. */
        bool known;
        return vf_target_judge(l, rc, &e, "the version of Kubernetes", &known, err);
    }
    vf_error_move(err, &e);
    if (rc == 0) {
        l->facts->version = vf_take(server.version);
        l->facts->clock_known = server.clock_known;
        l->facts->clock_skew_ms = server.clock_skew_ms;
    }
    vf_kube_server_release(&server);
    return rc;
}

static void read_cdi(struct vf_target_facts *f, const struct vf_target_list *list,
                     const cJSON *item)
{
    const char *version = vf_json_string(vf_json_object(item, "status"), "observedVersion");
    (void)list;
    if (!f->cdi_version) { /* there is one in a cluster */
        f->cdi_version = vf_target_text(version);
    }
}

static void forget_cdi(struct vf_target_facts *f)
{
    vf_replace_string(&f->cdi_version, NULL);
}

static int check_served(struct vf_target_look *l, const struct vf_kube_resource *resource,
                        const char *what, bool *ret_known, bool *ret_served, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_cancel_check(l->cancel, &e);
    rc = rc ? rc : vf_kube_check_resource(l->client, resource, what, &e);
    *ret_served = rc == 0;
    return vf_target_judge(l, rc, &e, what, ret_known, err);
}

static int fetch_cdi(struct vf_target_look *l, struct vf_error **err)
{
    static const struct vf_target_list cdis = {.resource = &vf_kube_cdis,
                                               .what = "the version of CDI",
                                               .begin = forget_cdi,
                                               .each = read_cdi};
    struct vf_target_facts *f = l->facts;
    bool known;
    int rc = check_served(l, &vf_kube_data_volumes, "CDI", &f->cdi_known, &f->has_cdi, err);
    return rc || !f->has_cdi ? rc : vf_target_list(l, &cdis, &known, err);
}

int vf_kube_fetch_target_facts(struct vf_kube_client *client,
                               const struct vf_target_question *question,
                               const struct vf_cancel *cancel, struct vf_target_facts *ret,
                               struct vf_error **err)
{
    static const struct vf_target_question no_question;
    struct vf_target_facts f = {.known = true, .ns = vf_xstrdup(vf_kube_client_namespace(client))};
    struct vf_target_look l = {.client = client,
                               .question = question ? question : &no_question,
                               .cancel = cancel,
                               .facts = &f};
    int rc = fetch_server(&l, err);
    rc = rc ? rc : fetch_cdi(&l, err);
    rc = rc ? rc
            : check_served(&l, &vf_kube_volume_snapshots, "VolumeSnapshots", &f.snapshots_known,
                           &f.has_snapshots, err);
    rc = rc ? rc : vf_target_fetch_namespace(&l, err);
    rc = rc ? rc : vf_target_fetch_machines(&l, err);
    rc = rc ? rc : vf_target_fetch_storage(&l, err);
    rc = rc ? rc : vf_target_fetch_nodes(&l, err);
    if (rc) {
        vf_target_facts_release(&f);
        return rc;
    }
    *ret = f;
    return 0;
}

/* --- finding ----------------------------------------------------------------------------- */

/* All lists are of structs that begin with the string they are sorted by. */
static int compare_first(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static const void *find(const void *items, size_t n, size_t size, const char *key)
{
    return n ? bsearch(&key, items, n, size, compare_first) : NULL;
}

const struct vf_target_class *vf_target_find_class(const struct vf_target_facts *f,
                                                   const char *name)
{
    const struct vf_target_class *general = NULL;
    if (name) {
        return find(f->classes, f->n_classes, sizeof *f->classes, name);
    }
    for (size_t i = 0; i < f->n_classes; i++) {
        if (f->classes[i].is_default_virt) {
            return &f->classes[i];
        }
        if (f->classes[i].is_default) {
            general = &f->classes[i];
        }
    }
    return general;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : !a && !b;
}

const struct vf_target_storage *vf_target_find_storage(const struct vf_target_facts *f,
                                                       const struct vf_kube_storage_wish *wish)
{
    for (size_t i = 0; i < f->n_storages; i++) {
        const struct vf_target_storage *s = &f->storages[i];
        if (is_same(s->class_name, wish->class_name) &&
            is_same(s->volume_mode, wish->volume_mode) &&
            is_same(s->access_mode, wish->access_mode)) {
            return s;
        }
    }
    return NULL;
}

const struct vf_target_name *vf_target_find_name(const struct vf_target_facts *f, const char *key)
{
    return find(f->names, f->n_names, sizeof *f->names, key);
}

const struct vf_target_mac *vf_target_find_mac(const struct vf_target_facts *f, const char *mac,
                                               size_t *ret_n)
{
    const struct vf_target_mac *first = find(f->macs, f->n_macs, sizeof *f->macs, mac);
    *ret_n = 0;
    if (!first) {
        return NULL;
    }
    while (first > f->macs && strcmp(first[-1].mac, mac) == 0) {
        first--;
    }
    const struct vf_target_mac *end = f->macs + f->n_macs;
    while (first + *ret_n < end && strcmp(first[*ret_n].mac, mac) == 0) {
        (*ret_n)++;
    }
    return first;
}

bool vf_target_has_string(char *const *sorted, size_t n, const char *s)
{
    return find(sorted, n, sizeof *sorted, s) != NULL;
}

/* --- the end ----------------------------------------------------------------------------- */

static void free_strings(char **strings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(strings[i]);
    }
    free(strings);
}

static void free_classes(struct vf_target_facts *f)
{
    for (size_t i = 0; i < f->n_classes; i++) {
        free(f->classes[i].name);
        free(f->classes[i].provisioner);
        free(f->classes[i].snapshot_class);
    }
    free(f->classes);
    for (size_t i = 0; i < f->n_storages; i++) {
        free(f->storages[i].class_name);
        free(f->storages[i].volume_mode);
        free(f->storages[i].access_mode);
        vf_kube_storage_free(f->storages[i].storage);
        free(f->storages[i].problem);
        free(f->storages[i].hint);
    }
    free(f->storages);
}

static void free_machines(struct vf_target_facts *f)
{
    for (size_t i = 0; i < f->n_macs; i++) {
        free(f->macs[i].mac);
        free(f->macs[i].owner);
        free(f->macs[i].source_uuid);
    }
    free(f->macs);
    for (size_t i = 0; i < f->n_names; i++) {
        free(f->names[i].key);
        vf_owned_marks_release(&f->names[i].marks);
    }
    free(f->names);
}

void vf_target_facts_release(struct vf_target_facts *f)
{
    free_machines(f);
    free_classes(f);
    for (size_t i = 0; i < f->n_quotas; i++) {
        free(f->quotas[i].name);
        free(f->quotas[i].resource);
    }
    free(f->quotas);
    for (size_t i = 0; i < f->n_nodes; i++) {
        free(f->nodes[i].name);
    }
    free(f->nodes);
    free_strings(f->attachments, f->n_attachments);
    free_strings(f->missing_attachments, f->n_missing_attachments);
    free_strings(f->preferences, f->n_preferences);
    free_strings(f->instancetypes, f->n_instancetypes);
    free_strings(f->unknown, f->n_unknown);
    free(f->refused);
    free(f->ns);
    free(f->version);
    free(f->cdi_version);
    free(f->pod_security);
    *f = (struct vf_target_facts){0};
}
