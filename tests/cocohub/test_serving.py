"""`serve`: what its processes are told of where they listen, and what becomes of those that die."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings

from cocohub import serving


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:8123"), ("0.0.0.0", "http://127.0.0.1:8123"), ("::", "http://[::1]:8123")],  # noqa: S104
    ids=["loopback", "all", "all-v6"],
)
def test_links_lead_to_where_it_listens(host: str, address: str, settings: LazySettings) -> None:
    settings.PUBLIC_URL = settings.PUBLIC_URL_UNSAID
    assert serving.environment(host, 8123)["PUBLIC_URL"] == address


def test_links_lead_to_where_people_come_from_if_that_is_said(settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://cocohub.example.org"
    assert serving.environment("127.0.0.1", 8123).get("PUBLIC_URL") != "http://127.0.0.1:8123"


@pytest.fixture
def part(tmp_path: Path) -> Iterator[serving.Part]:
    waits = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    part = serving.Part("worker", waits, tmp_path / "worker.log", dict(os.environ))
    yield part
    part.process.kill()
    part.process.wait()


def kill(part: serving.Part) -> int:
    pid = part.process.pid
    part.process.kill()
    part.process.wait()
    return pid


def test_a_process_that_was_killed_is_started_again(
    part: serving.Part, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert part.runs()
    monkeypatch.setattr(serving, "YOUNG_SECONDS", 0)
    first = kill(part)
    assert part.runs()
    assert part.process.pid != first
    assert part.process.poll() is None
    assert "worker ended with code -9" in capsys.readouterr().err


def test_one_that_ends_at_once_is_not_started_for_ever(part: serving.Part, capsys: pytest.CaptureFixture[str]) -> None:
    kill(part)
    assert not part.runs()
    assert "worker.log" in capsys.readouterr().err


def test_one_that_stood_may_fall_a_few_times_in_a_row(part: serving.Part, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(serving.time, "sleep", slept.append)
    part.stood = True
    for _ in range(serving.MOST_FALLS):
        kill(part)
        assert part.runs()
    kill(part)
    assert not part.runs()
    assert slept == [1, 2, 3, 4, 5]
