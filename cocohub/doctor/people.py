"""Who may do everything, and how well that is kept."""

from django.conf import settings

from accounts.models import User
from cocohub import seeding
from cocohub.doctor.findings import Check, Found, error, ok, warning
from cocohub.management.commands import demo

SHOWN = 3


def admins() -> Found:
    """Somebody can make users and let people in again."""
    number = User.objects.filter(is_superuser=True, is_active=True).count()
    if not number:
        return error("There is no global admin.", "python manage.py createsuperuser")
    return ok(f"{number:,} global admin(s).")


def second_factors() -> Found:
    """A stolen password of an admin opens everything."""
    rows = User.objects.filter(is_superuser=True, is_active=True).exclude(second_factor__confirmed_at__isnull=False)
    without = [user.email for user in rows if user.has_usable_password()]
    if without and (settings.STAFF_SECOND_FACTOR == "required" or settings.PRODUCTION):
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        return warning(
            f"Global admins without a second factor: {', '.join(without[:SHOWN])}{more}.",
            "Each sets it up in the admin, under their name, or is locked out of it by STAFF_SECOND_FACTOR=required.",
        )
    return ok("Second factors are set up where they are asked for.")


def known_passwords() -> Found:
    """The passwords of the demo and of the seed are in the documentation."""
    known = {demo.EMAIL: demo.PASSWORD, **{login.email: seeding.PASSWORD for login in seeding.PEOPLE}}
    rows = User.objects.filter(email__in=known, is_active=True)
    found = [user.email for user in rows if user.check_password(known[user.email])]
    if found and not settings.DATABASE_IS_EMBEDDED:
        return error(
            f"Anybody can log in as {', '.join(found)}: the password is in the documentation.",
            f"python manage.py changepassword {found[0]}, or lock the account in the admin.",
        )
    return ok("No login has a password that is in the documentation, or this is a try on this machine.")


ROWS = ("database", "migrations")
CHECKS = (
    Check("admins", admins, ROWS),
    Check("second_factors", second_factors, ROWS),
    Check("known_passwords", known_passwords, ROWS),
)
