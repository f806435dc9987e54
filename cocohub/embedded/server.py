"""A server that outlives the process which started it: how it is found, joined, started, healed, stopped."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import psutil

from cocohub.embedded.account import (
    account_for,
    inherit_owner,
    is_private,
    let_reach,
    let_read,
    make_folder,
    make_private,
    socket_folder,
)
from cocohub.embedded.locks import POLL_SECONDS, locked, open_lock, wait

LOCK_SECONDS = 180  # waiting for another process that starts a server: initdb and recovery on a slow disk
START_SECONDS = 120  # recovery after a crash replays up to max_wal_size
SILENT_SECONDS = 5  # a process that lives but has no socket
ORPHAN_SECONDS = 3  # children of a killed server normally notice at once
LOG_BYTES = 10 * 1024 * 1024
LOG_LINES = 12


class EmbeddedError(Exception):
    """An embedded server cannot be had; the message tells what was found, what was expected, what to do."""


class State(Enum):
    """What a server says to a new client."""

    READY = auto()
    INCOMPLETE = auto()  # it answers, but `complete` has work to do
    STARTING = auto()
    ABSENT = auto()


class Server(ABC):
    """A server program with its data below home; subclasses know PostgreSQL and Redis."""

    name: ClassVar[str]  # of the data folder, lock and log
    title: ClassVar[str]
    variable: ClassVar[str]  # what to set to do without it
    program_name: ClassVar[str]
    pid_name: ClassVar[str]  # in the data folder, as long as the server runs on it
    socket_names: ClassVar[Sequence[str]]  # in the socket folder
    stop_signals: ClassVar[Sequence[tuple[str, int]]]  # each with the seconds it is given

    def __init__(self, home: Path) -> None:
        if sys.platform == "win32":
            raise EmbeddedError(
                "The embedded servers need Linux or macOS and this is Windows. Use WSL, "
                "or set DATABASE_URL and REDIS_URL."
            )
        self.home = home.expanduser().resolve()
        self.data = self.home / self.name
        self.log = self.home / "log" / f"{self.name}.log"
        try:
            self.account = account_for(self.home, self.data)
        except (LookupError, OSError) as error:
            raise self.error(f"{error}") from error
        self.sockets = socket_folder(self.home, self.account)

    # --- what a subclass tells ---
    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect."""

    @abstractmethod
    def probe(self) -> State:
        """Ask the server."""

    @abstractmethod
    def program(self) -> Path:
        """The server program. Raises EmbeddedError where none is installed."""

    @abstractmethod
    def packages(self) -> list[Path]:
        """The files and folders which the program needs to read."""

    @abstractmethod
    def command(self) -> list[str]:
        """The arguments of the server program; the data folder must be one of them."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the data folder ready for a start. Runs while no process has the data open."""

    @abstractmethod
    def version(self) -> str | None:
        """The version of the data, None where there is none."""

    def complete(self) -> None:  # noqa: B027 -- nothing by default
        """Finish what a server that answers INCOMPLETE lacks."""

    def repair(self) -> bool:
        """After a failed start: mend the data. True if a second start is worthwhile."""
        return False

    def orphans(self) -> list[psutil.Process]:
        """Processes which a killed server left behind and `processes` does not know."""
        return []

    # --- what callers do ---
    def ensure(self) -> str:
        """Join the server, start or heal it where necessary, and give its URL."""
        try:
            self._refuse_foreign_data()
            if not self._joinable():
                make_folder(self.home)
                with self._starting():
                    if not self._joinable():
                        self._start()
        except (OSError, subprocess.SubprocessError, psutil.Error) as error:
            advice = "correct its owner or set COCOHUB_HOME to another folder"
            if os.geteuid() == 0:
                advice += "; root needs CAP_CHOWN, CAP_SETUID and CAP_SETGID to hand over, or start as another user"
            raise self.error(
                f"{error}. It runs as {self.account.name}, who needs the folder {self.data}: {advice}"
            ) from error
        return self.url

    def stop(self) -> bool:
        """Stop the server if it runs, and remove its sockets."""
        try:
            with self._starting() if self.home.is_dir() else nullcontext():
                running = bool(self.processes())
                self._terminate()
                self._remove_sockets()
                with suppress(OSError):  # the other server's socket is still there
                    self.sockets.rmdir()
        except (OSError, psutil.Error) as error:
            raise self.error(f"{error}. It was to be stopped; do that as {self.account.name}") from error
        return running

    def status(self) -> dict[str, Any]:
        """Facts for people; changes nothing."""
        processes = self.processes()
        return {
            "running": bool(processes) and self._joinable(),
            "pids": [process.pid for process in processes],
            "data": str(self.data),
            "log": str(self.log),
            "version": self.version(),
        }

    def processes(self) -> list[psutil.Process]:
        """The living processes of this server, found by program and data folder.

        Looked up among all processes: a number in a pid file may by now be anybody's, and is gone with a data
        folder that was deleted under a running server. A zombie has no command line, so it is none.
        """
        found = []
        for process in psutil.process_iter(["name", "cmdline"]):
            line = process.info["cmdline"] or [""]
            if process.info["name"] == Path(line[0]).name == self.program_name and str(self.data) in line:
                found.append(process)
        return found

    def error(self, found: str) -> EmbeddedError:
        """An error which names this server and the way around it."""
        return EmbeddedError(f"Embedded {self.title} below {self.home}: {found}. Or set {self.variable}.")

    # --- how ---
    def _joinable(self) -> bool:
        """Whether the server serves our data. The one thing that every command pays: some milliseconds."""
        # A server whose data was deleted still answers for a while: its pid file is gone with the data.
        intact = (self.data / self.pid_name).exists() and is_private(self.sockets, self.account)
        return intact and self.probe() is State.READY

    def _refuse_foreign_data(self) -> None:
        if os.geteuid() == 0 or not self.data.is_dir() or self.data.stat().st_uid == self.account.uid:
            return
        raise self.error(
            f"{self.data} belongs to uid {self.data.stat().st_uid}, but this process is {self.account.name}. "
            "Run it as that user or as root, own the folder, or set COCOHUB_HOME to another one"
        )

    def _start(self) -> None:
        if self.processes():
            if self._settle() in (State.READY, State.INCOMPLETE):
                self.complete()
                return
            self._terminate()
        packages = self.packages()
        for package in packages:
            let_read(self.account, package)
        let_reach(self.account, [self.data, *packages])
        make_folder(self.log.parent)
        with self._data_lock() as lock:
            self._make_socket_folder()
            self._remove_sockets()  # PostgreSQL keeps a pid file there too, see its `prepare`
            self.prepare()
            try:
                self._boot(lock)
            except EmbeddedError:
                if not self.repair():
                    raise
                self._boot(lock)
        self.complete()

    def _settle(self) -> State:
        """Wait while a server that lives is still starting: what came of it."""
        if not (self.data / self.pid_name).exists():
            return State.ABSENT
        begun = time.monotonic()
        while True:
            state = self.probe()
            waited = time.monotonic() - begun
            if state in (State.READY, State.INCOMPLETE) or not self.processes():
                return state
            if waited > (START_SECONDS if state is State.STARTING else SILENT_SECONDS):
                return State.ABSENT
            time.sleep(POLL_SECONDS)

    def _boot(self, lock: int) -> None:
        """Start the program and wait until it answers."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            inherit_owner(self.log)
            said_before = self.log.stat().st_size
            pid = self._spawn(lock, log.fileno())
        until = time.monotonic() + START_SECONDS
        while (state := self.probe()) not in (State.READY, State.INCOMPLETE):
            if not lives(pid):
                raise self.error(f"it did not start. The end of {self.log}:\n{_tail(self.log, said_before)}\n")
            if time.monotonic() > until:
                raise self.error(f"it is {state.name.lower()} after {START_SECONDS} s; see {self.log}")
            time.sleep(POLL_SECONDS)

    def _spawn(self, lock: int, log: int) -> int:
        """Start the program away from us: in its own session (no Ctrl-C), with nothing of ours open.

        The shell in between makes it a child of init, so that a killed server leaves no zombie with us.
        """
        shell = ["/bin/sh", "-c", '"$@" </dev/null >&2 & echo $!', "sh", str(self.program()), *self.command()]
        started = subprocess.run(  # noqa: S603 -- our own programs
            shell,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd="/",  # the account may not enter ours
            env=plain_environment(),
            umask=0o077,
            start_new_session=True,
            pass_fds=(lock,),
            **self.account.process_arguments,
        )
        return int(started.stdout)

    def run(self, command: Sequence[str | Path], **arguments: Any) -> "subprocess.CompletedProcess[str]":
        """Run a helper program as the account of the server and collect what it says."""
        return subprocess.run(  # noqa: S603 -- our own programs
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=plain_environment(),
            umask=0o077,
            check=False,
            **self.account.process_arguments,
            **arguments,
        )

    def _terminate(self) -> None:
        """End the processes of this server, politely at first."""
        # Without its data a server cannot finish properly; the last, rude signals remain.
        intact = (self.data / self.pid_name).exists()
        for name, seconds in self.stop_signals[0 if intact else 1 :]:
            processes = self.processes()
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.Signals[name])
            if wait(partial(_all_dead, processes), seconds):
                return
        raise self.error(f"its processes {[p.pid for p in self.processes()]} do not end; end them by hand")

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Only one process at a time starts or stops servers below a home."""
        path = self.home / "embedded.lock"
        descriptor = open_lock(path)
        try:
            if not wait(lambda: locked(descriptor), LOCK_SECONDS):
                holder = path.read_text(errors="replace").strip()
                raise self.error(f"process {holder or '?'} has held {path} for {LOCK_SECONDS} s; if it hangs, end it")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _data_lock(self) -> Iterator[int]:
        """A lock which the server inherits, so that it is held as long as any process of it lives.

        It tells what a pid file cannot: that children of a killed server still write, or that a server in
        another container has the same data open.
        """
        path = self.home / f"{self.name}.lock"
        descriptor = open_lock(path)
        try:
            if not wait(lambda: locked(descriptor), ORPHAN_SECONDS):
                for process in self.orphans():
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                if not wait(lambda: locked(descriptor), ORPHAN_SECONDS):
                    raise self.error(
                        f"{path} is held by a process that cannot be seen from here, perhaps a server in "
                        "another container with the same folder; stop that one"
                    )
            yield descriptor
        finally:
            os.close(descriptor)

    def _make_socket_folder(self) -> None:
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0 and self.sockets.lstat().st_uid == 0:
            os.chown(self.sockets, self.account.uid, self.account.gid, follow_symlinks=False)
        if not is_private(self.sockets, self.account):
            raise self.error(
                f"{self.sockets} is not a private folder (mode 700) of {self.account.name}; somebody "
                "else made it. Remove it"
            )

    def _remove_sockets(self) -> None:
        for name in self.socket_names:
            (self.sockets / name).unlink(missing_ok=True)

    def make_private(self, folder: Path) -> None:
        """Create or correct a folder for the data."""
        make_private(folder, self.account)


def plain_environment() -> Mapping[str, str]:
    """What a server inherits: no PG* variables and no secrets of ours, which would live on in it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}


def package_folder(name: str) -> Path | None:
    """Where a package is installed, without importing it (both wheels do a lot when imported)."""
    found = importlib.util.find_spec(name)
    return Path(found.origin).resolve().parent if found and found.origin else None


def _all_dead(processes: Sequence[psutil.Process]) -> bool:
    return not any(lives(process.pid) for process in processes)


def lives(pid: int) -> bool:
    """Whether there is such a process, and not only its zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])
