/* The stream decoder on hostile bytes: into a sink that takes what comes, in pieces by the input's
 * first byte, ordered or not by its second. */
#include <stdlib.h>

#include "converters/disk/vmdk_stream.h"
#include "jobs/stages/stage.h"
#include "tests/support/memory_stream.h"

#define MAX_CAPACITY (1ull << 36)

static struct vf_pool *pool;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    pool = vf_pool_new(2);
    return pool ? 0 : 1;
}

/* The chain as a copy has it, behind which nothing is kept. */
static int decode(struct vf_vmdk_stream *s, bool ordered, struct vf_error **err)
{
    uint64_t capacity = vf_vmdk_stream_capacity_bytes(s);
    struct vf_sink *target = vf_null_sink_new(capacity), *chain = NULL;
    struct vf_digest digest;
    if (ordered) {
        target->caps = 0;
    }
    int rc = vf_digest_init(&digest, capacity, err);
    if (rc == 0) {
        rc = vf_digest_stage_new(target, &digest, &chain, err);
    }
    if (rc) {
        vf_sink_free(target);
        return rc;
    }
    chain = vf_zero_stage_new(chain);
    rc = vf_vmdk_stream_decode(s, chain, pool, NULL, err);
    if (rc == 0) {
        rc = vf_sink_finish(chain, err);
    }
    vf_sink_free(chain);
    vf_digest_release(&digest);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    size_t piece = data[0] ? data[0] : 65536;
    struct vf_stream *in = memory_stream_new(data + 2, size - 2, piece, data[1] & 2);
    struct vf_vmdk_stream *s = NULL;
    struct vf_error *err = NULL;
    int rc = vf_vmdk_stream_open(in, &s, &err);
    if (rc == 0 && vf_vmdk_stream_capacity_bytes(s) <= MAX_CAPACITY) {
        rc = decode(s, data[1] & 1, &err);
    }
    if ((rc != 0) != (err != NULL)) {
        abort(); /* a failure has its reason, a success none */
    }
    vf_error_free(err);
    vf_vmdk_stream_free(s);
    vf_stream_free(in);
    return 0;
}
