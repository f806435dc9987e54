"""Who may log in, which sessions have been ended, the tokens of scripts, and which calls are not to be made twice."""

import uuid
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    """Makes users by email; an email is one user's whatever its case."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a user with a hashed password, or with none that could ever match."""
        if not email:
            raise ValueError("A user needs an email address.")
        user = self.model(email=self.normalize_email(email).strip(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make a global admin: sees and may do everything."""
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this email, in any case."""
        return self.annotate(email_key=Lower("email")).get(email_key=Lower(models.Value(username or "")))


class User(AbstractBaseUser, PermissionsMixin):
    """A person or a script that logs in by email. Roles are held per project (`projects.Membership`)."""

    # Django asks for this of a user name; the constraint below is the one that matters.
    email = models.EmailField(_("email"), max_length=254, unique=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    is_staff = models.BooleanField(
        _("may use the admin"), default=False, help_text=_("Curators need this to work in the admin.")
    )
    is_active = models.BooleanField(_("active"), default=True)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)
    # Part of every token: raising it ends all sessions at once (password change, deactivation).
    token_version = models.PositiveIntegerField(default=1, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"), name="accounts_user_email_unique", violation_error_message=_("This email is taken.")
            )
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """The name to show: the person's own, or the email."""
        return self.name or self.email

    def get_short_name(self) -> str:
        """The same as the full name."""
        return self.get_full_name()

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # The admin's browser sessions end with the tokens, for the same reasons.
        return salted_hmac(
            "accounts.User.session", f"{self.password}{self.token_version}", secret=secret, algorithm="sha256"
        ).hexdigest()


class RevokedSessionQuerySet(models.QuerySet["RevokedSession"]):
    """Sessions ended by logout."""

    def expired(self) -> Self:
        """Sessions whose tokens have all run out anyway."""
        return self.filter(expires_at__lt=timezone.now())


class RevokedSession(models.Model):
    """A login that was ended before its tokens ran out; `sid` is carried by all of its tokens."""

    sid = models.UUIDField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="revoked_sessions")
    expires_at = models.DateTimeField(db_index=True)

    objects = RevokedSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("ended session")
        verbose_name_plural = _("ended sessions")

    def __str__(self) -> str:
        return f"{self.user} until {self.expires_at:%Y-%m-%d %H:%M}"


class PersonalTokenQuerySet(models.QuerySet["PersonalToken"]):
    """Tokens of scripts."""

    def expired_long_ago(self, days: int) -> Self:
        """Those that ran out so long ago that nobody will ask why."""
        return self.filter(expires_at__lt=timezone.now() - timedelta(days=days))

    def newest_first(self) -> Self:
        """Latest on top."""
        return self.order_by("-id")


class PersonalToken(models.Model):
    """A token that a script works with in a user's name, for as much as its scopes allow and no more."""

    class Scope(models.TextChoices):
        READ = "read", _("read")  # look at everything that the user sees
        WRITE = "write", _("write")  # and import, edit and export
        MANAGE = "manage", _("manage")  # and change teams, connections, users; delete projects

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="personal_tokens")
    name = models.CharField(_("name"), max_length=100)
    # SHA-256 of the token: of 256 random bits, so nothing slower is needed. The token itself is stored nowhere.
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    start = models.CharField(_("begins with"), max_length=24, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope), verbose_name=_("scopes"))
    # As the session of a login: tickets and streams that were opened with the token end with it.
    sid = models.UUIDField(default=uuid.uuid4, editable=False)
    # The user's `token_version` when it was made: a new password or a locked account ends it too.
    version = models.PositiveIntegerField(editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("runs out"))
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    objects = PersonalTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("personal token")
        verbose_name_plural = _("personal tokens")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "user", Lower("name"), name="accounts_token_name_unique",
                violation_error_message=_("You have a token of this name."),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.name} ({self.start}…)"

    @property
    def works(self) -> bool:
        """Whether it still opens anything; asks for the user's row."""
        alive = self.user.is_active and self.version == self.user.token_version
        return alive and self.expires_at > timezone.now()


class SecondFactor(models.Model):
    """What a user's authenticator app and CocoHub share; log-ins take its codes once it is confirmed."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="second_factor")
    secret_sealed = models.TextField(editable=False)
    confirmed_at = models.DateTimeField(null=True, editable=False)
    last_step = models.BigIntegerField(default=0, editable=False)  # of the last code that was used: none works twice
    recovery = ArrayField(models.CharField(max_length=64), default=list, editable=False)  # SHA-256 of what is left

    class Meta:
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")

    def __str__(self) -> str:
        return f"{self.user_id}"


class IdempotentCall(models.Model):
    """A call that was made with an `Idempotency-Key`, and what it was answered; kept for a day."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=100)
    path = models.CharField(max_length=300)
    # HMAC of the body: rows do not give away what was in it, be it a password.
    body = models.BinaryField(max_length=32)
    # Whoever's call it is that runs or has run; changes when another takes over from one that died.
    holder = models.UUIDField()
    started_at = models.DateTimeField(default=timezone.now, db_index=True)
    status = models.PositiveSmallIntegerField(null=True)  # NULL: not answered yet
    headers = models.JSONField(default=dict)
    answer = models.BinaryField(null=True)  # NULL: it held a secret and was not kept

    class Meta:
        verbose_name = _("idempotent call")
        verbose_name_plural = _("idempotent calls")
        constraints = [models.UniqueConstraint(fields=["user", "key", "path"], name="accounts_idempotent_call_unique")]

    def __str__(self) -> str:
        return f"{self.key} {self.path}"
