"""Each way in which CVAT corrupts without a word: the double does it, and the client does not let it happen."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from exports.cvat import annotating, guards, labelling, naming, picturing, projecting, uploading, waiting
from exports.cvat.account import Timeouts
from exports.cvat.errors import Broken500, CvatError, Refused, Unwell
from exports.cvat.records import Attribute, Frame
from exports.cvat.shapes import Shape
from tests.cvat_double import media
from tests.exports.cvat.conftest import HEIGHT, WIDTH, Board, zip_of

# --- Sending: counts, order, doubles ----------------------------------------------------------------------------------


def flaws(board: Board, shape: Shape) -> str:
    return "; ".join(str(flaw) for flaw in guards.flaws_of(shape, board.labels, board.frames))


def test_good_shapes_have_no_flaws(board):
    assert flaws(board, board.box("1")) == ""
    assert flaws(board, board.skeleton("2")) == ""


def test_shape_on_a_frame_that_is_not_there_is_dropped_in_silence(board, client):
    answer = client.save(board.task.id, "create", [board.box("1"), board.box("2", frame=4)])
    assert len(answer) == 1
    assert "CVAT would drop" in flaws(board, board.box("2", frame=4))
    with pytest.raises(annotating.Mismatch, match="1 of 1 shapes were dropped \\(coco_id 3\\)"):
        annotating.create(client, board.task.id, [board.box("3", frame=4)], board.specs)


def test_repeated_create_makes_everything_twice(board, client):
    for _ in range(2):
        client.save(board.task.id, "create", [board.box("1")])
    assert len(board.stored()) == 2
    found = annotating.create(client, board.task.id, [board.box("1"), board.box("2")], board.specs)
    assert found.is_exact
    assert len(found.removed) == 1
    assert sorted(annotating.coco_id_of(shape, board.specs) for shape in board.stored()) == ["1", "2"]


@pytest.mark.parametrize("kind", ["cut", "status_after", "drop", "status", "hang"])
@pytest.mark.parametrize("times", [1, 2])
def test_create_whose_answer_is_lost_makes_no_doubles(double, board, client, kind, times):
    if kind == "hang":
        client.transport.account = replace(client.transport.account, timeouts=Timeouts(1, 0.3, 5))
    double.fault(kind, method="PATCH", path="annotations", times=times, skip=1, status=502, seconds=0.6)
    shapes = [board.box(str(number), frame=number % 4) for number in range(50)]
    found = annotating.create(client, board.task.id, shapes, board.specs, chunk=10)
    assert found.is_exact
    assert len(board.stored()) == 50


def test_first_try_that_commits_late_leaves_no_doubles(double, board, client, monkeypatch):
    """The time-out comes first, the read-back shows nothing, the repeat succeeds, and then the first one commits."""
    save = client._save
    late: list = []

    def slow(task_id, action, shapes):
        if action == "create" and not late:
            late.extend(shapes)
            raise Unwell(0, "no answer")
        answer = save(task_id, action, shapes)
        if action == "create" and len(late) == 3:
            late.append(None)
            save(task_id, "create", late[:3])
        return answer

    monkeypatch.setattr(client, "_save", slow)
    shapes = [board.box(str(number), frame=number) for number in range(3)]
    found = annotating.create(client, board.task.id, shapes, board.specs)
    assert (len(found.removed), found.is_exact, len(board.stored())) == (3, True, 3)


def test_500_of_a_create_is_read_back_and_not_repeated(double, board, client):
    rule = double.fault("status_after", method="PATCH", status=500, times=9)
    assert annotating.create(client, board.task.id, [board.box("1")], board.specs).is_exact
    rule = double.fault("status", method="PATCH", status=500, times=9)
    double.state.fault_rules = [rule]
    with pytest.raises(Broken500):
        annotating.create(client, board.task.id, [board.box("2")], board.specs)
    assert rule.hits == 1


def test_answer_is_ordered_by_job_and_matched_by_coco_id(board, client):
    shapes = [board.box("a", frame=3), board.box("b", frame=0), board.box("c", frame=2)]
    answer = client.save(board.task.id, "create", shapes)
    assert [annotating.coco_id_of(shape, board.specs) for shape in answer] == ["b", "a", "c"]
    found = annotating.create(client, board.task.id, shapes, board.specs)
    assert {name: own[0].frame for name, own in found.shapes.items()} == {"a": 3, "b": 0, "c": 2}


def test_run_again_after_a_crash_sends_only_what_is_missing(double, board, client):
    shapes = [board.box(str(number), frame=number % 4) for number in range(20)]
    client.save(board.task.id, "create", shapes[:7])
    found = annotating.create(client, board.task.id, shapes, board.specs, chunk=5)
    assert found.is_exact
    assert len(board.stored()) == 20
    before = len(double.calls("PATCH"))
    assert annotating.create(client, board.task.id, shapes, board.specs).is_exact
    assert len(double.calls("PATCH")) == before


def test_shapes_of_one_coco_id_are_never_torn_apart(board):
    shapes = [board.box(str(number // 3)) for number in range(12)]
    parts = list(annotating.chunks(shapes, board.specs, 4))
    assert [len(part) for part in parts] == [3, 3, 3, 3]
    assert [len(part) for part in annotating.chunks(shapes, board.specs, 6)] == [6, 6]


def test_equal_parts_of_one_annotation_stay_both(board, client):
    twins = [board.box("1", group=1), board.box("1", group=1)]
    assert annotating.create(client, board.task.id, twins, board.specs).is_exact
    assert len(board.stored()) == 2


def test_what_an_annotator_moved_or_copied_is_not_taken_for_a_double(board, client):
    sent = [board.box("1")]
    client.save(board.task.id, "create", [board.box("1", points=(5, 5, 9, 9)), board.box("x")])
    found = annotating.settle(client, board.task.id, sent, board.specs)
    assert [len(found.shapes["1"]), len(found.foreign), found.removed] == [1, 1, ()]
    assert len(board.stored()) == 2


def test_shape_without_coco_id_is_not_sent(board, client):
    with pytest.raises(ValueError, match="1 shapes have no coco_id"):
        annotating.create(client, board.task.id, [board.box("")], board.specs)


def test_progress_counts_shapes(board, client):
    told: list[int] = []
    shapes = [board.box(str(number)) for number in range(5)]
    annotating.create(client, board.task.id, shapes, board.specs, chunk=2, progress=told.append)
    assert told == [0, 2, 4, 5]


# --- Jobs and frames --------------------------------------------------------------------------------------------------


def test_shape_in_overlapping_jobs_comes_back_twice_once_one_is_edited(double, client, board):
    task = client.transport.call(
        "POST", "/tasks", doing="x", body={"name": "o", "project_id": board.project.id, "overlap": 1, "segment_size": 3}
    ).json()
    file = zip_of([f"{number}.jpg" for number in range(5)])
    uploading.upload(client, task["id"], file, len(file.getvalue()))
    waiting.wait_for_task(client, task["id"], uploading.finish(client, task["id"]), limit=5)
    client.save(task["id"], "create", [board.box("1", frame=2)])
    assert len(client.annotations("tasks", task["id"]).shapes) == 1
    second = client.jobs(task["id"])[1]
    (copy,) = client.annotations("jobs", second.id).shapes
    moved = {"shapes": [{**copy.write(), "points": [3, 3, 9, 9]}]}
    path = f"/jobs/{second.id}/annotations"
    client.transport.call("PATCH", path, query={"action": "update"}, body=moved, doing="x")
    assert len(client.annotations("tasks", task["id"]).shapes) == 2
    # The client's own tasks have no overlap, so this cannot happen to them.
    assert [(job.start_frame, job.stop_frame) for job in client.jobs(board.task.id)] == [(0, 1), (2, 3)]


def test_job_address_takes_frames_of_other_jobs_so_everything_goes_through_the_task(double, client, board):
    first = client.jobs(board.task.id)[0]
    body = {"shapes": [board.box("1", frame=3).write()]}
    client.transport.call("PATCH", f"/jobs/{first.id}/annotations", query={"action": "create"}, body=body, doing="x")
    assert [shape.frame for shape in client.annotations("jobs", first.id).shapes] == [3]
    annotating.create(client, board.task.id, [board.box("2", frame=3)], board.specs)
    assert not double.calls("PATCH", "/jobs/")[1:]


def test_skeleton_element_on_another_jobs_frame_poisons_the_task(board, client):
    bad = board.skeleton("1", element_frames=(0, 3))
    (stored,) = client.save(board.task.id, "create", [bad])
    with pytest.raises(Broken500):
        board.stored()
    with pytest.raises(Broken500):
        client.transport.call("DELETE", f"/tasks/{board.task.id}/annotations", doing="x")
    client.save(board.task.id, "delete", [replace(bad, id=stored.id)])
    assert board.stored() == []
    assert "elements[1].frame" in flaws(board, bad)


# --- Shapes -----------------------------------------------------------------------------------------------------------

SILENT = {
    "swapped corners": lambda b: b.box("1", points=(30, 40, 1, 2)),
    "no area": lambda b: b.box("1", points=(5, 5, 5, 9)),
    "outside of the image": lambda b: b.box("1", points=(1, 2, WIDTH + 1, 40)),
    "negative": lambda b: b.box("1", points=(-1, 2, 3, 40)),
    "equal points": lambda b: replace(b.box("1"), type="polygon", points=(1, 1, 1, 1, 1, 1)),
    "points on a line": lambda b: replace(b.box("1"), type="polygon", points=(1, 1, 2, 2, 3, 3)),
    "mask that does not add up": lambda b: replace(b.box("1"), type="mask", points=(100, 200, 1, 1, 2, 2)),
    "mask without runs": lambda b: replace(b.box("1"), type="mask", points=(4, 1, 1, 2, 2)),
    "mask beyond the image": lambda b: replace(b.box("1"), type="mask", points=(0, 4, 63, 47, 64, 48)),
    "mask with fractions": lambda b: replace(b.box("1"), type="mask", points=(0, 3.5, 0.5, 1, 1, 2, 2)),
    "mask with right < left": lambda b: replace(b.box("1"), type="mask", points=(0, 0, 3, 1, 2, 1)),
    "skeleton that lacks a point": lambda b: replace(b.skeleton("1"), elements=b.skeleton("1").elements[:1]),
    "skeleton with a point twice": lambda b: replace(b.skeleton("1"), elements=b.skeleton("1").elements[:1] * 2),
    "skeleton with a foreign point": lambda b: replace(
        b.skeleton("1"), elements=(b.skeleton("1").elements[0], replace(b.skeleton("1").elements[1], label_id=b.car.id))
    ),
    "box on a skeleton label": lambda b: replace(b.box("1"), label_id=b.person.id, attributes=()),
    "sublabel on its own": lambda b: replace(b.box("1"), label_id=b.person.sublabels[0].id, attributes=()),
}


@pytest.mark.parametrize("name", SILENT)
def test_wrong_drawing_is_stored_in_silence_and_stopped_by_the_guard(board, client, name):
    shape = SILENT[name](board)
    client.save(board.task.id, "create", [shape])
    assert len(board.stored()) == 1
    assert flaws(board, shape)


@pytest.mark.parametrize("name", ["mask that does not add up", "mask beyond the image", "mask with right < left"])
def test_wrong_mask_breaks_the_export_of_the_whole_task(board, client, name):
    client.save(board.task.id, "create", [SILENT[name](board), board.box("2")])
    query = {"format": "COCO 1.0", "save_images": "false"}
    rq_id = client.transport.call("POST", f"/tasks/{board.task.id}/dataset/export", query=query, doing="x").json()[
        "rq_id"
    ]
    client.request(rq_id)
    assert client.request(rq_id).status == "failed"


def test_points_are_clipped_to_the_image(board):
    box = guards.clipped(board.box("1", points=(-5, 2, WIDTH + 10, 500)), board.frames[0])
    assert box.points == (0, 2, WIDTH, HEIGHT)
    assert flaws(board, box) == ""
    skeleton = board.skeleton("1")
    far = replace(skeleton, elements=tuple(replace(element, points=(99, -1)) for element in skeleton.elements))
    assert flaws(board, far)
    assert flaws(board, guards.clipped(far, board.frames[0])) == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"label_id": 9999}, "label_id"),
        ({"frame": -1}, "frame"),
        ({"id": 5}, "id"),
        ({"rotation": 361}, "rotation"),
        ({"group": 2**31}, "group"),
        ({"group": -1}, "group"),
        ({"z_order": 2**31}, "z_order"),
        ({"source": "x" * 17}, "source"),
        ({"points": (1, 2, float("nan"), 4)}, "points"),
        ({"points": (1, 2, 3)}, "points"),
        ({"type": "box"}, "type"),
        ({"type": "polygon", "points": (1, 2, 3, 4)}, "points"),
    ],
)
def test_what_cvat_refuses_or_breaks_over_is_found_before(board, change, field):
    assert flaws(board, replace(board.box("1"), **change)).startswith(field)


# --- Attributes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([True], ["True"]),
        ([None], ["None"]),
        ([1.5], ["1.5"]),
        (["a", "b"], ["a", "b"]),
        (["  a  "], ["a"]),
    ],
)
def test_values_are_changed_or_kept_twice_in_silence(board, client, values, stored):
    spec = board.specs[board.car.id]
    body = board.box("1").write() | {"attributes": [{"spec_id": spec, "value": value} for value in values]}
    path = f"/tasks/{board.task.id}/annotations"
    client.transport.call("PATCH", path, query={"action": "create"}, body={"shapes": [body]}, doing="x")
    (shape,) = board.stored()
    assert [value for own, value in shape.attributes if own == spec] == stored
    assert guards.values_flaws(tuple((spec, value) for value in values), board.car) != [] or values == ["a"]


def test_values_are_held_against_the_label(board, client):
    kind, crowd = board.car.attribute("kind").id, board.car.attribute("is_crowd").id
    wrong = board.box("1", attributes=((kind, "heavy"), (crowd, "yes"), (99999, "x")))
    assert flaws(board, wrong).count(";") == 2
    client.save(board.task.id, "create", [replace(wrong, attributes=wrong.attributes[:2])])
    assert board.stored()[0].value(kind) == "heavy"
    with pytest.raises(Refused, match="spec_id `99999` is invalid"):
        client.save(board.task.id, "create", [wrong])


def test_numbers_are_held_against_their_range(board):
    score = Attribute(1, "n", "number", False, "0", ("0", "100", "1"))
    assert guards.value_flaw("50", score) is None
    assert guards.value_flaw("101", score)
    assert guards.value_flaw("nan", score)
    assert guards.value_flaw("much", score)


def test_attributes_left_out_show_as_defaults_so_all_are_sent(board, client):
    (answer,) = client.save(board.task.id, "create", [board.box("1")])
    (stored,) = board.stored()
    assert len(answer.attributes) == 1
    assert len(stored.attributes) == 3
    assert guards.with_defaults(board.box("1").attributes, board.car) == stored.attributes


def test_unknown_fields_are_dropped_so_they_stay_with_us(board, client):
    body = {"shapes": [board.box("1").write() | {"score": 0.5, "segmentation": [1]}]}
    path = f"/tasks/{board.task.id}/annotations"
    found = client.transport.call("PATCH", path, query={"action": "create"}, body=body, doing="x").json()["shapes"][0]
    assert {"score", "segmentation"} & set(found) == set()
    assert {"score", "segmentation"} & set(board.box("1").write()) == set()


def test_delete_on_the_wrong_frame_deletes_nothing(board, client):
    (stored,) = client.save(board.task.id, "create", [board.box("1")])
    client.save(board.task.id, "delete", [replace(stored, frame=3)])
    assert len(board.stored()) == 1
    client.save(board.task.id, "delete", [stored])
    assert board.stored() == []


# --- Images and names -------------------------------------------------------------------------------------------------


def picture(**options) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "JPEG", **options)
    return file.getvalue()


def test_truncated_image_passes_in_cvat_and_is_found_here(board, client):
    file = io.BytesIO()
    Image.effect_noise((64, 48), 90).save(file, "JPEG")
    cut = file.getvalue()[: len(file.getvalue()) // 2]
    frames, _ = media._measured([("1.jpg", cut)])
    assert len(frames) == 1
    with pytest.raises(picturing.BadImage):
        picturing.frame_size(io.BytesIO(cut))
    for junk in (b"", b"no image"):
        with pytest.raises(picturing.BadImage):
            picturing.frame_size(io.BytesIO(junk))


def test_size_is_the_one_after_turning():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert picturing.frame_size(io.BytesIO(picture(exif=exif))) == (48, 64)
    assert picturing.frame_size(io.BytesIO(picture())) == (64, 48)


def test_one_name_twice_becomes_two_frames_and_is_made_unique_here(client, board):
    frames = [Frame("1.jpg", 64, 48), Frame("1.jpg", 64, 48)]
    assert guards.frames_differ(frames, {"1.jpg": (64, 48)}) == ["'1.jpg' is there twice (frame 1)"]
    assert naming.zip_names({"a": "1.jpg", "b": "1.jpg"}) == {"a": "1.jpg", "b": "1~2.jpg"}


def test_frames_are_held_against_what_was_sent(board):
    expected = {f"{number}.jpg": (WIDTH, HEIGHT) for number in range(4)}
    assert guards.frames_differ(board.frames, expected) == []
    assert guards.frame_numbers(board.frames)["3.jpg"] == 3
    wrong = {**expected, "9.jpg": (1, 1), "0.jpg": (48, 64)}
    del wrong["3.jpg"]
    assert len(guards.frames_differ(board.frames, wrong)) == 3


def test_equal_label_names_after_trimming_are_refused_and_mapped(client):
    names = ["dog", " dog", "x" * 70, "x" * 64, "", "Dog", "a\nb"]
    mapped = naming.label_names(names)
    assert mapped == {
        "dog": "dog",
        " dog": "dog~2",
        "x" * 70: "x" * 62 + "~2",
        "x" * 64: "x" * 64,
        "": "unnamed",
        "Dog": "Dog",
        "a\nb": "a b",
    }
    labels = [labelling.label(name) for name in mapped.values()]
    project = projecting.ensure_project(client, "names", labels)
    assert [label.name for label in client.labels(project.id)] == list(mapped.values())
    for bad in ([" dog", "dog"], ["x" * 65]):
        with pytest.raises(CvatError):
            client.create_project("bad", [labelling.label(name) for name in bad])
