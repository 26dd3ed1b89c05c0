/* Notes of a VM, with a paragraph of ours put in and taken out. The first byte says how much of the
 * rest is the text of ours. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/vsphere/notes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t n = data[0] < size - 1 ? data[0] : size - 1;
    char *vf_autofree text = vf_xstrndup((const char *)data + 1, n);
    char *vf_autofree notes = vf_xstrndup((const char *)data + 1 + n, size - 1 - n);

    char *vf_autofree theirs = vf_notes_compose(notes, NULL);
    char *vf_autofree again = vf_notes_compose(theirs, NULL);
    must(strcmp(theirs, again) == 0);

    char *vf_autofree with = vf_notes_compose(notes, text);
    must(strlen(with) >= strlen(theirs) &&
         strcmp(with + strlen(with) - strlen(theirs), theirs) == 0);
    char *vf_autofree without = vf_notes_compose(with, NULL);
    must(strcmp(without, theirs) == 0);
    char *vf_autofree twice = vf_notes_compose(with, text);
    must(strcmp(twice, with) == 0);
    return 0;
}
