"""Each contradiction between rows is found, and put right where that is known; what is sound is left alone."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from annotations.models import Annotation, Category, CocoDocument, DocumentCategory
from assets.models import ImageAsset, Split
from cocohub import integrity
from insights.models import MetricResult
from projects.models import Membership, Project, Task
from tests import factories
from tests.annotations.coco.reading import good
from tests.annotations.documents import import_document

pytestmark = pytest.mark.django_db


@pytest.fixture
def other():
    """A second project, sound too."""
    project = factories.make_project()
    import_document(project, good())
    return project


@pytest.fixture
def sound(project, other):
    """The project after an import."""
    import_document(project, good())
    assert found() == {}
    return project


def found(**options):
    return {one.check.code: one.number for one in integrity.look(**options)}


def spoil_count(project, other):
    ImageAsset.objects.filter(project=project).update(annotation_count=7)
    return 3


def spoil_split(project, other):
    image = ImageAsset.objects.filter(project=project).first()
    ImageAsset.objects.filter(pk=image.pk).update(split=other.splits.get())
    Annotation.objects.filter(image=image).update(split=other.splits.get(), coco_id=999)
    return 1


def spoil_place(project, other):
    Annotation.objects.filter(project=project, coco_id=11).update(
        split=Split.objects.create(project=project, name="val")
    )
    return 1


def spoil_category(project, other):
    Annotation.objects.filter(project=project, coco_id=11).update(category=other.categories.first())
    Annotation.objects.filter(project=project, coco_id=12).update(category_id=987_654_321)
    return 2


def spoil_listing(project, other):
    document = CocoDocument.objects.filter(project=project).first()
    foreign = Category.objects.filter(project=other).first()
    DocumentCategory.objects.create(document=document, category=foreign, position=9)
    return 1


def spoil_figures(project, other):
    MetricResult.objects.create(
        project=project, metric="classes", query="", revision=project.revision + 9, figures={}, query_key="x"
    )
    return 1


def spoil_owner(project, other):
    Membership.objects.filter(project=project, user=project.owner).delete()
    return 1


def spoil_status(project, other):
    Project.objects.filter(pk=project.pk).update(status=Project.Status.IMPORTING)
    return 1


def spoil_task(project, other):
    task = factories.make_task(project, Task.Kind.EXPORT, status="running")
    Task.objects.filter(pk=task.pk).update(lease_until=timezone.now() - timedelta(hours=2))
    return 1


SPOILERS = {
    "annotation_count": spoil_count,
    "image_of_no_project": spoil_split,
    "annotation_elsewhere": spoil_place,
    "category_of_another_project": spoil_category,
    "listed_category_of_another_project": spoil_listing,
    "figures_of_the_future": spoil_figures,
    "owner_is_no_member": spoil_owner,
    "importing_without_import": spoil_status,
    "job_without_end": spoil_task,
}
HELD_BY_POSTGRESQL = {"annotation_of_no_image"}  # looked for all the same: a restored dump may have left it out


def test_every_check_has_its_fault():
    assert {check.code for check in integrity.CHECKS} == set(SPOILERS) | HELD_BY_POSTGRESQL


@pytest.mark.parametrize("code", SPOILERS)
def test_fault_is_found_and_put_right_where_that_is_known(sound, other, code):
    number = SPOILERS[code](sound, other)
    assert found()[code] == number
    (check,) = (check for check in integrity.CHECKS if check.code == code)
    list(integrity.look(repair=True))
    assert found() == ({} if check.repair else {code: number})


def test_the_command_tells_and_its_exit_code_too(sound, other, capsys):
    call_command("check_integrity", "--json")
    assert json.loads(capsys.readouterr().out) == {"checks": len(integrity.CHECKS), "found": [], "left": 0}
    spoil_count(sound, other)
    with pytest.raises(SystemExit) as ended:
        call_command("check_integrity")
    assert ended.value.code == 1
    assert "3 images whose stored number of annotations is wrong" in capsys.readouterr().out
    call_command("check_integrity", "--repair")
    assert "3 put right" in capsys.readouterr().out
    assert found() == {}
