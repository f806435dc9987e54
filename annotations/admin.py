"""Categories, annotations, COCO documents, imports and bulk edits in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from annotations import categories, relabelling
from annotations.models import Annotation, BulkEdit, Category, CocoDocument, DocumentCategory, ImportJob
from projects.admin_base import ADD, CHANGE, DELETE, VIEW, ProjectListFilter, ProjectScopedAdmin, admin_user
from projects.models import Role, Task

INT64_DIGITS = 18
TASK_COLORS = {
    Task.Status.QUEUED: "info",
    Task.Status.RUNNING: "warning",
    Task.Status.SUCCEEDED: "success",
    Task.Status.FAILED: "danger",
    Task.Status.CANCELLED: "info",
}


class CategoryForm(forms.ModelForm):
    """A category's names and its colour."""

    # As the form showed it: what others have changed meanwhile is not written over.
    version = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Category
        fields = ("project", "name", "supercategory", "color")
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "supercategory": UnfoldAdminTextInputWidget,
            # Not the browser's colour field: that one knows no "none" and would store black.
            "color": UnfoldAdminTextInputWidget(attrs={"placeholder": "#1f77b4", "pattern": "#[0-9a-fA-F]{6}"}),
        }
        help_texts = {"color": _("As #rrggbb. Empty: CocoHub chooses one.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["version"] = categories.version_of(self.instance)


@admin.register(Category)
class CategoryAdmin(ProjectScopedAdmin):
    """Classes of objects; a new name or colour reaches every document that lists the category."""

    roles = {VIEW: Role.VIEWER, ADD: Role.CURATOR, CHANGE: Role.CURATOR, DELETE: Role.MANAGER}
    form = CategoryForm
    list_display = ("name", "swatch", "supercategory", "coco_id", "project")
    list_filter = (ProjectListFilter,)
    list_select_related = ("project",)
    search_fields = ("name", "supercategory")
    ordering = ("project_id", "coco_id", "id")
    readonly_fields = ("coco_id", "meta")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The number and the other fields once there are some."""
        return ("project", "name", "supercategory", "color", *(("coco_id", "meta", "version") if obj else ()))

    @admin.display(description=_("colour"))
    def swatch(self, category: Category) -> SafeString:
        """The colour as a patch; a dash where it is chosen by number."""
        if not category.color:
            return SafeString("-")
        return format_html(
            '<svg class="cc-swatch" viewBox="0 0 10 10" role="img" aria-label="{0}">'
            '<rect width="10" height="10" rx="2" fill="{0}"></rect></svg>',
            category.color,
        )

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        """Add or change, by the services."""
        given = {name: form.cleaned_data[name] for name in ("name", "supercategory", "color")}
        if change:
            held = Category.objects.select_related("project").get(pk=obj.pk)
            version = form.cleaned_data["version"] or None
            categories.update_category(user=admin_user(request), category=held, version=version, **given)
            return
        made = categories.create_category(user=admin_user(request), project=form.cleaned_data["project"], **given)
        obj.pk, obj.coco_id, obj._state.adding = made.pk, made.coco_id, False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """One line per category; the services refuse where annotations still use it."""
        found = list(objs)
        refused = {str(each) for each in found if not self.has_delete_permission(request, each)}
        return [str(each) for each in found], {self.opts.verbose_name_plural: len(found)}, refused, []

    def delete_model(self, request: HttpRequest, obj: Category) -> None:
        """Delete, by the services."""
        relabelling.delete_category(user=admin_user(request), category=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Category]) -> None:
        """Delete what was ticked, by the services."""
        for category in queryset.select_related("project"):
            self.delete_model(request, category)


class CrowdFilter(admin.SimpleListFilter):
    """Crowds, or single objects; Django's own filter would read every annotation to learn which values there are."""

    title = _("crowd")
    parameter_name = "crowd"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """COCO has these two."""
        return [("1", _("Yes")), ("0", _("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Annotation]) -> QuerySet[Annotation]:
        """The annotations that are one, or are none."""
        return queryset.filter(iscrowd=int(self.value() or 0)) if self.value() in ("0", "1") else queryset


@admin.register(Annotation)
class AnnotationAdmin(ProjectScopedAdmin):
    """Annotations, to look at; the image's page draws them."""

    roles = {VIEW: Role.VIEWER}
    list_display = ("coco_id", "kind", "category", "on_image", "project", "area", "iscrowd", "is_machine", "source")
    list_filter = (ProjectListFilter, "kind", CrowdFilter, "is_machine")
    list_select_related = ("project", "category", "image")
    search_fields = ("coco_id",)
    search_help_text = _("A COCO id, or the exact name of a category.")
    ordering = ("-id",)
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Annotation]:
        """In lists without the shapes, which can be long."""
        rows = super().get_queryset(request)
        in_list = request.resolver_match is not None and (request.resolver_match.url_name or "").endswith("_changelist")
        return rows.defer("segmentation", "keypoints", "attributes", "extra", "image__metadata") if in_list else rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Annotation], search_term: str
    ) -> tuple[QuerySet[Annotation], bool]:
        """By number or by category, both of which an index serves."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdecimal() and len(term) <= INT64_DIGITS:
            return queryset.filter(coco_id=int(term)), False
        return queryset.filter(category__name=term), False

    @admin.display(description=_("image"))
    def on_image(self, annotation: Annotation) -> SafeString:
        """A link to the image's page."""
        page = reverse("workplace:image", args=[annotation.project_id, annotation.image_id])
        return format_html('<a href="{}" class="cc-link">{}</a>', page, str(annotation.image))


@admin.register(CocoDocument)
class CocoDocumentAdmin(ProjectScopedAdmin):
    """What surrounds the records of imported files."""

    roles = {VIEW: Role.VIEWER}
    list_display = ("__str__", "project", "split", "kind")
    list_filter = (ProjectListFilter, "kind")
    list_select_related = ("project", "split")
    search_fields = ("split__name", "project__name")


@admin.register(DocumentCategory)
class DocumentCategoryAdmin(ProjectScopedAdmin):
    """Which document lists which category, and with which fields."""

    project_path = "document__project"
    roles = {VIEW: Role.VIEWER}
    list_display = ("category", "document", "position")
    list_select_related = ("category", "document__split", "document__project")
    search_fields = ("category__name",)
    ordering = ("document_id", "position")


class JobAdmin(ProjectScopedAdmin):
    """Jobs with a task, to look at; the workplace starts and follows them."""

    roles = {VIEW: Role.VIEWER}
    list_select_related = ("project", "task", "created_by")
    ordering = ("-id",)

    @display(description=_("status"), label=TASK_COLORS)
    def show_status(self, job: Any) -> tuple[str, str]:
        """The task's status, in its colour."""
        return job.task.status, job.task.get_status_display()


@admin.register(ImportJob)
class ImportJobAdmin(JobAdmin):
    """Imports."""

    list_display = ("name", "project", "split", "show_status", "created_by", "created_at", "follow")
    list_filter = (ProjectListFilter, "task__status", "strict")
    search_fields = ("file_name", "project__name", "checksum")

    @admin.display(description=_("file"), ordering="file_name")
    def name(self, job: ImportJob) -> str:
        """The file's name, or the number."""
        return str(job)

    @admin.display(description="")
    def follow(self, job: ImportJob) -> SafeString:
        """A link to the page with the report."""
        page = reverse("workplace:import", args=[job.project_id, job.pk])
        return format_html('<a href="{}" class="cc-link">{}</a>', page, _("Report"))


@admin.register(BulkEdit)
class BulkEditAdmin(ProjectScopedAdmin):
    """Changes to many images at once."""

    roles = {VIEW: Role.VIEWER}
    list_display = ("__str__", "project", "total", "created_by", "created_at", "finished_at")
    list_filter = (ProjectListFilter, "action")
    list_select_related = ("project", "created_by")
    search_fields = ("project__name",)
    ordering = ("-id",)
