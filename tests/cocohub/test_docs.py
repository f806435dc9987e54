"""What the documentation says can be done can be done: links, commands, options, addresses, settings, queries."""

import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve

from accounts import metering
from annotations import query
from cocohub.doctor.examining import CHECKS
from cocohub.health.parts import QUEUES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PROFILES = {profile for service in COMPOSE.values() for profile in service.get("profiles", [])}
MAKEFILE = (ROOT / "Makefile").read_text()
SETTINGS = set(re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
# Not ours: what shells, PostgreSQL, AWS and Docker bring along.
OTHERS = {
    "source", "export", "cp", "echo", "exit", "test", "rsync", "aws", "createdb", "pg_dump", "pg_restore", "python",
    "python3", "true",
}  # fmt: skip
# Words in capitals that are not settings, or are read by others than our settings.
WORDS = {
    "IMPORT_PREFIX", "NAME_FILE", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER", "PROMETHEUS_MULTIPROC_DIR", "SERVER_URL", "COCOHUB_TEST_S3_ENDPOINT",
    "COCOHUB_TEST_S3_ACCESS_KEY", "COCOHUB_TEST_S3_SECRET_KEY", "IMG_0001", "AWS_S3_BUCKET",
}  # fmt: skip


@cache
def text_of(page: Path) -> str:
    return page.read_text()


def prose(page: Path) -> str:
    """Without fenced blocks."""
    return re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


@cache
def anchors(page: Path) -> set[str]:
    """Of the headings, as the usual hosts make them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def links(page: Path) -> list[tuple[str, str]]:
    """(text, target), pictures too; not what stands in code."""
    return re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "`code`", prose(page)))


# --- Links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_pictures_are_there(page):
    for text, target in links(page):
        assert text.strip(), f"{target} has no text"
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            continue
        place = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert place.exists(), target
        assert place.is_relative_to(ROOT), target
        if parts.fragment:
            assert parts.fragment in anchors(place), target


def test_every_page_can_be_found_from_the_index():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        reached.add(page)
        targets = {(page.parent / urlsplit(target).path).resolve() for _, target in links(page) if "://" not in target}
        left += [one for one in targets if one.suffix == ".md" and one not in reached]
    assert {str(page.relative_to(ROOT)) for page in PAGES if page not in reached} == set()
    index = {target for _, target in links(ROOT / "docs" / "README.md")}
    assert {page.name for page in ROOT.glob("docs/*.md")} - index == {"README.md"}


def test_every_decision_is_in_the_list_of_decisions():
    told = dict((target, text) for text, target in links(ROOT / "docs" / "decisions" / "README.md"))
    for page in sorted(ROOT.glob("docs/decisions/[0-9]*.md")):
        assert told[page.name] == page.name.split("-")[0]
        title = text_of(page).splitlines()[0].split(" ", 2)[2]
        assert title in text_of(ROOT / "docs" / "decisions" / "README.md")


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/images/*")), ids=lambda path: path.name)
def test_every_picture_is_shown_somewhere(picture):
    assert any(picture.name in text_of(page) for page in PAGES)
    if picture.suffix == ".svg":
        tree = ElementTree.parse(picture).getroot()
        names = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert {"title", "desc"} <= names
        assert names.isdisjoint({"script", "foreignObject", "image", "a"})
        assert "prefers-color-scheme: dark" in picture.read_text()


# --- Commands ---------------------------------------------------------------------------------------------------------


def statements(block: str) -> list[list[str]]:
    """The single commands of a block, as words; what $(...) runs is one of its own."""
    block, inner = taken_out(block.replace("\\\n", " "))
    found = [words for one in inner for words in statements(one)]
    for line in block.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        for word in [*lexer, ";"]:
            if re.fullmatch(r"[|&;]+", word):
                if words:
                    found.append(words)
                words = []
            else:
                words.append(word)
    return found


def taken_out(text: str) -> tuple[str, list[str]]:
    """The text with RESULT for each $(...), and what stood in them."""
    inner = []
    while (start := text.find("$(")) >= 0:
        end, depth = start + 2, 1
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        inner.append(text[start + 2 : end - 1])
        text = f"{text[:start]}RESULT{text[end:]}"
    return text, inner


SHELL = [
    pytest.param(words, id=f"{name}: {' '.join(words)[:70]}")
    for page, name in zip(PAGES, NAMES, strict=True)
    for block in [*blocks(page, "sh"), *blocks(page, "bash")]
    for words in statements(block)
]


@pytest.mark.parametrize("words", SHELL)
def test_commands_of_the_blocks_can_be_given(words):
    check(words)


def check(words: list[str]) -> None:
    while words and re.fullmatch(r"[A-Za-z_]+=.*", words[0]):
        words = words[1:]  # variables
    if not words:
        return
    if any(word in (">", ">>", "2>") for word in words):
        words = words[: next(place for place, word in enumerate(words) if word in (">", ">>", "2>"))]
    program, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    if program in ("python", "python3") and rest[:1] == ["manage.py"]:
        manage(rest[1:])
    elif program in ("python", "python3") and rest[:1] == ["-m"]:
        assert importlib.util.find_spec(rest[1]), rest[1]
    elif program == "make":
        for word in rest:
            variable, equals, _ = word.partition("=")
            pattern = rf"\$\({variable}\)|\$\(if \$\({variable}\)" if equals else rf"^{word} *:"
            assert re.search(pattern, MAKEFILE, re.MULTILINE), word
    elif program == "curl":
        curl(rest)
    elif program == "docker":
        compose(rest)
    elif program in ("celery", "uvicorn", "pip"):
        run_bare(program, rest)
    else:
        assert program in OTHERS, program


def manage(words: list[str]) -> None:
    """The command is there and takes these options."""
    name, rest = words[0], words[1:]
    known = get_commands()
    assert name in known, name
    command = load_command_class(known[name], name) if isinstance(known[name], str) else known[name]
    parser = command.create_parser("manage.py", name)
    parser.parse_args(rest)


def curl(words: list[str]) -> None:
    """The address is there and takes the method."""
    method, addresses, has_body = "", [], False
    rest = iter(words)
    for word in rest:
        if word in ("-H", "-d", "-F", "-o", "-X", "--data-binary"):
            value = next(rest)
            method = value if word == "-X" else method
            has_body |= word in ("-d", "-F", "--data-binary")
        elif not word.startswith("-"):
            addresses.append(word)
    assert len(addresses) == 1, words
    address = re.sub(r"\$[A-Z]\b", "1", addresses[0].replace("$API", "/api/v1"))
    takes(urlsplit(address).path, method or ("POST" if has_body else "GET"))


def takes(path: str, method: str) -> None:
    try:
        found = resolve(path)
    except Resolver404:
        pytest.fail(f"{path} is no address")
    assert found.url_name is not None, f"{path} is no address"
    view = getattr(found.func, "cls", None)
    if view is not None:
        actions = getattr(found.func, "actions", None)
        assert method.lower() in (actions or vars_of(view)), f"{method} {path}"


def vars_of(view: type) -> set[str]:
    return {name for name in ("get", "post", "put", "patch", "delete", "head") if hasattr(view, name)}


def compose(words: list[str]) -> None:
    """Services, files and profiles that are named are there; what is run inside of them, too."""
    assert words[0] == "compose"
    rest = iter(words[1:])
    for word in rest:
        if word == "-f":
            assert (ROOT / next(rest)).exists()
        elif word == "--profile":
            assert next(rest) in PROFILES
        elif word == "--scale":
            assert next(rest).split("=")[0] in COMPOSE
        elif word in ("exec", "run"):
            inner = [one for one in rest if one != "--rm"]
            assert inner[0] in COMPOSE
            check(inner[1:])
            return
        else:
            assert word in ("config", "--quiet", "up", "-d", "--build", "ps", "down", "pull", "logs") or word in COMPOSE


def run_bare(program: str, words: list[str]) -> None:
    if program == "celery" and "worker" in words:
        assert set(words[words.index("-Q") + 1].split(",")) <= set(QUEUES)
        assert "sweeps" in words[words.index("-Q") + 1]
    if program == "uvicorn":
        module, _, name = words[0].partition(":")
        # Looked at, not imported: the module makes a web process of whoever imports it.
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
        assert re.search(rf"^{name} = ", source, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_the_text_are_there(page):
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if found := re.match(r"(?:python |.venv/bin/python )?manage\.py ([a-z_]+.*)", code):
            try:
                words = shlex.split(
                    re.sub(r"\b(ID|PULL)\b", "1", re.sub(r"[\[\]]", "", found[1])).replace("POLICY", "review")
                )
            except ValueError:
                continue
            if len(words) > 1:
                manage(words)
            else:
                assert words[0] in get_commands(), code
        elif re.fullmatch(r"make [a-z-]+( [A-Z]+=.*)?", code):
            check(shlex.split(code))
        elif found := re.match(r"(?:python|.venv/bin/python) -m ([\w.]+)", code):
            assert importlib.util.find_spec(found[1]), code


def test_every_command_of_ours_is_in_the_list():
    ours = {name for name, app in get_commands().items()
            if app in ("accounts", "projects", "assets", "annotations", "insights", "exports", "cocohub")}  # fmt: skip
    rows = re.findall(r"^\| (.*?) \|", text_of(ROOT / "docs" / "commands.md"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert ours - told == set()
    assert told - set(get_commands()) == set()


def test_every_option_of_our_commands_says_what_it_is_for():
    ours = {name: app for name, app in get_commands().items() if isinstance(app, str) and (ROOT / app).is_dir()}
    assert len(ours) > 15
    silent = {
        (name, given.dest)
        for name, app in ours.items()
        for given in load_command_class(app, name).create_parser("manage.py", name)._actions
        if not given.help
    }
    assert silent == set()


def test_every_check_of_the_doctor_is_told():
    page = text_of(ROOT / "docs" / "operations.md")
    assert [check.name for check in CHECKS if f"`{check.name}`" not in page] == []


def test_what_the_alerts_of_another_prometheus_ask_for_is_there():
    whole = "".join(text_of(page) for page in ROOT.glob("docs/*.md"))
    named = set(re.findall(r"\bcocohub_(?!client|pat_)[a-z_]+", whole))
    gauges = {"cocohub_jobs_waiting", "cocohub_jobs_running", "cocohub_queue_oldest_seconds", "cocohub_queue_messages",
              "cocohub_answers"}  # fmt: skip
    meters = {meter.name + ("_total" if meter.kind == "counter" else "") for meter in metering.METERS.values()}
    assert named - gauges - meters == set()


# --- Addresses, settings, queries -------------------------------------------------------------------------------------

CALL = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) ([^`\s]+)`")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_addresses_in_the_text_are_there(page):
    for method, address in CALL.findall(prose(page)):
        path = urlsplit(address).path
        if path.startswith("...") or "…" in path:
            continue
        if path.startswith("/media"):
            continue
        path = path if path.startswith("/") else f"/api/v1/{path}"
        path = re.sub(r"/sources/[\w-]+", "/sources/a", path)
        path = re.sub(r"tasks/\{id\}", "tasks/00000000-0000-4000-8000-000000000000", path)
        takes(re.sub(r"\{\w+\}", "1", path), method)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_settings_that_are_named_are_explained(page):
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", prose(page)))
    assert named - SETTINGS - WORDS == set()


def queries(page: Path) -> list[str]:
    found = re.findall(r"--q '([^']*)'", text_of(page))
    found += [one for one in re.findall(r"--q (\w+:\w+)", text_of(page))]
    found += re.findall(r"\"q\": \"([^\"]*)\"", text_of(page))
    if page.name == "curators.md":
        found += re.findall(r"^\| [^|]+ \| `([^`]+)` \|$", prose(page), re.MULTILINE)
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if queries(page)], ids=lambda page: page.name)
def test_queries_are_queries(page):
    for text in queries(page):
        query.parse(text)


# --- Two languages ----------------------------------------------------------------------------------------------------

ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"


def test_both_readmes_have_the_same_sections():
    levels = [[len(mark) for mark in re.findall(r"^(#+) ", prose(page), re.MULTILINE)] for page in (ENGLISH, KOREAN)]
    assert levels[0] == levels[1]


def test_both_readmes_have_the_same_commands():
    def commands(page):
        return [statements(block) for block in blocks(page, "sh")]

    assert commands(ENGLISH) == commands(KOREAN)


def test_both_readmes_have_the_same_tables():
    def tables(page):
        rows = re.findall(r"^\|(.*)\|$", prose(page), re.MULTILINE)
        return [(row.count("|"), re.match(r" `([^`]+)`", row)[1] if row.startswith(" `") else "") for row in rows]

    assert tables(ENGLISH) == tables(KOREAN)


def test_both_readmes_lead_to_the_same_places():
    def targets(page):
        return sorted(target for _, target in links(page) if not target.startswith("README"))

    assert targets(ENGLISH) == targets(KOREAN)


def test_the_korean_readme_is_korean():
    lines = [line for line in prose(KOREAN).splitlines() if len(line) > 60 and not line.startswith(("|", "!", "`"))]
    for line in lines:
        bare = re.sub(r"`[^`]*`|\([^)]*\)|\[[^\]]*\]", "", line)
        hangul = len(re.findall(r"[가-힣]", bare))
        assert hangul >= len(re.findall(r"[A-Za-z]", bare)) / 2, line
