/* Rules of the target: the cluster, its KubeVirt and CDI, the namespace, storage and nodes. */
#include "jobs/preflight/rule.h"

const struct vf_rule vf_rules_target[] = {
    {.id = "upload.proxy",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "a request to CDI's upload proxy, as an upload would send it",
     .message = "CDI's upload proxy cannot be reached from here, or is not trusted",
     .action = "--upload-proxy URL names another way to it, --upload-ca-file FILE what trusts it",
     .once = true},
    {.id = "upload.token",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "a token for an upload, which is asked for and thrown away",
     .message = "CDI gives no token for an upload",
     .action = "allow the account the verb \"create\" on uploadtokenrequests of group "
               "upload.cdi.kubevirt.io (deploy/rbac.yaml)",
     .once = true},
    {.id = NULL},
};
