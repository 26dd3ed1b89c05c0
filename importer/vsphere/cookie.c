#include "importer/vsphere/cookie.h"

#include <stdbool.h>
#include <string.h>

#include "importer/vsphere/session.h"

/* A login changes the cookie first and then the count of logins: who sees the new cookie with the
 * old count, and is refused it too, comes round once more. */
#define MAX_ROUNDS 3

static struct vf_secret *get_cookie(struct vf_vsphere *vs, unsigned *ret_generation)
{
    pthread_mutex_lock(&vs->lock);
    *ret_generation = vs->generation;
    struct vf_secret *cookie = vs->cookie ? vf_secret_new(vs->cookie, strlen(vs->cookie)) : NULL;
    pthread_mutex_unlock(&vs->lock);
    return cookie;
}

static bool is_same(const struct vf_secret *a, const struct vf_secret *b)
{
    return a && b && strcmp(vf_secret_reveal(a), vf_secret_reveal(b)) == 0;
}

int vf_vsphere_fetch_cookie(void *vsphere, const struct vf_secret *refused,
                            struct vf_secret **ret_cookie, struct vf_error **err)
{
    struct vf_vsphere *vs = vsphere;
    unsigned generation;
    struct vf_secret *cookie = get_cookie(vs, &generation);
    for (unsigned round = 0; round < MAX_ROUNDS && (!cookie || is_same(cookie, refused)); round++) {
        vf_secret_free(cookie);
        int rc = vf_session_relogin(vs, generation, 0, err);
        if (rc) {
            return rc;
        }
        cookie = get_cookie(vs, &generation);
    }
    if (!cookie) {
        return vf_error_set(err, VF_INVALID, "%s gave the session no cookie", vs->authority);
    }
    /* The same one still: whoever asks bounds how often it is refused. */
    *ret_cookie = cookie;
    return 0;
}
