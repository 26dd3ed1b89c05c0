/* JSON as read from records, written again as JSON and YAML. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *tree = NULL;
    if (vf_json_parse((const char *)data, size, "fuzz", &tree, NULL)) {
        return 0;
    }
    for (int pretty = 0; pretty < 2; pretty++) {
        char *text = vf_json_print(tree, pretty);
        cJSON *again = NULL;
        if (vf_json_parse(text, strlen(text), "again", &again, NULL)) {
            abort();
        }
        cJSON_Delete(again);
        free(text);
    }
    const cJSON *document = tree;
    char *yaml = NULL;
    vf_yaml_print(&document, 1, &yaml, NULL);
    free(yaml);
    uint64_t v;
    vf_json_u64(tree, "size", &v);
    cJSON_Delete(tree);
    return 0;
}
