"""Bytes and texts that are guided by what they make our parsers do: the COCO reader, the query language, RLE.

`python -m tests.fuzz.inputs --seconds 60` tries each target for that long and prints how many inputs it tried. With
atheris (libFuzzer) if that is installed, else by mutations of our own that keep what reaches new lines. With
`FUZZ_SUMMARY=FILE` a line of JSON for each is added to that file, which `python -m tests.reliability FILE` reads.
"""

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

try:
    import atheris
except ImportError:
    atheris = None

if __name__ == "__main__":  # who imports this has settings, and processes that are to have theirs
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
    os.environ.setdefault("COCOHUB_EMBEDDED", "0")
GUIDED = ("annotations/coco/", "annotations/query/")

watching = atheris.instrument_imports(include=["annotations"]) if atheris else contextlib.nullcontext()
with watching:
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
    from annotations import query
    from annotations.coco import rle
    from annotations.query import QueryError
    from tests.annotations.coco import test_fuzz as reader


def read_coco(data: bytes) -> None:
    """Records and problems, or a CocoFileError."""
    reader.lines_of(data)


def read_query(data: bytes) -> None:
    """A tree whose text is read as the same tree, or a QueryError with a column inside of the text."""
    text = data.decode("utf-8", "replace")
    tree, column = None, 0
    try:
        tree = query.parse(text)
    except QueryError as error:
        column = error.column
    assert 0 <= column <= len(text) + 1, (column, len(text))
    assert tree is None or query.parse(query.to_text(tree)) == tree, query.to_text(tree)


def read_rle(data: bytes) -> None:
    """Runs that are written and read as themselves, or a ValueError; a box inside of the mask."""
    text = data[2:].decode("latin-1")
    try:
        counts = rle.decode_counts(text)
    except ValueError:
        return
    assert rle.decode_counts(rle.encode_counts(counts)) == counts
    height = (data[0] if data else 0) + 1
    total = sum(counts)
    if counts and min(counts) >= 0 and total % height == 0 and rle.flaw(counts, height, total // height) is None:
        x, y, width, tall = rle.bounds(counts, height)
        assert 0 <= x <= x + width <= total // height
        assert 0 <= y <= y + tall <= height
        assert rle.area(counts) <= width * tall


TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "coco": (read_coco, [reader.TEXT, b"{}", b'{"images": [], "annotations": [{"id": 1}]}']),
    "query": (
        read_query,
        [
            b"category:person width>1024 -tag:done", b"has(category:car area>5000) OR (NOT tag:x)",
            b'metadata.weather:(rain OR "snow storm") 640..1280', b"created>-7d name:*a*?b annotations:0",
        ],
    ),
    "rle": (read_rle, [b"\x03\x00" + rle.encode_counts([4, 3, 5, 4]).encode(), b"\x00\x00" + b"PPYo0"]),
}  # fmt: skip


def tell(**summary: Any) -> None:
    """Add what was tried to the file that is named in the environment, if one is."""
    if path := os.environ.get("FUZZ_SUMMARY", ""):
        with Path(path).open("a") as file:
            file.write(json.dumps(summary) + "\n")


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Try one target for so long by mutations that are kept where they reach new lines; how many inputs it took."""
    target, kept = TARGETS[name][0], list(TARGETS[name][1])
    chance, seen = random.Random(seed), set()
    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytes(_mutated(bytearray(chance.choice(kept)), kept, chance))
        lines: set[Any] = set()
        try:
            with _lines_into(lines):
                target(data)
        except BaseException:
            print(f"{name}: fails on {data!r} (seed {seed})", file=sys.stderr)
            raise
        tried += 1
        if lines - seen:
            seen |= lines
            kept.append(data)
    print(f"{name}: {tried} inputs, {len(kept)} kept, {len(seen)} lines reached, seed {seed}")
    tell(target=name, by="mutations", inputs=tried, reached=f"{len(seen)} lines", seconds=seconds, seed=seed)
    return tried


def _mutated(data: bytearray, kept: list[bytes], chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(data))
        match chance.randrange(5):
            case 0 if at < len(data):
                data[at] = chance.randrange(256)
            case 1:
                data[at:at] = chance.choice([*reader.TOKENS, b" OR ", b" NOT ", b"(", b")", b":", b"..", b">", b"*"])
            case 2:
                del data[at : at + chance.randint(1, 20)]
            case 3:
                other = chance.choice(kept)
                begin = chance.randint(0, len(other))
                data[at:at] = other[begin : begin + chance.randint(1, 60)]
            case _:
                data[at:at] = data[max(0, at - chance.randint(1, 20)) : at]
    return data[:20_000]


@contextlib.contextmanager
def _lines_into(lines: set[Any]) -> Iterator[None]:
    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return on_line if any(part in frame.f_code.co_filename for part in GUIDED) else None

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)


def _by_atheris(name: str, seconds: int, seed: int) -> int:
    """One target in a process of its own, which libFuzzer ends; how many inputs it says that it tried."""
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(TARGETS[name][1]):
            (Path(folder) / str(number)).write_bytes(content)
        ours = [sys.executable, "-m", "tests.fuzz.inputs", "--child", name]
        options = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", "-max_len=20000"]
        done = subprocess.run(
            [*ours, *options, f"-artifact_prefix={folder}/", folder],
            capture_output=True, text=True, check=False, errors="replace",
        )  # fmt: skip
    found = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{name}: libFuzzer ended with code {done.returncode}\n{done.stderr[-4000:]}")
    covered = re.findall(r"cov: (\d+)", done.stderr)
    reached = f"{covered[-1] if covered else '?'} edges"
    print(f"{name}: {found[1]} inputs by atheris, {reached} reached, seed {seed}")
    tell(target=name, by="atheris", inputs=int(found[1]), reached=reached, seconds=seconds, seed=seed)
    return int(found[1])


def main() -> None:
    """Try every target."""
    if sys.argv[1:2] == ["--child"]:
        atheris.Setup([sys.argv[0], *sys.argv[3:]], TARGETS[sys.argv[2]][0])
        atheris.Fuzz()
        return
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--seconds", type=int, default=60, help="for each target")
    given.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    options = given.parse_args()
    if atheris is None:
        print("atheris is not installed for this Python: mutations of our own, guided by lines")
    way = _by_atheris if atheris else fuzz
    print(f"{sum(way(name, options.seconds, options.seed) for name in TARGETS)} inputs, no failure")


if __name__ == "__main__":
    main()
