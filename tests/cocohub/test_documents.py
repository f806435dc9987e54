"""What README and .env.example say is so."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_every_setting_is_in_env_example():
    source = (ROOT / "cocohub" / "settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|_secret)\(\s*"([A-Z0-9_]+)"', source))
    explained = set(re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert len(read) > 20
    in_compose = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert {"POSTGRES_PASSWORD", "MINIO_ROOT_PASSWORD"} <= in_compose - read
    assert explained == read | in_compose


def test_every_dependency_says_why_it_is_there():
    wanted = {
        re.split(r"[\[<>=;~ ]", line)[0].lower()
        for line in (ROOT / "requirements.in").read_text().splitlines()
        if line and not line.startswith("#")
    }
    told = {name.lower() for name in re.findall(r"^\| `([\w.-]+)`", README, re.MULTILINE)}
    assert wanted - told == set()
