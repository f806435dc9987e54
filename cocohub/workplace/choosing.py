"""What a curator has chosen: the query of the address, its faults shown in place, and facets that add to it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.phrases import in_words
from annotations import facets as counts
from annotations import problem_words, query
from annotations.query.tree import And, Everything, Is, Node, Term, all_of
from assets.models import ImageAsset
from projects.models import Project

FACET_VALUES = 30
FACETS: tuple[tuple[str, str, Any, str], ...] = (
    ("tags", "tag", _("Tags"), "sell"),
    ("categories", "category", _("Categories"), "category"),
    ("statuses", "status", _("Status"), "flag"),
    ("splits", "split", _("Splits"), "call_split"),
    ("issues", "issue", _("Issues"), "report"),
)
STATUS_NAMES = dict(ImageAsset.Status.choices)


@dataclass(frozen=True)
class Fault:
    """A query that cannot be answered, cut at the place where it is wrong."""

    message: str
    before: str
    word: str
    after: str

    @classmethod
    def of(cls, text: str, error: query.QueryError) -> "Fault":
        """Where the error is in the text; the whole text where it has no column."""
        if error.column is None:
            return cls(in_words(error.message), text, "", "")
        start = error.column - 1
        end = start + max(1, len(error.word)) if text[start:].startswith(error.word) else start + 1
        return cls(in_words(error.message), text[:start], text[start:end], text[end:])


@dataclass(frozen=True)
class FacetValue:
    """One value of a facet: how it reads, as the query has it, in how many images, and the way to add or drop it."""

    label: str
    value: str
    count: int
    active: bool
    link: str


@dataclass(frozen=True)
class Facet:
    """One group of values."""

    name: str
    title: Any
    icon: str
    values: list[FacetValue]


def images_of(project: Project, text: str, beyond: query.Beyond | None = None) -> QuerySet[ImageAsset]:
    """The images that a query chooses, or what is left of them. Raises QueryError."""
    return query.filter_images(ImageAsset.objects.filter(project=project), project, text, beyond=beyond)


def query_of(request: HttpRequest) -> str:
    """The query of the address."""
    return request.GET.get("q", "").strip()


def address(request: HttpRequest, **changes: str) -> str:
    """The parameters of this address with some of them changed; empty ones and the place in the list are left out."""
    kept = {name: request.GET[name] for name in ("q", "sort", "view", "size", "boxes") if request.GET.get(name)}
    return urlencode({name: value for name, value in {**kept, **changes}.items() if value})


def with_or_without(tree: Node, term: Term) -> tuple[str, bool]:
    """(The query with the term added, False), or (without it, True) where it is one of the query's conditions."""
    parts: tuple[Node, ...] = ()
    if not isinstance(tree, Everything):
        parts = tree.parts if isinstance(tree, And) else (tree,)
    if term in parts:
        left = [part for part in parts if part != term]
        return (query.to_text(all_of(left)) if left else "", True)
    return query.to_text(all_of([*parts, term])), False


def facets(request: HttpRequest, project: Project) -> tuple[list[Facet], counts.Facets]:
    """The values among what the address's query chooses, with numbers. Raises QueryError."""
    text = query_of(request)
    tree = query.parse(text)
    with query.statement_timeout():
        found = counts.facets(project, text, limit=FACET_VALUES)
    groups = []
    for name, field, title, icon in FACETS:
        values = [_value(request, tree, field, value, number) for value, number in found.values[name] if value]
        if values:
            groups.append(Facet(name, title, icon, values))
    return groups, found


def _value(request: HttpRequest, tree: Node, field: str, value: str, number: int) -> FacetValue:
    text, active = with_or_without(tree, Term(field, Is(value)))
    names = {"status": STATUS_NAMES, "issue": problem_words.CODES}.get(field, {})
    label = str(names.get(value, value))
    return FacetValue(label, value, number, active, f"?{address(request, q=text)}")
