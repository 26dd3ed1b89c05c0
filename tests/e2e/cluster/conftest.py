"""Fixtures of the tests that need a cluster: one for the whole run, a namespace a test.

    KUBE_RIG_BIN=folder    the built programs; without it they are built (Go, up to 15 minutes)
    KUBE_RIG_READY=file    of a cluster that runs already; without it one is started
"""

import fcntl
import json
import os
import pathlib
import subprocess
import uuid

import pytest

from harness import cli, rbac, vddk_image
from harness.cluster import SAME_VMS, Cluster, Rig
from harness.fault_proxy import FaultProxy

TOP = pathlib.Path(__file__).parents[3]
BUILD = """
set -eu
ui_log_file=$(mktemp)
for part in deploy/lib/ui deploy/lib/packages deploy/lib/go tests/lib/kube; do . "$1/$part.sh"; done
kube_build "$1/tests/peers/kube" "$(ui_cache_dir)" >&2
printf '%s' "$kube_bin"
"""

@pytest.fixture(scope="session")
def rig_bin():
    """The folder of the test cluster's programs."""
    if os.geteuid() != 0:
        pytest.skip("the test cluster needs root, for namespaces and mounts")
    folder = os.environ.get("KUBE_RIG_BIN")
    if not folder:
        done = subprocess.run(["sh", "-c", BUILD, "sh", TOP], stdout=subprocess.PIPE, text=True)
        assert done.returncode == 0, "the test cluster could not be built"
        folder = done.stdout
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def cluster(rig_bin, tmp_path_factory):
    """The cluster that all tests share, in every worker process of this run."""
    running = os.environ.get("KUBE_RIG_READY")
    if running:
        ready = json.loads(pathlib.Path(running).read_text())
        yield Cluster(ready, tmp_path_factory.mktemp("kubeconfigs"))
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    shared = tmp_path_factory.getbasetemp()
    die_with = os.getpid()
    if worker:
        # Workers end one after the other; the process that started them ends last.
        shared = shared.parent
        die_with = os.getppid()
    folder = shared / "kube"
    rig = None
    with open(shared / "kube.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = folder / "ready.json"
        if not ready.exists():
            assert not folder.exists(), "the test cluster did not start: " + _tail(folder / "log")
            folder.mkdir()
            images = [f"vmferry={cli.VMFERRY}", f"vddk={vddk_image.write_program(folder / 'vddk')}"]
            options = [option for image in images for option in ("--image", image)]
            rig = Rig(rig_bin, folder, *options, die_with=die_with)
    kubeconfigs = tmp_path_factory.mktemp("kubeconfigs")
    yield Cluster(json.loads(ready.read_text()), kubeconfigs)
    if rig and not worker:
        rig.stop()


def _tail(path):
    return path.read_text()[-4000:] if path.exists() else "no log"


@pytest.fixture
def namespace(cluster, request):
    """A namespace of this test's own; it is deleted afterwards, and nobody waits for that."""
    name = "t-" + uuid.uuid4().hex[:8]
    cluster.make_namespace(name)
    yield name
    report = getattr(request.node, "call_report", None)
    if report is not None and report.failed:
        print(f"--- events of {name}\n{cluster.events(name)}")
        for pod in cluster.list("v1/pods", name):
            print(f"--- pod {pod['metadata']['name']}: {json.dumps(pod.get('status'), indent=1)}")
    cluster.delete("v1/namespaces", name)


@pytest.fixture
def prod(cluster, namespace):
    """A namespace with the rights of deploy/rbac.yaml, for an account "importer"."""
    rbac.install(cluster, namespace)
    yield namespace
    rbac.remove(cluster, namespace)


@pytest.fixture
def restricted(cluster, namespace):
    """As prod, and it takes no pod with more rights than it needs."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.patch("v1/namespaces", namespace, {"metadata": {"labels": labels}})
    rbac.install(cluster, namespace)
    yield namespace
    rbac.remove(cluster, namespace)


@pytest.fixture
def to_upload(cluster, prod):
    """Arguments of vmferry for that account."""
    kubeconfig = cluster.kubeconfig(service_account=(prod, "importer"), namespace=prod)
    return ["--to", "upload", "--kubeconfig", kubeconfig, *SAME_VMS]


@pytest.fixture
def proxy(cluster, tmp_path):
    """What may stand between vmferry and CDI's upload proxy."""
    with FaultProxy(
        cluster.ready["upload_proxy"], cluster.ready["upload_proxy_ca"], tmp_path
    ) as proxy:
        proxy.arguments = ["--upload-proxy", proxy.url, "--upload-ca-file", proxy.ca_file]
        yield proxy


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets fixtures see how the test went."""
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()
