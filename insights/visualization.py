"""How a saved view is drawn: {"metric", "chart", "options"}, checked before it is kept."""

import fnmatch
import re
from collections.abc import Mapping
from typing import Any

from accounts.errors import ServiceError
from annotations import query
from annotations.models import Category
from annotations.query.errors import did_you_mean
from annotations.query.tree import Differs, Is, Matches, terms
from insights.metrics import METRICS, Metric
from projects.models import Project

# Charts that fit a kind of figures; the first is what is drawn where none is named.
CHARTS = {
    "bars": ("bar", "column", "table"),
    "histogram": ("column", "line", "bar", "table"),
    "grid": ("heatmap", "table"),
    "series": ("line", "column", "table"),
    "numbers": ("table",),
}
MAX_TITLE = 200  # characters
OPTIONS: dict[str, str] = {
    "title": "Title of the chart; the metric's own if it is not given.",
    "limit": "At most so many bars, 1 to 200.",
    "log": "Whether the axis of counts is logarithmic.",
    "percent": "Whether counts are shown as shares of the total.",
}
MAX_LIMIT = 200
KEYS = ("metric", "chart", "options")
# How the images of a view's query are looked at, beside the query itself; `sort` is one of the images' page.
LOOKS: dict[str, re.Pattern[str]] = {
    "sort": re.compile("-?[a-z_]{1,20}"),
    "view": re.compile("grid|table"),
    "size": re.compile("[sml]"),
    "boxes": re.compile("1"),
}

Faults = dict[str, list[str]]


def checked(visualization: Any) -> dict[str, Any]:
    """The visualization with its chart filled in. Raises ServiceError that names `visualization.metric` and so on."""
    faults: Faults = {}
    if not isinstance(visualization, Mapping):
        faults["visualization"] = [f"Expected an object with metric, chart and options, found {_kind(visualization)}."]
        raise _refused(faults)
    metric = _metric(visualization.get("metric"), faults)
    chart = visualization.get("chart")
    options = visualization.get("options", {})
    if metric is not None:
        chart = CHARTS[metric.kind][0] if chart is None else chart
        if chart not in CHARTS[metric.kind]:
            fitting = ", ".join(CHARTS[metric.kind])
            faults["visualization.chart"] = [f"{_shown(chart)} does not fit {metric.name}; expected {fitting}."]
    faults |= _option_faults(options)
    for key in sorted(set(visualization) - set(KEYS), key=str):
        faults[f"visualization.{key}"] = [f"There is no {_shown(key)}; expected {', '.join(KEYS)}."]
    if faults or metric is None:
        raise _refused(faults)
    return {"metric": metric.name, "chart": chart, "options": dict(options)}


def checked_query(project: Project, value: Any) -> dict[str, str]:
    """The view's query, `{"q": text}` and LOOKS. ServiceError if it is none, or names what the project does not have.

    The query language itself takes an unknown category for one that nothing is of; in a view that is kept it is a slip.
    """
    if not isinstance(value, Mapping) or set(value) - {"q", *LOOKS} or not isinstance(value.get("q", ""), str):
        raise _refused({"query": ['Expected an object such as {"q": "tag:car width>1024"}.']})
    look = {name: value[name] for name in LOOKS if name in value}
    for part, given in look.items():
        if not isinstance(given, str) or not LOOKS[part].fullmatch(given):
            raise _refused({f"query.{part}": [f"Found {_shown(given)}; expected what fits {LOOKS[part].pattern}."]})
    text = value.get("q", "")
    try:
        tree = query.parse(text)
    except query.QueryError as error:
        raise ServiceError(error.message, detail=error.detail, fields={"query.q": [error.message]}) from error
    for field, column in (("category", "name"), ("supercategory", "supercategory")):
        tests = [term.test for term in terms(tree) if term.field == field]
        if not tests:
            continue
        known = set(filter(None, Category.objects.filter(project=project).values_list(column, flat=True)))
        for name in (each.value for each in tests if isinstance(each, (Is, Differs))):
            if name not in known:
                hint = did_you_mean(str(name), known)
                raise _refused({"query.q": [f"This project has no {field} {name!r}{_then(hint)}"]})
        for pattern in (each.pattern for each in tests if isinstance(each, Matches)):
            fits = re.compile(fnmatch.translate(pattern.replace("[", "[[]")), re.IGNORECASE)
            if not any(fits.match(name) for name in known):
                raise _refused({"query.q": [f"No {field} of this project fits {pattern!r}."]})
    return {"q": value.get("q", ""), **look}


def find_metric(name: str) -> Metric | None:
    """The metric of this name."""
    return METRICS.get(name)


def unknown_metric(name: object) -> str:
    """What to say of a name that no metric has."""
    hint = did_you_mean(name, METRICS) if isinstance(name, str) else ""
    return f"There is no metric {_shown(name)}{_then(hint)} The metrics are: {', '.join(METRICS)}."


def _then(hint: str) -> str:
    """What ends a sentence: the hint, which is a question, or a full stop."""
    return f": {hint}" if hint else "."


def _metric(name: Any, faults: Faults) -> Metric | None:
    metric = METRICS.get(name) if isinstance(name, str) else None
    if metric is None:
        missing = name is None
        faults["visualization.metric"] = ["A metric is needed." if missing else unknown_metric(name)]
    return metric


def _option_faults(options: Any) -> Faults:
    place = "visualization.options"
    if not isinstance(options, Mapping):
        return {place: [f"Expected an object, found {_kind(options)}."]}
    faults: Faults = {}
    for key, value in options.items():
        match key:
            case "title":
                good, wanted = isinstance(value, str) and len(value) <= MAX_TITLE and "\0" not in value, "a short text"
            case "limit":
                good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_LIMIT
                wanted = f"a whole number from 1 to {MAX_LIMIT}"
            case "log" | "percent":
                good, wanted = isinstance(value, bool), "true or false"
            case _:
                good, wanted = False, f"one of the options {', '.join(OPTIONS)}"
        if not good:
            faults[f"{place}.{key}"] = [f"Found {_shown(value if key in OPTIONS else key)}; expected {wanted}."]
    return faults


def _refused(faults: Faults) -> ServiceError:
    return ServiceError("The view cannot be kept as it is.", fields=faults)


def _shown(value: object) -> str:
    return repr(value)[:60]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
