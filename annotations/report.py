"""The validation report of an import: every problem with its place, totals, a table by code."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

import orjson

from annotations.coco.problems import RAW_LIMIT, Action, Problem, Reporter, printable

EXAMPLES = 5  # problems shown per code in the table


class Report:
    """Collects problems: counts and examples in memory, every problem in a temporary file. Call it with a Problem."""

    def __init__(self) -> None:
        self.by_code: Counter[tuple[str, str]] = Counter()
        self.by_action: Counter[str] = Counter()
        self.examples: dict[tuple[str, str], list[dict[str, str]]] = {}
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=1024 * 1024)  # noqa: SIM115 - closed by close()

    def __call__(self, problem: Problem) -> None:
        line = {name: printable(text) for name, text in problem.as_dict().items()}
        self.by_code[problem.code, problem.action.value] += 1
        self.by_action[problem.action.value] += 1
        shown = self.examples.setdefault((problem.code, problem.action.value), [])
        if len(shown) < EXAMPLES:
            shown.append({**line, "raw": line["raw"][:RAW_LIMIT]})
        self._spool.write(orjson.dumps(line) + b"\n")

    def labelled(self, label: str) -> Reporter:
        """A reporter that puts the file's name before each path; itself where there is no name."""
        if not label:
            return self
        return lambda problem: self(replace(problem, path=f"{label}: {problem.path}"))

    def close(self) -> None:
        """Let go of the temporary file."""
        self._spool.close()

    @property
    def quarantined(self) -> int:
        """How many records, or parts of them, were left out."""
        return self.by_action[Action.QUARANTINED.value]

    @property
    def repaired(self) -> int:
        """How many repairs were made."""
        return self.by_action[Action.REPAIRED.value]

    def table(self) -> list[dict[str, Any]]:
        """One row per code: how many, what was done, the first examples; worst first."""
        rank = {action.value: place for place, action in enumerate(Action)}
        rows = sorted(self.by_code.items(), key=lambda item: (rank[item[0][1]], -item[1], item[0][0]))
        return [
            {"code": code, "action": action, "count": count, "examples": self.examples[code, action]}
            for (code, action), count in rows
        ]

    def problems(self) -> Iterator[bytes]:
        """Every problem, as a line of JSON."""
        self._spool.seek(0)
        for line in self._spool:
            yield line.rstrip(b"\n")

    def write(self, target: IO[bytes], head: dict[str, Any]) -> None:
        """Write the whole report as one JSON object: `head`, the totals, the table, all problems."""
        totals = {**head, "totals": dict(self.by_action), "by_code": self.table()}
        target.write(orjson.dumps(totals, option=orjson.OPT_INDENT_2)[:-2] + b',\n  "problems": [')
        for number, line in enumerate(self.problems()):
            target.write((b",\n    " if number else b"\n    ") + line)
        target.write(b"\n  ]\n}\n")
