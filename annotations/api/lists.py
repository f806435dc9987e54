"""What lists of images and annotations share: counted pages, and answers trimmed to the fields that are asked for."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from accounts.errors import ServiceError
from annotations.counting import CappedCount, count, settled
from projects.api.base import KeysetPagination

FIELDS = OpenApiParameter(
    "fields", str, description="Names of fields, with commas between them: nothing else is read or answered."
)
COUNT = OpenApiParameter("count", bool, description="Whether to count what the query finds (default: true).")
FALSE = ("false", "0", "no")


class CountedPagination(KeysetPagination):
    """Pages with the number of rows: exact up to a cap, an estimate above it; `count=false` leaves it out.

    The page and the number come from one statement, an estimate from one more.
    """

    extra_schema = {
        "count": {"type": "integer", "nullable": True},
        "count_is_exact": {"type": "boolean", "nullable": True},
    }

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page that the request asks for."""
        if request.query_params.get("count", "").lower() in FALSE:
            page = super().paginate_queryset(queryset, request, view)
            self.extra = {"count": None, "count_is_exact": None}
            return page
        page = super().paginate_queryset(queryset.annotate(found=CappedCount(queryset)), request, view)
        number, exact = settled(queryset, page[0].found) if page else self._of_no_row(queryset)
        self.extra = {"count": number, "count_is_exact": exact}
        return page

    def _of_no_row(self, queryset: QuerySet[Any]) -> tuple[int, bool]:
        """An empty page is all there is, unless it lies beyond the last row."""
        return count(queryset) if self.request.query_params.get("cursor") else (0, True)


class Trimmed(serializers.ModelSerializer[Any]):
    """Answers with the fields named by `fields` in its context only; `COLUMNS` says what each of them reads.

    A field without an entry there reads the column of its own name.
    """

    COLUMNS: Mapping[str, Sequence[str]] = {}

    def get_fields(self) -> dict[str, Any]:
        """Those that are asked for; all of them where nothing is."""
        fields = super().get_fields()
        wanted = self.context.get("fields")
        return {name: field for name, field in fields.items() if name in wanted} if wanted else fields

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """The answer: as DRF makes it, but for columns that are JSON already, which go as they are."""
        return {name: read(instance) for name, read in self._readers.items()}

    @cached_property
    def _readers(self) -> dict[str, Callable[[Any], Any]]:
        return {name: _reader(field) for name, field in self.fields.items()}


_AS_IT_IS = (
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateTimeField,
    serializers.IntegerField,
    serializers.JSONField,
    serializers.ListField,
)


def _reader(field: Any) -> Callable[[Any], Any]:
    if isinstance(field, serializers.SerializerMethodField):
        return getattr(field.parent, str(field.method_name))
    if isinstance(field, _AS_IT_IS) and len(field.source_attrs) == 1:
        return attrgetter(field.source_attrs[0])
    if isinstance(field, serializers.PrimaryKeyRelatedField):
        return attrgetter(f"{field.source}_id")

    def read(instance: Any) -> Any:
        value = field.get_attribute(instance)
        return None if value is None else field.to_representation(value)

    return read


def wanted_fields(request: Request, serializer: type[Trimmed]) -> frozenset[str]:
    """What `fields` asks for; nothing where it is not given. ServiceError for a name that there is not."""
    given = [name.strip() for name in request.query_params.get("fields", "").split(",") if name.strip()]
    known = serializer.Meta.fields
    unknown = [name for name in given if name not in known]
    if unknown:
        text = f"{unknown[0][:60]!r} is no field. The fields are {', '.join(known)}."
        raise ServiceError(text, fields={"fields": [text]})
    return frozenset(given)


def trim(
    rows: QuerySet[Any], serializer: type[Trimmed], wanted: frozenset[str], ordering: Sequence[str]
) -> QuerySet[Any]:
    """The rows with the columns that these fields and the order of the list need, and no others."""
    if not wanted:
        return rows
    columns = {column for name in wanted for column in serializer.COLUMNS.get(name, (name,))}
    joined = {column.partition("__")[0] for column in columns if "__" in column}
    rows = rows.select_related(*joined) if joined else rows.select_related(None)
    keys = {name.lstrip("-").removesuffix("_id") for name in ordering}
    return rows.only("pk", *columns, *keys, *joined)
