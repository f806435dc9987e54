"""The second step of a log-in: a code that an authenticator app shows (TOTP, RFC 6238), or a recovery code.

Who has set it up is asked for it at every door that takes a password. Secrets are sealed, recovery codes are kept as
digests, and each code works once: what is read in the database opens nothing.
"""

import base64
import hashlib
import secrets
import time
from http import HTTPStatus

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import sealing, trail
from accounts.errors import Conflict, Forbidden, ServiceError, Unauthorized
from accounts.models import SecondFactor, User

STEP = 30  # seconds that a code is shown
DRIFT = 1  # steps that a phone's clock may be behind or ahead
DIGITS = 6
SECRET_BYTES = 20
RECOVERY_CODES = 10
ISSUER = "CocoHub"


class CodeNeeded(Unauthorized):
    """The password was right, and a code of the authenticator has to come with it."""

    def __init__(self) -> None:
        super().__init__(_("Give the code that your authenticator app shows."), detail={"secondFactor": "needed"})


class WrongCode(Unauthorized):
    """The password was right, and the code was not, or it has been used already."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self) -> None:
        text = _("This code is not right, or has been used already. Wait for the next one.")
        super().__init__(text, detail={"secondFactor": "wrong"}, fields={"code": [text]})


def is_on(user: User) -> bool:
    """Whether the user's log-ins take a code. One query."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).exists()


def must_set_up(user: User) -> bool:
    """Whether the installation demands it of this user, who has not set it up."""
    return settings.STAFF_SECOND_FACTOR == "required" and user.is_staff and not is_on(user)


def admit(user: User, code: str) -> None:
    """Let in who has no second factor, or gives its code. Raises CodeNeeded or WrongCode.

    To be called once the password is known to be right, so that nobody learns who has one.
    """
    if is_on(user):
        if not code.strip():
            raise CodeNeeded
        spend(user, code)


@transaction.atomic
def begin(user: User) -> str:
    """A new secret, as the address that authenticator apps read from a QR code; nothing is asked for it yet.

    Raises Conflict for who has a second factor.
    """
    if is_on(user):
        raise Conflict(_("You have a second factor already. Take it away first."))
    secret = secrets.token_bytes(SECRET_BYTES)
    sealed = sealing.seal(base64.b32encode(secret).decode())
    SecondFactor.objects.update_or_create(user=user, defaults={"secret_sealed": sealed, "last_step": 0})
    return _totp(secret).get_provisioning_uri(user.email, ISSUER)


def secret_of(user: User) -> str:
    """The secret of a set-up that has begun, for who types rather than scans; "" if there is none."""
    row = SecondFactor.objects.filter(user=user, confirmed_at__isnull=True).first()
    return sealing.unseal(row.secret_sealed) if row else ""


def uri_of(user: User) -> str:
    """The same as an address for a QR code; "" if there is none."""
    secret = secret_of(user)
    return _totp(base64.b32decode(secret)).get_provisioning_uri(user.email, ISSUER) if secret else ""


@transaction.atomic
def confirm(user: User, code: str) -> list[str]:
    """Ask for codes from now on, as the app shows the right one. The recovery codes, which are shown this once.

    All other sessions of the user end. Raises WrongCode, or Conflict where nothing has begun.
    """
    row = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at__isnull=True).first()
    if row is None:
        raise Conflict(_("Begin with a QR code first."))
    _spend_totp(row, code)
    codes = _new_codes(row)
    row.confirmed_at = timezone.now()
    row.save()
    User.objects.filter(pk=user.pk).update(token_version=F("token_version") + 1)
    user.refresh_from_db(fields=["token_version"])
    trail.record(user, "auth.second_factor_added")
    return codes


@transaction.atomic
def renew_codes(user: User, code: str) -> list[str]:
    """Other recovery codes; those before work no longer. Raises WrongCode."""
    row = _locked(user)
    _spend(row, code)
    codes = _new_codes(row)
    row.save()
    trail.record(user, "auth.recovery_codes_renewed")
    return codes


@transaction.atomic
def remove(user: User, code: str) -> None:
    """Ask for codes no longer. Raises WrongCode, or Forbidden where the installation demands one."""
    row = _locked(user)
    if settings.STAFF_SECOND_FACTOR == "required" and user.is_staff:
        raise Forbidden(_("This installation demands a second factor of everybody who may use the admin."))
    _spend(row, code)
    row.delete()
    trail.record(user, "auth.second_factor_removed")


@transaction.atomic
def take_away(*, user: User, target: User) -> None:
    """Take it from somebody who has lost the phone and the recovery codes; their sessions end. For global admins."""
    if not (user.is_active and user.is_superuser):
        raise Forbidden("Only a global admin may manage users.")
    if target.pk == user.pk:
        raise Conflict(_("Take your own away on your own page, with a code."))
    if SecondFactor.objects.filter(user=target).delete()[0]:
        User.objects.filter(pk=target.pk).update(token_version=F("token_version") + 1)
        trail.record(user, "user.second_factor_removed", target=target.email)


def spend(user: User, code: str) -> None:
    """Use up a code of the app or a recovery code. Raises WrongCode, which is in the trail whatever is rolled back."""
    try:
        with transaction.atomic():
            row = _locked(user)
            _spend(row, code)
            row.save()
    except WrongCode:
        trail.record(user, "auth.second_factor_failed")
        raise


def codes_left(user: User) -> int:
    """How many recovery codes are left."""
    row = SecondFactor.objects.filter(user=user).first()
    return len(row.recovery) if row else 0


def _locked(user: User) -> SecondFactor:
    row = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at__isnull=False).first()
    if row is None:
        raise ServiceError(_("You have no second factor."))
    return row


def _spend(row: SecondFactor, code: str) -> None:
    digest = _digest(code)
    if digest in row.recovery:
        row.recovery.remove(digest)
        return
    _spend_totp(row, code)


def _spend_totp(row: SecondFactor, code: str) -> None:
    typed = code.replace(" ", "")
    totp = _totp(base64.b32decode(sealing.unseal(row.secret_sealed)))
    now = int(time.time()) // STEP
    for step in range(now - DRIFT, now + DRIFT + 1):
        right = totp.generate(step * STEP).decode()
        if step > row.last_step and secrets.compare_digest(right.encode(), typed.encode()):
            row.last_step = step
            return
    raise WrongCode


def _new_codes(row: SecondFactor) -> list[str]:
    plain = [secrets.token_hex(8) for _ in range(RECOVERY_CODES)]
    row.recovery = [_digest(code) for code in plain]
    return [f"{code[:4]}-{code[4:8]}-{code[8:12]}-{code[12:]}" for code in plain]


def _digest(code: str) -> str:
    # 64 random bits each, and few tries: nothing slower is needed.
    return hashlib.sha256(code.replace("-", "").replace(" ", "").lower().encode()).hexdigest()


def _totp(secret: bytes) -> TOTP:
    # SHA-1 is what authenticator apps take; HMAC does not need it to be free of collisions.
    return TOTP(secret, DIGITS, SHA1(), STEP)  # noqa: S303
