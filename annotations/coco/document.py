"""Opening a COCO file: map it, make sure of its encoding, and cut its top level into records.

Nothing but the places of the records is held in memory; the bytes stay in the mapped file.
"""

import codecs
import contextlib
import difflib
import gzip
import mmap
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from annotations.coco import values
from annotations.coco.problems import Action, CocoFileError, Problem, excerpt
from annotations.coco.records import Records

RECORD_SECTIONS = ("images", "annotations", "categories")
CHUNK = 4 * 1024 * 1024  # bytes
PIECE = 64 * 1024  # bytes: fits the processor's cache
MAX_SECTION = 64 * 1024 * 1024  # bytes of a section that is kept as text; jsonb takes four of them
MAX_UNPACKED = 64 * 1024**3  # bytes that a gzip file may grow to
MAX_UNPACK_RATIO = 1_100  # deflate cannot do better than 1,032 : 1

BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# What strict parsers refuse though real files have it: constants outside of strings, and strings with halves of
# surrogate pairs, which are looked at closer. All else is eaten at once.
ODD = re.compile(
    rb"""(?:[^"NI-]++ | "(?:[^"\\]++ | \\[^u] | \\u(?![dD][89a-fA-F]))*+" | -(?!I))*+
    (?P<odd>-?Infinity | NaN | "(?:[^"\\]++ | \\.)*+")""",
    re.DOTALL | re.VERBOSE,
)
ESCAPE = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>\\u[dD][89a-fA-F]..)|\\.", re.DOTALL)

_sections = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass
class Document:
    """The top level of a COCO file.

    `images`, `annotations` and `categories` are slices of JSON text, one a record, in the order of the file; `layout`
    is the order of the top-level keys and `sections` the text of those that are not records.
    """

    layout: list[str] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)
    images: Records = field(default_factory=Records)
    annotations: Records = field(default_factory=Records)
    categories: Records = field(default_factory=Records)
    problems: list[Problem] = field(default_factory=list)


@contextmanager
def opened(path: Path, name: str = "") -> Iterator[Document]:
    """Map the COCO file at `path` (JSON, or gzip of it) and give its top level.

    `name` is what people call it, where that is not what it is called on this machine. Raises CocoFileError for what
    cannot be read at all: it names the place and what was expected.
    """
    name = name or path.name
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if not head:
            raise CocoFileError("empty", f"{name} is empty (0 bytes); expected a COCO JSON object.", offset=0)
        if head[:2] == b"\x1f\x8b":
            with tempfile.TemporaryFile() as unpacked:
                _gunzip(file, unpacked, name, path.stat().st_size)
                with _mapped(unpacked, name) as text:
                    yield _scan(unpacked, text, name)
            return
        with _mapped(file, name) as text:
            yield _scan(file, text, name)


def _gunzip(packed: IO[bytes], unpacked: IO[bytes], name: str, size: int) -> None:
    limit = min(MAX_UNPACKED, size * MAX_UNPACK_RATIO)
    try:
        with gzip.open(packed) as source:
            while chunk := source.read(CHUNK):
                unpacked.write(chunk)
                if unpacked.tell() > limit:
                    raise CocoFileError("gzip_bomb", f"{name} unpacks to more than {limit:,} bytes.")
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise CocoFileError(
            "bad_gzip",
            f"{name} begins like gzip but cannot be unpacked ({error}). Pack it again, or send plain JSON.",
        ) from error
    unpacked.flush()


@contextmanager
def _mapped(file: IO[bytes], name: str) -> Iterator[mmap.mmap]:
    file.seek(0, 2)
    if not file.tell():
        raise CocoFileError("empty", f"{name} is empty; expected a COCO JSON object.", offset=0)
    text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield text
    finally:
        with contextlib.suppress(BufferError):  # a record slice is still held somewhere: the map goes with it
            text.close()


def _scan(file: IO[bytes], text: mmap.mmap, name: str) -> Document:
    document = Document()
    start = 0
    for bom, encoding in BOMS.items():
        if text[: len(bom)] == bom:
            raise CocoFileError(
                "bad_encoding",
                f"{name} is {encoding}; expected UTF-8. Save it as UTF-8 and import it again.",
                offset=0,
            )
    if text[:3] == b"\xef\xbb\xbf":
        start = 3
        document.problems.append(
            Problem("byte_order_mark", Action.REPAIRED, "$", "The file begins with a byte order mark: left out.")
        )
    _check_encoding(text, name)
    body = memoryview(text)[start:]
    try:
        sections = _decode_top(body, name, start)
    except CocoFileError:
        marked = _with_marks(file, text)
        if marked is None:
            raise
        body = memoryview(marked)[start:]
        sections = _decode_top(body, name, start)
    for section in _repeated_keys(body, sections):
        raise CocoFileError("repeated_section", f"The section {section!r} stands twice at the top level; keep one.")
    _check_sections(sections)
    for section, raw in sections.items():
        document.layout.append(section)
        if section in RECORD_SECTIONS:
            setattr(document, section, Records(memoryview(raw)))
        else:
            _keep_section(document, section, bytes(raw))
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


def _check_encoding(text: mmap.mmap, name: str) -> None:
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
                f"{name} is not UTF-8: byte 0x{text[at]:02x} at byte {at:,}. Save it as UTF-8.",
                offset=at,
            ) from None


def _decode_top(body: memoryview, name: str, start: int) -> dict[str, msgspec.Raw]:
    try:
        return _sections.decode(body)
    except RecursionError:
        raise _too_deep("$") from None
    except msgspec.ValidationError:
        kind = {"[": "an array", '"': "a string"}.get(bytes(body[:64]).lstrip()[:1].decode("latin-1"), "no object")
        hint = " A list of detections is a results file: import it as predictions." if kind == "an array" else ""
        raise CocoFileError(
            "not_an_object",
            f"The top level of {name} is {kind}; expected an object with 'images'.{hint}",
        ) from None
    except UnicodeDecodeError:
        raise CocoFileError("bad_json", f"The name of a section of {name} holds half a surrogate pair.") from None
    except msgspec.DecodeError as error:
        offset = start + _byte_of(str(error), len(body))
        raise CocoFileError(
            "bad_json",
            f"{name} is not valid JSON: {_plain(str(error))} at byte {offset:,} of {start + len(body):,}.",
            offset=offset,
        ) from None


def _byte_of(message: str, size: int) -> int:
    found = re.search(r"byte (\d+)", message)
    if not found:
        return size
    return int(found[1]) - ("trailing characters" in message)  # there msgspec names the byte after


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


def _with_marks(file: IO[bytes], text: mmap.mmap) -> mmap.mmap | None:
    """A private copy of the mapped file, in memory only where it differs; None if it has nothing odd.

    NaN, Infinity and halves of surrogate pairs get a mark of the same length in their place (values.BAD).
    """
    copy: mmap.mmap | None = None
    for start, mark in _marks(text):
        if copy is None:
            copy = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        copy[start : start + len(mark)] = mark
    return copy


def _marks(text: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    at = 0
    while found := ODD.match(text, at):
        start, at = found.span("odd")
        if text[start] != 0x22:
            yield start, b'"' + values.BAD + text[start : at - 3] + b'"'
            continue
        for escape in ESCAPE.finditer(text[start:at]):
            if escape["half"]:
                yield start + escape.start(), values.BAD


def _repeated_keys(body: memoryview, sections: dict[str, msgspec.Raw]) -> list[str]:
    """Top-level keys that stand twice; the parser would silently keep the last."""
    names: list[str] = []
    at = 0
    while (at := _next(body, at, b'"')) >= 0:
        end = _value_end(body, at)
        names.append(msgspec.json.decode(body[at:end], type=str))
        at = _next(body, end, b":") + 1
        while body[at] in b" \t\r\n":
            at += 1
        kept = memoryview(sections[names[-1]])
        at = at + len(kept) if _equal(body[at : at + len(kept)], kept) else _value_end(body, at)
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _equal(one: memoryview, other: memoryview) -> bool:
    """Whether two stretches are the same; memoryview's own comparison goes byte by byte."""
    if len(one) != len(other):
        return False
    return all(bytes(one[at : at + PIECE]) == bytes(other[at : at + PIECE]) for at in range(0, len(one), PIECE))


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


def _keep_section(document: Document, name: str, raw: bytes) -> None:
    path = f"$.{name}"
    try:
        if values.nested_too_deep(raw):
            raise _too_deep(path)
        if values.BAD in raw:
            raise values.Unfit(*values.flaw_of_file(raw))
        if len(raw) > MAX_SECTION:
            raise values.Unfit("section_too_large", f"it has {len(raw):,} bytes; {MAX_SECTION:,} is the most")
        if values.LONG_NUMBER.search(raw):  # perhaps inside of a string: looked at closer
            values.check(raw)
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
