"""Shapes of users, logins and tokens."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.forms import Form, Spelt
from accounts.models import PersonalToken, User

# Hashing longer ones would only cost time.
MAX_PASSWORD = 1024


class PasswordField(serializers.CharField):
    """A password on its way in: kept as typed, never sent out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{"write_only": True, "trim_whitespace": False, "max_length": MAX_PASSWORD, **options},
            style={"input_type": "password"},
        )


class RoleSerializer(serializers.Serializer):
    """A user's role in one project."""

    project = serializers.IntegerField(source="project_id")
    name = serializers.CharField(source="project.name")
    role = serializers.CharField(source="role_name")


class UserSerializer(serializers.ModelSerializer[User]):
    """A user as admins see it, and as logins return it."""

    is_admin = serializers.BooleanField(source="is_superuser", read_only=True)

    class Meta:
        model = User
        fields = ("id", "email", "name", "is_active", "is_staff", "is_admin", "date_joined", "last_login")
        read_only_fields = ("id", "email", "is_active", "is_staff", "date_joined", "last_login")


class MeSerializer(Spelt, UserSerializer):
    """Oneself, with the roles one has; only the name can be changed."""

    roles = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "roles")  # type: ignore[assignment]

    @extend_schema_field(RoleSerializer(many=True))
    def get_roles(self, user: User) -> Any:
        """The user's projects; a global admin may do everything also in all others."""
        memberships = user.memberships.filter(project__deleting=False).select_related("project")
        return RoleSerializer(memberships, many=True).data


class NewUserSerializer(Form):
    """What makes a user."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=150, required=False, allow_blank=True)
    password = PasswordField()
    is_staff = serializers.BooleanField(required=False, help_text="May use the admin; curators need it there.")


class LoginSerializer(Form):
    """Email and password."""

    email = serializers.CharField(max_length=254, write_only=True)
    password = PasswordField()
    code = serializers.CharField(
        max_length=40,
        required=False,
        allow_blank=True,
        write_only=True,
        help_text="Of the authenticator app, or a recovery code, for who has set up a second factor.",
    )


class PairSerializer(serializers.Serializer):
    """A pair of tokens."""

    access = serializers.CharField(read_only=True, help_text="For the `Authorization: Bearer` header.")
    refresh = serializers.CharField(read_only=True, help_text="Trade it once for the next pair.")


class LoginAnswerSerializer(PairSerializer):
    """A pair of tokens and whom they speak for."""

    user = UserSerializer(read_only=True)


class RefreshSerializer(Form):
    """The refresh token to trade."""

    refresh = serializers.CharField(write_only=True)


class LogoutSerializer(Form):
    """Which sessions to end."""

    refresh = serializers.CharField(
        required=False, write_only=True, help_text="Spent as well; its session is normally the one that ends anyway."
    )
    everywhere = serializers.BooleanField(
        default=False, write_only=True, help_text="End all of your sessions, not just this one."
    )


class PersonalTokenSerializer(serializers.ModelSerializer[PersonalToken]):
    """A token of a script, without the token itself."""

    works = serializers.BooleanField(
        read_only=True, help_text="False once it has run out, or a new password or a locked account has ended it."
    )
    scopes = serializers.ListField(child=serializers.ChoiceField(PersonalToken.Scope.choices), read_only=True)

    class Meta:
        model = PersonalToken
        fields = ("id", "name", "start", "scopes", "works", "created_at", "expires_at", "last_used_at")
        read_only_fields = fields


class NewPersonalTokenSerializer(Form):
    """What makes a token."""

    name = serializers.CharField(max_length=100, help_text="So that you know it again; each of yours another.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(PersonalToken.Scope.choices),
        allow_empty=False,
        max_length=10,
        help_text="`read`; `write` also imports, edits and exports; `manage` also changes teams, connections and "
        "users, and deletes projects. Each includes the ones before, and never goes beyond your own roles.",
    )
    days = serializers.IntegerField(
        required=False, min_value=1, max_value=36_525, help_text="How long it works; the installation has a limit."
    )


class MadePersonalTokenSerializer(PersonalTokenSerializer):
    """A token that was just made; this once with the token itself."""

    token = serializers.CharField(read_only=True, help_text="For the `Authorization: Bearer` header.")

    class Meta(PersonalTokenSerializer.Meta):
        fields = (*PersonalTokenSerializer.Meta.fields, "token")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]


class PasswordSerializer(Form):
    """The password one has and the one to have."""

    current_password = PasswordField()
    new_password = PasswordField()
