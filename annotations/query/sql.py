"""Tree to SQL: conditions on images and annotations, within one project.

An object field outside has() is an EXISTS of its own ("some object ..."), has() is one EXISTS for all its conditions,
count() a correlated count. Names of categories and splits become ids before, with one small query, so that the index on
(project, category, image) serves. NOT is the complement: a row that has no value for a field is in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import models
from django.db.models import (
    BigIntegerField,
    Exists,
    F,
    Func,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotations.models import Annotation, Category, OfProjectQuerySet
from annotations.query import conditions as on
from annotations.query import shapes
from annotations.query.alternatives import apart
from annotations.query.conditions import Sql
from annotations.query.fields import FIELDS, Kind, Scope
from annotations.query.keypoints import names_of
from annotations.query.parser import parse
from annotations.query.tree import (
    And,
    Compare,
    Count,
    Differs,
    Everything,
    Has,
    Is,
    Node,
    Not,
    Or,
    Present,
    Term,
    Test,
    Word,
    all_of,
    any_of,
    terms,
)
from annotations.query.values import EXACT
from assets.models import ImageAsset, ImageAssetQuerySet, Split
from projects.models import Project

# The columns that are not called as their fields are.
_IMAGE_COLUMNS = {
    "annotations": "annotation_count",
    "created": "created_at",
    "file": "file_name",
    "issue": "issues",
    "size": "size_bytes",
    "tag": "tags",
    "updated": "updated_at",
}
_BOX_PLACES = {"bbox.x": 0, "bbox.y": 1, "bbox.w": 2, "bbox.h": 3}
_NAMED: dict[str, tuple[type[Model], str]] = {
    "category": (Category, "name"),
    "supercategory": (Category, "supercategory"),
    "split": (Split, "name"),
}
# Comparisons with count() that ask only whether there is one, or none.
_SOME = (Compare(">", Decimal(0)), Compare(">=", Decimal(1)))
_NONE = (Is(Decimal(0)), Compare("<", Decimal(1)), Compare("<=", Decimal(0)))

# Stands where the path of a field would: the image's issues without those of its annotations.
_OWN = ("image",)

MOST_WAYS = 8  # of writing values of metadata that are looked up together, each with a scan of the index

Leaf = Callable[[Node], Sql]


@dataclass(frozen=True)
class Beyond:
    """Images whose keys are greater than this one, or less: what is left of a list in the order of the key."""

    image: int
    less: bool = False


def filter_images(
    queryset: ImageAssetQuerySet,
    project: Project,
    query: str | Node,
    *,
    now: datetime | None = None,
    beyond: Beyond | None = None,
) -> ImageAssetQuerySet:
    """The images of the project, among those given, that a query selects; QueryError if it is none.

    Runs one small query where the text names categories or splits. `-7d` counts from `now`. Who reads on from an image
    says so with `beyond`: annotations are then looked for from there on too, which PostgreSQL does not conclude itself.
    The rows are still to be filtered by the key.
    """
    tree = parse(query) if isinstance(query, str) else query
    compiler = _Compiler(project, tree, Scope.IMAGE, now, beyond)
    return queryset.filter(project=project).either(compiler.alternatives())


def filter_annotations(
    queryset: OfProjectQuerySet, project: Project, query: str | Node, *, now: datetime | None = None
) -> OfProjectQuerySet:
    """The annotations of the project, among those given, that a query selects; QueryError if it is none.

    Object fields are the annotation's own; image fields, bare words, has() and count() are those of its image.
    """
    tree = parse(query) if isinstance(query, str) else query
    return queryset.filter(project=project).either(_Compiler(project, tree, Scope.OBJECT, now).alternatives())


def _with_issues_of_objects(tree: Node) -> Node:
    """The tree with `issue:` asking for the image's own issues or those of one of its annotations."""
    match tree:
        case And(parts=parts):
            return all_of(map(_with_issues_of_objects, parts))
        case Or(parts=parts):
            return any_of(map(_with_issues_of_objects, parts))
        case Not(part=part):
            return Not(_with_issues_of_objects(part))
        case Term(field="issue", test=Differs(value=value)):
            return all_of([_either_issue(Present()), Not(_either_issue(Is(value)))])
        case Term(field="issue", test=test):
            return _either_issue(test)
    return tree


def _either_issue(test: Test) -> Node:
    return any_of([Term("issue", test, _OWN), Has(Term("annotation.issue", test))])


class _Names:
    """Ids of the categories and splits that a tree asks for, looked up with one query for all of them."""

    def __init__(self, project: Project, tree: Node) -> None:
        asked = dict.fromkeys((term.field, _looked_up(term)) for term in terms(tree) if term.field in _NAMED)
        self._ids: dict[tuple[str, Test], list[int]] = {each: [] for each in asked}
        found = [self._part(model, project, list(asked)) for model in (Category, Split)]
        parts = [part for part in found if part is not None]
        if not parts:
            return
        for pk, *answers in parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]:
            for each, answer in zip(asked, answers, strict=True):
                if answer:
                    self._ids[each].append(pk)

    def _part(self, model: type[Model], project: Project, asked: Sequence[tuple[str, Test]]) -> QuerySet[Any] | None:
        """Rows (key, whether it is what is asked for, for each that is asked); None if the table is not asked for."""
        # The database decides, not Python: wildcards then mean the same here as in every other field.
        tests = [
            on.on_name(F(column), test) if table is model else None
            for (table, column), test in ((_NAMED[field], test) for field, test in asked)
        ]
        wanted = [test for test in tests if test is not None]
        if not wanted:
            return None
        found = model._default_manager.filter(on.either(*wanted), project=project).order_by()
        return found.values_list("pk", *(on.always(False) if test is None else test for test in tests))

    def of(self, term: Term) -> list[int]:
        """The ids of what the term names; none for a name that the project does not have."""
        return self._ids[term.field, _looked_up(term)]


def _looked_up(term: Term) -> Test:
    """The test by which ids are looked up; "another category" is asked for as "not that one"."""
    if term.field == "category" and isinstance(term.test, Differs):
        return Is(term.test.value)
    return term.test


class _Compiler:
    def __init__(
        self, project: Project, tree: Node, root: Scope, now: datetime | None, beyond: Beyond | None = None
    ) -> None:
        self.project = project
        self.beyond = beyond
        self.tree = _with_issues_of_objects(tree)
        self.root = root
        self.now = now or timezone.now()
        self.names = _Names(project, tree)
        # How the columns and the key of the image are called from where the query starts.
        self.prefix, self.image = ("", "pk") if root is Scope.IMAGE else ("image__", "image_id")

    def alternatives(self) -> list[Q]:
        """Conditions of which one must hold: more than one where no single index could answer the whole."""
        found = [self._build(node, self._leaf) for node in apart(self.tree, self._is_elsewhere)]
        return found or [self._build(self.tree, self._leaf)]

    def _is_elsewhere(self, node: Node) -> bool:
        """Whether a node asks for what is in another table than the rows are."""
        match node:
            case Term(field=field):
                return FIELDS[field].scope is not self.root
            case Has() | Count():
                return True
        return False

    def _build(self, node: Node, leaf: Leaf, *, negated: bool = False) -> Q:
        """The condition of a node, or its complement: NOT is carried down to the leaves, where NULL is dealt with."""
        match node:
            case Everything():
                return Q(on.always(not negated))
            case Not(part=part):
                return self._build(part, leaf, negated=not negated)
            case And(parts=parts) | Or(parts=parts):
                if isinstance(node, And) and not negated and (together := self._metadata_together(parts)):
                    condition, others = together
                    return Q(condition, *(self._build(part, leaf) for part in others))
                connector = Q.AND if isinstance(node, And) is not negated else Q.OR
                return Q(*(self._build(part, leaf, negated=negated) for part in parts), _connector=connector)
        condition = leaf(node)
        return Q(on.untrue(condition) if negated else condition)

    def _metadata_together(self, parts: Sequence[Node]) -> tuple[Sql, list[Node]] | None:
        """One condition for the values of metadata that the parts ask for, and the other parts; None if it is one."""
        asked: dict[str, tuple[Term, Word | str]] = {}
        ways, others = 1, []
        for part in parts:
            match part:
                case Term(field="metadata", test=Is(value=Word() | str() as value), path=(first, *_)) if (
                    first not in asked and ways * len(on.shapes_of(value)) <= MOST_WAYS
                ):
                    asked[first] = (part, value)
                    ways *= len(on.shapes_of(value))
                case _:
                    others.append(part)
        if len(asked) < 2:
            return None
        equals = [(term.path, value) for term, value in asked.values()]
        return on.on_json_together(self._image_column("metadata"), equals), others

    def _leaf(self, node: Node) -> Sql:
        match node:
            case Has(condition=condition):
                return Exists(self._objects(condition))
            case Count(condition=condition, test=test):
                return self._count(condition, test)
            case Term(field=field) if FIELDS[field].scope is Scope.IMAGE:
                return self._image_test(node)
            case Term() if self.root is Scope.IMAGE:
                return Exists(self._objects(node))
        return self._object_test(node)

    def _objects(self, condition: Node) -> QuerySet[Annotation]:
        """The annotations of the outer row's image that meet a condition."""
        of_image = Annotation.objects.filter(project=self.project, image_id=OuterRef(self.image))
        if self.beyond:
            # As a sub-select, whose value the planner does not see. It would take objects for rarer by the part of the
            # list that is left, but the images they are looked up for only once, and so their semi-join for too small.
            end = Func(Value(self.beyond.image), template="(SELECT %(expressions)s)", output_field=BigIntegerField())
            of_image = of_image.filter(**{f"image_id__{'lt' if self.beyond.less else 'gt'}": end})
        return of_image.filter(self._build(condition, self._object_test))

    def _count(self, condition: Node, test: Test) -> Sql:
        objects = self._objects(condition)
        if test in _SOME:
            return Exists(objects)
        if test in _NONE:
            return on.untrue(Exists(objects))
        # A plain function instead of the aggregate, which would group, and give no row instead of 0.
        number = Func(template="COUNT(*)", output_field=BigIntegerField())
        return on.on_whole_number(Subquery(objects.values_list(number)), test)

    def _image_test(self, term: Term) -> Sql:
        name, test = term.field, term.test
        column = self._image_column(_IMAGE_COLUMNS.get(name, name))
        match name:
            case "split":
                return on.one_of(self._image_column("split_id"), self.names.of(term))
            case "duplicate":
                return on.on_flag(self._duplicate(), test)
            case "megapixels":
                return self._megapixels(test)
            case "aspect":
                return self._aspect(test)
            case "metadata":
                return on.on_json(column, term.path, test)
        match FIELDS[name].kind:
            case Kind.DATE:
                return on.on_time(column, test, now=self.now, zone=timezone.get_current_timezone())
            case Kind.TEXT:
                return on.on_text(column, test)
            case Kind.NAMES:
                return on.on_names(column, test)
            case Kind.NAME | Kind.CHOICE:
                return on.on_name(column, test, any_case=name == "format")
        return on.on_whole_number(column, test)

    def _image_column(self, name: str) -> F:
        return F(self.prefix + name)

    def _duplicate(self) -> Sql:
        # One pass over the index on checksums; looking for another image row by row is slow where there are few.
        stored = ImageAsset.objects.filter(project=self.project).exclude(checksum="")
        shared = stored.values("checksum").annotate(number=models.Count("*")).filter(number__gt=1).values("checksum")
        return on.compared(self._image_column("checksum"), "IN", Subquery(shared))

    def _megapixels(self, test: Test) -> Sql:
        pixels = on.product(self._image_column("width"), self._image_column("height"))
        return on.on_number(
            test,
            lambda operator, number: on.compared(pixels, operator, Value(number.scaleb(6, EXACT))),
            on.is_set(pixels),
        )

    def _aspect(self, test: Test) -> Sql:
        width, height = self._image_column("width"), self._image_column("height")
        high = on.compared(height, ">", Value(0))

        def compare(operator: str, number: Decimal) -> Sql:
            # Multiplied, not divided: 4/3 has no end of digits.
            return on.both(high, on.compared(width, operator, on.product(height, on.typed(number, "numeric"))))

        return on.on_number(test, compare, on.both(high, on.is_set(width)))

    def _object_test(self, node: Node) -> Sql:
        if not isinstance(node, Term):
            raise TypeError(f"{node!r} is no condition on an object")
        name, test = node.field, node.test
        match name:
            case "category":
                return self._category(node)
            case "supercategory":
                return on.one_of(F("category_id"), self.names.of(node))
            case "area" | "score":
                return on.on_exact_number(F(name), test)
            case "keypoints":
                labelled = F("num_keypoints")
                return on.is_set(labelled) if test == Present() else on.on_whole_number(Coalesce(labelled, 0), test)
            case "annotation":
                return on.on_whole_number(F("coco_id"), test)
            case "iscrowd":
                crowd = F("iscrowd")
                return on.is_set(crowd) if test == Present() else on.on_flag(on.compared(crowd, "<>", Value(0)), test)
            case "machine":
                return on.on_flag(on.Condition(F("is_machine")), test)
            case "source":
                return on.on_name(F("source"), test)
            case "annotation.issue":
                return on.on_names(F("issues"), test)
            case "attributes":
                return on.on_json(F("attributes"), node.path, test)
            case "caption":
                return on.on_text(on.text_at(F("extra"), "caption"), test)
            case "annotation.created" | "annotation.updated":
                column = F(name.removeprefix("annotation.") + "_at")
                return on.on_time(column, test, now=self.now, zone=timezone.get_current_timezone())
            case "bbox.area":
                return on.on_exact_number(on.numbers_at(F("bbox"), "{0} * {1}", 2, 3), test)
            case "bbox.aspect":
                return shapes.box_aspect(test)
            case "bbox.cx":
                return shapes.box_centre(0, F("image__width"), test)
            case "bbox.cy":
                return shapes.box_centre(1, F("image__height"), test)
            case "keypoint":
                return shapes.keypoint(self._names_of_keypoints, node.path[0], test)
        return on.on_json_number(on.element(F("bbox"), _BOX_PLACES[name]), test)

    @cached_property
    def _names_of_keypoints(self) -> dict[int, list[str]]:
        """The names of keypoints by category, for those that have some; one small query."""
        categories = Category.objects.filter(project=self.project, meta__has_key="keypoints")
        return {pk: names_of(listed) for pk, listed in categories.values_list("pk", "meta__keypoints")}

    def _category(self, term: Term) -> Sql:
        column = F("category_id")
        match term.test:
            case Present():
                return on.is_set(column)
            case Differs():
                return on.both(on.is_set(column), on.untrue(on.one_of(column, self.names.of(term))))
        return on.one_of(column, self.names.of(term))
