/* vSphere Automation API, com.vmware.cis.tagging: under /rest until 8, under /api since 7.0. */
#include "importer/vsphere/tags.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/vim_names.h"

#define BATCH           500
#define MAX_TAGS        100000
#define MAX_ID          512
#define REST_TIMEOUT_MS 60000

struct label {
    char *id;
    char *name; /* of a tag "category/name" */
};

struct labels {
    struct label *list;
    size_t n;
};

struct rest {
    struct vf_vsphere *vs;
    unsigned deadline_ms; /* of a call, and of repeating it */
    bool api;             /* /api, whose answers are not wrapped into {"value": ...} */
    char *session;        /* "vmware-api-session-id: ..."; NULL before login; secret */
    struct labels tags, categories;
};

static const char *const session_path[] = {"/rest/com/vmware/cis/session", "/api/session"};
static const char *const tagging_path[] = {"/rest/com/vmware/cis/tagging", "/api/cis/tagging"};

static void wipe(char *s)
{
    if (s) {
        explicit_bzero(s, strlen(s));
        free(s);
    }
}

static int read_json(const struct rest *r, const struct vf_http_response *resp, const char *what,
                     cJSON **ret, struct vf_error **err)
{
    if (resp->status != 200 && resp->status != 201) {
        int rc = vf_http_response_error(resp, r->vs->authority, err);
        return vf_error_wrap(err, rc, "%s", what);
    }
    cJSON *tree = NULL;
    int rc = vf_json_parse(resp->body, resp->body_len, "the tagging service's answer", &tree, err);
    if (rc) {
        return rc;
    }
    cJSON *value = r->api ? NULL : cJSON_DetachItemFromObjectCaseSensitive(tree, "value");
    if (value) {
        cJSON_Delete(tree);
        tree = value;
    }
    *ret = tree;
    return 0;
}

/* Every call here may be repeated: even a second REST session only idles out. */
static int rest_call(struct rest *r, const char *path, const char *auth, const char *body,
                     const char *what, cJSON **ret, struct vf_error **err)
{
    char *vf_autofree url = vf_xasprintf("https://%s%s", r->vs->authority, path);
    const char *headers[] = {"Content-Type: application/json", auth ? auth : r->session, NULL};
    struct vf_http_request req = {.method = body ? "POST" : "GET",
                                  .url = url,
                                  .headers = headers,
                                  .body = body,
                                  .body_len = body ? strlen(body) : 0,
                                  .timeout_ms = r->deadline_ms < REST_TIMEOUT_MS ? r->deadline_ms
                                                                                 : REST_TIMEOUT_MS};
    struct vf_retry retry;
    vf_session_retry_init(r->vs, r->deadline_ms, false, &retry);
    for (;;) {
        struct vf_error *e = NULL;
        struct vf_http_response resp = {0};
        int rc = vf_http_fetch(r->vs->http, &req, &resp, &e);
        if (rc == 0) {
            rc = read_json(r, &resp, what, ret, &e);
            if (resp.body) {
                explicit_bzero(resp.body, resp.body_len); /* may be the session's id */
            }
            vf_http_response_release(&resp);
        }
        if (!vf_retry_again(&retry, &rc, &e)) {
            vf_error_move(err, &e);
            return rc;
        }
    }
}

static char *basic_auth(const struct vf_vsphere *vs)
{
    const char *password = vf_secret_reveal(vs->password);
    size_t len = strlen(vs->user) + 1 + strlen(password);
    char *plain = vf_xcalloc(len + 1, 1);
    char *coded = vf_xcalloc(len / 3 * 4 + 5, 1);
    stpcpy(stpcpy(stpcpy(plain, vs->user), ":"), password);
    EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)plain, (int)len);
    static const char prefix[] = "Authorization: Basic ";
    char *header = vf_xcalloc(sizeof prefix + strlen(coded), 1);
    stpcpy(stpcpy(header, prefix), coded);
    wipe(plain);
    wipe(coded);
    return header;
}

static int rest_login(struct rest *r, struct vf_error **err)
{
    static const char what[] = "log in to the tagging service";
    char *auth = basic_auth(r->vs);
    cJSON *id = NULL;
    struct vf_error *e = NULL;
    int rc = rest_call(r, session_path[r->api], auth, "", what, &id, &e);
    if (rc == VF_MISSING && vf_error_http_status(e)) {
        vf_error_clear(&e);
        r->api = true;
        rc = rest_call(r, session_path[r->api], auth, "", what, &id, &e);
    }
    wipe(auth);
    vf_error_move(err, &e);
    if (rc) {
        return rc;
    }
    const char *text = cJSON_GetStringValue(id);
    if (!text || !*text || strlen(text) > MAX_ID || strpbrk(text, "\r\n")) {
        rc = vf_error_set(err, VF_INVALID, "cannot %s: no session came", what);
    } else {
        static const char prefix[] = "vmware-api-session-id: ";
        r->session = vf_xcalloc(sizeof prefix + strlen(text), 1);
        stpcpy(stpcpy(r->session, prefix), text);
    }
    cJSON_Delete(id);
    return rc;
}

static void rest_logout(struct rest *r)
{
    if (!r->session) {
        return;
    }
    char *vf_autofree url = vf_xasprintf("https://%s%s", r->vs->authority, session_path[r->api]);
    const char *headers[] = {r->session, NULL};
    struct vf_http_request req = {
        .method = "DELETE", .url = url, .headers = headers, .timeout_ms = 5000};
    struct vf_http_response resp = {0};
    struct vf_error *e = NULL;
    if (vf_http_fetch(r->vs->cleanup_http, &req, &resp, &e)) {
        vf_debug("vsphere: ending the REST session: %s", vf_error_message(e));
    }
    vf_error_free(e);
    vf_http_response_release(&resp);
    wipe(r->session);
    r->session = NULL;
}

static void release_labels(struct labels *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->list[i].id);
        free(l->list[i].name);
    }
    free(l->list);
}

static struct label *find_label(const struct labels *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->list[i].id, id) == 0) {
            return &l->list[i];
        }
    }
    return NULL;
}

static struct label *add_label(struct labels *l, const char *id, char *name)
{
    l->list = vf_xrealloc_array(l->list, l->n + 1, sizeof l->list[0]);
    l->list[l->n] = (struct label){vf_xstrdup(id), name};
    return &l->list[l->n++];
}

static int fetch_object(struct rest *r, const char *kind, const char *id, cJSON **ret,
                        struct vf_error **err)
{
    char *vf_autofree escaped = vf_http_escape(id);
    char *vf_autofree path = r->api ? vf_xasprintf("%s/%s/%s", tagging_path[1], kind, escaped)
                                    : vf_xasprintf("%s/%s/id:%s", tagging_path[0], kind, escaped);
    return rest_call(r, path, NULL, NULL, "read a tag", ret, err);
}

static int fetch_category(struct rest *r, const char *id, const char **ret_name,
                          struct vf_error **err)
{
    struct label *known = find_label(&r->categories, id);
    if (!known) {
        cJSON *category = NULL;
        int rc = fetch_object(r, "category", id, &category, err);
        if (rc) {
            return rc;
        }
        const char *name = vf_json_string(category, "name");
        known = add_label(&r->categories, id, vf_xstrdup(name ? name : ""));
        cJSON_Delete(category);
    }
    *ret_name = known->name;
    return 0;
}

static int fetch_tag(struct rest *r, const char *id, const char **ret_name, struct vf_error **err)
{
    struct label *known = find_label(&r->tags, id);
    if (known) {
        *ret_name = known->name;
        return 0;
    }
    if (r->tags.n >= MAX_TAGS) {
        return vf_error_set(err, VF_RANGE, "more than %d tags are in use", MAX_TAGS);
    }
    cJSON *tag = NULL;
    int rc = fetch_object(r, "tag", id, &tag, err);
    if (rc) {
        return rc;
    }
    const char *name = vf_json_string(tag, "name");
    const char *category_id = vf_json_string(tag, "category_id");
    const char *category = "";
    if (!name || !category_id) {
        rc = vf_error_set(err, VF_INVALID, "the tagging service sent a tag without name");
    } else {
        rc = fetch_category(r, category_id, &category, err);
    }
    if (rc == 0) {
        char *full = *category ? vf_xasprintf("%s/%s", category, name) : vf_xstrdup(name);
        *ret_name = add_label(&r->tags, id, full)->name;
    }
    cJSON_Delete(tag);
    return rc;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int attach(struct rest *r, struct vf_vm *vm, const cJSON *ids, struct vf_error **err)
{
    const cJSON *id;
    cJSON_ArrayForEach(id, ids)
    {
        const char *text = cJSON_GetStringValue(id), *name = NULL;
        if (!text || strlen(text) > MAX_ID) {
            return vf_error_set(err, VF_INVALID, "the tagging service sent a tag without id");
        }
        struct vf_error *e = NULL;
        int rc = fetch_tag(r, text, &name, &e);
        if (rc == VF_MISSING) { /* deleted meanwhile */
            vf_error_free(e);
            continue;
        }
        vf_error_move(err, &e);
        if (rc) {
            return rc;
        }
        vm->tags = vf_xrealloc_array(vm->tags, vm->n_tags + 1, sizeof vm->tags[0]);
        vm->tags[vm->n_tags++] = vf_xstrdup(name);
    }
    if (vm->n_tags > 1) {
        qsort(vm->tags, vm->n_tags, sizeof vm->tags[0], compare_strings);
    }
    return 0;
}

static char *encode_batch(struct vf_vm *const *vms, size_t n)
{
    cJSON *body = vf_json_new_object();
    cJSON *ids = vf_json_add_array(body, "object_ids");
    for (size_t i = 0; i < n; i++) {
        cJSON *id = vf_json_append_object(ids);
        vf_json_add_string(id, "type", VF_MO_VM);
        vf_json_add_string(id, "id", vms[i]->moref);
    }
    char *text = vf_json_print(body, false);
    cJSON_Delete(body);
    return text;
}

static int fetch_batch(struct rest *r, struct vf_vm *const *vms, size_t n, struct vf_error **err)
{
    char *vf_autofree body = encode_batch(vms, n);
    char *vf_autofree path =
        vf_xasprintf("%s/tag-association?%saction=list-attached-tags-on-objects",
                     tagging_path[r->api], r->api ? "" : "~");
    cJSON *list = NULL;
    int rc = rest_call(r, path, NULL, body, "read the VMs' tags", &list, err);
    if (rc) {
        return rc;
    }
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        const char *moref = vf_json_string(vf_json_object(entry, "object_id"), "id");
        for (size_t i = 0; moref && i < n && rc == 0; i++) {
            if (strcmp(vms[i]->moref, moref) == 0 && vms[i]->n_tags == 0) {
                rc = attach(r, vms[i], vf_json_array(entry, "tag_ids"), err);
            }
        }
        if (rc) {
            break;
        }
    }
    cJSON_Delete(list);
    return rc;
}

int vf_tags_fetch(struct vf_vsphere *vs, struct vf_vm *const *vms, size_t n, unsigned deadline_ms,
                  struct vf_error **err)
{
    if (vs->esxi) {
        return vf_error_set(err, VF_UNSUPPORTED, "an ESXi host has no tags; vCenter has");
    }
    struct rest r = {.vs = vs, .deadline_ms = deadline_ms ? deadline_ms : vs->retry_deadline_ms};
    int rc = rest_login(&r, err);
    for (size_t i = 0; i < n && rc == 0; i += BATCH) {
        rc = fetch_batch(&r, vms + i, n - i < BATCH ? n - i : BATCH, err);
    }
    rest_logout(&r);
    release_labels(&r.tags);
    release_labels(&r.categories);
    return rc;
}
