#include "jobs/cli/output.h"

#include <stdlib.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/yaml.h"

int vf_cli_print_tree(const cJSON *tree, bool yaml, bool pretty, char **ret_text,
                      struct vf_error **err)
{
    if (yaml) {
        return vf_yaml_print(&tree, 1, ret_text, err);
    }
    char *vf_autofree json = vf_json_print(tree, pretty);
    *ret_text = vf_xasprintf("%s\n", json);
    return 0;
}

int vf_cli_put_tree(struct vf_cli *cli, const cJSON *tree, bool yaml, struct vf_error **err)
{
    char *vf_autofree text = NULL;
    int rc = vf_cli_print_tree(tree, yaml, true, &text, err);
    return rc ? rc : vf_cli_put(cli, text, err);
}
