"""The installation under test: its servers and processes, how each is killed, stalled and brought back."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from cocohub.embedded import celery_broker_url
from cocohub.embedded.postgres import Postgres
from cocohub.embedded.redis import Redis
from cocohub.serving import QUEUES

ROOT = Path(__file__).resolve().parents[2]
WORKERS = ("worker-1", "worker-2")
UP_SECONDS = 60


class House:
    """Web, two workers, beat, PostgreSQL and Redis, with a home of their own."""

    def __init__(self, home: Path, port: int, environment: dict[str, str]) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.postgres, self.redis = Postgres(home), Redis(home)
        self.database_url = self.postgres.ensure()
        self.redis_url = self.redis.ensure()
        self.environment = {
            **os.environ,
            "COCOHUB_HOME": str(home),
            "COCOHUB_ENV": "development",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "DJANGO_SETTINGS_MODULE": "cocohub.settings",
            **environment,
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        (home / "log").mkdir(exist_ok=True)

    # --- Processes --------------------------------------------------------------------------------------------------

    def command(self, name: str) -> list[str]:
        """The command line of one of our processes."""
        celery = [sys.executable, "-m", "celery", "-A", "tests.faults.app"]
        if name == "web":
            web = ["uvicorn", "cocohub.asgi:application", "--host", "127.0.0.1", "--port", str(self.port)]
            return [sys.executable, "-m", *web, "--log-level", "warning", "--lifespan", "off"]
        if name == "beat":
            return [*celery, "beat", "-l", "warning", "--pidfile=", "--max-interval", "1"]
        quiet = ["--without-gossip", "--without-mingle"]
        return [*celery, "worker", "-n", f"{name}@%h", "-Q", QUEUES, "-c", "1", "-l", "warning", *quiet]

    def start(self, name: str) -> None:
        """Start one of our processes."""
        address = f"{self.database_url}&application_name={name}"
        with (self.home / "log" / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(name), cwd=ROOT, env={**self.environment, "DATABASE_URL": address},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def start_all(self) -> None:
        """Start what does not run, and wait until the web answers."""
        for name in ("web", *WORKERS, "beat"):
            if name not in self.running or self.running[name].poll() is not None:
                self.start(name)
        self.wait_for_web()

    def wait_for_web(self) -> None:
        """Until it is alive."""

        def answers() -> bool:
            with suppress(OSError, urllib.error.HTTPError):
                address = f"{self.url}/api/v1/health/live"
                return urllib.request.urlopen(address, timeout=2).status == 200  # noqa: S310 - our own address
            return False

        wait_until(answers, UP_SECONDS, "the web answers")

    def supervise(self) -> list[str]:
        """As a supervisor would: start again what has ended. The names of what was started."""
        ended = [name for name, process in self.running.items() if process.poll() is not None]
        for name in ended:
            self.start(name)
        return ended

    def stop(self) -> None:
        """Everything, servers too."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
        self.redis.stop()
        self.postgres.stop()

    # --- Harm -------------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """The process with its children, as a power cut would; it is started again at once."""
        process = self.running[name]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        self.start(name)

    def kill_child(self, name: str) -> bool:
        """Only the worker's child, where it has one yet."""
        children = self._children(self.running[name].pid)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return bool(children)

    @contextmanager
    def stalled(self, name: str) -> Iterator[None]:
        """The process and its children stand still."""
        number = self.running[name].pid
        with suppress(ProcessLookupError):
            os.killpg(number, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(number, signal.SIGCONT)

    def kill_postgres(self) -> None:
        """Its main process, and with it all of them; then it is started again, and recovers."""
        for process in self.postgres.processes():
            process.kill()
        self.postgres.ensure()

    def kill_backend(self, holder: str) -> bool:
        """The session of one of ours: PostgreSQL then ends all sessions and recovers."""
        with self.database() as session:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s ORDER BY backend_start LIMIT 1"
            row = session.execute(query, [holder]).fetchone()
        if row is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(row[0], signal.SIGKILL)
        wait_until(self._database_answers, UP_SECONDS, "PostgreSQL has recovered")
        return True

    @contextmanager
    def stalled_server(self, server: Postgres | Redis) -> Iterator[None]:
        """All processes of a server stand still."""
        own = server.processes()
        processes = [*own, *(child for one in own for child in self._children(one.pid))]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def kill_redis(self, *, empty: bool) -> None:
        """It comes back with what it had written, or with nothing."""
        for process in self.redis.processes():
            process.kill()
        if empty:
            (self.redis.data / "appendonly.aof").unlink(missing_ok=True)
        self.redis.ensure()

    # --- Looking ----------------------------------------------------------------------------------------------------

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """A session of our own, by itself from Django's."""
        with psycopg.connect(self.database_url, autocommit=True, connect_timeout=10) as session:
            yield session

    def holder(self) -> str:
        """The worker that is at a job: a claim has a second session, for its heartbeat. "" if none is."""
        query = (
            "SELECT application_name FROM pg_stat_activity WHERE application_name = ANY(%s) "
            "GROUP BY 1 HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT 1"
        )
        try:
            with self.database() as session:
                row = session.execute(query, [list(WORKERS)]).fetchone()
        except psycopg.Error:
            return ""
        return row[0] if row else ""

    def _database_answers(self) -> bool:
        with suppress(psycopg.Error):
            with self.database() as session:
                return session.execute("SELECT 1").fetchone() == (1,)
        return False

    @staticmethod
    def _children(number: int) -> list[psutil.Process]:
        try:
            return psutil.Process(number).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    @property
    def broker_url(self) -> str:
        """The broker in Celery's words."""
        return celery_broker_url(self.redis_url)


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait; TimeoutError names what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds} seconds, and still not: {what}.")
        time.sleep(0.03)
