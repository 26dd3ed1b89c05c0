"""Run the vmferry under test, and hold every run to what is true of all of them: it ends in time,
no sanitizer has anything to say, and no secret is printed."""

import os
import re
import signal
import subprocess
import time

VMFERRY = os.environ.get("VMFERRY", "")
SANITIZER = re.compile(
    r"(ERROR: (Address|Leak|Thread)Sanitizer.*|WARNING: ThreadSanitizer.*|.*runtime error: .*)"
)


class Result:
    """What one run left: its exit status, or minus the signal that killed it, and its words."""

    def __init__(self, status, out, err, seconds):
        self.status = status
        self.out = out
        self.err = err
        self.seconds = seconds

    def __repr__(self):
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def failed(self, *words, status=1):
        """It ended with `status`, and its error names all of `words` (case does not matter)."""
        assert self.status == status, self
        assert "vmferry: error: " in self.err or status >= 128, self
        missing = [word for word in words if word.lower() not in self.err.lower()]
        assert not missing, f"not named: {missing}\n{self}"
        return self

    def good(self):
        assert self.status == 0, self
        assert "error:" not in self.err, self
        return self


def environment(home, **extra):
    """A clean environment: nothing of the caller's proxies, sources or locale."""
    result = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm",
        "TMPDIR": str(home),
    }
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            result[name] = os.environ[name]
    result.update({name: str(value) for name, value in extra.items()})
    return result


def _own_signals():
    # A background shell starts its children with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


class Process:
    """A vmferry that runs while the test does other things."""

    def __init__(self, arguments, home, env=None, stdin=subprocess.DEVNULL, prefix=(), cwd=None):
        self.secrets = []
        self.started = time.monotonic()
        self.arguments = [*prefix, VMFERRY, *map(str, arguments)]
        self._out = open(os.path.join(home, f"stdout.{id(self)}"), "w+b")
        self._err = open(os.path.join(home, f"stderr.{id(self)}"), "w+b")
        self.process = subprocess.Popen(
            self.arguments,
            stdin=stdin,
            stdout=self._out,
            stderr=self._err,
            env=environment(home, **(env or {})),
            cwd=cwd or home,
            start_new_session=True,
            preexec_fn=_own_signals,
        )

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def out_so_far(self):
        return open(self._out.name, "rb").read().decode(errors="replace")

    def err_so_far(self):
        return open(self._err.name, "rb").read().decode(errors="replace")

    def cmdline(self):
        return open(f"/proc/{self.pid}/cmdline", "rb").read().decode(errors="replace")

    def wait(self, timeout=120):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGABRT)
            self.process.wait()
            raise AssertionError(
                f"still running after {timeout} s: {self.arguments}\n{self.err_so_far()[-3000:]}"
            ) from None
        seconds = time.monotonic() - self.started
        texts = []
        for stream in (self._out, self._err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
            stream.close()
        result = Result(status, *texts, seconds)
        found = SANITIZER.search(result.err)
        assert not found, f"{found[0]}\n{result}"
        for secret in self.secrets:
            assert secret not in result.out and secret not in result.err, "a secret was printed"
        return result


def wait_until(condition, timeout=20, what="the condition"):
    """Poll until `condition()` is true, and return what it gave."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {timeout} s for {what}"
        time.sleep(0.05)
