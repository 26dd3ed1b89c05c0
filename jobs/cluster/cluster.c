#include "jobs/cluster/cluster.h"

#include "importer/base/mem.h"
#include "importer/kube/config.h"
#include "importer/kube/resources.h"

/* An API server that restarts is away for half a minute. */
#define AWAY_TIMEOUT_MS 60000
/* One that was never reached is more likely to be another than is meant. */
#define FIRST_TIMEOUT_MS 10000

static int check_namespace(struct vf_kube_client *client, const struct vf_cancel *cancel,
                           struct vf_error **err)
{
    struct vf_error *e = NULL;
    const char *ns = vf_kube_client_namespace(client);
    struct vf_kube_ref ref = {.resource = &vf_kube_namespaces, .name = ns};
    struct vf_kube_options options = {.cancel = cancel, .timeout_ms = FIRST_TIMEOUT_MS};
    int rc = vf_kube_get(client, &ref, &options, NULL, &e);
    if (rc == VF_AUTH && vf_error_http_status(e) == 403) {
        /* Namespaces are often hidden from those who only work in one; what is made in one that is
         * not there is refused by the server. */
        vf_error_free(e);
        return 0;
    }
    if (rc == VF_MISSING) {
        vf_error_free(e);
        vf_error_set(err, VF_MISSING, "namespace \"%s\" does not exist in the cluster of %s", ns,
                     vf_kube_client_origin(client));
        vf_error_hint(err, "kubectl create namespace %s, or name another with --namespace", ns);
        return VF_MISSING;
    }
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "the API server of %s", vf_kube_client_origin(client)) : 0;
}

int64_t vf_cluster_timeout_ms(const struct vf_cluster_options *options, int64_t usual_ms)
{
    return options->timeout_s ? (int64_t)options->timeout_s * 1000 : usual_ms;
}

static struct vf_retry_policy retry_policy(const struct vf_cluster_options *options)
{
    int64_t timeout_ms = vf_cluster_timeout_ms(options, AWAY_TIMEOUT_MS);
    return (struct vf_retry_policy){.max_tries = 40,
                                    .first_wait_ms = 250,
                                    .max_wait_ms = 5000,
                                    .timeout_ms = timeout_ms < AWAY_TIMEOUT_MS ? timeout_ms
                                                                               : AWAY_TIMEOUT_MS};
}

int vf_cluster_open(const struct vf_cluster_options *options, const struct vf_cancel *cancel,
                    struct vf_kube_client **ret_client, struct vf_error **err)
{
    struct vf_kube_config_options co = {
        .path = options->kubeconfig, .context = options->context, .ns = options->namespace_name};
    const struct vf_retry_policy retry = retry_policy(options);
    const struct vf_kube_client_options client_options = {.retry = &retry};
    struct vf_kube_config *config = NULL;
    struct vf_kube_client *client = NULL;
    int rc = vf_kube_config_fetch(&co, &config, err);
    if (rc == 0) {
        rc = vf_kube_client_new(config, &client_options, NULL, &client, err);
    }
    if (rc == 0) {
        rc = check_namespace(client, cancel, err);
    }
    if (rc) {
        vf_kube_client_free(client);
        return rc;
    }
    *ret_client = client;
    return 0;
}
