#include "jobs/cli/output.h"

#include <stdlib.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/yaml.h"

int vf_cli_put_tree(struct vf_cli *cli, const cJSON *tree, bool yaml, struct vf_error **err)
{
    if (yaml) {
        char *vf_autofree text = NULL;
        int rc = vf_yaml_print(&tree, 1, &text, err);
        return rc ? rc : vf_cli_put(cli, text, err);
    }
    char *vf_autofree json = vf_json_print(tree, true);
    char *vf_autofree text = vf_xasprintf("%s\n", json);
    return vf_cli_put(cli, text, err);
}
