"""A TCP proxy that can go away: in front of an API server, whose certificate passes through it."""

import contextlib
import select
import socket
import threading
import urllib.parse


class TcpProxy:
    """with TcpProxy("https://127.0.0.1:6443") as proxy: proxy.url; proxy.leave(); proxy.come_back()"""

    def __init__(self, url):
        where = urllib.parse.urlsplit(url)
        self._target = (where.hostname, where.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self.url = f"{where.scheme}://127.0.0.1:{self._address[1]}"
        self.connections = 0  # that were let through
        self.answered = 0  # bytes that the peer sent
        self._open = set()
        self._lock = threading.Lock()

    def __enter__(self):
        self._serve()
        return self

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        """Connections are refused from here on, and those there are broken."""
        listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
            listener.close()
        self.cut()

    def come_back(self):
        self._listener = socket.create_server(self._address)
        self._serve()

    def cut(self):
        """Breaks the connections there are, with a reset."""
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _serve(self):
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=[client], daemon=True).start()

    def _relay(self, client):
        with client, contextlib.suppress(OSError):
            with socket.create_connection(self._target, 10) as peer:
                ends = {client: peer, peer: client}
                with self._lock:
                    self._open.update(ends)
                    self.connections += 1
                try:
                    self._pump(ends, peer)
                finally:
                    with self._lock:
                        self._open.difference_update(ends)

    def _pump(self, ends, peer):
        while True:
            for end in select.select(list(ends), [], [], 600)[0]:
                data = end.recv(65536)
                if not data:
                    return
                if end is peer:
                    with self._lock:
                        self.answered += len(data)
                ends[end].sendall(data)
