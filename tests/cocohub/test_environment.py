"""Settings from files that the environment names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from cocohub.environment import Environment, _Files

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(monkeypatch):
    """Reads from an environment of its own."""

    def read(**given):
        monkeypatch.setattr(Environment, "ENVIRON", _Files(given))
        return Environment()

    return read


def test_a_value_comes_from_the_file_without_the_line_end(env, tmp_path):
    path = tmp_path / "secret"
    path.write_text(" s3cret\r\n")
    assert env(KEY_FILE=str(path)).str("KEY") == "s3cret"
    assert env(KEY_FILE=str(path)).str("KEY", default="other") == "s3cret"


def test_other_kinds_of_values_come_from_files_too(env, tmp_path):
    path = tmp_path / "number"
    path.write_text("7\n")
    assert env(KEY_FILE=str(path)).int("KEY") == 7


def test_without_a_file_the_value_counts(env):
    assert env(KEY="x").str("KEY") == "x"
    assert env(KEY="x", KEY_FILE="").str("KEY") == "x"
    assert env().str("KEY", default="d") == "d"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(env, tmp_path, content):
    path = tmp_path / "secret"
    if content:
        path.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=f"KEY_FILE is '{path}', which cannot be read"):
        env(KEY_FILE=str(path)).str("KEY", default="d")


def test_two_values_are_one_too_many(env, tmp_path):
    path = tmp_path / "secret"
    path.write_text("a")
    with pytest.raises(ImproperlyConfigured, match="KEY and KEY_FILE are both set"):
        env(KEY="b", KEY_FILE=str(path)).str("KEY")
    assert env(KEY="", KEY_FILE=str(path)).str("KEY") == "a"


def test_the_settings_take_secrets_from_files(tmp_path):
    (tmp_path / "key").write_text("k" * 40 + "\n")
    (tmp_path / "database").write_text("postgresql://someone:word@db/cocohub\n")
    code = "from django.conf import settings as s; print(s.SECRET_KEY, s.DATABASES['default']['PASSWORD'])"
    given = {
        **{name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "DATABASE_URL")},
        "COCOHUB_EMBEDDED": "0", "REDIS_URL": "redis://nowhere", "COCOHUB_HOME": str(tmp_path),
        "SECRET_KEY_FILE": str(tmp_path / "key"), "DATABASE_URL_FILE": str(tmp_path / "database"),
        "DJANGO_SETTINGS_MODULE": "cocohub.settings",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True)
    assert done.stdout.split() == ["k" * 40, "word"], done.stderr[-500:]
