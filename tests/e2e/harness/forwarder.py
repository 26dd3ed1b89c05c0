"""What stands between a client and the API server: a line that can be cut, and a server that has
forgotten what it knew."""

import http.client
import http.server
import socket
import ssl
import threading
import time
import urllib.parse

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


class Line:
    """Passes TCP connections on. with Line(host, port) as line: line.port, line.cut(seconds)."""

    def __init__(self, host, port):
        self.peer = host, port
        self.passed = 0
        self._open = set()
        self._lock = threading.Lock()
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self._ended = False

    def _listen(self, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(32)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended = True
        self._close()

    def _close(self):
        with self._lock:
            # Wakes the thread in accept(), which close() does not.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for end in self._open:
                end.shutdown(socket.SHUT_RDWR)

    def cut(self, seconds):
        """Nobody is there for a while, and what was under way breaks."""
        self._close()
        time.sleep(seconds)
        self._listener = self._listen(self.port)

    def _accept(self, listener):
        while True:
            try:
                end, _ = listener.accept()
                peer = socket.create_connection(self.peer, 10)
            except OSError:
                return
            with self._lock:
                self.passed += 1
                self._open |= {end, peer}
            for pair in ((end, peer), (peer, end)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        with self._lock:
            for end in (source, target):
                if end in self._open:
                    self._open.discard(end)
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass


class _Forgetful(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.server.rewrite(self.path)
        peer = http.client.HTTPSConnection(self.server.peer, context=self.server.context)
        headers = {key: self.headers[key] for key in self.headers if key.lower() not in _HOP}
        headers["Authorization"] = f"Bearer {self.server.token}"
        peer.request(self.command, path, body, headers)
        answer = peer.getresponse()
        self.server.seen.append((path, answer.status))
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in _HOP:
                self.send_header(key, value)
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        while data := answer.read1(65536):
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def log_message(self, *_):
        pass


class Forgetful(http.server.ThreadingHTTPServer):
    """Plain HTTP before the API server, with a token of its own, since a client has none for it. The
    first watch is asked for from the beginning of time, which the API server has forgotten: its
    answer is a real 410. `seen` lists paths and codes."""

    daemon_threads = True

    def __init__(self, server, ca_file, token):
        super().__init__(("127.0.0.1", 0), _Forgetful)
        self.peer = urllib.parse.urlsplit(server).netloc
        self.context = ssl.create_default_context(cafile=ca_file)
        self.token = token
        self.seen = []
        self._done = False

    def rewrite(self, path):
        parts = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if "watch" not in query or self._done:
            return path
        self._done = True
        query["resourceVersion"] = "1"
        return f"{parts.path}?{urllib.parse.urlencode(query)}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"
