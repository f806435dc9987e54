"""Everything that changes who may log in, and how."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, ProtectedError
from django.http import HttpRequest

from accounts import second_factor, throttling, tokens, trail
from accounts.addresses import address_of
from accounts.errors import Conflict, Forbidden, NotFound, ServiceError, Unauthorized
from accounts.models import User
from accounts.tokens import Pair

WRONG_CREDENTIALS = "No active account has this email and password."
EMAIL_TAKEN = "A user with this email exists already."


@dataclass(frozen=True)
class Login:
    """Who logged in, and the tokens for it."""

    user: User
    pair: Pair


def login(*, email: str, password: str, request: HttpRequest, code: str = "") -> Login:
    """Open a session; `code` is of the second factor, for who has one.

    Raises Unauthorized, with one text and after the same time whatever was wrong; CodeNeeded or WrongCode once the
    password is right; TooManyRequests; Forbidden for staff who have yet to set up the second factor that is demanded.
    """
    with trying(request, email):
        user = authenticate(request, username=email, password=password)
        if not isinstance(user, User):
            raise Unauthorized(WRONG_CREDENTIALS)
        second_factor.admit(user, code)
    _check_second_factor(user)
    with transaction.atomic():
        # As the admin's login does: sets last_login and leaves an audit line (accounts.apps).
        user_logged_in.send(sender=User, request=request, user=user)
        return Login(user, tokens.issue(user))


@contextmanager
def trying(request: HttpRequest, email: str) -> Iterator[None]:
    """One try to log in, at whichever door: raises TooManyRequests before anything is looked at; counts failures.

    What is raised inside is a failure.
    """
    address = address_of(request)
    who = throttling.people(address, email)
    throttling.check_failures("login-failures", **who)
    throttling.check("login", **who)
    try:
        yield
    except second_factor.CodeNeeded:  # who was not asked yet has not guessed
        raise
    except Exception:
        throttling.fail("login-failures", **who)
        raise
    throttling.make_familiar(address, email)


def refresh(*, refresh: str) -> Pair:
    """Trade a refresh token for a new pair, once. Raises Unauthorized; Forbidden as for a log-in.

    A second factor may be demanded since the session was opened, or its holder become staff.
    """
    return tokens.rotate(refresh, admit=_check_second_factor)


def _check_second_factor(user: User) -> None:
    if second_factor.must_set_up(user):
        raise Forbidden(
            "Staff need a second factor here. Log in to the admin, where you are led to set it up.",
            detail={"secondFactor": "demanded"},
        )


@transaction.atomic
def logout(*, user: User, session: uuid.UUID, refresh: str = "", everywhere: bool = False) -> None:
    """End this session, or with `everywhere` all of the user's: their tokens and browser sessions die at once.

    A `refresh` token given along is spent, and its session ends too; one that is not valid any more does no harm.
    """
    if refresh:
        tokens.retire(user, refresh)
    tokens.end_session(user, session)
    if everywhere:
        _end_all_sessions(user)
    trail.record(user, "auth.logout", everywhere=everywhere)


@transaction.atomic
def change_password(*, user: User, current: str, new: str) -> Pair:
    """Change one's own password; all sessions end, and the pair returned opens a new one.

    Raises ServiceError naming `current_password` or `new_password`.
    """
    with throttling.guessing(password_of=str(user.pk)):
        if not user.check_password(current):
            text = "This is not your password."
            raise ServiceError(text, fields={"current_password": [text]})
    _check_password(new, user, field="new_password")
    set_own_password(user=user, new=new)
    return tokens.issue(user)


@transaction.atomic
def set_own_password(*, user: User, new: str) -> None:
    """Store a password that has been checked; all of the user's sessions end."""
    user.set_password(new)
    user.save(update_fields=["password"])
    _end_all_sessions(user)
    trail.record(user, "auth.password_changed")


@transaction.atomic
def update_profile(*, user: User, name: str) -> User:
    """Change one's own name."""
    before, user.name = user.name, name
    user.save(update_fields=["name"])
    trail.record(user, "user.updated", target=user.email, name=[before, name])
    return user


@transaction.atomic
def create_user(*, user: User, email: str, password: str | None, name: str = "", is_staff: bool = False) -> User:
    """Make a user who can log in, unless without a password; `is_staff` opens the admin to them. For global admins."""
    _require_admin(user)
    if password is not None:
        _check_password(password, User(email=email, name=name), field="password")
    try:
        with transaction.atomic():
            created = User.objects.create_user(email, password, name=name, is_staff=is_staff)
    except IntegrityError as error:
        raise Conflict(EMAIL_TAKEN, fields={"email": [EMAIL_TAKEN]}) from error
    trail.record(user, "user.created", target=created.email, is_staff=is_staff)
    return created


@transaction.atomic
def set_active(*, user: User, target: User, active: bool) -> User:
    """Let somebody in again, or lock them out: their tokens and browser sessions die at once. For global admins."""
    _require_admin(user)
    if target.pk == user.pk and not active:
        raise Conflict("You cannot lock yourself out; ask another admin.")
    target.is_active = active
    target.save(update_fields=["is_active"])
    if not active:
        _end_all_sessions(target)
    trail.record(user, "user.activated" if active else "user.deactivated", target=target.email)
    return target


@transaction.atomic
def update_user(*, user: User, target: User, **changes: Any) -> User:
    """Change a user's `email`, `name`, `is_staff` or `is_superuser`. For global admins, who keep their own rights."""
    _require_admin(user)
    if target.pk == user.pk and not all(changes.get(flag, True) for flag in ("is_staff", "is_superuser")):
        raise Conflict("You cannot take your own rights away; ask another admin.")
    target = User.objects.select_for_update().get(pk=target.pk)
    made = {name: [getattr(target, name), value] for name, value in changes.items() if getattr(target, name) != value}
    for name, (_before, value) in made.items():
        setattr(target, name, value)
    try:
        with transaction.atomic():
            target.save(update_fields=list(made))
    except IntegrityError as error:
        raise Conflict(EMAIL_TAKEN, fields={"email": [EMAIL_TAKEN]}) from error
    if made:
        trail.record(user, "user.updated", target=target.email, changes=made)
    return target


@transaction.atomic
def end_sessions_after_new_password(*, user: User, target: User) -> None:
    """To be called when an admin has given a user a new password, or taken it away: the user's sessions end."""
    _require_admin(user)
    _end_all_sessions(target)
    trail.record(user, "user.password_set", target=target.email)


@transaction.atomic
def end_sessions_by_command(*, target: User) -> None:
    """The same for who runs the installation and has given the password on its command line."""
    _end_all_sessions(target)
    trail.record(None, "user.password_set", target=target.email)


@transaction.atomic
def delete_user(*, user: User, target: User) -> None:
    """Delete a user who owns no project. For global admins."""
    _require_admin(user)
    if target.pk == user.pk:
        raise Conflict("You cannot delete yourself; ask another admin.")
    email = target.email
    try:
        target.delete()
    except ProtectedError as error:
        raise Conflict(f"{email} owns projects. Transfer or delete those first, or lock the account.") from error
    trail.record(user, "user.deleted", target=email)


def find_user(*, user: User, pk: int) -> User:
    """A user by number, for global admins. Raises Forbidden or NotFound."""
    _require_admin(user)
    found = User.objects.filter(pk=pk).first()
    if found is None:
        raise NotFound(f"There is no user {pk}.")
    return found


def _require_admin(user: User) -> None:
    if not (user.is_active and user.is_superuser):
        raise Forbidden("Only a global admin may manage users.")


def _check_password(password: str, user: User, *, field: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ServiceError("This password will not do.", fields={field: list(error.messages)}) from error


def _end_all_sessions(user: User) -> None:
    User.objects.filter(pk=user.pk).update(token_version=F("token_version") + 1)
    user.refresh_from_db(fields=["token_version"])
