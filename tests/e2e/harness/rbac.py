"""deploy/rbac.yaml in a namespace of the test cluster, and what the audit log says of its use."""

import json
import pathlib

import yaml

RBAC = pathlib.Path(__file__).parents[3] / "deploy" / "rbac.yaml"
BINDINGS = "rbac.authorization.k8s.io"


def documents(namespace):
    return list(yaml.safe_load_all(RBAC.read_text().replace("NAMESPACE", namespace)))


def rules(namespace, role):
    """Those of the Role or ClusterRole of that name, or of both."""
    named = [item for item in documents(namespace) if item["metadata"]["name"] == role]
    return [rule for item in named for rule in item.get("rules", [])]


def install(cluster, namespace):
    """As an administrator does it, with an account "importer" that stands for a person."""
    for document in documents(namespace):
        cluster.apply(document)
    importer = {"kind": "ServiceAccount", "name": "importer", "namespace": namespace}
    _bind(cluster, importer, "importer", "Role", "vmferry-importer", namespace)
    name = f"importer-{namespace}"
    _bind(cluster, importer, name, "Role", "vmferry-proxy-reader", "cdi")
    _bind(cluster, importer, name, "ClusterRole", "vmferry-cluster-reader")
    _bind(cluster, importer, "checker", "Role", "vmferry-checker", namespace)
    _bind(cluster, importer, f"checker-{namespace}", "ClusterRole", "vmferry-checker")


def _bind(cluster, subject, name, kind, role, namespace=None):
    cluster.apply(
        {
            "apiVersion": f"{BINDINGS}/v1",
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": BINDINGS, "kind": kind, "name": role},
            "subjects": [subject],
        },
        namespace,
    )


def remove(cluster, namespace):
    """What is not in the namespace and would stay."""
    cluster.delete(f"{BINDINGS}/v1/rolebindings", f"importer-{namespace}", "cdi")
    for name in (f"importer-{namespace}", f"checker-{namespace}", f"vmferry-worker-{namespace}"):
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
