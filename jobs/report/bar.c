/* Live lines at the bottom of the terminal. The cursor rests below them, at the start of a line, so
 * that whatever else is printed, also after a kill -9, begins on a line of its own. */
#include "jobs/report/report.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "jobs/report/bar_line.h"
#include "jobs/report/listener.h"
#include "jobs/report/message.h"

#define INTERVAL_MS 200
/* No frame for so long: the process was stopped, and the shell has written below the lines. */
#define STOPPED_MS 3000

struct bar {
    struct vf_listener l; /* first: the two are cast into each other */
    bool utf8;
    size_t *widths; /* of the live lines on the screen now */
    size_t n_widths, cap_widths;
    int64_t drawn_ms;
};

static void terminal_size(void *opaque, unsigned *ret_rows, unsigned *ret_columns)
{
    FILE *out = opaque;
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *ret_rows = size.ws_row;
        *ret_columns = size.ws_col;
    }
}

static void get_size(const struct bar *b, unsigned *ret_rows, unsigned *ret_columns)
{
    const struct vf_report_options *o = &b->l.options;
    *ret_rows = 24;
    *ret_columns = 80;
    if (o->terminal_size) {
        o->terminal_size(o->opaque, ret_rows, ret_columns);
    } else {
        terminal_size(o->out, ret_rows, ret_columns);
    }
}

/* Another job has the terminal (the shell's bg, or ^Z and then an editor): keep quiet. */
static bool in_background(const struct bar *b)
{
    pid_t foreground = tcgetpgrp(fileno(b->l.options.out));
    return foreground > 0 && foreground != getpgrp();
}

/* Back to the first live line. A terminal that was made narrower has broken the old lines up, so
 * the rows that they take now are counted, not the lines. */
static void put_home(const struct bar *b, struct vf_buf *out, unsigned columns)
{
    size_t rows = 0;
    for (size_t i = 0; i < b->n_widths; i++) {
        rows += b->widths[i] > columns ? (b->widths[i] + columns - 1) / columns : 1;
    }
    if (rows > 0) {
        /* CUU; the CR because ^C makes the terminal driver drop what it has not shown yet, which
         * may be the rest of a line. */
        vf_buf_printf(out, "\r\033[%zuA", rows);
    }
}

static void put_live_line(struct bar *b, struct vf_buf *out, const char *text, size_t width)
{
    vf_buf_printf(out, "%s\033[K\n", text); /* EL: what an older, longer line left */
    if (b->n_widths == b->cap_widths) {
        b->cap_widths = b->cap_widths ? 2 * b->cap_widths : 8;
        b->widths = vf_xrealloc_array(b->widths, b->cap_widths, sizeof *b->widths);
    }
    b->widths[b->n_widths++] = width;
}

static void put_disk(struct bar *b, struct vf_buf *out, const struct vf_bar_layout *layout,
                     const struct vf_track_disk *d)
{
    struct vf_buf line;
    vf_buf_init(&line, SIZE_MAX);
    vf_bar_put_line(&line, layout, d);
    put_live_line(b, out, line.data, layout->columns);
    vf_buf_release(&line);
}

/* Cursor movement cannot leave the screen: when there are more disks than rows, those that are done
 * are left out first. */
static void put_live(struct bar *b, struct vf_buf *out, unsigned rows, unsigned columns)
{
    const struct vf_track *t = &b->l.track;
    size_t room = rows > 5 ? rows - 4 : 1; /* the total, the rest, the message, the cursor */
    size_t skip_done = t->n_disks > room ? t->n_disks - room : 0;
    size_t shown = 0;
    struct vf_track_disk total = vf_track_total(t);
    struct vf_bar_layout layout;
    vf_bar_layout_init(&layout, t->disks, t->n_disks, columns, b->utf8, b->l.options.color);

    b->n_widths = 0;
    for (size_t i = 0; i < t->n_disks && shown < room; i++) {
        if (skip_done > 0 && t->disks[i].state == VF_TRACK_DONE) {
            skip_done--;
            continue;
        }
        put_disk(b, out, &layout, &t->disks[i]);
        shown++;
    }
    if (shown < t->n_disks) {
        char *vf_autofree more = vf_xasprintf("and %zu more", t->n_disks - shown);
        put_live_line(b, out, more, 20);
    }
    if (t->n_disks > 1) {
        put_disk(b, out, &layout, &total);
    }
}

/* One write a frame: a terminal that shows half of one flickers. */
static void redraw(struct bar *b, const char *message)
{
    struct vf_buf out;
    unsigned rows, columns;
    get_size(b, &rows, &columns);
    vf_buf_init(&out, SIZE_MAX);
    int64_t now_ms = b->l.options.clock_ms(b->l.options.opaque);
    bool background = in_background(b);
    if (background || now_ms - b->drawn_ms > STOPPED_MS) {
        b->n_widths = 0;
    }
    b->drawn_ms = now_ms;
    if (background) {
        if (message) {
            vf_buf_printf(&out, "%s\n", message);
        }
    } else {
        put_home(b, &out, columns);
        if (message) {
            vf_buf_printf(&out, "\033[J%s\n", message); /* ED: below may be more rows than before */
        }
        put_live(b, &out, rows, columns);
        vf_buf_puts(&out, "\033[J");
    }
    if (out.len > 0) {
        fwrite(out.data, 1, out.len, b->l.options.out);
        fflush(b->l.options.out);
    }
    vf_buf_release(&out);
}

static void bar_event(struct vf_listener *l, const struct vf_event *e,
                      const struct vf_track_disk *disk)
{
    struct bar *b = (struct bar *)l;
    /* How a disk ended stands in its line. */
    bool in_line = e->type == VF_EVENT_DISK_START || e->type == VF_EVENT_DISK_END;
    char *vf_autofree text = in_line ? NULL : vf_report_message(e, disk, l->options.color);
    redraw(b, text);
}

static void bar_tick(struct vf_listener *l)
{
    if (l->track.n_disks > 0) {
        redraw((struct bar *)l, NULL);
    }
}

static void bar_end(struct vf_listener *l)
{
    struct bar *b = (struct bar *)l;
    bar_tick(l);
    free(b->widths);
}

static const struct vf_listener_ops bar_ops = {
    .interval_ms = INTERVAL_MS, .event = bar_event, .tick = bar_tick, .end = bar_end};

struct vf_reporter *vf_report_bar_new(const struct vf_report_options *options)
{
    struct bar *b = vf_xcalloc(1, sizeof *b);
    b->utf8 = vf_text_is_utf8();
    return vf_listener_start(&b->l, &bar_ops, options);
}
