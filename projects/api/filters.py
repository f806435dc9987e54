"""What lists of projects, tasks and audit lines can be narrowed by."""

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters

from projects.models import AuditLog, Project, Task


class ProjectFilter(filters.FilterSet):
    """Narrows projects."""

    search = filters.CharFilter(method="containing", max_length=200, help_text="In the name or the description.")
    status = filters.ChoiceFilter(choices=Project.Status.choices)

    class Meta:
        model = Project
        fields = ("search", "status")

    def containing(self, projects: QuerySet[Project], name: str, value: str) -> QuerySet[Project]:
        """Those with the text, in any case."""
        return projects.filter(Q(name__icontains=value) | Q(description__icontains=value))


class TaskFilter(filters.FilterSet):
    """Narrows tasks."""

    kind = filters.ChoiceFilter(choices=Task.Kind.choices)
    status = filters.ChoiceFilter(choices=Task.Status.choices)

    class Meta:
        model = Task
        fields = ("kind", "status")


class AuditLogFilter(filters.FilterSet):
    """Narrows audit lines."""

    action = filters.CharFilter(
        method="of_action", max_length=60, help_text="`member.added`, or `member` for all of its family."
    )
    user = filters.NumberFilter(field_name="user_id", min_value=1, max_value=2**63 - 1, decimal_places=0)
    actor = filters.CharFilter(lookup_expr="iexact", max_length=254, help_text="Email, also of a deleted user.")
    after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = AuditLog
        fields = ("action", "user", "actor", "after", "before")

    def of_action(self, lines: QuerySet[AuditLog], name: str, value: str) -> QuerySet[AuditLog]:
        """Those of the action, or of the actions below it."""
        return lines.filter(Q(action=value) | Q(action__startswith=f"{value}."))
