"""The double over real HTTP on loopback, and the switches to make it misbehave."""

import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

# Imported for their routes.
from tests.cvat_double import annotations, exporting, people, projects, remarks, tasks, uploads, works  # noqa: F401
from tests.cvat_double.answers import Answer, Refusal, as_json
from tests.cvat_double.calls import Call, authenticate, choose_context, dispatch, negotiate
from tests.cvat_double.faults import AFTER, BEFORE, Fault
from tests.cvat_double.state import ADMIN_TOKEN, State

CONTROL = "/__control"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "Server"
    disable_nagle_algorithm = True
    timeout = 60

    def handle_one_request(self) -> None:
        """As the base, but a client that goes away is no error."""
        with suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _handle(self) -> None:
        state = self.server.state
        parts = urlsplit(self.path)
        if parts.path.startswith(CONTROL):
            self._send(control(self.server, self.command, parts.path.removeprefix(CONTROL), self._body()))
            return
        with state.lock:
            rules = [rule for rule in state.fault_rules if rule.matches(self.command, self.path, self.headers)]
        rule = rules[0] if rules else None
        if rule is not None and rule.kind in (*BEFORE, "body") and not self._before(rule):
            return
        body = self._body()
        if body is None:  # the client has cut the connection: the chunk is dropped whole
            self.close_connection = True
            return
        if rule is not None and rule.kind == "delay":
            time.sleep(rule.seconds)
        answer = self.server.answer(self.command, parts.path, parts.query, self.headers, body)
        if rule is not None and rule.kind in AFTER:
            if rule.kind == "status_after":
                answer = rule.answer()
            else:
                if rule.kind == "hang":
                    self.server.stopping.wait(rule.seconds)
                self._cut()
                return
        self._send(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _handle

    def _before(self, rule: Fault) -> bool:
        if rule.kind == "cut_upload":
            self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
            self._cut()
        elif rule.kind == "drop":
            self._cut()
        else:
            self._body()
            self._send(rule.answer())
        return False

    def _body(self) -> bytes | None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, answer: Answer) -> None:
        self.log_request(answer.status)
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: `state.calls` keeps what came."""


class Server(ThreadingHTTPServer):
    """The server with its state."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], state: State) -> None:
        super().__init__(address, Handler)
        self.state = state
        self.stopping = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that cuts is part of the game."""

    def answer(self, method: str, path: str, query: str, headers: Any, body: bytes) -> Answer:
        """Handle one call."""
        call = Call(self.state, method, path, dict(parse_qsl(query, keep_blank_values=True)), headers, body)
        with self.state.lock:
            try:
                authenticate(call, time.monotonic())
                negotiate(call)
                choose_context(call)
                answer = dispatch(call)
            except Refusal as refusal:
                answer = refusal.answer
            self.state.calls.append((method, path, answer.status))
        return answer


def control(server: Server, method: str, path: str, body: bytes | None) -> Answer:
    """`/__control/...`: reset, options, faults, clock, state."""
    state = server.state
    data = json.loads(body) if body else {}
    with state.lock:
        match method, path:
            case "POST", "/reset":
                state.clear()
            case "POST", "/options":
                for name, value in data.items():
                    setattr(state.options, name, value)
            case "GET", "/options":
                return as_json(asdict(state.options))
            case "POST", "/faults":
                state.fault_rules.append(Fault(**data))
            case "DELETE", "/faults":
                state.fault_rules.clear()
            case "POST", "/clock":
                state.advance(float(data["seconds"]))
            case "GET", "/state":
                shapes = sum(len(job.shapes) for job in state.jobs.values())
                counts = {"projects": len(state.projects), "tasks": len(state.tasks), "jobs": len(state.jobs)}
                return as_json({**counts, "shapes": shapes, "calls": len(state.calls)})
            case _:
                return as_json({"detail": "unknown control address"}, 404)
    return as_json({"ok": True})


class Double:
    """A running double: `with Double() as cvat: ...`; `cvat.url`, `cvat.token`, `cvat.state`, `cvat.fault(...)`."""

    token = ADMIN_TOKEN

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.state = State()
        self.server = Server((host, port), self.state)
        self.port = self.server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self.state.base = self.url
        self.state.clear()
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> Self:
        """Serve in a thread."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, also those who hang."""
        self.server.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def fault(self, kind: str, **options: Any) -> Fault:
        """Have calls go wrong; see `faults.Fault`."""
        rule = Fault(kind, **options)
        with self.state.lock:
            self.state.fault_rules.append(rule)
        return rule

    def calls(self, method: str = "", path: str = "") -> list[tuple[str, str, int]]:
        """The calls that came through to the handlers."""
        found = [call for call in self.state.calls if method in ("", call[0])]
        return [call for call in found if path in call[1]]
