"""Where pictures come from: zips that may be dangerous (BAD_INPUTS 41-46), folders, uploads."""

import io
import os
import shutil
import struct
import unicodedata
import zipfile
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.errors import ServiceError, TooLarge
from annotations.sources import Archive, Beside, Folder, Stored, Unreadable


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with these entries."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content, method)
    return target.getvalue()


def opened(content: bytes) -> Archive:
    """The zip as a source."""
    return Archive(io.BytesIO(content), "'a.zip'")


def refused(content: bytes) -> ServiceError:
    """The error that opening ends in."""
    with pytest.raises(ServiceError) as caught:
        opened(content)
    return caught.value


def patched(content: bytes, place: str, offset: int, value: bytes) -> bytes:
    """The zip with other bytes in its first local header or its first central one."""
    start = content.index({"local": b"PK\x03\x04", "central": b"PK\x01\x02"}[place]) + offset
    return content[:start] + value + content[start + len(value) :]


ONE = zipped(("a.jpg", b"picture" * 50))


# --- Zips that are refused (41-43, 45) ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"PK\x03\x04", b"no zip at all", ONE[: len(ONE) // 2], ONE[:-10], ONE[30:] + b"x"],
    ids=["empty", "two-bytes", "four-bytes", "text", "half", "cut", "without-a-start"],
)
def test_what_is_no_zip_is_refused(content):
    error = refused(content)

    assert error.status == 400
    assert "'a.zip'" in error.message


def test_encrypted_zip_is_refused():
    assert "password" in refused(patched(ONE, "central", 8, b"\x01\x00")).message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_than_deflate_are_refused(method):
    assert "only 'stored' and 'deflate'" in refused(zipped(("a.jpg", b"x"), method=method)).message


def test_unknown_method_is_refused():
    assert "method 97" in refused(patched(ONE, "central", 10, struct.pack("<H", 97))).message


def test_too_many_entries_are_refused(settings):
    settings.MAX_ARCHIVE_ENTRIES = 2

    assert refused(zipped(*((f"{number}.jpg", b"") for number in range(3)))).status == 413
    assert len(opened(zipped(("1.jpg", b""), ("2.jpg", b""))).names()) == 2


def test_entries_are_counted_before_any_is_made_an_object(settings, monkeypatch):
    settings.MAX_ARCHIVE_ENTRIES = 2
    content = zipped(*((f"{number}.jpg", b"") for number in range(3)))
    made = []
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *given: made.append(given))

    assert "3 entries" in refused(content).message
    assert not made


def test_a_table_of_contents_larger_than_its_entries_can_need_is_not_read(settings):
    settings.MAX_ARCHIVE_ENTRIES = 4
    long = [zipfile.ZipInfo(f"{number}.jpg") for number in range(4)]
    for info in long:
        info.comment = b"x" * 60_000

    assert refused(zipped(*((info, b"") for info in long))).status == 413


def test_too_much_when_unpacked_is_refused(settings):
    settings.MAX_ARCHIVE_BYTES = 1_000

    assert isinstance(refused(zipped(("a.jpg", bytes(600)), ("b.jpg", bytes(600)))), TooLarge)


def test_bomb_is_refused_by_its_ratio():
    content = zipped(("a.jpg", bytes(20 * 1024 * 1024)))
    assert len(content) < 30_000

    assert "1000 times or more" in refused(content).message


def test_small_entries_may_have_any_ratio():
    assert opened(zipped(("a.jpg", bytes(5 * 1024 * 1024)))).names() == ["a.jpg"]


def test_overlapping_entries_are_refused():
    content = zipped(("a.jpg", os.urandom(500)), ("b.jpg", os.urandom(500)), method=zipfile.ZIP_STORED)
    second = content.rindex(b"PK\x01\x02") + 42  # where the second entry's header is said to be

    error = refused(content[:second] + struct.pack("<I", 0) + content[second + 4 :])

    assert "overlapping" in error.message


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_opened_or_refused(content):
    _read_all(b"PK\x05\x06" + content)


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_any_change_of_a_zip_is_read_or_refused(at, value):
    at %= len(MIXED)
    _read_all(MIXED[:at] + value + MIXED[at + len(value) :])


MIXED = zipped(("a.jpg", b"picture" * 5), ("x/é.png", b"more"), ("c/", b""), ("d.json", b"{}"))


def _read_all(content: bytes) -> None:
    try:
        archive = opened(content)
    except ServiceError:
        return
    for name in [*archive.names(), *archive.files(".json")]:
        try:
            with archive.open(name) as file:
                file.read()
        except Unreadable:
            continue


# --- Entries that lie (43), and those that are passed over (44, 46) -------------------------------------------------


@pytest.mark.parametrize(
    ("place", "offset", "value"),
    [
        ("central", 24, struct.pack("<I", 10)),  # less than it unpacks to
        ("central", 16, b"\0\0\0\0"),  # another checksum
        ("local", 30, b"b"),  # another name in front of the data
        ("local", 0, b"PKxx"),
        ("central", 8, b"\x20\x00"),  # patched data, which nobody reads
        ("central", 20, struct.pack("<I", 5)),
    ],
)
def test_entry_whose_header_lies_is_unreadable(place, offset, value):
    archive = opened(patched(ONE, place, offset, value))

    with pytest.raises(Unreadable, match=r"'a\.jpg' in 'a\.zip' is damaged"), archive.open("a.jpg") as file:
        file.read()


def test_entry_never_gives_more_than_it_said():
    archive = opened(patched(zipped(("a.jpg", bytes(100_000))), "central", 24, struct.pack("<I", 10)))

    read = io.BytesIO()
    with pytest.raises(Unreadable), archive.open("a.jpg") as file:
        shutil.copyfileobj(file, read, 4)
    assert len(read.getvalue()) <= 10


def link(name: str) -> zipfile.ZipInfo:
    """An entry that is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def bare(name: str) -> zipfile.ZipInfo:
    """An entry of just this name."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    return info


@pytest.mark.parametrize(
    ("entry", "code", "action"),
    [
        ("../a.jpg", "unsafe_entry", "kept"),
        ("x/../../a.jpg", "unsafe_entry", "kept"),
        ("/etc/a.jpg", "unsafe_entry", "kept"),
        (bare(r"C:\a.jpg"), "unsafe_entry", "kept"),
        (bare(r"..\a.jpg"), "unsafe_entry", "kept"),
        (link("a.jpg"), "link_entry", "kept"),
        ("more.zip", "nested_archive", "kept"),
        ("__MACOSX/a.jpg", "ignored_entry", "kept"),
        ("x/._a.jpg", "ignored_entry", "kept"),
        (".DS_Store", "ignored_entry", "kept"),
    ],
)
def test_entry_that_is_not_taken_is_told(entry, code, action):
    archive = opened(zipped((entry, b"/etc/passwd"), ("ok.jpg", b"")))

    assert archive.names() == ["ok.jpg"]
    assert [(note.code, note.action) for note in archive.notes] == [(code, action)]


@pytest.mark.parametrize("name", ["", ".", "./", "folder/"])
def test_entry_without_a_name_of_its_own_is_nothing(name):
    archive = opened(zipped((bare(name), b""), ("ok.jpg", b"")))

    assert (archive.names(), archive.notes) == (["ok.jpg"], [])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_twice_is_told_and_the_last_counts():
    archive = opened(zipped(("a.jpg", b"first"), (bare(r".\a.jpg"), b"last")))

    assert [note.code for note in archive.notes] == ["duplicate_entry"]
    with archive.open("a.jpg") as file:
        assert file.read() == b"last"


# --- Names of entries -----------------------------------------------------------------------------------------------


def test_names_have_slashes_whoever_made_the_zip():
    archive = opened(zipped((bare(r"images\x\a.JPG"), b"1"), ("b.txt", b""), ("c.json.gz", b"")))

    assert archive.names() == ["images/x/a.JPG"]
    assert archive.files(".json.gz") == ["c.json.gz"]


@pytest.mark.parametrize("encoding", ["utf-8", "euc_kr", "cp437"])
def test_names_that_are_not_marked_as_utf8_are_read_all_the_same(encoding):
    name = "é.jpg" if encoding == "cp437" else "고양이 사진.jpg"
    placeholder = "x" * len(name.encode(encoding))
    content = zipped((placeholder, b"")).replace(placeholder.encode(), name.encode(encoding))

    assert opened(content).names() == [name]


def test_name_that_is_no_text_in_utf8_is_refused_or_read(tmp_path):
    content = zipped(("é.jpg", b"")).replace("é".encode(), b"\xff\xfe")

    assert refused(content).status == 400


def test_file_without_a_pictures_ending_is_found_by_its_exact_name():
    archive = opened(zipped(("000001", b"1"), ("b.jpg", b"2"), ("c.txt", b"3")))

    assert archive.names_for(["000001", "b.jpg", "missing"]) == ["b.jpg", "000001"]


# --- Folders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with pictures, beside a secret one."""
    root = tmp_path / "set"
    for name in ("a.jpg", "x/b.PNG", "x/notes.txt", ".hidden/c.jpg", "x/.d.jpg", "plain"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (root / "inside.jpg").symlink_to(root / "a.jpg")
    return root


def test_folder_lists_its_pictures(folder):
    assert Folder(folder).names() == ["a.jpg", "gone.jpg", "inside.jpg", "link.jpg", "x/b.PNG"]


def test_folder_is_not_left_by_links_or_names(folder):
    source = Folder(folder)

    for name in ("link.jpg", "../secret.jpg", str(folder.parent / "secret.jpg")):
        with pytest.raises(Unreadable, match="leads out"), source.open(name):
            pass
    with source.open("inside.jpg") as file:
        assert file.read() == b"a.jpg"
    assert not source.has("../secret.jpg")
    assert not source.has(str(folder.parent / "secret.jpg"))


@pytest.mark.parametrize("name", ["gone.jpg", "x", "a.jpg/b", "missing.jpg"])
def test_file_that_cannot_be_opened_is_unreadable(folder, name):
    with pytest.raises(Unreadable), Folder(folder).open(name):
        pass


def test_folder_finds_files_of_any_ending_by_their_exact_name(folder):
    names = Folder(folder).names_for(["plain", "x/notes.txt", "nothing", "../secret", "x" * 300, "a\0b"])

    assert names[-2:] == ["plain", "x/notes.txt"]
    assert len(names) == 7


def test_folder_takes_names_that_are_no_utf8(folder):
    path = os.path.join(os.fsencode(folder), b"caf\xe9.jpg")
    with open(path, "wb") as file:
        file.write(b"1")

    source = Folder(folder)

    (name,) = [name for name in source.names() if name.startswith("caf")]
    with source.open(name) as file:
        assert file.read() == b"1"


# --- Beside a COCO file ---------------------------------------------------------------------------------------------


def test_pictures_beside_a_file_are_looked_for_where_data_sets_have_them(tmp_path):
    for name in ("a.jpg", "images/b.jpg", "val/c.jpg", "images/val/d.jpg", "val2017/e.jpg", "other/f.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    source = Beside(tmp_path, "val")

    found = source.names_for([f"{letter}.jpg" for letter in "abcdef"])

    assert found == ["a.jpg", "images/b.jpg", "val/c.jpg", "images/val/d.jpg", "val2017/e.jpg"]
    assert source.names() == sorted(found)


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "", ".", "x" * 300 + ".jpg", "a\0.jpg", "a.jpg/b"])
def test_odd_names_find_nothing_beside_a_file(tmp_path, name):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "set").mkdir()

    assert Beside(tmp_path / "set", "val").names_for([name]) == []


# --- Uploads --------------------------------------------------------------------------------------------------------


def test_uploads_are_read_by_the_names_that_the_client_gave():
    key = default_storage.save("uploads/x/0", ContentFile(b"bytes"))
    source = Stored({"z.jpg": key, "a b.jpg": key, "plain": key})

    assert source.names_for(["plain", "q"])[:3] == ["a b.jpg", "plain", "z.jpg"]
    with source.open("a b.jpg") as file:
        assert file.read() == b"bytes"


def test_decomposed_names_are_kept_as_they_are():
    name = unicodedata.normalize("NFD", "고양이.jpg")

    assert opened(zipped((name, b""))).names() == [name]
