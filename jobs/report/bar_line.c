#include "jobs/report/bar_line.h"

#include <stdio.h>

#define BYTES_COLUMNS   8  /* "1023 MiB" */
#define RATE_COLUMNS    10 /* "1023 MiB/s" */
#define PERCENT_COLUMNS 5  /* "100 %" */
#define STATE_COLUMNS   12 /* "ETA 23:59:59" */
#define GAP             2
#define MIN_NAME        8
#define MAX_NAME        30
#define MIN_BAR         10
#define MAX_BAR         60

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define CYAN   "\033[36m"
#define DIM    "\033[2m"
#define NORMAL "\033[0m"

void vf_bar_layout_init(struct vf_bar_layout *l, const struct vf_track_disk *disks, size_t n_disks,
                        unsigned columns, bool utf8, bool color)
{
    *l = (struct vf_bar_layout){.utf8 = utf8, .color = color, .rate = RATE_COLUMNS};
    l->columns = columns > 20 ? columns - 1 : 19;
    uint64_t sum_bytes = 0;
    char text[VF_TEXT_BYTES_SIZE];
    for (size_t i = 0; i < n_disks; i++) {
        size_t width = vf_text_width(disks[i].name);
        l->name = width > l->name ? width : l->name;
        size_t total = vf_text_width(vf_text_bytes(text, disks[i].total_bytes));
        l->total = total > l->total ? total : l->total;
        sum_bytes += disks[i].total_bytes;
    }
    size_t total = vf_text_width(vf_text_bytes(text, sum_bytes));
    l->total = total > l->total ? total : l->total;
    size_t most = l->columns / 4;
    most = most < MIN_NAME ? MIN_NAME : most > MAX_NAME ? MAX_NAME : most;
    l->name = l->name < MIN_NAME ? MIN_NAME : l->name > most ? most : l->name;

    size_t fixed = GAP + PERCENT_COLUMNS + GAP + STATE_COLUMNS;
    size_t sizes = GAP + BYTES_COLUMNS + 3 + l->total; /* " / " */
    size_t bar = GAP + MIN_BAR;
    if (MIN_NAME + bar + fixed + sizes + GAP + l->rate > l->columns) {
        l->rate = 0;
    }
    size_t rate = l->rate ? GAP + l->rate : 0;
    if (MIN_NAME + bar + fixed + sizes + rate > l->columns) {
        l->total = 0;
        sizes = 0;
    }
    if (MIN_NAME + bar + fixed > l->columns) {
        bar = 0;
    }
    size_t room =
        l->columns > fixed + sizes + rate + bar ? l->columns - fixed - sizes - rate - bar : 0;
    l->name = l->name > room ? room : l->name;
    if (bar) {
        l->bar = MIN_BAR + room - l->name;
        l->bar = l->bar > MAX_BAR ? MAX_BAR : l->bar;
        bar = GAP + l->bar;
    }
    l->columns = l->name + bar + fixed + sizes + rate;
}

static void put_times(struct vf_buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vf_buf_puts(b, s);
    }
}

static void put_color(struct vf_buf *b, const struct vf_bar_layout *l, const char *sequence)
{
    if (l->color) {
        vf_buf_puts(b, sequence);
    }
}

static void put_bar(struct vf_buf *b, const struct vf_bar_layout *l, const struct vf_track_disk *d)
{
    double share = d->total_bytes ? (double)d->done_bytes / (double)d->total_bytes : 0;
    if (share > 1 || d->state == VF_TRACK_DONE) {
        share = 1;
    }
    size_t halves = (size_t)(share * (double)l->bar * 2);
    size_t full = halves / 2;
    size_t half = halves % 2;

    put_color(b, l, d->state == VF_TRACK_DONE ? GREEN : d->state == VF_TRACK_FAILED ? RED : CYAN);
    put_times(b, l->utf8 ? "\xe2\x94\x81" : "#", full); /* U+2501, heavy */
    put_times(b, l->utf8 ? "\xe2\x95\xb8" : "-", half); /* U+2578, heavy left half */
    put_color(b, l, NORMAL DIM);
    put_times(b, l->utf8 ? "\xe2\x94\x80" : ".", l->bar - full - half); /* U+2500, light */
    put_color(b, l, NORMAL);
}

static void put_state(struct vf_buf *b, const struct vf_bar_layout *l,
                      const struct vf_track_disk *d)
{
    char time[VF_TEXT_DURATION_SIZE];
    char text[VF_TEXT_DURATION_SIZE + 8];
    int64_t eta_s = vf_track_eta_s(d);
    if (d->state == VF_TRACK_FAILED) {
        snprintf(text, sizeof text, "stopped");
    } else if (d->state == VF_TRACK_DONE) {
        snprintf(text, sizeof text, "in %s", vf_text_duration(time, vf_track_elapsed_s(d)));
    } else if (d->first_ms < 0) {
        snprintf(text, sizeof text, "waiting");
    } else if (eta_s < 0) {
        snprintf(text, sizeof text, "ETA -:--");
    } else {
        snprintf(text, sizeof text, "ETA %s", vf_text_duration(time, (uint64_t)eta_s));
    }
    put_color(b, l, d->state == VF_TRACK_FAILED ? RED : "");
    vf_text_put_fitted(b, text, STATE_COLUMNS, false);
    put_color(b, l, d->state == VF_TRACK_FAILED ? NORMAL : "");
}

void vf_bar_put_line(struct vf_buf *b, const struct vf_bar_layout *l, const struct vf_track_disk *d)
{
    char text[VF_TEXT_BYTES_SIZE];
    vf_text_put_fitted(b, d->name, l->name, false);
    if (l->bar) {
        put_times(b, " ", GAP);
        put_bar(b, l, d);
    }
    vf_buf_printf(b, "%*s%3u %%", GAP, "", vf_track_percent(d));
    if (l->total) {
        put_times(b, " ", GAP);
        vf_text_put_fitted(b, vf_text_bytes(text, d->done_bytes), BYTES_COLUMNS, true);
        vf_buf_puts(b, " / ");
        vf_text_put_fitted(b, vf_text_bytes(text, d->total_bytes), l->total, false);
    }
    if (l->rate) {
        char rate[VF_TEXT_BYTES_SIZE + 2];
        snprintf(rate, sizeof rate, "%s/s", vf_text_bytes(text, vf_track_bytes_per_s(d)));
        put_times(b, " ", GAP);
        vf_text_put_fitted(b, rate, l->rate, true);
    }
    put_times(b, " ", GAP);
    put_state(b, l, d);
}
