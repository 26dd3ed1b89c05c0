/* What tests of NBD disks share: nbdkit in front of some content. Failures abort. */
#ifndef TESTS_SUPPORT_NBD_CHECK_H
#define TESTS_SUPPORT_NBD_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "importer/source/nbd.h"
#include "importer/source/nbdkit.h"

#define VF_TEST_NBD_ARGS 8

struct vf_test_nbd {
    const char *plugin; /* NULL: "file", with the content below */
    const char *filters[VF_TEST_NBD_ARGS];
    const char *parameters[VF_TEST_NBD_ARGS]; /* behind file=... */
    unsigned restarts;
    size_t size_bytes; /* of the content: random, every other 64 KiB a hole. 0: 4 MiB + 512 */
    struct vf_nbd_options options;
    const struct vf_cancel *cancel;

    /* Made by start. */
    char *dir; /* a scratch folder, with the file "content" */
    uint8_t *content;
    struct vf_nbdkit *server;
    struct vf_disk *disk; /* by open */
};

/* Waits between tries are short unless `options` says otherwise. */
void vf_test_nbd_start(struct vf_test_nbd *t);
void vf_test_nbd_open(struct vf_test_nbd *t); /* start, and the disk */
void vf_test_nbd_release(struct vf_test_nbd *t);

/* kill -9 of the server; returns when it is gone. */
void vf_test_nbd_kill(struct vf_test_nbd *t);

#endif
