/* Writing to a peer that went away must be an EPIPE, not the end of the process. A library may not
 * change the process's disposition of SIGPIPE, so the signal is blocked in the one thread for the
 * time of the write, and eaten when the write raised it.
 */
#ifndef IMPORTER_BASE_SIGPIPE_H
#define IMPORTER_BASE_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct vf_sigpipe {
    sigset_t old_mask;
    bool was_pending;
};

/* A pair, called by one thread; may nest. errno is kept. */
void vf_sigpipe_block(struct vf_sigpipe *g);
void vf_sigpipe_restore(struct vf_sigpipe *g);

#endif
