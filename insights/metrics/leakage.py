"""The same picture in two splits: what a model was trained on must not judge it."""

from collections.abc import Sequence

from annotations.query.tree import Is, Term
from insights.metrics.bars import bar, ranked
from insights.metrics.definition import BARS, Family, Metric
from insights.metrics.figures import Figures
from insights.metrics.selection import Selection

# The pictures with most images first; of equals, in the order of what they are called. There may be as many as there
# are images, so only those that are shown are looked at split by split.
_LEAKS = """
    , leaks AS (
        SELECT checksum, count(*) AS number, min(file_name) AS name FROM i WHERE checksum <> ''
        GROUP BY checksum HAVING min(split_id) <> max(split_id)
    ), shown AS MATERIALIZED (
        SELECT checksum, number, COALESCE(NULLIF(name, ''), left(checksum, 12)) AS label FROM leaks
    ), first AS MATERIALIZED (
        SELECT * FROM shown ORDER BY number DESC, label COLLATE "C", checksum COLLATE "C" LIMIT %s
    )
    SELECT first.checksum, label, s.name, count(*) FROM first JOIN i USING (checksum)
    JOIN assets_split s ON s.id = i.split_id GROUP BY first.checksum, label, s.name
    UNION ALL SELECT '', '', '', COALESCE(sum(number), 0)::bigint FROM shown
    UNION ALL SELECT NULL, '', '', count(*) FROM i
"""


def _measure(selection: Selection, metrics: Sequence[Metric]) -> dict[str, Figures]:
    rows = selection.rows(_LEAKS, [BARS])
    parts: dict[str, dict[str, int]] = {}
    labels: dict[str, str] = {}
    for checksum, label, split, number in rows:
        if checksum:
            parts.setdefault(checksum, {})[split] = number
            labels[checksum] = label
    total, leaked = (next(row[-1] for row in rows if row[0] == kind) for kind in (None, ""))
    bars = [
        bar(labels[key], sum(splits.values()), selection.narrowed(Term("checksum", Is(key))), parts=splits)
        for key, splits in sorted(parts.items())
    ]
    figures = ranked(bars, "images", total)
    figures["other"] = leaked - sum(each["count"] for each in bars)
    return {"split_leakage": figures}


METRICS = (
    Metric(
        "split_leakage", "Pictures in more than one split",
        "Pictures, told apart by checksum, that stand in two or more splits: a bar for each, with its images by split.",
        "bars", "images", Family("split_leakage", _measure), params={"bars": BARS},
    ),
)  # fmt: skip
