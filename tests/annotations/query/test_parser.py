"""What the parser refuses, and what it understands."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import ServiceError
from annotations.query import FIELDS, QueryError, canonical, parse, to_text
from annotations.query.tree import (
    And,
    Between,
    Compare,
    Contains,
    Count,
    Differs,
    Everything,
    Has,
    Is,
    Matches,
    Moment,
    Not,
    Or,
    Present,
    Term,
    Word,
)
from tests.annotations.query.trees import trees

# query, column, word, and what the message or its hint must tell
MISTAKES = [
    # fields
    ("widht>3", 1, "widht", "did you mean width?"),
    ("jpg  Width>3", 6, "Width", "did you mean width?"),
    ("owner__password:x", 1, "owner__password", "the fields are id, coco_id"),
    ("project.owner.password:x", 1, "project.owner.password", "no field"),
    ("metadata__color:red", 1, "metadata__color", "no field"),
    ("file__startswith:x", 1, "file__startswith", "no field"),
    ("image.width:3", 1, "image.width", "no field"),
    ("width.x:3", 1, "width.x", "did you mean width?"),
    ("bbox:3", 1, "bbox", "did you mean bbox."),
    ("bbox.z:3", 1, "bbox.z", "did you mean bbox."),
    ("_state:x", 1, "_state", "no field"),
    ("pk:1", 1, "pk", "no field"),
    ("metadata:3", 1, "metadata", "name a key"),
    ("metadata..x:3", 1, "metadata..x", "beside a dot"),
    ("metadata.:3", 1, "metadata.", "beside a dot"),
    (".x:3", 1, ".x", "beside a dot"),
    ('metadata."".:3', 1, "metadata..", "beside a dot"),
    ('metadata.""":3', 12, 'metadata.""', "comparison is missing"),
    ('metadata."" x', 13, 'metadata.""', "comparison is missing"),
    ('metadata."a b', 10, '"', "not closed"),
    ('metadata."a b" x', 16, 'metadata."a b"', "comparison is missing"),
    ('metadata."a"b:1', 13, 'metadata."a"', "comparison is missing"),
    ('"width":3', 1, "width", "no quotes"),
    (">3", 1, ">", "a field is missing"),
    ("tag:car :x", 9, ":", "a field is missing"),
    # values
    ("width>abc", 7, "abc", "not a number"),
    ("width>NaN", 7, "NaN", "not a number"),
    ("width>inf", 7, "inf", "not a number"),
    ("width<-Infinity", 7, "-Infinity", "not a number"),
    ("metadata.x>nan", 12, "nan", "not a number"),
    ("width:0x10", 7, "0x10", "not a number"),
    ("width:1_000", 7, "1_000", "not a number"),
    ("width:٣", 7, "٣", "not a number"),
    ("width:1e400", 7, "1e400", "at most 40 digits"),
    ("width:1e-400", 7, "1e-400", "at most 40 digits"),
    ("width:1e99999999999999999999", 7, "1e99999999999999999999", "at most 40 digits"),
    ("width:" + "9" * 41, 7, "9" * 41, "at most 40 digits"),
    ("width:" + "9" * 3000, 7, "9" * 3000, "at most 40 digits"),
    ("size>2tb", 6, "2tb", "not a number"),
    ("size>mb", 6, "mb", "not a number"),
    ("size>" + "9" * 38 + "gb", 6, "9" * 38 + "gb", "at most 40 digits"),
    ("width:2kb", 7, "2kb", "not a number"),
    ("width:9..1", 7, "9..1", "smaller number first"),
    ("width:..", 7, "..", "no ends"),
    ("width:1..b", 10, "b", "not a number"),
    ("width=1..2", 7, "1..2", "not a number"),
    ("width=*", 7, "*", "not a number"),
    ("width:6*", 7, "6*", "not a number"),
    ("tag>3", 5, "3", "no order"),
    ("file<=3", 7, "3", "no order"),
    ("duplicate>false", 11, "false", "no order"),
    ("duplicate:maybe", 11, "maybe", "neither true nor false"),
    ("status:redy", 8, "redy", "did you mean ready?"),
    ("status:xyzzy", 8, "xyzzy", "write one of missing, broken"),
    ("status:READY", 8, "READY", "did you mean ready?"),
    ("created:yesterday", 9, "yesterday", "no date"),
    ("created>2026-02-30", 9, "2026-02-30", "no date"),
    ("created>2026-13", 9, "2026-13", "no date"),
    ("created>0000-01-01", 9, "0000-01-01", "no date"),
    ("created>2026-01-01T25:00", 9, "2026-01-01T25:00", "no date"),
    ("created>2026-01-01T10:00+99:00", 9, "2026-01-01T10:00+99:00", "no date"),
    ("created>-7", 9, "-7", "no date"),
    ("created>-7x", 9, "-7x", "no date"),
    ("created>-9999999d", 9, "-9999999d", "no date"),
    ("created:-7d", 9, "-7d", "as in created>-7d"),
    ("tag:", 5, "", "a value is missing after 'tag:'"),
    ("tag: ", 6, "", "a value is missing"),
    ("width>", 7, "", "a value is missing"),
    ("(tag:)", 6, ")", "a value is missing"),
    ("tag:OR", 5, "OR", 'quote it: "OR"'),
    ("tag=(a OR b)", 5, "(", "a value is missing"),
    # quotes and parentheses
    ('tag:"car', 5, '"', "not closed"),
    ('"', 1, '"', "not closed"),
    ('tag:"car\\"', 5, '"', "not closed"),
    ('"a"b', 4, "b", "a space between"),
    ('a"b"', 2, '"', "a space between"),
    ('tag:"a"b', 8, "b", "a space between"),
    ('tag:a"b"', 6, '"', "a space between"),
    ("tag:a(b)", 6, "(", "a space between"),
    ("(tag:car", 1, "(", "not closed"),
    ("tag:car)", 8, ")", "closes nothing"),
    ("()", 2, ")", "a condition is missing"),
    ("tag:()", 6, ")", "a condition is missing"),
    ("img(1).jpg", 1, "img", "no function"),
    ("hsa(category:car)", 1, "hsa", "no function"),
    # keywords
    ("AND a", 1, "AND", "where a condition should"),
    ("a OR", 5, "", "a condition is missing"),
    ("a OR OR b", 6, "OR", "where a condition should"),
    ("a AND", 6, "", "a condition is missing"),
    ("NOT", 4, "", "a condition is missing"),
    ("(a OR)", 6, ")", "a condition is missing"),
    ("-", 1, "-", "right before"),
    ("a - b", 3, "-", "right before"),
    # has and count
    ("has(width>3)", 5, "width", "outside has() and count()"),
    ("has(dog)", 5, "dog", "category:dog"),
    ("has(has(area>3))", 5, "has", "do not nest"),
    ("count(has())>1", 7, "has", "do not nest"),
    ("has(area>3", 4, "(", "not closed"),
    ("count(category:car)", 20, "", "count(category:car)>=3"),
    ("count(category:car) tag:x", 21, "t", "count(category:car)>=3"),
    ("count()>x", 9, "x", "not a number"),
    ("count():*", 9, "*", "not a number"),
    # characters
    ("a\0b", 2, "\\x00", "U+0000"),
    ('tag:"\0"', 6, "\\x00", "U+0000"),
    ("a\ud800", 2, "\\ud800", "U+D800"),
]


@pytest.mark.parametrize(("query", "column", "word", "told"), MISTAKES)
def test_mistake_is_told_with_its_place(query, column, word, told):
    with pytest.raises(QueryError) as caught:
        parse(query)
    error = caught.value
    assert (error.column, error.word) == (column, word)
    assert told in error.message
    assert f"at column {column}" in error.message


def test_query_error_is_a_refusal_with_machine_readable_facts():
    with pytest.raises(ServiceError) as caught:
        parse("widht>3")
    error = caught.value
    assert error.status == 400
    assert error.fields == {"q": [error.message]}
    assert error.detail["column"] == 1
    assert error.detail["word"] == "widht"
    assert error.detail["hint"] == "did you mean width?"
    assert {"width", "metadata.<path>", "bbox.x"} <= set(error.detail["known"])


def test_error_within_has_lists_the_fields_of_objects_only():
    with pytest.raises(QueryError) as caught:
        parse("has(width>3)")
    assert "area" in caught.value.known
    assert "width" not in caught.value.known


@pytest.mark.parametrize(
    ("query", "column"),
    [
        ("a" * 4001, 4001),
        ("(" * 51 + "a" + ")" * 51, 51),
        ("-" * 51 + "a", 51),
        ("NOT " * 51 + "a", 201),
        ("tag:" + "(" * 51 + "a" + ")" * 51, 55),
        ("metadata" + ".a" * 50 + ":1", 1),
        ("has(" + "-" * 50 + "area>1)", 54),
        (" ".join(["a"] * 201), 401),
        ("tag:(" + " ".join(["a"] * 201) + ")", 406),
        (" ".join(["has()"] * 201), 1201),
    ],
)
def test_too_long_too_deep_and_too_many_are_refused(query, column):
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert caught.value.column == column


@pytest.mark.parametrize(
    "query",
    ["a" * 4000, "(" * 50 + "a" + ")" * 50, "-" * 50 + "a", "metadata" + ".a" * 49 + ":1", " ".join(["a"] * 200)],
)
def test_the_limits_themselves_are_allowed(query):
    assert parse(canonical(query), max_characters=None) == parse(query)


def car(at=1):
    return Term("tag", Is("car"), at=at)


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("", Everything()),
        (" \t\n\u3000 ", Everything()),
        ("tag:car", car()),
        ("tag:car tag:car", And((car(), car()))),
        ("tag:car AND tag:car", And((car(), car()))),
        ("tag:car OR tag:car tag:car", Or((car(), And((car(), car()))))),
        ("tag:car tag:car OR tag:car", Or((And((car(), car())), car()))),
        ("tag:car (tag:car tag:car)", And((car(), car(), car()))),
        ("tag:car (tag:car OR tag:car)", And((car(), Or((car(), car()))))),
        ("-tag:car tag:car", And((Not(car()), car()))),
        ("NOT tag:car OR tag:car", Or((Not(car()), car()))),
        ("NOT NOT tag:car", Not(Not(car()))),
        ("--tag:car", Not(Not(car()))),
        ("-(tag:car OR tag:car)", Not(Or((car(), car())))),
        ("NOT(tag:car)", Not(car())),
        ("((tag:car))", car()),
        ("tag:(car OR car)", Or((car(), car()))),
        ("tag:(car (car OR -car))", And((car(), Or((car(), Not(car())))))),
        ("tag : car", car()),
        ("tag:car\u3000tag:car", And((car(), car()))),
        ("has(tag)", None),
        ("has( )", Has(Everything())),
        ("has (category:car)", Has(Term("category", Is("car")))),
        ("count( category:car )>=3", Count(Term("category", Is("car")), Compare(">=", Decimal(3)))),
        ("count():1..2", Count(Everything(), Between(Decimal(1), Decimal(2)))),
        ("sun", Term("file", Contains("sun"))),
        ("has", Term("file", Contains("has"))),
        ("count", Term("file", Contains("count"))),
        ("And", Term("file", Contains("And"))),
        ("ORANGE", Term("file", Contains("ORANGE"))),
        ("sun*", Term("file", Matches("sun*"))),
        ('"sun*"', Term("file", Contains("sun*"))),
        ("file=sun*", Term("file", Is("sun*"))),
        ("a!b", Term("file", Contains("a!b"))),
        ("야경", Term("file", Contains("야경"))),
        ("tag:a:b=c", Term("tag", Is("a:b=c"))),
        ("tag:-car", Term("tag", Is("-car"))),
        ("tag:(-car)", Not(car())),
        ('tag:"\\"\\\\\\n"', Term("tag", Is('"\\\\n'))),
        ("tag:*", Term("tag", Present())),
        ('tag:"*"', Term("tag", Is("*"))),
        ("tag!=car", Term("tag", Differs("car"))),
        ("tag:!=car", Term("tag", Differs("car"))),
        ("checksum:AB", Term("checksum", Is("ab"))),
        ("width:640", Term("width", Is(Decimal(640)))),
        ('width:"640"', Term("width", Is(Decimal(640)))),
        ("width:6.40e2", Term("width", Is(Decimal(640)))),
        ("width:-0", Term("width", Is(Decimal(0)))),
        ("width:.5", Term("width", Is(Decimal("0.5")))),
        ("width:(-5)", Term("width", Is(Decimal(-5)))),
        ("width:(-5..-2)", Term("width", Between(Decimal(-5), Decimal(-2)))),
        ("width:>5", Term("width", Compare(">", Decimal(5)))),
        ("width:5..", Term("width", Compare(">=", Decimal(5)))),
        ("width:..5", Term("width", Compare("<=", Decimal(5)))),
        ("size:1.5kb", Term("size", Is(Decimal(1536)))),
        ("size:2MB", Term("size", Is(Decimal(2097152)))),
        ("duplicate:YES", Term("duplicate", Is(True))),
        ("duplicate:0", Term("duplicate", Is(False))),
        ("created>-7d", Term("created", Compare(">", Moment("-7d")))),
        ("created:(>-7d)", Term("created", Compare(">", Moment("-7d")))),
        ('created:"2026-01-01 10:00"', Term("created", Is(Moment("2026-01-01T10:00")))),
        ("created:-7d..-1d", Term("created", Between(Moment("-7d"), Moment("-1d")))),
        ("metadata.a.b:red", Term("metadata", Is("red"), path=("a", "b"))),
        ('metadata."a.b".c:red', Term("metadata", Is("red"), path=("a.b", "c"))),
        ('metadata.a."b c"."d">1', Term("metadata", Compare(">", Decimal(1)), path=("a", "b c", "d"))),
        ('metadata."":3', Term("metadata", Is(Word("3")), path=("",))),
        ('metadata."".a."">1', Term("metadata", Compare(">", Decimal(1)), path=("", "a", ""))),
        ("metadata.a:3", Term("metadata", Is(Word("3")), path=("a",))),
        ('metadata.a:"3"', Term("metadata", Is("3"), path=("a",))),
        ("metadata.a:null", Term("metadata", Is(Word("null")), path=("a",))),
        ("metadata.a:1..2", Term("metadata", Between(Decimal(1), Decimal(2)), path=("a",))),
        ("metadata.a:../b", Term("metadata", Is("../b"), path=("a",))),
        ('metadata.a>"3"', Term("metadata", Compare(">", "3"), path=("a",))),
        ("bbox.w>3", Term("bbox.w", Compare(">", Decimal(3)))),
        ("annotation.issue:*", Term("annotation.issue", Present())),
    ],
)
def test_text_becomes_tree(query, tree):
    if tree is None:
        with pytest.raises(QueryError):
            parse(query)
    else:
        assert parse(query) == tree


def test_nodes_know_their_columns_but_do_not_compare_them():
    tree = parse("  tag:car -(tag:(car OR bus) has(area>1))")
    car_term, negation = tree.parts
    either, has = negation.part.parts
    assert (tree.at, car_term.at, negation.at) == (3, 3, 11)
    assert [term.at for term in either.parts] == [18, 25]
    assert (has.at, has.condition.at) == (30, 34)
    assert parse(" tag:car") == parse("tag:car")
    assert hash(parse(" tag:car")) == hash(parse("tag:car"))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("  tag:car   AND width > 0640.0 ", "tag:car width>640"),
        ("a b", "file:a file:b"),
        ("tag:(a OR b) c", "(tag:a OR tag:b) file:c"),
        ("NOT (a b)", "-(file:a file:b)"),
        ("tag:car OR (tag:bus)", "tag:car OR tag:bus"),
        ("size>2mb", "size>2097152"),
        ("width:1e6..", "width>=1000000"),
        ("machine:yes", "machine:true"),
        ('tag:"car"', "tag:car"),
        ('tag:"OR"', 'tag:"OR"'),
        ('tag:"a b"', 'tag:"a b"'),
        ('metadata."plain".x:1', "metadata.plain.x:1"),
        ('metadata.x:"1..2"', 'metadata.x:"1..2"'),
        ('metadata.x>"3"', 'metadata.x>"3"'),
        ('metadata.x:"3"', 'metadata.x:"3"'),
        ("count( ) = 0", "count():0"),
        ("", ""),
    ],
)
def test_canonical_text(query, text):
    assert canonical(query) == text


@given(tree=trees())
def test_any_tree_is_printed_so_that_it_parses_to_itself(tree):
    assert parse(to_text(tree), max_characters=None) == tree


CHARACTERS = st.sampled_from('ab1 -.:=<>!()"*?\\\t한') | st.sampled_from(sorted("ANDORTdth"))
PIECES = [
    *FIELDS,
    *["metadata.", "attributes.", "has(", "count(", ")", "(", '"', " ", "OR", "NOT", "-", "\\", "*"],
    *[":", ">", "<=", "!=", "=", "..", "7d", "-7d", "3", "1e3", "x", "true", "2026-01", "2026-01-31T10:00"],
]


@given(text=st.text(CHARACTERS, max_size=30) | st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_parses_to_what_its_canonical_text_parses_to_or_is_refused_with_a_column(text):
    try:
        tree = parse(text)
    except QueryError as error:
        column = error.column
    else:
        column = 1
        assert parse(to_text(tree), max_characters=None) == tree
    assert 1 <= column <= len(text) + 1


@given(text=st.text(max_size=40))
def test_any_quoted_text_is_taken_to_the_letter(text):
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        return
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert parse(f'tag:"{escaped}"') == Term("tag", Is(text))


@pytest.mark.parametrize("query", ["' OR 1=1--", "5:3", "'a'=1"])
def test_what_is_no_name_of_a_field_is_told_to_be_quoted(query):
    with pytest.raises(QueryError) as caught:
        parse(query)

    assert "quote" in caught.value.hint
