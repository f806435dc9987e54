"""`make demo-cvat`: the sample data set to a stand-in for CVAT and back, for people without a CVAT at hand.

What is shown is CocoHub's own work over real HTTP; the other side is the double of the tests, which has no pages: its
links lead nowhere.
"""

import argparse
import io
import itertools
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import django
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.cvat_double import Double

QUERY = "category:person"
NAME = "Sample, in a stand-in for CVAT"  # of the tasks, as the pages show them
ANNOTATOR = "double-pat-of-annotator"
PUSH = 3.0  # pixels


def main() -> None:
    """Run the demo against a double of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="of CocoHub afterwards")
    parser.add_argument("--cvat-port", type=int, default=8990, help="of the stand-in")
    parser.add_argument("--no-serve", action="store_true", help="end after the table")
    options = parser.parse_args()
    with Double(options.cvat_port) as cvat:
        # Numbers that no earlier demo has used: its tasks are in our database and not in this stand-in's memory.
        first = int(time.time()) % 10**9
        cvat.state._counters = defaultdict(lambda: itertools.count(first))
        cvat.state.add_user("annotator", ANNOTATOR)
        os.environ |= {"CVAT_API_URL": cvat.url, "CVAT_API_TOKEN": cvat.token, "CVAT_ALLOWED_HOSTS": ""}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
        os.environ.setdefault("PUBLIC_URL", f"http://127.0.0.1:{options.port}")  # links back, and webhooks
        django.setup()
        try:
            show(cvat)
        except CommandError as error:
            sys.exit(str(error))
        if not options.no_serve:
            serve(cvat, options.port)


def show(cvat: Double) -> None:
    """There and back, a row for each step."""
    from cocohub.management.commands.demo import PROJECT

    call_command("demo", no_serve=True)
    row("stand-in", f"{cvat.url} plays CVAT. It is NOT CVAT: it has the API and no pages, links lead nowhere", 0)
    step("check", lambda: told("check_cvat")["message"])
    plan = told("export_cvat", project=PROJECT, q=QUERY, images_per_task=10, dry_run=True)
    row("dry run", f"{plan['images']} images, {plan['annotations']} annotations, {len(plan['tasks'])} tasks", 0)
    made: dict[str, Any] = {}

    def export() -> str:
        made.update(told("export_cvat", project=PROJECT, q=QUERY, images_per_task=10, name=NAME, wait=True))
        return f"{made['images']} images, {made['annotations']} annotations as {made['shapes']} shapes"

    step("export_cvat", export)
    for task in made["tasks"]:
        row("", f"task {task['number']}: {task['link']}", 0)
    step("unchanged", lambda: differences(told("pull_cvat", export=made["export"])))
    step("annotator", lambda: annotate(cvat, made["tasks"][0]["id"]))
    step("pull_cvat", lambda: differences(told("pull_cvat", export=made["export"])))
    taken: dict[str, Any] = {}

    def take() -> str:
        taken.update(told("pull_cvat", export=made["export"], apply="accept"))
        return f"{taken['taken_over']} taken over, {taken['refused']} refused, {taken['left']} left to be decided"

    step("accept", take)
    done = [task for task in taken["progress"] if task["percent"] == 100]
    row("progress", f"{len(done)} of {len(taken['progress'])} tasks are completed in CVAT", 0)
    step("undo", lambda: f"{told('pull_cvat', export=made['export'], undo=taken['pull'])['undone']} put back")


def annotate(cvat: Double, task_id: int) -> str:
    """What somebody might do in CVAT: move, relabel, delete, draw, and say that it is done."""
    from exports.cvat.account import Account, host_of
    from exports.cvat.client import Client

    account = Account(cvat.url, ANNOTATOR, allowed_hosts=frozenset([host_of(cvat.url)]))
    with Client.open(account) as client:
        task = client.task(task_id)
        labels = {label.id: label for label in client.labels(int(task.project_id or 0))}
        shapes = list(client.annotations("tasks", task_id).shapes)
        alone = [shape for shape in shapes if not shape.group and shape.type in ("polygon", "rectangle")]
        moved, relabelled, deleted = alone[0], alone[1], alone[2]
        points = tuple(value + PUSH if value < 100 else value - PUSH for value in moved.points)
        client.save(task_id, "update", [replace(moved, points=points)])
        other = next(label for label in labels.values() if label.type == "any" and label.id != relabelled.label_id)
        client.save(task_id, "update", [replace(relabelled, label_id=other.id, attributes=carried(relabelled, labels))])
        client.save(task_id, "delete", [deleted])
        drawn = replace(
            moved, id=None, type="rectangle", points=(10.0, 10.0, 60.0, 50.0), attributes=(), source="manual"
        )
        client.save(task_id, "create", [drawn])
        for job in client.jobs(task_id):
            body = {"stage": "acceptance", "state": "completed"}
            client.transport.call("PATCH", f"/jobs/{job.id}", body=body, doing="complete the job")
            remark = {"job": job.id, "frame": drawn.frame, "position": [10, 10, 60, 50], "message": "Is this one?"}
            client.transport.call("POST", "/issues", body=remark, doing="leave a remark")
    return "moved an outline, changed a label, deleted one, drew one, left a remark, completed"


def carried(shape: Any, labels: dict[int, Any]) -> tuple[tuple[int, str], ...]:
    """The values of a shape that gets another label: CVAT's page carries over those of the same name."""
    before = {attribute.id: attribute.name for attribute in labels[shape.label_id].attributes}
    target = next(label for label in labels.values() if label.type == "any" and label.id != shape.label_id)
    values = {before[spec]: value for spec, value in shape.attributes if spec in before}
    return tuple((one.id, values[one.name]) for one in target.attributes if one.name in values)


def differences(pull: dict[str, Any]) -> str:
    """What a pull found, in a line."""
    names = ("added", "changed", "deleted", "conflicts", "unchanged")
    told = ", ".join(f"{pull[name]} {name}" for name in names)
    return told + (f", {pull['remarks_open']} remark" if pull["remarks_open"] else "")


def told(command: str, **options: Any) -> dict[str, Any]:
    """What a command prints as JSON."""
    out = io.StringIO()
    call_command(command, json=True, stdout=out, **options)
    result: dict[str, Any] = json.loads(out.getvalue())
    return result


def step(name: str, work: Callable[[], str]) -> None:
    """Do it and tell how long it took."""
    start = time.perf_counter()
    row(name, work(), time.perf_counter() - start)


def row(name: str, words: str, seconds: float) -> None:
    """A row of the table."""
    print(f"{name:<11} {words:<78} {f'{seconds:.2f}' if seconds else '':>8}", flush=True)


def serve(cvat: Double, port: int) -> None:
    """Leave it running, to look at in the admin."""
    from cocohub import serving
    from cocohub.management.commands.demo import EMAIL, PASSWORD

    print(f"\nCocoHub: http://127.0.0.1:{port}/   login {EMAIL}   password {PASSWORD}")
    print(f"Exports and CVAT tasks are in the menu. The stand-in at {cvat.url} ends with this. Ctrl-C stops both.")
    sys.exit(serving.serve("127.0.0.1", port))


if __name__ == "__main__":
    main()
