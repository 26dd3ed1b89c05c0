/* A stand-in for nbdkit's vddk plugin, which needs VMware's library: takes its parameters and
 * refuses others (nbdkit-vddk-plugin(1)), and serves what it finds in libdir.
 *
 *     libdir/lib64/libvixDiskLib.so.8   must be there, and not be empty to be "loaded"
 *     libdir/expected                   the parameters that open() wants, "key=value" lines
 *     libdir/content                    the disk
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static const char *const keys[] = {"libdir",     "server",      "port", "user",
                                   "password",   "thumbprint",  "vm",   "snapshot",
                                   "transports", "compression", "file"};
#define N_KEYS (sizeof keys / sizeof keys[0])
static char *values[N_KEYS];

static const char *value_of(const char *key)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i], key) == 0) {
            return values[i] ? values[i] : "";
        }
    }
    abort();
}

static int vddk_config(const char *key, const char *value)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i], key) != 0) {
            continue;
        }
        free(values[i]);
        values[i] = NULL;
        if (strcmp(key, "password") == 0) {
            return nbdkit_read_password(value, &values[i]);
        }
        values[i] = strdup(value);
        return values[i] ? 0 : -1;
    }
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static bool path_in_libdir(const char *name, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/%s", value_of("libdir"), name);
    return n > 0 && (size_t)n < size;
}

static bool library_loads(void)
{
    char path[4096];
    struct stat st;
    return path_in_libdir("lib64/libvixDiskLib.so.8", path, sizeof path) && stat(path, &st) == 0 &&
           st.st_size > 0;
}

static void vddk_dump_plugin(void)
{
    printf("vddk_default_libdir=/usr/lib64/vmware-vix-disklib\nvddk_has_nfchostport=1\n");
    if (!*value_of("libdir")) {
        return;
    }
    if (!library_loads()) {
        nbdkit_error("could not open shared object file");
        exit(EXIT_FAILURE);
    }
    printf("vddk_library_version=8\nvddk_dll=%s/lib64/libvixDiskLib.so.8\n", value_of("libdir"));
}

static int vddk_get_ready(void)
{
    if (!library_loads()) {
        nbdkit_error("libvixDiskLib.so.8: cannot open shared object file");
        return -1;
    }
    return 0;
}

static bool is_as_expected(const char *line)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        size_t len = strlen(keys[i]);
        if (strncmp(line, keys[i], len) == 0 && line[len] == '=') {
            return strcmp(line + len + 1, values[i] ? values[i] : "") == 0;
        }
    }
    return false;
}

static void *vddk_open(int readonly)
{
    char path[4096], line[4096];
    FILE *in = path_in_libdir("expected", path, sizeof path) ? fopen(path, "re") : NULL;
    bool good = in && readonly;
    while (good && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        good = is_as_expected(line);
        if (!good) {
            nbdkit_error("VixDiskLib_ConnectEx: %.*s is wrong", (int)strcspn(line, "="), line);
        }
    }
    if (in) {
        fclose(in);
    }
    int *fd = malloc(sizeof *fd);
    if (!good || !fd || !path_in_libdir("content", path, sizeof path) ||
        (*fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        free(fd);
        return NULL;
    }
    return fd;
}

static void vddk_close(void *handle)
{
    close(*(int *)handle);
    free(handle);
}

static int64_t vddk_get_size(void *handle)
{
    struct stat st;
    return fstat(*(int *)handle, &st) == 0 ? st.st_size : -1;
}

/* The library knows sectors only. */
static int vddk_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    (void)handle;
    *minimum = 512;
    *preferred = 262144;
    *maximum = 0xffffffff;
    return 0;
}

static int vddk_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    (void)flags;
    if (count % 512 || offset % 512) {
        nbdkit_error("read is not aligned to sectors");
        return -1;
    }
    return pread(*(int *)handle, buf, count, (off_t)offset) == (ssize_t)count ? 0 : -1;
}

static struct nbdkit_plugin plugin = {
    .name = "vddk",
    .version = "1",
    .config = vddk_config,
    .magic_config_key = "file",
    .dump_plugin = vddk_dump_plugin,
    .get_ready = vddk_get_ready,
    .open = vddk_open,
    .close = vddk_close,
    .get_size = vddk_get_size,
    .block_size = vddk_block_size,
    .pread = vddk_pread,
};

struct nbdkit_plugin *plugin_init(void); /* the one symbol that nbdkit looks for */

NBDKIT_REGISTER_PLUGIN(plugin)
