/* A stand-in for nbdkit's vddk plugin, which needs VMware's library: it takes the same parameters,
 * and reads the disk where the server's datastore browser shows it, /folder. CDI's importer uses it
 * in the place of the real one where it finds it as /opt/testing/libvddk-test-plugin.so.
 *
 * Right only while the VM has no more than one snapshot: the flat file is what that one froze. The
 * thumbprint is looked at for its form alone.
 */
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS

static const char *const keys[] = {"libdir",   "server",     "user", "password", "thumbprint", "vm",
                                   "snapshot", "transports", "file", "config",   "nfchostport"};
#define N_KEYS (sizeof keys / sizeof keys[0])
static char *values[N_KEYS];

/* What the importer's "-D vddk.datapath=0 -D vddk.stats=1" sets. */
extern int vddk_debug_datapath, vddk_debug_stats;
int vddk_debug_datapath = 1, vddk_debug_stats;

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

static int vddk_config_complete(void)
{
    if (!*value_of("server") || !*value_of("user") || !*value_of("password") ||
        !*value_of("file") || strncmp(value_of("vm"), "moref=", 6) != 0 ||
        strlen(value_of("thumbprint")) != 59) {
        nbdkit_error("a parameter is missing, or the thumbprint is none");
        return -1;
    }
    return 0;
}

struct handle {
    CURL *curl;
    char *url;
    int64_t size;
    char *buffer; /* of the read under way */
    size_t wanted, got;
};

/* "[datastore1] web/web.vmdk" */
static char *build_url(CURL *curl)
{
    const char *file = value_of("file");
    const char *end = strchr(file, ']');
    size_t len = strlen(file);
    char *url = NULL;
    if (file[0] != '[' || !end || end[1] != ' ' || len < 5 ||
        strcmp(file + len - 5, ".vmdk") != 0) {
        nbdkit_error("'%s' is no disk of a datastore", file);
        return NULL;
    }
    char *store = curl_easy_escape(curl, file + 1, (int)(end - file - 1));
    if (store &&
        asprintf(&url, "https://%s/folder/%.*s-flat.vmdk?dcPath=DC0&dsName=%s", value_of("server"),
                 (int)(len - 5 - (size_t)(end + 2 - file)), end + 2, store) < 0) {
        url = NULL;
    }
    curl_free(store);
    return url;
}

static size_t take(char *data, size_t one, size_t n, void *opaque)
{
    struct handle *h = opaque;
    size_t len = one * n;
    if (len > h->wanted - h->got) {
        return 0;
    }
    memcpy(h->buffer + h->got, data, len);
    h->got += len;
    return len;
}

static int fetch_size(struct handle *h)
{
    curl_off_t size = -1;
    long status = 0;
    curl_easy_setopt(h->curl, CURLOPT_NOBODY, 1L);
    CURLcode rc = curl_easy_perform(h->curl);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(h->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    if (rc || status != 200 || size < 0) {
        nbdkit_error("%s: %s, status %ld", h->url, curl_easy_strerror(rc), status);
        return -1;
    }
    h->size = size;
    curl_easy_setopt(h->curl, CURLOPT_NOBODY, 0L);
    curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
    return 0;
}

static void vddk_close(void *opaque)
{
    struct handle *h = opaque;
    curl_easy_cleanup(h->curl);
    free(h->url);
    free(h);
}

static void *vddk_open(int readonly)
{
    struct handle *h = calloc(1, sizeof *h);
    (void)readonly;
    if (!h) {
        return NULL;
    }
    h->curl = curl_easy_init();
    h->url = h->curl ? build_url(h->curl) : NULL;
    if (!h->url) {
        vddk_close(h);
        return NULL;
    }
    curl_easy_setopt(h->curl, CURLOPT_URL, h->url);
    curl_easy_setopt(h->curl, CURLOPT_USERNAME, value_of("user"));
    curl_easy_setopt(h->curl, CURLOPT_PASSWORD, value_of("password"));
    curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(h->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
    if (fetch_size(h) != 0) {
        vddk_close(h);
        return NULL;
    }
    return h;
}

static int64_t vddk_get_size(void *opaque)
{
    return ((struct handle *)opaque)->size;
}

static int vddk_pread(void *opaque, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct handle *h = opaque;
    char range[64];
    long status = 0;
    (void)flags;
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)offset,
             (unsigned long long)(offset + count - 1));
    h->buffer = buf;
    h->wanted = count;
    h->got = 0;
    curl_easy_setopt(h->curl, CURLOPT_RANGE, range);
    CURLcode rc = curl_easy_perform(h->curl);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc || status != 206 || h->got != count) {
        nbdkit_error("%s: %s, status %ld, %zu of %u bytes", h->url, curl_easy_strerror(rc), status,
                     h->got, count);
        return -1;
    }
    return 0;
}

static void vddk_unload(void)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        free(values[i]);
    }
}

static struct nbdkit_plugin plugin = {
    .name = "vddk",
    .longname = "stand-in for VMware's library, over the datastore browser",
    .unload = vddk_unload,
    .config = vddk_config,
    .config_complete = vddk_config_complete,
    .open = vddk_open,
    .close = vddk_close,
    .get_size = vddk_get_size,
    .pread = vddk_pread,
};

struct nbdkit_plugin *plugin_init(void); /* the one symbol that nbdkit looks for */
NBDKIT_REGISTER_PLUGIN(plugin)
