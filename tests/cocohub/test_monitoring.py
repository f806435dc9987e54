"""The monitoring profile asks for nothing that is not there: metrics, labels, files, addresses."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.test import Client
from django.urls import resolve
from prometheus_client.parser import text_string_to_metric_families

from accounts import metering

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
RULES = [rule for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
         for rule in group["rules"]]  # fmt: skip
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "cocohub.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ASKED = {f"{panel['title']}: {target['expr']}": target["expr"] for panel in PANELS for target in panel["targets"]}
ASKED |= {rule["alert"]: rule["expr"] for rule in RULES}
WORDS = {"by", "or", "and", "unless", "sum", "max", "rate", "increase", "histogram_quantile", "topk", "vector"}
OURS_OF_PROMETHEUS = {"up": {"job", "instance"}}


@pytest.fixture(scope="module")
def exposed(django_db_setup, django_db_blocker):
    """Each sample that the two addresses give, or would give once it has been counted, with its labels."""
    found = dict(OURS_OF_PROMETHEUS)
    for meter in metering.METERS.values():
        labels = set(meter.labels)
        if meter.kind == "counter":
            found[f"{meter.name}_total"] = labels
        else:
            found |= {
                f"{meter.name}_sum": labels,
                f"{meter.name}_count": labels,
                f"{meter.name}_bucket": {*labels, "le"},
            }
    with django_db_blocker.unblock():
        Client().get("/api/v1/health/live")
        for address in ("/metrics", "/metrics/installation"):
            for family in text_string_to_metric_families(Client().get(address).content.decode()):
                for sample in family.samples:
                    found.setdefault(sample.name, set()).update(sample.labels)
    return found


def names(expression):
    """The metrics that an expression asks for, each with the labels it is chosen by."""
    chosen = {}
    for name, labels in re.findall(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}", expression):
        chosen.setdefault(name, set()).update(re.findall(r"(\w+)\s*[=!]", labels))
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"\bby\s*\(([^)]*)\)", bare))))
    bare = re.sub(r"\bby\s*\([^)]*\)", " ", bare)
    for name in re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*", bare):
        if name not in WORDS:
            chosen.setdefault(name, set()).update(grouped)
    return chosen


@pytest.mark.parametrize("expression", [pytest.param(text, id=name[:60]) for name, text in ASKED.items()])
def test_what_is_asked_for_is_exposed_with_these_labels(exposed, expression):
    asked = names(expression)
    assert asked
    for name, labels in asked.items():
        assert name in exposed
        assert labels <= exposed[name], name


@pytest.mark.parametrize("panel", [pytest.param(panel, id=panel["title"]) for panel in PANELS])
def test_legends_name_labels_that_are_left(exposed, panel):
    for target in panel["targets"]:
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bby\s*\(([^)]*)\)", target["expr"]))))
        if "by" not in target["expr"]:
            kept = set().union(*(exposed[name] for name in names(target["expr"])))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept
        assert target["datasource"]["uid"] == panel["datasource"]["uid"]


def test_every_meter_of_ours_is_on_the_dashboard():
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    assert [name for name in metering.METERS if name not in shown] == []


def test_panels_do_not_lie_on_each_other():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_scrapes_addresses_that_there_are_at_the_service_that_has_them():
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    assert {resolve(job["metrics_path"]).url_name for job in jobs.values()} == {"metrics", "metrics-installation"}
    for job in jobs.values():
        assert job["authorization"]["credentials_file"] in COMPOSE["prometheus"]["command"][0]
    assert jobs["cocohub"]["static_configs"][0]["targets"] == ["api:8000"]
    assert jobs["cocohub-web"]["dns_sd_configs"][0]["names"] == ["api"]
    assert COMPOSE["api"]["environment"]["PROMETHEUS_MULTIPROC_DIR"] == COMPOSE["api"]["tmpfs"][0].split(":")[0]


def test_files_are_where_the_containers_look_for_them():
    for name in ("prometheus", "grafana"):
        assert COMPOSE[name]["profiles"] == ["monitoring"]
        for volume in COMPOSE[name]["volumes"]:
            place = volume.split(":")[0]
            assert not place.startswith("./") or (ROOT / place).is_dir()
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/cocohub.yml").read_text())["providers"][0]
    mounts = dict(volume.split(":")[:2] for volume in COMPOSE["grafana"]["volumes"])
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    home = COMPOSE["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/cocohub.json"


def test_alerts_say_what_is_the_matter_and_how_urgent_it_is():
    assert len(RULES) >= 5
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_docker_compose_takes_the_profile(tmp_path):
    tool = shutil.which("docker-compose")
    if tool is None:
        pytest.skip("docker-compose is not installed")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    given = {"POSTGRES_PASSWORD": "a", "MINIO_ROOT_PASSWORD": "b", "METRICS_TOKEN": "c", "GRAFANA_PASSWORD": "d"}
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line.split("=")[0] not in given]
    (tmp_path / ".env").write_text("\n".join([*lines, *(f"{name}={value}" for name, value in given.items())]))
    words = [tool, "--profile", "monitoring", "config"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services["prometheus"]["environment"]["METRICS_TOKEN"] == "c"
    assert services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "d"


def test_prometheus_itself_takes_the_rules():
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([tool, "check", "rules", DEPLOY / "prometheus/alerts.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
