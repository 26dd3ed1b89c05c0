/* A scripted API server told as a table: which request gets which answer, in which order. */
#ifndef TESTS_SUPPORT_KUBE_SCRIPT_H
#define TESTS_SUPPORT_KUBE_SCRIPT_H

#include "tests/support/kube_rig.h"

struct vf_test_route {
    const char *method; /* NULL: GET */
    const char *path;   /* the whole path, without the query */
    const char *query;  /* a part of the query that must be there; NULL: any, but of no watch */
    int status;         /* 0: 200. 404 without a body: a Status that names the object. -1: the
                           connection breaks before an answer */
    const char *body;   /* of a watch: lines of events, after which it hangs */
    unsigned times;     /* answers this often, then the next such route does; 0: for ever */
    bool ends;          /* of a watch: ends well in place of hanging */
};

#define VF_TEST_LIST(items)         "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[" items "]}"
#define VF_TEST_EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define VF_TEST_WATCH               "watch=true"

struct vf_test_script {
    struct vf_test_kube kube;
    const struct vf_test_route *routes; /* up to one without a path */
    struct vf_test_script_state *state;
};

/* `routes` outlive the script. A request that no route is for fails the test. */
void vf_test_script_start(struct vf_test_script *s, const struct vf_test_route *routes);
void vf_test_script_stop(struct vf_test_script *s);

/* All requests so far: "GET /path?query\n", with a body behind a blank. Heap, the caller's. */
char *vf_test_script_requests(struct vf_test_script *s);
/* Fails the test unless the requests have `text`, or lack it. */
void vf_test_script_expect(struct vf_test_script *s, const char *text);
void vf_test_script_expect_no(struct vf_test_script *s, const char *text);

#endif
