"""Switches for what goes wrong between a client and a server."""

import re
from dataclasses import dataclass, field
from typing import Any

from tests.cvat_double.answers import Answer, as_json, page

BEFORE = ("status", "drop", "cut_upload")  # nothing is done
AFTER = ("status_after", "hang", "cut")  # it is done, but the client does not get to know


@dataclass
class Fault:
    """What happens to matching calls: `times` of them, after letting `skip` pass.

    kinds: `status` answers `status` without doing anything (429 with Retry-After `seconds`); `status_after` does it and
    then answers `status`; `hang` does it and keeps silent for `seconds`, then cuts; `cut` does it and cuts; `drop` cuts
    without doing it; `cut_upload` reads half of the body and cuts; `delay` waits `seconds`, then all is well; `body`
    answers 200 with the text `body` in place of the answer.
    """

    kind: str
    method: str = ""
    path: str = ""  # regular expression, found anywhere in path and query
    times: int = 1
    skip: int = 0
    status: int = 502
    seconds: float = 0.0
    body: str = ""
    header: str = ""  # only calls with this header (Upload-Finish)
    headers: dict[str, str] = field(default_factory=dict)
    hits: int = 0

    def matches(self, method: str, target: str, headers: Any) -> bool:
        """Whether this call is meant; counts it."""
        if self.times <= 0 or (self.method and self.method != method) or not re.search(self.path, target):
            return False
        if self.header and headers.get(self.header) is None:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        self.hits += 1
        return True

    def answer(self) -> Answer:
        """What is answered in place of the real thing."""
        if self.kind == "body":
            return Answer(200, self.body.encode(), {"Content-Type": "text/html; charset=utf-8", **self.headers})
        if self.status == 429:
            seconds = int(self.seconds)
            words = f"Request was throttled. Expected available in {seconds} seconds."
            return as_json({"detail": words}, 429, **{"Retry-After": str(seconds), **self.headers})
        if self.status == 500:
            return page(500)
        shown = self.body or f"<html><head><title>{self.status} Bad Gateway</title></head></html>"
        return Answer(self.status, shown.encode(), {"Content-Type": "text/html", **self.headers})
