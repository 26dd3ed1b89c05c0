#include "jobs/cli/termination.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "importer/base/utf8.h"

/* Less of the last character when it was cut in two. */
static size_t whole_characters(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint32_t c;
        size_t n = vf_utf8_decode(text + at, len - at, &c);
        if (n == 0) {
            break;
        }
        at += n;
    }
    return at;
}

void vf_termination_write(const struct vf_error *e)
{
    const char *path = getenv("VMFERRY_TERMINATION_LOG");
    if (!path || !*path) {
        return;
    }
    char *vf_autofree text = vf_error_format(e);
    const char *hint = vf_error_get_hint(e);
    char *vf_autofree all =
        vf_xasprintf("%s%s%s\n", text, hint ? "\nhint: " : "", hint ? hint : "");
    char *vf_autofree clean = vf_utf8_clean(all);
    size_t len = strlen(clean);
    len = len > VF_TERMINATION_MAX ? whole_characters(clean, VF_TERMINATION_MAX) : len;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd >= 0) {
        ssize_t n = write(fd, clean, len);
        (void)n; /* see the header */
        close(fd);
    }
}
