/* Asking for a secret on the terminal, the way readpassphrase(3) of OpenBSD does: while echo is
 * off, signals that would end or stop the process only note themselves; echo comes back, then they
 * take their course.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <vmferry/cancel.h>

#include "importer/base/mem.h"
#include "importer/base/secret_private.h"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU};
#define N_CAUGHT (sizeof caught / sizeof caught[0])

static volatile sig_atomic_t pending[N_CAUGHT];

struct prompt {
    int fd;
    const char *text;
    const struct vf_cancel *cancel;
    struct termios before;
    struct sigaction actions[N_CAUGHT];
    sigset_t open_mask; /* while waiting: the caught signals let in */
    char line[VF_SECRET_MAX_BYTES + 3];
    size_t len;
};

static void note_signal(int sig)
{
    for (size_t i = 0; i < N_CAUGHT; i++) {
        if (caught[i] == sig) {
            pending[i] = 1;
        }
    }
}

static bool is_signalled(void)
{
    for (size_t i = 0; i < N_CAUGHT; i++) {
        if (pending[i]) {
            return true;
        }
    }
    return false;
}

static void catch_signals(struct prompt *p)
{
    struct sigaction note = {.sa_handler = note_signal};
    sigemptyset(&note.sa_mask);
    pthread_sigmask(SIG_SETMASK, NULL, &p->open_mask);
    for (size_t i = 0; i < N_CAUGHT; i++) {
        pending[i] = 0;
        sigaction(caught[i], NULL, &p->actions[i]);
        if (p->actions[i].sa_handler != SIG_IGN) {
            sigaction(caught[i], &note, NULL);
        }
    }
}

static void release_signals(struct prompt *p)
{
    for (size_t i = 0; i < N_CAUGHT; i++) {
        sigaction(caught[i], &p->actions[i], NULL);
    }
}

/* Waits until the terminal can be read; false on a signal. */
static bool await_input(struct prompt *p, struct vf_error **err, int *ret_rc)
{
    struct pollfd fds[1 + VF_CANCEL_MAX_FDS] = {{.fd = p->fd, .events = POLLIN}};
    unsigned n = 1 + vf_cancel_poll_fds(p->cancel, fds + 1, VF_CANCEL_MAX_FDS);
    /* A signal may be taken by another thread, which does not end this wait: look now and then. */
    const struct timespec slice = {.tv_nsec = 300000000L};
    for (;;) {
        *ret_rc = vf_cancel_check(p->cancel, err);
        if (*ret_rc || is_signalled()) {
            return false;
        }
        if (ppoll(fds, n, &slice, &p->open_mask) > 0 && fds[0].revents) {
            return true;
        }
    }
}

static int read_line(struct prompt *p, struct vf_error **err)
{
    p->len = 0;
    while (p->len < sizeof p->line) {
        int rc = 0;
        if (!await_input(p, err, &rc)) {
            return rc;
        }
        ssize_t n = read(p->fd, p->line + p->len, sizeof p->line - p->len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (n < 0) {
            return vf_error_set_errno(err, errno, "cannot read from the terminal");
        }
        p->len += (size_t)n;
        if (n == 0 || p->line[p->len - 1] == '\n') {
            return 0;
        }
    }
    return 0;
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0) {
        /* The answer, or its absence, decides; not whether the question was seen. */
    }
}

static int ask_once(struct prompt *p, struct vf_error **err)
{
    if (tcgetattr(p->fd, &p->before)) {
        return vf_error_set_errno(err, errno, "cannot ask on the terminal");
    }
    catch_signals(p);
    struct termios silent = p->before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    silent.c_lflag |= ICANON;
    int rc = 0;
    while (tcsetattr(p->fd, TCSAFLUSH, &silent) && errno == EINTR && !is_signalled()) {
    }
    if (!is_signalled()) {
        say(p->fd, p->text);
        rc = read_line(p, err);
        say(p->fd, "\n");
    }
    while (tcsetattr(p->fd, TCSAFLUSH, &p->before) && errno == EINTR && !is_signalled()) {
    }
    release_signals(p);
    return rc;
}

/* Lets the noted signals act. True when the process was merely stopped, so that asking goes on. */
static bool deliver_signals(void)
{
    bool only_stops = true;
    for (size_t i = 0; i < N_CAUGHT; i++) {
        if (pending[i]) {
            pending[i] = 0;
            kill(getpid(), caught[i]);
            only_stops &= caught[i] == SIGTSTP || caught[i] == SIGTTIN || caught[i] == SIGTTOU;
        }
    }
    return only_stops;
}

static int ask(struct prompt *p, struct vf_secret **ret_secret, struct vf_error **err)
{
    for (;;) {
        int rc = ask_once(p, err);
        bool signalled = is_signalled();
        if (signalled && !deliver_signals() && !rc) {
            rc = vf_error_set(err, VF_CANCELLED, "cancelled");
        }
        if (rc) {
            return rc;
        }
        if (!signalled) {
            return vf_secret_from_line(p->line, p->len, "the password", ret_secret, err);
        }
    }
}

int vf_secret_fetch_prompt(const char *prompt, const struct vf_cancel *cancel,
                           struct vf_secret **ret_secret, struct vf_error **err)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        vf_error_set(err, VF_MISSING, "there is no terminal to ask for a password on");
        vf_error_hint(err, "give --password-file, or set VMFERRY_PASSWORD");
        return VF_MISSING;
    }
    struct prompt *p = vf_xcalloc(1, sizeof *p);
    p->fd = fd;
    p->text = prompt;
    p->cancel = cancel;
    int rc = ask(p, ret_secret, err);
    OPENSSL_cleanse(p->line, sizeof p->line);
    free(p);
    close(fd);
    return rc;
}
