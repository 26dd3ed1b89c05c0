#include "jobs/report/listener.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* How soon a cancellation is noticed; listeners' intervals are multiples. */
#define SLICE_MS 200

static void wait_slice(struct vf_listener *l)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += SLICE_MS * 1000000L;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    while (!l->stop && pthread_cond_timedwait(&l->wake, &l->lock, &end) == 0) {
    }
}

/* Removing a snapshot takes its time; without a word people press ^C again and leave it behind. */
static void tell_of_cancel(struct vf_listener *l)
{
    if (l->told_of_cancel || !vf_cancel_is_set(l->options.cancel)) {
        return;
    }
    l->told_of_cancel = true;
    l->ops->event(l,
                  &(struct vf_event){.type = VF_EVENT_INFO,
                                     .message = "stopping and cleaning up; a second signal ends "
                                                "this at once"},
                  NULL);
}

static void tick(struct vf_listener *l)
{
    tell_of_cancel(l);
    vf_track_sample(&l->track, l->options.clock_ms(l->options.opaque));
    l->ops->tick(l);
}

static void *run(void *opaque)
{
    struct vf_listener *l = opaque;
    pthread_mutex_lock(&l->lock);
    for (unsigned waited_ms = SLICE_MS;; waited_ms += SLICE_MS) {
        wait_slice(l);
        if (l->stop) {
            break;
        }
        tell_of_cancel(l);
        if (waited_ms >= l->ops->interval_ms) {
            tick(l);
            waited_ms = 0;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void listener_event(struct vf_reporter *r, const struct vf_event *e)
{
    struct vf_listener *l = (struct vf_listener *)r;
    pthread_mutex_lock(&l->lock);
    /* The job tells its result, or its caller, who cannot know whether it did. */
    bool again = e->type == VF_EVENT_RESULT && l->has_result;
    l->has_result = l->has_result || e->type == VF_EVENT_RESULT;
    if (!again) {
        const struct vf_track_disk *disk =
            vf_track_event(&l->track, e, l->options.clock_ms(l->options.opaque));
        l->ops->event(l, e, disk);
    }
    pthread_mutex_unlock(&l->lock);
}

static void listener_free(struct vf_reporter *r)
{
    struct vf_listener *l = (struct vf_listener *)r;
    if (l->has_thread) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    l->ops->end(l);
    vf_track_release(&l->track);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static const struct vf_reporter_ops reporter_ops = {.event = listener_event, .free = listener_free};

static int64_t real_clock_ms(void *opaque)
{
    (void)opaque;
    return vf_clock_ms();
}

static void real_wall_clock(void *opaque, char buf[VF_CLOCK_RFC3339_SIZE])
{
    (void)opaque;
    vf_clock_rfc3339(buf);
}

/* Signals are for the main thread, whose waits they interrupt. */
static void start_thread(struct vf_listener *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->has_thread = pthread_create(&l->thread, NULL, run, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct vf_reporter *vf_listener_start(struct vf_listener *l, const struct vf_listener_ops *ops,
                                      const struct vf_report_options *options)
{
    l->base.ops = &reporter_ops;
    l->ops = ops;
    l->options = *options;
    if (!l->options.clock_ms) {
        l->options.clock_ms = real_clock_ms;
    }
    if (!l->options.wall_clock) {
        l->options.wall_clock = real_wall_clock;
    }
    vf_track_init(&l->track);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (ops->interval_ms > 0 && !options->no_thread) {
        start_thread(l);
    }
    return &l->base;
}

void vf_report_tick(struct vf_reporter *r)
{
    struct vf_listener *l = (struct vf_listener *)r;
    pthread_mutex_lock(&l->lock);
    tick(l);
    pthread_mutex_unlock(&l->lock);
}
