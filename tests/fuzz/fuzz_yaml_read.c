/* YAML as read from people and clusters; what was read is written and must be read back alike. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/yaml.h"
#include "importer/base/yaml_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As text: a number may be one in one tree and raw digits in the other. */
static bool is_same(const cJSON *a, const cJSON *b)
{
    char *x = vf_json_print(a, false), *y = vf_json_print(b, false);
    bool same = strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_yaml *y = NULL, *again = NULL;
    struct vf_error *err = NULL;
    if (vf_yaml_parse((const char *)data, size, "fuzz", &y, &err)) {
        if (!vf_error_message(err)[0]) {
            abort();
        }
        vf_error_free(err);
        return 0;
    }
    const cJSON *tree = vf_yaml_tree(y);
    char *text = NULL;
    if (vf_yaml_print(&tree, 1, &text, NULL) == 0) {
        if (vf_yaml_parse(text, strlen(text), "again", &again, NULL) ||
            !is_same(tree, vf_yaml_tree(again)) || !vf_yaml_place(y, tree).line) {
            abort();
        }
    }
    free(text);
    vf_yaml_free(again);
    vf_yaml_free(y);
    return 0;
}
