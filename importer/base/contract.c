/* What every implementation of the three data contracts shares. */
#include <vmferry/disk.h>
#include <vmferry/sink.h>
#include <vmferry/stream.h>

int vf_stream_read_full(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                        struct vf_error **err)
{
    size_t have = 0;
    while (have < len_bytes) {
        size_t n = 0;
        int rc = s->ops->read(s, (char *)buf + have, len_bytes - have, &n, err);
        if (rc) {
            return rc;
        }
        if (n == 0) {
            break;
        }
        have += n;
    }
    *ret_n = have;
    return 0;
}

void vf_stream_free(struct vf_stream *s)
{
    if (s) {
        s->ops->free(s);
    }
}

void vf_disk_free(struct vf_disk *d)
{
    if (d) {
        d->ops->free(d);
    }
}

int vf_sink_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                  struct vf_error **err)
{
    return s->ops->write(s, buf, len_bytes, offset_bytes, err);
}

int vf_sink_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err)
{
    return s->ops->zero(s, offset_bytes, length_bytes, err);
}

int vf_sink_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                 struct vf_error **err)
{
    return s->ops->read(s, buf, len_bytes, offset_bytes, err);
}

int vf_sink_flush(struct vf_sink *s, struct vf_error **err)
{
    return s->ops->flush(s, err);
}

int vf_sink_finish(struct vf_sink *s, struct vf_error **err)
{
    return s->ops->finish(s, err);
}

void vf_sink_free(struct vf_sink *s)
{
    if (s) {
        s->ops->free(s);
    }
}
