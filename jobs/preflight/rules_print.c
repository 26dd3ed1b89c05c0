/* The table of rules as a page for people. */
#include <string.h>

#include "importer/base/buf.h"
#include "jobs/preflight/preflight.h"

static const char intro[] =
    "# What `vmferry check` looks for\n"
    "\n"
    "Made from the table of rules in `jobs/preflight`; a test compares. The same rules are judged\n"
    "before every copy.\n"
    "\n"
    "| severity | means |\n"
    "|---|---|\n"
    "| critical | the copy would fail, or lose something: it is not begun |\n"
    "| warning | the VM will run, but not as before, or something may go wrong |\n"
    "| information | worth knowing |\n"
    "\n"
    "The severity is the usual one: a case may be milder (what was permitted by an option) or\n"
    "graver, and then says so. `--skip-check ID` leaves a rule out.\n";

static const struct {
    enum vf_rule_area area;
    const char *title;
} sections[] = {
    {VF_AREA_VM, "The VM"},
    {VF_AREA_SOURCE, "The source: vCenter, hosts, datastores, the account"},
    {VF_AREA_PATH, "The path between: names, ports, transports"},
    {VF_AREA_TARGET, "The target: cluster, namespace, storage"},
    {VF_AREA_MAPPING, "What the mapping changes or loses"},
};

/* One cell: what would end it, or be taken for HTML, is escaped. */
static void put_cell(struct vf_buf *b, const char *text)
{
    vf_buf_puts(b, " ");
    for (; *text; text++) {
        if (strchr("|<\\", *text)) {
            vf_buf_puts(b, "\\");
        }
        vf_buf_append(b, text, 1);
    }
    vf_buf_puts(b, " |");
}

static void put_rule(struct vf_buf *b, const struct vf_rule *r)
{
    vf_buf_printf(b, "| `%s` | %s |", r->id, vf_severity_name(r->severity));
    put_cell(b, r->looks_at);
    put_cell(b, r->message);
    put_cell(b, r->action);
    vf_buf_puts(b, "\n");
}

char *vf_rules_print(void)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_puts(&b, intro);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        vf_buf_printf(&b,
                      "\n## %s\n\n| id | severity | looks at | means | what to do |\n"
                      "|---|---|---|---|---|\n",
                      sections[i].title);
        for (const struct vf_rule *const *r = vf_rules_all(); *r; r++) {
            if ((*r)->area == sections[i].area) {
                put_rule(&b, *r);
            }
        }
    }
    return vf_buf_take_string(&b);
}
