/* Diagnostics on stderr for the one who debugs; users are spoken to by reporters and errors.
 * Libraries log at debug only. Thread-safe. Secrets have no way in: struct vf_secret has no
 * format. */
#ifndef IMPORTER_BASE_LOG_H
#define IMPORTER_BASE_LOG_H

#include <stdbool.h>

void vf_log_set_debug(bool on);
bool vf_log_is_debug(void);

/* One line, "vmferry: debug: " in front; nothing unless debug is on. */
void vf_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
