"""A double for every test, a client that does not sleep, and a task with frames to draw on."""

import io
import zipfile
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from exports.cvat import labelling, projecting, uploading, waiting
from exports.cvat.account import Account, Timeouts, host_of
from exports.cvat.client import Client
from exports.cvat.records import Label, Task
from exports.cvat.shapes import Shape
from exports.cvat.transport import Retries
from tests.cvat_double import Double

WIDTH, HEIGHT = 64, 48


class Pauses(list):
    """Remembers how long it was asked to wait, and waits not at all."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def double() -> Iterator[Double]:
    """A fresh double."""
    with Double() as running:
        yield running


@pytest.fixture
def pauses() -> Pauses:
    """The pauses that the client asked for."""
    return Pauses()


def account_of(double: Double, **options) -> Account:
    """The account of the double's admin."""
    hosts = frozenset([host_of(double.url)])
    values = {"token": double.token, "allowed_hosts": hosts, "timeouts": Timeouts(2, 2, 10), **options}
    return Account(double.url, **values)


@pytest.fixture
def connect(double, pauses) -> Iterator[Callable[..., Client]]:
    """`connect(token=...)` is another client."""
    opened: list[Client] = []

    def connect(**options) -> Client:
        client = Client.open(account_of(double, **options), retries=Retries(attempts=4), pause=pauses)
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.transport.close()


@pytest.fixture
def client(connect) -> Client:
    """A client of the admin."""
    return connect()


def zip_of(names: list[str], size: tuple[int, int] = (WIDTH, HEIGHT)) -> io.BytesIO:
    """A zip of plain images."""
    picture = io.BytesIO()
    Image.new("RGB", size).save(picture, "JPEG")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, picture.getvalue())
    return file


class Board:
    """A task of four frames in two jobs, with labels to draw on it."""

    def __init__(self, client: Client, overlap: int = 0) -> None:
        self.client = client
        labels = [
            labelling.label("car", attributes=[labelling.attribute("kind", "select", "none", ["none", "some"])]),
            labelling.skeleton("person_keypoints", ["nose", "tail"], [(1, 2)]),
        ]
        self.project = projecting.ensure_project(client, "board", labels)
        self.labels: dict[int, Label] = {label.id: label for label in client.labels(self.project.id)}
        self.car, self.person = self.labels.values()
        self.specs = {label.id: label.attribute("coco_id").id for label in self.labels.values()}
        self.task = self.make_task("https://cocohub.example/exports/1")
        self.frames = client.data_meta(self.task.id).frames

    def make_task(self, link: str) -> Task:
        """A task with its frames."""
        client = self.client
        task = projecting.ensure_task(client, "board", self.project.id, link, segment_size=2)
        file = zip_of([f"{number}.jpg" for number in range(4)])
        uploading.upload(client, task.id, file, len(file.getvalue()))
        rq_id = uploading.finish(client, task.id)
        return waiting.wait_for_task(client, task.id, rq_id, limit=10)

    def box(self, coco_id: str, frame: int = 0, points=(1.0, 2.0, 30.0, 40.0), **more) -> Shape:
        """A rectangle."""
        values = ((self.specs[self.car.id], coco_id),)
        return Shape("rectangle", frame, self.car.id, tuple(points), **{"attributes": values, **more})

    def skeleton(self, coco_id: str, frame: int = 0, element_frames=(None, None)) -> Shape:
        """A skeleton of two points."""
        elements = tuple(
            Shape("points", frame if own is None else own, sublabel.id, (5.0 + index, 6.0))
            for index, (sublabel, own) in enumerate(zip(self.person.sublabels, element_frames, strict=True))
        )
        values = ((self.specs[self.person.id], coco_id),)
        return Shape("skeleton", frame, self.person.id, attributes=values, elements=elements)

    def stored(self) -> list[Shape]:
        """What the task has now."""
        return list(self.client.annotations("tasks", self.task.id).shapes)


@pytest.fixture
def board(client) -> Board:
    """A task to draw on."""
    return Board(client)
