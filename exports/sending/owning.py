"""Whether what CVAT has under a number is still what was made for us.

A CVAT that was set up anew, or restored from an older backup, gives the same numbers to other things. What is read
there would then pass for corrections, and what is deleted would be somebody else's.
"""

import re

from exports.cvat.client import Client
from exports.cvat.errors import NotFound
from exports.cvat.records import Task
from exports.models import CvatProject, CvatTask
from exports.sending.places import page_of_project

# What `freezing.back_link` makes; each names one task of one export.
BACK_LINK = re.compile(r"\?cvat=[0-9a-f]{32}-\d+$")


def owns_task(client: Client, task: CvatTask, found: Task) -> bool:
    """By its link; where people have put another there, by its frames, which nobody can rename."""
    if found.bug_tracker == task.back_link:
        return True
    if BACK_LINK.search(found.bug_tracker):
        return False
    sent = dict(task.sent_images.exclude(frame=None).values_list("frame", "name"))
    frames = client.data_meta(found.id).frames
    return bool(sent) and sent == dict(enumerate(frame.name for frame in frames))


def owns_project(client: Client, ours: CvatProject) -> bool:
    """By its name, which has our key in it, or where it was renamed by its link. False where there is none."""
    if ours.cvat_id is None:
        return False
    try:
        found = client.project(ours.cvat_id)
    except NotFound:
        return False
    return f"(CocoHub {ours.link_key})" in found.name or found.bug_tracker == page_of_project(ours.project_id)
