"""Logging in and out, oneself, and users for global admins."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from accounts import personal, services
from accounts.api import serializers
from accounts.api.authentication import caller, session
from accounts.api.pagination import KeysetPagination
from accounts.api.parameters import Described
from accounts.models import PersonalToken, User


class OpenView(Described):
    """A call that needs no token; one that is sent anyway is not looked at, so that a stale one does not hurt."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class LoginView(OpenView):
    """Email and password for a pair of tokens."""

    secret_answers = ("post",)

    @extend_schema(request=serializers.LoginSerializer, responses=serializers.LoginAnswerSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Open a session."""
        form = serializers.LoginSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        login = services.login(**form.validated_data, request=request._request)
        answer = {"access": login.pair.access, "refresh": login.pair.refresh, "user": login.user}
        return Response(serializers.LoginAnswerSerializer(answer).data)


class RefreshView(OpenView):
    """A refresh token for the next pair."""

    secret_answers = ("post",)

    @extend_schema(request=serializers.RefreshSerializer, responses=serializers.PairSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Trade a refresh token; each can be traded once."""
        form = serializers.RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(serializers.PairSerializer(services.refresh(**form.validated_data)).data)


class LogoutView(Described):
    """The end of a session."""

    token_scopes = {"": None}

    @extend_schema(request=serializers.LogoutSerializer, responses={204: None}, tags=["auth"])
    def post(self, request: Request) -> Response:
        """End this session, or all of your sessions: their tokens stop working at once."""
        form = serializers.LogoutSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        services.logout(user=caller(request), session=session(request), **form.validated_data)
        return Response(status=204)


class PasswordView(Described):
    """One's own password."""

    token_scopes = {"": None}
    secret_answers = ("post",)

    @extend_schema(request=serializers.PasswordSerializer, responses=serializers.PairSerializer, tags=["auth"])
    def post(self, request: Request) -> Response:
        """Change your password: all tokens there are stop working, and the answer is a new pair."""
        form = serializers.PasswordSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        pair = services.change_password(
            user=caller(request),
            current=form.validated_data["current_password"],
            new=form.validated_data["new_password"],
        )
        return Response(serializers.PairSerializer(pair).data)


class MeView(Described):
    """Oneself."""

    token_scopes = {"patch": "manage"}

    @extend_schema(responses=serializers.MeSerializer, tags=["auth"])
    def get(self, request: Request) -> Response:
        """Who you are and which roles you have."""
        return Response(serializers.MeSerializer(caller(request)).data)

    @extend_schema(request=serializers.MeSerializer, responses=serializers.MeSerializer, tags=["auth"])
    def patch(self, request: Request) -> Response:
        """Change your name."""
        user = caller(request)
        form = serializers.MeSerializer(user, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        if form.validated_data:
            services.update_profile(user=user, **form.validated_data)
        return Response(serializers.MeSerializer(user).data)


@extend_schema(tags=["personal tokens"])
class PersonalTokenViewSet(Described, ListModelMixin, GenericViewSet[PersonalToken]):
    """Tokens for scripts, each of its user's own. Whoever calls with such a token cannot make or end others."""

    queryset = PersonalToken.objects.all()
    serializer_class = serializers.PersonalTokenSerializer
    pagination_class = KeysetPagination
    ordering = ("-id",)
    lookup_value_converter = "int"
    token_scopes = {"": None}
    secret_answers = ("create",)

    def get_queryset(self) -> QuerySet[PersonalToken]:
        """The caller's own."""
        if getattr(self, "swagger_fake_view", False):
            return PersonalToken.objects.none()
        return PersonalToken.objects.filter(user=caller(self.request)).select_related("user")

    @extend_schema(
        request=serializers.NewPersonalTokenSerializer, responses={201: serializers.MadePersonalTokenSerializer}
    )
    def create(self, request: Request) -> Response:
        """Make a token for a script. The answer alone has the token itself: keep it, it is nowhere to be had again."""
        form = serializers.NewPersonalTokenSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        token, secret = personal.create(user=caller(request), **form.validated_data)
        data = {**self.get_serializer(token).data, "token": secret}
        return Response(data, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Revoke a token: it opens nothing from now on, and what it has opened is closed."""
        personal.revoke(user=caller(request), pk=pk)
        return Response(status=204)


class IsGlobalAdmin(BasePermission):
    """Lets global admins in."""

    message = "Only a global admin may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the caller is one."""
        return bool(request.user and request.user.is_superuser)


@extend_schema(tags=["users"])
class UserViewSet(Described, ListModelMixin, RetrieveModelMixin, GenericViewSet[User]):
    """Users, for global admins."""

    queryset = User.objects.all()
    serializer_class = serializers.UserSerializer
    permission_classes = (IsGlobalAdmin,)
    pagination_class = KeysetPagination
    ordering = ("-id",)
    lookup_value_converter = "int"
    token_scopes = {"create": "manage", "activate": "manage", "deactivate": "manage"}

    @extend_schema(request=serializers.NewUserSerializer, responses={201: serializers.UserSerializer})
    def create(self, request: Request) -> Response:
        """Make a user who can log in."""
        form = serializers.NewUserSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = services.create_user(user=caller(request), **form.validated_data)
        return Response(self.get_serializer(user).data, status=201)

    @extend_schema(request=None, responses=serializers.UserSerializer)
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, pk: int) -> Response:
        """Lock a user out: their tokens stop working at once."""
        return self._set_active(request, pk, active=False)

    @extend_schema(request=None, responses=serializers.UserSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: int) -> Response:
        """Let a user in again."""
        return self._set_active(request, pk, active=True)

    def _set_active(self, request: Request, pk: int, *, active: bool) -> Response:
        target = services.find_user(user=caller(request), pk=pk)
        return Response(
            self.get_serializer(services.set_active(user=caller(request), target=target, active=active)).data
        )
