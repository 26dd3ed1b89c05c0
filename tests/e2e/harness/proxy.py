"""Small servers that tests put in the way: a CONNECT proxy, and one for files."""

import http.server
import select
import socket
import threading


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connect(http.server.BaseHTTPRequestHandler):
    def do_CONNECT(self):
        self.server.seen.append(self.path)
        self.server.headers.append(dict(self.headers))
        host, port = self.path.rsplit(":", 1)
        try:
            peer = socket.create_connection((host, int(port)), 5)
        except OSError:
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        ends = {self.connection: peer, peer: self.connection}
        with peer:
            while True:
                ready, _, _ = select.select(list(ends), [], [], 60)
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)
                if not ready:
                    return

    def log_message(self, *_):
        pass


def connect_proxy():
    """with connect_proxy() as proxy: proxy.url; proxy.seen lists the targets asked for."""
    server = _Server(("127.0.0.1", 0), _Connect)
    server.seen, server.headers = [], []
    return server


def file_server(folder, cut_after=None):
    """Serves the files of a folder; with cut_after, closes the connection after so many bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = folder / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                self.wfile.write(data if cut_after is None else data[:cut_after])
            except OSError:
                pass
            if cut_after is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        def log_message(self, *_):
            pass

    return _Server(("127.0.0.1", 0), Handler)
