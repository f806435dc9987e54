"""Opening a COCO file: map it, make sure of its encoding, and cut its top level into records.

Nothing but the list of record slices is held in memory; the bytes stay in the mapped file.
"""

import codecs
import contextlib
import difflib
import gzip
import mmap
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec

from annotations.coco import values
from annotations.coco.problems import Action, CocoFileError, Problem, excerpt

RECORD_SECTIONS = ("images", "annotations", "categories")
CHUNK = 4 * 1024 * 1024  # bytes
MAX_UNPACKED = 64 * 1024**3  # bytes that a gzip file may grow to
MAX_UNPACK_RATIO = 1_100  # deflate cannot do better than 1,032 : 1

BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# Only outside of strings: the pattern eats strings whole.
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?Infinity|NaN', re.DOTALL)
STAND_INS = {b"NaN": b'"\x7f"', b"Infinity": b'"\x7fInfin"', b"-Infinity": b'"\x7f-Infin"'}

_sections = msgspec.json.Decoder(dict[str, msgspec.Raw])
_records = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass
class Document:
    """The top level of a COCO file.

    `images`, `annotations` and `categories` are slices of JSON text, one a record, in the order of the file; `layout`
    is the order of the top-level keys and `sections` the text of those that are not records.
    """

    layout: list[str] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)
    images: list[Any] = field(default_factory=list)
    annotations: list[Any] = field(default_factory=list)
    categories: list[Any] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@contextmanager
def opened(path: Path) -> Iterator[Document]:
    """Map the COCO file at `path` (JSON, or gzip of it) and give its top level.

    Raises CocoFileError for what cannot be read at all: it names the place and what was expected.
    """
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if not head:
            raise CocoFileError("empty", f"{path.name} is empty (0 bytes); expected a COCO JSON object.", offset=0)
        if head[:2] == b"\x1f\x8b":
            with tempfile.TemporaryFile() as unpacked:
                _gunzip(file, unpacked, path)
                with _mapped(unpacked, path) as text:
                    yield _scan(text, path)
            return
        with _mapped(file, path) as text:
            yield _scan(text, path)


def _gunzip(packed: IO[bytes], unpacked: IO[bytes], path: Path) -> None:
    limit = min(MAX_UNPACKED, path.stat().st_size * MAX_UNPACK_RATIO)
    try:
        with gzip.open(packed) as source:
            while chunk := source.read(CHUNK):
                unpacked.write(chunk)
                if unpacked.tell() > limit:
                    raise CocoFileError("gzip_bomb", f"{path.name} unpacks to more than {limit:,} bytes.")
    except (OSError, EOFError) as error:
        raise CocoFileError(
            "bad_gzip",
            f"{path.name} begins like gzip but cannot be unpacked ({error}). Pack it again, or send plain JSON.",
        ) from error
    unpacked.flush()


@contextmanager
def _mapped(file: IO[bytes], path: Path) -> Iterator[mmap.mmap]:
    file.seek(0, 2)
    if not file.tell():
        raise CocoFileError("empty", f"{path.name} is empty; expected a COCO JSON object.", offset=0)
    text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield text
    finally:
        with contextlib.suppress(BufferError):  # a record slice is still held somewhere: the map goes with it
            text.close()


def _scan(text: mmap.mmap, path: Path) -> Document:
    document = Document()
    start = 0
    for bom, encoding in BOMS.items():
        if text[: len(bom)] == bom:
            raise CocoFileError(
                "bad_encoding",
                f"{path.name} is {encoding}; expected UTF-8. Save it as UTF-8 and import it again.",
                offset=0,
            )
    if text[:3] == b"\xef\xbb\xbf":
        start = 3
        document.problems.append(
            Problem("byte_order_mark", Action.REPAIRED, "$", "The file begins with a byte order mark: left out.")
        )
    _check_encoding(text, path)
    body: Any = memoryview(text)[start:] if start else text
    try:
        sections = _decode_top(body, path)
    except CocoFileError:
        # Strict parsers refuse NaN and Infinity; real files have them. Only then is a patched copy made.
        patched = _without_constants(text) if text.find(b"NaN") >= 0 or text.find(b"Infinity") >= 0 else None
        if patched is None:
            raise
        body = memoryview(patched)[start:]
        sections = _decode_top(body, path)
    for name in _repeated_keys(body, sections):
        raise CocoFileError("repeated_section", f"The section {name!r} stands twice at the top level; keep one.")
    _check_sections(sections)
    for name, raw in sections.items():
        document.layout.append(name)
        if name in RECORD_SECTIONS:
            setattr(document, name, _decode_records(name, raw))
        else:
            _keep_section(document, name, bytes(raw))
    _tell_lookalikes(document)
    return document


def _tell_lookalikes(document: Document) -> None:
    """A section that is missing while one of nearly its name is there (`annotation`) is probably a slip."""
    for name in RECORD_SECTIONS:
        close = difflib.get_close_matches(name, document.sections, n=1, cutoff=0.85)
        if name not in document.layout and close:
            document.problems.append(
                Problem(
                    "section_lookalike",
                    Action.KEPT,
                    f"$.{close[0]}",
                    f"There is no section {name!r} but one called {close[0]!r}: kept as an unknown section.",
                    f"If it is meant to be {name!r}, rename it.",
                )
            )


def _check_encoding(text: mmap.mmap, path: Path) -> None:
    """Every byte must be UTF-8: PostgreSQL takes nothing else, and a broken name must not be guessed."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for offset in range(0, len(text), CHUNK):
        chunk = text[offset : offset + CHUNK]
        pending = len(decoder.getstate()[0])
        if not pending and chunk.isascii():
            continue
        try:
            decoder.decode(chunk, offset + CHUNK >= len(text))
        except UnicodeDecodeError as error:
            at = offset - pending + error.start
            raise CocoFileError(
                "bad_encoding",
                f"{path.name} is not UTF-8: byte 0x{text[at]:02x} at byte {at:,}. Save it as UTF-8.",
                offset=at,
            ) from None


def _decode_top(body: Any, path: Path) -> dict[str, msgspec.Raw]:
    try:
        return _sections.decode(body)
    except RecursionError:
        raise _too_deep("$") from None
    except msgspec.ValidationError:
        kind = {"[": "an array", '"': "a string"}.get(bytes(body[:64]).lstrip()[:1].decode("latin-1"), "no object")
        hint = " A list of detections is a results file: import it as predictions." if kind == "an array" else ""
        raise CocoFileError(
            "not_an_object",
            f"The top level of {path.name} is {kind}; expected an object with 'images'.{hint}",
        ) from None
    except msgspec.DecodeError as error:
        offset = _byte_of(str(error), len(body))
        raise CocoFileError(
            "bad_json",
            f"{path.name} is not valid JSON: {_plain(str(error))} at byte {offset:,} of {len(body):,}.",
            offset=offset,
        ) from None


def _byte_of(message: str, size: int) -> int:
    found = re.search(r"byte (\d+)", message)
    return int(found[1]) if found else size


def _plain(message: str) -> str:
    """The parser's words without its own prefix and place."""
    words = re.sub(r"\s*\(byte \d+\)", "", message.removeprefix("JSON is malformed: "))
    return "it ends too early" if "truncated" in words else words


def _too_deep(path: str) -> CocoFileError:
    return CocoFileError(
        "too_deep",
        f"{path} is nested deeper than {values.MAX_DEPTH} levels; nothing was imported.",
        path=path,
    )


def _without_constants(text: mmap.mmap) -> bytes:
    """A copy of the file in which NaN and Infinity are strings of the same length that no name can equal."""
    return TOKENS.sub(lambda match: STAND_INS.get(match[0], match[0]), text)


def _repeated_keys(body: Any, sections: dict[str, msgspec.Raw]) -> list[str]:
    """Top-level keys that stand twice; the parser would silently keep the last.

    The text that the kept sections do not account for is only punctuation and white space, unless one is missing.
    """
    spare = len(body) - sum(len(bytes(name, "utf-8")) + len(memoryview(raw)) + 4 for name, raw in sections.items())
    if spare < 64 * (len(sections) + 2):
        return []
    view, names, at = memoryview(body), [], 0
    while (at := _next(view, at, b'"')) >= 0:
        end = _value_end(view, at)
        names.append(msgspec.json.decode(view[at:end], type=str))
        at = _next(view, end, b":") + 1
        at = _value_end(view, at)
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _next(view: memoryview, at: int, mark: bytes) -> int:
    while at < len(view):
        window = bytes(view[at : at + 4096])
        found = window.find(mark)
        if found >= 0:
            return at + found
        at += len(window)
    return -1


def _value_end(view: memoryview, at: int) -> int:
    """Where the JSON value that begins at `at` ends: the parser tells by complaining of what follows."""
    try:
        msgspec.json.decode(view[at:], type=msgspec.Raw)
    except msgspec.DecodeError as error:
        return at + _byte_of(str(error), len(view) - at)
    return len(view)


def _check_sections(sections: dict[str, msgspec.Raw]) -> None:
    found = ", ".join(repr(name) for name in list(sections)[:8]) or "nothing"
    if len(sections) > 8:
        found += f" and {len(sections) - 8} more"
    if "images" not in sections:
        raise CocoFileError(
            "no_images",
            f"The file has no 'images' section. Found at the top level: {found}. "
            "Expected 'images', 'annotations', 'categories'.",
        )
    for name in RECORD_SECTIONS:
        first = bytes(memoryview(sections[name])[:1]) if name in sections else b"["
        if first != b"[":
            kind = {b"{": "an object", b'"': "a string", b"n": "null"}.get(first, "no array")
            raise CocoFileError(
                "not_an_array",
                f"The section {name!r} is {kind}; expected an array of records.",
                path=f"$.{name}",
            )


def _decode_records(name: str, raw: msgspec.Raw) -> list[Any]:
    return _records.decode(raw)


def _keep_section(document: Document, name: str, raw: bytes) -> None:
    path = f"$.{name}"
    try:
        if raw.count(b"[") + raw.count(b"{") > values.MAX_DEPTH and values.depth_of(raw) > values.MAX_DEPTH:
            raise _too_deep(path)
        if values.NOT_A_NUMBER in raw:
            raise values.Unfit("not_a_number", "it holds NaN or Infinity")
        if "\0" in name:
            raise values.Unfit("nul_character", "its name holds the NUL character")
    except values.Unfit as found:
        document.layout.remove(name)
        document.problems.append(
            Problem(
                found.code,
                Action.QUARANTINED,
                path,
                f"The section was left out: {found}.",
                "Correct it and import the file again.",
                excerpt(raw),
            )
        )
        return
    document.sections[name] = raw.decode()
