"""The first commands on an empty home: several at once, and one that is killed in the middle of the migrations."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import BigAutoField, Index, IntegerField

from accounts.indexes import AddIndexWhileInUse
from cocohub import embedded

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home():
    """A home of its own, its servers stopped in the end."""
    folder = Path(tempfile.mkdtemp(prefix="cocohub-first-"))
    folder.chmod(0o755)
    yield folder / "var"
    embedded.stop(folder / "var")
    shutil.rmtree(folder)


def start(home, *command):
    environment = {**os.environ, "COCOHUB_HOME": str(home), "DATABASE_URL": "", "REDIS_URL": ""}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.Popen(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_several_at_once_migrate_once_and_all_go_on(home, tmp_path):
    document = tmp_path / "train.json"
    document.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}))
    running = [
        start(home, "import_coco", str(document), "--project", "first", "--json"),
        start(home, "list_assets", "--project", "none", "--json"),
        start(home, "list_assets", "--project", "none"),
    ]
    imported, none, also_none = [(one.communicate(timeout=120), one.returncode) for one in running]

    assert imported[1] == 0, imported
    assert json.loads(imported[0][0])["images"] == 1
    for (said, told), code in (none, also_none):
        assert code == 1
        assert told.startswith("CommandError: There is no project 'none'."), told
        assert len(told.splitlines()) == 1
        if said:
            assert json.loads(said) == {"status": "failed", "message": told.strip().partition(": ")[2]}
    assert bool(none[0][0]) > bool(also_none[0][0]), "only --json speaks on stdout"


def test_killed_at_any_moment_of_the_migrations_the_next_one_goes_on(home):
    for seconds in (1.0, 2.0, 2.6, 3.2):
        killed = start(home, "list_assets", "--project", "none")
        time.sleep(seconds)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    last = start(home, "list_assets", "--project", "none")
    _, told = last.communicate(timeout=120)
    assert told.strip() == "CommandError: There is no project 'none'. The projects are: none yet."


# --- Indexes made while tables are in use -----------------------------------------------------------------------------


@pytest.fixture
def table(transactional_db):
    """A table without its index."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE accounts_thing (id bigserial PRIMARY KEY, size int)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE accounts_thing")


def add_index():
    state = ProjectState()
    state.add_model(ModelState("accounts", "Thing", [("id", BigAutoField(primary_key=True)), ("size", IntegerField())]))
    after = state.clone()
    operation = AddIndexWhileInUse("thing", Index(fields=["size"], name="accounts_thing_size"))
    operation.state_forwards("accounts", after)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("accounts", editor, state, after)


def valid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('accounts_thing_size')")
        return cursor.fetchall()


def test_index_is_made_once(table):
    add_index()
    assert valid() == [(True,)]
    add_index()
    assert valid() == [(True,)]


def test_rest_of_a_killed_one_is_made_anew(table):
    add_index()
    with connection.cursor() as cursor:  # what CREATE INDEX CONCURRENTLY leaves when it fails
        cursor.execute("INSERT INTO accounts_thing (size) VALUES (1), (1)")
        cursor.execute("DROP INDEX accounts_thing_size")
        with pytest.raises(Exception, match="could not create unique index"):
            cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY accounts_thing_size ON accounts_thing (size)")
    assert valid() == [(False,)]
    add_index()
    assert valid() == [(True,)]
