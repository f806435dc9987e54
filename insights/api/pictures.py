"""Figures as files to take away."""

import re
from typing import Any

from django.http import HttpResponse
from rest_framework.response import Response

from accounts.errors import NotFound
from insights.api.serializers import ReadingSerializer
from insights.metrics import METRICS
from insights.plotting.layout import draw
from insights.plotting.plots import plot
from insights.plotting.png import png
from insights.plotting.svg import svg
from insights.plotting.tables import as_csv, table
from insights.reading import Reading

FORMS = {"csv": "text/csv; charset=utf-8", "svg": "image/svg+xml", "png": "image/png"}
# An SVG that is opened by itself is a document: it may show itself and do nothing else.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def check_form(form: str) -> None:
    """Raise NotFound for a kind of file that there is not."""
    if form not in FORMS:
        raise NotFound(f"There is no {form[:20]!r} of this; there are {', '.join(FORMS)}.")


def file_of(found: Reading, chart: str, options: dict[str, Any], form: str, name: str) -> Any:
    """The reading as a file; 202 and the reading itself while there are no figures."""
    if found.figures is None:
        return Response(ReadingSerializer(found).data, status=202, headers={"Retry-After": "2"})
    if form == "csv":
        content: str | bytes = as_csv(*table(found.figures))
    else:
        picture = draw(plot(METRICS[found.metric], found.figures, chart, options))
        content = svg(picture) if form == "svg" else png(picture)
    safe = re.sub(r"[^\w-]+", "-", name, flags=re.ASCII).strip("-") or found.metric
    headers = {
        "Content-Disposition": f'attachment; filename="{safe}.{form}"',
        "Content-Security-Policy": POLICY,
        "X-Revision": str(found.revision),
        "X-Stale": str(found.stale).lower(),
    }
    return HttpResponse(content, content_type=FORMS[form], headers=headers)
