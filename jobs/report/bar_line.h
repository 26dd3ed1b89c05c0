/* One disk's progress as one line of a given width. Pure. Private to jobs/report. */
#ifndef JOBS_REPORT_BAR_LINE_H
#define JOBS_REPORT_BAR_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "jobs/report/text.h"
#include "jobs/report/track.h"

/* Widths of the fields, the same for all lines of a frame; 0 leaves a field out. */
struct vf_bar_layout {
    size_t columns; /* the sum: what a line takes */
    size_t name, bar, total, rate;
    bool utf8, color;
};

/* For a terminal of that many columns, of which the last stays free: terminals differ on what
 * happens when it is written to. A narrow one loses the rate first, then the sizes, then the bar.
 */
void vf_bar_layout_init(struct vf_bar_layout *l, const struct vf_track_disk *disks, size_t n_disks,
                        unsigned columns, bool utf8, bool color);

/* Append the line, `l->columns` wide, without newline. */
void vf_bar_put_line(struct vf_buf *b, const struct vf_bar_layout *l,
                     const struct vf_track_disk *d);

#endif
