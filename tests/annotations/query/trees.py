"""Random trees of the shapes that the parser builds, with values that often meet the data set's."""

import re
from decimal import Decimal

from hypothesis import strategies as st

from annotations.query import tree as t
from annotations.query.fields import FIELDS, Field, Kind, Scope
from tests.annotations.query.records import CATEGORIES

NUMBERS = [
    *map(Decimal, ["-5", "-3", "0", "0.3072", "0.5", "0.0390625", "1", "1.5", "3", "4", "5", "17", "100", "400"]),
    *map(Decimal, ["480", "640", "800.5", "900", "1000", "1e20"]),
]
WORDS = [
    *["car", "car*", "night", "a*b", "a_b", "100%", "it's", "-x", 'say "hi"', "back\\slash", "한국", "서울"],
    *["jpg", "0"],
    *["IMG_0001.PNG", "a (1).jpg", "red", "Red", "3", "true", "null", "", " ", "OR", "a..b", ">5", "train", "val"],
    *["bad_size", "negative_box", "cvat", "model v1", "vehicle", "dog", "JPEG", "aa11", "2013-11-15", "nan", "$"],
    *[name for name, _ in CATEGORIES.values()],
]
PATTERNS = [
    *["car*", "*a*", "?", "a?b", "*.jpg", "img_*", "m*", "*%", "b*\\*", "_*", "*서*", "re?", "2013*", "?????*"],
]
MOMENTS = [
    *["2026", "2026-01", "2026-01-01", "2026-01-31", "2025-12-31", "2026-03-31", "2026-01-31T23:59"],
    *["2026-01-31T23:59:59", "2026-03-31T19:00+09:00", "2026-03-31T10:00Z"],
]
AGO = ["-1h", "-3h", "-7d", "-1w", "-1m", "-2m", "-1y", "-2y"]
KEYS = [
    *["license", "color", "iso", "labels", "nested", "deep", "x", "value", "flag", "gone"],
    *["a.b", "c d", 'k"q', "0", "도시", ""],
]
POINTS_ASKED = ["nose", "left_wrist", "left wrist", "tail", "1", "2", "3", "4", "03", "0", "99999", 'k"q']
ALONE = re.compile(r'[^\s()"<>=!:]+')
DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def numbers() -> st.SearchStrategy[Decimal]:
    odd = st.decimals(-(10**12), 10**12, allow_nan=False, places=3)
    return st.sampled_from(NUMBERS) | odd.map(lambda number: abs(number) if number == 0 else number)


def words() -> st.SearchStrategy[str]:
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.sampled_from(WORDS) | st.text(characters, max_size=6)


def patterns() -> st.SearchStrategy[t.Test]:
    typed = st.text(st.sampled_from('a*?cr.%_\\1한:"-'), min_size=1, max_size=5)
    typed = typed.filter(lambda text: ALONE.fullmatch(text) and text != "*" and ("*" in text or "?" in text))
    return (st.sampled_from(PATTERNS) | typed).map(t.Matches)


def ranges(values: st.SearchStrategy) -> st.SearchStrategy[t.Test]:
    return st.lists(values, min_size=2, max_size=2).map(sorted).map(lambda pair: t.Between(*pair))


def compares(values: st.SearchStrategy) -> st.SearchStrategy[t.Test]:
    return st.builds(t.Compare, st.sampled_from([">", ">=", "<", "<="]), values)


def equals(values: st.SearchStrategy) -> st.SearchStrategy[t.Test]:
    return values.map(t.Is) | values.map(t.Differs)


def tests(field: Field) -> st.SearchStrategy[t.Test]:
    kind, present = field.kind, st.just(t.Present())
    if kind in (Kind.NUMBER, Kind.BYTES):
        return present | equals(numbers()) | compares(numbers()) | ranges(numbers())
    if kind is Kind.DATE:
        days, moments = st.sampled_from(MOMENTS).map(t.Moment), st.sampled_from(MOMENTS + AGO).map(t.Moment)
        return present | equals(days) | compares(moments) | st.builds(t.Between, moments, moments)
    if kind is Kind.BOOLEAN:
        return present | equals(st.booleans())
    if kind is Kind.CHOICE:
        return present | equals(st.sampled_from(field.choices))
    if kind is Kind.TEXT:
        return present | equals(words()) | patterns() | words().map(t.Contains)
    if kind is Kind.JSON:
        scalars = words() | st.sampled_from(["3", "3.0", "400", "true", "false", "null", "5", "1e2"]).map(t.Word)
        dates = st.sampled_from([each for each in [*WORDS, *MOMENTS] if DATED.match(each)])
        bounds = numbers() | words()
        return present | equals(scalars) | patterns() | compares(bounds) | ranges(numbers()) | ranges(dates)
    return present | equals(words()) | patterns()


@st.composite
def leaves(draw: st.DrawFn, *, only_objects: bool = False) -> t.Node:
    known = [each for each in FIELDS.values() if each.name != "id"]
    field = draw(st.sampled_from([each for each in known if not only_objects or each.scope is Scope.OBJECT]))
    test = draw(tests(field))
    if field.lower and isinstance(getattr(test, "value", None), str):
        test = type(test)(test.value.lower())
    if field.lower and isinstance(test, t.Matches):
        test = t.Matches(test.pattern.lower())
    keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3).map(tuple)
    if field.name == "keypoint":
        return t.Term(field.name, test, path=(draw(st.sampled_from(POINTS_ASKED)),))
    return t.Term(field.name, test, path=draw(keys) if field.kind is Kind.JSON else ())


def combined(inner: st.SearchStrategy[t.Node]) -> st.SearchStrategy[t.Node]:
    some = st.lists(inner, min_size=2, max_size=4)
    return some.map(t.all_of) | some.map(t.any_of) | inner.map(t.Not)


def trees() -> st.SearchStrategy[t.Node]:
    conditions = st.just(t.Everything()) | st.recursive(leaves(only_objects=True), combined, max_leaves=4)
    counts = st.sampled_from([Decimal(each) for each in (0, 1, 2, 3)]) | numbers()
    tests_of_count = equals(counts) | compares(counts) | ranges(counts)
    functions = conditions.map(t.Has) | st.builds(t.Count, conditions, tests_of_count)
    return st.just(t.Everything()) | st.recursive(leaves() | functions, combined, max_leaves=8)
