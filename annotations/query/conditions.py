"""Tests on columns as SQL conditions. Every value is a parameter; only the constants written here become SQL."""

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from itertools import product as product_of
from typing import Any, cast

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    BigIntegerField,
    BooleanField,
    Exists,
    Expression,
    F,
    Func,
    JSONField,
    Subquery,
    TextField,
    Value,
)
from django.db.models.functions import Upper

from annotations.query.keypoints import VISIBILITIES
from annotations.query.moments import period
from annotations.query.tree import (
    Between,
    Compare,
    Contains,
    Differs,
    Is,
    Matches,
    Moment,
    Ordered,
    Present,
    Test,
    Word,
)
from annotations.query.values import number_of

Sql = Expression | Subquery  # Exists is a Subquery
Column = F | Sql


class Condition(Func):
    """An SQL expression that is true, false or NULL, written as a template over its arguments."""

    template = "(%(expressions)s)"
    output_field = BooleanField()


def always(answer: bool) -> Sql:
    """A condition that does not look at the row."""
    return Condition(template="TRUE" if answer else "FALSE")


def compared(left: Any, operator: str, right: Any) -> Sql:
    """`left operator right`; the operator is one of those written in this package."""
    return Condition(left, right, arg_joiner=f" {operator} ")


def both(*conditions: Sql) -> Sql:
    """All of them."""
    return Condition(*conditions, arg_joiner=" AND ")


def either(*conditions: Sql) -> Sql:
    """At least one of them."""
    return Condition(*conditions, arg_joiner=" OR ")


def untrue(condition: Sql) -> Sql:
    """The complement: true also where the condition is NULL, which SQL's NOT is not."""
    if isinstance(condition, Exists):
        return cast(Sql, ~condition)  # never NULL, and the planner knows NOT EXISTS
    return Condition(condition, template="(%(expressions)s) IS NOT TRUE")


def is_set(column: Column) -> Sql:
    """The column is not NULL."""
    return Condition(column, template="(%(expressions)s) IS NOT NULL")


def one_of(column: Column, ids: Sequence[int]) -> Sql:
    """The column is one of the ids."""
    if not ids:
        return always(False)
    if len(ids) == 1:
        return compared(column, "=", _integer(ids[0]))
    return Condition(
        column, Value(list(ids), ArrayField(BigIntegerField())), template="%(expressions)s)", arg_joiner=" = ANY("
    )


def on_number(test: Test, compare: Callable[[str, Decimal], Sql], present: Sql) -> Sql:
    """A test on a number, given how to compare it with another."""
    match test:
        case Present():
            return present
        case Is(value=Decimal() as number):
            return compare("=", number)
        case Differs(value=Decimal() as number):
            return compare("<>", number)
        case Compare(operator=operator, value=Decimal() as number):
            return compare(operator, number)
        case Between(low=Decimal() as low, high=Decimal() as high):
            return both(compare(">=", low), compare("<=", high))
    raise TypeError(f"{test!r} is no test on a number")


def on_exact_number(column: Column, test: Test) -> Sql:
    """A test on a column of type numeric, or on whole numbers too wide for an index to matter."""
    return on_number(test, lambda operator, number: compared(column, operator, Value(number)), is_set(column))


def on_whole_number(column: Column, test: Test) -> Sql:
    """A test on an integer column, with integers, so that its index serves; they may be beyond the column's range."""

    def compare(operator: str, number: Decimal) -> Sql:
        if number == (whole := math.floor(number)):
            return compared(column, operator, _integer(whole))
        match operator:
            case ">" | ">=":
                return compared(column, ">", _integer(whole))
            case "<" | "<=":
                return compared(column, "<=", _integer(whole))
        return is_set(column) if operator == "<>" else always(False)

    if isinstance(test, Between) and isinstance(test.low, Decimal) and isinstance(test.high, Decimal):
        ends = Func(
            _integer(math.ceil(test.low)),
            _integer(math.floor(test.high)),
            template="%(expressions)s",
            arg_joiner=" AND ",
            output_field=BooleanField(),
        )
        return compared(column, "BETWEEN", ends)  # names the column once: it may be a subquery
    return on_number(test, compare, is_set(column))


def on_flag(flag: Sql, test: Test) -> Sql:
    """A test on something that holds or does not; NULL is that it does not."""
    match test:
        case Present():
            return always(True)
        case Is(value=bool(answer)):
            return flag if answer else untrue(flag)
        case Differs(value=bool(answer)):
            return untrue(flag) if answer else flag
    raise TypeError(f"{test!r} is no test on a flag")


def on_name(column: Column, test: Test, *, any_case: bool = False) -> Sql:
    """A test on a text that is compared as a whole; an empty one is no value."""

    def fold(text: Any) -> Any:
        return Upper(text) if any_case else text

    filled = compared(column, "<>", Value(""))
    match test:
        case Present():
            return filled
        case Is(value=str(text)):
            return compared(fold(column), "=", fold(Value(text)))
        case Differs(value=str(text)):
            return both(filled, compared(fold(column), "<>", fold(Value(text))))
        case Matches(pattern=pattern):
            return compared(fold(column), "LIKE", fold(Value(like(pattern))))
    raise TypeError(f"{test!r} is no test on a name")


def on_text(column: Column, test: Test) -> Sql:
    """A test on a text that is searched, in any case, the way that an index on `gin_trgm_ops (UPPER(...))` serves."""
    match test:
        case Contains(text=text):
            return compared(Upper(column), "LIKE", Upper(Value(f"%{_literal(text)}%")))
        case Matches(pattern=pattern):
            return compared(Upper(column), "LIKE", Upper(Value(like(pattern))))
    return on_name(column, test)


def on_names(column: Column, test: Test) -> Sql:
    """A test on an array of texts."""
    filled = Condition(column, template="cardinality(%(expressions)s) > 0")
    match test:
        case Present():
            return filled
        case Is(value=str(text)):
            return compared(column, "@>", Value([text], ArrayField(TextField())))
        case Differs(value=str(text)):
            return both(filled, untrue(on_names(column, Is(text))))
        case Matches(pattern=pattern):
            return Condition(
                column,
                Value(like(pattern)),
                template="EXISTS (SELECT 1 FROM unnest(%(expressions)s)",
                arg_joiner=") AS names(name) WHERE name LIKE ",
            )
    raise TypeError(f"{test!r} is no test on names")


def on_time(column: Column, test: Test, *, now: datetime, zone: tzinfo) -> Sql:
    """A test on a time. A day, a month and the like are all of it: `> 2026-01-31` begins on 1 February."""

    def starts(moment: Ordered) -> Value:
        return Value(_period(moment, now, zone)[0])

    def ends(moment: Ordered) -> Value:
        return Value(_period(moment, now, zone)[1])

    match test:
        case Present():
            return is_set(column)
        case Is(value=Moment() as moment):
            return both(compared(column, ">=", starts(moment)), compared(column, "<", ends(moment)))
        case Differs(value=Moment() as moment):
            return either(compared(column, "<", starts(moment)), compared(column, ">=", ends(moment)))
        case Between(low=low, high=high):
            return both(compared(column, ">=", starts(low)), compared(column, "<", ends(high)))
        case Compare(operator=">", value=moment):
            return compared(column, ">=", ends(moment))
        case Compare(operator="<=", value=moment):
            return compared(column, "<", ends(moment))
        case Compare(operator=operator, value=moment):
            return compared(column, operator, starts(moment))
    raise TypeError(f"{test!r} is no test on a time")


def on_json(column: Column, path: Sequence[str], test: Test) -> Sql:
    """A test on what is at a path of a JSON column: on a scalar, or on any element of an array of scalars."""
    value = json_at(column, path)
    match test:
        case Present():
            return is_set(value)
        case Is(value=Word() | str() as scalar):
            # Containment is what an index with jsonb_path_ops serves. A scalar is contained in an array only at the
            # top level of a document, so an array is asked for as one.
            shapes = shapes_of(scalar)
            return either(*(compared(column, "@>", typed(_nested(path, shape), "jsonb")) for shape in shapes))
        case Differs(value=Word() | str() as scalar):
            return both(is_set(value), untrue(on_json(column, path, Is(scalar))))
        case Compare(operator=operator, value=Decimal() | str() as bound):
            return _json_compared(value, (operator, bound))
        case Between(low=Decimal() | str() as low, high=Decimal() | str() as high):
            return _json_compared(value, (">=", low), ("<=", high))
        case Matches(pattern=pattern):
            return Condition(value, Value(like(pattern)), template=_ANY_TEXT_LIKE)
    raise TypeError(f"{test!r} is no test on JSON")


def shapes_of(scalar: Word | str) -> list[str]:
    """The JSON texts by which a scalar is found: as itself, and as an element of an array."""
    return [shape for text in _json_texts(scalar) for shape in (text, f"[{text}]")]


def on_json_together(column: Column, equals: Sequence[tuple[Sequence[str], Word | str]]) -> Sql:
    """Several tests for equality, whose paths begin with different keys, as one containment for each way of writing.

    The planner looks the whole up in its sample of the column, so it sees where two values hardly ever meet.
    """
    ways = product_of(*([_nested(path, shape)[1:-1] for shape in shapes_of(scalar)] for path, scalar in equals))
    return either(*(compared(column, "@>", typed(f"{{{', '.join(way)}}}", "jsonb")) for way in ways))


def json_at(column: Column, path: Sequence[str]) -> Sql:
    """The JSON value at a path of keys, or NULL. A key never counts as an index of an array."""
    keys = [typed(key, "text") for key in path]
    return Func(column, *keys, template="(%(expressions)s)", arg_joiner=" -> ", output_field=JSONField())


def element(column: Column, place: int) -> Sql:
    """The JSON value at a place of an array, from 0, or NULL."""
    return Func(column, template=f"(%(expressions)s -> {place:d})", output_field=JSONField())


def numbers_at(column: Column, operation: str, *places: int) -> Sql:
    """What an operation on the numbers at these places of an array gives; NULL where one of them is no number.

    `operation` names them {0}, {1} ...; the column has no parameters, so it may stand in several places.
    """
    values = [f"(%(expressions)s -> {place:d})" for place in places]
    tests = " AND ".join(f"jsonb_typeof({value}) = 'number'" for value in values)
    result = operation.format(*(f"{value}::numeric" for value in values))
    return Func(column, template=f"(CASE WHEN {tests} THEN {result} END)", output_field=TextField())


def visibility_at(column: Column, place: int) -> Sql:
    """How COCO's keypoint at a place, from 0, can be seen: one of VISIBILITIES; NULL where there is none.

    The column has no parameters, so it may stand in several places. What is no number says nothing of it.
    """
    words = ", ".join(f"'{word}'" for word in VISIBILITIES)
    seen = f"(%(expressions)s -> {3 * place + 2:d})"
    return Func(
        column,
        template=f"""(CASE WHEN CASE jsonb_typeof(%(expressions)s) WHEN 'array'
            THEN jsonb_array_length(%(expressions)s) ELSE 0 END >= {3 * place + 3:d} THEN
            (ARRAY[{words}])[1 + CASE jsonb_typeof({seen}) WHEN 'number'
                THEN LEAST(2, GREATEST(0, {seen}::numeric))::int ELSE 0 END] END)""",
        output_field=TextField(),
    )


def text_at(column: Column, key: str) -> Sql:
    """The text at a key of a JSON column, or NULL."""
    return Func(column, typed(key, "text"), template="(%(expressions)s)", arg_joiner=" ->> ", output_field=TextField())


def product(first: Column, second: Column) -> Sql:
    """The two multiplied, exactly and beyond the range of integer columns."""
    return Func(first, second, template="(%(expressions)s)", arg_joiner="::numeric * ", output_field=TextField())


def on_json_number(value: Sql, test: Test) -> Sql:
    """A test on a JSON value that should be a number; what is none meets no test."""
    is_number = Condition(value, template="jsonb_typeof(%(expressions)s) = 'number'")

    def compare(operator: str, number: Decimal) -> Sql:
        passes = _json_compared(value, (operator, number))
        return both(is_number, passes) if operator == "<>" else passes  # to a path, null differs from any number

    return on_number(test, compare, is_number)


def like(pattern: str) -> str:
    """A pattern with `*` and `?` as SQL's LIKE writes it."""
    return _literal(pattern).replace("*", "%").replace("?", "_")


def _integer(number: int) -> Value:
    # Sent as 64 bits, whatever the column has; beyond those, a comparison as numeric is as good.
    return Value(number, BigIntegerField()) if abs(number) < 2**63 else Value(Decimal(number))


def _literal(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _period(moment: Ordered, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    if not isinstance(moment, Moment):
        raise TypeError(f"{moment!r} is no moment")
    return period(moment, now=now, zone=zone)


_ANY_TEXT_LIKE = """EXISTS (
    SELECT 1
    FROM (VALUES (%(expressions)s)) AS given(value, pattern),
         jsonb_array_elements(
             CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE jsonb_build_array(value) END
         ) AS elements(element)
    WHERE jsonb_typeof(element) = 'string' AND element #>> '{}' LIKE pattern
)"""
_JSONPATH = {"=": "==", "<>": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def _json_texts(scalar: Word | str) -> list[str]:
    """The JSON scalars that a typed one stands for, as JSON."""
    text = scalar.text if isinstance(scalar, Word) else scalar
    texts = [json.dumps(text, ensure_ascii=False)]
    if isinstance(scalar, Word):
        number = number_of(text)
        texts.append(text if number is None else format(number, "f"))
    return texts


def _nested(path: Sequence[str], inner: str) -> str:
    for key in reversed(path):
        inner = f"{{{json.dumps(key, ensure_ascii=False)}: {inner}}}"
    return inner


def _json_compared(value: Sql, *bounds: tuple[str, str | Decimal]) -> Sql:
    """The value, or one element of it, passes all of the (operator, bound).

    Numbers compare with numbers and texts with texts, by code point; anything else meets nothing. In strict mode and
    silently, so that a value of another shape is no error and no array within an array is looked into.
    """
    test = " && ".join(f"@ {_JSONPATH[operator]} $bound{index}" for index, (operator, _) in enumerate(bounds))
    named: list[Sql] = []
    for index, (_, bound) in enumerate(bounds):
        named += [typed(f"bound{index}", "text"), typed(bound, "numeric" if isinstance(bound, Decimal) else "text")]
    return Condition(
        value,
        typed(f"strict $ ? (({test}) || exists(@[*] ? ({test})))", "jsonpath"),
        Func(*named, function="jsonb_build_object", output_field=JSONField()),
        typed("true", "boolean"),
        function="jsonb_path_exists",
        template="%(function)s(%(expressions)s)",
    )


def typed(value: str | Decimal, sql_type: str) -> Sql:
    """A parameter of a certain type, whichever way the driver sends it."""
    return Func(Value(value), template=f"%(expressions)s::{sql_type}", output_field=TextField())
