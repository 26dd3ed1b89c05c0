#include "importer/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "importer/base/mem.h"

static atomic_bool debug_on;

void vf_log_set_debug(bool on)
{
    atomic_store(&debug_on, on);
}

bool vf_log_is_debug(void)
{
    return atomic_load(&debug_on);
}

void vf_debug(const char *fmt, ...)
{
    if (!vf_log_is_debug()) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    char *text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, "vmferry: debug: %s\n", text);
    free(text);
}
