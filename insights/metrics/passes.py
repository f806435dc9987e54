"""One pass over rows for several metrics.

Each row falls into one bin of every metric. Rows are first counted by all bins at once, which PostgreSQL does in
parallel and with one look at each row, and these counts, far fewer than the rows, are then added up metric by metric.
"""

# ruff: noqa: S608 - put together from constants of this package; every value is a parameter

from collections.abc import Mapping, Sequence

from django.db import DataError, transaction

from insights.metrics.definition import Metric, Rows
from insights.metrics.figures import Figures
from insights.metrics.selection import Selection


def measure(selection: Selection, metrics: Sequence[Metric], source: str, careful: str = "") -> dict[str, Figures]:
    """The figures of metrics with `keys`; `source` is what follows FROM.

    If PostgreSQL meets a value that is too large or no number, it is done again with `careful_keys` and `careful`.
    """
    number, sources = "count(*)", [source, careful or source]
    if len(metrics) == 1 and metrics[0].first:
        number, sources = "sum(number)::bigint", [counted_first(metrics[0].first, each) for each in sources]
    try:
        with transaction.atomic():
            found = count_by_keys(selection, [metric.keys for metric in metrics], sources[0], number)
    except DataError:
        keys = [metric.careful_keys or metric.keys for metric in metrics]
        found = count_by_keys(selection, keys, sources[1], number)
    return {
        metric.name: metric.build(selection, rows)
        for metric, rows in zip(metrics, found, strict=True)
        if metric.build is not None
    }


def computed_once(columns: Sequence[str], source: str) -> str:
    """A subquery of these columns, each computed once for a row wherever it is used.

    The empty second half keeps the planner from writing the expressions into the places where they are used, as
    OFFSET 0 would, but lets workers do all of it. It also hides the table's statistics, by which the planner would take
    every row for a bin of its own, and workers' counts of so many bins for too much to add up.
    """
    nothing = ", ".join("NULL" for _ in columns)
    return f"(SELECT {', '.join(columns)} FROM {source} UNION ALL SELECT {nothing} WHERE FALSE)"


def counted_first(columns: Mapping[str, str], source: str) -> str:
    """A subquery of {name: SQL}, in which each combination is one row, and `number` says of how many of the source."""
    rows = computed_once([f"{sql} AS {name}" for name, sql in columns.items()], source)
    names = ", ".join(columns)
    return f"(SELECT {names}, count(*) AS number FROM {rows} AS computed GROUP BY {names}) AS counted"


def count_by_keys(
    selection: Selection, groups: Sequence[tuple[str, ...]], source: str, number: str = "count(*)"
) -> list[Rows]:
    """For each group of SQL expressions, rows of their values and how many rows of the source have them.

    `number` says how many of them a row of the source stands for.
    """
    columns = list(dict.fromkeys(key for group in groups for key in group))
    names = {key: f"k{number}" for number, key in enumerate(columns)}
    listed = ", ".join(f"{key} AS {names[key]}" for key in columns)
    all_names = ", ".join(names.values())
    bins = f"SELECT {listed}, {number} AS number FROM {source} GROUP BY {all_names}"
    if len(set(groups)) == 1:
        rows = selection.rows(bins)
        return [rows for _ in groups]
    sets = ", ".join(f"({', '.join(names[key] for key in group)})" for group in dict.fromkeys(groups))
    added_up = selection.rows(
        f", bins AS ({bins}) SELECT GROUPING({all_names}), {all_names}, sum(number)::bigint FROM bins"
        f" GROUP BY GROUPING SETS ({sets})"
    )
    return [_of_group(added_up, columns, group) for group in groups]


def _of_group(rows: Rows, columns: list[str], group: tuple[str, ...]) -> Rows:
    """The rows of one grouping set; GROUPING has a bit for each column that is not in the set, highest first."""
    mask = sum(1 << place for place, column in enumerate(reversed(columns)) if column not in group)
    places = [columns.index(key) + 1 for key in group]
    return [(*(row[place] for place in places), row[-1]) for row in rows if row[0] == mask]
