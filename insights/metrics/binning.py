"""Bins: their edges, their SQL, and the query for each. Numbers are compared as PostgreSQL's numeric, as queries do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm

from annotations.query.tree import Compare, Is, Node, Not, Present, Term
from insights.metrics.definition import Rows
from insights.metrics.figures import Bin, Histogram, Rest, Unit
from insights.metrics.selection import Selection

Number = int | str | Decimal
Asker = Callable[..., str | None]


def powers(base: int, first: int, last: int) -> tuple[int, ...]:
    """base^first, base^(first+1) ... base^last."""
    return tuple(base**exponent for exponent in range(first, last + 1))


@dataclass(frozen=True)
class Scale:
    """Edges, in order: bin n holds from edge n-1 (included) to edge n (not included), with open bins at both ends.

    `field` is the query language's field, if it has one; `shown` turns an edge into the number a label shows.
    """

    edges: tuple[Number, ...]
    field: str | None = None
    whole: bool = False  # only whole numbers occur
    shown: Callable[[Decimal], Decimal] = lambda edge: edge
    suffix: str = ""
    of_objects: bool = False

    def sql(self, value: str, kind: str = "numeric") -> str:
        """The number of the bin, from 0; NULL for NULL."""
        return f"width_bucket({value}, ARRAY[{', '.join(map(str, self.edges))}]::{kind}[])"

    def whole_sql(self, value: str, quotient: str = "") -> str:
        """As `sql`, several times as fast, and exact too; values beyond 64 bits are a DataError.

        Edges and values are multiplied until the edges are whole numbers, so only the whole part of a value counts.
        `quotient` is what a value is divided by, if it is a quotient; edges are then greater than 0.
        """
        times = lcm(*(Fraction(edge).denominator for edge in self.edges))
        edges = ", ".join(str(int(Fraction(edge) * times)) for edge in self.edges)
        multiplied = value if times == 1 else f"{value} * {times}"
        whole = f"div({multiplied}, {quotient})" if quotient else f"floor({multiplied})"
        return f"width_bucket(({whole})::bigint, ARRAY[{edges}]::bigint[])"

    def range_of(self, number: int) -> tuple[Decimal | None, Decimal | None]:
        """From (included) and to (not included)."""
        low = Decimal(self.edges[number - 1]) if number > 0 else None
        high = Decimal(self.edges[number]) if number < len(self.edges) else None
        return low, high

    def conditions(self, number: int) -> list[Node]:
        """The conditions under which a value is in the bin."""
        if self.field is None:
            return []
        low, high = self.range_of(number)
        if self.whole and low is not None and high == low + 1:
            return [Term(self.field, Is(low))]
        ends = [(">=", low), ("<", high)]
        return [Term(self.field, Compare(operator, end)) for operator, end in ends if end is not None]

    def label(self, number: int) -> str:
        """What to write below the bin."""
        low, high = (None if end is None else self.shown(end) for end in self.range_of(number))
        if low is None:
            return f"< {_short(high)}{self.suffix}"
        if high is None:
            return f"≥ {_short(low)}{self.suffix}"
        if self.whole:
            return _short(low) if high == low + 1 else f"{_short(low)}–{_short(high - 1)}{self.suffix}"
        return f"{_short(low)}–{_short(high)}{self.suffix}"

    def q(self, selection: Selection, number: int) -> str | None:
        """The query for the images of the bin, or for those with an object of it."""
        conditions = self.conditions(number)
        if not conditions:
            return None
        return selection.with_object(*conditions) if self.of_objects else selection.narrowed(*conditions)

    def missing(self, selection: Selection, count: int) -> Rest:
        """Those without a value."""
        if self.field is None:
            return {"count": count, "q": None}
        absent = Not(Term(self.field, Present()))
        return {
            "count": count,
            "q": selection.with_object(absent) if self.of_objects else selection.narrowed(absent),
        }


def histogram(scale: Scale, unit: Unit, axis: str) -> Callable[[Selection, Rows], Histogram]:
    """Makes the figures of a histogram from rows of (bin, number)."""

    def build(selection: Selection, rows: Rows) -> Histogram:
        counts = {number: count for number, count in rows}
        missing = counts.pop(None, 0)
        span = range(min(counts), max(counts) + 1) if counts else range(0)
        return {
            "kind": "histogram",
            "unit": unit,
            "axis": axis,
            "total": sum(counts.values()) + missing,
            "bins": [_bin(scale, selection, number, counts.get(number, 0)) for number in span],
            "missing": scale.missing(selection, missing),
        }

    return build


def _bin(scale: Scale, selection: Selection, number: int, count: int) -> Bin:
    low, high = (None if end is None else float(scale.shown(end)) for end in scale.range_of(number))
    q = scale.q(selection, number)
    return {"label": scale.label(number), "low": low, "high": high, "count": count, "q": q}


def _short(number: Decimal | None) -> str:
    if number is None:
        return ""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def listed(edges: Sequence[Number]) -> list[float]:
    """Edges for the list of a metric's constants."""
    return [float(Decimal(edge)) for edge in edges]
