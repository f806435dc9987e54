"""Figures as rows, and rows as CSV that no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable
from typing import Any

# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
BYTE_ORDER_MARK = "\ufeff"  # Excel takes a CSV for UTF-8 only with it

Row = list[Any]


def table(figures: Any) -> tuple[Row, list[Row]]:
    """Names of the columns, and the rows; what has no value is the last row."""
    match figures["kind"]:
        case "bars":
            return _bars(figures)
        case "histogram":
            head = [figures["axis"], "from", "to", figures["unit"], "q"]
            rows = [[e["label"], e["low"], e["high"], e["count"], e["q"]] for e in figures["bins"]]
            return head, [*rows, *_missing(figures, ["", "", ""])]
        case "grid":
            x, y = figures["x"], figures["y"]
            rows = [[x["labels"][e["x"]], y["labels"][e["y"]], e["count"], e["q"]] for e in figures["cells"]]
            return [x["title"], y["title"], figures["unit"], "q"], [*rows, *_missing(figures, ["", ""])]
        case "series":
            rows = [[e["day"], line["name"], e["count"], e["q"]] for line in figures["lines"] for e in line["points"]]
            return ["day", "what", figures["unit"], "q"], rows
    return ["name", "value", "help"], [[each["name"], each["value"], each["help"]] for each in figures["numbers"]]


def _bars(figures: Any) -> tuple[Row, list[Row]]:
    bars = figures["bars"]
    with_images = any("images" in each for each in bars)
    parts = list(dict.fromkeys(name for each in bars for name in each.get("parts", {})))
    head = ["label", figures["unit"], *(["images"] if with_images else []), *(name or "(none)" for name in parts), "q"]
    rows = [
        [
            each["label"],
            each["count"],
            *([each.get("images")] if with_images else []),
            *(each.get("parts", {}).get(name, 0) for name in parts),
            each["q"],
        ]
        for each in bars
    ]
    for row in _missing(figures, [""]):
        rows.append([*row[:2], *[None] * (len(head) - 3), row[2]])
    return head, rows


def _missing(figures: Any, start: Row) -> list[Row]:
    missing = figures["missing"]
    return [["(no value)", *start[1:], missing["count"], missing["q"]]] if missing["count"] else []


def as_csv(head: Row, rows: Iterable[Row]) -> str:
    """CSV as RFC 4180 has it; a text that begins like a formula gets an apostrophe in front."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow([_cell(each) for each in head])
    writer.writerows([_cell(each) for each in row] for row in rows)
    return BYTE_ORDER_MARK + target.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
