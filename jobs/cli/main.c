/* The process: signals, locale, libraries with global state, exit status. Everything else is in
 * cli.c, where tests reach it. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/xml.h"
#include "jobs/cli/command.h"

/* Read by the signal handler: set before it can run, or atomic. */
static struct vf_cancel *cancel_all;
static _Atomic(const char *) left_behind;
static atomic_int caught_signal;

static void put_stderr(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* nobody is left to tell */
}

/* The first asks for an end, which takes as long as the clean-up; a second will not wait. Only
 * async-signal-safe calls (signal-safety(7)). */
static void on_signal(int signum)
{
    int saved = errno;
    int none = 0;
    if (atomic_compare_exchange_strong(&caught_signal, &none, signum)) {
        vf_cancel_trigger(cancel_all);
        errno = saved;
        return;
    }
    const char *text = atomic_load(&left_behind);
    put_stderr("\nvmferry: ended at once");
    if (text) {
        put_stderr("; ");
        put_stderr(text);
    }
    put_stderr("\n");
    _exit(128 + signum);
}

static void set_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);

    struct sigaction catch = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < VF_COUNT(signals); i++) {
        struct sigaction before;
        /* nohup and a shell's & ignore some of them on purpose. */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(signals[i], &catch, NULL);
        }
    }
}

static void on_command(const struct vf_command *command)
{
    atomic_store(&left_behind, command->left_behind);
}

/* A closed 0, 1 or 2 would be given to the next file that is opened, and talk would go into it. */
static void fill_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* numbers are for programs, too */
    vf_xml_init();
    cancel_all = vf_cancel_new(NULL);
    if (!cancel_all || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        fprintf(stderr, "vmferry: error: cannot start: out of memory or file descriptors\n");
        return VF_EXIT_FAILED;
    }
    set_signals();

    struct vf_cli cli = {
        .out = stdout, .err = stderr, .cancel = cancel_all, .on_command = on_command};
    int status = vf_cli_main(&cli, argc, argv);
    int signum = atomic_load(&caught_signal);
    curl_global_cleanup();
    /* A signal that came when all was done has changed nothing. */
    return status != VF_EXIT_GOOD && signum ? 128 + signum : status;
}
