"""COCO documents written from the rows: PostgreSQL puts each record's JSON together, it is passed on unparsed.

Memory does not grow with the export. Records come out in the order of their files, with the fields that they had: SQL
NULL is an absent field, JSON null a null.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import msgspec
import orjson
from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.errors import Conflict, ServiceError
from annotations.models import KINDS, Annotation, Category, CocoDocument, DocumentCategory, Kind
from assets.models import ImageAsset
from projects.models import Project

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Progress = Callable[[str, int, int | None], None]

STEP = 5_000  # records between two signs of progress
DEFAULT_LAYOUT = ["info", "licenses", "images", "annotations", "categories"]
RECORD_SECTIONS = ("images", "annotations", "categories")

ANNOTATION_COLUMNS = {
    "id": "a.coco_id",
    "image_id": "a.image_id",
    "category_id": "c.coco_id",
    **{
        name: f"a.{name}"
        for name in (
            "bbox", "area", "iscrowd", "segmentation", "num_keypoints", "keypoints", "attributes", "score",
        )
    },
}  # fmt: skip


def _rest(column: str, columns: dict[str, str]) -> str:
    """SQL: the end of a record with the JSON of its other fields, less those that a column has the say of."""
    names = ", ".join(f"'{name}'" for name in columns)
    taken = ", ".join(f"CASE WHEN {value} IS NOT NULL THEN '{name}' END" for name, value in columns.items())
    # The second CASE is for what people put among the other fields by hand; a file has no field twice.
    return f"""CASE WHEN {column} IS NULL OR {column} = '{{}}' THEN '}}'
        WHEN {column} ?| ARRAY[{names}] THEN COALESCE(
            ',' || substr(NULLIF({column} - array_remove(ARRAY[{taken}], NULL), '{{}}')::text, 2), '}}')
        ELSE ',' || substr({column}::text, 2) END"""


# A record's id is a number, or a text where the file had one; '' says that the record has none.
IMAGE_ID = "COALESCE(to_json(i.coco_key)::text, i.coco_id::text)"

CATEGORY_ID = "COALESCE(to_json(c.coco_key)::text, c.coco_id::text)"

IMAGE_JSON = f"""
    '{{"id":' || {IMAGE_ID}
    || COALESCE(',"file_name":' || to_json(i.file_name)::text, '')
    || COALESCE(',"width":' || i.width, '') || COALESCE(',"height":' || i.height, '')
    || {_rest("i.metadata", {"id": "i.coco_id", **{name: f"i.{name}" for name in ("file_name", "width", "height")}})}
"""
ANNOTATION_JSON = f"""
    CASE WHEN a.coco_key IS NULL THEN '{{"id":' || a.coco_id || ',' WHEN a.coco_key = '' THEN '{{'
        ELSE '{{"id":' || to_json(a.coco_key)::text || ',' END
    || '"image_id":' || {IMAGE_ID}
    || COALESCE(',"category_id":' || {CATEGORY_ID}, '')
    || COALESCE(',"bbox":' || a.bbox::text, '')
    || COALESCE(',"area":' || a.area, '')
    || COALESCE(',"iscrowd":' || a.iscrowd, '')
    || COALESCE(',"segmentation":' || a.segmentation::text, '')
    || COALESCE(',"num_keypoints":' || a.num_keypoints, '')
    || COALESCE(',"keypoints":' || a.keypoints::text, '')
    || COALESCE(',"attributes":' || a.attributes::text, '')
    || COALESCE(',"score":' || a.score, '')
    || {_rest("a.extra", ANNOTATION_COLUMNS)}
"""


# Which annotations of the chosen images are wanted.
WANTED = "(NOT a.is_machine OR a.source IN (SELECT name FROM chosen_source))"


@dataclass
class Rendered:
    """What was written."""

    images: int = 0
    annotations: int = 0
    categories: int = 0
    notes: list[str] = field(default_factory=list)


@contextmanager
def frozen() -> Iterator[None]:
    """One state of the database for everything read inside, however long it takes."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


class Selection:
    """The images of an export, held in a temporary table for the length of a `frozen` transaction.

    What people have drawn comes with them; predictions only of the named sources ("*": of all).
    """

    def __init__(self, project: Project, images: QuerySet[ImageAsset], sources: Sequence[str] = ()) -> None:
        self.project = project
        sql, params = images.order_by().values("pk").query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE IF NOT EXISTS chosen_image (id bigint PRIMARY KEY) ON COMMIT DROP")
            cursor.execute(f"TRUNCATE chosen_image; INSERT INTO chosen_image {sql}", params)
            cursor.execute("ANALYZE chosen_image")
            cursor.execute("CREATE TEMP TABLE IF NOT EXISTS chosen_source (name text) ON COMMIT DROP")
            cursor.execute("TRUNCATE chosen_source")
            cursor.execute(
                "INSERT INTO chosen_source SELECT DISTINCT source FROM annotations_annotation "
                "WHERE project_id = %s AND is_machine AND (source = ANY(%s) OR '*' = ANY(%s))",
                [project.pk, list(sources), list(sources)],
            )
            cursor.execute(
                "SELECT i.split_id, count(*) FROM chosen_image JOIN assets_imageasset i USING (id) GROUP BY i.split_id"
            )
            self.images_by_split: dict[int, int] = dict(cursor.fetchall())
            cursor.execute(
                "SELECT a.split_id, a.kind, count(*) FROM annotations_annotation a "
                f"JOIN chosen_image s ON s.id = a.image_id WHERE {WANTED} GROUP BY a.split_id, a.kind"
            )
            self.annotations: dict[tuple[int, int], int] = {(split, kind): n for split, kind, n in cursor}

    def kinds(self) -> list[Kind]:
        """Kinds of annotations in the selection; objects where there are none at all."""
        return [Kind(kind) for kind in sorted({kind for _, kind in self.annotations})] or [Kind.OBJECT]

    def splits(self) -> list[int]:
        """Primary keys of the splits in the selection, in the order of their making.

        Where there is no image at all, those that were imported without images: their categories go out as they came.
        """
        if self.images_by_split:
            return sorted(self.images_by_split)
        documents = CocoDocument.objects.filter(project=self.project, split__assets=None)
        return sorted(documents.values_list("split", flat=True).distinct())


def write_document(
    selection: Selection,
    target: IO[bytes],
    *,
    kind: Kind = Kind.OBJECT,
    splits: Sequence[int] | None = None,
    progress: Progress = lambda phase, done, total: None,
) -> Rendered:
    """Write one COCO document of the selected images of these splits and their annotations of one kind.

    Call it inside `frozen`. Raises Conflict where several splits cannot stand in one document, because they use one id
    for two things.
    """
    writer = _Writer(selection, target, kind, list(splits if splits is not None else selection.splits()), progress)
    writer.write()
    return writer.rendered


class _Writer:
    def __init__(
        self, selection: Selection, target: IO[bytes], kind: Kind, splits: list[int], progress: Progress
    ) -> None:
        self.project = selection.project
        self.target = target
        self.kind = kind
        self.splits = splits
        self.progress = progress
        self.totals = {
            "images": sum(selection.images_by_split.get(split, 0) for split in splits),
            "annotations": sum(selection.annotations.get((split, kind), 0) for split in splits),
        }
        self.rendered = Rendered()
        self._categories: list[bytes] | None = None
        self.documents = list(
            CocoDocument.objects.filter(project=self.project, split__in=splits, kind=kind).order_by("split_id")
        )
        if not self.documents:  # pictures of a kind that was never imported here: surround them as the others are
            self.documents = list(
                CocoDocument.objects.filter(project=self.project, split__in=splits).order_by("split_id", "kind")
            )

    def write(self) -> None:
        if len(self.splits) > 1:
            self._refuse_shared_ids()
        self.target.write(b"{")
        for number, (name, parts) in enumerate(self._sections()):
            self.target.write((b",\n" if number else b"\n") + orjson.dumps(name) + b": ")
            for part in parts:
                self.target.write(part)
        self.target.write(b"\n}\n")

    def _layout(self) -> list[str]:
        layout = list(dict.fromkeys(name for document in self.documents for name in document.layout)) or DEFAULT_LAYOUT
        needed = [name for name in ("images", "annotations") if self.totals.get(name) and name not in layout]
        if self._listed() and "categories" not in layout:
            needed.append("categories")
        return [*layout, *needed]

    def _sections(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        for name in self._layout():
            if name == "images":
                yield name, self._array(self._images())
            elif name == "annotations":
                yield name, self._array(self._annotations())
            elif name == "categories":
                yield name, self._array(iter(self._listed()))
            else:
                text = self._section(name)
                if text is not None:
                    yield name, iter([text])

    def _section(self, name: str) -> bytes | None:
        texts = list(dict.fromkeys(document.sections[name] for document in self.documents if name in document.sections))
        if not texts:
            return None
        if len(texts) > 1 and all(text.lstrip().startswith("[") for text in texts):
            merged: dict[str, bytes] = {}
            for text in texts:
                for item in _items(text):
                    merged.setdefault(json.dumps(json.loads(bytes(item)), sort_keys=True), bytes(item))
            return b"[" + b", ".join(merged.values()) + b"]"
        if len(texts) > 1:
            self.rendered.notes.append(f"The splits differ in {name!r}: the first one's was taken.")
        return texts[0].encode()

    def _array(self, records: Iterator[bytes]) -> Iterator[bytes]:
        piece, size, first = [], 0, True
        yield b"["
        for record in records:
            piece.append(record)
            size += len(record)
            if size > 256 * 1024:
                yield (b"\n" if first else b",\n") + b",\n".join(piece)
                piece, size, first = [], 0, False
        if piece:
            yield (b"\n" if first else b",\n") + b",\n".join(piece)
        yield b"\n]"

    def _copy(self, section: str, statement: str) -> Iterator[bytes]:
        """Rows of one text column. COPY doubles backslashes and escapes nothing else that JSON text can hold."""
        done, total = 0, self.totals[section]
        with connection.cursor() as cursor, cursor.copy(f"COPY ({statement}) TO STDOUT") as copy:
            for row in copy:
                line = bytes(row[:-1])
                yield line.replace(b"\\\\", b"\\") if b"\\" in line else line
                done += 1
                if done % STEP == 0:
                    self.progress(section, done, total)
        self.progress(section, done, total)
        setattr(self.rendered, section, done)

    def _in_splits(self, column: str) -> str:
        return f"{column} IN ({', '.join(str(int(split)) for split in self.splits) or 'NULL'})"

    def _images(self) -> Iterator[bytes]:
        return self._copy(
            "images",
            f"SELECT {IMAGE_JSON} FROM chosen_image JOIN assets_imageasset i USING (id) "
            f"WHERE {self._in_splits('i.split_id')} ORDER BY i.split_id, i.position, i.id",
        )

    def _annotations(self) -> Iterator[bytes]:
        return self._copy(
            "annotations",
            f"SELECT {ANNOTATION_JSON} FROM chosen_image JOIN assets_imageasset i USING (id) "
            "JOIN annotations_annotation a ON a.image_id = i.id "
            "LEFT JOIN annotations_category c ON c.id = a.category_id "
            f"WHERE {self._in_splits('a.split_id')} AND a.kind = {int(self.kind)} AND {WANTED} "
            "ORDER BY a.split_id, a.position, a.id",
        )

    def _listed(self) -> list[bytes]:
        """Category records: those that the documents list, and after them any other that an annotation uses."""
        if self._categories is not None:
            return self._categories
        records: dict[int, tuple[str, str, dict[str, bytes]]] = {}
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT c.coco_id, {CATEGORY_ID}, c.name, d.fields::text FROM {DocumentCategory._meta.db_table} d
                JOIN {Category._meta.db_table} c ON c.id = d.category_id
                WHERE d.document_id = ANY(%s) ORDER BY d.document_id, d.position, d.id
                """,
                [[document.pk for document in self.documents]],
            )
            rows = list(cursor)
            cursor.execute(
                f"""
                SELECT c.coco_id, {CATEGORY_ID}, c.name,
                    (CASE WHEN c.supercategory = '' THEN '{{}}'
                        ELSE jsonb_build_object('supercategory', c.supercategory) END || c.meta)::text
                FROM {Category._meta.db_table} c WHERE c.project_id = %s AND EXISTS (
                    SELECT FROM {Annotation._meta.db_table} a JOIN chosen_image s ON s.id = a.image_id
                    WHERE a.category_id = c.id AND a.kind = %s AND {WANTED} AND {self._in_splits("a.split_id")})
                AND NOT EXISTS (SELECT FROM {DocumentCategory._meta.db_table} d
                    WHERE d.category_id = c.id AND d.document_id = ANY(%s))
                ORDER BY c.coco_id, c.id
                """,
                [self.project.pk, int(self.kind), [document.pk for document in self.documents]],
            )
            rows += cursor.fetchall()
        differing: list[str] = []
        for coco_id, id_text, name, text in rows:
            fields = {key: bytes(value) for key, value in _fields(text).items() if key not in ("id", "name")}
            _, known_name, known = records.setdefault(coco_id, (id_text, name, {}))
            if known_name != name:
                raise Conflict(
                    f"The category id {coco_id} is {known_name!r} in one split and {name!r} in another: "
                    "export the splits one by one, or as a zip."
                )
            if any(known.get(key, value) != value for key, value in fields.items()):
                differing.append(name)
            known.update({key: value for key, value in fields.items() if key not in known})
        if differing:
            names = ", ".join(map(repr, dict.fromkeys(differing)))
            self.rendered.notes.append(f"The splits differ in fields of the categories {names}: the first one's count.")
        self._categories = [
            b'{"id":%b,"name":' % id_text.encode()
            + b",".join([orjson.dumps(name), *(orjson.dumps(key) + b":" + value for key, value in fields.items())])
            + b"}"
            for id_text, name, fields in records.values()
        ]
        self.rendered.categories = len(self._categories)
        return self._categories

    def _refuse_shared_ids(self) -> None:
        for what, statement in (
            (
                "image",
                "SELECT i.coco_id FROM chosen_image JOIN assets_imageasset i USING (id) WHERE "
                + self._in_splits("i.split_id"),
            ),
            (
                "annotation",
                "SELECT a.coco_id FROM chosen_image s JOIN annotations_annotation a ON a.image_id = s.id "
                f"WHERE a.kind = {int(self.kind)} AND {WANTED} AND " + self._in_splits("a.split_id"),
            ),
        ):
            with connection.cursor() as cursor:
                cursor.execute(f"{statement} GROUP BY 1 HAVING count(*) > 1 LIMIT 1")
                shared = cursor.fetchone()
            if shared:
                raise Conflict(
                    f"The {what} id {shared[0]} is used in several splits, so they cannot stand in one COCO file: "
                    "export the splits one by one, or as a zip."
                )


def choose_kind(selection: Selection, wanted: str) -> tuple[Kind, list[str]]:
    """The kind of annotations for a single document, and a note on the kinds that are left out of it.

    Raises ServiceError for a word that is no kind.
    """
    kinds = selection.kinds()
    if wanted:
        if wanted not in KINDS:
            raise ServiceError(f"{wanted!r} is no kind of annotations; expected {', '.join(KINDS)}.")
        return Kind(KINDS.index(wanted)), []
    left = [
        f"{Kind(kind).slug} are left out: a COCO file holds one kind. Export them by themselves, or as a zip."
        for kind in kinds[1:]
    ]
    return kinds[0], left
