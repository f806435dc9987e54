"""Single values: what is fit for PostgreSQL, and the numbers and texts in them."""

import json

import pytest
from django.db import DataError, connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from annotations.coco import values

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**450), 10**450)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["\0", "a\0b", "\x7f", "\ud83d", "\udc00", "\u2028", "\\u0000", "é", "🙂", "\x1f"])
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)
numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?\Z")


def fit(raw: bytes) -> bool:
    """Whether `check` lets the value through."""
    try:
        values.check(raw)
    except (values.Unfit, values.TooDeep):
        return False
    return True


def through_jsonb(raw: bytes) -> bytes:
    """What PostgreSQL gives back for the value."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (%s::jsonb)::text", [values.spelled_out(raw).decode()])
        return cursor.fetchone()[0].encode()


def typed(value):
    """The value with the types of its numbers, so that 1, 1.0 and true differ; -0.0 is 0.0, as in PostgreSQL."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value).__name__, value + 0 if isinstance(value, float) else value


@pytest.fixture(scope="module")
def jsonb(django_db_setup, django_db_blocker):
    """A connection for many small statements."""
    with django_db_blocker.unblock():
        yield
        connection.close()


@given(value=documents)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(value=["\0"])
@example(value={"a": {"": "\ud800"}})
@example(value=10**400)
@example(value="\udc00\ud800")
def test_what_is_fit_comes_back_from_postgresql_as_it_went(jsonb, value):
    for raw in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")):
        if b"\xed" in raw:  # bare surrogates: a file with them is refused by its encoding
            try:
                raw.decode()
            except UnicodeDecodeError:
                continue
        if fit(raw):
            assert typed(json.loads(through_jsonb(raw))) == typed(value)


@given(token=numbers)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(token="1E5")
@example(token="1e-7")
@example(token="1.5e1")
@example(token="-0.0")
@example(token="0e0")
@example(token="123456789012345678.125")
@example(token="1" + "0" * 300 + ".5")
@example(token="1e-400")
@example(token="1e400")
def test_fit_number_comes_back_with_its_value_and_its_type(jsonb, token):
    for raw in (token.encode(), f"[{token}]".encode(), f'{{"e": {token}}}'.encode()):
        if fit(raw):
            assert typed(json.loads(through_jsonb(raw))) == typed(json.loads(raw))
    number = values.as_number(token.encode())
    if number is not None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::numeric::text", [values.spelled_out(number).decode()])
            assert typed(json.loads(cursor.fetchone()[0])) == typed(json.loads(token))


@pytest.mark.parametrize("raw", [b'"\\u0000"', b'{"a\\u0000": 1}', b"1e200000", b'"\\ud800"'])
def test_check_refuses_what_postgresql_refuses(jsonb, raw):
    assert not fit(raw)
    with pytest.raises(DataError):
        through_jsonb(raw.replace(b"e", b"E") if raw == b"1e200000" else raw)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'"\\u0000"', "nul_character"),
        (b'["x", "\\u0000"]', "nul_character"),
        (b'{"\\u0000": 1}', "nul_character"),
        (b'"\\ud800"', "lone_surrogate"),
        (b'"\xffud800"', "lone_surrogate"),
        (b'{"a": "\xffudc00"}', "lone_surrogate"),
        (b'"\xff"', "not_a_number"),
        (b'["\xffInfin"]', "not_a_number"),
        (b"1e999", "not_a_number"),
        (b"[-1e999]", "not_a_number"),
        (b"2" * 309, "not_a_number"),
        (b"1" * 401, "number_too_long"),
        (b"[0." + b"1" * 400 + b"]", "number_too_long"),
        (b"1e-401", "number_too_long"),
        (b'{"a": 1, "a": 1}', "duplicate_key"),
        (b'[{"a": {"b": 1, "\\u0062": 2}}]', "duplicate_key"),
    ],
)
def test_unfit_value_is_told_each_time_and_without_growing(raw, code):
    for _ in range(3):
        with pytest.raises(values.Unfit) as caught:
            values.check(raw)
        assert caught.value.code == code
        assert caught.traceback[-1].lineno  # an exception of its own, not one that collects tracebacks
        assert len(caught.traceback) == 2


@pytest.mark.parametrize(
    "raw", [b'"\x7f"', b'["\x7fInfin"]', b'"NaN"', b'"\\u007f"', b"1e308", b"-0", b"null", b"true"]
)
def test_odd_but_fit_value_is_let_through(raw):
    values.check(raw)


def test_long_values_are_not_held():
    values._remembered_flaw.cache_clear()
    values.check(b'["' + b"x" * 3_000 + b'"]')

    assert values._remembered_flaw.cache_info().currsize == 0


@pytest.mark.parametrize(("depth", "deep"), [(64, False), (65, True)])
def test_nesting_is_counted_outside_of_strings(depth, deep):
    nested = b"[" * (depth - 1) + b'{"a": "' + b"[{" * 100 + b'\\""}' + b"]" * (depth - 1)

    assert values.depth_of(nested) == depth
    assert values.nested_too_deep(nested) is deep
    if deep:
        with pytest.raises(values.TooDeep):
            values.check(nested)


@given(st.lists(numbers | st.just("9" * 399) | st.just("9" * 400) | st.just("0." + "1" * 500), max_size=200))
@settings(max_examples=100)
def test_long_number_is_found_wherever_it_stands_in_a_list(tokens):
    raw = ("[" + ",".join(tokens) + "]").encode()

    assert values.has_long_number(raw) == any(
        len(token.lstrip("-").partition("e")[0].partition("E")[0]) >= 400
        or abs(int(token.lower().partition("e")[2] or 0)) >= 1_000
        for token in tokens
    )


@pytest.mark.parametrize(
    ("raw", "spelled"),
    [
        (b"1E5", b"100000.0"),
        (b"[1.5e3, 2]", b"[1500.0, 2]"),
        (b"1e-7", b"0.0000001"),
        (b'{"1e5": "1e5, \\"2E2\\"", "a": 1e0}', b'{"1e5": "1e5, \\"2E2\\"", "a": 1.0}'),
        (b"[true, false, null]", b"[true, false, null]"),
        (b'"3e"', b'"3e"'),
    ],
)
def test_exponents_are_written_out_but_not_in_strings(raw, spelled):
    assert values.spelled_out(raw) == spelled


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"1", b"1"),
        (b'"63.6583"', b"63.6583"),
        (b'" 7 "', b"7"),
        (b"-0.0", b"-0.0"),
        (b'"0x10"', None),
        (b'"1_000"', None),
        (b'"NaN"', None),
        (b'"1e999"', None),
        (b'""', None),
        (b"true", None),
        (b"null", None),
        (b"[1]", None),
        (b"9" * 401, None),
        (b'"\xff"', None),
    ],
)
def test_number_is_read_from_numbers_and_texts(raw, number):
    assert values.as_number(raw) == number


@pytest.mark.parametrize(
    ("raw", "whole"),
    [
        (b"3.0", 3),
        (b'"3"', 3),
        (b"1e2", 100),
        (b"3.5", None),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", None),
        (b"-9223372036854775808", -(2**63)),
        (b"9007199254740993.0", None),
        (b"1e300", None),
    ],
)
def test_whole_number_is_read_only_where_it_is_exact(raw, whole):
    assert values.as_integer(raw) == whole


def test_text_is_read_from_strings_only():
    assert values.as_text(b'"a\\u00e9\\n"') == "aé\n"
    assert values.as_text(b'"\x7f"') == "\x7f"
    assert values.as_text(b"12") is None
    assert values.as_text(b'"\xff"') is None
    with pytest.raises(values.Unfit):
        values.as_text(b'"\xffud800"')


def test_same_values_are_the_same_however_they_are_written():
    assert values.same(b'{"a": 1, "b": [2]}', b'{"b":[2],"a":1}')
    assert not values.same(b'{"a": 1}', b'{"a": 2}')
    assert values.same(b'"\xff"', b'"\xff"')
    assert not values.same(b'{"a": "\xff"}', b'{"a":"\xff"}')  # neither can be decoded
