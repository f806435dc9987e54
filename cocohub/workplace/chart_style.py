"""How a chart is drawn beyond its kind: the options of a view that was kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.utils.formats import number_format


@dataclass(frozen=True)
class Style:
    """The options of a view (insights/visualization.py), and the total that shares are of."""

    limit: int | None = None
    log: bool = False
    percent: bool = False
    total: float = 0

    @classmethod
    def of(cls, options: Mapping[str, Any], figures: Mapping[str, Any]) -> "Style":
        """The style that a view's options ask for, with these figures."""
        return cls(options.get("limit"), bool(options.get("log")), bool(options.get("percent")), figures["total"])

    def text(self, count: float) -> str:
        """The number that is written beside a bar."""
        return percent(count / self.total) if self.percent and self.total else shown(count)

    def size(self, count: float, greatest: float) -> float:
        """How long or high a bar is, in percent of the chart."""
        if self.log and count > 0:
            return 100 * math.log1p(count) / math.log1p(greatest)
        return 100 * count / greatest

    def sizes(self, counts: list[int], greatest: float) -> list[float]:
        """The same of pieces that lie one behind the other: together they are as long as their sum."""
        ends, below = [0.0], 0
        for count in counts:
            below += count
            ends.append(self.size(below, greatest))
        return [end - start for start, end in pairwise(ends)]


PLAIN = Style()


def shown(value: float) -> str:
    """A number as the reader's language writes it: whole ones whole, others with what matters."""
    if value == round(value):
        return str(number_format(round(value), use_l10n=True, force_grouping=True))
    return str(number_format(float(f"{value:.3g}"), use_l10n=True))


def percent(share: float) -> str:
    """A share from 0 to 1 in percent, with a digit after the point where it is small."""
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"
