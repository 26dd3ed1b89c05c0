/* Subprocesses: argv array, no shell, explicit environment, everything close-on-exec, a process
 * group of their own, a deadline, TERM then KILL, the tail of stderr in the error.
 */
#ifndef IMPORTER_BASE_PROC_H
#define IMPORTER_BASE_PROC_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

struct vf_proc_options {
    const char *const
        *argv;              /* argv[0] is an absolute path, or a bare name looked up once in PATH */
    const char *const *env; /* "NAME=value"; NULL: PATH and LC_ALL=C alone */
    const void *input;      /* given on stdin; NULL: /dev/null */
    size_t input_len;
    int64_t timeout_ms;      /* 0: none */
    size_t max_output_bytes; /* of stdout; 0: 1 MiB. More is VF_SPACE */
    const struct vf_cancel *cancel;

    int pass_fd; /* the child's descriptor 3 leads to this one, which is above 2 and stays the
                    caller's; 0: none */
    /* Standard error as it comes, on the calling thread, for those who look on while it runs; must
     * be quick. NULL: none. */
    void (*on_stderr)(void *opaque, const char *data, size_t len);
    void *on_stderr_opaque;
};

/* Absolute path of `name`: itself when it is absolute, else the first executable file of that name
 * in an absolute directory of PATH. VF_MISSING with a hint that names the program. Caller frees. */
int vf_proc_find(const char *name, char **ret_path, struct vf_error **err);

/* Any thread. The child sees SIGPIPE and the other signals with their defaults and none blocked,
 * no descriptors but 0 to 2 (and pass_fd), and leads a process group, of which nothing is left on
 * return.
 *
 * Run to the end. *ret_output (may be NULL) is stdout, NUL-terminated, owned by the caller. A
 * status other than 0 is VF_INTERNAL with the last lines of stderr; a missing program VF_MISSING
 * with a hint that names it; past the deadline VF_RETRY; VF_CANCELLED. */
int vf_proc_run(const struct vf_proc_options *options, char **ret_output, struct vf_error **err);

#endif
