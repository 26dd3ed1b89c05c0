#include "importer/vsphere/notes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/task.h"
#include "importer/vsphere/vim_names.h"

#define CALL_TIMEOUT_MS 30000
#define TASK_TIMEOUT_MS (2 * 60 * 1000)
#define BUSY_MS         (2 * 60 * 1000)
#define BUSY_WAIT_MS    1000

#define P_NOTES   "config.annotation"
#define P_VERSION "config.changeVersion"

/* Whole lines, by which the paragraph is known again. */
#define BEGIN "--- vmferry ---\n"
#define END   "--- end of the note by vmferry ---"

static const char what_note[] = "write a note to the VM";

static bool is_line(const char *notes, const char *p)
{
    return p == notes || p[-1] == '\n';
}

/* The last line BEGIN from `from` on that ends at or before `to`. */
static const char *find_begin(const char *from, const char *to)
{
    const char *found = NULL;
    for (const char *p = from; (p = strstr(p, BEGIN)) && p + strlen(BEGIN) <= to + 1; p++) {
        if (is_line(from, p)) {
            found = p;
        }
    }
    return found;
}

/* The next paragraph of ours: its start, and in *ret_end what follows it and the line ends that
 * were put behind it. Of two beginnings the later one is ours: a person's has no end. */
static const char *find_own(const char *notes, const char **ret_end)
{
    const char *from = notes;
    for (const char *end = notes; (end = strstr(end, "\n" END)); end++) {
        const char *rest = end + strlen("\n" END);
        if (*rest && *rest != '\n') {
            continue;
        }
        const char *own = find_begin(from, end);
        if (own) {
            for (int i = 0; i < 2 && *rest == '\n'; i++) {
                rest++;
            }
            *ret_end = rest;
            return own;
        }
        from = end + 1;
    }
    return NULL;
}

/* No line of the text may look like the marks. */
static void put_text(struct vf_buf *b, const char *text)
{
    vf_buf_puts(b, BEGIN);
    for (const char *p = text; *p; p++) {
        char c = (unsigned char)*p < 0x20 && *p != '\n' ? ' ' : *p;
        if (c == '-' && is_line(text, p)) {
            vf_buf_puts(b, " ");
        }
        vf_buf_append(b, &c, 1);
    }
    vf_buf_puts(b, "\n" END);
}

/* False when there was none to take out. */
static bool strip_once(struct vf_buf *notes)
{
    struct vf_buf rest;
    const char *at = notes->data ? notes->data : "", *end = NULL, *own = find_own(at, &end);
    if (!own) {
        return false;
    }
    vf_buf_init(&rest, notes->max);
    for (; own; own = find_own(at, &end)) {
        vf_buf_append(&rest, at, (size_t)(own - at));
        at = end;
    }
    vf_buf_puts(&rest, at);
    vf_buf_release(notes);
    *notes = rest;
    return true;
}

char *vf_notes_compose(const char *notes, const char *text)
{
    struct vf_buf rest, b;
    vf_buf_init(&rest, SIZE_MAX / 4);
    vf_buf_init(&b, SIZE_MAX / 4);
    vf_buf_puts(&rest, notes ? notes : "");
    while (strip_once(&rest)) { /* what stood around one may be another, put together */
    }
    if (text) {
        put_text(&b, text);
        vf_buf_puts(&b, rest.len ? "\n\n" : "");
    }
    vf_buf_append(&b, rest.data ? rest.data : "", rest.len);
    vf_buf_release(&rest);
    return vf_buf_take_string(&b);
}

bool vf_notes_have_own(const char *notes)
{
    const char *end = NULL;
    return notes && find_own(notes, &end);
}

struct held {
    char *notes, *version; /* NULL when there is none */
};

static void release_held(struct held *h)
{
    vf_replace_string(&h->notes, NULL);
    vf_replace_string(&h->version, NULL);
}

static int on_notes(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                    struct vf_error **err)
{
    struct held *h = opaque;
    struct vf_fault fault = {0};
    (void)ref;
    if (vf_property_fault(content, P_NOTES, &fault)) {
        int rc = vf_fault_set_error(err, &fault, "read the VM's notes");
        vf_fault_release(&fault);
        return rc;
    }
    release_held(h); /* of a query that started over */
    h->notes = vf_xml_text(vf_property_value(content, P_NOTES));
    h->version = vf_xml_text(vf_property_value(content, P_VERSION));
    return 0;
}

static int send_notes(struct vf_vsphere *vs, const char *vm_moref, const struct held *h,
                      const char *notes, struct vf_error **err)
{
    static const struct vf_task_wait wait = {.timeout_ms = TASK_TIMEOUT_MS, .cleanup = true};
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_annotate(&body, vm_moref, h->version, notes);
    struct vf_call call = {.method = "ReconfigVM_Task",
                           .what = what_note,
                           .body = &body,
                           .flags = VF_CALL_CLEANUP | VF_CALL_REPEATABLE,
                           .timeout_ms = CALL_TIMEOUT_MS};
    char *vf_autofree task = NULL;
    int rc = vf_task_start(vs, &call, &task, err);
    vf_buf_release(&body);
    return rc ? rc : vf_task_wait(vs, task, what_note, &wait, NULL, err);
}

/* Read, change, write. changeVersion makes the server refuse (ConcurrentAccess, a VF_RETRY) what
 * was made of notes that are not the newest. */
static int replace_once(struct vf_vsphere *vs, const char *vm_moref, const char *text,
                        struct vf_error **err)
{
    static const char *const paths[] = {P_NOTES, P_VERSION, NULL};
    struct held h = {0};
    char *vf_autofree fresh = NULL;
    int rc = vf_property_fetch_object(vs, VF_MO_VM, vm_moref, paths, true, "read the VM's notes",
                                      on_notes, &h, err);
    if (rc == 0 && h.notes && strlen(h.notes) > VF_NOTES_MAX_BYTES) {
        rc = vf_error_set(err, VF_RANGE, "cannot %s: it holds %zu bytes of notes already",
                          what_note, strlen(h.notes));
    }
    if (rc == 0) {
        fresh = vf_notes_compose(h.notes, text);
        if (strcmp(fresh, h.notes ? h.notes : "") != 0) {
            rc = send_notes(vs, vm_moref, &h, fresh, err);
        }
    }
    release_held(&h);
    return rc;
}

int vf_vm_replace_note(struct vf_vsphere *vs, const char *vm_moref, const char *text,
                       struct vf_error **err)
{
    if (text && strlen(text) > VF_NOTES_MAX_TEXT) {
        return vf_error_set(err, VF_RANGE, "cannot %s: its text has %zu bytes", what_note,
                            strlen(text));
    }
    int64_t end_ms = vf_clock_ms() + BUSY_MS;
    for (;;) {
        struct vf_error *e = NULL;
        int rc = replace_once(vs, vm_moref, text, &e);
        if (rc != VF_RETRY || vf_clock_ms() >= end_ms) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
        vf_cancel_wait(NULL, BUSY_WAIT_MS, NULL);
    }
}
