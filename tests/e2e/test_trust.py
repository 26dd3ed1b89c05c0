"""Who is talked to, with which secret, through which proxy."""

import os
import re
import socket

import pytest
from conftest import finished_looking
from harness.proxy import connect_proxy
from test_import_vsphere import calls, import_vm

WRONG = "wrong-Secret-77"


def reach(sim, *more, password=True):
    arguments = ["inventory", "--source", sim.url, "--user", sim.user, *more]
    return arguments + (["--password-file", str(sim.password_file)] if password else [])


def test_wrong_password__is_refused_without_showing_it(sim, vmferry, tmp_path):
    file = tmp_path / "wrong"
    file.write_text(WRONG)
    result = vmferry(
        *reach(sim, "--ca-file", sim.ca_file, "--password-file", file, "--debug", password=False),
        secrets=[WRONG],
    )
    result.failed("127.0.0.1")
    assert "password" in result.err.lower() or "login" in result.err.lower()
    assert calls(sim)["Login"] == 1, "a refused login locks accounts when it is repeated"


@pytest.mark.parametrize("text", ["simulated-Pa55\n", "simulated-Pa55", "simulated-Pa55\r\n"])
def test_password_file__end_of_line_is_not_part_of_it(sim, vmferry, tmp_path, text):
    file = tmp_path / "password"
    file.write_bytes(text.encode())
    more = ["--ca-file", sim.ca_file, "--password-file", file]
    vmferry(*reach(sim, *more, password=False)).good()


def test_environment__stands_in_for_options(sim, vmferry):
    env = {
        "VMFERRY_SOURCE": sim.url,
        "VMFERRY_USER": sim.user,
        "VMFERRY_PASSWORD": sim.password,
    }
    vmferry("inventory", "--ca-file", sim.ca_file, env=env).good()


def test_password_file_that_is_missing_or_empty__fails(sim, vmferry, tmp_path):
    more = ["--ca-file", sim.ca_file, "--password-file"]
    vmferry(*reach(sim, *more, tmp_path / "none", password=False)).failed("none")
    (tmp_path / "empty").write_text("")
    vmferry(*reach(sim, *more, tmp_path / "empty", password=False)).failed("empty")


def test_no_password_and_no_terminal__says_how_to_give_one(sim, vmferry):
    result = vmferry(*reach(sim, "--ca-file", sim.ca_file, password=False))
    assert result.status in (1, 2)
    assert "--password-file" in result.err


def test_prompt__asks_on_the_terminal_without_echo(sim, vmferry, start, tmp_path):
    import pty
    import select
    import subprocess

    from harness import cli

    leader, follower = pty.openpty()
    command = [cli.VMFERRY, *reach(sim, "--ca-file", sim.ca_file, password=False)]
    process = subprocess.Popen(
        ["setsid", "-c", *command],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
        env=cli.environment(tmp_path),
    )
    os.close(follower)
    seen = b""
    while b"assword" not in seen:
        assert select.select([leader], [], [], 20)[0], seen
        seen += os.read(leader, 1000)
    os.write(leader, sim.password.encode() + b"\n")
    out = process.communicate(timeout=60)[0]
    while select.select([leader], [], [], 0.2)[0]:
        try:
            seen += os.read(leader, 1000)
        except OSError:
            break
    os.close(leader)
    assert process.returncode == 0, seen
    assert b"run01" in out
    assert sim.password.encode() not in seen


def test_password_in_the_url__is_refused_and_not_repeated(sim, vmferry):
    url = sim.url.replace("https://", f"https://root:{WRONG}@")
    more = ["--user", sim.user, "--password-file", sim.password_file]
    result = vmferry("inventory", "--source", url, *more, secrets=[WRONG])
    assert result.status == 2, result


def test_unknown_host__is_named(sim, vmferry):
    more = ["--user", sim.user, "--password-file", sim.password_file]
    result = vmferry("inventory", "--source", "https://nosuch.vcenter.invalid", *more)
    result.failed("nosuch.vcenter.invalid")


def test_closed_port__is_named(sim, vmferry):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = ["--user", sim.user, "--password-file", sim.password_file]
    result = vmferry("inventory", "--source", f"https://127.0.0.1:{port}", *more, timeout=150)
    result.failed(str(port))


def test_unknown_authority__is_refused_with_the_thumbprint_seen(sim, vmferry):
    result = vmferry(*reach(sim)).failed("certificate")
    text = result.err.upper().replace(":", "")
    sha1 = sim.ready["thumbprint_sha1"].upper().replace(":", "")
    sha256 = sim.ready["thumbprint_sha256"].upper().replace(":", "")
    assert sha1 in text or sha256 in text, result
    assert not calls(sim), "something was sent before the certificate was checked"


@pytest.mark.parametrize("kind", ["thumbprint_sha1", "thumbprint_sha256"])
@pytest.mark.parametrize("colons", [True, False])
def test_thumbprint__is_enough(sim, vmferry, kind, colons):
    value = sim.ready[kind].replace(":", "")
    if colons:
        value = ":".join(value[i : i + 2] for i in range(0, len(value), 2))
    vmferry(*reach(sim, "--thumbprint", value)).good()
    vmferry(*reach(sim, "--thumbprint", value.lower())).good()


@pytest.mark.parametrize("kind", ["thumbprint_sha1", "thumbprint_sha256"])
def test_other_thumbprint__is_refused_with_the_one_seen(sim, vmferry, kind):
    right = sim.ready[kind].replace(":", "")
    wrong = ("00" if right[:2] != "00" else "11") + right[2:]
    result = vmferry(*reach(sim, "--thumbprint", wrong)).failed()
    assert right.upper() in result.err.upper().replace(":", ""), result
    assert not calls(sim)


def test_thumbprint_that_is_none__is_misuse(sim, vmferry):
    assert vmferry(*reach(sim, "--thumbprint", "abc")).status == 2


def test_ca_file_of_somebody_else__is_refused(sim, vmferry):
    vmferry(*reach(sim, "--ca-file", "/etc/ssl/certs/ca-certificates.crt")).failed("certificate")


def test_insecure__works_by_name_only_and_warns(sim, vmferry):
    result = vmferry(*reach(sim, "--insecure-skip-verify"))
    assert result.status == 0, result
    assert "warning" in result.err.lower()


@pytest.mark.parametrize("through", ["option", "environment"])
def test_proxy__carries_all_of_an_import(sim, vmferry, tmp_path, through):
    with connect_proxy() as proxy:
        target = tmp_path / "out"
        more = ["--proxy", proxy.url] if through == "option" else []
        env = {"HTTPS_PROXY": proxy.url} if through == "environment" else {}
        import_vm(vmferry, sim, "snapped", target, *more, env=env).good()
        assert len(proxy.seen) >= 2, "session and stream both go through it"
        assert set(proxy.seen) == {f"127.0.0.1:{sim.ready['port']}"}
        assert not [h for h in proxy.headers if "cookie" in str(h).lower()]


def test_proxy_that_is_not_there__is_named(sim, vmferry):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = vmferry(*reach(sim, "--ca-file", sim.ca_file, "--proxy", f"http://127.0.0.1:{port}"))
    result.failed("proxy")


def test_secrets__are_in_no_argv_no_debug_log_and_no_error(slow, start, tmp_path):
    from test_import_ends import start_copy

    process = start_copy(slow, start, tmp_path / "out", "--debug")
    # The session's cookie and the ticket in a device URL are secrets as well.
    assert slow.password not in process.cmdline()
    environ = open(f"/proc/{process.pid}/environ", "rb").read()
    assert slow.password.encode() not in environ
    result = process.wait()
    result.good()
    assert "debug" in result.err.lower() or len(result.err) > 500, "there was no debug log"
    assert not re.search(r'vmware_soap_session="?[0-9A-Za-z-]{8}', result.err)
    assert not re.search(r"/nfc/[0-9A-Za-z-]{8}", result.err)
    assert "<password>" not in result.err


def test_wrong_password__leaves_no_target(sim, vmferry, tmp_path):
    file = tmp_path / "wrong"
    file.write_text(WRONG)
    more = ["--vm", "run01", "--to", f"dir:{tmp_path / 'out'}", "--ca-file", sim.ca_file]
    login = ["--source", sim.url, "--user", sim.user, "--password-file", file]
    vmferry("import", *login, *more, secrets=[WRONG]).failed()
    assert not finished_looking(tmp_path / "out")
