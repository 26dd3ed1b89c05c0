#include "jobs/cli/near.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/suggest.h"

#define MAX_NEAR 3

static bool is_there(const char *name, const struct vf_vm *vms, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (vms[i].name && strcmp(vms[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *vf_near_first_missing(const char *const *names, const struct vf_vm *vms, size_t n)
{
    for (size_t i = 0; names && names[i]; i++) {
        if (!is_there(names[i], vms, n)) {
            return names[i];
        }
    }
    return NULL;
}

/* Edits, or a little for a name that has it inside ("web01" of "prod-web01"); SIZE_MAX: not near.
 */
static size_t rank(const char *name, const char *candidate)
{
    size_t distance = vf_suggest_distance(name, candidate);
    if (distance <= strlen(name) / 3) {
        return distance;
    }
    return strlen(name) >= 3 && strcasestr(candidate, name) ? strlen(name) : SIZE_MAX;
}

int vf_near_set_error(struct vf_error **err, const char *name, const struct vf_vm *vms, size_t n)
{
    const char *near[MAX_NEAR];
    size_t ranks[MAX_NEAR];
    size_t n_near = 0;
    for (size_t i = 0; i < n; i++) {
        size_t r = vms[i].name ? rank(name, vms[i].name) : SIZE_MAX;
        if (r == SIZE_MAX || (n_near == MAX_NEAR && r >= ranks[MAX_NEAR - 1])) {
            continue;
        }
        size_t at = n_near < MAX_NEAR ? n_near++ : MAX_NEAR - 1;
        for (; at > 0 && ranks[at - 1] > r; at--) {
            near[at] = near[at - 1];
            ranks[at] = ranks[at - 1];
        }
        near[at] = vms[i].name;
        ranks[at] = r;
    }
    int rc = vf_error_set(err, VF_MISSING, "no vm is called \"%s\"", name);
    if (n_near == 0) {
        vf_error_hint(err, "\"vmferry inventory\" lists the %zu that this user can see", n);
        return rc;
    }
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < n_near; i++) {
        vf_buf_printf(&b, "%s\"%s\"", i ? ", " : "", near[i]);
    }
    vf_error_hint(err, "names like it: %s", b.data);
    vf_buf_release(&b);
    return rc;
}
