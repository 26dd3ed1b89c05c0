#include <string.h>

#include "converters/vm/kubevirt_volumes.h"
#include "converters/vm/manifest_private.h"
#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "importer/base/utf8.h"

/* One line; what could end it or drive a terminal becomes a blank. */
static void put_comment(struct vf_buf *b, const char *lead, const char *text)
{
    char *vf_autofree clean = vf_utf8_clean(text);
    vf_buf_printf(b, "#%s", lead);
    size_t len = strlen(clean);
    for (const char *s = clean; len > 0;) {
        uint32_t c;
        size_t n = vf_utf8_decode(s, len, &c);
        bool bad = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff;
        vf_buf_append(b, bad ? " " : s, bad ? 1 : n);
        s += n;
        len -= n;
    }
    vf_buf_puts(b, "\n");
}

static void put_shell_word(struct vf_buf *b, const char *s)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/+=:,@";
    if (*s && strspn(s, plain) == strlen(s)) {
        vf_buf_puts(b, s);
        return;
    }
    vf_buf_puts(b, "'");
    for (; *s; s++) {
        if (*s == '\'') {
            vf_buf_puts(b, "'\\''");
        } else {
            vf_buf_append(b, s, 1);
        }
    }
    vf_buf_puts(b, "'");
}

static void put_uploads(struct vf_buf *b, const struct vf_manifest_plan *plan,
                        const char *in_namespace)
{
    for (size_t i = 0; i < plan->vm->n_disks; i++) {
        const char *image = vf_kubevirt_disk_options(plan, i)->image;
        if (image) {
            vf_buf_printf(b, "#      virtctl image-upload dv %s%s --no-create --image-path=",
                          plan->claims[i], in_namespace);
            put_shell_word(b, image);
            vf_buf_puts(b, "\n");
        }
    }
}

static void put_steps(struct vf_buf *b, const struct vf_manifest_plan *plan)
{
    const struct vf_manifest_options *o = plan->options;
    char *vf_autofree in_namespace =
        o->namespace_name ? vf_xasprintf(" --namespace %s", o->namespace_name) : vf_xstrdup("");
    bool alone = vf_manifest_is_alone(plan);
    unsigned step = 2;
    vf_buf_printf(b, "#\n# 1. %s\n#      kubectl apply --filename manifests.yaml\n",
                  alone ? "Create it. Its claims must be there, and filled:"
                        : "Create the objects. The DataVolumes then wait for their disks:");
    if (plan->vm->n_disks && !alone) {
        vf_buf_printf(b, "# %u. Upload the disks, from the folder of this file:\n", step++);
        put_uploads(b, plan, in_namespace);
    }
    if (strcmp(vf_kubevirt_run_strategy(plan), "Halted") == 0) {
        vf_buf_printf(b, "# %u. Start it:\n#      virtctl start %s%s\n", step, plan->name,
                      in_namespace);
    }
}

char *vf_manifest_comment(const struct vf_manifest_plan *plan, const struct vf_concerns *concerns)
{
    char *vf_autofree title = vf_xasprintf("Virtual machine \"%s\"%s%s, written by vmferry",
                                           plan->vm->name ? plan->vm->name : plan->name,
                                           plan->options->source ? " of " : "",
                                           plan->options->source ? plan->options->source : "");
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    put_comment(&b, " ", title);
    put_steps(&b, plan);
    if (concerns->n_items) {
        vf_buf_puts(&b, "#\n# Look at this before:\n");
    }
    for (size_t i = 0; i < concerns->n_items; i++) {
        put_comment(&b, " - ", concerns->items[i].text);
    }
    return vf_buf_take_string(&b);
}
