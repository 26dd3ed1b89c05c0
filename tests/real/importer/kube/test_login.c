/* Says who the API server thinks we are, once for every line on standard input. */
#include <stdio.h>
#include <stdlib.h>

#include "importer/base/json.h"
#include "tests/support/kube_real.h"

static const struct vf_kube_resource reviews = {
    .group = "authentication.k8s.io", .version = "v1", .plural = "selfsubjectreviews"};

static int say(struct vf_test_real *r)
{
    static const struct vf_kube_ref ref = {.resource = &reviews};
    cJSON *review = vf_test_tree("{\"apiVersion\":\"authentication.k8s.io/v1\","
                                 "\"kind\":\"SelfSubjectReview\"}");
    cJSON *answer = NULL;
    int rc = vf_kube_create(r->client, &ref, review, NULL, &answer, &r->err);
    if (rc) {
        const char *hint = vf_error_get_hint(r->err);
        printf("%s: %s (%s)\n", vf_code_name(rc), vf_error_message(r->err), hint ? hint : "");
        vf_error_clear(&r->err);
    } else {
        const cJSON *status = vf_json_object(answer, "status");
        const char *name = vf_json_string(vf_json_object(status, "userInfo"), "username");
        printf("%s\n", name ? name : "nobody");
    }
    fflush(stdout);
    cJSON_Delete(answer);
    cJSON_Delete(review);
    return rc;
}

int main(void)
{
    struct vf_test_real r;
    char line[80];
    vf_test_real_start(&r);
    while (fgets(line, sizeof line, stdin)) {
        say(&r);
    }
    vf_test_real_stop(&r);
    return 0;
}
