"""What is in the projects, and the way to CVAT."""

from django.db.models import Count

from accounts import sealing
from accounts.errors import ServiceError
from assets.models import ImageAsset
from cocohub import integrity
from cocohub.doctor.findings import Check, Found, error, ok, warning
from cocohub.health import parts
from projects.models import Task


def cvat() -> Found:
    """The installation's CVAT answers and knows our token."""
    try:
        told = parts.cvat()
    except parts.Unwell as failure:
        return error(str(failure), "python manage.py check_cvat says more; docs/cvat.md tells how it is set up.")
    return ok(f"CVAT {told['version']}, as {told['user']}." if told["configured"] else "No CVAT is set up.")


def stored_secrets() -> Found:
    """What is sealed in the database can be opened with the keys of the environment."""
    sealed = [(f"{row._meta.verbose_name} {row.pk}", getattr(row, name)) for row, name in sealing.stored()]
    lost = [name for name, secret in sealed if not _opens(secret)]
    if lost:
        return error(
            f"{len(lost):,} stored secret(s) cannot be opened, for example {lost[0]}: SECRET_KEY or CREDENTIALS_KEYS "
            "has been changed.",
            "Add the former key behind the new one: CREDENTIALS_KEYS=new,former. Lost? Give the secrets again.",
        )
    return ok(f"{len(sealed):,} stored secret(s) can be opened.")


def thumbnails() -> Found:
    """Every picture has one, or a worker is at it, or it is known to be broken."""
    at_it = Task.objects.unfinished().filter(kind__in=[Task.Kind.THUMBNAILS, Task.Kind.IMPORT], project__isnull=False)
    rows = ImageAsset.objects.filter(thumbnail_uri="").exclude(uri="").exclude(status=ImageAsset.Status.BROKEN)
    lacking = rows.exclude(project__in=at_it.values("project"))
    found = list(lacking.values_list("project__name").annotate(number=Count("pk")).order_by("-number"))
    if found:
        name, number = found[0]
        return warning(
            f"{sum(count for _, count in found):,} pictures of {len(found):,} project(s) have no thumbnail, "
            f"{number:,} of them in {name!r}.",
            f'python manage.py make_thumbnails --project "{name}"',
        )
    return ok("Every picture has its thumbnail, or a worker is at it.")


def rows() -> Found:
    """The rows agree with each other. Reads all of them."""
    found = list(integrity.look())
    if found:
        told = "; ".join(f"{one.number:,} {one.check.told}" for one in found)
        return error(f"{told}.", "python manage.py check_integrity --repair puts right what can be computed anew.")
    return ok(f"{len(integrity.CHECKS)} kinds of contradictions were looked for, and none was found.")


def _opens(sealed: str) -> bool:
    try:
        sealing.unseal(sealed)
    except ServiceError:
        return False
    return True


ROWS = ("database", "migrations")
CHECKS = (
    Check("cvat", cvat),
    Check("stored_secrets", stored_secrets, ROWS),
    Check("thumbnails", thumbnails, ROWS),
    Check("rows", rows, ROWS, thorough=True),
)
