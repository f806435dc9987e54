"""A wire between two servers that can be cut, held or made slow, and that can answer in the server's place."""

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PIECE = 64 * 1024  # bytes
LOOK = 0.05  # seconds between looks whether the wire is whole
OTHER = b"HTTP/1.1 %d Unwell\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"


class Wire:
    """Listens on a port of its own and passes bytes on to another; `with Wire(port) as wire: wire.port`."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._pairs: set[socket.socket] = set()
        self._state = "whole"
        self._answer: Callable[[bytes], bytes | None] | None = None
        self._pause = 0.0  # seconds before each piece to the client
        self._cut_after: int | None = None  # bytes of an answer
        self._break_after: int | None = None  # bytes of a request
        self._stopping = False
        self.answered = 0  # requests answered in the server's place
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self.cut()
        self._listening.close()

    # --- Faults -----------------------------------------------------------------------------------------------------

    def mend(self) -> None:
        """All is well again."""
        self._state, self._answer, self._pause = "whole", None, 0.0
        self._cut_after = self._break_after = None

    def cut(self) -> None:
        """Every connection breaks, and none can be made."""
        self._state = "cut"
        for one in list(self._pairs):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Nothing comes through any more, and nothing breaks."""
        self._state = "held"

    def slow(self, pause: float) -> None:
        """Each piece of an answer waits so long (seconds)."""
        self._pause = pause

    def cut_answers(self, after: int) -> None:
        """Answers break off after so many bytes."""
        self._cut_after = after

    def break_requests(self, after: int) -> None:
        """Requests break off after so many bytes."""
        self._break_after = after

    def answer(self, status: int, code: str, only: bytes = b"", times: int = 10**9) -> None:
        """Requests whose head contains `only` are answered with an error of S3, `times` of them; others pass."""
        left = [times]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()

        def instead(head: bytes) -> bytes | None:
            if only not in head.split(b"\r\n\r\n")[0] or left[0] <= 0:
                return None
            left[0] -= 1
            self.answered += 1
            return OTHER % (status, len(body), body)

        self._answer = instead

    # --- How --------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._state == "cut":
                client.close()
                continue
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:
            client.close()
            return
        self._pairs |= {client, server}
        told = asked = 0
        try:
            while not self._stopping and self._state != "cut":
                ready, _, _ = select.select([client, server], [], [], LOOK)
                if self._state == "held":
                    time.sleep(LOOK)
                    continue
                for one in ready:
                    piece = one.recv(PIECE)
                    if not piece:
                        return
                    if one is client:
                        told = 0
                        if self._instead(client, piece):
                            return
                        asked += len(piece)
                        if self._break_after is not None and asked > self._break_after:
                            return
                        server.sendall(piece)
                        continue
                    time.sleep(self._pause)
                    if self._cut_after is not None and told + len(piece) > self._cut_after:
                        client.sendall(piece[: max(0, self._cut_after - told)])
                        return
                    told += len(piece)
                    client.sendall(piece)
        except OSError:
            return
        finally:
            for one in (client, server):
                self._pairs.discard(one)
                one.close()

    def _instead(self, client: socket.socket, piece: bytes) -> bool:
        """Whether the request that begins here was answered in the server's place."""
        is_head = piece.split(b" ", 1)[0] in {b"GET", b"PUT", b"POST", b"HEAD", b"DELETE"}
        given = self._answer(piece) if self._answer is not None and is_head else None
        if given is None:
            return False
        self._drain(client, piece)
        client.sendall(given)
        return True

    def _drain(self, client: socket.socket, piece: bytes) -> None:
        """Read the request to its end, or the client never looks at the answer."""
        head, _, body = piece.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        if b"100-continue" in head.lower():
            return
        while len(body) < length:
            more = client.recv(PIECE)
            if not more:
                return
            body += more
