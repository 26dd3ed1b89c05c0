/* The inside of a session: calls with retry, re-login and clean-up, for the files of this folder.
 */
#ifndef IMPORTER_VSPHERE_SESSION_H
#define IMPORTER_VSPHERE_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "importer/base/retry.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/vsphere.h"

/* Morefs of the services, from RetrieveServiceContent. */
struct vf_services {
    char *session_manager;
    char *property_collector;
    char *view_manager;
    char *root_folder;
    char *ovf_manager; /* this and what follows may be NULL */
    char *authorization_manager;
    char *license_manager;
    char *custom_fields_manager;
};

/* Lock order: login_lock before lock. No call is made under `lock`. */
struct vf_vsphere {
    /* Fixed once login has returned. */
    struct vf_http *http;         /* ends its waits on cancellation */
    struct vf_http *cleanup_http; /* does not */
    const struct vf_cancel *cancel;
    struct vf_http_options http_options; /* strings owned */
    char *host, *authority, *user;
    struct vf_secret *password;
    char *api_version, *soap_action;
    char *about_name, *about_version, *about_uuid;
    bool esxi;
    struct vf_services services;
    unsigned retry_deadline_ms;

    pthread_mutex_t login_lock; /* held by the one thread that logs in */
    pthread_mutex_t lock;       /* guards what follows */
    char *cookie;               /* "vmware_soap_session=..."; wiped when dropped */
    unsigned generation;        /* counts logins */
    bool logged_in;
    int64_t last_call_ms;
};

enum vf_call_flag {
    /* Sending it a second time does no harm: transport failures are repeated. Without this flag
     * only calls that the server refused without doing anything are. */
    VF_CALL_REPEATABLE = 1 << 0,
    /* Clean-up: not cancelled; all attempts together end within timeout_ms. */
    VF_CALL_CLEANUP = 1 << 1,
    /* Names objects that die with the session (views, filters, tokens): after a re-login it is not
     * repeated but fails with VF_RETRY, reason NotAuthenticated, so that they can be made anew. */
    VF_CALL_SESSION_BOUND = 1 << 2,
    /* Part of logging in: no re-login, takes the cookie that comes. */
    VF_CALL_LOGIN = 1 << 3,
    /* Does something that must not be done twice: not even libcurl may send it again. */
    VF_CALL_ONCE = 1 << 5,
    /* A lost session ends this call. */
    VF_CALL_NO_RELOGIN = 1 << 4,
    /* A fault ends it, "busy" too: whoever made the call waits for that, and for how long. */
    VF_CALL_FAULT_ENDS = 1 << 6,
};

struct vf_call {
    const char *method;
    const char *what; /* for "cannot WHAT: ..." */
    const struct vf_buf *body;
    unsigned flags;      /* enum vf_call_flag */
    unsigned timeout_ms; /* of one attempt; 0: 120 s, 15 s for clean-up */
};

/* Send a call, parse its answer. A fault is an error here (vf_fault_set_error). On success ret is
 * the caller's to release. */
int vf_session_call(struct vf_vsphere *vs, const struct vf_call *call, struct vf_answer *ret,
                    struct vf_error **err);

/* As vf_session_call for calls whose answer holds nothing of use. */
int vf_session_call_void(struct vf_vsphere *vs, const struct vf_call *call, struct vf_error **err);

/* Log in again unless somebody did since `generation`. */
int vf_session_relogin(struct vf_vsphere *vs, unsigned generation, unsigned flags,
                       struct vf_error **err);
unsigned vf_session_generation(struct vf_vsphere *vs);

/* RetrieveServiceContent and Login; under login_lock, or before any other thread knows vs. */
int vf_session_fetch_content(struct vf_vsphere *vs, struct vf_error **err);
int vf_session_login(struct vf_vsphere *vs, unsigned flags, struct vf_error **err);

/* Waits of 0.25 s, doubling to 5 s, as long as `timeout_ms`; those of clean-up are not cancelled.
 */
void vf_session_retry_init(const struct vf_vsphere *vs, int64_t timeout_ms, bool cleanup,
                           struct vf_retry *ret);

/* Value of a vmware_soap_session cookie in raw headers as "name=value"; NULL when none is set. */
char *vf_session_parse_cookie(const char *headers);

#endif
