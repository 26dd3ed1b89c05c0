/* For bench.py: copies from an NBD server, by vmferry's pump for areas or by one synchronous
 * reader, which is libnbd alone.
 *
 *     vf-bench-areas ours|sync areas|full SOCKET TARGET [MIB]
 *
 * "areas": areas of 4 KiB to 1 MiB, as many of each power of two as of any other, MIB in all, in
 * random places; the same for both. "full": the whole disk. TARGET: a file, or "null". Says the
 * bytes that were to be copied, the seconds and the MiB/s of the copy.
 */
#include <fcntl.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/disk/raw.h"
#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/source/nbd.h"
#include "jobs/area_copy.h"
#include "jobs/stages/stage.h"

#define SYNC_BYTES ((uint64_t)2 << 20)

static void die(const char *what, struct vf_error *error)
{
    char *text = vf_error_format(error);
    fprintf(stderr, "%s: %s\n", what, error ? text : nbd_get_error());
    exit(1);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void make_areas(struct vf_areas *s, uint64_t disk_bytes, uint64_t total_bytes)
{
    uint64_t rng = 88172645463325252ull, blocks = disk_bytes / 4096;
    while (blocks > 0 && s->total_bytes < total_bytes) {
        uint64_t base = (uint64_t)4096 << next_random(&rng) % 8;
        uint64_t length = base + next_random(&rng) % base / 4096 * 4096;
        uint64_t offset = next_random(&rng) % blocks * 4096;
        if (offset + length <= disk_bytes && !vf_areas_overlaps(s, offset, length)) {
            vf_areas_add(s, offset, length, NULL);
        }
    }
}

static void copy_sync(const char *socket, const struct vf_areas *areas, const char *target)
{
    struct nbd_handle *nbd = nbd_create();
    if (!nbd || nbd_connect_unix(nbd, socket)) {
        die("connect", NULL);
    }
    bool null = strcmp(target, "null") == 0;
    int fd = null ? -1 : open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *buf = aligned_alloc(4096, SYNC_BYTES);
    struct vf_area a;
    for (uint64_t at = 0; vf_areas_next(areas, at, &a);) {
        uint64_t n = a.length_bytes < SYNC_BYTES ? a.length_bytes : SYNC_BYTES;
        if (nbd_pread(nbd, buf, n, a.offset_bytes, 0)) {
            die("read", NULL);
        }
        if (!null && pwrite(fd, buf, n, (off_t)a.offset_bytes) != (ssize_t)n) {
            die("write", NULL);
        }
        at = a.offset_bytes + n;
    }
    if (!null && fsync(fd)) {
        die("fsync", NULL);
    }
    free(buf);
    nbd_close(nbd);
}

static void copy_ours(const char *socket, const struct vf_areas *areas, const char *target,
                      bool full, const char *tuning)
{
    struct vf_error *error = NULL;
    struct vf_disk *disk = NULL;
    struct vf_sink *sink = NULL;
    unsigned connections = 0, requests = 0, request_kib = 0;
    if (tuning && sscanf(tuning, "%u,%u,%u", &connections, &requests, &request_kib) != 3) {
        die("tuning is CONNECTIONS,REQUESTS,KIB", NULL);
    }
    struct vf_nbd_options options = {.unix_socket = socket, .connections = connections};
    options.request_bytes = (request_kib < 256 ? request_kib : 256) << 10;
    if (vf_nbd_disk_open(&options, &disk, &error)) {
        die("open", error);
    }
    if (strcmp(target, "null") == 0) {
        sink = vf_null_sink_new(disk->size_bytes);
    } else if (vf_raw_sink_create(target, disk->size_bytes, &sink, &error)) {
        die("target", error);
    }
    sink = vf_zero_stage_new(sink);
    struct vf_area_copy c = {.disk = disk,
                             .sink = sink,
                             .areas = areas,
                             .requests = requests,
                             .request_bytes = request_kib << 10,
                             .skip_holes = full};
    if (vf_area_copy_run(&c, &error) || vf_sink_flush(sink, &error)) {
        die("copy", error);
    }
    vf_sink_free(sink);
    vf_disk_free(disk);
}

static uint64_t fetch_size(const char *socket)
{
    struct nbd_handle *nbd = nbd_create();
    if (!nbd || nbd_connect_unix(nbd, socket)) {
        die("connect", NULL);
    }
    int64_t size = nbd_get_size(nbd);
    nbd_close(nbd);
    return size > 0 ? (uint64_t)size : 0;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s ours|sync areas|full SOCKET TARGET [MIB [TUNING]]\n", argv[0]);
        return 2;
    }
    bool ours = strcmp(argv[1], "ours") == 0, full = strcmp(argv[2], "full") == 0;
    uint64_t mib = argc > 5 ? strtoull(argv[5], NULL, 10) : 2048;
    uint64_t size = fetch_size(argv[3]);
    struct vf_areas areas;
    vf_areas_init(&areas, SIZE_MAX, VF_AREAS_REFUSE);
    if (full) {
        vf_areas_add(&areas, 0, size, NULL);
    } else {
        make_areas(&areas, size, mib << 20);
    }
    int64_t start_ms = vf_clock_ms();
    if (ours) {
        copy_ours(argv[3], &areas, argv[4], full, argc > 6 ? argv[6] : NULL);
    } else {
        copy_sync(argv[3], &areas, argv[4]);
    }
    double s = (double)(vf_clock_ms() - start_ms + 1) / 1000;
    printf("%llu bytes in %zu areas, %.2f s, %.0f MiB/s\n", (unsigned long long)areas.total_bytes,
           areas.count, s, (double)areas.total_bytes / (1 << 20) / s);
    vf_areas_release(&areas);
    return 0;
}
