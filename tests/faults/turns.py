"""One run after another, in peace and harmed. Django is set up when this is imported."""

import time
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from accounts import tokens
from accounts.models import User
from projects.models import Project, Task
from tests.cvat_double import Double
from tests.faults import dumps
from tests.faults.harm import OF_WORKERS, Harm
from tests.faults.house import House, wait_until
from tests.faults.kinds import KINDS, Kind, Run, everything_is_done, in_background
from tests.faults.running import (
    END_SECONDS,
    HARMS_PER_RUN,
    PEACE_SECONDS,
    RETRIES,
    WEB_AT_START,
    Summary,
    seeded,
    steadily,
)
from tests.faults.wire import Wire

OWNER = "faults@example.com"
# By the clock, so that how often it is done would differ from run to run.
BY_THE_CLOCK = ("look for what was saved in CVAT", "refresh insights that are behind")
TOKEN_SECONDS = 300


class Turns:
    """Runs in one house."""

    def __init__(self, house: House, cvat: Double, wire: Wire | None, lease: float) -> None:
        self.house, self.cvat, self.wire, self.lease = house, cvat, wire, lease
        self.user: User
        self._token, self._token_from = "", 0.0
        self._reference: dict[str, Any] = {}

    def prepare(self) -> None:
        """Migrate, start everything, stop what goes by the clock."""
        call_command("migrate", verbosity=0, interactive=False)
        found = User.objects.filter(email=OWNER).first()
        self.user = found or User.objects.create_superuser(OWNER, "faults-of-all-kinds")
        Project.objects.all().update(deleting=True)  # of earlier runs: nobody looks after them
        Task.objects.unfinished().update(status=Task.Status.CANCELLED)
        self.house.start_all()
        wait_until(lambda: PeriodicTask.objects.filter(name__in=BY_THE_CLOCK).count() == 2, 60, "beat has its plan")
        PeriodicTask.objects.filter(name__in=BY_THE_CLOCK).update(enabled=False)
        PeriodicTasks.update_changed()

    def harm(self, name: str, disturbances: int, seed: int) -> Summary:
        """So many disturbances of this kind of job."""
        kind, summary = KINDS[name], Summary(name, seed)
        self._reference = self._in_peace(kind)
        wrong = dumps.difference(self._reference, self._in_peace(kind))
        if wrong:
            summary.wrong = ["two undisturbed runs differ:", *wrong[:5]]
            print("\n    ".join(summary.wrong), flush=True)
            return summary
        number, barren = 0, 0
        while sum(summary.harms.values()) < disturbances and barren < 10 and len(summary.wrong) < 20:
            number += 1
            before, known = sum(summary.harms.values()), len(summary.wrong)
            self._harmed(kind, summary, number, disturbances)
            for text in summary.wrong[known:]:
                print(f"\n    {text}", flush=True)
            barren = 0 if sum(summary.harms.values()) > before else barren + 1
            print("." if not summary.wrong else "!", end="", flush=True)
        summary.runs = number
        return summary

    def _in_peace(self, kind: Kind) -> dict[str, Any]:
        run = self._new_run()
        kind.prepare(run)
        kind.start(run)
        wait_until(lambda: everything_is_done(run, kind), PEACE_SECONDS, f"an undisturbed {kind.name} has ended")
        return self._dump(run, kind)

    def _harmed(self, kind: Kind, summary: Summary, number: int, most: int) -> None:
        run = self._new_run()
        with seeded(summary.seed, kind.name, number) as chance:
            harm = Harm(self.house, chance, self.lease, self.cvat if kind.cvat else None, self.wire)
            kind.prepare(run)
            started = in_background(lambda: kind.start(run))
            if chance.random() < WEB_AT_START:
                time.sleep(chance.uniform(0, 0.3))
                what = chance.choice(["web killed", "web stalled"])
                harm.do(what)
                summary.harms[what] += 1
            started()
            told = []
            for _ in range(HARMS_PER_RUN):
                time.sleep(chance.uniform(0.02, 0.9))
                if sum(summary.harms.values()) >= most:
                    break
                row = steadily(lambda: self._row(run, kind))
                if row is None or row["status"] not in (Task.Status.QUEUED, Task.Status.RUNNING):
                    summary.missed += 1
                    break
                what = harm.choose()
                begun = time.monotonic()
                if harm.do(what):
                    summary.harms[what] += 1
                    told.append(what)
                    if what in OF_WORKERS and "killed" in what and row["status"] == Task.Status.RUNNING:
                        self._measure(run, kind, row, begun, summary)
                self.house.supervise()
            try:
                self._end(run, kind, summary)
                found = self._dump(run, kind)
            except (TimeoutError, AssertionError) as error:
                summary.wrong.append(f"run {number} ({run.name}; {', '.join(told)}): {error}")
                return
            for line in dumps.difference(self._reference, found)[:4]:
                summary.wrong.append(f"run {number} ({run.name}; {', '.join(told)}): {line}")

    def _measure(self, run: Run, kind: Kind, before: dict[str, Any], begun: float, summary: Summary) -> None:
        """How long until somebody has the job again; nothing if it had just ended, or is out of attempts."""
        deadline = begun + 120
        while time.monotonic() < deadline:
            row = steadily(lambda: self._row(run, kind))
            self.house.supervise()
            if row is None or row["status"] not in (Task.Status.QUEUED, Task.Status.RUNNING):
                return
            if row["fence"] > before["fence"]:
                if row["status"] == Task.Status.RUNNING:
                    summary.again.append(time.monotonic() - begun)
                return
            time.sleep(0.05)
        summary.wrong.append(f"{run.name}: nobody took the job over within 120 seconds")

    def _end(self, run: Run, kind: Kind, summary: Summary) -> None:
        """Wait until all of it has ended well; ask again for what died too often."""
        with self.cvat.state.lock:
            self.cvat.state.fault_rules.clear()
        self.house.start_all()
        retries = 0
        deadline = time.monotonic() + END_SECONDS
        while True:
            self.house.supervise()
            failed = steadily(lambda: list(Task.objects.filter(project=run.project, status=Task.Status.FAILED)))
            for task in failed:
                if "Something went wrong on our side" in task.message or retries >= RETRIES:
                    raise AssertionError(f"{task.kind} failed: {task.message}")
                with suppress(OSError):
                    run.ask("POST", f"/tasks/{task.pk}/retry")
                    retries += 1
                    summary.retries += 1
            if not failed and steadily(lambda: everything_is_done(run, kind)):
                return
            if time.monotonic() > deadline:
                rows = list(Task.objects.filter(project=run.project).values_list("kind", "status", "message"))
                raise TimeoutError(f"it has not ended within {END_SECONDS} seconds: {rows}")
            time.sleep(0.1)

    def _row(self, run: Run, kind: Kind) -> dict[str, Any] | None:
        tasks = Task.objects.filter(project=run.project, kind=kind.main).order_by("-created_at")
        return tasks.values("status", "fence", "attempt").first()

    def _dump(self, run: Run, kind: Kind) -> dict[str, Any]:
        found = dumps.of_project(run.project, run.name, insights=kind.insights)
        # Each transaction that writes thumbnails raises it: a turn that was cut short, or a slow bucket, has one more.
        if kind.name in ("thumbnails", "import"):
            found["rows"]["projects.project"][0].pop("revision")
        return {**found, "cvat": dumps.of_cvat(self.cvat.state, run.name)} if kind.cvat else found

    def _new_run(self) -> Run:
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM projects_project")
            (number,) = cursor.fetchone()
        return Run(number, self.user, self.house.url, self._access, settings.HOME)

    def _access(self) -> str:
        if time.monotonic() - self._token_from > TOKEN_SECONDS:
            self._token, self._token_from = tokens.issue(self.user).access, time.monotonic()
        return self._token
