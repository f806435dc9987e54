"""The same picture in two splits: what a model was trained on must not judge it."""

from collections.abc import Sequence

from annotations.query.tree import Is, Term
from insights.metrics.bars import bar, ranked
from insights.metrics.definition import BARS, Family, Metric
from insights.metrics.figures import Figures
from insights.metrics.selection import Selection

_LEAKS = """
    , shared AS (
        SELECT checksum FROM i WHERE checksum <> '' GROUP BY checksum HAVING min(split_id) <> max(split_id)
    )
    SELECT checksum, s.name, count(*), min(file_name) FROM shared JOIN i USING (checksum)
    JOIN assets_split s ON s.id = i.split_id GROUP BY checksum, s.name
    UNION ALL SELECT '', '', count(*), '' FROM i
"""


def _measure(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    parts: dict[str, dict[str, int]] = {}
    names: dict[str, str] = {}
    total = 0
    for checksum, split, number, file_name in selection.rows(_LEAKS):
        if not checksum:
            total = number
            continue
        parts.setdefault(checksum, {})[split] = number
        names[checksum] = min(names.get(checksum, file_name or ""), file_name or "")
    found = [(sum(splits.values()), names[key] or key[:12], key) for key, splits in parts.items()]
    found.sort(key=lambda each: (-each[0], each[1]))
    # There may be as many as there are images: queries are made for those that are shown.
    asked = {key: selection.narrowed(Term("checksum", Is(key))) for _, _, key in found[:BARS]}
    bars = [bar(label, number, asked.get(key), parts=parts[key]) for number, label, key in found]
    return {"split_leakage": ranked(bars, "images", total)}


METRICS = (
    Metric(
        "split_leakage", "Pictures in more than one split",
        "Pictures, told apart by checksum, that stand in two or more splits: a bar for each, with its images by split.",
        "bars", "images", Family("split_leakage", _measure), params={"bars": BARS},
    ),
)  # fmt: skip
