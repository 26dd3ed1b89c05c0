#include "converters/vm/mapping_private.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

static cJSON *encode_fields(const struct vf_mapping_fields *fields, const void *base);

static void encode_list(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    const char *items = vf_mapping_items(f, base);
    size_t n = *VF_MAPPING_MEMBER_CONST(size_t, base, f->n_offset);
    cJSON *array = n ? vf_json_add_array(object, f->name) : NULL;
    for (size_t i = 0; i < n; i++) {
        cJSON_AddItemToArray(array, encode_fields(f->entries, items + i * f->entries->size));
    }
}

static void encode_pairs(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    const struct vf_map_pair *pairs =
        *VF_MAPPING_MEMBER_CONST(struct vf_map_pair *, base, f->offset);
    size_t n = *VF_MAPPING_MEMBER_CONST(size_t, base, f->n_offset);
    cJSON *texts = n ? vf_json_add_object(object, f->name) : NULL;
    for (size_t i = 0; i < n; i++) {
        vf_json_add_string(texts, pairs[i].key, pairs[i].value);
    }
}

static void encode_tristate(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    enum vf_tristate t = *VF_MAPPING_MEMBER_CONST(enum vf_tristate, base, f->offset);
    if (t != VF_UNSET) {
        vf_json_add_bool(object, f->name, t == VF_YES);
    }
}

static void encode_choice(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    unsigned i = *VF_MAPPING_MEMBER_CONST(unsigned, base, f->offset);
    vf_json_add_string(object, f->name, i ? f->choices[i - f->has_unset] : NULL);
}

static void encode_number(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    uint32_t number = *VF_MAPPING_MEMBER_CONST(uint32_t, base, f->offset);
    if (number) {
        vf_json_add_u64(object, f->name, number);
    }
}

static void encode_flag(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    if (*VF_MAPPING_MEMBER_CONST(bool, base, f->offset)) {
        vf_json_add_bool(object, f->name, true);
    }
}

static void encode_network(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    char *vf_autofree target = vf_network_rule_target(base);
    vf_json_add_string(object, f->name, target);
}

static void encode_field(const struct vf_mapping_field *f, const void *base, cJSON *object)
{
    switch (f->kind) {
    case VF_MAPPING_TEXT:
    case VF_MAPPING_WORD:
    case VF_MAPPING_DOCUMENT:
        vf_json_add_string(object, f->name, *VF_MAPPING_MEMBER_CONST(char *, base, f->offset));
        break;
    case VF_MAPPING_CHOICE:
        encode_choice(f, base, object);
        break;
    case VF_MAPPING_FLAG:
        encode_flag(f, base, object);
        break;
    case VF_MAPPING_TRISTATE:
        encode_tristate(f, base, object);
        break;
    case VF_MAPPING_NUMBER:
        encode_number(f, base, object);
        break;
    case VF_MAPPING_LIST:
        encode_list(f, base, object);
        break;
    case VF_MAPPING_PAIRS:
        encode_pairs(f, base, object);
        break;
    case VF_MAPPING_NETWORK:
        encode_network(f, base, object);
        break;
    }
}

static cJSON *encode_fields(const struct vf_mapping_fields *fields, const void *base)
{
    cJSON *object = vf_json_new_object();
    for (size_t i = 0; i < fields->n_fields; i++) {
        encode_field(&fields->fields[i], base, object);
    }
    return object;
}

cJSON *vf_mapping_encode(const struct vf_mapping *m)
{
    return encode_fields(&vf_mapping_fields, m);
}
