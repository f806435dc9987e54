"""How long an export takes, against a bare `COPY (SELECT ...) TO STDOUT` of the same rows, measured in the same run.

The floor copies all columns of the images and annotations of one project, in no order, and throws them away. Both run
in processes of their own, so that their peaks of memory do not mix.

    python -m bench.export_coco FILE [--rounds 3]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
NAME = "bench export"


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load(path: Path) -> tuple[float, float]:
    """Import the file once, for all rounds."""
    from django.db import connection

    from accounts.models import User
    from annotations.importing import FileToImport, import_files
    from annotations.report import Report
    from projects.commands import migrate_embedded
    from projects.models import Project

    migrate_embedded()
    user = User.objects.filter(email="bench@localhost").first() or User.objects.create_user("bench@localhost")
    project, _ = Project.objects.get_or_create(name=NAME, owner=user)
    before = time.perf_counter()
    import_files(project=project, files=[FileToImport(path, "bench")], report=Report())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE assets_imageasset, annotations_annotation")
    return time.perf_counter() - before, _peak_mib()


def ours(path: Path) -> tuple[float, float]:
    """Seconds and peak MiB of writing the COCO file."""
    from annotations.models import Kind
    from assets.models import ImageAsset
    from exports.rendering import Selection, frozen, write_document
    from projects.models import Project

    project = Project.objects.get(name=NAME)
    before = time.perf_counter()
    with Path(os.devnull).open("wb") as target, frozen():
        done = write_document(Selection(project, ImageAsset.objects.filter(project=project)), target, kind=Kind.OBJECT)
    assert done.annotations > 0
    return time.perf_counter() - before, _peak_mib()


def floor(path: Path) -> tuple[float, float]:
    """Seconds and peak MiB of the same rows by COPY alone."""
    from django.db import connection

    from projects.models import Project

    project = Project.objects.get(name=NAME)
    before = time.perf_counter()
    with Path(os.devnull).open("wb") as target, connection.cursor() as cursor:
        for table in ("assets_imageasset", "annotations_annotation"):
            with cursor.copy(f"COPY (SELECT * FROM {table} WHERE project_id = {project.pk}) TO STDOUT") as copy:
                for piece in copy:
                    target.write(piece)
    return time.perf_counter() - before, _peak_mib()


def _apart(what: str, path: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.export_coco", str(path), "--only", what]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return float(seconds), float(peak)


def main() -> None:
    """Measure in turns and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["load", "ours", "floor"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        import django

        django.setup()
        print(*globals()[options.only](options.file))
        return
    _apart("load", options.file)
    taken: dict[str, list[tuple[float, float]]] = {"floor": [], "ours": []}
    for _ in range(options.rounds):
        for name, runs in taken.items():
            runs.append(_apart(name, options.file))
    median = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in taken.items()}
    print(f"{options.file.name}: {options.rounds} rounds, medians")
    for name, runs in taken.items():
        print(f"  {name:<8} {median[name]:6.2f} s   peak {max(peak for _, peak in runs):5.0f} MiB")
    print(f"  ours / floor   {median['ours'] / median['floor']:.2f}   (aim: under 2)")


if __name__ == "__main__":
    main()
