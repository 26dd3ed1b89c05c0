#include "importer/base/yaml.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

#define TAG_STRING "tag:yaml.org,2002:str"

static size_t span_digits(const char *s)
{
    return strspn(s, "0123456789_");
}

/* Integers and floats of YAML 1.1 (yaml.org/type/int.html, float.html), of the 1.2 core schema
 * (section 10.3.2) and of the parsers Kubernetes uses. Anything that starts with a digit and holds
 * a colon counts too: base 60 in 1.1, and so MAC addresses are always quoted alike. */
static bool is_number(const char *s)
{
    if (*s == '+' || *s == '-') {
        s++;
    }
    if (strcasecmp(s, ".inf") == 0 || strcasecmp(s, ".nan") == 0) {
        return true;
    }
    if (s[0] == '0' && s[1] && strchr("xX", s[1])) {
        return strspn(s + 2, "0123456789abcdefABCDEF_") == strlen(s + 2);
    }
    if (s[0] == '0' && s[1] && strchr("oObB", s[1])) {
        return span_digits(s + 2) == strlen(s + 2);
    }
    if (*s >= '0' && *s <= '9' && strchr(s, ':')) {
        return true;
    }
    const char *mantissa = s;
    s += strspn(s, "0123456789_.");
    if (s == mantissa) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        s += span_digits(s);
    }
    return *s == '\0';
}

/* yaml.org/type/timestamp.html: 2001-12-14, 2001-12-14t21:59:43.10-05:00 */
static bool is_timestamp(const char *s)
{
    return strspn(s, "0123456789") == 4 && s[4] == '-' && s[5] >= '0' && s[5] <= '9';
}

static bool is_word_of_yaml(const char *s)
{
    static const char *const words[] = {"",   "~",   "null", "true", "false", "yes", "no",
                                        "on", "off", "y",    "n",    "<<",    "="};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(s, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether a literal block ("|") gives the text back as it is: a line may not end in a blank, the
 * first not begin with one, and no character needs an escape. */
static bool fits_literal_block(const char *s)
{
    if (!strchr(s, '\n') || strchr(" \t\n", s[0]) || strstr(s, "\n\n\n")) {
        return false;
    }
    size_t len = strlen(s);
    if (len >= 2 && strcmp(s + len - 2, "\n\n") == 0) {
        return false;
    }
    for (const char *p = s; *p;) {
        uint32_t c;
        size_t n = vf_utf8_decode(p, len - (size_t)(p - s), &c);
        if (n == 0 || (c < 0x20 && c != '\n') || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
            c == 0x2029 || c == 0xfeff || c > 0xffff) {
            return false;
        }
        if (c == ' ' && (p[1] == '\n' || p[1] == '\0')) {
            return false;
        }
        p += n;
    }
    return true;
}

/* libyaml itself turns plain into quoted where plain is no syntax ("a: b", "*x", " #"). */
static yaml_scalar_style_t choose_style(const char *s)
{
    if (is_word_of_yaml(s) || is_number(s) || is_timestamp(s)) {
        return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    }
    if (strchr(s, '\n')) {
        return fits_literal_block(s) ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    }
    return strpbrk(s, "\t\r") ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
}

static bool emit(yaml_emitter_t *emitter, yaml_event_t *event, int initialised)
{
    return initialised && yaml_emitter_emit(emitter, event);
}

/* libyaml takes non-const bytes and does not change them. */
static yaml_char_t *to_yaml(const char *s)
{
    return (yaml_char_t *)(uintptr_t)s;
}

static bool emit_text(yaml_emitter_t *emitter, const char *s, yaml_scalar_style_t style)
{
    yaml_event_t e;
    return emit(emitter, &e,
                yaml_scalar_event_initialize(&e, NULL, to_yaml(TAG_STRING), to_yaml(s),
                                             (int)strlen(s), 1, 1, style));
}

static bool emit_item(yaml_emitter_t *emitter, const cJSON *item);

static bool emit_mapping(yaml_emitter_t *emitter, const cJSON *item)
{
    yaml_event_t e;
    bool ok =
        emit(emitter, &e,
             yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    const cJSON *child;
    cJSON_ArrayForEach(child, item)
    {
        yaml_scalar_style_t style = choose_style(child->string);
        ok = ok &&
             emit_text(emitter, child->string,
                       style == YAML_LITERAL_SCALAR_STYLE ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                                          : style) &&
             emit_item(emitter, child);
    }
    return ok && emit(emitter, &e, yaml_mapping_end_event_initialize(&e));
}

static bool emit_sequence(yaml_emitter_t *emitter, const cJSON *item)
{
    yaml_event_t e;
    bool ok =
        emit(emitter, &e,
             yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
    const cJSON *child;
    cJSON_ArrayForEach(child, item)
    {
        ok = ok && emit_item(emitter, child);
    }
    return ok && emit(emitter, &e, yaml_sequence_end_event_initialize(&e));
}

static bool emit_item(yaml_emitter_t *emitter, const cJSON *item)
{
    if (cJSON_IsObject(item)) {
        return emit_mapping(emitter, item);
    }
    if (cJSON_IsArray(item)) {
        return emit_sequence(emitter, item);
    }
    if (cJSON_IsString(item)) {
        return emit_text(emitter, item->valuestring, choose_style(item->valuestring));
    }
    /* Numbers, booleans and null read the same in JSON and YAML. */
    char *vf_autofree text = vf_json_print(item, false);
    return emit_text(emitter, text, YAML_PLAIN_SCALAR_STYLE);
}

static bool emit_document(yaml_emitter_t *emitter, const cJSON *document, bool first)
{
    yaml_event_t e;
    return emit(emitter, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, first)) &&
           emit_item(emitter, document) &&
           emit(emitter, &e, yaml_document_end_event_initialize(&e, 1));
}

static int append_output(void *opaque, unsigned char *data, size_t len)
{
    return vf_buf_append(opaque, data, len);
}

int vf_yaml_print(const cJSON *const *documents, size_t n, char **ret_text, struct vf_error **err)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    yaml_emitter_t emitter;
    if (!yaml_emitter_initialize(&emitter)) {
        return vf_error_set(err, VF_INTERNAL, "cannot create a YAML emitter");
    }
    yaml_emitter_set_output(&emitter, append_output, &b);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_indent(&emitter, 2);
    yaml_emitter_set_width(&emitter, -1);
    yaml_event_t e;
    bool ok = emit(&emitter, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING));
    for (size_t i = 0; ok && i < n; i++) {
        ok = emit_document(&emitter, documents[i], i == 0);
    }
    ok = ok && emit(&emitter, &e, yaml_stream_end_event_initialize(&e));
    int rc = 0;
    if (ok) {
        *ret_text = vf_buf_take_string(&b);
    } else {
        rc = vf_error_set(err, VF_INVALID, "cannot write YAML: %s",
                          emitter.problem ? emitter.problem : "a text is not UTF-8");
        vf_buf_release(&b);
    }
    yaml_emitter_delete(&emitter);
    return rc;
}
