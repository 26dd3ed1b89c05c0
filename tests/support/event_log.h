/* A reporter that keeps what it is told as text, one event a line, for tests. Thread-safe. */
#ifndef TESTS_SUPPORT_EVENT_LOG_H
#define TESTS_SUPPORT_EVENT_LOG_H

#include <pthread.h>
#include <stdbool.h>

#include <vmferry/event.h>

#include "importer/base/buf.h"

/* "phase VM copy: text", "warning VM: text", "info VM: text", "disk_start VM 0 NAME DONE/TOTAL",
 * "disk_end VM 0 NAME DONE/TOTAL CODE: text", "result VM CODE: text". */
struct vf_test_events {
    struct vf_reporter reporter;
    pthread_mutex_t lock; /* guards the text */
    struct vf_buf text;
};

void vf_test_events_init(struct vf_test_events *e);
void vf_test_events_release(struct vf_test_events *e);

/* All that was told so far; heap, the caller's. */
char *vf_test_events_text(struct vf_test_events *e);
bool vf_test_events_has(struct vf_test_events *e, const char *part);
/* Fails the test, and shows the text, unless it holds `part`. */
void vf_test_events_expect(struct vf_test_events *e, const char *part);

#endif
