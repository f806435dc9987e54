"""The double is held to recordings of a real CVAT: same status, same form of the body, step by step."""

import re

import pytest

from tests.cvat_double import Double
from tests.exports.cvat import replay

# Steps that are not compared, and why: (recording, pattern of the step, reason).
NOT_COVERED = [
    ("*", r"^(?!.*cloud).*delivery ", "deliveries go to a listener; test_webhooks has one"),
    ("01", r"formats the server can", "the list of formats is not used"),
    ("05", r"no extension|animated|pdf|video", "not needed: names get an ending before they are sent"),
    ("06", r"server_files with a parent folder", "shares are not doubled"),
    ("07", r"connection is cut in the middle", "no answer to compare; test_uploading cuts for real"),
    ("07", r"^I: ", "Upload-Multiple is not used"),
    ("07", r"^G: no Origin", "the recording went through a proxy; a bare server fails"),
    (
        "08",
        r"^(A|F|B): |F \(waits|only failed ones|list of its requests",
        "a queue of several; test_double has them with the double's clock",
    ),
    ("08", r"after the expiry date", "needs the clock: tested in test_double"),
    (
        "12",
        r"silent: event is no filter|listener|ping|one delivery|deliveries|send one delivery|last_status|delivery",
        "needs the listener",
    ),
    ("15", r"rate limit|health|OPTIONS", "rate limit: test_double; health and OPTIONS are not used"),
    ("15", r"users: find by name", "users are not looked up"),
    ("15", r"Accept: text/html", "the pages of the API are not doubled"),
]
# Parts of bodies that may differ: (pattern of the difference, reason).
MAY_DIFFER = [
    (r"\.(started_date|finished_date|expiry_date|result_url|last_login)\b", "depends on the moment of the poll"),
    (r"\.description|\.logo_url", "free text"),
]
FILES = ["01", "02", "03", "04+10+11", "05", "06", "07", "08", "09", "12", "13", "15"]


def not_covered(file: str, step: str) -> bool:
    return any(name in ("*", file) and re.search(pattern, step) for name, pattern, _ in NOT_COVERED)


def polls_before_end(steps: list[dict], index: int) -> int:
    """How often the recording polls this request before it has ended."""
    count = 0
    path = None
    for step in steps[index + 1 :]:
        if "/requests/" not in step["request"]["path"] or step["request"]["method"] != "GET":
            continue
        path = path or step["request"]["path"]
        if step["request"]["path"] != path:
            continue
        if step["response"].get("json", {}).get("status") not in ("started", "queued"):
            break
        count += 1
    return count


@pytest.mark.parametrize("files", FILES)
def test_double_answers_as_recorded(files):
    wrong: list[str] = []
    compared = 0
    with Double() as double:
        double.state.options.races = False
        player = replay.Replay(double)
        for file in files.split("+"):
            recorded = replay.steps(file)
            for index, step in enumerate(recorded):
                label = f"{file}/{index} {step['step']}"
                if step["request"]["path"].endswith(("/data", "/export")):
                    double.state.options.polls_until_done = polls_before_end(recorded, index)
                if "direction" in step or not step["request"]["path"].startswith("/api"):
                    continue
                if step["response"]["status"] is None:
                    continue
                status, headers, body = player.send(step)
                if not_covered(file, step["step"]):
                    continue
                compared += 1
                expected = step["response"]
                if status != expected["status"]:
                    wrong.append(f"{label}: {expected['status']} recorded, {status} found: {str(body)[:150]}")
                    continue
                wrong += [f"{label}: {found}" for found in compare(expected, headers, body)]
                if status == 200 and step["request"]["path"].endswith("/annotations") and "json" in step["request"]:
                    counts = len(expected["json"]["shapes"]), len(body["shapes"])
                    wrong += (
                        [f"{label}: {counts[0]} shapes recorded, {counts[1]} found"] if counts[0] != counts[1] else []
                    )
    assert not wrong, f"{len(wrong)} differences in {compared} steps:\n" + "\n".join(wrong[:60])
    assert compared >= 20


def compare(expected: dict, headers: dict, body: object) -> list[str]:
    found = []
    kind = expected.get("headers", {}).get("Content-Type", "").partition(";")[0]
    ours = headers.get("Content-Type", "").partition(";")[0]
    if kind and "body_bytes" not in expected and kind != ours:
        found.append(f"content type {kind!r} recorded, {ours!r} found")
    for name in ("Location", "Upload-Offset", "Upload-Length", "Retry-After", "WWW-Authenticate"):
        if (name in expected.get("headers", {})) != (name in headers):
            found.append(f"the header {name} is on one side only")
    if "json" in expected:
        found += list(replay.differences(expected["json"], body))
    elif expected.get("text"):
        page = expected["text"].lstrip().startswith("<!doctype")
        if replay.words_of_page(body).lstrip().startswith("<!doctype") != page:
            found.append("a page on one side, text on the other")
    return [one for one in found if not any(re.search(pattern, one) for pattern, _ in MAY_DIFFER)]


@pytest.mark.parametrize(("file", "pattern", "reason"), NOT_COVERED)
def test_list_of_what_is_not_covered_is_needed(file, pattern, reason):
    names = [name for part in FILES for name in part.split("+")] if file == "*" else [file]
    assert reason
    assert any(re.search(pattern, step["step"]) for name in names for step in replay.steps(name))
