"""A receiver of webhooks on the loopback: it answers as it is told, and remembers what came."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """`url` is where it listens; `answer()` gives status, headers and body of the next answer."""

    url: str = ""
    came: list[tuple[dict[str, str], str]] = field(default_factory=list)  # headers in small letters, body
    answer: Callable[[], tuple[int, dict[str, str], bytes]] = lambda: (204, {}, b"")
    delay: float = 0.0

    def says(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Answer so from now on."""
        self.answer = lambda: (status, headers or {}, body)


@contextmanager
def listening() -> Iterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            time.sleep(receiver.delay)
            status, headers, content = receiver.answer()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Nothing on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def dripping(beginning: bytes, seconds: float = 10.0) -> Iterator[int]:
    """The port of a server that answers with the beginning and then a byte each tenth of a second, for so long."""
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(beginning)
            until = time.monotonic() + seconds
            while not ended.wait(0.1) and time.monotonic() < until:
                connection.sendall(b"H")

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
