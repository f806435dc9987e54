"""Taking a query apart into alternatives, each of which an index can answer.

`category:car OR width>1900` is about two tables: as one condition it would be tried on every image in turn. So is
`tag:x (category:car OR width>1900)`, which is `tag:x category:car OR tag:x width>1900`.
"""

from collections.abc import Callable

from annotations.query.tree import And, Node, Not, Or, all_of

MOST = 8  # alternatives; more are one condition, for each costs its time to plan

IsElsewhere = Callable[[Node], bool]


def apart(tree: Node, is_elsewhere: IsElsewhere) -> list[Node]:
    """Trees of which one must hold for the whole to hold; none where taking it apart would not help.

    `is_elsewhere` says of a leaf that it asks for what is in another table.
    """
    parts = _alternatives(tree)
    if len(parts) == 1:
        parts = _distributed(parts[0], is_elsewhere)
    if not 1 < len(parts) <= MOST or not any(_has(part, is_elsewhere) for part in parts):
        return []
    return parts


def _distributed(tree: Node, is_elsewhere: IsElsewhere) -> list[Node]:
    """`a (b OR c)` as `a b` and `a c`, for the first such part that asks for what is elsewhere."""
    conditions = _conditions(tree)
    for place, condition in enumerate(conditions):
        inner = _alternatives(condition)
        if len(inner) > 1 and _has(condition, is_elsewhere):
            others = conditions[:place] + conditions[place + 1 :]
            return [all_of([*others, each]) for each in inner]
    return [tree]


def _alternatives(tree: Node) -> list[Node]:
    """The parts of which one must hold, NOT carried down to them."""
    match tree:
        case Or(parts=parts):
            return [inner for part in parts for inner in _alternatives(part)]
        case Not(part=And(parts=parts)):
            return [inner for part in parts for inner in _alternatives(Not(part))]
        case Not(part=Not(part=part)):
            return _alternatives(part)
    return [tree]


def _conditions(tree: Node) -> list[Node]:
    """The parts that must all hold, NOT carried down to them."""
    match tree:
        case And(parts=parts):
            return [inner for part in parts for inner in _conditions(part)]
        case Not(part=Or(parts=parts)):
            return [inner for part in parts for inner in _conditions(Not(part))]
        case Not(part=Not(part=part)):
            return _conditions(part)
    return [tree]


def _has(tree: Node, is_elsewhere: IsElsewhere) -> bool:
    match tree:
        case And(parts=parts) | Or(parts=parts):
            return any(_has(part, is_elsewhere) for part in parts)
        case Not(part=part):
            return _has(part, is_elsewhere)
    return is_elsewhere(tree)
