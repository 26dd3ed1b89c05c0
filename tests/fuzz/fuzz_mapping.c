/* A mapping file: what is taken is encoded, and read back alike. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "converters/vm/mapping.h"
#include "importer/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const struct vf_mapping *m)
{
    char *text = NULL;
    if (vf_mapping_print(m, &text, NULL) != 0) {
        abort();
    }
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_mapping m = {0}, again = {0};
    struct vf_error *err = NULL;
    char *text = vf_xstrndup((const char *)data, size);
    if (vf_mapping_load(&m, text, "fuzz", &err)) {
        if (!vf_error_message(err)[0]) {
            abort();
        }
        vf_error_free(err);
    } else {
        char *first = print(&m), *second;
        if (vf_mapping_load(&again, first, "again", NULL)) {
            abort();
        }
        second = print(&again);
        if (strcmp(first, second) != 0) {
            abort();
        }
        free(second);
        free(first);
    }
    /* The same bytes as a rule of the command line. */
    (void)vf_mapping_add_disk(&again, text, NULL);
    (void)vf_mapping_add_storage(&again, text, NULL);
    free(text);
    vf_mapping_release(&again);
    vf_mapping_release(&m);
    return 0;
}
