"""Validation reports as they are asked for: all of it, one code, one action, as JSON or as CSV. None is read whole."""

import csv
from collections.abc import Iterator
from typing import IO, Any

import orjson

from accounts.admin_csv import BYTE_ORDER_MARK, safe_cell
from annotations.coco.problems import Action

COLUMNS = ("code", "action", "path", "message", "fix", "raw")
ACTIONS = [action.value for action in Action]
# Where the problems begin: they are written one a line (annotations.report).
PROBLEMS = b'  "problems": ['


def chosen(report: IO[bytes], code: str, action: str) -> Iterator[bytes]:
    """The report's JSON with only those problems; its totals stay those of the whole."""
    with report:
        lines = iter(report)
        for line in lines:
            yield line
            if line.startswith(PROBLEMS):
                break
        first = True
        for problem in _problems(lines, code, action):
            yield (b"" if first else b",\n") + b"    " + orjson.dumps(problem)
            first = False
        yield b"\n  ]\n}\n" if not first else b"  ]\n}\n"


def as_csv(report: IO[bytes], code: str, action: str) -> Iterator[bytes]:
    """The problems as CSV; cells that a spreadsheet would take for formulas begin with an apostrophe."""
    writer = csv.writer(_Echo())
    with report:
        lines = iter(report)
        for line in lines:
            if line.startswith(PROBLEMS):
                break
        yield BYTE_ORDER_MARK.encode() + writer.writerow(COLUMNS)
        for problem in _problems(lines, code, action):
            yield writer.writerow([safe_cell(problem.get(name, "")) for name in COLUMNS])


class _Echo:
    def write(self, text: str) -> bytes:
        return text.encode("utf-8", "replace")


def _problems(lines: Iterator[bytes], code: str, action: str) -> Iterator[dict[str, Any]]:
    for line in lines:
        text = line.strip().removesuffix(b",")
        if not text.startswith(b"{"):
            return
        problem = orjson.loads(text)
        if (not code or problem["code"] == code) and (not action or problem["action"] == action):
            yield problem
