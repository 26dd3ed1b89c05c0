/* Which transport, and why. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/source/datastore.h"
#include "jobs/migration/transport_private.h"

struct choice {
    const struct vf_transport_options *options;
    const struct vf_transport_env *env;
    const char *snapshot;
    const struct vf_vm *frozen;
};

static int try_vddk(const struct choice *c, struct vf_transport **ret_transport, char **ret_reason,
                    struct vf_error **err)
{
    char *vf_autofree version = NULL;
    struct vf_transport *t = vf_transport_vddk_new(c->options, c->env);
    int rc = vf_transport_vddk_probe(t, c->snapshot, c->frozen, c->env->cancel, &version, err);
    if (rc) {
        vf_transport_free(t);
        return rc;
    }
    *ret_transport = t;
    *ret_reason =
        vf_xasprintf("VMware's library (version %s) is given, and reads the disks", version);
    return 0;
}

static int try_https(const struct choice *c, struct vf_transport **ret_transport, char **ret_reason,
                     struct vf_error **err)
{
    struct vf_transport *t = vf_transport_https_new(c->options, c->env);
    int rc = vf_transport_https_probe(t, c->frozen, c->env->cancel, err);
    if (rc) {
        vf_transport_free(t);
        return rc;
    }
    *ret_transport = t;
    *ret_reason = vf_xstrdup(c->frozen->power == VF_POWER_ON
                                 ? "the datastore lets the frozen disks of the running VM be read"
                                 : "the datastore lets the VM's disks be read");
    return 0;
}

char *vf_transport_explain_https(const struct vf_vm *vm, const struct vf_error *e)
{
    static const struct {
        const char *reason, *before, *after; /* whose disk it is stands between them */
    } known[] = {
        {VF_DATASTORE_LOCKED, "the datastore does not let ", " disk be read: it is locked"},
        {VF_DATASTORE_FORBIDDEN, "the datastore does not let ", " disk be read"},
        {VF_DATASTORE_MISSING, "the datastore browser does not show the file of ", " disk"},
        {VF_DATASTORE_NO_RANGES, "the datastore browser does not serve parts of ", " disk"},
    };
    const char *reason = vf_error_reason(e);
    const char *whose = vm->power == VF_POWER_ON ? "a running VM's" : "the VM's";
    long status = vf_error_http_status(e);
    char *vf_autofree shown = status ? vf_xasprintf(" (%ld)", status) : vf_xstrdup("");
    for (size_t i = 0; reason && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(reason, known[i].reason) == 0) {
            return vf_xasprintf("%s%s%s%s", known[i].before, whose, known[i].after, shown);
        }
    }
    char *vf_autofree text = vf_error_format(e);
    return vf_xasprintf("https cannot be had: %s", text);
}

/* In the order of what they give: each but nfc moves changed areas alone. */
static int choose_any(const struct choice *c, struct vf_transport **ret_transport,
                      char **ret_reason, struct vf_error **err)
{
    char *vf_autofree no_vddk = NULL;
    struct vf_error *e = NULL;
    int rc = VF_UNSUPPORTED;
    if (c->options->vddk_libdir) {
        rc = try_vddk(c, ret_transport, ret_reason, &e);
        if (rc && rc != VF_CANCELLED) {
            char *vf_autofree text = vf_error_format(e);
            no_vddk = vf_xasprintf("vddk cannot be had: %s; ", text);
        }
    }
    char *vf_autofree reason = NULL;
    if (rc && rc != VF_CANCELLED) {
        vf_error_clear(&e);
        rc = try_https(c, ret_transport, &reason, &e);
        if (rc && rc != VF_CANCELLED) {
            reason = vf_transport_explain_https(c->frozen, e);
            vf_error_clear(&e);
            *ret_transport = vf_transport_nfc_new(c->env);
            rc = 0;
        }
    }
    if (rc) {
        vf_error_move(err, &e);
    } else if (reason) {
        *ret_reason = vf_xasprintf("%s%s", no_vddk ? no_vddk : "", reason);
    }
    return rc;
}

int vf_transport_choose(const struct vf_transport_options *options,
                        const struct vf_transport_env *env, const char *snapshot,
                        const struct vf_vm *frozen, struct vf_transport **ret_transport,
                        char **ret_reason, struct vf_error **err)
{
    const struct choice c = {
        .options = options, .env = env, .snapshot = snapshot, .frozen = frozen};
    char *vf_autofree found = NULL;
    int rc = 0;
    switch (options->kind) {
    case VF_TRANSPORT_AUTO:
        return choose_any(&c, ret_transport, ret_reason, err);
    case VF_TRANSPORT_NFC:
        *ret_transport = vf_transport_nfc_new(env);
        break;
    case VF_TRANSPORT_HTTPS:
        rc = try_https(&c, ret_transport, &found, err);
        break;
    case VF_TRANSPORT_VDDK:
        rc = try_vddk(&c, ret_transport, &found, err);
        break;
    case VF_TRANSPORT_CDI:
        return vf_error_set(err, VF_UNSUPPORTED, "transport cdi is for claims in a cluster");
    }
    if (rc) {
        return vf_error_wrap(err, rc, "transport %s", vf_transport_name(options->kind));
    }
    *ret_reason = found ? vf_xasprintf("asked for; %s", found) : vf_xstrdup("asked for");
    return 0;
}
