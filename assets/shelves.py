"""What lies in storage: every file below a folder, wherever the storage is."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.files.storage import default_storage


@dataclass(frozen=True, slots=True)
class Stored:
    """One file: its key, its bytes, and when it was written last."""

    key: str
    size: int
    modified: datetime


def below(prefix: str) -> Iterator[Stored]:
    """Every file whose key begins with this folder (`images/7/`, or nothing for all), a page or a folder at a time."""
    if hasattr(default_storage, "bucket_name"):
        yield from _in_bucket(default_storage, prefix)
    else:
        yield from _on_disk(Path(default_storage.path("")), prefix)


def _in_bucket(store: Any, prefix: str) -> Iterator[Stored]:
    pages = store.connection.meta.client.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=store.bucket_name, Prefix=prefix):
        for found in page.get("Contents", ()):
            yield Stored(found["Key"], found["Size"], found["LastModified"])


def _on_disk(root: Path, prefix: str) -> Iterator[Stored]:
    waiting = [root / prefix]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except (FileNotFoundError, NotADirectoryError):
            continue  # deleted meanwhile, or never there
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
                continue
            try:
                known = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            key = Path(entry.path).relative_to(root).as_posix()
            yield Stored(key, known.st_size, datetime.fromtimestamp(known.st_mtime, UTC))
