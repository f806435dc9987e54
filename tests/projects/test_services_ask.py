"""Each service asks by itself what its user may: whatever door is added, it cannot be forgotten there."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("projects", "assets", "annotations", "insights", "exports", "webhooks")
DOORS = {"api", "migrations", "management"}
ANYBODYS = {
    ("assets.thumbnails", "make_thumbnails"): "makes what is missing; the command's and the workers' own",
    ("projects.services", "create_project"): "who is logged in may have projects of their own",
}


def modules() -> dict[str, ast.Module]:
    paths = (path for app in APPS for path in (ROOT / app).rglob("*.py") if not DOORS & set(path.parts))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text()) for path in paths}


def asks(name: str, functions: dict[str, ast.FunctionDef], seen: frozenset[str] = frozenset()) -> bool:
    """Whether the function calls `policies.require(...)`, or another of its module that does."""
    calls = [node.func for node in ast.walk(functions[name]) if isinstance(node, ast.Call)]
    if any(ast.unparse(call) == "policies.require" for call in calls):
        return True
    own = {call.id for call in calls if isinstance(call, ast.Name) and call.id in functions} - seen
    return any(asks(each, functions, seen | {name}) for each in own)


def test_every_service_asks_what_its_user_may():
    asked, forgotten = 0, set()
    for module, tree in modules().items():
        functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for name, function in functions.items():
            if name.startswith("_") or "user" not in [given.arg for given in function.args.kwonlyargs]:
                continue
            asked += 1
            if not asks(name, functions):
                forgotten.add((module, name))
    assert asked > 50
    assert forgotten == ANYBODYS.keys()
