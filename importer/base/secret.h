/* Secrets: passwords and tickets. Locked out of logs by having a type of their own; the bytes are
 * wiped when freed. Nothing prints one.
 */
#ifndef IMPORTER_BASE_SECRET_H
#define IMPORTER_BASE_SECRET_H

#include <stddef.h>

#include <vmferry/error.h>

struct vf_secret;

#define VF_SECRET_MAX_BYTES 65536

struct vf_secret *vf_secret_new(const char *text, size_t len);
void vf_secret_free(struct vf_secret *s); /* wipes; NULL is fine */

/* The text, NUL-terminated, borrowed. Only for handing to a protocol; never to a format string. */
const char *vf_secret_reveal(const struct vf_secret *s);

/* First line of a file ("-" is not special), one trailing newline or CR LF dropped. VF_MISSING,
 * VF_AUTH, VF_INVALID (empty, NUL inside, over 64 KiB). A file that others can read is told by
 * *ret_loose (may be NULL). */
int vf_secret_fetch_file(const char *path, struct vf_secret **ret_secret, int *ret_loose,
                         struct vf_error **err);

/* From the environment variable; VF_MISSING when unset or empty. */
int vf_secret_fetch_env(const char *name, struct vf_secret **ret_secret, struct vf_error **err);

/* Ask on /dev/tty with echo off; echo is restored on every way out, signals included. VF_MISSING
 * when there is no terminal. */
struct vf_cancel;
int vf_secret_fetch_prompt(const char *prompt, const struct vf_cancel *cancel,
                           struct vf_secret **ret_secret, struct vf_error **err);

#endif
