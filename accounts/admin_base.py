"""What every page of the admin shares."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from accounts.errors import ServiceError
from accounts.phrases import in_words

COUNTED = 10_000  # rows; nobody turns more pages than these, they search


class CappedPaginator(Paginator):
    """Pages of a list that may be long: counts no more than the first rows, and pages through no more than those."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most `COUNTED`."""
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[:COUNTED].count())

    def page(self, number: Any) -> Page:
        """The page. Rows before it are skipped as keys: what they join and how wide they are does not matter then."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows: Any = self.object_list
        keys = list(rows.values_list("pk", flat=True)[start : min(start + self.per_page, self.count)])
        return Page(rows.filter(pk__in=keys), number, self)


class IndexedChangeList(ChangeList):
    """A list that is sorted by what it offers for sorting, and by nothing else that an address may ask for."""

    def get_ordering_field(self, field_name: Any) -> Any:
        """The field to sort by; None for a column that is not to be sorted by."""
        if self.sortable_by is not None and field_name not in self.sortable_by:
            return None
        return super().get_ordering_field(field_name)


class ServiceAdmin(ModelAdmin):
    """Pages whose changes go through the services: what those refuse is said on the page, and nothing is changed."""

    warn_unsaved_form = True
    paginator = CappedPaginator
    list_per_page = 50
    show_full_result_count = False  # a second count of every list, to say how many rows the search left out

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Whether an address may filter by this: by what the list offers as filters and by ids, and by nothing else."""
        offered = {
            name if isinstance(name, str) else name[0] for name in self.list_filter if not isinstance(name, type)
        }
        offered |= {self.date_hierarchy, self.opts.pk.name, "pk"}
        # Filters that are classes name their own parameter; Django looks at lookups before they take theirs.
        offered |= {getattr(given, "parameter_name", None) for given in self.list_filter if isinstance(given, type)}
        field = lookup.split("__")[0]
        return field in offered and super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The class of the list."""
        return IndexedChangeList

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list; where nothing narrows it there is nothing to "show all" of."""
        found = super().get_changelist_instance(request)
        if not found.query and not found.has_active_filters:
            found.full_result_count = found.result_count
        return found

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Add or change."""
        return self._telling(request, request.get_full_path(), super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Delete."""
        return self._telling(request, self._changelist(), super().delete_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The list, with its actions."""
        return self._telling(request, request.get_full_path(), super().changelist_view, *args, **kwargs)

    def _telling(
        self, request: HttpRequest, back: str, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ServiceError as refusal:
            if request.method != "POST":
                raise
            self.message_user(request, in_words(refusal.message), messages.ERROR)
            return HttpResponseRedirect(back)

    def _changelist(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")


class ReadOnlyMixin:
    """Pages that show and change nothing."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False
