#include "importer/source/vddk.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/proc.h"

#define PROBE_TIMEOUT_MS 30000
#define MAX_DUMP_BYTES   65536
#define SHA1_BYTES       20
/* A library that crashes takes only its nbdkit along. */
#define RESTARTS       3
#define MAX_PARAMETERS 16
/* The name is libvixDiskLib.so.MAJOR; the folder is VMware's layout on 64 bits. */
#define LIBRARY_DIR    "lib64"
#define LIBRARY_PREFIX "libvixDiskLib.so."

static const char *plugin_of(const struct vf_vddk_options *o)
{
    return o->plugin ? o->plugin : "vddk";
}

static const char *program_of(const struct vf_vddk_options *o)
{
    return o->program ? o->program : "nbdkit";
}

static int check_libdir(const char *libdir, struct vf_error **err)
{
    char *vf_autofree path = vf_xasprintf("%s/" LIBRARY_DIR, libdir ? libdir : "");
    bool found = false;
    DIR *dir = libdir && *libdir == '/' ? opendir(path) : NULL;
    if (dir) {
        for (const struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
            found = strncmp(e->d_name, LIBRARY_PREFIX, strlen(LIBRARY_PREFIX)) == 0;
        }
        closedir(dir);
    }
    if (found) {
        return 0;
    }
    vf_error_set(err, VF_MISSING,
                 "no VMware library (" LIBRARY_DIR "/" LIBRARY_PREFIX "*) is in \"%s\"",
                 libdir ? libdir : "");
    vf_error_hint(err, "give the absolute path of the unpacked vmware-vix-disklib-distrib");
    return VF_MISSING;
}

/* `nbdkit PLUGIN --dump-plugin [libdir=...]`: "key=value" lines. */
static int dump_plugin(const struct vf_vddk_options *o, const char *libdir, char **ret_dump,
                       struct vf_error **err)
{
    char *vf_autofree program = NULL;
    int rc = vf_proc_find(program_of(o), &program, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree parameter = libdir ? vf_xasprintf("libdir=%s", libdir) : NULL;
    const char *const argv[] = {program, "--dump-plugin", plugin_of(o), parameter, NULL};
    struct vf_proc_options options = {.argv = argv,
                                      .timeout_ms = PROBE_TIMEOUT_MS,
                                      .max_output_bytes = MAX_DUMP_BYTES,
                                      .cancel = o->cancel};
    return vf_proc_run(&options, ret_dump, err);
}

/* The value of `key=`, or NULL; caller frees. */
static char *find_value(const char *dump, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = dump; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == '=') {
            const char *value = line + len + 1;
            size_t n = 0;
            while (isgraph((unsigned char)value[n])) {
                n++;
            }
            return vf_xstrndup(value, n);
        }
    }
    return NULL;
}

int vf_vddk_probe(const struct vf_vddk_options *options, char **ret_version, struct vf_error **err)
{
    const struct vf_vddk_options *o = options;
    char *vf_autofree plain = NULL;
    struct vf_error *refusal = NULL;
    /* Without the library the plugin can still say that it is there. */
    int rc = dump_plugin(o, NULL, &plain, &refusal);
    if (rc == VF_INTERNAL) {
        rc = vf_error_set(err, VF_MISSING, "nbdkit has no plugin \"%s\": %s", plugin_of(o),
                          vf_error_message(refusal));
        vf_error_hint(err, "install nbdkit with its vddk plugin (Debian's has none)");
        vf_error_free(refusal);
        return rc;
    }
    vf_error_move(err, &refusal);
    rc = rc ? rc : check_libdir(o->libdir, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree dump = NULL;
    rc = dump_plugin(o, o->libdir, &dump, &refusal);
    char *vf_autofree dll = rc ? NULL : find_value(dump, "vddk_dll");
    char *vf_autofree version = rc ? NULL : find_value(dump, "vddk_library_version");
    if (rc == VF_INTERNAL || (!rc && !dll && !version)) {
        rc = vf_error_set(err, VF_UNSUPPORTED, "VMware's library in \"%s\" cannot be loaded: %s",
                          o->libdir, refusal ? vf_error_message(refusal) : "nbdkit tells none");
        vf_error_hint(err, "use a version of it that this nbdkit knows");
        vf_error_free(refusal);
        return rc;
    }
    vf_error_move(err, &refusal);
    if (!rc && ret_version) {
        *ret_version = version ? vf_take(version) : vf_xstrdup("unknown");
    }
    return rc;
}

/* As the library wants it: pairs with colons. */
char *vf_vddk_spell_thumbprint(const char *text)
{
    char digits[2 * SHA1_BYTES];
    size_t n = 0;
    for (; *text; text++) {
        if (*text == ':') {
            continue;
        }
        if (n == sizeof digits || !isxdigit((unsigned char)*text)) {
            return NULL;
        }
        digits[n++] = (char)toupper((unsigned char)*text);
    }
    if (n != sizeof digits) {
        return NULL;
    }
    char *spelled = vf_xcalloc((size_t)3 * SHA1_BYTES, 1);
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        spelled[3 * i] = digits[2 * i];
        spelled[3 * i + 1] = digits[2 * i + 1];
        spelled[3 * i + 2] = i + 1 < SHA1_BYTES ? ':' : '\0';
    }
    return spelled;
}

static bool is_moref(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return n > 0 && !s[n];
}

static int check_start(const struct vf_vddk_options *o, struct vf_error **err)
{
    const struct {
        const char *name, *value;
    } needed[] = {{"libdir", o->libdir},
                  {"server", o->server},
                  {"user", o->user},
                  {"password", o->password ? "given" : NULL},
                  {"thumbprint", o->thumbprint},
                  {"vm", o->vm},
                  {"file", o->file}};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!needed[i].value || !*needed[i].value) {
            return vf_error_set(err, VF_INVALID, "vddk needs a %s", needed[i].name);
        }
    }
    if (!is_moref(o->vm) || (o->snapshot && !is_moref(o->snapshot))) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is no managed object reference",
                            is_moref(o->vm) ? o->snapshot : o->vm);
    }
    return 0;
}

/* Appends "key=value" unless there is no value. */
static void put(char *parameters[], unsigned *n, const char *key, const char *value)
{
    if (value) {
        parameters[(*n)++] = vf_xasprintf("%s=%s", key, value);
    }
}

int vf_vddk_start(const struct vf_vddk_options *options, struct vf_nbdkit **ret_server,
                  struct vf_error **err)
{
    const struct vf_vddk_options *o = options;
    int rc = check_start(o, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree thumbprint = vf_vddk_spell_thumbprint(o->thumbprint);
    if (!thumbprint) {
        vf_error_set(err, VF_INVALID, "\"%s\" is no SHA-1 thumbprint", o->thumbprint);
        vf_error_hint(err, "VMware's library wants that of 20 bytes, not SHA-256");
        return VF_INVALID;
    }
    char *vf_autofree vm = vf_xasprintf("moref=%s", o->vm);
    char *parameters[MAX_PARAMETERS] = {0};
    unsigned n = 0;
    put(parameters, &n, "libdir", o->libdir);
    put(parameters, &n, "server", o->server);
    put(parameters, &n, "port", o->port);
    put(parameters, &n, "user", o->user);
    put(parameters, &n, "thumbprint", thumbprint);
    put(parameters, &n, "vm", vm);
    put(parameters, &n, "snapshot", o->snapshot);
    put(parameters, &n, "transports", o->transports);
    put(parameters, &n, "compression", o->compression);
    put(parameters, &n, "file", o->file);
    struct vf_nbdkit_options nbdkit = {.program = o->program,
                                       .plugin = plugin_of(o),
                                       .parameters = (const char *const *)parameters,
                                       .secret_key = "password",
                                       .secret = o->password,
                                       .restarts = RESTARTS,
                                       .cancel = o->cancel};
    rc = vf_nbdkit_start(&nbdkit, ret_server, err);
    for (unsigned i = 0; i < n; i++) {
        free(parameters[i]);
    }
    return rc;
}
