"""What docs/webhooks.md tells receivers to do."""

import re
import time

import pytest

from tests.conftest import ROOT
from webhooks import events, sending
from webhooks.models import TEST, Event

TEXT = (ROOT / "docs" / "webhooks.md").read_text()


@pytest.fixture(scope="module")
def is_genuine():
    found: dict = {}
    exec(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], found)  # noqa: S102 - our own page
    return found["is_genuine"]


def test_the_example_tells_genuine_messages_from_others(is_genuine, made, receiver, monkeypatch):
    webhook, secret = made
    sending.deliver(events.test_of(webhook).pk)
    [(headers, body)] = receiver.came

    assert is_genuine(secret, headers, body.encode()) is True
    assert is_genuine(secret, headers, body.encode() + b" ") is False
    assert is_genuine("whsec_" + "A" * 43 + "=", headers, body.encode()) is False
    assert is_genuine(secret, {**headers, "webhook-id": "other"}, body.encode()) is False
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 301)
    assert is_genuine(secret, headers, body.encode()) is False


def test_every_event_is_described():
    told = set(re.findall(r"`(\w+\.\w+)`", TEXT.partition("## Events")[2].partition("##")[0]))
    assert told == {*Event.values, TEST}


def test_the_pauses_are_those_that_are_told():
    units = {"s": 1, "min": 60, "h": 3600}
    line = re.search(r"tried again after (.*?);", TEXT, re.DOTALL)[1]
    assert tuple(int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", line)) == sending.PAUSES
