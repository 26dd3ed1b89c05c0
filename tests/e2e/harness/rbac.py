"""deploy/rbac.yaml in a namespace of the test cluster, and what the audit log says of its use."""

import json
import pathlib

import yaml

RBAC = pathlib.Path(__file__).parents[3] / "deploy" / "rbac.yaml"
BINDINGS = "rbac.authorization.k8s.io"


def documents(namespace):
    return list(yaml.safe_load_all(RBAC.read_text().replace("NAMESPACE", namespace)))


def install(cluster, namespace):
    """As an administrator does it, with an account "importer" that stands for a person."""
    for document in documents(namespace):
        cluster.apply(document)
    base = {"apiVersion": f"{BINDINGS}/v1", "metadata": {"name": "importer"}}
    importer = {"kind": "ServiceAccount", "name": "importer", "namespace": namespace}
    cluster.apply(
        {
            **base,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": BINDINGS, "kind": "Role", "name": "vmferry-importer"},
            "subjects": [importer],
        },
        namespace,
    )
    name = f"importer-{namespace}"
    cluster.apply(
        {
            **base,
            "metadata": {"name": name},
            "kind": "ClusterRoleBinding",
            "roleRef": {
                "apiGroup": BINDINGS,
                "kind": "ClusterRole",
                "name": "vmferry-storage-reader",
            },
            "subjects": [importer],
        }
    )


def remove(cluster, namespace):
    """What belongs to no namespace and would stay."""
    for name in (f"importer-{namespace}", f"vmferry-worker-{namespace}"):
        cluster.delete(f"{BINDINGS}/v1/clusterrolebindings", name)


def requests(cluster, namespace, account):
    """What the account asked for: (allowed, verb, group, resource, namespace) of each request."""
    user = f"system:serviceaccount:{namespace}:{account}"
    found = []
    with open(cluster.ready["audit_log"]) as log:
        for line in log:
            if user not in line or not line.endswith("\n"):
                continue
            event = json.loads(line)
            reference = event.get("objectRef")
            if event["user"]["username"] != user or not reference:
                continue
            resource = reference.get("resource", "")
            if reference.get("subresource"):
                resource += "/" + reference["subresource"]
            allowed = event["annotations"].get("authorization.k8s.io/decision") == "allow"
            found.append(
                (
                    allowed,
                    event["verb"],
                    reference.get("apiGroup", ""),
                    resource,
                    reference.get("namespace", ""),
                )
            )
    return found
