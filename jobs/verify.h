/* `vmferry verify`: re-read every disk of an import and compare with the digests of its record. */
#ifndef JOBS_VERIFY_H
#define JOBS_VERIFY_H

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

/* `dir` holds vmferry.json. 0 when every disk has the content that was read from the source;
 * VF_INVALID names each disk that differs; VF_MISSING when the record or an image is not there. */
int vf_verify_run(const char *dir, unsigned threads, struct vf_reporter *reporter,
                  struct vf_cancel *cancel, struct vf_error **err);

#endif
