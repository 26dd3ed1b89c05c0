"""An HTTPS proxy, between vmferry and CDI's upload proxy or the API server, that does what networks and
restarts do: breaks requests, loses answers, gives answers of its own."""

import contextlib
import dataclasses
import http
import re
import select
import socket
import ssl
import subprocess
import threading
import typing
import urllib.parse

END = -1  # all of the body has come but for its last bytes
TAIL = b"0\r\n\r\n"  # of a chunked body
MAX_HEAD = 65536


@dataclasses.dataclass
class Fault:
    """What happens to one request."""

    at: int = 0  # when so many bytes of its body have come, or at its END
    do: typing.Callable | None = None  # called then; the request waits for it
    then: str | int = "pass"  # go on; or "cut" the connection; or give this status as the answer
    text: str = ""  # of that answer
    lose: bool = False  # the server's answer is awaited, and the connection cut

    def pass_on(self):
        return self.then == "pass"


class Gate:
    """A Fault's `do` that waits to be let through: fault = Fault(at=MIB, do=gate); gate.wait(), then
    gate.open()."""

    def __init__(self):
        self._reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self):
        self._reached.set()
        self._opened.wait(120)

    def wait(self, seconds=60):
        assert self._reached.wait(seconds), "the request did not come so far"

    def open(self):
        self._opened.set()


@dataclasses.dataclass
class Request:
    method: str
    path: str
    authorization: str
    body_bytes: int = 0
    whole: bool = False


class FaultProxy:
    """with FaultProxy(url, ca_file, folder) as proxy: proxy.url, proxy.ca_file. `faults` is a list for
    the requests that match: each takes the next one, and when it is empty they pass."""

    def __init__(self, url, ca_file, folder, method="POST", path="/upload"):
        where = urllib.parse.urlsplit(url)
        self._target = (where.hostname, where.port)
        self._upstream = ssl.create_default_context(cafile=ca_file)
        self._method, self._path = method, path
        self.faults = []
        self.requests = []  # that matched
        self.ca_file = make_certificate(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.ca_file, folder / "proxy.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, plain):
        with contextlib.suppress(OSError), plain:
            with self._context.wrap_socket(plain, server_side=True) as client:
                head, rest = _read_head(client)
                if head:
                    self._handle(client, head, rest)

    def _handle(self, client, head, rest):
        method, path = head.split(b" ", 2)[:2]
        request = Request(method.decode(), path.decode(), _header(head, b"Authorization"))
        fault = Fault()
        if request.method == self._method and self._path in request.path:
            with self._lock:
                self.requests.append(request)
                fault = self.faults.pop(0) if self.faults else fault
        with socket.create_connection(self._target, 10) as plain:
            with self._upstream.wrap_socket(plain, server_hostname=self._target[0]) as server:
                server.sendall(_closing(head))
                _Exchange(client, server, request, fault, _length(head)).run(rest)


class _Exchange:
    """One request and its answer."""

    def __init__(self, client, server, request, fault, length):
        self.client, self.server = client, server
        self.request, self.fault = request, fault
        self.length = length  # of the body; None: chunked
        self.held = b""  # the body's last bytes, not yet passed on
        self.reached = False  # the fault

    def run(self, rest):
        if self._take(rest):
            return
        while True:
            for end in _readable(self.client, self.server):
                data = _receive(end)
                if data is None:
                    continue
                if end is self.server and data and not self.fault.lose:
                    self.client.sendall(data)
                elif end is self.server and not data:
                    self._linger()
                    return
                elif end is self.client and (not data or self._take(data)):
                    return

    def _take(self, data):
        """Bytes of the body. True: this request is over."""
        self.request.body_bytes += len(data)
        data = self.held + data
        self.held = b""
        if self.length is None:
            self.request.whole = data.endswith(TAIL)
        else:
            self.request.whole = self.request.body_bytes >= self.length
        if not self.request.whole:
            # The tail may come in pieces.
            data, self.held = data[: -len(TAIL)], data[-len(TAIL) :]
        at = self.fault.at
        due = self.request.whole if at == END else self.request.body_bytes >= at
        if due and not self.reached:
            self.reached = True
            if self.fault.do:
                self.fault.do()
            if not self.fault.pass_on():
                self._end()
                return True
        self.server.sendall(data)
        return False

    def _end(self):
        if self.fault.then == "cut":
            return
        status = self.fault.then
        text = self.fault.text.encode()
        phrase = http.HTTPStatus(status).phrase
        self.client.sendall(
            f"HTTP/1.1 {status} {phrase}\r\nContent-Length: {len(text)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + text
        )
        self._linger()

    def _linger(self):
        """Closed with bytes unread, the connection would be reset and the answer lost."""
        if self.fault.lose:
            return
        self.client.settimeout(5)
        with contextlib.suppress(OSError):
            while self.client.recv(65536):
                pass


def _readable(*ends):
    ready = [end for end in ends if end.pending()]
    return ready or select.select(ends, [], [], 600)[0]


def _receive(end):
    """None: what came was TLS's own."""
    end.settimeout(0)
    try:
        return end.recv(65536)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    finally:
        end.settimeout(60)


def _read_head(client):
    client.settimeout(60)
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more or len(data) > MAX_HEAD:
            return b"", b""
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def _header(head, name):
    found = re.search(rb"\r\n" + name + rb":[ \t]*([^\r]*)", head, re.IGNORECASE)
    return found[1].decode() if found else ""


def _length(head):
    if _header(head, b"Transfer-Encoding"):
        return None
    return int(_header(head, b"Content-Length") or 0)


def _closing(head):
    """One request a connection: then its end is the answer's end."""
    head = re.sub(rb"\r\nConnection:[^\r]*", b"", head, flags=re.IGNORECASE)
    return head[:-2] + b"Connection: close\r\n\r\n"


def make_certificate(folder, name="proxy", address="127.0.0.1"):
    """A self-signed certificate for that address: its file; the key is beside it."""
    certificate = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-out", certificate]
    command += ["-keyout", folder / f"{name}.key", "-addext", f"subjectAltName=IP:{address}"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate
