"""Words for codes and sentences, in the language of the page."""

from django import template
from django.utils.translation import gettext_lazy as _

from accounts.phrases import in_words as translated
from annotations import problem_words
from projects import audit_words

register = template.Library()
PHASES = {
    "annotations": _("annotations"),
    "checking": _("checking"),
    "choosing": _("choosing"),
    "deleting": _("deleting"),
    "fetching": _("fetching"),
    "files": _("files"),
    "finishing": _("finishing"),
    "frames": _("frames"),
    "freezing": _("freezing"),
    "images": _("images"),
    "merging": _("merging"),
    "metrics": _("metrics"),
    "pictures": _("pictures"),
    "predictions": _("predictions"),
    "project": _("project"),
    "putting back": _("putting back"),
    "reading": _("reading"),
    "report": _("report"),
    "storing": _("storing"),
    "taking over": _("taking over"),
    "task": _("task"),
    "thumbnails": _("thumbnails"),
    "upload": _("upload"),
    "waiting": _("waiting"),
}

# CVAT's own, of its tasks and jobs.
STAGES = {
    "annotation": _("annotating"),
    "validation": _("validation"),
    "acceptance": _("acceptance"),
    "new": _("not begun"),
    "in progress": _("in progress"),
    "rejected": _("sent back"),
    "completed": _("completed"),
}


@register.filter
def in_words(text: object) -> str:
    """What a service has said."""
    return translated(str(text or ""))


@register.filter
def problem_name(code: object) -> str:
    """The name of a problem of a file or an issue of a record."""
    return problem_words.name_of(str(code))


@register.filter
def action_name(action: object) -> str:
    """The name of an action of the audit trail."""
    return audit_words.name_of(str(action))


@register.filter
def phase_name(phase: object) -> str:
    """What a task is at."""
    return str(PHASES.get(str(phase), phase))


@register.filter
def stage_name(stage: object) -> str:
    """How far people are in CVAT: a stage or a state, "" where it is not known."""
    return str(STAGES.get(str(stage or ""), stage or ""))
