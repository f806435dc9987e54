"""How long an import takes, against a floor measured in the same run.

The floor only scans the file and COPYs the same rows into the same tables, with the same indexes: no checks, no
report, no categories, no idempotence. With --pycocotools, also what `pycocotools.COCO(file)` takes to load the file
into memory.

    python -m bench.import_coco FILE [--rounds 3] [--pycocotools]

It has a home, and so a database, of its own (`var/bench`) unless COCOHUB_HOME or DATABASE_URL are set; it empties that
between measurements, and refuses to where there are projects that are not its own.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
os.environ.setdefault("COCOHUB_HOME", str(ROOT / "var" / "bench"))

MIB = 1024 * 1024


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(path: Path) -> tuple[float, float]:
    """Seconds and peak MiB of an import into a new project."""
    from annotations.importing import FileToImport, import_files
    from annotations.report import Report

    project = _project()
    before = time.perf_counter()
    outcome = import_files(project=project, files=[FileToImport(path, "bench")], report=Report())
    seconds = time.perf_counter() - before
    assert outcome.total.images > 0
    return seconds, _peak_mib()


def floor(path: Path) -> tuple[float, float]:
    """Seconds and peak MiB of a bare scan and COPY of the same rows."""
    import mmap

    import msgspec
    from django.db import connection, transaction

    from annotations import rows
    from annotations.models import Category
    from assets.models import Split

    class Image(msgspec.Struct):
        id: int
        file_name: str
        width: int
        height: int

    class Annotation(msgspec.Struct):
        id: int
        image_id: int
        category_id: int
        bbox: msgspec.Raw
        area: msgspec.Raw
        segmentation: msgspec.Raw
        iscrowd: int = 0

    project = _project()
    before = time.perf_counter()
    split = Split.objects.create(project=project, name="bench")
    with path.open("rb") as file:
        text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        sections = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        records = msgspec.json.Decoder(list[msgspec.Raw])
        images, annotations = records.decode(sections["images"]), records.decode(sections["annotations"])
        image, annotation = msgspec.json.Decoder(Image).decode, msgspec.json.Decoder(Annotation).decode
        fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        categories = {
            record["id"]: Category.objects.create(project=project, coco_id=record["id"], name=record["name"]).pk
            for record in msgspec.json.decode(sections["categories"])
        }
        place = b"%d\t%d" % (project.pk, split.pk)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence('assets_imageasset', 'id')) FROM generate_series(1, %s)",
                [len(images)],
            )
            keys: dict[int, int] = {}

            def image_lines():  # type: ignore[no-untyped-def]
                for number, ((key,), raw) in enumerate(zip(cursor_rows, images, strict=True)):
                    record = image(raw)
                    keys[record.id] = key
                    rest = {
                        name: bytes(value)
                        for name, value in fields(raw).items()
                        if name not in ("id", "file_name", "width", "height")
                    }
                    metadata = (
                        b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in rest.items()) + b"}"
                    )
                    yield b"%d\t%s\t{}\t\t%d\t\\N\t%d\t%s\t%d\t%d\t%s\tmissing\t{}\t0\t\t\t\t\\N" % (
                        key, place, record.id, number, record.file_name.encode(), record.width, record.height, metadata,
                    )  # fmt: skip

            def annotation_lines():  # type: ignore[no-untyped-def]
                for number, raw in enumerate(annotations):
                    r = annotation(raw)
                    segmentation = bytes(r.segmentation)
                    if b"\\" in segmentation:
                        segmentation = segmentation.replace(b"\\", b"\\\\")
                    yield b"%d\t%d\t%s\t%d\t\\N\t0\t%d\t%s\t%s\t%d\t%s\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N" % (
                        keys[r.image_id], categories[r.category_id], place, r.id, number,
                        bytes(r.bbox), bytes(r.area), r.iscrowd, segmentation,
                    )  # fmt: skip

            cursor_rows = cursor.fetchall()
            for table, columns, lines in (
                (
                    "assets_imageasset",
                    f"id, project_id, split_id, tags, thumbnail_uri, {rows.IMAGE_COLUMNS}",
                    image_lines(),
                ),
                (
                    "annotations_annotation",
                    f"image_id, category_id, project_id, split_id, {rows.ANNOTATION_COLUMNS}",
                    annotation_lines(),
                ),
            ):
                with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                    for piece in rows.batches(lines):
                        copy.write(piece)
    return time.perf_counter() - before, _peak_mib()


def pycocotools(path: Path) -> tuple[float, float]:
    """Seconds and peak MiB of loading the file with pycocotools."""
    from pycocotools.coco import COCO

    before = time.perf_counter()
    COCO(str(path))
    return time.perf_counter() - before, _peak_mib()


def _project():  # type: ignore[no-untyped-def]
    from accounts.models import User
    from projects.commands import migrate_embedded
    from projects.models import Project

    migrate_embedded()
    user = User.objects.filter(email="bench@localhost").first() or User.objects.create_user("bench@localhost")
    return Project.objects.create(name=f"bench {time.time_ns()}", owner=user)


def _drop_projects() -> None:
    from django.db import connection

    from projects.commands import migrate_embedded
    from projects.models import Project

    migrate_embedded()
    if Project.objects.exclude(owner__email="bench@localhost").exists():
        sys.exit(
            "There are projects in this database that are not the benchmark's. Set COCOHUB_HOME to another folder."
        )
    with connection.cursor() as cursor:
        for statement in ("TRUNCATE projects_project CASCADE", "TRUNCATE annotations_annotation", "VACUUM"):
            cursor.execute(statement)


def _apart(what: str, path: Path) -> tuple[float, float]:
    """Run one measurement in a process of its own, so that peaks do not mix."""
    command = [sys.executable, "-m", "bench.import_coco", str(path), "--only", what]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return float(seconds), float(peak)


def main() -> None:
    """Measure in turns and print the medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pycocotools", action="store_true")
    parser.add_argument("--only", choices=["ours", "floor", "pycocotools", "drop"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only and options.only != "pycocotools":
        import django

        django.setup()
    if options.only == "drop":
        _drop_projects()
        return
    if options.only:
        print(*globals()[options.only](options.file))
        return
    drop = [sys.executable, "-m", "bench.import_coco", str(options.file), "--only", "drop"]
    subprocess.run(drop, check=True)
    names = ["floor", "ours"] + ["pycocotools"] * options.pycocotools
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            taken[name].append(_apart(name, options.file))
            # Each begins with empty tables, and with no work left over from the one before.
            subprocess.run(drop, check=True)
    size = options.file.stat().st_size / MIB
    print(f"{options.file.name}: {size:.1f} MiB, {options.rounds} rounds, medians")
    median = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in taken.items()}
    for name in names:
        peak = max(peak for _, peak in taken[name])
        print(f"  {name:<12} {median[name]:7.2f} s   peak {peak:6.0f} MiB")
    print(f"  ours / floor         {median['ours'] / median['floor']:.2f}   (aim: under 1.6)")
    if options.pycocotools:
        print(f"  ours / pycocotools   {median['ours'] / median['pycocotools']:.2f}   (aim: under 3)")
    memory, aim = max(peak for _, peak in taken["ours"]) - size, 150 if size < 200 else 250
    print(f"  memory over the mapped file   {memory:.0f} MiB   (aim: under {aim})")


if __name__ == "__main__":
    main()
