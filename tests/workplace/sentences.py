"""Sentences that modules say, found in their source: what is given to refusals, with {} for what is put in."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REFUSALS = frozenset(
    [
        "ChecksumMismatch",
        "CocoFileError",
        "Conflict",
        "Forbidden",
        "Gone",
        "Locked",
        "NoCocoFile",
        "NoSpace",
        "NotFound",
        "QueryError",
        "ServiceError",
        "StaleEdit",
        "TooLarge",
        "Unauthorized",
        "WrongCode",
    ]
)
PROBLEMS = frozenset(["Problem", "Quarantine", "Unfit", "_tell", "_note"])  # of files
MARKS = {"_", "gettext", "ngettext"}


def template(node: ast.AST) -> str | None:
    """The text of a literal, of an f-string or of a sum of them."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (template(node.left) or "{}") + (template(node.right) or "{}")
    return None


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def said(path: Path, told_by: frozenset[str] = REFUSALS) -> Iterator[str]:
    """What a module's refusals, or problems, say: the literals among their arguments, also by way of a name."""
    tree = ast.parse(path.read_text())
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        named = {
            target.id: text
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and (text := template(node.value))
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and _name(node) in told_by:
                for value in [*node.args, *(word.value for word in node.keywords if word.arg in ("hint", "fields"))]:
                    yield from _literals(value, named)


def constants(path: Path) -> Iterator[str]:
    """Whole sentences that a module keeps under a name of its own."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and (text := template(node.value)) and re.fullmatch("[A-Z].* .*[.]", text):
            yield text


def _literals(node: ast.AST, named: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Call) and _name(node) in MARKS:
        return
    if isinstance(node, ast.Name):
        if node.id in named:
            yield named[node.id]
        return
    if isinstance(node, ast.Dict):
        for value in node.values:
            yield from _literals(value, named)
        return
    if text := template(node):
        yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from _literals(child, named)
