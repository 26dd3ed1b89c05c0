"""Pods and claims of the tests, and how they ended."""

PODS = "v1/pods"
IMAGE = "registry.example.com/vmferry:test"


def make_pod(name, script, container=None, **spec):
    """A pod of one container `main`, which runs that shell script."""
    main = {"name": "main", "image": IMAGE, "command": ["/bin/sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 10,
            **spec,
            "containers": [{**main, **(container or {})}],
        },
    }


def make_claim(name, size="64Mi", storage_class="rig-fs", mode="Filesystem"):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": storage_class,
            "volumeMode": mode,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        },
    }


def claim_volume(claim):
    return {"name": claim, "persistentVolumeClaim": {"claimName": claim}}


def status_of(pod, name="main"):
    for status in (pod or {}).get("status", {}).get("containerStatuses", []):
        if status["name"] == name:
            return status
    return {"state": {}, "lastState": {}}


def waiting_for(pod):
    return status_of(pod)["state"].get("waiting", {}).get("reason")


def is_over(pod):
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def is_running(pod):
    return "running" in status_of(pod)["state"]


def run_pod(cluster, namespace, pod):
    """The pod when it has ended, and the lines of its log."""
    cluster.create(pod, namespace)
    name = pod["metadata"]["name"]
    pod = cluster.watch_until(PODS, name, is_over, namespace)
    return pod, cluster.log(namespace, name).splitlines()
