#include "importer/vsphere/privileges.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/fault.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/version.h"
#include "importer/vsphere/vim_names.h"

#define ENTITIES_A_CALL 250u
#define FIRST_VERSION   "6.0" /* of HasUserPrivilegeOnEntities */

static const char what[] = "ask for the account's privileges";

struct question {
    struct vf_vsphere *vs;
    const struct vf_entity *entities;
    const char *user;
    struct vf_privileges *table;
};

void vf_privileges_release(struct vf_privileges *p)
{
    for (size_t i = 0; i < p->n_entities; i++) {
        free(p->entities[i]);
    }
    for (size_t i = 0; i < p->n_names; i++) {
        free(p->names[i]);
    }
    free(p->entities);
    free(p->names);
    free(p->held);
    *p = (struct vf_privileges){0};
}

static int on_session(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                      struct vf_error **err)
{
    char **user = opaque;
    (void)ref;
    (void)err;
    *user = vf_xml_child_text(vf_property_value(content, "currentSession"), VF_VIM_NS, "userName");
    return 0;
}

/* The name by which the server knows the user: a login without a domain has got one by now, and
 * only names with one are taken here. */
static char *fetch_user(struct vf_vsphere *vs)
{
    static const char *const paths[] = {"currentSession", NULL};
    char *user = NULL;
    int rc = vf_property_fetch_object(vs, VF_MO_SESSIONS, vs->services.session_manager, paths,
                                      false, what, on_session, &user, NULL);
    if (rc || !user || !*user) {
        free(user);
        user = vf_xstrdup(vs->user);
    }
    return user;
}

static size_t index_of(char *const *list, size_t n, const char *s)
{
    for (size_t i = 0; s && i < n; i++) {
        if (strcmp(list[i], s) == 0) {
            return i;
        }
    }
    return n;
}

/* One EntityPrivilege: what it says of entities first..end. */
static void take_entity(struct vf_privileges *t, size_t first, size_t end, const xmlNode *n)
{
    char *vf_autofree moref = vf_xml_child_text(n, VF_VIM_NS, "entity");
    size_t entity = first + index_of(t->entities + first, end - first, moref);
    if (entity >= end) {
        return;
    }
    const xmlNode *a = vf_xml_child(n, VF_VIM_NS, "privAvailability");
    for (; a; a = vf_xml_next(a, VF_VIM_NS, "privAvailability")) {
        char *vf_autofree name = vf_xml_child_text(a, VF_VIM_NS, "privId");
        size_t i = index_of(t->names, t->n_names, name);
        if (i < t->n_names) {
            t->held[entity * t->n_names + i] = vf_xml_child_bool(a, VF_VIM_NS, "isGranted", false);
        }
    }
}

static int ask(const struct question *q, size_t first, size_t end, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_has_privileges(&body, q->vs->services.authorization_manager, q->entities + first,
                             end - first, q->user, (const char *const *)q->table->names,
                             q->table->n_names);
    struct vf_call call = {.method = "HasUserPrivilegeOnEntities",
                           .what = what,
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE};
    struct vf_answer answer = {0};
    int rc = vf_session_call(q->vs, &call, &answer, err);
    vf_buf_release(&body);
    if (rc) {
        return rc;
    }
    const xmlNode *n = vf_xml_child(answer.response, VF_VIM_NS, "returnval");
    for (; n; n = vf_xml_next(n, VF_VIM_NS, "returnval")) {
        take_entity(q->table, first, end, n);
    }
    vf_answer_release(&answer);
    return 0;
}

/* One object that vanished meanwhile fails the whole call: by halves it is found, and left out. */
static int ask_some(const struct question *q, size_t first, size_t end, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = ask(q, first, end, &e);
    if (rc && vf_fault_is(e, "ManagedObjectNotFound")) {
        size_t middle = first + (end - first) / 2;
        vf_error_clear(&e);
        rc = 0;
        if (end - first > 1) {
            rc = ask_some(q, first, middle, &e);
            rc = rc ? rc : ask_some(q, middle, end, &e);
        }
    }
    vf_error_move(err, &e);
    return rc;
}

static void make_table(struct vf_privileges *t, const struct vf_entity *entities, size_t n_entities,
                       const char *const *names)
{
    size_t n_names = 0;
    while (names[n_names]) {
        n_names++;
    }
    t->entities = vf_xcalloc(n_entities, sizeof(char *));
    t->names = vf_xcalloc(n_names, sizeof(char *));
    t->held = vf_xcalloc(n_entities * n_names, sizeof(bool));
    for (; t->n_entities < n_entities; t->n_entities++) {
        t->entities[t->n_entities] = vf_xstrdup(entities[t->n_entities].moref);
    }
    for (; t->n_names < n_names; t->n_names++) {
        t->names[t->n_names] = vf_xstrdup(names[t->n_names]);
    }
    /* Whatever is not answered counts as held: nobody is told to ask for what he has. */
    memset(t->held, true, n_entities * n_names * sizeof(bool));
}

int vf_vsphere_fetch_privileges(struct vf_vsphere *vs, const struct vf_entity *entities,
                                size_t n_entities, const char *const *names,
                                struct vf_privileges *ret, struct vf_error **err)
{
    if (vs->esxi || !vs->services.authorization_manager ||
        vf_vim_compare_versions(vs->api_version, FIRST_VERSION) < 0) {
        return vf_error_set(err, VF_UNSUPPORTED, "cannot %s: %s cannot be asked that way", what,
                            vs->esxi ? "an ESXi host" : "an API before " FIRST_VERSION);
    }
    struct vf_privileges table = {0};
    char *vf_autofree user = fetch_user(vs);
    const struct question q = {.vs = vs, .entities = entities, .user = user, .table = &table};
    int rc = 0;
    make_table(&table, entities, n_entities, names);
    for (size_t i = 0; rc == 0 && i < n_entities; i += ENTITIES_A_CALL) {
        size_t end = i + ENTITIES_A_CALL < n_entities ? i + ENTITIES_A_CALL : n_entities;
        rc = ask_some(&q, i, end, err);
    }
    if (rc) {
        vf_privileges_release(&table);
        return rc;
    }
    *ret = table;
    return 0;
}

bool vf_privileges_has(const struct vf_privileges *p, const char *moref, const char *name)
{
    size_t entity = index_of(p->entities, p->n_entities, moref);
    size_t i = index_of(p->names, p->n_names, name);
    return entity == p->n_entities || i == p->n_names || p->held[entity * p->n_names + i];
}
