"""What a metric is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from insights.metrics.figures import Figures, Unit
from insights.metrics.selection import Selection

# Raised when any metric counts otherwise than before: figures kept from an older version are then not used.
VERSION = 4
BARS = 200  # bars of a metric; what is beyond them is counted together

Rows = list[tuple[Any, ...]]
Measure = Callable[[Selection, Sequence["Metric"]], dict[str, Figures]]


@dataclass(frozen=True)
class Family:
    """Metrics that one pass over the rows gives together. `measure` runs only for those it is asked for."""

    name: str
    measure: Measure


@dataclass(frozen=True, eq=False)
class Metric:
    """A named, documented count of a project's images or annotations.

    `kind` names the shape of the result (`figures.KINDS`), `params` are the constants it counts by. A metric of a pass
    over binned values has `keys`, the SQL of its bins, and `build`, which makes the figures from (keys ..., number).
    Where it is counted alone and has `first`, {name: SQL}, rows are counted by that before, and `keys`, which then name
    these, are asked only for what is left.
    """

    name: str
    title: str
    doc: str
    kind: str
    unit: Unit
    family: Family
    params: Mapping[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    careful_keys: tuple[str, ...] = ()  # where `keys` fail on what is too large or no number
    first: Mapping[str, str] = field(default_factory=dict)
    build: Callable[[Selection, Rows], Figures] | None = None
