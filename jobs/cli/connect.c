#include "jobs/cli/connect.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/report/text.h"

#define SHA1_DIGITS   40
#define SHA256_DIGITS 64

const struct vf_option vf_login_options[VF_N_LOGIN_OPTIONS] = {
    {.name = "source",
     .kind = VF_OPTION_STRING,
     .value = "URL",
     .help = "vCenter or ESXi host, https://HOST[:PORT][/sdk]; else from VMFERRY_SOURCE",
     .offset = offsetof(struct vf_login_args, source)},
    {.name = "user",
     .kind = VF_OPTION_STRING,
     .value = "USER",
     .help = "who logs in, \"administrator@vsphere.local\"; else from VMFERRY_USER",
     .offset = offsetof(struct vf_login_args, user)},
    {.name = "password-file",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "its first line is the password; else from VMFERRY_PASSWORD, else asked for on the "
             "terminal",
     .offset = offsetof(struct vf_login_args, password_file),
     .complete = VF_COMPLETE_FILE},
};

const struct vf_option vf_trust_options[VF_N_TRUST_OPTIONS] = {
    {.name = "ca-file",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "PEM certificates to trust instead of the system's",
     .offset = offsetof(struct vf_trust_args, ca_file),
     .complete = VF_COMPLETE_FILE},
    {.name = "thumbprint",
     .kind = VF_OPTION_STRING,
     .value = "HEX",
     .help = "trust exactly the certificate with this SHA-1 or SHA-256, whoever issued it",
     .offset = offsetof(struct vf_trust_args, thumbprint)},
    {.name = "insecure-skip-verify",
     .kind = VF_OPTION_FLAG,
     .help = "trust any certificate: whoever sits on the path can read the password",
     .offset = offsetof(struct vf_trust_args, insecure)},
    {.name = "proxy",
     .kind = VF_OPTION_STRING,
     .value = "URL",
     .help = "go through this proxy, '' for none; else as HTTPS_PROXY and NO_PROXY say",
     .offset = offsetof(struct vf_trust_args, proxy),
     .may_be_empty = true},
};

/* Two hexadecimal digits a byte, with or without colons between them. */
static bool is_thumbprint(const char *s)
{
    size_t digits = 0;
    for (; *s; s++) {
        if (*s == ':' && digits > 0 && digits % 2 == 0 && s[-1] != ':' && s[1]) {
            continue;
        }
        if (!strchr("0123456789abcdefABCDEF", *s)) {
            return false;
        }
        digits++;
    }
    return digits == SHA1_DIGITS || digits == SHA256_DIGITS;
}

/* "HOST:8443" of a URL whose path has an '@', and not "USER:PASS" of one whose password has a
 * raw '/'. */
static bool is_host_and_port(const char *s, size_t len)
{
    const char *colon = memrchr(s, ':', len);
    return !colon || strspn(colon + 1, "0123456789") >= (size_t)(s + len - colon - 1);
}

static bool has_password(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *authority = scheme_end ? scheme_end + 3 : url;
    const char *at = strrchr(authority, '@');
    if (!at || !memchr(authority, ':', (size_t)(at - authority))) {
        return false;
    }
    size_t len = strcspn(authority, "/?#");
    if (at < authority + len) {
        return true;
    }
    const char *inner = memrchr(authority, '@', len);
    return inner ? memchr(authority, ':', (size_t)(inner - authority)) != NULL
                 : !is_host_and_port(authority, len);
}

int vf_connect_check_url(struct vf_cli *cli, const char *what, const char *url,
                         struct vf_error **err)
{
    if (!has_password(url)) {
        return 0;
    }
    return vf_cli_misuse(cli, err,
                         "%s holds a password, which every user of this machine can see in the "
                         "list of processes",
                         what);
}

int vf_trust_resolve(struct vf_cli *cli, const struct vf_trust_args *args,
                     struct vf_http_options *ret_http, struct vf_error **err)
{
    const char *prefix = args->prefix ? args->prefix : "";
    if (args->thumbprint && !is_thumbprint(args->thumbprint)) {
        return vf_cli_misuse(
            cli, err,
            "option \"--%sthumbprint\" wants %u or %u hexadecimal digits, the SHA-1 or SHA-256 of "
            "the server's certificate",
            prefix, SHA1_DIGITS, SHA256_DIGITS);
    }
    if (args->insecure && (args->thumbprint || args->ca_file)) {
        return vf_cli_misuse(
            cli, err, "options \"--%sinsecure-skip-verify\" and \"--%s%s\" contradict each other",
            prefix, prefix, args->thumbprint ? "thumbprint" : "ca-file");
    }
    if (args->proxy) {
        int rc = vf_connect_check_url(cli, "option \"--proxy\"", args->proxy, err);
        if (rc) {
            return rc;
        }
    }
    if (args->insecure) {
        fprintf(cli->err,
                "vmferry: warning: --%sinsecure-skip-verify: the server's certificate is not "
                "verified: anyone on the path can read the password and change the data\n",
                prefix);
    }
    *ret_http = (struct vf_http_options){.ca_file = args->ca_file,
                                         .thumbprint = args->thumbprint,
                                         .insecure = args->insecure,
                                         .proxy = args->proxy};
    return 0;
}

static const char *from_environment(const char *given, const char *name)
{
    if (given) {
        return given;
    }
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int fetch_password(struct vf_cli *cli, const char *file, const char *user,
                          const char *source, struct vf_secret **ret_password,
                          struct vf_error **err)
{
    if (file) {
        int loose = 0;
        int rc = vf_secret_fetch_file(file, ret_password, &loose, err);
        if (rc == 0 && loose) {
            char *vf_autofree shown = vf_text_safe(file);
            fprintf(cli->err,
                    "vmferry: warning: others can read the password in \"%s\"; \"chmod 600\" keeps "
                    "them out\n",
                    shown);
        }
        return rc;
    }
    if (vf_secret_fetch_env("VMFERRY_PASSWORD", ret_password, NULL) == 0) {
        return 0;
    }
    char *vf_autofree prompt = vf_xasprintf("Password of %s at %s: ", user, source);
    char *vf_autofree shown = vf_text_safe(prompt);
    int rc = vf_secret_fetch_prompt(shown, cli->cancel, ret_password, err);
    if (rc == VF_MISSING) {
        vf_error_hint(err, "give the password by --password-file FILE or in VMFERRY_PASSWORD");
    }
    return rc;
}

int vf_connect_resolve(struct vf_cli *cli, const struct vf_login_args *login,
                       const struct vf_trust_args *trust, struct vf_vsphere_options *ret_options,
                       struct vf_secret **ret_password, struct vf_error **err)
{
    const char *source = from_environment(login->source, "VMFERRY_SOURCE");
    const char *user = from_environment(login->user, "VMFERRY_USER");
    if (!source) {
        return vf_cli_misuse(cli, err,
                             "option \"--source\" is missing: the URL of a vCenter or ESXi host");
    }
    int rc = vf_connect_check_url(
        cli, login->source ? "option \"--source\"" : "variable VMFERRY_SOURCE", source, err);
    if (rc) {
        return rc;
    }
    if (strncmp(source, "http://", 7) == 0) {
        return vf_cli_misuse(cli, err,
                             "the source must be https: over http the password would be readable");
    }
    if (!user) {
        return vf_cli_misuse(cli, err, "option \"--user\" is missing: who logs in at the source");
    }
    struct vf_http_options http;
    rc = vf_trust_resolve(cli, trust, &http, err);
    if (rc == 0) {
        rc = fetch_password(cli, login->password_file, user, source, ret_password, err);
    }
    if (rc == 0) {
        *ret_options = (struct vf_vsphere_options){
            .url = source, .user = user, .password = *ret_password, .http = http};
    }
    return rc;
}
