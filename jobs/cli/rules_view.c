#include "importer/base/json.h"
#include "jobs/cli/command.h"
#include "jobs/cli/findings_view.h"
#include "jobs/cli/table.h"

char *vf_rules_print_table(void)
{
    static const struct vf_table_column columns[] = {
        {.title = "ID"}, {.title = "SEVERITY"}, {.title = "AREA"}, {.title = "MEANS"}};
    struct vf_table *t = vf_table_new(columns, VF_COUNT(columns));
    for (size_t i = 0; vf_rules_all()[i]; i++) {
        const struct vf_rule *r = vf_rules_all()[i];
        vf_table_add(t, r->id);
        vf_table_add(t, vf_severity_name(r->severity));
        vf_table_add(t, vf_rule_area_name(r->area));
        vf_table_add(t, r->message);
    }
    char *text = vf_table_print(t);
    vf_table_free(t);
    return text;
}

cJSON *vf_rules_to_json(void)
{
    cJSON *tree = vf_json_new_object();
    cJSON *list = vf_json_add_array(tree, "rules");
    for (size_t i = 0; vf_rules_all()[i]; i++) {
        const struct vf_rule *r = vf_rules_all()[i];
        cJSON *o = vf_json_append_object(list);
        vf_json_add_string(o, "id", r->id);
        vf_json_add_string(o, "severity", vf_severity_name(r->severity));
        vf_json_add_string(o, "area", vf_rule_area_name(r->area));
        vf_json_add_string(o, "looks_at", r->looks_at);
        vf_json_add_string(o, "message", r->message);
        vf_json_add_string(o, "action", r->action);
        vf_json_add_bool(o, "once", r->once);
    }
    return tree;
}
