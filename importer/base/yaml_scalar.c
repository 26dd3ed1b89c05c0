#include "importer/base/yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

#define TAG "tag:yaml.org,2002:"

/* cJSON writes larger numbers in scientific notation, and from 2^53 a double does not hold every
 * whole one; those go in as raw digits. */
#define PLAIN_DIGITS_MAX UINT64_C(999999999999999)

enum kind { STRING, NUL, TRUE, FALSE, INTEGER, FLOAT, NO_NUMBER };

static bool is_one_of(const char *s, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(s, *words) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_all(const char *s, const char *of)
{
    return *s && s[strspn(s, of)] == '\0';
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(const char *s)
{
    static const char digits[] = "0123456789";
    s += *s == '-' || *s == '+';
    size_t whole = strspn(s, digits);
    s += whole;
    if (*s == '.') {
        size_t part = strspn(++s, digits);
        if (!whole && !part) {
            return false;
        }
        s += part;
    } else if (!whole) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        return is_all(s, digits);
    }
    return *s == '\0';
}

static enum kind classify(const char *s)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const unreal[] = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", NULL};
    const char *unsigned_part = s + (*s == '-' || *s == '+');
    if (is_one_of(s, nulls)) {
        return NUL;
    }
    if (is_one_of(s, trues)) {
        return TRUE;
    }
    if (is_one_of(s, falses)) {
        return FALSE;
    }
    if (is_all(unsigned_part, "0123456789") ||
        (strncmp(s, "0x", 2) == 0 && is_all(s + 2, "0123456789abcdefABCDEF")) ||
        (strncmp(s, "0o", 2) == 0 && is_all(s + 2, "01234567"))) {
        return INTEGER;
    }
    if (is_float(s)) {
        return FLOAT;
    }
    return is_one_of(unsigned_part, unreal) ? NO_NUMBER : STRING;
}

static cJSON *checked(cJSON *node)
{
    if (!node) {
        fputs("vmferry: out of memory\n", stderr);
        abort();
    }
    return node;
}

static const char *resolve_integer(const char *s, cJSON **ret_node)
{
    bool negative = *s == '-';
    int base = strncmp(s, "0x", 2) == 0 ? 16 : strncmp(s, "0o", 2) == 0 ? 8 : 10;
    s += base != 10 ? 2 : *s == '-' || *s == '+';
    errno = 0;
    unsigned long long v = strtoull(s, NULL, base);
    if (errno || (negative && v > (uint64_t)INT64_MAX)) {
        return "a whole number that does not fit into 64 bits";
    }
    if (v > PLAIN_DIGITS_MAX) {
        char *vf_autofree digits = vf_xasprintf("%s%llu", negative ? "-" : "", v);
        *ret_node = checked(cJSON_CreateRaw(digits));
    } else {
        *ret_node = checked(cJSON_CreateNumber(negative && v ? -(double)v : (double)v));
    }
    return NULL;
}

static const char *resolve_float(const char *s, cJSON **ret_node)
{
    double v = strtod(s, NULL);
    if (!isfinite(v)) {
        return "a number that is too large";
    }
    *ret_node = checked(cJSON_CreateNumber(v != 0 ? v : 0)); /* no -0 */
    return NULL;
}

static const char *make_node(const char *text, enum kind kind, cJSON **ret_node)
{
    switch (kind) {
    case NUL:
        *ret_node = checked(cJSON_CreateNull());
        return NULL;
    case TRUE:
    case FALSE:
        *ret_node = checked(cJSON_CreateBool(kind == TRUE));
        return NULL;
    case INTEGER:
        return resolve_integer(text, ret_node);
    case FLOAT:
        return resolve_float(text, ret_node);
    case NO_NUMBER:
        return "infinity and \"not a number\" are not taken";
    default:
        *ret_node = checked(cJSON_CreateString(text));
        return NULL;
    }
}

const char *vf_yaml_resolve(const char *text, const char *tag, bool plain, cJSON **ret_node)
{
    enum kind kind = classify(text);
    if (!tag) {
        return make_node(text, plain ? kind : STRING, ret_node);
    }
    if (strcmp(tag, "!") == 0 || strcmp(tag, TAG "str") == 0) {
        return make_node(text, STRING, ret_node);
    }
    if (strcmp(tag, TAG "float") == 0 && kind == INTEGER) {
        return resolve_integer(text, ret_node); /* JSON has one kind of number */
    }
    bool fits = (strcmp(tag, TAG "null") == 0 && kind == NUL) ||
                (strcmp(tag, TAG "bool") == 0 && (kind == TRUE || kind == FALSE)) ||
                (strcmp(tag, TAG "int") == 0 && kind == INTEGER) ||
                (strcmp(tag, TAG "float") == 0 && (kind == FLOAT || kind == NO_NUMBER));
    return fits ? make_node(text, kind, ret_node) : "a tag that is not known here or does not fit";
}
