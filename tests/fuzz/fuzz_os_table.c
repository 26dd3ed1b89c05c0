/* A table of guests as a person may bring it; whatever was taken answers for any guest. */
#include <stdint.h>
#include <stdlib.h>

#include "converters/vm/os_table.h"
#include "importer/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = vf_xstrndup((const char *)data, size);
    struct vf_os_table *t = NULL;
    struct vf_error *err = NULL;
    if (vf_os_table_new(text, "fuzz", &t, &err)) {
        if (!vf_error_message(err)[0]) {
            abort();
        }
        vf_error_free(err);
    } else {
        /* As hard a text for a pattern with stars as the model may hold. */
        static char id[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
        struct vf_vm vm = {.guest_id = id, .guest_name = text};
        const struct vf_os *os = vf_os_find(t, &vm);
        if (!os->name || vf_os_by_name(t, os->name) != os) {
            abort();
        }
        free(vf_os_instancetype(os, 3, 1u << 30));
        vf_os_table_free(t);
    }
    free(text);
    return 0;
}
