"""What lists of images and annotations share: counted pages, and answers trimmed to the fields that are asked for."""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from django.db.models import F, QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from accounts.errors import ServiceError
from annotations import counting
from annotations.query.conditions import one_of
from annotations.remembering import Question
from projects.api.base import KeysetPagination

FIELDS = OpenApiParameter(
    "fields", str, description="Names of fields, with commas between them: nothing else is read or answered."
)
COUNT = OpenApiParameter(
    "count",
    str,
    enum=["true", "false", "exact"],
    description=f"Whether to count what the query finds: exactly up to {counting.CAP:,} rows and as an estimate above "
    "(`true`, the default), not at all (`false`), or exactly however many there are (`exact`), which takes its time.",
)
FALSE = ("false", "0", "no")
COUNTS = frozenset(["", "exact", "true", "1", "yes", *FALSE])
COUNTED = "counted"  # of links to other pages: what the first page counted, with a tilde before an estimate


class CountedPagination(KeysetPagination):
    """Pages with the number of rows: exact up to a cap, an estimate above it; `count=false` leaves it out.

    The links to other pages carry the number, so that it is counted once. Its views have two methods: `question()`,
    under which the count is remembered, and `chosen()`, the rows of the whole list.
    """

    extra_schema = {
        "count": {"type": "integer", "nullable": True},
        "count_is_exact": {"type": "boolean", "nullable": True},
    }

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page that the request asks for; the view says what is asked by its `question()`."""
        wanted = request.query_params.get("count", "").lower()
        if wanted not in COUNTS:
            text = f"count is {wanted[:40]!r}; expected true, false or exact."
            raise ServiceError(text, fields={"count": [text]})
        if wanted in FALSE:
            self.count: tuple[int | None, bool | None] = (None, None)
            page = super().paginate_queryset(queryset, request, view)
        else:
            question: Question[counting.Found] = view.question()
            if carried := carried_count(request):
                self.count = carried
                known = question.recalled()
            else:
                known = question.answer(lambda: counting.find(queryset))
                self.count = known[:2]
            if wanted == "exact" and not self.count[1]:
                self.count = (counting.exactly(view.chosen()), True)
            page = super().paginate_queryset(quickly(queryset, known), request, view)
            if carried and not page:  # the rows around the cursor are gone, so the number is another one
                self.count = question.answer(lambda: counting.find(view.chosen()))[:2]
        self.extra = {"count": self.count[0], "count_is_exact": self.count[1]}
        return page

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """With the number that links carry."""
        counted = {"name": COUNTED, "in": "query", "schema": {"type": "string"}}
        return [*super().get_schema_operation_parameters(view), {**counted, "description": "As in `next`, `previous`."}]

    def _url(self, *args: Any, **kwargs: Any) -> str:
        link, (number, exact) = super()._url(*args, **kwargs), self.count
        return link if number is None else replace_query_param(link, COUNTED, f"{'' if exact else '~'}{number}")


def quickly(rows: Any, known: counting.Found | None) -> Any:
    """The same rows; few of them are read by their keys: their order might lead the planner through the whole project
    in search of them."""
    if known is None or known.keys is None:
        return rows
    return rows.unfiltered().filter(one_of(F("pk"), list(known.keys)))


def is_deep(request: Request) -> bool:
    """Whether a list is asked for from somewhere in it, rather than from its beginning."""
    return bool(request.query_params.get("cursor"))


def carried_count(request: Request) -> tuple[int, bool] | None:
    """The count that the link from another page of the list carries, and whether it is exact."""
    found = re.fullmatch(r"(~?)(\d{1,15})", request.query_params.get(COUNTED, ""))
    return (int(found[2]), not found[1]) if found and is_deep(request) else None


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
        return {name: read(self, instance) for name, read in self._readers}

    @cached_property
    def _readers(self) -> "Readers":
        wanted = frozenset(self.context.get("fields") or ())
        key = (type(self), wanted)
        if key not in _READERS:  # made once: DRF builds a serializer's fields anew for every answer
            _READERS[key] = [(name, _reader(field)) for name, field in self.fields.items()]
        return _READERS[key]


Read = Callable[[Trimmed, Any], Any]
Readers = list[tuple[str, Read]]
_READERS: dict[tuple[type[Trimmed], frozenset[str]], Readers] = {}

_AS_IT_IS = (
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateTimeField,
    serializers.IntegerField,
    serializers.JSONField,
    serializers.ListField,
)


def _reader(field: Any) -> Read:
    """How to read a field of a row; nothing of it belongs to one answer, whose serializer is given with each row."""
    if isinstance(field, serializers.SerializerMethodField):
        method = str(field.method_name)
        return lambda serializer, row: getattr(serializer, method)(row)
    if isinstance(field, _AS_IT_IS):
        return _path(field.source_attrs)
    if isinstance(field, serializers.PrimaryKeyRelatedField):
        return _path([f"{field.source}_id"])
    read, shown = _path(field.source_attrs), field.to_representation

    def represent(serializer: Trimmed, row: Any) -> Any:
        value = read(serializer, row)
        return None if value is None else shown(value)

    return represent


def _path(attributes: Sequence[str]) -> Read:
    if len(attributes) == 1:
        get = attrgetter(attributes[0])
        return lambda serializer, row: get(row)

    def follow(serializer: Trimmed, row: Any) -> Any:
        for name in attributes:
            row = None if row is None else getattr(row, name)
        return row

    return follow


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
