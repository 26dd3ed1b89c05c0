#include "importer/base/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static bool is_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

void vf_sigpipe_block(struct vf_sigpipe *g)
{
    int saved = errno;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    g->was_pending = is_pending();
    pthread_sigmask(SIG_BLOCK, &set, &g->old_mask);
    errno = saved;
}

void vf_sigpipe_restore(struct vf_sigpipe *g)
{
    int saved = errno;
    if (!g->was_pending && is_pending()) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        while (sigtimedwait(&set, NULL, &(struct timespec){0}) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &g->old_mask, NULL);
    errno = saved;
}
