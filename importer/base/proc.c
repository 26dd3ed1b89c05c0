#include "importer/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/sigpipe.h"

#define DEFAULT_MAX_OUTPUT_BYTES (1u << 20)
/* Kept of stderr: the end, where programs say why they stop. */
#define STDERR_TAIL_BYTES 1024
#define TERM_GRACE_MS     2000
/* Where the kernel gives no descriptor for a process (before 5.3, or a seccomp filter), its end is
 * looked for this often. */
#define POLL_EXIT_MS 50
#define MAX_WAIT_MS  500
#define MAX_READS    64

struct tail {
    char bytes[2 * STDERR_TAIL_BYTES];
    size_t len;
};

struct proc {
    const struct vf_proc_options *options;
    char *path;
    pid_t pid;
    int pid_fd; /* -1: none */
    int in, out, err;
    size_t written;
    struct vf_buf output;
    struct tail tail;
    bool exited;
    int64_t deadline_ms;
    int64_t kill_at_ms; /* INT64_MAX: not told to end yet; 0: killed */
};

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *search_path(const char *name)
{
    const char *at = getenv("PATH");
    at = at ? at : "/usr/local/bin:/usr/bin:/bin";
    while (*at) {
        size_t len = strcspn(at, ":");
        if (*at == '/') { /* "" and "." are wherever the user happens to stand */
            char *path = vf_xasprintf("%.*s/%s", (int)len, at, name);
            if (is_program(path)) {
                return path;
            }
            free(path);
        }
        at += len;
        at += *at == ':';
    }
    return NULL;
}

int vf_proc_find(const char *name, char **ret_path, struct vf_error **err)
{
    char *path = NULL;
    if (*name == '/') {
        path = is_program(name) ? vf_xstrdup(name) : NULL;
    } else if (*name && !strchr(name, '/')) {
        path = search_path(name);
    }
    if (!path) {
        vf_error_set(err, VF_MISSING, "program \"%s\" is not there", name);
        vf_error_hint(err, "install \"%s\", or have PATH lead to it", name);
        return VF_MISSING;
    }
    *ret_path = path;
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* ours[] and theirs[] hold stdin, stdout, stderr. */
static int make_pipes(int ours[3], int theirs[3], bool input, struct vf_error **err)
{
    for (int i = 0; i < 3; i++) {
        int fds[2];
        if (i == 0 && !input) {
            theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
            if (theirs[0] < 0) {
                return vf_error_set_errno(err, errno, "cannot open /dev/null");
            }
            continue;
        }
        if (pipe2(fds, O_CLOEXEC)) {
            return vf_error_set_errno(err, errno, "cannot create a pipe");
        }
        ours[i] = fds[i == 0];
        theirs[i] = fds[i != 0];
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

/* The numbers 0 to 2 may be free in this process, so that a pipe has one of them: shifted out of
 * the way, or dup2() onto itself would leave it close-on-exec. */
static int lift(int fds[3], struct vf_error **err)
{
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0 && fds[i] <= 2) {
            int high = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
            if (high < 0) {
                return vf_error_set_errno(err, errno, "cannot duplicate a descriptor");
            }
            close(fds[i]);
            fds[i] = high;
        }
    }
    return 0;
}

static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int rc = posix_spawnattr_setpgroup(attr, 0);
    rc = rc ? rc : posix_spawnattr_setsigdefault(attr, &all);
    rc = rc ? rc : posix_spawnattr_setsigmask(attr, &none);
    return rc ? rc
              : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                   POSIX_SPAWN_SETSIGMASK);
}

static int spawn(struct proc *p, const int theirs[3])
{
    char *vf_autofree path = vf_xasprintf("PATH=%s", getenv("PATH") ? getenv("PATH") : "/bin");
    const char *const plain[] = {path, "LC_ALL=C", NULL};
    const char *const *env = p->options->env ? p->options->env : plain;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    int rc = set_attributes(&attr);
    for (int i = 0; i < 3 && !rc; i++) {
        rc = posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    }
    bool pass = p->options->pass_fd > 0;
    if (pass && !rc) {
        rc = posix_spawn_file_actions_adddup2(&actions, p->options->pass_fd, 3);
    }
    /* A library may hold descriptors without close-on-exec. */
    rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(&actions, pass ? 4 : 3);
    if (!rc) {
        /* The prototype predates const; posix_spawn changes neither array (POSIX). */
        union {
            const char *const *in;
            char *const *out;
        } argv = {.in = p->options->argv}, envp = {.in = env};
        rc = posix_spawn(&p->pid, p->path, &actions, &attr, argv.out, envp.out);
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static int start(struct proc *p, struct vf_error **err)
{
    int ours[3] = {-1, -1, -1}, theirs[3] = {-1, -1, -1};
    int rc = make_pipes(ours, theirs, p->options->input != NULL, err);
    rc = rc ? rc : lift(ours, err);
    rc = rc ? rc : lift(theirs, err);
    if (!rc) {
        int errnum = spawn(p, theirs);
        if (errnum) {
            rc = vf_error_set_errno(err, errnum, "cannot start \"%s\"", p->path);
        }
    }
    for (int i = 0; i < 3; i++) {
        close_fd(&theirs[i]);
        if (rc) {
            close_fd(&ours[i]);
        }
    }
    p->in = ours[0];
    p->out = ours[1];
    p->err = ours[2];
    if (!rc) {
        p->pid_fd = pidfd_open(p->pid, 0);
    }
    return rc;
}

static void write_input(struct proc *p)
{
    const char *input = p->options->input;
    struct vf_sigpipe guard;
    vf_sigpipe_block(&guard);
    ssize_t n = write(p->in, input + p->written, p->options->input_len - p->written);
    int errnum = errno;
    vf_sigpipe_restore(&guard);
    if (n > 0) {
        p->written += (size_t)n;
    }
    /* A program need not read all of its input; what it makes of that its status says. */
    if (p->written == p->options->input_len || (n < 0 && errnum != EAGAIN && errnum != EINTR)) {
        close_fd(&p->in);
    }
}

static void keep_tail(struct tail *t, const char *data, size_t len)
{
    if (len > STDERR_TAIL_BYTES) {
        data += len - STDERR_TAIL_BYTES;
        len = STDERR_TAIL_BYTES;
    }
    if (t->len + len > sizeof t->bytes) {
        memmove(t->bytes, t->bytes + t->len - STDERR_TAIL_BYTES, STDERR_TAIL_BYTES);
        t->len = STDERR_TAIL_BYTES;
    }
    memcpy(t->bytes + t->len, data, len);
    t->len += len;
}

/* Reads what is there, up to a pipe's largest usual size: a program that writes on and on must not
 * keep this loop from looking at the deadline. After a refusal by the output's ceiling the rest is
 * thrown away, so that the program is not stuck in a write while it is told to end. */
static void read_pipe(struct proc *p, int *fd)
{
    char chunk[16384];
    ssize_t n = 1;
    for (unsigned i = 0; i < MAX_READS && (n = read(*fd, chunk, sizeof chunk)) > 0; i++) {
        if (fd == &p->err) {
            keep_tail(&p->tail, chunk, (size_t)n);
            if (p->options->on_stderr) {
                p->options->on_stderr(p->options->on_stderr_opaque, chunk, (size_t)n);
            }
        } else {
            vf_buf_append(&p->output, chunk, (size_t)n);
        }
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close_fd(fd);
    }
}

static void check_exit(struct proc *p)
{
    siginfo_t info = {0};
    /* Left to be reaped, so that the number of its group stays its own. */
    if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        p->exited = true;
    }
}

static void tell_to_end(struct proc *p)
{
    if (p->kill_at_ms == INT64_MAX) {
        kill(-p->pid, SIGTERM);
        p->kill_at_ms = vf_clock_ms() + TERM_GRACE_MS;
    } else if (p->kill_at_ms && vf_clock_ms() >= p->kill_at_ms) {
        kill(-p->pid, SIGKILL);
        p->kill_at_ms = 0;
    }
}

static int wait_ms(const struct proc *p, bool ending)
{
    int64_t until_ms = ending && p->kill_at_ms ? p->kill_at_ms : p->deadline_ms;
    int64_t left_ms = until_ms - vf_clock_ms();
    int most_ms = p->pid_fd < 0 ? POLL_EXIT_MS : MAX_WAIT_MS;
    return left_ms < 0 ? 0 : left_ms < most_ms ? (int)left_ms : most_ms;
}

/* One round: waits, then moves what can be moved. A negative descriptor is ignored by poll. */
static void serve(struct proc *p, bool ending)
{
    struct pollfd fds[4 + VF_CANCEL_MAX_FDS] = {
        {.fd = p->in, .events = POLLOUT},
        {.fd = p->out, .events = POLLIN},
        {.fd = p->err, .events = POLLIN},
        {.fd = p->pid_fd, .events = POLLIN},
    };
    unsigned n = 4;
    if (!ending) {
        n += vf_cancel_poll_fds(p->options->cancel, fds + n, VF_CANCEL_MAX_FDS);
    }
    int timeout_ms = ending && !p->kill_at_ms ? POLL_EXIT_MS : wait_ms(p, ending);
    if (poll(fds, n, timeout_ms) < 0) {
        return; /* EINTR: another round */
    }
    if (fds[0].revents) {
        write_input(p);
    }
    check_exit(p); /* before the last look into the pipes: what it wrote is in them */
    if (p->out >= 0 && (fds[1].revents || p->exited)) {
        read_pipe(p, &p->out);
    }
    if (p->err >= 0 && (fds[2].revents || p->exited)) {
        read_pipe(p, &p->err);
    }
}

/* Why the program is to be ended before its time; 0: it may go on. */
static int reason_to_end(const struct proc *p, struct vf_error **err)
{
    int rc = vf_cancel_check(p->options->cancel, err);
    if (rc) {
        return rc;
    }
    if (p->output.overflow) {
        return vf_error_set(err, VF_SPACE, "\"%s\" wrote more than %zu bytes", p->path,
                            p->output.max);
    }
    if (vf_clock_ms() >= p->deadline_ms) {
        return vf_error_set(err, VF_RETRY, "\"%s\" did not end within %lld s", p->path,
                            (long long)(p->options->timeout_ms + 500) / 1000);
    }
    return 0;
}

/* The end of stderr as one line, with nothing a terminal would obey. */
static char *tail_text(const struct tail *t)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    size_t skip = 0, end = t->len;
    if (t->len > STDERR_TAIL_BYTES) {
        skip = t->len - STDERR_TAIL_BYTES;
        const char *line = memchr(t->bytes + skip, '\n', STDERR_TAIL_BYTES / 2);
        skip = line ? (size_t)(line - t->bytes) + 1 : skip; /* no half a line, if it can be had */
    }
    while (end > skip && (unsigned char)t->bytes[end - 1] <= ' ') {
        end--;
    }
    for (size_t i = skip; i < end; i++) {
        unsigned char c = (unsigned char)t->bytes[i];
        if (c == '\n') {
            vf_buf_puts(&b, "; ");
        } else {
            vf_buf_append(&b, c < ' ' || c == 0x7f ? " " : &t->bytes[i], 1);
        }
    }
    return vf_buf_take_string(&b);
}

static int judge(const struct proc *p, int status, struct vf_error **err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    char *vf_autofree text = tail_text(&p->tail);
    const char *colon = *text ? ": " : "";
    if (WIFSIGNALED(status)) {
        return vf_error_set(err, VF_INTERNAL, "\"%s\" was ended by signal %d%s%s", p->path,
                            WTERMSIG(status), colon, text);
    }
    return vf_error_set(err, VF_INTERNAL, "\"%s\" failed with status %d%s%s", p->path,
                        WEXITSTATUS(status), colon, text);
}

static int attend(struct proc *p, struct vf_error **err)
{
    int ended = 0;
    while (!p->exited) {
        if (!ended) {
            ended = reason_to_end(p, err);
        }
        if (ended) {
            tell_to_end(p);
        }
        serve(p, ended != 0);
    }
    /* What the program left behind in its group goes with it. */
    kill(-p->pid, SIGKILL);
    int status = 0;
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) {
        ended = p->output.overflow ? reason_to_end(p, err) : 0;
    }
    return ended ? ended : judge(p, status, err);
}

int vf_proc_run(const struct vf_proc_options *options, char **ret_output, struct vf_error **err)
{
    struct proc *p = vf_xcalloc(1, sizeof *p);
    p->options = options;
    p->pid_fd = p->in = p->out = p->err = -1;
    p->kill_at_ms = INT64_MAX;
    p->deadline_ms = options->timeout_ms ? vf_clock_ms() + options->timeout_ms : INT64_MAX;
    vf_buf_init(&p->output,
                options->max_output_bytes ? options->max_output_bytes : DEFAULT_MAX_OUTPUT_BYTES);
    int rc = vf_cancel_check(options->cancel, err);
    rc = rc ? rc : vf_proc_find(options->argv[0], &p->path, err);
    rc = rc ? rc : start(p, err);
    if (!rc) {
        vf_debug("proc: started \"%s\" as %d", p->path, (int)p->pid);
        rc = attend(p, err);
        vf_debug("proc: \"%s\" (%d) ended: %s", p->path, (int)p->pid, vf_code_name(rc));
    }
    if (!rc && ret_output) {
        *ret_output = vf_buf_take_string(&p->output);
    }
    close_fd(&p->in);
    close_fd(&p->out);
    close_fd(&p->err);
    close_fd(&p->pid_fd);
    vf_buf_release(&p->output);
    free(p->path);
    free(p);
    return rc;
}
