/* The names by which a mapping is told, in one table: of the fields of a mapping file, of what a
 * worker is given, and, with dashes, of the command line's options. Parsing, encoding and release
 * are made from it.
 */
#ifndef CONVERTERS_VM_MAPPING_FIELDS_H
#define CONVERTERS_VM_MAPPING_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vf_mapping_kind {
    VF_MAPPING_TEXT,     /* char * */
    VF_MAPPING_WORD,     /* char *, one of the choices */
    VF_MAPPING_DOCUMENT, /* char *, text of several lines */
    VF_MAPPING_CHOICE, /* an enum that counts from 0 as the choices do; the first is the default */
    VF_MAPPING_FLAG,   /* bool */
    VF_MAPPING_TRISTATE, /* enum vf_tristate: true or false, UNSET when it is not there */
    VF_MAPPING_NUMBER,   /* uint32_t, from 1; 0 when it is not there */
    VF_MAPPING_LIST,     /* array of structs: an object each, known by its first field */
    VF_MAPPING_PAIRS,    /* array of struct vf_map_pair: an object of texts */
    VF_MAPPING_NETWORK,  /* where a struct vf_network_rule leads to */
};

struct vf_mapping_fields;

struct vf_mapping_field {
    const char *name;
    enum vf_mapping_kind kind;
    const char *help;                       /* what it decides; no capital, no full stop */
    size_t offset;                          /* in the struct that the fields are of */
    const char *const *choices;             /* NULL-terminated */
    bool (*is_valid)(const char *text);     /* TEXT, values of PAIRS; NULL: any text */
    bool (*is_valid_key)(const char *text); /* PAIRS */
    const char *expected;                   /* what is_valid takes: "a name of a storage class" */
    bool has_unset;                         /* CHOICE: 0 is none of them, they count from 1 */
    bool required;                          /* of an entry of a LIST, beside its first field */
    bool number_too;                        /* TEXT: a whole number is taken as its digits */
    uint32_t max;                           /* NUMBER */
    /* LIST and PAIRS: how many there are is a size_t at n_offset. */
    size_t n_offset;
    const struct vf_mapping_fields *entries; /* LIST */
};

struct vf_mapping_fields {
    const struct vf_mapping_field *fields;
    size_t n_fields;
    size_t size; /* of the struct */
};

/* Of struct vf_mapping. */
extern const struct vf_mapping_fields vf_mapping_fields;

/* NULL: none. */
const struct vf_mapping_field *vf_mapping_field_find(const struct vf_mapping_fields *of_struct,
                                                     const char *name);

#endif
