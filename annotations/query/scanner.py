"""Characters of a query to words, quoted texts and operators, each with the column it starts at."""

from annotations.query.errors import QueryError

KEYWORDS = frozenset({"AND", "OR", "NOT"})
OPERATORS = (">=", "<=", "!=", ">", "<", "=", ":")  # the longer of two that start alike comes first
QUOTE = '"'


class Scanner:
    """Reads a text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def column(self) -> int:
        """Where the reading is, counted in characters from 1."""
        return self.position + 1

    def skip_space(self) -> None:
        """Go to the next character that is no white space."""
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def peek(self, ahead: int = 0) -> str:
        """The character here, or so many further on; an empty text past the end."""
        return self.text[self.position + ahead : self.position + ahead + 1]

    def take(self, expected: str) -> bool:
        """Go past the expected text if it is here, and tell whether it was."""
        found = self.text.startswith(expected, self.position)
        if found:
            self.position += len(expected)
        return found

    def operator(self) -> str:
        """The operator here, or an empty text."""
        return next((each for each in OPERATORS if self.text.startswith(each, self.position)), "")

    def keyword(self) -> str:
        """The keyword here, or an empty text."""
        for each in KEYWORDS:
            if self.text.startswith(each, self.position) and self._is_boundary(self.peek(len(each))):
                return each
        return ""

    def word(self) -> str:
        """The characters up to white space, a quote, a parenthesis or an operator."""
        return self._run(until_operator=True)

    def value(self) -> str:
        """The characters up to white space, a quote or a parenthesis: `2026-01-01T10:00` is one value."""
        return self._run(until_operator=False)

    def quoted(self) -> str:
        r"""The text between the quote here and the one that closes it; `\"` and `\\` stand for `"` and `\`."""
        start = self.column
        self.position += 1
        text: list[str] = []
        while char := self.peek():
            self.position += 1
            if char == QUOTE:
                return "".join(text)
            if char == "\\" and self.peek() in (QUOTE, "\\"):
                char = self.peek()
                self.position += 1
            text.append(char)
        raise QueryError(
            "the quote is not closed", column=start, word=QUOTE, hint=r'end the text with "; write \" for a quote in it'
        )

    def _run(self, *, until_operator: bool) -> str:
        start = self.position
        while not self._is_boundary(self.peek()) and not (until_operator and self.operator()):
            self.position += 1
        return self.text[start : self.position]

    @staticmethod
    def _is_boundary(char: str) -> bool:
        return char == "" or char.isspace() or char in "()" or char == QUOTE
