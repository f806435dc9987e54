"""What is told of a flaw."""

from accounts.errors import ServiceError
from annotations.coco.problems import RAW_LIMIT, Action, CocoFileError, Problem, excerpt


def test_problem_is_a_line_of_text():
    problem = Problem("code", Action.KEPT, "$.images[0]", "Told.", "Do.", "{}")

    assert problem.as_dict() == {
        "code": "code", "action": "kept", "path": "$.images[0]", "message": "Told.", "fix": "Do.", "raw": "{}",
    }  # fmt: skip


def test_refusal_of_a_file_is_an_answer_with_its_place():
    error = CocoFileError("bad_json", "Bad.", offset=7)

    assert isinstance(error, ServiceError)
    assert error.detail == {"code": "bad_json", "path": "$", "offset": 7}
    assert error.status == 422


def test_excerpt_is_the_text_of_the_file():
    assert excerpt(b'["\xff", "\xffInfin", "\xff-Infin", "\xffud800"]') == r'[NaN, Infinity, -Infinity, "\ud800"]'
    assert excerpt("é".encode()[:1]) == "\N{REPLACEMENT CHARACTER}"
    assert len(excerpt(b"x" * 9_000)) == RAW_LIMIT
    assert excerpt(b"x" * 9_000).endswith("…")
