/* The manifests of one VM, made from a model and a mapping, and looked at by path. */
#ifndef TESTS_SUPPORT_MANIFEST_CHECK_H
#define TESTS_SUPPORT_MANIFEST_CHECK_H

#include "converters/vm/manifest.h"

#define TEXT(s) ((char *)(uintptr_t)(s)) /* the model owns its strings; nobody frees these */
#define GIB     (UINT64_C(1) << 30)

/* Of the VirtualMachine. */
#define SPEC    "spec.template.spec."
#define DOMAIN  SPEC "domain."
#define DEVICES DOMAIN "devices."

struct manifest_check {
    struct vf_vm vm;           /* its lists are the test's */
    struct vf_mapping mapping; /* so are these; but its network map is released */
    struct vf_manifest_options options;
    struct vf_manifests made;
};

/* A Linux VM (ubuntu64Guest, BIOS, 2 CPUs, 4 GiB) without disks and NICs. */
struct manifest_check manifest_check_linux(void);

/* Build again, after vm or mapping changed; fails the test when it cannot be. */
void manifest_check_build(struct manifest_check *c);
void manifest_check_release(struct manifest_check *c);

/* JSON text at a path of the VirtualMachine ("spec.template.spec.volumes.0.name"); NULL: absent. */
void manifest_check_expect(const struct manifest_check *c, const char *path, const char *want);
/* There is a concern with that ID and that part of a text; NULL: there is none with that ID. */
void manifest_check_concern(const struct manifest_check *c, const char *id, const char *part);
/* The note of the node at the path. */
void manifest_check_origin(const struct manifest_check *c, const char *path,
                           enum vf_origin_kind kind, const char *part);

#endif
