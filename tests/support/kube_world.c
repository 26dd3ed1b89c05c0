#include "tests/support/kube_world.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"

/* RFC 7396 */
static void merge(cJSON *target, const cJSON *patch)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, patch)
    {
        cJSON *have = cJSON_GetObjectItemCaseSensitive(target, item->string);
        if (cJSON_IsNull(item)) {
            cJSON_DeleteItemFromObjectCaseSensitive(target, item->string);
        } else if (cJSON_IsObject(item)) {
            if (!cJSON_IsObject(have)) {
                cJSON_DeleteItemFromObjectCaseSensitive(target, item->string);
                have = vf_json_add_object(target, item->string);
            }
            merge(have, item);
        } else {
            cJSON_DeleteItemFromObjectCaseSensitive(target, item->string);
            cJSON_AddItemToObject(target, item->string, cJSON_Duplicate(item, true));
        }
    }
}

static void set_text(cJSON *object, const char *key, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    vf_json_add_string(object, key, text);
}

static cJSON *metadata_of(cJSON *object)
{
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    return metadata ? metadata : vf_json_add_object(object, "metadata");
}

static void touch(struct vf_test_world *w, cJSON *object)
{
    char *vf_autofree version = vf_xasprintf("%u", ++w->version);
    set_text(metadata_of(object), "resourceVersion", version);
}

static void put(struct vf_test_world *w, const char *collection, cJSON *object)
{
    cJSON *metadata = metadata_of(object);
    const char *name = vf_json_string(metadata, "name");
    char *vf_autofree path = vf_xasprintf("%s/%s", collection, name);
    char *vf_autofree uid = vf_xasprintf("uid-%u", w->version + 1);
    set_text(metadata, "uid", uid);
    set_text(metadata, "namespace", "prod");
    touch(w, object);
    cJSON_DeleteItemFromObjectCaseSensitive(w->objects, path);
    cJSON_AddItemToObject(w->objects, path, object);
}

static void answer(struct vf_test_exchange *x, int status, const cJSON *object)
{
    char *vf_autofree text = vf_json_print(object, false);
    vf_test_answer(x, status, NULL, text);
}

static void decode(char *s)
{
    char *out = s;
    for (; *s; s++, out++) {
        char hex[3] = {s[0] == '%' ? s[1] : 0, s[0] == '%' && s[1] ? s[2] : 0, 0};
        *out = hex[0] ? (char)strtoul(hex, NULL, 16) : *s;
        s += hex[0] ? 2 : 0;
    }
    *out = '\0';
}

/* Equality alone. */
static bool is_selected(const cJSON *object, const char *selector)
{
    const cJSON *labels = vf_json_object(vf_json_object(object, "metadata"), "labels");
    char *vf_autofree copy = vf_xstrdup(selector);
    char *rest = copy;
    for (char *part; (part = strsep(&rest, ","));) {
        char *equals = strchr(part, '=');
        if (!equals) {
            continue;
        }
        *equals = '\0';
        const char *value = vf_json_string(labels, part);
        if (!value || strcmp(value, equals + 1) != 0) {
            return false;
        }
    }
    return true;
}

static void list(struct vf_test_world *w, struct vf_test_exchange *x, const char *path)
{
    const char *at = strstr(x->target, "labelSelector=");
    char *vf_autofree selector = vf_xstrdup(at ? at + strlen("labelSelector=") : "");
    selector[strcspn(selector, "&")] = '\0';
    decode(selector);
    cJSON *answered = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(answered, "metadata"), "resourceVersion", "1");
    cJSON *items = vf_json_add_array(answered, "items");
    const cJSON *object;
    cJSON_ArrayForEach(object, w->objects)
    {
        const char *name = strrchr(object->string, '/');
        if ((size_t)(name - object->string) == strlen(path) &&
            strncmp(object->string, path, strlen(path)) == 0 && is_selected(object, selector)) {
            cJSON *item = cJSON_Duplicate(object, true);
            free(vf_take(item->string));
            cJSON_AddItemToArray(items, item);
        }
    }
    answer(x, 200, answered);
    cJSON_Delete(answered);
}

static void create(struct vf_test_world *w, struct vf_test_exchange *x, const char *path)
{
    cJSON *object = NULL;
    vf_test_check(vf_json_parse(x->body, x->body_len, "body", &object, NULL) == 0);
    const char *name = vf_json_string(vf_json_object(object, "metadata"), "name");
    vf_test_check(name);
    char *vf_autofree full = vf_xasprintf("%s/%s", path, name);
    if (cJSON_GetObjectItemCaseSensitive(w->objects, full)) {
        vf_test_kube_status(x, 409, "AlreadyExists", "it exists already", NULL, NULL);
        cJSON_Delete(object);
    } else if (vf_test_target_has(x, "dryRun=All")) {
        answer(x, 201, object);
        cJSON_Delete(object);
    } else {
        put(w, path, object);
        answer(x, 201, object);
    }
}

/* Is what the request wants to be there what is there? */
static bool meets(const cJSON *object, const cJSON *wanted)
{
    static const char *const keys[] = {"resourceVersion", "uid"};
    const cJSON *metadata = vf_json_object(object, "metadata");
    for (size_t i = 0; i < 2; i++) {
        const char *want = vf_json_string(wanted, keys[i]);
        const char *have = vf_json_string(metadata, keys[i]);
        if (want && (!have || strcmp(want, have) != 0)) {
            return false;
        }
    }
    return true;
}

static void change(struct vf_test_world *w, struct vf_test_exchange *x, cJSON *object)
{
    cJSON *body = NULL;
    vf_test_check(vf_json_parse(x->body, x->body_len, "body", &body, NULL) == 0);
    bool patch = strcmp(x->method, "PATCH") == 0;
    if (!meets(object, vf_json_object(body, patch ? "metadata" : "preconditions"))) {
        vf_test_kube_status(x, 409, "Conflict", "it was modified", NULL, NULL);
    } else if (patch) {
        merge(object, body);
        touch(w, object);
        answer(x, 200, object);
    } else {
        answer(x, 200, object);
        cJSON_Delete(cJSON_DetachItemViaPointer(w->objects, object));
    }
    cJSON_Delete(body);
}

static void serve(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    struct vf_test_world *w = k->opaque;
    char *vf_autofree path = vf_xstrndup(x->target, strcspn(x->target, "?"));
    bool get = strcmp(x->method, "GET") == 0;
    (void)n;
    pthread_mutex_lock(&w->lock);
    if (!get) {
        vf_buf_printf(&w->log, "%s %s%s\n", x->method, path,
                      vf_test_target_has(x, "dryRun=All") ? " dry" : "");
    }
    cJSON *object = cJSON_GetObjectItemCaseSensitive(w->objects, path);
    if (w->hook && w->hook(w, x)) {
        /* answered */
    } else if (strcmp(x->method, "POST") == 0) {
        create(w, x, path);
    } else if (object && get) {
        answer(x, 200, object);
    } else if (object) {
        change(w, x, object);
    } else if (get && vf_test_target_has(x, "limit=")) {
        list(w, x, path);
    } else {
        vf_test_kube_status(x, 404, "NotFound", "not found", NULL, NULL);
    }
    pthread_mutex_unlock(&w->lock);
}

void vf_test_world_start(struct vf_test_world *w)
{
    *w = (struct vf_test_world){.objects = vf_json_new_object()};
    pthread_mutex_init(&w->lock, NULL);
    vf_buf_init(&w->log, 1 << 20);
    vf_test_kube_start(&w->kube, serve);
    w->kube.opaque = w;
    w->dir = vf_test_make_dir();
    char *vf_autofree text =
        vf_xasprintf("{\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"%s\","
                     "\"certificate-authority\":\"%s\"}}],\"users\":[{\"name\":\"u\",\"user\":{"
                     "\"token\":\"t\"}}],\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":"
                     "\"c\",\"user\":\"u\",\"namespace\":\"prod\"}}],\"current-context\":\"x\"}",
                     vf_test_server_url(w->kube.server), vf_test_server_ca_file(w->kube.server));
    w->kubeconfig = vf_test_make_file(w->dir, "config", text, 0600);
    cJSON *ns = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(ns, "metadata"), "name", "prod");
    put(w, "/api/v1/namespaces", ns);
}

void vf_test_world_stop(struct vf_test_world *w)
{
    vf_test_kube_stop(&w->kube);
    vf_test_remove_dir(w->dir);
    free(w->kubeconfig);
    cJSON_Delete(w->objects);
    vf_buf_release(&w->log);
    pthread_mutex_destroy(&w->lock);
}

void vf_test_world_put(struct vf_test_world *w, const char *collection, cJSON *object)
{
    pthread_mutex_lock(&w->lock);
    put(w, collection, object);
    pthread_mutex_unlock(&w->lock);
}

cJSON *vf_test_world_get(struct vf_test_world *w, const char *collection, const char *name)
{
    char *vf_autofree path = vf_xasprintf("%s/%s", collection, name);
    pthread_mutex_lock(&w->lock);
    cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(w->objects, path), true);
    pthread_mutex_unlock(&w->lock);
    return copy;
}

unsigned vf_test_world_count(struct vf_test_world *w, const char *request)
{
    unsigned n = 0;
    pthread_mutex_lock(&w->lock);
    for (const char *at = w->log.data; at && (at = strstr(at, request)); at++) {
        n++;
    }
    pthread_mutex_unlock(&w->lock);
    return n;
}
