#include "importer/base/json.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

/* Above this a double no longer holds every whole number. */
#define EXACT_MAX (UINT64_C(1) << 53)
/* cJSON writes larger numbers in scientific notation; those go in as raw digits. */
#define PLAIN_DIGITS_MAX UINT64_C(999999999999999)

int vf_json_parse(const char *data, size_t len, const char *what, cJSON **ret_tree,
                  struct vf_error **err)
{
    if (len > VF_JSON_MAX_BYTES) {
        return vf_error_set(err, VF_SPACE, "%s is larger than %u MiB", what,
                            VF_JSON_MAX_BYTES >> 20);
    }
    if (len == 0) {
        return vf_error_set(err, VF_INVALID, "%s is empty", what);
    }
    const char *end = data;
    cJSON *tree = cJSON_ParseWithLengthOpts(data, len, &end, 0);
    if (!tree) {
        return vf_error_set(err, VF_INVALID, "%s is not JSON: unexpected text at byte %zu", what,
                            (size_t)(end - data));
    }
    while (end < data + len && memchr(" \t\r\n", *end, 4)) {
        end++;
    }
    if (end < data + len) {
        cJSON_Delete(tree);
        return vf_error_set(err, VF_INVALID, "%s has text after its end at byte %zu", what,
                            (size_t)(end - data));
    }
    *ret_tree = tree;
    return 0;
}

const char *vf_json_string(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

const cJSON *vf_json_object(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsObject(item) ? item : NULL;
}

const cJSON *vf_json_array(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsArray(item) ? item : NULL;
}

bool vf_json_bool(const cJSON *object, const char *key, bool otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : otherwise;
}

static bool digits_u64(const char *s, uint64_t *ret)
{
    if (!s || !*s) {
        return false;
    }
    uint64_t v = 0;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v)) {
            return false;
        }
    }
    *ret = v;
    return true;
}

bool vf_json_u64(const cJSON *object, const char *key, uint64_t *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsRaw(item)) {
        return digits_u64(item->valuestring, ret);
    }
    if (!cJSON_IsNumber(item)) {
        return false;
    }
    double v = item->valuedouble;
    if (!(v >= 0 && v <= (double)EXACT_MAX) || v != (double)(uint64_t)v) {
        return false;
    }
    *ret = (uint64_t)v;
    return true;
}

static cJSON *checked(cJSON *item)
{
    if (!item) {
        fputs("vmferry: out of memory\n", stderr);
        abort();
    }
    return item;
}

static cJSON *add(cJSON *object, const char *key, cJSON *item)
{
    cJSON_AddItemToObject(object, key, checked(item));
    return item;
}

static cJSON *append(cJSON *array, cJSON *item)
{
    cJSON_AddItemToArray(array, checked(item));
    return item;
}

/* cJSON copies bytes as they are; JSON and YAML both want UTF-8. */
static cJSON *new_string(const char *value)
{
    char *vf_autofree clean = vf_utf8_clean(value);
    return checked(cJSON_CreateString(clean));
}

cJSON *vf_json_new_object(void)
{
    return checked(cJSON_CreateObject());
}

cJSON *vf_json_new_array(void)
{
    return checked(cJSON_CreateArray());
}

cJSON *vf_json_add_object(cJSON *object, const char *key)
{
    return add(object, key, cJSON_CreateObject());
}

cJSON *vf_json_add_array(cJSON *object, const char *key)
{
    return add(object, key, cJSON_CreateArray());
}

void vf_json_add_string(cJSON *object, const char *key, const char *value)
{
    if (value) {
        add(object, key, new_string(value));
    }
}

void vf_json_add_bool(cJSON *object, const char *key, bool value)
{
    add(object, key, cJSON_CreateBool(value));
}

void vf_json_add_u64(cJSON *object, const char *key, uint64_t value)
{
    if (value <= PLAIN_DIGITS_MAX) {
        add(object, key, cJSON_CreateNumber((double)value));
        return;
    }
    char *vf_autofree digits = vf_xasprintf("%llu", (unsigned long long)value);
    add(object, key, cJSON_CreateRaw(digits));
}

cJSON *vf_json_append_object(cJSON *array)
{
    return append(array, cJSON_CreateObject());
}

void vf_json_append_string(cJSON *array, const char *value)
{
    if (value) {
        append(array, new_string(value));
    }
}

static void wipe(char *text)
{
    if (text) {
        OPENSSL_cleanse(text, strlen(text));
    }
}

/* Without recursion down a list; depth is bounded by the parsers. */
static void wipe_tree(cJSON *item)
{
    for (; item; item = item->next) {
        if (!(item->type & cJSON_IsReference)) {
            wipe(item->valuestring);
            wipe_tree(item->child);
        }
        if (!(item->type & cJSON_StringIsConst)) {
            wipe(item->string);
        }
    }
}

void vf_json_delete_wiped(cJSON *tree)
{
    wipe_tree(tree);
    cJSON_Delete(tree);
}

static void put_scalar(struct vf_buf *b, const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item);
    vf_buf_puts(b, text ? text : "null");
    cJSON_free(text);
}

static void put_key(struct vf_buf *b, const char *key)
{
    cJSON *name = checked(cJSON_CreateStringReference(key ? key : ""));
    put_scalar(b, name);
    cJSON_Delete(name);
}

static void put_break(struct vf_buf *b, unsigned depth)
{
    vf_buf_printf(b, "\n%*s", (int)depth * 2, "");
}

/* cJSON_Print indents with tabs. Depth is bounded by cJSON's own nesting limit. */
static void put_item(struct vf_buf *b, const cJSON *item, unsigned depth)
{
    bool object = cJSON_IsObject(item);
    if (!object && !cJSON_IsArray(item)) {
        put_scalar(b, item);
        return;
    }
    vf_buf_puts(b, object ? "{" : "[");
    const cJSON *child;
    cJSON_ArrayForEach(child, item)
    {
        vf_buf_puts(b, child == item->child ? "" : ",");
        put_break(b, depth + 1);
        if (object) {
            put_key(b, child->string);
            vf_buf_puts(b, ": ");
        }
        put_item(b, child, depth + 1);
    }
    if (item->child) {
        put_break(b, depth);
    }
    vf_buf_puts(b, object ? "}" : "]");
}

char *vf_json_print(const cJSON *tree, bool pretty)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    if (pretty) {
        put_item(&b, tree, 0);
    } else {
        put_scalar(&b, tree);
    }
    return vf_buf_take_string(&b);
}
