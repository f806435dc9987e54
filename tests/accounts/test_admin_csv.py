"""Lists as CSV: no cell of which a spreadsheet makes a formula."""

import pytest

from accounts.admin_csv import BYTE_ORDER_MARK, csv_response, safe_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "=cmd|' /C calc'!A0"])
def test_a_text_that_looks_like_a_formula_gets_an_apostrophe(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["plain", "a=b", "", 5, -5, 1.5, None])
def test_everything_else_stays_as_it_is(value):
    assert safe_cell(value) == value


def test_a_download_is_a_whole_csv_file():
    response = csv_response("things", ["name", "number"], [["=x", -1], ['a "quoted", one', 2]])
    lines = b"".join(response.streaming_content).decode().removeprefix(BYTE_ORDER_MARK).split("\r\n")
    assert lines == ["name,number", "'=x,-1", '"a ""quoted"", one",2', ""]
    assert response["Content-Disposition"] == 'attachment; filename="things.csv"'
