#include "importer/base/inject.h"

#ifdef VF_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FAULTS 16u

struct fault {
    char point[32];
    char action[16];
    unsigned left; /* passes until it strikes; 0: has struck */
};

static pthread_once_t parsed = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[MAX_FAULTS]; /* guarded by lock once parsed */
static unsigned n_faults;
static int trace = -1;

static void parse(void)
{
    const char *s = getenv("VMFERRY_FAULTS");
    const char *path = getenv("VMFERRY_FAULTS_TRACE");
    trace = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    while (s && *s && n_faults < MAX_FAULTS) {
        struct fault *f = &faults[n_faults];
        /* NOLINTNEXTLINE(cert-err34-c): a number too large is a test's own fault */
        if (sscanf(s, "%31[^:]:%u:%15[^,]", f->point, &f->left, f->action) == 3) {
            n_faults++;
        } else {
            fprintf(stderr, "vmferry: VMFERRY_FAULTS is not POINT:N:ACTION at \"%s\"\n", s);
            abort();
        }
        s = strchr(s, ',');
        s = s ? s + 1 : NULL;
    }
}

static int strike(const struct fault *f, struct vf_error **err)
{
    if (strcmp(f->action, "kill") == 0) {
        kill(getpid(), SIGKILL);
    }
    if (strcmp(f->action, "stop") == 0) {
        kill(getpid(), SIGTERM);
        return 0;
    }
    if (strcmp(f->action, "enospc") == 0) {
        return vf_error_set_errno(err, ENOSPC, "injected at %s", f->point);
    }
    if (strcmp(f->action, "reset") == 0) {
        return vf_error_set_errno(err, ECONNRESET, "injected at %s", f->point);
    }
    return vf_error_set_errno(err, EIO, "injected at %s", f->point);
}

/* In one write each, so that threads do not mix and a kill loses none. */
static void put_trace(const char *point)
{
    char line[sizeof faults->point + 1];
    int len = snprintf(line, sizeof line, "%s\n", point);
    if (len > 0 && (size_t)len < sizeof line) {
        ssize_t n = write(trace, line, (size_t)len);
        (void)n; /* a test misses it */
    }
}

int vf_inject(const char *point, struct vf_error **err)
{
    pthread_once(&parsed, parse);
    if (trace >= 0) {
        put_trace(point);
    }
    for (unsigned i = 0; i < n_faults; i++) {
        struct fault *f = &faults[i];
        pthread_mutex_lock(&lock);
        bool now = f->left > 0 && strcmp(f->point, point) == 0 && --f->left == 0;
        pthread_mutex_unlock(&lock);
        if (now) {
            return strike(f, err);
        }
    }
    return 0;
}

#else

/* ISO C wants a declaration in every file. */
extern int vf_inject_is_off;

#endif
