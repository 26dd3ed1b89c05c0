"""What the other tests rest on: the node runs pods as a kubelet does."""

import threading

import pytest

from harness.cli import wait_until
from harness.cluster import ApiError
from harness.pods import (
    IMAGE,
    PODS,
    claim_volume,
    is_over,
    is_running,
    make_claim,
    make_pod,
    run_pod,
    status_of,
    waiting_for,
)

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def test_container_is_who_and_what_the_pod_says(cluster, namespace):
    cluster.create(make_claim("files"), namespace)
    cluster.create(make_claim("block", storage_class="rig-block", mode="Block"), namespace)
    script = """
        id -u; id -g; id -G; echo $$$$; hostname
        grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr '\\t' ' '
        (echo x >/tmp/x) 2>/dev/null || echo read-only
        stat -c '%u:%g %a' /files; stat -c '%F %u:%g %a' /dev/disk
        echo content >/files/disk.img && printf device | dd of=/dev/disk conv=notrunc status=none
        sync /files/disk.img /dev/disk
        echo "as told" >/dev/termination-log
    """
    pod = make_pod(
        "app",
        script,
        container={
            "securityContext": RESTRICTED,
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
            "volumeDevices": [{"name": "block", "devicePath": "/dev/disk"}],
        },
        securityContext={
            "runAsUser": 107,
            "runAsGroup": 108,
            "fsGroup": 109,
            "supplementalGroups": [3000],
            "runAsNonRoot": True,
        },
        volumes=[claim_volume("files"), claim_volume("block")],
    )
    pod, log = run_pod(cluster, namespace, pod)
    none = "0000000000000000"
    assert log == [
        "107",
        "108",
        "108 109 3000",
        "1",
        "app",
        f"CapEff: {none}",
        f"CapBnd: {none}",
        "NoNewPrivs: 1",
        "read-only",
        "0:109 2775",
        "block special file 107:108 660",
    ]
    ended = status_of(pod)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (0, "Completed", "as told\n")
    with open(cluster.volume(namespace, "files"), "rb") as file:
        assert file.read() == b"content\n"
    with open(cluster.volume(namespace, "block"), "rb") as file:
        assert file.read(8) == b"device\0\0"


def test_user_without_the_volumes_group_cannot_write_to_it(cluster, namespace):
    cluster.create(make_claim("files"), namespace)
    pod = make_pod(
        "app",
        "echo x >/files/disk.img",
        container={"volumeMounts": [{"name": "files", "mountPath": "/files"}]},
        securityContext={"runAsUser": 107},
        volumes=[claim_volume("files")],
    )
    pod, log = run_pod(cluster, namespace, pod)
    assert pod["status"]["phase"] == "Failed"
    assert "Permission denied" in log[-1]


def test_environment_and_files_come_from_objects(cluster, namespace):
    base = {"apiVersion": "v1", "metadata": {"name": "things"}}
    cluster.create({**base, "kind": "Secret", "stringData": {"password": "hidden"}}, namespace)
    cluster.create({**base, "kind": "ConfigMap", "data": {"COLOUR": "blue"}}, namespace)
    secret = {"secretKeyRef": {"name": "things", "key": "password"}}
    missing = {"secretKeyRef": {"name": "things", "key": "none", "optional": True}}
    pod = make_pod(
        "app",
        "echo $COLOUR $BOTH ${NONE-unset} $NODE $IP; cat /s/password /s/deep/p; echo; "
        "ls -L /p; cat /p/namespace; stat -L -c %a /p/token; echo $0 $1",
        container={
            "args": ["$(COLOUR)", "$$(COLOUR)"],
            "envFrom": [{"configMapRef": {"name": "things"}}],
            "env": [
                {"name": "PASSWORD", "valueFrom": secret},
                {"name": "BOTH", "value": "$(COLOUR)-$(PASSWORD)-$(NONE)"},
                {"name": "NONE", "valueFrom": missing},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            "volumeMounts": [
                {"name": "secret", "mountPath": "/s"},
                {"name": "projected", "mountPath": "/p"},
            ],
        },
        securityContext={"runAsUser": 107},
        volumes=[
            {
                "name": "secret",
                "projected": {
                    "sources": [
                        {"secret": {"name": "things"}},
                        {
                            "secret": {
                                "name": "things",
                                "items": [{"key": "password", "path": "deep/p"}],
                            }
                        },
                    ]
                },
            },
            {
                "name": "projected",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
                        {
                            "downwardAPI": {
                                "items": [
                                    {
                                        "path": "namespace",
                                        "fieldRef": {"fieldPath": "metadata.namespace"},
                                    },
                                    {
                                        "path": "labels",
                                        "fieldRef": {"fieldPath": "metadata.labels"},
                                    },
                                ]
                            }
                        },
                    ]
                },
            },
        ],
    )
    pod, log = run_pod(cluster, namespace, pod)
    assert pod["status"]["podIP"].startswith("127.")
    assert log == [
        f"blue blue-hidden-$(NONE) unset rig {pod['status']['podIP']}",
        "hiddenhidden",
        "labels",
        "namespace",
        "token",
        f"{namespace}600",
        "blue $(COLOUR)",
    ]


def test_failed_container_is_started_again(cluster, namespace):
    pod = make_pod(
        "app",
        "echo x >>/d/runs; [ $(wc -l </d/runs) -ge 3 ] || { echo why >&2; exit 3; }",
        container={
            "volumeMounts": [{"name": "d", "mountPath": "/d"}],
            "terminationMessagePolicy": "FallbackToLogsOnError",
        },
        restartPolicy="OnFailure",
        volumes=[{"name": "d", "emptyDir": {}}],
    )
    cluster.create(pod, namespace)
    phases = []

    def over(pod):
        phases.append(pod["status"]["phase"])
        return is_over(pod)

    pod = cluster.watch_until(PODS, "app", over, namespace)
    status = status_of(pod)
    assert (pod["status"]["phase"], status["restartCount"]) == ("Succeeded", 2)
    assert "Failed" not in phases
    last = status["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "why\n")


def test_job_counts_failed_pods(cluster, namespace):
    template = make_pod("ignored", "exit 7")
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"backoffLimit": 0, "template": {"spec": template["spec"]}},
    }
    cluster.create(job, namespace)
    job = cluster.watch_until(
        "batch/v1/jobs", "job", lambda job: job["status"].get("conditions"), namespace
    )
    reasons = {c["type"]: c["reason"] for c in job["status"]["conditions"]}
    assert reasons.get("FailureTarget", reasons.get("Failed")) == "BackoffLimitExceeded"
    (pod,) = cluster.list(PODS, namespace)
    assert status_of(pod)["state"]["terminated"]["exitCode"] == 7


def test_deleted_pod_gets_a_signal_and_time(cluster, namespace):
    cluster.create(make_claim("files"), namespace)
    pod = make_pod(
        "app",
        "trap 'echo ended >/files/disk.img; exit 0' TERM; touch /files/ready; "
        "while :; do sleep 0.1; done",
        container={"volumeMounts": [{"name": "files", "mountPath": "/files"}]},
        volumes=[claim_volume("files")],
    )
    cluster.create(pod, namespace)
    cluster.watch_until(PODS, "app", is_running, namespace)
    image = cluster.volume(namespace, "files")
    wait_until(lambda: _exists(image.replace("disk.img", "ready")), 20, "the script's trap")
    cluster.delete(PODS, "app", namespace)
    cluster.watch_until(PODS, "app", lambda pod: pod is None, namespace, timeout=30)
    with open(image) as file:
        assert file.read() == "ended\n"


def _exists(path):
    try:
        with open(path):
            return True
    except FileNotFoundError:
        return False


def test_pod_that_ignores_the_signal_is_killed_after_its_grace(cluster, namespace):
    # A first process without a handler ignores SIGTERM.
    cluster.create(make_pod("app", "sleep 600 & wait"), namespace)
    cluster.watch_until(PODS, "app", is_running, namespace)
    cluster.delete(PODS, "app", namespace, gracePeriodSeconds=1)
    cluster.watch_until(PODS, "app", lambda pod: pod is None, namespace, timeout=30)


def test_killed_container_has_failed(cluster, namespace):
    cluster.create(make_pod("app", "sleep 600"), namespace)
    cluster.watch_until(PODS, "app", is_running, namespace)
    cluster.control("POST", f"/pods/{namespace}/app/kill?signal=9")
    pod = cluster.watch_until(PODS, "app", is_over, namespace)
    ended = status_of(pod)["state"]["terminated"]
    assert (pod["status"]["phase"], ended["exitCode"]) == ("Failed", 137)


def test_deadline_ends_the_pod(cluster, namespace):
    cluster.create(
        make_pod(
            "app", "trap 'exit 0' TERM; while :; do sleep 0.1; done", activeDeadlineSeconds=1
        ),
        namespace,
    )
    pod = cluster.watch_until(PODS, "app", is_over, namespace)
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "registry.example.com/unknown:1"}, "ImagePullBackOff"),
        ({"securityContext": {"runAsNonRoot": True}}, "CreateContainerConfigError"),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, "CreateContainerConfigError"),
    ],
    ids=["image", "root", "secret"],
)
def test_container_that_cannot_be_made_waits(cluster, namespace, container, reason):
    cluster.create(make_pod("app", "true", container=container), namespace)
    pod = cluster.watch_until(PODS, "app", lambda pod: waiting_for(pod) == reason, namespace)
    assert pod["status"]["phase"] == "Pending"


def test_program_that_is_not_there_is_a_start_error(cluster, namespace):
    pod = make_pod("app", "", container={"command": ["no-such-program"]})
    cluster.create(pod, namespace)
    pod = cluster.watch_until(PODS, "app", is_over, namespace)
    ended = status_of(pod)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "executable file not found in $PATH" in ended["message"]


def test_image_is_the_program(cluster, namespace):
    pod = make_pod("app", "")
    del pod["spec"]["containers"][0]["command"]
    pod["spec"]["containers"][0]["args"] = ["--version"]
    pod, log = run_pod(cluster, namespace, pod)
    assert pod["status"]["phase"] == "Succeeded"
    assert log[0].startswith("vmferry")


def test_secret_that_comes_late_lets_the_pod_go_on(cluster, namespace):
    pod = make_pod(
        "app",
        "cat /s/key",
        container={"volumeMounts": [{"name": "s", "mountPath": "/s"}]},
        volumes=[{"name": "s", "secret": {"secretName": "late"}}],
    )
    cluster.create(pod, namespace)
    wait_until(
        lambda: 'secret "late" not found' in cluster.events(namespace), 20, "the event FailedMount"
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}}
    cluster.create({**secret, "stringData": {"key": "here\n"}}, namespace)
    cluster.watch_until(PODS, "app", is_over, namespace)
    assert cluster.log(namespace, "app") == "here\n"


def test_token_of_a_pod_is_renewed(cluster, namespace):
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    script = f"old=$(cat {token}); while [ \"$old\" = \"$(cat {token})\" ]; do sleep 0.1; done"
    cluster.create(make_pod("app", script), namespace)
    cluster.watch_until(PODS, "app", is_running, namespace)
    # What is asked for in the same second is the same token: it may take a second one.
    wait_until(
        lambda: is_over(cluster.get(PODS, "app", namespace)) or _refresh(cluster, namespace, "app"),
        30,
        "a new token",
    )
    pod = cluster.watch_until(PODS, "app", is_over, namespace)
    assert pod["status"]["phase"] == "Succeeded"


def _refresh(cluster, namespace, pod):
    try:
        cluster.control("POST", f"/pods/{namespace}/{pod}/refresh")
    except ApiError as error:
        assert error.code == 409, error  # it has just ended
    return False


def test_ready_when_its_probe_says_so(cluster, namespace):
    probe = {"exec": {"command": ["test", "-e", "/d/ready"]}, "periodSeconds": 1}
    pod = make_pod(
        "app",
        "sleep 600",
        container={
            "readinessProbe": probe,
            "volumeMounts": [{"name": "d", "mountPath": "/d"}],
        },
        volumes=[claim_volume("d")],
    )
    cluster.create(make_claim("d"), namespace)
    cluster.create(pod, namespace)
    wait_until(lambda: "Readiness probe failed" in cluster.events(namespace), 20, "a failed probe")
    pod = cluster.get(PODS, "app", namespace)
    assert is_running(pod) and not status_of(pod)["ready"]
    with open(cluster.volume(namespace, "d").replace("disk.img", "ready"), "w"):
        pass

    def ready(pod):
        return {"Ready": "True"} in [
            {c["type"]: c["status"]} for c in pod["status"].get("conditions", [])
        ]

    pod = cluster.watch_until(PODS, "app", ready, namespace)
    assert status_of(pod)["ready"]


def test_log_is_followed_to_its_end(cluster, namespace):
    pod = make_pod("app", "for i in 1 2 3; do echo line $i; sleep 0.3; done; printf end")
    cluster.create(pod, namespace)
    cluster.watch_until(PODS, "app", lambda pod: is_running(pod) or is_over(pod), namespace)
    path = cluster.path(PODS, namespace, "app", "log")
    texts = []
    follower = threading.Thread(
        target=lambda: texts.append(cluster.request("GET", path, follow="true"))
    )
    follower.start()
    follower.join(30)
    assert texts == ["line 1\nline 2\nline 3\nend"]
    assert cluster.request("GET", path, tailLines=2).splitlines() == ["line 3", "end"]
    assert cluster.request("GET", path, limitBytes=6) == "line 1"


def test_init_containers_come_first(cluster, namespace):
    mounts = [{"name": "d", "mountPath": "/d"}]

    def init(name, script):
        return {
            "name": name,
            "image": IMAGE,
            "command": ["/bin/sh", "-c", script],
            "volumeMounts": mounts,
        }

    pod = make_pod(
        "app",
        "cat /d/log",
        container={"volumeMounts": mounts},
        initContainers=[init("a", "echo a >>/d/log"), init("b", "echo b >>/d/log")],
        volumes=[{"name": "d", "emptyDir": {}}],
    )
    pod, log = run_pod(cluster, namespace, pod)
    assert log == ["a", "b"]
    failing = make_pod("fails", "true", initContainers=[init("a", "exit 4")])
    failing["spec"]["volumes"] = [{"name": "d", "emptyDir": {}}]
    cluster.create(failing, namespace)
    pod = cluster.watch_until(PODS, "fails", is_over, namespace)
    assert pod["status"]["phase"] == "Failed"
    assert "terminated" not in status_of(pod)["state"]


def test_pod_waits_for_its_claim(cluster, namespace):
    pod = make_pod("app", "true", volumes=[claim_volume("files")])
    cluster.create(pod, namespace)

    def reason(pod, text):
        return any(
            c["type"] == "PodScheduled" and text in c.get("message", "")
            for c in pod["status"].get("conditions", [])
        )

    cluster.watch_until(
        PODS, "app", lambda pod: reason(pod, 'claim "files" not found'), namespace
    )
    cluster.create(make_claim("files", storage_class="rig-never"), namespace)
    cluster.watch_until(
        PODS, "app", lambda pod: reason(pod, "unbound immediate PersistentVolumeClaims"), namespace
    )


def test_restricted_namespace_refuses_what_is_not(cluster, namespace):
    cluster.patch(
        "v1/namespaces",
        namespace,
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )
    with pytest.raises(ApiError) as caught:
        cluster.create(make_pod("app", "true"), namespace)
    assert caught.value.code == 403
    assert "allowPrivilegeEscalation" in caught.value.message
