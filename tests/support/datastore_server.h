/* A datastore browser with one file: GET and HEAD, ranges, a session, and mischief on order. */
#ifndef TESTS_SUPPORT_DATASTORE_SERVER_H
#define TESTS_SUPPORT_DATASTORE_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "importer/base/http.h"
#include "importer/source/datastore.h"
#include "tests/support/http_server.h"

/* What happens to a GET instead of an answer. */
enum mischief {
    NO_MISCHIEF,
    RESET_MIDDLE,  /* half of the body, then a reset */
    RESET_EARLY,   /* 100 bytes of it */
    CUT_SHORT,     /* half of the body, then the end */
    SHORT_RANGE,   /* says and sends half of what was asked for */
    EMPTY_BODY,    /* says all, sends nothing */
    LONGER,        /* a byte more than asked for */
    OTHER_RANGE,   /* the bytes of another place */
    OTHER_TOTAL,   /* of a file that has grown */
    WHOLE_FILE,    /* status 200 */
    STALLS,        /* half of the body, then nothing */
    HANGS,         /* nothing at all */
    BUSY,          /* 503 with Retry-After: 0 */
    BUSY_A_SECOND, /* with 1 */
    EXPIRES,       /* the session ends with this request */
    STATUS,        /* f->status and nothing else */
};

struct datastore_fixture {
    struct vf_test_server *server;
    struct vf_http *http;
    struct vf_http *hasty; /* holds half a second without a byte for a stall */
    struct vf_disk *disk;
    struct vf_error *err;
    uint8_t *content;
    size_t size;

    /* Set before requests are made. */
    const char *want_target; /* another one is 404; NULL: any */
    bool says_no_length;     /* to HEAD */
    int head_status;         /* of HEAD, when not 200 */
    size_t head_more;        /* what HEAD says too much */
    int cookie_code;         /* the callback fails so */
    unsigned cookie_times;   /* so many times */

    pthread_mutex_t lock; /* of all below */
    enum mischief mischief;
    unsigned after, times; /* skips GETs, then strikes; UINT_MAX: always */
    int status;
    char targets[16][256];
    unsigned n_requests, n_gets;
    unsigned under_way, most_under_way;
    unsigned session, known; /* the server's, and the one that the client believes in */
    unsigned renewals, cookies_taken;
};

int datastore_set_up(void **state); /* of cmocka, with 3 MiB + 1536 bytes of content */
int datastore_tear_down(void **state);

/* From now on. */
void datastore_order(struct datastore_fixture *f, enum mischief m, unsigned after, unsigned times);

/* Options for "[ds1] vm a/vm.vmdk" there, with waits of milliseconds; *retry is filled. */
struct vf_datastore_options datastore_options(struct datastore_fixture *f,
                                              struct vf_retry_policy *retry);
/* Opens with these, into f->disk and f->err. */
int datastore_open(struct datastore_fixture *f, const struct vf_datastore_options *o);
int datastore_open_plainly(struct datastore_fixture *f);

#endif
