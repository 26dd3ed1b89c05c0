"""The test cluster (tests/peers/kube) as a process, and a client of its API."""

import base64
import contextlib
import json
import os
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from .cli import wait_until

START_SECONDS = 240  # on a machine that builds other things at the same time
# Every test brings the same VMs, each into its own namespace, and some are started there.
SAME_VMS = ("--skip-check", "target.mac-in-use")
DIRECT = urllib.request.ProxyHandler({})


class ApiError(Exception):
    """An answer that is not 2xx: its code, and the reason and message of its Status."""

    def __init__(self, method, path, code, text):
        self.code = code
        try:
            self.status = json.loads(text)
        except ValueError:
            self.status = {}
        self.reason = self.status.get("reason", "")
        self.message = self.status.get("message", text[:500])
        super().__init__(f"{method} {path}: {code} {self.reason}: {self.message}")


class Rig:
    """The process; `die_with`: the process that it must not outlive."""

    def __init__(self, bin_folder, folder, *arguments, die_with=None):
        self.folder = folder
        ready = folder / "ready.json"
        command = [bin_folder / "kube-rig", "up", "--dir", folder / "work", "--bin", bin_folder]
        command += ["--ready-file", ready, "--die-with", die_with or os.getpid()]
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            # In a session of its own: Ctrl-C is for pytest, which then ends it in order.
            self.process = subprocess.Popen(
                [str(part) for part in [*command, *arguments]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(
                lambda: ready.exists() or self.process.poll() is not None,
                START_SECONDS,
                "the test cluster",
            )
        except BaseException:
            self.stop()
            raise
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        self.ready = json.loads(ready.read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Cluster:
    """A client with an administrator's rights. Resources are named "v1/pods" or
    "cdi.kubevirt.io/v1beta1/datavolumes"; objects are dictionaries."""

    def __init__(self, ready, folder):
        self.ready = ready
        self.server = ready["server"]
        self.ca_file = ready["ca_file"]
        self.folder = folder  # for kubeconfigs
        self.admin_token = _read(ready["admin_token_file"])
        self.tester_token = _read(ready["tester_token_file"])  # of a user without any right
        context = ssl.create_default_context(cafile=self.ca_file)
        self._opener = urllib.request.build_opener(
            DIRECT, urllib.request.HTTPSHandler(context=context)
        )
        self._plain = urllib.request.build_opener(DIRECT)
        self._kinds = {}

    # Requests

    def request(self, method, path, body=None, token=None, content_type="application/json", **query):
        """The answer's object; raises ApiError. `path` begins with /api or /apis."""
        with self._open(method, path, body, token, content_type, query, timeout=60) as answer:
            text = answer.read()
        kind = answer.headers.get("Content-Type", "")
        return json.loads(text) if "json" in kind else text.decode()

    def _open(self, method, path, body, token, content_type, query, timeout):
        url = self.server + path
        if query:
            url += "?" + urllib.parse.urlencode(query)
        request = urllib.request.Request(
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Bearer " + (token or self.admin_token),
                "Accept": "application/json, */*",
                "Content-Type": content_type,
            },
        )
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise ApiError(method, path, error.code, text) from None

    def path(self, resource, namespace=None, name=None, subresource=None):
        group_version, plural = resource.rsplit("/", 1)
        parts = ["/api" if "/" not in group_version else "/apis", group_version]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (plural, name, subresource) if part]
        return "/".join(parts)

    def resource_of(self, item):
        """("v1/pods", True) for an object of that kind: the resource, and whether it is namespaced."""
        key = item["apiVersion"], item["kind"]
        if key not in self._kinds:
            base = "/apis/" if "/" in key[0] else "/api/"
            for found in self.request("GET", base + key[0])["resources"]:
                if "/" not in found["name"]:
                    named = f"{key[0]}/{found['name']}", found["namespaced"]
                    self._kinds[key[0], found["kind"]] = named
        return self._kinds[key]

    def _path_of(self, item, namespace, name=None):
        resource, namespaced = self.resource_of(item)
        namespace = namespace or item["metadata"].get("namespace")
        assert bool(namespace) or not namespaced, f"no namespace for {item}"
        return self.path(resource, namespace if namespaced else None, name)

    # Objects

    def get(self, resource, name, namespace=None):
        return self.request("GET", self.path(resource, namespace, name))

    def find(self, resource, name, namespace=None):
        """The object, or None when there is none."""
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, resource, namespace=None, **query):
        return self.request("GET", self.path(resource, namespace), **query)["items"]

    def create(self, item, namespace=None, token=None, dry_run=False):
        query = {"fieldValidation": "Strict", "fieldManager": "tests"}
        if dry_run:
            query["dryRun"] = "All"
        return self.request("POST", self._path_of(item, namespace), item, token, **query)

    def apply(self, item, namespace=None, manager="tests", force=True):
        return self.request(
            "PATCH",
            self._path_of(item, namespace, item["metadata"]["name"]),
            item,
            content_type="application/apply-patch+yaml",
            fieldValidation="Strict",
            fieldManager=manager,
            force="true" if force else "false",
        )

    def patch(self, resource, name, body, namespace=None, subresource=None):
        """A JSON merge patch."""
        return self.request(
            "PATCH",
            self.path(resource, namespace, name, subresource),
            body,
            content_type="application/merge-patch+json",
            fieldValidation="Strict",
            fieldManager="tests",
        )

    def delete(self, resource, name, namespace=None, **options):
        """False when there was none. Options are those of DeleteOptions."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        try:
            self.request("DELETE", self.path(resource, namespace, name), body)
        except ApiError as error:
            if error.code != 404:
                raise
            return False
        return True

    def watch_until(self, resource, name, check, namespace=None, timeout=60):
        """The first state of the object for which check(object) is true; the object is None while
        there is none. Fails with the last state and the namespace's events."""
        deadline = time.monotonic() + timeout
        last = None
        while True:
            selector = {"fieldSelector": f"metadata.name={name}"}
            answer = self.request("GET", self.path(resource, namespace), **selector)
            last = answer["items"][0] if answer["items"] else None
            found = check(last)
            if found:
                return last
            version = answer["metadata"]["resourceVersion"]
            for last in self._changes(resource, namespace, selector, version, deadline):
                if check(last):
                    return last
            assert time.monotonic() < deadline, (
                f"{resource} {name} after {timeout} s: {_shown(last)}\n"
                + self.events(namespace)
            )

    def _changes(self, resource, namespace, selector, version, deadline):
        """Its states, or None where it was deleted, until the watch or the time ends."""
        seconds = min(10.0, deadline - time.monotonic())
        if seconds <= 0:
            return
        query = {**selector, "watch": "true", "resourceVersion": version}
        path = self.path(resource, namespace)
        with contextlib.suppress(TimeoutError, ssl.SSLError, ConnectionError):
            with self._open("GET", path, None, None, "", query, timeout=seconds) as answer:
                for line in answer:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    yield None if event["type"] == "DELETED" else event["object"]
                    if time.monotonic() > deadline:
                        return

    def events(self, namespace=None):
        """The events as text, one a line, for a failed test's report."""
        lines = []
        for event in self.list("v1/events", namespace):
            about = event["involvedObject"]
            lines.append(
                f"{event['type']} {about['kind']}/{about.get('name')}: "
                f"{event.get('reason')}: {event.get('message')}"
            )
        return "\n".join(lines)

    def log(self, namespace, pod, container=None):
        query = {"container": container} if container else {}
        return self.request("GET", self.path("v1/pods", namespace, pod, "log"), **query)

    # Who

    def make_namespace(self, name, labels=None):
        """Made, with what the controllers put into every namespace."""
        kind = {"apiVersion": "v1", "kind": "Namespace"}
        self.create({**kind, "metadata": {"name": name, "labels": labels or {}}})
        self.watch_until("v1/serviceaccounts", "default", bool, name)
        self.watch_until("v1/configmaps", "kube-root-ca.crt", bool, name)

    def token(self, namespace, account, seconds=3600):
        """A token of that ServiceAccount, which is made when it is missing."""
        kind = {"apiVersion": "v1", "kind": "ServiceAccount"}
        self.apply({**kind, "metadata": {"name": account}}, namespace)
        answer = self.request(
            "POST",
            self.path("v1/serviceaccounts", namespace, account, "token"),
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds},
            },
        )
        return answer["status"]["token"]

    def grant(self, namespace, account, rules, cluster_wide=False):
        """A Role (or ClusterRole) of these rules, bound to that ServiceAccount."""
        kind = "ClusterRole" if cluster_wide else "Role"
        name = f"{namespace}-{account}" if cluster_wide else account
        base = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
        self.apply({**base, "kind": kind, "rules": rules}, namespace)
        self.apply(
            {
                **base,
                "kind": kind + "Binding",
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            },
            namespace,
        )

    def kubeconfig(self, token=None, service_account=None, namespace=None, server=None, ca=None):
        """Writes one, and names it. Without a token or (namespace, account): the administrator's."""
        if service_account:
            token = self.token(*service_account)
        with open(ca or self.ca_file, "rb") as file:
            authority = base64.b64encode(file.read()).decode()
        context = {"cluster": "rig", "user": "user"}
        if namespace:
            context["namespace"] = namespace
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "rig",
                    "cluster": {
                        "server": server or self.server,
                        "certificate-authority-data": authority,
                    },
                }
            ],
            "users": [{"name": "user", "user": {"token": token or self.admin_token}}],
            "contexts": [{"name": "rig", "context": context}],
            "current-context": "rig",
        }
        handle, path = tempfile.mkstemp(suffix=".kubeconfig", dir=self.folder)
        with os.fdopen(handle, "w") as file:
            json.dump(config, file, indent=1)  # JSON is YAML
        return path

    # Behind the API

    def control(self, method, path):
        """The rig's control door: its JSON answer, or its text."""
        request = urllib.request.Request(self.ready["control"] + path, method=method)
        try:
            with self._plain.open(request, timeout=60) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise ApiError(method, path, error.code, error.read().decode()) from None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def volume(self, namespace, claim):
        """The file with the bytes of a bound claim: disk.img, or what is behind the block device."""
        return self.control("GET", f"/volumes/{namespace}/{claim}")["path"]

    def pause(self, what, seconds):
        """A part of the cluster does nothing for a while: apiserver, cdi-uploadproxy, storage, ..."""
        query = urllib.parse.urlencode({"what": what, "seconds": seconds})
        self.control("POST", f"/pause?{query}")

    def restart(self, what, seconds):
        """A process of the cluster is killed, and started again after a while."""
        query = urllib.parse.urlencode({"what": what, "seconds": seconds})
        self.control("POST", f"/restart?{query}")

    def audit(self, user):
        """What that user did, the oldest first: the audit log's entries."""
        with open(self.ready["audit_log"], encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines if line.endswith("\n")]
        return [entry for entry in entries if entry["user"].get("username") == user]


def _shown(item):
    """An object as text, without what nobody reads."""
    if item:
        item = {**item, "metadata": {**item["metadata"], "managedFields": "..."}}
    return json.dumps(item, indent=1)


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().strip()
