"""importer/kube against the real API server: the programs of tests/real, and every way to log in."""

import base64
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.parse

import pytest

from harness import cli
from harness.forwarder import Forgetful, Line
from harness.proxy import connect_proxy

REAL = pathlib.Path(cli.VMFERRY or "/nowhere").parents[1] / "tests" / "real"
WATCH = "test_watch_ticks_and_follows"


@pytest.fixture
def run(tmp_path):
    """run(name, ...): that program of tests/real/importer/kube, ended and without a secret told."""

    def run_one(name, namespace="default", kubeconfig=None, stdin="", secrets=(), prefix=(), **env):
        program = REAL / f"real.importer.kube.{name}"
        assert program.exists(), f"{program} is not built"
        if kubeconfig:
            env["VMFERRY_TEST_KUBECONFIG"] = kubeconfig
        env["VMFERRY_TEST_NAMESPACE"] = namespace
        done = subprocess.run(
            [*prefix, program],
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            env=cli.environment(tmp_path, **env),
        )
        told = done.stdout + done.stderr
        assert not cli.SANITIZER.search(told), told
        for secret in secrets:
            assert secret not in told, "a secret was printed"
        return done.returncode, told

    return run_one


def write_kubeconfig(folder, cluster, user, **more):
    """One with these properties of the user, and `more` of the cluster."""
    authority = pathlib.Path(cluster.ca_file).read_bytes()
    server = {
        "server": cluster.server,
        "certificate-authority-data": base64.b64encode(authority).decode(),
        **more,
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {k: v for k, v in server.items() if v is not None}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def account_of(namespace, name):
    return f"system:serviceaccount:{namespace}:{name}"


# The programs


def test_every_verb(cluster, namespace, run):
    status, told = run("client", namespace, cluster.kubeconfig(), secrets=[cluster.admin_token])
    assert status == 0, told


def test_storage_volumes_and_claims(cluster, namespace, run):
    status, told = run("cdi", namespace, cluster.kubeconfig(), secrets=[cluster.admin_token, "eyJ"])
    assert status == 0, told


def test_virtual_machines_and_jobs(cluster, namespace, run):
    status, told = run("workloads", namespace, cluster.kubeconfig(), secrets=["hush"])
    assert status == 0, told


# When things are in the way


def test_watch_begins_anew_when_its_version_expired(cluster, namespace, run, tmp_path):
    with Forgetful(cluster.server, cluster.ca_file, cluster.admin_token) as between:
        kubeconfig = write_kubeconfig(
            tmp_path,
            cluster,
            {},
            server=between.url,
            **{"certificate-authority-data": None},
        )
        status, told = run(
            "client", namespace, kubeconfig, VMFERRY_TEST_FILTER=WATCH, VMFERRY_TEST_EXPIRED=1
        )
        assert status == 0, told
        forgotten = [code for path, code in between.seen if "resourceVersion=1&" in path + "&"]
    # A watch may also be begun well and end with an event that says 410.
    assert forgotten in ([410], [200])


def test_watch_goes_on_when_the_server_was_away(cluster, namespace, run, tmp_path):
    parts = urllib.parse.urlsplit(cluster.server)
    with Line(parts.hostname, parts.port) as line:
        kubeconfig = write_kubeconfig(
            tmp_path,
            cluster,
            {"token": cluster.admin_token},
            server=f"https://127.0.0.1:{line.port}",
        )
        away = threading.Timer(1.5, line.cut, [8])
        away.start()
        begun = time.monotonic()
        status, told = run("client", namespace, kubeconfig, VMFERRY_TEST_FILTER=WATCH)
        away.join()
        assert status == 0, told
        assert time.monotonic() - begun > 8, "it was over before the server was away"


def test_missing_rights_are_named(cluster, namespace, run):
    kubeconfig = cluster.kubeconfig(token=cluster.tester_token)
    status, told = run(
        "client",
        namespace,
        kubeconfig,
        secrets=[cluster.tester_token],
        VMFERRY_TEST_FILTER="test_create_get_delete",
    )
    assert status != 0
    assert 'auth in place of ok: cannot create configmaps' in told
    assert 'allow this account the verb "create" on "configmaps"' in told


# Ways to log in


def test_login_by_token(cluster, namespace, run):
    token = cluster.token(namespace, "one")
    kubeconfig = cluster.kubeconfig(token=token)
    _, told = run("login", namespace, kubeconfig, "\n", secrets=[token])
    assert told == account_of(namespace, "one") + "\n"


def test_login_with_a_bad_token_says_so(cluster, namespace, run):
    kubeconfig = cluster.kubeconfig(token="bad-token-1234")
    _, told = run("login", namespace, kubeconfig, "\n", secrets=["bad-token-1234"])
    assert told.startswith("auth: cannot create selfsubjectreviews") and "log in again" in told


def test_login_by_client_certificate(cluster, namespace, run, tmp_path):
    folder = pathlib.Path(cluster.ready["kubeconfig"]).parent / "controlplane"
    name = "kube-apiserver-kubelet-client"
    user = {
        "client-certificate": str(folder / f"{name}.crt"),
        "client-key-data": base64.b64encode((folder / f"{name}.key").read_bytes()).decode(),
    }
    _, told = run("login", namespace, write_kubeconfig(tmp_path, cluster, user), "\n")
    subject = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline", "-in"]
        + [user["client-certificate"]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    common_name = [line.split("= ", 1)[1] for line in subject.splitlines() if "commonName" in line]
    assert told.splitlines() == common_name


def test_login_by_plugin_that_renews(cluster, namespace, run, tmp_path):
    """Its first token is refused: it is run once more, and then not again."""
    token = cluster.token(namespace, "plugged")
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "TOKEN"},
    }
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\n"
        f"echo run >>{tmp_path}/runs\n"
        f'token=stale; [ "$(wc -l <{tmp_path}/runs)" = 1 ] || token=$GIVEN\n'
        f"echo '{json.dumps(credential)}' | sed \"s/TOKEN/$token/\"\n"
    )
    plugin.chmod(0o700)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugin",
            "interactiveMode": "Never",
            "env": [{"name": "GIVEN", "value": token}],
        }
    }
    kubeconfig = write_kubeconfig(tmp_path, cluster, user)
    _, told = run("login", namespace, kubeconfig, "\n\n", secrets=[token])
    assert told.splitlines() == [account_of(namespace, "plugged")] * 2
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


def test_login_as_another(cluster, namespace, run, tmp_path):
    user = {"token": cluster.admin_token, "as": "jane@example.com", "as-groups": ["ops"]}
    _, told = run("login", namespace, write_kubeconfig(tmp_path, cluster, user), "\n")
    assert told == "jane@example.com\n"


def test_login_through_a_proxy(cluster, namespace, run, tmp_path):
    with connect_proxy() as proxy:
        user = {"token": cluster.admin_token}
        kubeconfig = write_kubeconfig(tmp_path, cluster, user, **{"proxy-url": proxy.url})
        _, told = run("login", namespace, kubeconfig, "\n", secrets=[cluster.admin_token])
        assert told == "admin\n"
        assert set(proxy.seen) == {urllib.parse.urlsplit(cluster.server).netloc}
        assert cluster.admin_token not in json.dumps(proxy.headers)


@pytest.mark.parametrize(
    ("more", "told_begins"),
    [
        ({"tls-server-name": "kubernetes.default.svc"}, "admin"),
        ({"tls-server-name": "elsewhere.test"}, "auth: "),
        ({"certificate-authority-data": None}, "auth: "),
        ({"certificate-authority-data": None, "insecure-skip-tls-verify": True}, "admin"),
    ],
    ids=["other-name", "wrong-name", "unknown-ca", "insecure"],
)
def test_login_trusts_whom_it_is_told_to(cluster, namespace, run, tmp_path, more, told_begins):
    kubeconfig = write_kubeconfig(tmp_path, cluster, {"token": cluster.admin_token}, **more)
    _, told = run("login", namespace, kubeconfig, "\n", secrets=[cluster.admin_token])
    assert told.startswith(told_begins), told


def test_login_of_a_pod_whose_token_is_renewed(cluster, namespace, tmp_path):
    """The folder as a kubelet keeps it: a link is turned to the new token, and nobody is told."""
    first, second = (cluster.token(namespace, name) for name in ("before", "after"))
    for name, token in (("..1", first), ("..2", second)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(pathlib.Path(cluster.ca_file).read_bytes())
        (folder / "namespace").write_text(namespace)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    parts = urllib.parse.urlsplit(cluster.server)
    environment = cli.environment(
        tmp_path,
        VMFERRY_TEST_SERVICE_ACCOUNT=tmp_path,
        VMFERRY_TEST_NAMESPACE=namespace,
        KUBERNETES_SERVICE_HOST=parts.hostname,
        KUBERNETES_SERVICE_PORT=parts.port,
    )
    with subprocess.Popen(
        [REAL / "real.importer.kube.login"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as login:

        def ask():
            login.stdin.write("\n")
            login.stdin.flush()
            return login.stdout.readline().strip()

        assert ask() == account_of(namespace, "before")
        (tmp_path / "..new").symlink_to("..2")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        cli.wait_until(
            lambda: ask() == account_of(namespace, "after"), 20, "the new token to be used"
        )
        login.stdin.close()
        rest = login.stdout.read()
    assert login.returncode == 0 and rest == "", rest
