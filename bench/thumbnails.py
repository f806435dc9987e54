"""How many thumbnails a second, against a bare Pillow process pool on the same cores, in the same run.

The pool only does `Image.open(path).thumbnail(...)` and `save`, the same size, format and quality, into plain files: no
database, no storage, no protection from a picture that crashes or hangs, no look at whether the file is whole. A second
pool does what our decoders do with a picture (decode JPEG in small, check its end, turn colours), and so shows what
processes, storage and database cost by themselves. All take turns, and ratios are medians of those of single rounds, so
that a machine that is busy with other things slows all alike.

    python -m bench.thumbnails [--images 1000] [--rounds 3] [--json]
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageChops

from assets import decoding, shrinking

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")

SIZES = ((640, 480), (640, 427), (480, 640), (500, 375), (640, 640))  # those of COCO's pictures
JPEG_QUALITY = 90
TARGET = 0.85  # of the bare pool


def draw(folder: Path, number: int) -> list[Path]:
    """Pictures about as detailed, and so as large, as COCO's: some 60 to 170 KB each."""
    folder.mkdir()
    coarse = [Image.effect_noise((12, 9), 160).resize((900, 900), Image.Resampling.BICUBIC) for _ in range(12)]
    fine = [Image.effect_noise((900, 900), 30) for _ in range(4)]
    paths = []
    for place in range(number):
        width, height = SIZES[place % len(SIZES)]
        at = (place * 37 % 250, place * 53 % 250)
        box = (*at, at[0] + width, at[1] + height)
        bands = [
            ImageChops.add(coarse[(place + band * 5) % 12].crop(box), fine[(place + band) % 4].crop(box), 1.3)
            for band in range(3)
        ]
        path = folder / f"{place}.jpg"
        Image.merge("RGB", bands).save(path, quality=JPEG_QUALITY)
        paths.append(path)
    return paths


def _bare(job: tuple[Path, Path]) -> None:
    path, target = job
    with Image.open(path) as image:
        image.thumbnail((shrinking.MAX_SIDE, shrinking.MAX_SIDE))
        image.convert("RGB").save(target, quality=shrinking.QUALITY, method=shrinking.EFFORT)


def _same(job: tuple[Path, Path]) -> None:
    path, target = job
    with path.open("rb") as content:
        target.write_bytes(shrinking.shrink(content, 10**9, lambda picture: None)[1])


def _pool(work: Callable[[tuple[Path, Path]], None], paths: list[Path], cores: int, folder: Path) -> float:
    """Seconds of a process pool, with the start of its processes."""
    folder.mkdir()
    jobs = [(path, folder / f"{path.stem}.webp") for path in paths]
    before = time.perf_counter()
    with multiprocessing.Pool(cores) as pool:
        pool.map(work, jobs, chunksize=8)
    seconds = time.perf_counter() - before
    assert len(list(folder.iterdir())) == len(paths)
    shutil.rmtree(folder)
    return seconds


def _ours(paths: list[Path], folder: Path) -> float:
    """Seconds of `make_thumbnails` for a new project: decoders' start, storage, database and all."""
    from django.db import connection
    from django.test import override_settings

    from accounts.models import User
    from assets import storage
    from assets.models import ImageAsset, Split
    from assets.thumbnails import make_thumbnails
    from projects.models import Project

    backend = {"BACKEND": "assets.storage.LocalStorage", "OPTIONS": {"location": str(folder)}}
    with override_settings(STORAGES={"default": backend, "staticfiles": backend}):
        user = User.objects.create_user(f"bench-{time.time_ns()}@example.com")
        project = Project.objects.create(name="bench thumbnails", owner=user)
        split = Split.objects.create(project=project, name="bench")
        images = []
        for number, path in enumerate(paths):
            checksum = hashlib.sha256(path.read_bytes()).hexdigest()
            image = ImageAsset(project=project, split=split, coco_id=number, width=640, height=480, status="ready")
            image.checksum, image.format, image.uri = checksum, "jpeg", storage.image_key(project.pk, checksum, "jpeg")
            target = folder / image.uri
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
            images.append(image)
        ImageAsset.objects.bulk_create(images)
        try:
            before = time.perf_counter()
            counts = make_thumbnails(project, lambda phase, done, total: None)
            seconds = time.perf_counter() - before
            assert counts["made"] == len(paths)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM assets_imageasset WHERE project_id = %s", [project.pk])
            Split.objects.filter(project=project).delete()
            project.audit_lines.all().delete()
            project.delete()
            user.delete()
    shutil.rmtree(folder)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    import django

    django.setup()
    from projects.commands import migrate_embedded

    migrate_embedded()
    cores = decoding.available_cores()
    rates: dict[str, list[float]] = {"ours": [], "bare": [], "same": []}
    with tempfile.TemporaryDirectory() as place:
        paths = draw(Path(place, "pictures"), options.images)
        for number in range(options.rounds):
            folder = Path(place, f"round {number}")
            rates["bare"].append(len(paths) / _pool(_bare, paths, cores, folder))
            rates["ours"].append(len(paths) / _ours(paths, folder))
            rates["same"].append(len(paths) / _pool(_same, paths, cores, folder))
    found = {name: statistics.median(values) for name, values in rates.items()}
    ratio = {
        name: statistics.median(a / b for a, b in zip(rates["ours"], rates[name], strict=True))
        for name in ("bare", "same")
    }
    result = {
        "images": len(paths),
        "cores": cores,
        "images_per_second": round(found["ours"], 1),
        "bare_pool_per_second": round(found["bare"], 1),
        "same_work_pool_per_second": round(found["same"], 1),
        "ratio_to_bare_pool": round(ratio["bare"], 3),
        "ratio_to_same_work_pool": round(ratio["same"], 3),
        "target": TARGET,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{len(paths):,} JPEG pictures of COCO's sizes, {cores} cores, median of {options.rounds} rounds")
    print(f"  CocoHub, database and storage included  {found['ours']:7.1f} /s")
    for name, words in (("bare", "bare Pillow process pool"), ("same", "pool that treats pictures as we do")):
        print(f"  {words:<38}  {found[name]:7.1f} /s   ours / it {ratio[name]:.2f}")
    print(f"  aim: {TARGET:.2f} of the bare pool")


if __name__ == "__main__":
    main()
