"""The images that a metric is about: a query as SQL, and queries for its bars."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection

from annotations import query
from annotations.query.errors import QueryError
from annotations.query.parser import MAX_CHARACTERS, MAX_TERMS
from annotations.query.tree import And, Everything, Has, Is, Moment, Node, Term, all_of, terms
from assets.models import ImageAsset
from projects.models import Project

IMAGE_COLUMNS = (
    "id", "split_id", "file_name", "width", "height", "tags", "status", "issues", "annotation_count", "checksum",
    "format", "size_bytes", "created_at", "updated_at",
)  # fmt: skip
# As much as `annotations.query` takes, less what a bar adds.
_PROBE = Has(And((Term("category", Is("")), Term("category", Is("")))))


class Selection:
    """What `q` selects in a project. Its SQL calls the images `i` and the annotations `a`."""

    def __init__(self, project: Project, q: str | Node = "") -> None:
        self.project = project
        self.tree = query.parse(q) if isinstance(q, str) else q
        self.q = query.to_text(self.tree)
        self.is_all = isinstance(self.tree, Everything)
        self._terms = sum(1 for _ in terms(self.tree))
        self._takes_bars = self._can_be_narrowed()
        self._images: tuple[str, Sequence[Any]] | None = None

    @property
    def head(self) -> str:
        """The beginning of every statement: the images as `i`. Its values are the statement's first parameters."""
        if self._images is None:
            rows = query.filter_images(ImageAsset.objects.order_by(), self.project, self.tree)
            self._images = rows.values(*IMAGE_COLUMNS).query.sql_with_params()
        # All images are read as often as a statement names them: that is less than writing them down first.
        return f"WITH i AS {'NOT MATERIALIZED ' if self.is_all else ''}({self._images[0]})"

    @property
    def annotation_tables(self) -> str:
        """What FROM names for the annotations `a` of the images; for all of them, `i` is not looked at."""
        of_images = "" if self.is_all else " JOIN i ON i.id = a.image_id"
        return f"annotations_annotation a{of_images}"

    @property
    def of_project(self) -> str:
        """The condition that keeps to the project's annotations."""
        return f"a.project_id = {self.project.pk:d}"

    @property
    def annotations(self) -> str:
        """FROM and WHERE for the annotations of the images."""
        return f"{self.annotation_tables} WHERE {self.of_project}"

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement that begins with `head`; percent signs in it are doubled."""
        with connection.cursor() as cursor:
            cursor.execute(*self._whole(sql, params))
            return cursor.fetchall()

    def rows_of_one_process(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """As `rows`, without workers: for what each of them would do nearly all of. Inside a transaction."""
        with connection.cursor() as cursor:
            setting = "max_parallel_workers_per_gather"
            cursor.execute("SELECT current_setting(%s), set_config(%s, '0', true)", [setting, setting])
            before = cursor.fetchone()[0]
            rows = self.rows(sql, params)
            cursor.execute("SELECT set_config(%s, %s, true)", [setting, before])
        return rows

    def stream(self, sql: str, params: Sequence[Any] = (), *, at_once: int = 2_000) -> Iterator[tuple[Any, ...]]:
        """As `rows`, for more than should be in memory; inside a transaction."""
        with connection.chunked_cursor() as cursor:
            cursor.execute(*self._whole(sql, params))
            while rows := cursor.fetchmany(at_once):
                yield from rows

    def _whole(self, sql: str, params: Sequence[Any]) -> tuple[str, list[Any]]:
        statement = f"{self.head} {sql}"
        return statement, [*(self._images[1] if self._images else ()), *params]

    def narrowed(self, *conditions: Node) -> str | None:
        """The query for those of the images that meet all conditions; None if the language does not take it."""
        if not self._takes_bars:
            return None
        own = all_of(conditions)
        whole = own if self.is_all else all_of([self.tree, own])
        text = query.to_text(whole)
        return text if len(text) <= MAX_CHARACTERS and self._terms + 8 <= MAX_TERMS else None

    def with_object(self, *conditions: Node) -> str | None:
        """The query for those of the images that have one object which meets all conditions."""
        plain = len(conditions) == 1 and isinstance(conditions[0], Term)
        return self.narrowed(conditions[0] if plain else Has(all_of(conditions)))

    @property
    def depends_on_time(self) -> bool:
        """Whether the query means something else a moment later, as `created>-7d` does."""
        return any(
            isinstance(moment, Moment) and moment.text.startswith("-")
            for term in terms(self.tree)
            for moment in (getattr(term.test, name, None) for name in ("value", "low", "high"))
        )

    def _can_be_narrowed(self) -> bool:
        if self.is_all:
            return True
        try:
            query.parse(query.to_text(all_of([self.tree, _PROBE])))
        except QueryError:
            return False
        return True
