"""How far a task is: phase, rate and time left, by polling and as events."""

import asyncio
import gc
import json
import threading
import time
from datetime import timedelta

import pytest
from django.db import connections
from django.test import AsyncClient
from django.utils import timezone

from accounts import tokens
from projects import jobs, watching
from projects.models import Membership, Task
from tests import asynchronous, factories
from tests.conftest import wait_until


def test_rate_and_time_left_come_from_the_phase():
    now = timezone.now()
    task = Task(status="running", phase="rows", done=500, total=2_000, heartbeat_at=now)
    task.phase_started_at = now - timedelta(seconds=10)
    assert (task.rate, task.seconds_left) == (50.0, 30)


@pytest.mark.parametrize("change", [{"done": 0}, {"status": "queued"}, {"phase_started_at": None}])
def test_nobody_guesses_a_rate(change):
    now = timezone.now()
    fields = {"status": "running", "done": 5, "total": 9, "heartbeat_at": now, "phase_started_at": now}
    assert Task(**{**fields, **change}).rate is None


def test_a_new_phase_and_a_new_attempt_begin_to_count_again(run_task, project):
    task = factories.make_task(project)
    seen = []

    def work(claim):
        for phase in ("one", "one", "two"):
            time.sleep(0.3)
            claim.progress(phase, 5, 10)
            seen.append(Task.objects.get(pk=task.pk).phase_started_at)
        return {}

    run_task(task, work)
    assert seen[0] == seen[1] < seen[2]


def test_the_api_shows_rate_and_time_left(project, as_viewer):
    now = timezone.now()
    task = factories.make_task(project, status="running", phase="rows", done=10, total=30, heartbeat_at=now)
    Task.objects.filter(pk=task.pk).update(phase_started_at=now - timedelta(seconds=5))
    body = as_viewer.get(f"/api/v1/tasks/{task.pk}").json()
    assert (body["rate"], body["seconds_left"], body["percent"]) == (2.0, 10, 33)


# --- Events -----------------------------------------------------------------------------------------------------------


def bearer(user):
    return {"Authorization": f"Bearer {tokens.issue(user).access}"}


class Stream:
    """What a browser makes of an event stream."""

    def __init__(self, response):
        assert response.status_code == 200, response.content
        self.response = response
        self.pieces = aiter(response.streaming_content)

    async def next(self, seconds=5):
        """The next event as (name, data, id); comments and `retry` are passed over."""
        while True:
            text = (await asyncio.wait_for(anext(self.pieces), seconds)).decode()
            assert text.endswith("\n\n")
            fields = dict(line.split(": ", 1) for line in text.strip().split("\n") if not line.startswith(":"))
            if "event" in fields:
                return fields["event"], json.loads(fields["data"]), fields["id"]

    async def close(self):
        await self.pieces.aclose()
        # Django's test client wraps the generator and does not close it; a server cancels it.
        self.response = self.pieces = None
        gc.collect()


def change(task, **fields):
    def work():
        try:
            Task.objects.filter(pk=task.pk).update(**fields)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.fixture
def running(transactional_db, project):
    return factories.make_task(project, status="running", phase="rows", done=1, total=10)


def follow(steps):
    """Run an async test; the poller's thread lets go of its connection before the database is emptied."""
    asynchronous.run(steps)
    wait_until(lambda: not any(thread.name.startswith("watched tasks") for thread in threading.enumerate()))


def test_events_tell_progress_and_the_end(running, viewer):
    async def steps():
        stream = Stream(await AsyncClient().get(f"/api/v1/tasks/{running.pk}/events", headers=bearer_))
        name, data, first = await stream.next()
        assert (name, data["done"], data["phase"]) == ("progress", 1, "rows")
        await asyncio.to_thread(change, running, done=7)
        name, data, second = await stream.next()
        assert (name, data["done"], data["percent"]) == ("progress", 7, 70)
        assert first != second
        await asyncio.to_thread(change, running, status="succeeded")
        name, data, _ = await stream.next()
        assert (name, data["status"]) == ("end", "succeeded")
        with pytest.raises(StopAsyncIteration):
            await anext(stream.pieces)

    bearer_ = bearer(viewer)
    follow(steps())


def test_what_was_seen_already_is_not_told_again(running, viewer):
    async def steps():
        address = f"/api/v1/tasks/{running.pk}/events"
        stream = Stream(await AsyncClient().get(address, headers=bearer_))
        _, _, seen = await stream.next()
        again = Stream(await AsyncClient().get(address, headers={**bearer_, "Last-Event-ID": seen}))
        await asyncio.to_thread(change, running, done=8)
        assert (await again.next())[1]["done"] == 8
        await stream.close()
        await again.close()

    bearer_ = bearer(viewer)
    follow(steps())


def test_many_watchers_share_one_look_at_the_row(running, viewer, monkeypatch):
    looks = []
    read = watching.Poller._read
    monkeypatch.setattr(watching.Poller, "_read", lambda self, tasks: looks.append(tasks) or read(self, tasks))

    async def steps():
        address = f"/api/v1/tasks/{running.pk}/events"
        streams = [Stream(await AsyncClient().get(address, headers=bearer_)) for _ in range(20)]
        begun = time.monotonic()
        assert [(await stream.next())[1]["done"] for stream in streams] == [1] * 20
        await asyncio.to_thread(change, running, done=9)
        assert [(await stream.next())[1]["done"] for stream in streams] == [9] * 20
        assert len(looks) <= 2 + (time.monotonic() - begun) / watching.TICK
        for stream in streams:
            await stream.close()
        looked = len(looks)
        await asyncio.sleep(3 * watching.TICK)
        assert len(looks) == looked, "nobody watches, yet the row is read"

    bearer_ = bearer(viewer)
    follow(steps())


def test_who_leaves_the_team_hears_no_more(running, viewer, monkeypatch):
    monkeypatch.setattr(watching, "RECHECK", 0.1)

    async def steps():
        stream = Stream(await AsyncClient().get(f"/api/v1/tasks/{running.pk}/events", headers=bearer_))
        await stream.next()
        await asyncio.to_thread(leave)
        with pytest.raises(StopAsyncIteration):
            await stream.next(3)

    def leave():
        Membership.objects.filter(user=viewer).delete()
        connections.close_all()

    bearer_ = bearer(viewer)
    follow(steps())


def test_silence_is_broken_by_comments(running, viewer, monkeypatch):
    monkeypatch.setattr(watching, "KEEPALIVE", 0.05)

    async def steps():
        stream = Stream(await AsyncClient().get(f"/api/v1/tasks/{running.pk}/events", headers=bearer_))
        await stream.next()
        assert (await asyncio.wait_for(anext(stream.pieces), 3)).startswith(b":")
        await stream.close()

    bearer_ = bearer(viewer)
    follow(steps())


def test_a_browser_comes_with_a_ticket(running, viewer, as_viewer):
    ticket = as_viewer.post(f"/api/v1/tasks/{running.pk}/ticket").json()

    async def steps():
        stream = Stream(await AsyncClient().get(ticket["url"].removeprefix("http://testserver")))
        assert (await stream.next())[0] == "progress"
        await stream.close()

    follow(steps())


def test_a_ticket_is_for_one_task_for_a_while_and_one_session(project, viewer, as_viewer, as_nobody, monkeypatch):
    task, other = factories.make_task(project), factories.make_task(project)
    ticket = as_viewer.post(f"/api/v1/tasks/{task.pk}/ticket").json()["ticket"]
    assert as_nobody.get(f"/api/v1/tasks/{task.pk}/events", {"ticket": ticket}).status_code == 200
    assert as_nobody.get(f"/api/v1/tasks/{other.pk}/events", {"ticket": ticket}).status_code == 401
    assert as_nobody.get(f"/api/v1/tasks/{task.pk}", {"ticket": ticket}).status_code == 401
    assert as_nobody.get(f"/api/v1/tasks/{task.pk}/events", {"ticket": ticket[:-1] + "x"}).status_code == 401
    monkeypatch.setattr("projects.api.events.TICKET_SECONDS", -1)
    assert as_nobody.get(f"/api/v1/tasks/{task.pk}/events", {"ticket": ticket}).status_code == 401
    monkeypatch.undo()
    as_viewer.post("/api/v1/auth/logout")
    type(viewer).objects.filter(pk=viewer.pk).update(is_active=False)
    assert as_nobody.get(f"/api/v1/tasks/{task.pk}/events", {"ticket": ticket}).status_code == 401


def test_errors_are_json_also_for_who_accepts_only_events(project, as_stranger, as_nobody):
    task = factories.make_task(project)
    for client, status in ((as_stranger, 404), (as_nobody, 401)):
        answer = client.get(f"/api/v1/tasks/{task.pk}/events", HTTP_ACCEPT="text/event-stream")
        assert answer.status_code == status
        assert answer.json()["message"]


def test_cancelling_is_heard(running, viewer, owner):
    async def steps():
        stream = Stream(await AsyncClient().get(f"/api/v1/tasks/{running.pk}/events", headers=bearer_))
        await stream.next()
        await asyncio.to_thread(cancel)
        assert (await stream.next())[1]["cancel_requested"] is True
        await stream.close()

    def cancel():
        jobs.cancel(user=owner, task=running)
        connections.close_all()

    bearer_ = bearer(viewer)
    follow(steps())
