"""COCO documents for tests: made by hand or by Hypothesis, imported, exported, compared with the types of numbers."""

import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from hypothesis import strategies as st

from annotations.coco.rle import encode_counts
from annotations.importing import FileToImport, Outcome, import_files
from annotations.models import Kind
from annotations.report import Report
from annotations.sources import PictureSource
from assets.models import ImageAsset
from exports.rendering import Rendered, Selection, write_document
from projects.models import Project
from tests.annotations.coco.reading import RAW, text_of

TABLES = (
    "assets_split",
    "assets_imageasset",
    "annotations_annotation",
    "annotations_category",
    "annotations_cocodocument",
    "annotations_documentcategory",
)


def import_document(
    project: Project,
    *documents: Any,
    split: str = "train",
    splits: Iterable[str] = (),
    pictures: PictureSource | None = None,
    strict: bool = False,
    report: Report | None = None,
    **options: Any,
) -> tuple[Outcome, Report]:
    """Import documents (or the bytes of files), in one go; each into `split`, or into `splits` one by one."""
    report = report or Report()
    names = list(splits) or [split] * len(documents)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, (document, name) in enumerate(zip(documents, names, strict=True)):
            path = Path(folder, f"{number}.json")
            path.write_bytes(document if isinstance(document, bytes) else text_of(document))
            files.append(FileToImport(path, name, f"{number}.json" if len(documents) > 1 else ""))
        given = {"pictures": pictures, "strict": strict, **options}
        outcome = import_files(project=project, files=files, report=report, **given)
    return outcome, report


def export_text(
    project: Project, *, kind: Kind = Kind.OBJECT, splits: Iterable[str] = (), **chosen: Any
) -> tuple[bytes, Rendered]:
    """The COCO file of a project: of all its splits or of some, of all its images or of those chosen by a filter."""
    target = io.BytesIO()
    selection = Selection(project, ImageAsset.objects.filter(project=project, **chosen))
    keys = list(project.splits.filter(name__in=splits).values_list("pk", flat=True)) if splits else None
    rendered = write_document(selection, target, kind=kind, splits=keys)
    return target.getvalue(), rendered


def export_document(project: Project, **options: Any) -> Any:
    """The same, parsed."""
    return json.loads(export_text(project, **options)[0])


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo what was written inside: one example of many leaves no rows, temporary tables and locks to the next."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def codes(report: Report) -> dict[str, int]:
    """How often each code was told."""
    return {code: number for (code, _), number in report.by_code.items()}


def typed(value: Any) -> Any:
    """The value with the types of its scalars: 1, 1.0 and true differ, -0.0 is 0.0."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value).__name__, value + 0 if isinstance(value, float) else value


def canonical(value: Any) -> str:
    """The same as one text."""
    return json.dumps(_plus_zero(value), sort_keys=True)


def _plus_zero(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plus_zero(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plus_zero(item) for item in value]
    return value + 0 if isinstance(value, float) else value


def silently_changed(document: dict[str, Any], report: Report, exported: Iterable[dict[str, Any]]) -> list[str]:
    """Records and sections of a file that did not come out as they went in although no repair of them was told."""
    told = {
        (found[1], int(found[2]) if found[2] else None)
        for line in map(json.loads, report.problems())
        if line["action"] != "kept" and (found := re.match(r"\$\.(\w+)(?:\[(\d+)\])?", line["path"]))
    }
    changed = []
    exported = list(exported)
    for name, value in document.items():
        if name in ("images", "annotations", "categories"):
            out = {canonical(record) for written in exported for record in written.get(name, [])}
            changed += [
                f"{name}[{index}]: {canonical(record)[:200]}"
                for index, record in enumerate(value)
                if (name, index) not in told and canonical(record) not in out
            ]
        elif (name, None) not in told and any(canonical(written[name]) != canonical(value) for written in exported):
            changed.append(name)
    return changed


def rows_of(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the project, with its place on disk: any UPDATE shows."""
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            where = "project_id = %s"
            if table == "annotations_documentcategory":
                where = "document_id IN (SELECT id FROM annotations_cocodocument WHERE project_id = %s)"
            cursor.execute(f"SELECT ctid::text, t::text FROM {table} t WHERE {where} ORDER BY id", [project.pk])  # noqa: S608
            found[table] = cursor.fetchall()
    return found


def contents_of(project: Project) -> dict[str, list[str]]:
    """The same without the places."""
    return {table: [text for _, text in rows] for table, rows in rows_of(project).items()}


# --- Made by Hypothesis ---------------------------------------------------------------------------------------------

# Names that COCO gives a meaning, or that look like such a one.
TAKEN = frozenset(
    [
        *("id", "imageid", "categoryid", "bbox", "area", "iscrowd", "segmentation", "keypoints", "numkeypoints"),
        *("attributes", "score", "caption", "segmentsinfo", "filename", "width", "height", "name", "supercategory"),
        *("images", "annotations", "categories", "info", "licenses"),
    ]
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["\x7f", "\\", '"', "a\tb\n\r\x01", "한글 고양이", "🙂", "\\N", "\\.", "NaN", "</script>", "\u2028", "1e5", "RAW"]
)
names = texts.filter(lambda name: name.replace("_", "").replace("-", "").lower() not in TAKEN)
wholes = st.integers(-(10**25), 10**25) | st.sampled_from([0, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63)])
exponents = st.from_regex(r"\A-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,5})?[eE][+-]?[0-9]{1,2}\Z").map(RAW.__add__)
written = st.sampled_from(["1E5", "1e-7", "0.1", "-0.0", "1.50", "100.0", "123456789012345678.125", "1e0", "0e0"])
numbers = wholes | st.floats(allow_nan=False, allow_infinity=False) | exponents | written.map(RAW.__add__)
pixels = st.integers(0, 5_000) | st.floats(-10, 5_000) | written.map(RAW.__add__).filter(lambda text: "678" not in text)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
others = st.dictionaries(names, anything, max_size=3)
numeric_ids = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 40)
text_ids = st.text("abcxyz-_:/ü가", min_size=1, max_size=6).filter(lambda text: text.strip()) | st.just("007")
ids = numeric_ids | text_ids


def sometimes(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Records with any of the fields, or none."""
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def masks(draw: st.DrawFn) -> dict[str, Any]:
    """RLE of up to 20 x 20 pixels, as runs or as text."""
    height, width = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    ends = [*sorted(draw(st.lists(st.integers(0, height * width), max_size=6))), height * width]
    runs = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    counts: Any = runs if draw(st.booleans()) else encode_counts(runs)
    return {"size": [height, width], "counts": counts, **draw(others)}


polygons = st.lists(
    st.lists(st.tuples(pixels, pixels), min_size=3, max_size=5).map(
        lambda points: [xy for point in points for xy in point]
    ),
    max_size=3,
)
images_fields = sometimes(
    file_name=texts | st.none(),
    width=st.integers(1, 5_000) | st.none(),
    height=st.integers(1, 5_000) | st.none(),
    date_captured=texts,
    license=st.integers(0, 8),
)
objects_fields = sometimes(
    bbox=st.tuples(pixels, pixels, pixels, pixels).map(list),
    area=numbers | st.none(),
    iscrowd=st.sampled_from([0, 1]) | st.none(),
    segmentation=polygons | masks() | st.none(),
    keypoints=st.lists(pixels, max_size=9) | st.none(),
    num_keypoints=st.integers(0, 17) | st.none(),
    attributes=others | st.none() | st.lists(anything, max_size=2),
    score=st.floats(0, 1) | st.none(),
)
categories_fields = sometimes(
    supercategory=texts | st.none(),
    keypoints=st.lists(texts, max_size=3),
    skeleton=st.lists(st.lists(st.integers(1, 17), min_size=2, max_size=2), max_size=3),
    color=st.lists(st.integers(0, 255), min_size=3, max_size=3),
)


@st.composite
def documents(draw: st.DrawFn, kinds: tuple[Kind, ...] = tuple(Kind)) -> tuple[Kind, dict[str, Any]]:
    """A valid document of one kind of annotations, its sections in any order, some of them missing."""
    kind = draw(st.sampled_from(kinds))
    image_ids = draw(st.lists(ids, unique=True, max_size=4))
    images = [{"id": key, **draw(images_fields), **draw(others)} for key in image_ids]
    category_ids = draw(st.lists(numeric_ids, unique=True, max_size=3))
    categories = [{"id": key, "name": draw(texts), **draw(categories_fields), **draw(others)} for key in category_ids]
    keys = draw(st.lists(ids, unique=True, max_size=5)) if images else []
    annotations = []
    for key in keys:
        record = {"id": key, "image_id": draw(st.sampled_from(image_ids)), **draw(others)}
        if kind is Kind.CAPTION:
            record["caption"] = draw(texts)
        elif kind is Kind.PANOPTIC:
            record["segments_info"] = draw(st.lists(others, max_size=2))
        else:
            record |= draw(objects_fields)
            record |= draw(
                st.sampled_from([{}, {"category_id": None}, *({"category_id": key} for key in category_ids)])
            )
            if record.get("bbox"):
                record |= draw(st.sampled_from([{}, {"caption": "of an object"}]))
        annotations.append(record)
    if kind is Kind.PANOPTIC and draw(st.booleans()):  # as COCO has them: one an image, without an id
        annotations = [{"image_id": key, "file_name": "a.png", "segments_info": []} for key in image_ids]
    document: dict[str, Any] = {"images": images}
    if annotations or draw(st.booleans()):
        document["annotations"] = annotations
    if categories or draw(st.booleans()):
        document["categories"] = categories
    document |= draw(sometimes(info=anything, licenses=st.lists(others, max_size=2)))
    document |= draw(others)
    return kind, dict(draw(st.permutations(list(document.items()))))
