"""Bad inputs and faults, and the tests that prove what each gets: bad_inputs.toml, and its page in docs.

`python -m tests.bad_inputs` writes the page.
"""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".toml")
PAGE = ROOT / "docs" / "bad-inputs.md"
SECTIONS = {
    1: "COCO JSON",
    30: "Images",
    41: "Archives and uploads",
    50: "Query",
    58: "API and log-in",
    71: "Jobs",
    80: "Admin",
}
HEAD = """# Bad inputs, and what each gets

Never a 500, never HTML where JSON was asked for, never half a commit, nothing lost that was acknowledged.

**Q**: the record is left out, counted, and told with its path, the reason and its text; all else lands. **R**:
repaired, and told. **K**: kept to the letter, and flagged. **F**: the job fails, the project is as before, the upload
is kept, and the report names the place. With `strict`, every Q is an F.

The last column counts the tests that are named for it in `tests/bad_inputs.toml`, from which this page is written:
`python -m tests.bad_inputs`.
"""


@dataclass(frozen=True)
class Item:
    """One kind of bad input: its number, what it is, what it gets, and the tests (`path::function`)."""

    number: int
    what: str
    gets: str
    tests: tuple[str, ...]


def items() -> list[Item]:
    """All of them, in the order of the file."""
    listed = tomllib.loads(LIST.read_text())["item"]
    return [Item(one["number"], one["what"], one["gets"], tuple(one["tests"])) for one in listed]


@lru_cache
def tests_of(path: str) -> frozenset[str]:
    """The test functions of a file of tests, without running it."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def page() -> str:
    """The page as Markdown."""
    return HEAD + "".join(_lines())


def _lines() -> Iterator[str]:
    for item in items():
        if item.number in SECTIONS:
            yield f"\n## {SECTIONS[item.number]}\n\n| | what comes | what it gets | tests |\n|---|---|---|---|\n"
        yield f"| {item.number} | {item.what} | {item.gets} | {len(item.tests) or ''} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
