"""COCO image records: {id, file_name, width, height, ...}."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from annotations.coco import values
from annotations.coco.problems import WHOLE_LIMIT, Action, CocoFileError, Problem, Quarantine, Reporter, excerpt

MAX_NAME = 1_000  # characters of a file name or of an id that is a text
MAX_NAME_BYTES = 2_500  # in UTF-8: an entry of PostgreSQL's index of file names holds 2,704
MAX_SIDE = 2**31 - 1  # pixels
TEXT_IDS = 2**62  # numbers that stand for ids that are texts begin here
MAX_RECORD = 64 * 1024 * 1024  # bytes

fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_key = msgspec.json.encode


class ImageRecord(msgspec.Struct, gc=False):
    """One image as the file describes it; `metadata` is the JSON text of an object with all other fields."""

    index: int
    coco_id: int
    coco_key: str | None
    file_name: str | None
    width: int | None
    height: int | None
    metadata: bytes


class ImageTable:
    """The images that annotations may refer to: COCO id -> row, with sizes in pixels (0 where unknown)."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.widths = array("i")
        self.heights = array("i")
        self.ids = array("q")
        self.indexes = array("q")  # of the records in the file

    def add(self, index: int, record: ImageRecord) -> None:
        """Append an image; rows are numbered in the order of adding."""
        self.rows[record.coco_id] = len(self.widths)
        self.widths.append(record.width or 0)
        self.heights.append(record.height or 0)
        self.ids.append(record.coco_id)
        self.indexes.append(index)

    def __len__(self) -> int:
        return len(self.widths)


def text_id(text: str) -> int:
    """The number that stands for an id that is a text: the same in every file, and above all ids that files use."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return TEXT_IDS | int.from_bytes(digest, "big") >> 2


def record_id(raw: bytes) -> tuple[int, str | None] | None:
    """An id as (number, its text if it was no number), from a number or a string; None if it is neither."""
    try:
        number = int(raw)
    except ValueError:
        whole = values.as_integer(raw)
        if whole is not None:
            return whole, None
        text = values.as_text(raw)
        if text is None or not text.strip() or len(text) > MAX_NAME or values.NUMBER.match(text.encode()):
            return None
        return text_id(text), text
    return (number, None) if -values.INT64 <= number < values.INT64 else None


def take_id(raw: bytes | None, name: str, path: str, report: Reporter, *, texts: bool = True) -> tuple[int, str | None]:
    """The id in field `name`, told as a repair where it was no integer; Quarantine if there is none to be had.

    `texts` says whether it may be a text that is no number.
    """
    if raw is None:
        raise Quarantine(f"{name}_missing", f"The record has no {name!r}.", f"Give it a whole number as {name!r}.")
    found = record_id(raw)
    if found is None or (found[1] is not None and not texts):
        raise Quarantine(
            f"{name}_invalid",
            f"{name!r} is {excerpt(raw[:80])}; expected a whole number below 2^63.",
            "Number the records with whole numbers.",
            at=f".{name}",
        )
    if raw != b"%d" % found[0]:
        told = "kept as text" if found[1] is not None else f"read as {found[0]}"
        report(
            Problem(
                f"{name}_not_integer",
                Action.REPAIRED,
                f"{path}.{name}",
                f"{name!r} was {excerpt(raw[:80])}: {told}.",
            )
        )
    return found


def record_fields(raw: bytes, path: str) -> dict[str, bytes]:
    """The record's fields as JSON text; Quarantine if it is no object or has a key twice."""
    if len(raw) > MAX_RECORD:
        raise Quarantine("record_too_large", f"The record has {len(raw):,} bytes; {MAX_RECORD:,} is the most.")
    try:
        found = fields_of(raw)
    except msgspec.ValidationError:
        raise Quarantine("not_an_object", "The record is no object.", "Expected an object {...}.") from None
    except RecursionError:
        raise too_deep(path) from None
    except values.UNREADABLE:  # only keys are decoded here
        raise Quarantine("lone_surrogate", "A key holds half of a surrogate pair.", "Correct it.") from None
    fields = {name: bytes(value) for name, value in found.items()}
    if raw.count(b":") != len(fields):
        inner = sum(value.count(b":") for value in fields.values())
        if raw.count(b":") != inner + len(fields):  # a key is missing, or one has a colon of its own
            try:
                values.check(raw)
            except values.Unfit as unfit:
                raise Quarantine(unfit.code, f"In the record, {unfit}.", "Keep one of them.") from None
            except values.TooDeep:
                raise too_deep(path) from None
    return fields


def too_deep(path: str) -> CocoFileError:
    """The refusal of a file with a record nested beyond the limit."""
    return CocoFileError(
        "too_deep",
        f"{path} is nested deeper than {values.MAX_DEPTH} levels; nothing was imported.",
        path=path,
    )


def join_fields(fields: dict[str, bytes], path: str) -> bytes:
    """JSON text of an object with these fields, each checked to be fit for storing."""
    parts = []
    for name, raw in fields.items():
        try:
            if "\0" in name:
                raise values.Unfit("nul_character", "a key holds the NUL character")
            values.check(raw)
        except values.Unfit as unfit:
            raise Quarantine(unfit.code, f"In {name!r}, {unfit}.", "Correct the value.", at=f".{name}") from None
        except values.TooDeep:
            raise too_deep(f"{path}.{name}") from None
        parts.append(_key(name) + b":" + raw)
    return b"{" + b",".join(parts) + b"}"


def without_fields(raw: bytes, names: Sequence[str]) -> bytes:
    """JSON text of an object, less these fields."""
    found = fields_of(raw)
    if not any(name in found for name in names):
        return raw
    return (
        b"{" + b",".join(_key(name) + b":" + bytes(value) for name, value in found.items() if name not in names) + b"}"
    )


def quarantined(path: str, reason: Quarantine, raw: bytes) -> Problem:
    """The problem that tells of a record left out; CocoFileError if it is nested so deep that the file is refused."""
    if values.nested_too_deep(raw):
        raise too_deep(path)
    return Problem(
        reason.code, Action.QUARANTINED, path + reason.at, reason.message, reason.fix, excerpt(raw, WHOLE_LIMIT)
    )


def check_keys(section: str, records: Sequence[Any], expected: dict[str, tuple[str, ...]]) -> None:
    """Refuse a file none of whose records has an expected key while they have one like it (`fileName`, `image_id`)."""
    found: set[str] = set()
    for raw in records[:200]:
        try:
            found.update(fields_of(raw))
        except (*values.UNREADABLE, RecursionError):
            continue
    for name, others in expected.items():
        likes = [other for other in found if other in others or _folded(other) == _folded(name)]
        if name not in found and likes:
            raise CocoFileError(
                "wrong_keys",
                f"The records in {section!r} have no {name!r} but have {', '.join(map(repr, sorted(likes)))}. "
                f"Found the keys {', '.join(map(repr, sorted(found)))}. Rename {sorted(likes)[0]!r} to {name!r}.",
                path=f"$.{section}",
            )


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def read_images(records: Sequence[Any], table: ImageTable, report: Reporter) -> Iterator[ImageRecord]:
    """Each usable image record, entered in `table`; flaws go to `report`.

    Raises CocoFileError if no record has an id but has a key that looks like one.
    """
    check_keys("images", records, {"id": ("image_id",), "file_name": ()})
    for index, slice_ in enumerate(records):
        raw, path = bytes(slice_), f"$.images[{index}]"
        flaws: list[Problem] = []  # if the record is left out, only why is told
        try:
            record = _image(index, raw, path, flaws.append)
            first = table.rows.get(record.coco_id)
            if first is not None:
                _same_id_again(record, raw, bytes(records[table.indexes[first]]), report, path)
                continue
        except Quarantine as reason:
            report(quarantined(path, reason, raw))
            continue
        except values.Unfit as unfit:
            report(quarantined(path, Quarantine(unfit.code, f"In the record, {unfit}.", "Correct the value."), raw))
            continue
        for flaw in flaws:
            report(flaw)
        table.add(index, record)
        yield record


def _same_id_again(record: ImageRecord, raw: bytes, first: bytes, report: Reporter, path: str) -> None:
    if values.same(raw, first):
        report(
            Problem(
                "duplicate_image",
                Action.REPAIRED,
                path,
                f"The image {record.coco_id} stands twice: taken once.",
            )
        )
        return
    raise Quarantine(
        "duplicate_image_id",
        f"The image id {record.coco_key or record.coco_id} was used before for another record.",
        "Give each image an id of its own.",
        at=".id",
    )


def _image(index: int, raw: bytes, path: str, report: Reporter) -> ImageRecord:
    fields = record_fields(raw, path)
    coco_id, coco_key = take_id(fields.pop("id", None), "id", path, report)
    name = _file_name(fields, path, report)
    width, height = _side(fields, "width", path, report), _side(fields, "height", path, report)
    return ImageRecord(index, coco_id, coco_key, name, width, height, join_fields(fields, path))


def _file_name(fields: dict[str, bytes], path: str, report: Reporter) -> str | None:
    raw = fields.get("file_name")
    if raw is None:
        report(
            Problem(
                "file_name_missing",
                Action.KEPT,
                path,
                "The image has no 'file_name': no picture can be found for it.",
            )
        )
        return None
    name = values.as_text(raw)
    if name is None:
        if raw != b"null" and values.as_number(raw) is None:
            raise Quarantine(
                "file_name_invalid", f"'file_name' is {excerpt(raw[:80])}; expected a text.", at=".file_name"
            )
        report(
            Problem(
                "file_name_invalid",
                Action.KEPT,
                f"{path}.file_name",
                f"'file_name' is {excerpt(raw[:80])}, no text: kept.",
            )
        )
        return None
    if len(name) > MAX_NAME or len(name.encode()) > MAX_NAME_BYTES:
        raise Quarantine(
            "file_name_too_long",
            f"'file_name' has {len(name):,} characters ({len(name.encode()):,} bytes); "
            f"{MAX_NAME:,} ({MAX_NAME_BYTES:,} bytes) is the most.",
            at=".file_name",
        )
    del fields["file_name"]
    return name


def _side(fields: dict[str, bytes], name: str, path: str, report: Reporter) -> int | None:
    raw = fields.get(name)
    if raw is None:
        report(Problem(f"{name}_missing", Action.KEPT, path, f"The image has no {name!r}."))
        return None
    whole = values.as_integer(raw)
    if whole is None or not 0 <= whole <= MAX_SIDE:
        found = f"{name!r} is {excerpt(raw[:80])}; expected pixels from 1 to {MAX_SIDE}: kept as it is."
        report(Problem(f"{name}_invalid", Action.KEPT, f"{path}.{name}", found))
        return None  # stays among the other fields, to the letter
    if raw != b"%d" % whole:
        told = f"{name!r} was {excerpt(raw[:80])}: read as {whole}."
        report(Problem(f"{name}_not_integer", Action.REPAIRED, f"{path}.{name}", told))
    del fields[name]
    if whole == 0:
        report(Problem(f"{name}_zero", Action.KEPT, f"{path}.{name}", f"{name!r} is 0."))
    return whole
