"""What people did in CVAT, in the admin: the list of differences, to take over or to refuse; and the pulls."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.errors import ServiceError
from accounts.phrases import in_words
from exports.pulling import loading, services
from exports.pulling.models import CvatDifference, CvatPull, CvatRemark
from projects.admin_base import VIEW, ProjectListFilter, ProjectScopedAdmin, admin_user
from projects.models import Role

SHOWN = 6_000  # characters of a record


@admin.register(CvatDifference)
class CvatDifferenceAdmin(ProjectScopedAdmin):
    """Differences: those that wait for a decision first. Ticked ones are taken over, or refused."""

    roles = {VIEW: Role.VIEWER}
    list_display = (
        "told",
        "changed",
        "export",
        "frame",
        "cvat_user",
        "in_the_way",
        "decision",
        "decided_by",
        "in_cvat",
    )
    list_filter = (
        ProjectListFilter, "decision", "kind", "subject", ("conflict", admin.EmptyFieldListFilter),
        ("problem", admin.EmptyFieldListFilter),
    )  # fmt: skip
    list_select_related = ("cvat_task", "cvat_task__cvat_project", "decided_by", "project")
    search_fields = ("key", "cvat_user", "project__name")
    ordering = ("-id",)
    actions = ("take_over", "refuse")
    fields = (
        "project", "export", "kind", "subject", "key", "frame", "changed", "in_cvat", "cvat_user", "cvat_date",
        "conflict", "problem", "note", "record_before", "record_now", "record_after", "decision", "decided_by",
        "decided_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description=_("difference"))
    def told(self, row: CvatDifference) -> str:
        """What happened to which."""
        return str(row)

    @admin.display(description=_("what changed"))
    def changed(self, row: CvatDifference) -> str:
        """The aspects."""
        return ", ".join(row.aspects) or "-"

    @admin.display(description=_("export"), ordering="job")
    def export(self, row: CvatDifference) -> int:
        """Its number."""
        return row.job_id

    @admin.display(description=_("in the way"))
    def in_the_way(self, row: CvatDifference) -> str:
        """The conflict or the problem."""
        return row.problem or row.conflict or "-"

    @admin.display(description=_("in CVAT"))
    def in_cvat(self, row: CvatDifference) -> SafeString:
        """A link to the frame."""
        if not row.cvat_task.link:
            return SafeString("-")
        job = f"/jobs/{row.cvat_job}" if row.cvat_job else ""
        address = f"{row.cvat_task.link}{job}?frame={row.frame}"
        words = _("Open")
        return format_html('<a href="{}" class="cc-link" target="_blank" rel="noopener">{}</a>', address, words)

    @admin.display(description=_("as it went out"))
    def record_before(self, row: CvatDifference) -> SafeString:
        """The record."""
        return _shown(row.before)

    @admin.display(description=_("as it is here"))
    def record_now(self, row: CvatDifference) -> SafeString:
        """The record."""
        keys = [row.annotation_id] if row.annotation_id is not None else []
        return _shown(loading.fields_of(row.project, keys).get(row.annotation_id or 0, {}))

    @admin.display(description=_("what would be written"))
    def record_after(self, row: CvatDifference) -> SafeString:
        """The fields."""
        return _shown(row.after)

    @admin.action(description=_("Take over: CVAT is right"))
    def take_over(self, request: HttpRequest, queryset: QuerySet[CvatDifference]) -> None:
        """Write what CVAT has, whatever was changed here since."""
        self._decide(request, queryset, CvatDifference.Decision.THEIRS)

    @admin.action(description=_("Refuse: we are right"))
    def refuse(self, request: HttpRequest, queryset: QuerySet[CvatDifference]) -> None:
        """Leave it as it is here."""
        self._decide(request, queryset, CvatDifference.Decision.OURS)

    def _decide(self, request: HttpRequest, queryset: QuerySet[CvatDifference], decision: str) -> None:
        by_job: dict[Any, list[int]] = defaultdict(list)
        for row in queryset.select_related("job", "job__project").order_by("pk"):
            by_job[row.job].append(row.pk)
        done = 0
        for job, keys in by_job.items():
            for start in range(0, len(keys), services.AT_ONCE):
                part = keys[start : start + services.AT_ONCE]
                try:
                    services.decide(user=admin_user(request), job=job, differences=part, decision=decision)
                    done += len(part)
                except ServiceError as refusal:
                    self.message_user(request, in_words(refusal.message), messages.ERROR)
        if done:
            words = ngettext("%(number)d difference was decided.", "%(number)d differences were decided.", done)
            self.message_user(request, words % {"number": done}, messages.SUCCESS)


@admin.register(CvatPull)
class CvatPullAdmin(ProjectScopedAdmin):
    """Pulls: readings, takings over and undos, with what came of them."""

    roles = {VIEW: Role.VIEWER}
    list_display = (
        "__str__",
        "project",
        "job",
        "trigger",
        "policy",
        "show_state",
        "numbers",
        "created_by",
        "created_at",
    )
    list_filter = (ProjectListFilter, "action", "trigger", "policy")
    list_select_related = ("project", "job", "task", "created_by")
    search_fields = ("project__name",)
    ordering = ("-id",)
    actions = ("undo",)
    exclude = ("chosen", "last")

    @admin.display(description=_("status"))
    def show_state(self, pull: CvatPull) -> str:
        """The task's status."""
        return str(pull.task.get_status_display()) if pull.task else "-"

    @admin.display(description=_("result"))
    def numbers(self, pull: CvatPull) -> str:
        """The numbers of it."""
        found = {name: value for name, value in pull.result.items() if isinstance(value, int) and value}
        return ", ".join(f"{name}: {value}" for name, value in found.items() if name not in ("pull", "undoes")) or "-"

    @admin.action(description=_("Undo: put back what was taken over"))
    def undo(self, request: HttpRequest, queryset: QuerySet[CvatPull]) -> None:
        """Have a worker put back what the ticked ones have taken over, the last one first."""
        for pull in queryset.select_related("job", "project").order_by("-pk"):
            try:
                services.start_undo(user=admin_user(request), pull=pull)
            except ServiceError as refusal:
                self.message_user(request, f"{pull}: {in_words(refusal.message)}", messages.ERROR)
            else:
                self.message_user(request, _("A worker puts it back."), messages.SUCCESS)


@admin.register(CvatRemark)
class CvatRemarkAdmin(ProjectScopedAdmin):
    """What people wrote about frames in CVAT, as it was last read."""

    roles = {VIEW: Role.VIEWER}
    list_display = ("__str__", "resolved", "author", "project", "job", "frame", "in_cvat")
    list_filter = (ProjectListFilter, "resolved")
    list_select_related = ("cvat_task", "cvat_task__cvat_project", "job", "project")
    search_fields = ("author", "project__name")
    ordering = ("-id",)

    @admin.display(description=_("in CVAT"))
    def in_cvat(self, row: CvatRemark) -> SafeString:
        """A link to the frame."""
        if not row.link:
            return SafeString("-")
        return format_html('<a href="{}" class="cc-link" target="_blank" rel="noopener">{}</a>', row.link, _("Open"))


def _shown(record: Mapping[str, Any]) -> SafeString:
    text = json.dumps(dict(record), ensure_ascii=False, indent=1, default=str)
    return format_html("<pre>{}</pre>", text if len(text) <= SHOWN else f"{text[:SHOWN]} ...")
