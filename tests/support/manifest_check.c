#include "tests/support/manifest_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"

struct manifest_check manifest_check_linux(void)
{
    return (struct manifest_check){.vm = {.name = TEXT("web01"),
                                          .guest_id = TEXT("ubuntu64Guest"),
                                          .family = VF_GUEST_LINUX,
                                          .firmware = VF_FIRMWARE_BIOS,
                                          .bios_uuid = TEXT("564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f"),
                                          .cpus = 2,
                                          .memory_bytes = 4 * GIB}};
}

void manifest_check_build(struct manifest_check *c)
{
    struct vf_error *err = NULL;
    vf_manifests_release(&c->made);
    c->options.mapping = &c->mapping;
    if (vf_manifests_build(&c->vm, &c->options, &c->made, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
}

void manifest_check_release(struct manifest_check *c)
{
    vf_manifests_release(&c->made);
    vf_network_map_release(&c->mapping.networks);
}

static const cJSON *at(const struct manifest_check *c, const char *path)
{
    const cJSON *node = c->made.documents[c->made.n_documents - 1];
    char *vf_autofree copy = vf_xstrdup(path);
    char *rest = NULL;
    for (char *part = strtok_r(copy, ".", &rest); part; part = strtok_r(NULL, ".", &rest)) {
        node = *part >= '0' && *part <= '9' ? cJSON_GetArrayItem(node, atoi(part))
                                            : cJSON_GetObjectItemCaseSensitive(node, part);
    }
    return node;
}

void manifest_check_expect(const struct manifest_check *c, const char *path, const char *want)
{
    const cJSON *node = at(c, path);
    char *vf_autofree got = node ? vf_json_print(node, false) : NULL;
    if ((got == NULL) != (want == NULL) || (got && strcmp(got, want) != 0)) {
        fail_msg("%s is %s, wanted %s", path, got ? got : "absent", want ? want : "absent");
    }
}

void manifest_check_concern(const struct manifest_check *c, const char *id, const char *part)
{
    for (size_t i = 0; i < c->made.concerns.n_items; i++) {
        const struct vf_concern *one = &c->made.concerns.items[i];
        if (strcmp(one->id, id) == 0 && (!part || strstr(one->text, part))) {
            if (!part) {
                fail_msg("there is a concern %s: %s", id, one->text);
            }
            return;
        }
    }
    if (part) {
        fail_msg("no concern %s tells \"%s\"", id, part);
    }
}

void manifest_check_origin(const struct manifest_check *c, const char *path,
                           enum vf_origin_kind kind, const char *part)
{
    const struct vf_origin *o = vf_origin_get(c->made.origins, at(c, path));
    if (!o || o->kind != kind || !strstr(o->text, part)) {
        fail_msg("%s comes from %s (%s)", path, o ? vf_origin_kind_name(o->kind) : "nowhere",
                 o ? o->text : "");
    }
}
