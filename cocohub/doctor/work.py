"""Long work: whether somebody does it, whether it gets through, and what lies about."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from cocohub.doctor.findings import Check, Found, error, ok, warning
from cocohub.health import parts
from projects import claims, jobs
from projects.models import Project, Task
from webhooks.models import Delivery, Webhook

OLD_SECONDS = 600  # of a job that waits
LATE = 4  # leases after which somebody should have taken a dead worker's job over
MANY_MESSAGES = 10_000  # in one queue
MANY_FAILED = 5  # in a day


def workers() -> Found:
    """Somebody serves each queue."""
    try:
        told = parts.workers()
    except parts.Unwell as failure:
        return error(
            str(failure),
            "Start one: celery -A cocohub worker -Q imports,thumbnails,insights,exports,sweeps (or `manage.py serve`).",
        )
    return ok(f"{len(told['workers'])} worker(s) answer, and serve every queue.")


def one_storage() -> Found:
    """Workers on other machines do not see this machine's disk."""
    hosts = {name.partition("@")[2] for name in parts.workers()["workers"]}
    if not settings.S3_BUCKET and len(hosts) > 1:
        return error(
            f"Workers run on {', '.join(sorted(hosts))}, and files are on a local disk of each.",
            "Have files in a bucket (S3_BUCKET), or give all of them the same folder over the network.",
        )
    return ok("All workers see the same files.")


def beat() -> Found:
    """What is due is sent."""
    try:
        told = parts.beat()
    except parts.Unwell as failure:
        return error(str(failure), "Start it: celery -A cocohub beat. One, not several.")
    return ok(f"Beat sent something {told['seconds_ago']} s ago.")


def schedule() -> Found:
    """What beat sends is kept in the database, where it can be switched off."""
    off = list(
        PeriodicTask.objects.filter(enabled=False, name__in=settings.CELERY_BEAT_SCHEDULE).values_list(
            "name", flat=True
        )
    )
    if off:
        return warning(
            f"Switched off: {', '.join(off)}.", "Switch it on in the admin, under periodic tasks, unless it is meant."
        )
    return ok("Nothing of the schedule is switched off.")


def waiting() -> Found:
    """How long the oldest job has waited for a worker. Those that wait to be tried again do not count."""
    due = Q(lease_until=None) | Q(lease_until__lte=timezone.now())
    rows = Task.objects.filter(due, status=Task.Status.QUEUED).order_by("created_at")
    oldest = rows.first()
    age = (timezone.now() - oldest.created_at).total_seconds() if oldest else 0
    if oldest and age > OLD_SECONDS:
        return warning(
            f"{rows.count():,} job(s) wait, the oldest ({oldest.kind}) for {age:,.0f} s.",
            "Run more workers for its queue (docs/scaling.md), or see in a worker's log what keeps them busy.",
        )
    return ok(f"{rows.count():,} job(s) wait, the oldest for {age:,.0f} s.")


def unsent() -> Found:
    """A job whose message the broker never got, nor at the second and third try of the sweeper."""
    late = timezone.now() - LATE * jobs.UNANSWERED
    found = Task.objects.filter(
        status=Task.Status.QUEUED, published_at=None, lease_until=None, created_at__lt=late
    ).count()
    if found:
        return error(
            f"{found:,} job(s) have never been sent to a worker.",
            "Beat sends them again every few seconds if it lives and somebody serves the queue `sweeps`.",
        )
    return ok("Every job that waits has been sent.")


def abandoned() -> Found:
    """A job of a dead worker that nobody takes over."""
    late = timezone.now() - LATE * claims.LEASE
    found = Task.objects.filter(status=Task.Status.RUNNING, lease_until__lt=late)
    if number := found.count():
        examples = ", ".join(f"{task.kind} {task.pk}" for task in found[:2])
        return error(
            f"{number:,} job(s) of workers that died, and nobody takes them over: {examples}.",
            "Start beat, and a worker that serves the queue `sweeps`.",
        )
    return ok("No job has been left by a worker that died.")


def unfollowed() -> Found:
    """What follows from a job's end (thumbnails after an import) is done by who ended it, or soon by the sweeper."""
    late = timezone.now() - LATE * jobs.UNANSWERED
    over = Task.objects.exclude(status__in=[Task.Status.QUEUED, Task.Status.RUNNING])
    if number := over.filter(lease_until__lt=late).count():
        return error(
            f"What follows from the end of {number:,} job(s) has not been done.",
            'Start beat; if it runs, look for "What follows from the end of task" in the workers\' logs.',
        )
    return ok("What follows from the end of jobs is done.")


def failed() -> Found:
    """Jobs that have failed in the last day."""
    since = timezone.now() - timedelta(days=1)
    rows = Task.objects.filter(status=Task.Status.FAILED, finished_at__gt=since)
    kinds = dict(rows.values("kind").annotate(number=Count("pk")).values_list("kind", "number"))
    died = rows.filter(message=jobs.DIED).count()
    told = ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items()))
    if died:
        return warning(
            f"The workers of {died:,} job(s) died three times in the last day.",
            "Mostly they had too little memory: see the kernel's log for the OOM killer, and raise mem_limit.",
        )
    if sum(kinds.values()) >= MANY_FAILED:
        return warning(f"Failed in the last day: {told}.", "Each says why in the workplace, under its project's tasks.")
    return ok(f"Failed in the last day: {told or 'none'}.")


def messages() -> Found:
    """Messages that no worker has taken."""
    told = {name: number for name, number in parts.broker()["waiting"].items() if number > MANY_MESSAGES}
    if told:
        words = ", ".join(f"{number:,} in {name}" for name, number in told.items())
        return warning(f"Messages pile up: {words}.", "Run more workers for these queues (docs/scaling.md).")
    return ok("No messages pile up.")


def stale_status() -> Found:
    """A project says that it is importing as long as somebody imports."""
    live = Task.objects.unfinished().filter(kind=Task.Kind.IMPORT, project__isnull=False).values("project")
    number = Project.objects.filter(status=Project.Status.IMPORTING).exclude(pk__in=live).count()
    if number:
        return error(
            f"{number:,} project(s) say they are importing while no import waits or runs.",
            "python manage.py check_integrity --repair",
        )
    return ok("Projects that say they are importing are.")


def unsent_messages() -> Found:
    """A webhook's message whose time has come, and that nobody sends."""
    late = timezone.now() - timedelta(seconds=OLD_SECONDS)
    number = Delivery.objects.filter(status=Delivery.Status.WAITING, due_at__lt=late).count()
    if number:
        return error(
            f"{number:,} message(s) of webhooks should have been sent, and nobody does.",
            "Start beat, and a worker that serves the queue `sweeps`.",
        )
    return ok("No message of a webhook waits for longer than it should.")


def silent_webhooks() -> Found:
    """Webhooks whose messages do not arrive."""
    since = timezone.now() - timedelta(days=1)
    failing = Webhook.objects.filter(Q(active=True, failing_since__lt=since) | ~Q(gave_up=""))
    if number := failing.count():
        examples = ", ".join(f"{one.url} of {one.project}" for one in failing.select_related("project")[:2])
        return warning(
            f"The messages of {number:,} webhook(s) have not arrived for a day or more: {examples}.",
            "Its page in the workplace tells why. Have its receiver mended, or delete it.",
        )
    return ok("What webhooks send arrives.")


ROWS = ("database", "migrations")
CHECKS = (
    Check("workers", workers, ("redis",)),
    Check("one_storage", one_storage, ("redis", "workers")),
    Check("beat", beat, ("redis",)),
    Check("schedule", schedule, ROWS),
    Check("messages", messages, ("redis",)),
    Check("waiting_jobs", waiting, ROWS),
    Check("unsent_jobs", unsent, ROWS),
    Check("abandoned_jobs", abandoned, ROWS),
    Check("unfollowed_jobs", unfollowed, ROWS),
    Check("failed_jobs", failed, ROWS),
    Check("project_status", stale_status, ROWS),
    Check("unsent_messages", unsent_messages, ROWS),
    Check("webhooks", silent_webhooks, ROWS),
)
