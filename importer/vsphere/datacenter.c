#include "importer/vsphere/datacenter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/vim_names.h"

/* Deeper than any inventory; ends a cycle that a broken answer may hold. */
#define MAX_DEPTH 64

static const char what[] = "find the VM's datacenter";

/* One object on the way up. */
struct step {
    struct vf_ref at;
    char *name;
    struct vf_ref parent; /* value NULL: none to be seen */
};

static void step_release(struct step *s)
{
    vf_ref_release(&s->at);
    vf_ref_release(&s->parent);
    free(s->name);
    *s = (struct step){0};
}

static int on_object(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                     struct vf_error **err)
{
    /* A VM in a vApp has no folder for parent, and a vApp outside of others has its own apart. */
    static const char *const ways_up[] = {"parentFolder", "parent", "parentVApp"};
    struct step *s = opaque;
    (void)ref;
    (void)err;
    free(s->name);
    s->name = vf_xml_text(vf_property_value(content, "name"));
    vf_ref_release(&s->parent);
    for (size_t i = 0; i < sizeof ways_up / sizeof ways_up[0]; i++) {
        const xmlNode *val = vf_property_value(content, ways_up[i]);
        if (val && vf_soap_get_ref(val, &s->parent)) {
            break;
        }
    }
    return 0;
}

static int fetch_step(struct vf_vsphere *vs, struct step *s, struct vf_error **err)
{
    static const char *const of_any[] = {"name", "parent", NULL};
    static const char *const of_vm[] = {"name", "parent", "parentVApp", NULL};
    static const char *const of_vapp[] = {"name", "parent", "parentFolder", NULL};
    const char *const *paths = strcmp(s->at.type, VF_MO_VM) == 0     ? of_vm
                               : strcmp(s->at.type, VF_MO_VAPP) == 0 ? of_vapp
                                                                     : of_any;
    return vf_property_fetch_object(vs, s->at.type, s->at.value, paths, false, what, on_object, s,
                                    err);
}

static int refuse(const struct step *s, struct vf_error **err)
{
    vf_error_set(err, VF_AUTH, "cannot %s: nothing is to be seen above %s \"%s\"", what, s->at.type,
                 s->at.value);
    vf_error_hint(err, "give the user the privilege System.View on the VM's folders up to its "
                       "datacenter");
    return VF_AUTH;
}

/* From the VM to the root, noting names from the datacenter on. */
static int climb(struct vf_vsphere *vs, struct step *s, char **path, struct vf_error **err)
{
    bool within = false;
    for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
        if (within && strcmp(s->at.value, vs->services.root_folder) == 0) {
            return 0;
        }
        int rc = fetch_step(vs, s, err);
        if (rc) {
            return rc;
        }
        within = within || strcmp(s->at.type, VF_MO_DATACENTER) == 0;
        if (!s->parent.value || (within && !s->name)) {
            return refuse(s, err);
        }
        if (within) {
            char *longer = vf_xasprintf("%s%s%s", s->name, *path ? "/" : "", *path ? *path : "");
            free(*path);
            *path = longer;
        }
        vf_ref_release(&s->at);
        s->at = s->parent;
        s->parent = (struct vf_ref){0};
    }
    return vf_error_set(err, VF_INVALID, "cannot %s: the inventory is deeper than %d", what,
                        MAX_DEPTH);
}

int vf_vsphere_fetch_datacenter_path(struct vf_vsphere *vs, const char *vm_moref, char **ret_path,
                                     struct vf_error **err)
{
    if (vs->esxi) {
        *ret_path = vf_xstrdup("ha-datacenter"); /* the one that every host has */
        return 0;
    }
    char *vf_autofree path = NULL;
    struct step s = {.at = {vf_xstrdup(VF_MO_VM), vf_xstrdup(vm_moref)}};
    int rc = climb(vs, &s, &path, err);
    step_release(&s);
    if (rc == 0) {
        *ret_path = vf_take(path);
    }
    return rc;
}
