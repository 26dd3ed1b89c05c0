#include "importer/vsphere/vm_filter.h"

#include <fnmatch.h>
#include <string.h>

static bool is_given(const char *const *list)
{
    return list && list[0];
}

static const char *power_name(enum vf_power power)
{
    switch (power) {
    case VF_POWER_ON:
        return "on";
    case VF_POWER_OFF:
        return "off";
    case VF_POWER_SUSPENDED:
        return "suspended";
    case VF_POWER_UNKNOWN:
        break;
    }
    return "unknown";
}

static bool contains(const char *const *list, const char *s)
{
    for (; list && *list; list++) {
        if (strcmp(*list, s) == 0) {
            return true;
        }
    }
    return false;
}

int vf_vm_query_check(const struct vf_vm_query *q, struct vf_error **err)
{
    static const char *const known[] = {"on", "off", "suspended", NULL};
    for (const char *const *p = q ? q->powers : NULL; p && *p; p++) {
        if (!contains(known, *p)) {
            return vf_error_set(err, VF_INVALID, "\"%s\" is no power state (on, off, suspended)",
                                *p);
        }
    }
    return 0;
}

bool vf_vm_query_wants_name(const struct vf_vm_query *q, const char *name)
{
    if (!q || (!is_given(q->names) && !is_given(q->globs))) {
        return true;
    }
    if (!name) {
        return false;
    }
    if (contains(q->names, name)) {
        return true;
    }
    for (const char *const *g = q->globs; g && *g; g++) {
        if (fnmatch(*g, name, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* "DC0/vm/prod/" means "/DC0/vm/prod". */
static bool is_below(const char *folder, const char *wanted)
{
    wanted += strspn(wanted, "/");
    folder += strspn(folder, "/");
    size_t len = strlen(wanted);
    while (len > 0 && wanted[len - 1] == '/') {
        len--;
    }
    return len == 0 ||
           (strncmp(folder, wanted, len) == 0 && (folder[len] == '\0' || folder[len] == '/'));
}

bool vf_vm_query_wants_place(const struct vf_vm_query *q, const struct vf_vm *vm)
{
    if (!q) {
        return true;
    }
    if (is_given(q->powers) && !contains(q->powers, power_name(vm->power))) {
        return false;
    }
    if (!is_given(q->folders)) {
        return true;
    }
    for (const char *const *f = q->folders; *f; f++) {
        if (is_below(vm->folder ? vm->folder : "", *f)) {
            return true;
        }
    }
    return false;
}

static bool is_tag(const char *have, const char *wanted)
{
    const char *slash = strchr(have, '/');
    return strcmp(have, wanted) == 0 || (slash && strcmp(slash + 1, wanted) == 0);
}

bool vf_vm_query_wants_tags(const struct vf_vm_query *q, const struct vf_vm *vm)
{
    if (!q || !is_given(q->tags)) {
        return true;
    }
    for (const char *const *t = q->tags; *t; t++) {
        for (size_t i = 0; i < vm->n_tags; i++) {
            if (is_tag(vm->tags[i], *t)) {
                return true;
            }
        }
    }
    return false;
}
