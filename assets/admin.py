"""Images and splits in the admin: found, looked at, tagged. The workplace (cocohub/workplace) is where most is done."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.admin_csv import csv_response
from assets import services, storage
from assets.models import ImageAsset, Split
from assets.services import Edit
from projects.admin_base import CHANGE, VIEW, ProjectListFilter, ProjectScopedAdmin, admin_user
from projects.models import Project, Role

CSV_ROWS = 100_000
NAMED_PROJECTS = 50  # an action on more of them at once is a mistake
STATUS_COLORS = {
    ImageAsset.Status.MISSING: "danger",
    ImageAsset.Status.BROKEN: "danger",
    ImageAsset.Status.READY: "info",
    ImageAsset.Status.IN_REVIEW: "warning",
    ImageAsset.Status.APPROVED: "success",
    ImageAsset.Status.REJECTED: "danger",
}


def split_tags(text: str) -> list[str]:
    """Tags as typed: with commas between them, in the order of their first use."""
    return list(dict.fromkeys(tag.strip() for tag in text.split(",") if tag.strip()))


def merge_patch_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that makes `after` of `before`; what is equal is not in it."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            if inner := merge_patch_between(old, value):
                patch[key] = inner
        elif key not in before or old != value or type(old) is not type(value):
            patch[key] = value
    return patch


class TagsForm(forms.Form):
    """Tags for the ticked images."""

    tags = forms.CharField(
        label=_("Tags"), max_length=4_000, help_text=_("With commas between them."), widget=UnfoldAdminTextInputWidget
    )

    def clean_tags(self) -> list[str]:
        """As a list."""
        tags = split_tags(self.cleaned_data["tags"])
        if not tags:
            raise forms.ValidationError(_("Name at least one tag."))
        return tags


class AssetForm(forms.ModelForm):
    """What curators change of one image."""

    tag_text = forms.CharField(
        label=_("Tags"),
        required=False,
        max_length=30_000,
        help_text=_("With commas between them."),
        widget=UnfoldAdminTextInputWidget,
    )
    review = forms.ChoiceField(label=_("Status"), required=False, widget=UnfoldAdminSelectWidget)
    other_fields = forms.JSONField(
        label=_("Metadata"),
        required=False,
        help_text=_("A JSON object: every field of the record besides id, file_name, width and height."),
        widget=UnfoldAdminTextareaWidget,
        encoder=None,
    )
    # As the form showed it: what others have changed meanwhile is not written over.
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = ImageAsset
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = [(value, label) for value, label in ImageAsset.Status.choices if value in services.REVIEW]
        now = ImageAsset.Status(self.instance.status)
        self.fields["review"].choices = given if now in services.REVIEW else [("", now.label), *given]  # type: ignore[attr-defined]
        self.initial["tag_text"] = ", ".join(self.instance.tags)
        self.initial["review"] = now.value if now in services.REVIEW else ""
        self.initial["other_fields"] = self.instance.metadata
        self.initial["seen_version"] = self.instance.version

    def clean_other_fields(self) -> dict[str, Any]:
        """A JSON object."""
        value = self.cleaned_data["other_fields"]
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise forms.ValidationError(_('Expected a JSON object, such as {"camera": "left"}.'))
        return value

    def edit(self) -> Edit:
        """What is different from the image as the form showed it."""
        changed = set(self.changed_data)
        patch = merge_patch_between(self.instance.metadata, self.cleaned_data["other_fields"])
        return Edit(
            tags=split_tags(self.cleaned_data["tag_text"]) if "tag_text" in changed else None,
            status=self.cleaned_data["review"] or None if "review" in changed else None,
            metadata=patch or None,
        )


@admin.register(ImageAsset)
class ImageAssetAdmin(ProjectScopedAdmin):
    """Images of all the user's projects. They come by imports, so nobody adds one here."""

    roles = {VIEW: Role.VIEWER, CHANGE: Role.CURATOR}
    form = AssetForm
    list_display = (
        "picture", "file_name", "project", "split", "pixels", "annotation_count", "show_status", "tag_list",
        "updated_at",
    )  # fmt: skip
    list_display_links = ("file_name",)
    list_filter = (ProjectListFilter, "status")
    list_select_related = ("project", "split")
    search_fields = ("file_name",)
    search_help_text = _("Part of a file name. The project's own page has the whole query language.")
    ordering = ("-id",)
    sortable_by = ()  # over all projects no index has an order; the project's own page sorts
    actions = ("add_tags", "remove_tags", "as_csv")
    fields = (
        "large_picture", "file_name", "project", "split", "coco_id", "pixels", "annotation_count", "issues", "checksum",
        "tag_text", "review", "other_fields", "seen_version",
    )  # fmt: skip
    readonly_fields = (
        "large_picture", "file_name", "project", "split", "coco_id", "pixels", "annotation_count", "issues", "checksum",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImageAsset]:
        """In lists without the metadata, which can be long."""
        rows = super().get_queryset(request)
        in_list = (
            request.resolver_match is not None and request.resolver_match.url_name == "assets_imageasset_changelist"
        )
        return rows.defer("metadata") if in_list else rows

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may not change it sees the same as plain text."""
        if self.has_change_permission(request, obj):
            return self.fields
        return (*self.readonly_fields, "tag_list", "status", "metadata")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Everything, for viewers."""
        if self.has_change_permission(request, obj):
            return self.readonly_fields
        return (*self.readonly_fields, "tag_list", "status", "metadata")

    @admin.display(description="")
    def picture(self, asset: ImageAsset) -> SafeString:
        """A small picture that leads to the image's page."""
        return _picture(asset, "cc-thumb")

    @admin.display(description=_("picture"))
    def large_picture(self, asset: ImageAsset) -> SafeString:
        """The same, larger."""
        return _picture(asset, "cc-thumb cc-thumb-large")

    @admin.display(description=_("size"))
    def pixels(self, asset: ImageAsset) -> str:
        """Width and height in pixels."""
        return f"{asset.width} × {asset.height}" if asset.width and asset.height else "-"

    @display(description=_("status"), label=STATUS_COLORS)
    def show_status(self, asset: ImageAsset) -> tuple[str, str]:
        """The status, in its colour."""
        return asset.status, asset.get_status_display()

    @admin.display(description=_("tags"))
    def tag_list(self, asset: ImageAsset) -> str:
        """The tags, with commas."""
        return ", ".join(asset.tags)

    def save_model(self, request: HttpRequest, obj: ImageAsset, form: Any, change: bool) -> None:
        """Change, by the services."""
        edit = form.edit()
        if edit.as_dict():
            version = form.cleaned_data["seen_version"]
            services.update_asset(user=admin_user(request), asset=obj, edit=edit, version=version)

    @admin.action(description=_("Add tags …"), permissions=["change"])
    def add_tags(self, request: HttpRequest, queryset: QuerySet[ImageAsset]) -> HttpResponse | None:
        """Add tags to what was ticked."""
        return self._change_tags(request, queryset, "add_tags", _("Add tags"))

    @admin.action(description=_("Remove tags …"), permissions=["change"])
    def remove_tags(self, request: HttpRequest, queryset: QuerySet[ImageAsset]) -> HttpResponse | None:
        """Remove tags from what was ticked."""
        return self._change_tags(request, queryset, "remove_tags", _("Remove tags"))

    def _change_tags(
        self, request: HttpRequest, queryset: QuerySet[ImageAsset], what: str, title: Any
    ) -> HttpResponse | None:
        """First asks which tags and tells how many images, then does it."""
        form = TagsForm(request.POST if "apply" in request.POST else None)
        if form.is_valid():
            changed = self._apply(request, queryset, Edit(**{what: form.cleaned_data["tags"]}))
            text = ngettext("%(count)d image changed.", "%(count)d images changed.", changed) % {"count": changed}
            self.message_user(request, text, messages.SUCCESS)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": form,
            "action": what,
            "count": queryset.order_by().count(),
            "ticked": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/assets/imageasset/tags_action.html", context)

    @transaction.atomic
    def _apply(self, request: HttpRequest, queryset: QuerySet[ImageAsset], edit: Edit) -> int:
        """In every project that has some of them, or in none where the services refuse one."""
        ids = queryset.order_by().values_list("project", flat=True).distinct()[:NAMED_PROJECTS]
        return sum(
            services.update_assets(user=admin_user(request), project=project, assets=queryset, edit=edit)
            for project in Project.objects.filter(pk__in=list(ids)).order_by("pk")
        )

    @admin.action(description=_("Download as CSV"))
    def as_csv(self, request: HttpRequest, queryset: QuerySet[ImageAsset]) -> Any:
        """The ticked rows as a file, at most so many."""
        head = ("id", "project", "split", "coco_id", "file_name", "width", "height", "status", "tags", "annotations")
        found = queryset.select_related("project", "split")[:CSV_ROWS].iterator(2_000)
        rows = (
            (
                row.pk, row.project.name, row.split.name, row.coco_key or row.coco_id, row.file_name, row.width,
                row.height, row.status, json.dumps(row.tags, ensure_ascii=False), row.annotation_count,
            )
            for row in found
        )  # fmt: skip
        return csv_response("images", head, rows)


@admin.register(Split)
class SplitAdmin(ProjectScopedAdmin):
    """Parts of projects. They come by imports."""

    roles = {VIEW: Role.VIEWER}
    list_display = ("shown_name", "project")
    list_filter = (ProjectListFilter,)
    list_select_related = ("project",)
    search_fields = ("name", "project__name")
    ordering = ("project__name", "id")

    @admin.display(description=_("name"), ordering="name")
    def shown_name(self, split: Split) -> str:
        """The name, or a dash."""
        return str(split)


def _picture(asset: ImageAsset, css: str) -> SafeString:
    page = reverse("workplace:image", args=[asset.project_id, asset.pk])
    address = storage.link(asset.thumbnail_uri or asset.uri)
    if address is None:
        return format_html('<a href="{}" class="{} cc-thumb-none">{}</a>', page, css, _("no picture"))
    return format_html('<a href="{}"><img src="{}" alt="{}" class="{}" loading="lazy"></a>', page, address, asset, css)
