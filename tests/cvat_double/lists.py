"""CVAT's lists: simple filters, JSON filters, sorting, pages."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from tests.cvat_double.answers import Answer, as_json, broken, detail, refuse

Record = Mapping[str, Any]
# Query parameter or filter term -> field of the object, for each list.
TERMS: dict[str, dict[str, str]] = {
    "projects": {
        "name": "name",
        "id": "id",
        "owner": "owner.username",
        "status": "status",
        "updated_date": "updated_date",
    },
    "tasks": {
        "project_id": "project_id",
        "project_name": "project_name",
        "name": "name",
        "id": "id",
        "tracker_link": "bug_tracker",
        "subset": "subset",
        "status": "status",
        "mode": "mode",
        "owner": "owner.username",
        "updated_date": "updated_date",
    },
    "jobs": {
        "task_id": "task_id",
        "project_id": "project_id",
        "state": "state",
        "stage": "stage",
        "id": "id",
        "type": "type",
        "updated_date": "updated_date",
    },
    "labels": {"name": "name", "id": "id", "type": "type", "color": "color"},
    "issues": {"task_id": "_task", "job_id": "job", "id": "id", "resolved": "resolved"},
    "comments": {"job_id": "_job", "issue_id": "issue", "id": "id"},
    "webhooks": {"project_id": "project_id", "id": "id", "type": "type", "target_url": "target_url"},
    "deliveries": {},
    "requests": {
        "task_id": "operation.task_id",
        "project_id": "operation.project_id",
        "job_id": "operation.job_id",
        "status": "status",
        "action": "_action",
        "target": "operation.target",
        "subresource": "_subresource",
        "format": "operation.format",
    },
    "organizations": {"slug": "slug", "name": "name", "id": "id"},
    "memberships": {"id": "id"},
    "access_tokens": {"name": "name", "id": "id"},
    "users": {"username": "username", "id": "id"},
}
NUMERIC = {"id", "project_id", "task_id", "job_id", "issue_id"}
NOT_SIMPLE = {"updated_date", "id"}
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda found, wanted: found == wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
    "in": lambda found, wanted: found in wanted,
}


def answer(
    kind: str, records: Iterable[Record], query: Mapping[str, str], url: str, *, oldest_first: bool = False
) -> Answer:
    """One page of a list, as the query asks for it."""
    found = list(records)
    for name, value in query.items():
        if name in TERMS[kind] and name not in NOT_SIMPLE:
            found = _simple(found, kind, name, value)
    words = query.get("search", "").lower().split()
    found = [record for record in found if all(word in _texts(record) for word in words)]
    if query.get("filter"):
        test = _compiled(kind, query["filter"])
        found = [record for record in found if test(record)]
    found.sort(
        key=lambda record: record.get("id") if isinstance(record.get("id"), int) else 0, reverse=not oldest_first
    )
    for term in reversed([part for part in query.get("sort", "").split(",") if part]):
        field = TERMS[kind].get(term.lstrip("-"))
        if field is not None:
            found.sort(key=lambda record: _sortable(record, field), reverse=term.startswith("-"))
    return _page(found, query, url)


def _sortable(record: Record, field: str) -> tuple[bool, Any]:
    value = _field(record, field)
    return (value is not None, value if value is not None else 0)


def _simple(records: list[Record], kind: str, name: str, value: str) -> list[Record]:
    if name in NUMERIC:
        if not re.fullmatch(r"-?\d+", value):
            raise refuse({name: ["Enter a number."]})
        return [record for record in records if _field(record, TERMS[kind][name]) == int(value)]
    return [record for record in records if str(_field(record, TERMS[kind][name])) == value]


def _texts(record: Record) -> str:
    values = [record.get(name) for name in ("name", "subset", "bug_tracker", "status", "username", "slug")]
    owner = record.get("owner")
    values.append(owner.get("username") if isinstance(owner, Mapping) else "")
    return " ".join(str(value).lower() for value in values if value)


def _field(record: Record, path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _compiled(kind: str, expression: str) -> Callable[[Record], bool]:
    try:
        tree = json.loads(expression)
    except ValueError as error:
        raise refuse([f"filter: can't parse filter expression: {error}"]) from None
    if kind == "requests" and isinstance(tree, dict) and set(tree) & {"and", "or", "!"}:
        raise broken()
    return _node(kind, tree)


def _node(kind: str, tree: Any) -> Callable[[Record], bool]:
    (operator, values), *_ = tree.items()
    if operator in ("and", "or"):
        tests = [_node(kind, value) for value in values]
        join = all if operator == "and" else any
        return lambda record: join(test(record) for test in tests)
    if operator == "!":
        test = _node(kind, values[0] if isinstance(values, list) else values)
        return lambda record: not test(record)
    if operator not in OPERATORS:
        raise refuse([f"filter: operation '{operator}' with arguments '{values}' is not supported"])
    name, wanted = values[0]["var"], values[1]
    field = TERMS[kind].get(name)
    if field is None:
        raise refuse([f"filter: term '{name}' is not supported"])
    if field == "updated_date":
        wanted = moment(wanted)
        return lambda record: OPERATORS[operator](moment(record[field]), wanted)
    return lambda record: _field(record, field) is not None and OPERATORS[operator](_field(record, field), wanted)


def moment(value: str) -> datetime:
    """A date of CVAT's or of a filter; nonsense is a 500."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise broken() from None
    return found if found.tzinfo else found.astimezone()


def _page(records: list[Record], query: Mapping[str, str], url: str) -> Answer:
    count = len(records)
    wanted = query.get("page_size", "")
    size = max(count, 1) if wanted == "all" else int(wanted) if wanted.isdigit() and int(wanted) else 10
    last = max(1, -(-count // size))
    asked = query.get("page", "1")
    number = last if asked == "last" else int(asked) if asked.isdigit() else 0
    if not 1 <= number <= last:
        raise detail("Invalid page.", 404)
    shown = [{key: value for key, value in record.items() if not key.startswith("_")} for record in records]
    return as_json(
        {
            "count": count,
            "next": _link(url, query, number + 1) if number < last else None,
            "previous": _link(url, query, number - 1) if number > 1 else None,
            "results": shown[(number - 1) * size : number * size],
        }
    )


def _link(url: str, query: Mapping[str, str], page: int) -> str:
    return f"{url}?{urlencode({**query, 'page': str(page)})}"
