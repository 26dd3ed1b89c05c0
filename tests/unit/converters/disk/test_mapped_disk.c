/* Several threads on one chain of disks with one cache: mapped_disk.c and meta_cache.c. */
#include "converters/disk/mapped_disk.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/vmdk_cowd.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

#define SECTORS 60000u
#define THREADS 4u

static struct vf_disk *open_layer(const struct vmdk_image *image, struct vf_disk *parent,
                                  struct vf_meta_cache *cache)
{
    struct vmdk_file f;
    struct vmdk_layout layout = {.shuffle = 7};
    struct vf_disk *disk = NULL;
    struct vf_layer layer = {.fd = memfd_create("layer", MFD_CLOEXEC),
                             .name = "layer",
                             .cache = cache,
                             .parent = parent};
    vmdk_write_cowd(image, &layout, &f);
    vf_test_check(write(layer.fd, f.bytes, f.len) == (ssize_t)f.len);
    vf_test_check(vf_vmdk_cowd_open(&layer, &disk, NULL) == 0);
    vmdk_file_release(&f);
    return disk;
}

struct reader {
    pthread_t thread;
    struct vf_disk *disk;
    const uint8_t *content;
    uint64_t seed;
};

static int count_extent(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    (void)err;
    *(uint64_t *)opaque += e->length_bytes;
    return 0;
}

static void *read_pieces(void *opaque)
{
    struct reader *r = opaque;
    uint8_t *buf = malloc(200000);
    vf_test_check(buf);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t size = r->disk->size_bytes, covered = 0;
        uint64_t offset = vmdk_random(&r->seed) % size, len = vmdk_random(&r->seed) % 200000;
        len = len < size - offset ? len : size - offset;
        vf_test_check(r->disk->ops->pread(r->disk, buf, len, offset, NULL) == 0);
        vf_test_check(memcmp(buf, r->content + offset, len) == 0);
        vf_test_check(r->disk->ops->extents(r->disk, offset, len, count_extent, &covered, NULL) ==
                      0);
        vf_test_check(covered == len);
    }
    free(buf);
    return NULL;
}

static void test_mapped_disk__threads_read_one_chain(void **state)
{
    (void)state;
    struct vmdk_image base, delta;
    struct reader readers[THREADS];
    struct vf_meta_cache *cache = vf_meta_cache_new();
    vmdk_image_init(&base, SECTORS, 1, 1);
    vmdk_image_init(&delta, SECTORS, 1, 2);
    struct vf_disk *parent = open_layer(&base, NULL, cache);
    struct vf_disk *disk = open_layer(&delta, parent, cache);
    vf_meta_cache_unref(cache); /* the disks hold it */
    for (uint64_t i = 0; i < SECTORS; i++) {
        if (delta.states[i] == VMDK_GRAIN_HOLE) {
            memcpy(delta.content + i * 512, base.content + i * 512, 512);
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.disk = disk, .content = delta.content, .seed = i + 1};
        vf_test_check(pthread_create(&readers[i].thread, NULL, read_pieces, &readers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        vf_test_check(pthread_join(readers[i].thread, NULL) == 0);
    }
    vf_disk_free(disk);
    vf_disk_free(parent);
    vmdk_image_release(&base);
    vmdk_image_release(&delta);
}

static int stop(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    (void)e;
    *(unsigned *)opaque += 1;
    return vf_error_set(err, VF_CANCELLED, "enough");
}

static void test_mapped_disk__extents_end_when_the_caller_says_so(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vf_error *err = NULL;
    unsigned calls = 0;
    vmdk_image_init(&image, SECTORS, 1, 1);
    struct vf_disk *disk = open_layer(&image, NULL, NULL);
    check_error(disk->ops->extents(disk, 0, disk->size_bytes, stop, &calls, &err), &err,
                VF_CANCELLED, "enough");
    assert_int_equal(calls, 1);
    vf_disk_free(disk);
    vmdk_image_release(&image);
}

/* More tables than the cache holds: 300 blocks of 16 KiB against 128. */
static void test_meta_cache__more_than_it_holds_reads_right(void **state)
{
    (void)state;
    const size_t size = 300 * 16384 + 100;
    uint8_t *bytes = malloc(size), buf[5000];
    uint64_t rng = 5;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)vmdk_random(&rng);
    }
    int fd = memfd_create("tables", MFD_CLOEXEC);
    vf_test_check(write(fd, bytes, size) == (ssize_t)size);
    struct vf_meta_cache *cache = vf_meta_cache_new();
    for (unsigned i = 0; i < 5000; i++) {
        size_t at = vmdk_random(&rng) % size, len = vmdk_random(&rng) % sizeof buf;
        len = len < size - at ? len : size - at;
        assert_int_equal(vf_meta_read(cache, fd, buf, len, at, NULL), 0);
        assert_memory_equal(buf, bytes + at, len);
    }
    struct vf_error *err = NULL;
    check_error(vf_meta_read(cache, fd, buf, 8, size - 7, &err), &err, VF_INVALID, "ends before");
    check_error(vf_meta_read(cache, fd, buf, 8, UINT64_MAX - 3, &err), &err, VF_INVALID,
                "outside any file");
    vf_meta_cache_unref(cache);
    close(fd);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapped_disk__threads_read_one_chain),
        cmocka_unit_test(test_mapped_disk__extents_end_when_the_caller_says_so),
        cmocka_unit_test(test_meta_cache__more_than_it_holds_reads_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
