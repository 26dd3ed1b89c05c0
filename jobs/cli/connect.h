/* Options and environment by which commands reach vSphere, and HTTP servers with images. */
#ifndef JOBS_CLI_CONNECT_H
#define JOBS_CLI_CONNECT_H

#include <stdbool.h>

#include "importer/vsphere/vsphere.h"
#include "jobs/cli/command.h"

struct vf_trust_args {
    const char *ca_file, *thumbprint, *proxy;
    bool insecure;
    const char *prefix; /* of its options' names, for messages; NULL: none */
};
#define VF_N_TRUST_OPTIONS 4
extern const struct vf_option vf_trust_options[VF_N_TRUST_OPTIONS];

struct vf_login_args {
    const char *source, *user, *password_file;
};
#define VF_N_LOGIN_OPTIONS 3
extern const struct vf_option vf_login_options[VF_N_LOGIN_OPTIONS];

/* For a command's table of groups; `type` is its argument struct with the members named. */
#define VF_LOGIN_GROUP(type, member)                                                               \
    {                                                                                              \
        .title = "Source", .options = vf_login_options, .n_options = VF_N_LOGIN_OPTIONS,           \
        .offset = offsetof(type, member)                                                           \
    }
#define VF_TRUST_GROUP(type, member)                                                               \
    {                                                                                              \
        .title = "Trust", .options = vf_trust_options, .n_options = VF_N_TRUST_OPTIONS,            \
        .offset = offsetof(type, member)                                                           \
    }

/* Checks the options against each other and warns on cli->err about a server that is not verified.
 * ret_http borrows from args. */
int vf_trust_resolve(struct vf_cli *cli, const struct vf_trust_args *args,
                     struct vf_http_options *ret_http, struct vf_error **err);

/* Misuse when `url` carries user:password@, which every user of the machine could read. `what`
 * names it in the error, which never quotes it. */
int vf_connect_check_url(struct vf_cli *cli, const char *what, const char *url,
                         struct vf_error **err);

/* Options, else environment, else (for the password) a prompt. *ret_password owns what
 * ret_options->password borrows; the rest is borrowed from args and the environment. */
int vf_connect_resolve(struct vf_cli *cli, const struct vf_login_args *login,
                       const struct vf_trust_args *trust, struct vf_vsphere_options *ret_options,
                       struct vf_secret **ret_password, struct vf_error **err);

#endif
