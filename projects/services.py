"""Everything that changes a project or its team."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import throttling
from accounts.errors import Conflict, Forbidden, NotFound, ServiceError, StaleEdit
from accounts.models import User
from projects import audit, jobs, policies
from projects.models import Membership, Project, Role, Task

NAME_TAKEN = "This owner already has a project of this name."

jobs.register(Task.Kind.DELETE_PROJECT, "projects.tasks.delete_project")


@transaction.atomic
def create_project(*, user: User, name: str, description: str = "", source: str = "") -> Project:
    """Make a project that the user owns. Raises Conflict if the user has one of this name."""
    if not user.is_active:
        raise Forbidden("This account is locked.")
    project = Project(name=name.strip(), description=description, source=source, owner=user)
    _store(project)
    Membership.objects.create(project=project, user=user, role=Role.OWNER)
    audit.record(user, project, "project.created", name=project.name)
    return project


@transaction.atomic
def update_project(*, user: User, project: Project, version: str | None = None, **changes: str) -> Project:
    """Change `name`, `description` or `source`. For managers. Raises Conflict if the owner has another of this name.

    Raises StaleEdit if `version` is given and one of the three has been changed since.
    """
    policies.require(user, Role.MANAGER, project)
    project = Project.objects.select_for_update().get(pk=project.pk)
    if version is not None and version != version_of(project):
        raise StaleEdit("The project has been changed since you read it. Read it again and repeat your change.")
    before = {name: getattr(project, name) for name in ("name", "description", "source")}
    changed = {name: value.strip() if name == "name" else value for name, value in changes.items()}
    changed = {name: value for name, value in changed.items() if before[name] != value}
    if changed:
        for name, value in changed.items():
            setattr(project, name, value)
        _store(project, fields=[*changed, "updated_at"])
        audit.record(
            user, project, "project.updated", changes={name: [before[name], changed[name]] for name in changed}
        )
    return project


def version_of(project: Project) -> str:
    """What of a project can be edited, as one word: the same as long as that is, whatever happens to its data."""
    told = "\0".join([project.name, project.description, project.source])
    return blake2b(told.encode(), digest_size=8).hexdigest()


@transaction.atomic
def delete_project(*, user: User, project: Project) -> Task:
    """Put the project out of sight at once and have a worker delete its rows. For the owner."""
    policies.require(user, Role.OWNER, project)
    hidden = Project.objects.filter(pk=project.pk, deleting=False).update(deleting=True)
    if not hidden:
        raise policies.no_such_project(project.pk)
    project.deleting = True
    jobs.cancel_all(project)
    audit.record(user, project, "project.deleted", id=project.pk, name=project.name)
    task = jobs.create_task(project, Task.Kind.DELETE_PROJECT, user)
    jobs.publish(task)
    return task


@transaction.atomic
def add_member(*, user: User, project: Project, email: str, role: Role) -> Membership:
    """Take a user into the team. For managers. Raises Conflict if the user is in it already."""
    policies.require(user, Role.MANAGER, project)
    _check_grant(role)
    member = _find_user(user, email)
    membership, created = Membership.objects.get_or_create(project=project, user=member, defaults={"role": role})
    if not created:
        text = f"{member.email} is in this project already, as {membership.role_name}."
        raise Conflict(text, fields={"email": [text]})
    audit.record(user, project, "member.added", member=member.email, role=role.slug)
    return membership


@transaction.atomic
def change_role(*, user: User, membership: Membership, role: Role, version: str | None = None) -> Membership:
    """Give a member another role. For managers; the owner's role moves only by `transfer_ownership`.

    Raises StaleEdit if `version` is given and the role has been changed since.
    """
    policies.require(user, Role.MANAGER, membership.project)
    membership = _lock_member(user, membership, version)
    _check_grant(role)
    if membership.role != role:
        before = membership.role_name
        membership.role = role
        membership.save(update_fields=["role"])
        audit.record(user, membership.project, "member.changed", member=membership.user.email, role=[before, role.slug])
    return membership


@transaction.atomic
def remove_member(*, user: User, membership: Membership, version: str | None = None) -> None:
    """Put a member out of the team. For managers, and for the member; the owner stays.

    Raises StaleEdit if `version` is given and the role has been changed since.
    """
    membership = _lock_member(user, membership, version)
    membership.delete()
    action = "member.left" if membership.user == user else "member.removed"
    audit.record(user, membership.project, action, member=membership.user.email, role=membership.role_name)


def leave_project(*, user: User, project: Project) -> None:
    """Leave the team oneself. For every member but the owner, who transfers the project first."""
    membership = Membership.objects.filter(project=project, user=user).select_related("project").first()
    if membership is None:
        raise NotFound("You are no member of this project; there is nothing to leave.")
    remove_member(user=user, membership=membership)


@transaction.atomic
def transfer_ownership(*, user: User, project: Project, email: str) -> Membership:
    """Make another user the owner; the one before becomes a manager. For the owner."""
    policies.require(user, Role.OWNER, project)
    project = Project.objects.select_for_update(of=("self",)).select_related("owner").get(pk=project.pk)
    heir, before = _find_user(user, email), project.owner
    if heir == before:
        raise Conflict(f"{heir.email} owns this project already.")
    Membership.objects.filter(project=project, role=Role.OWNER).update(role=Role.MANAGER)
    membership, _ = Membership.objects.update_or_create(project=project, user=heir, defaults={"role": Role.OWNER})
    project.owner = heir
    _store(project, fields=["owner", "updated_at"])
    audit.record(user, project, "project.transferred", owner=[before.email, heir.email])
    return membership


def member_version(membership: Membership) -> str:
    """What of a membership can be changed, as one word."""
    return blake2b(f"{membership.pk} {membership.role}".encode(), digest_size=8).hexdigest()


def set_status(project: Project, status: Project.Status) -> None:
    """Say that the project is importing, ready or failed; for work modules, which leave their own audit lines."""
    Project.objects.filter(pk=project.pk).update(status=status)
    project.status = status


def _store(project: Project, fields: list[str] | None = None) -> None:
    try:
        for name in ("name", "description", "source"):
            _refuse_null_characters(getattr(project, name), name)
        project.clean_fields(exclude=["owner"])
        with transaction.atomic():
            project.save(update_fields=fields)
    except ValidationError as error:
        raise ServiceError("The project's fields are not valid.", fields=_messages(error.message_dict)) from error
    except IntegrityError as error:
        raise Conflict(NAME_TAKEN, fields={"name": [NAME_TAKEN]}) from error


def _refuse_null_characters(text: str, field: str) -> None:
    # PostgreSQL cannot hold them, and model fields do not look.
    if "\0" in text:
        raise ValidationError({field: "Null characters are not allowed."})


def _messages(errors: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    return {name: [str(text) for text in texts] for name, texts in errors.items()}


def _find_user(user: User, email: str) -> User:
    """Whom this email is of. Who asks for many that are nobody's is stopped: it is no way to find out who is there."""
    throttling.check_failures("member-misses", user=str(user.pk))
    try:
        found = User.objects.get_by_natural_key(email.strip())
    except User.DoesNotExist:
        found = None
    if found is None or not found.is_active:
        throttling.fail("member-misses", user=str(user.pk))
        text = f"No active user has the email {email[:254]!r}."
        raise ServiceError(text, fields={"email": [text]})
    return found


def _check_grant(role: Role) -> None:
    if role >= Role.OWNER:
        text = "A project has one owner; the owner hands it over by a transfer."
        raise Forbidden(text, fields={"role": [text]})


def _lock_member(user: User, membership: Membership, version: str | None) -> Membership:
    policies.require(user, Role.VIEWER if membership.user_id == user.pk else Role.MANAGER, membership.project)
    found = (
        Membership.objects.select_for_update(of=("self",))
        .select_related("user", "project")
        .filter(pk=membership.pk)
        .first()
    )
    if found is None:
        raise NotFound("This member has left the project already.")
    if version is not None and version != member_version(found):
        raise StaleEdit("The member's role has been changed since you read it. Read it again and repeat your change.")
    if found.role == Role.OWNER:
        raise Conflict("The owner stays in the project as its owner; transfer the ownership first.")
    return found
