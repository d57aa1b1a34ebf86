"""What is in ``deploy/``: it parses, names what exists, and fits the service."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from serving import metrics
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {f"SAFEPICKLE_{field.name.upper()}" for field in dataclasses.fields(Settings)}


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / "safepickle.yaml").read_text()))


def test_every_setting_that_a_deployment_names_exists() -> None:
    for path in (*DEPLOY.rglob("*.yaml"), DEPLOY / "Dockerfile"):
        named = set(re.findall(r"\bSAFEPICKLE_[A-Z_]+", path.read_text()))
        assert named <= VARIABLES, path


def test_the_requirements_are_those_of_the_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [line for name in ("serve", "postgres", "remote", "lz4", "zstd") for line in extras[name]]
    lines = (DEPLOY / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == wanted


def test_what_the_images_copy_is_in_the_project_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in kept, source


def test_every_service_of_compose_has_an_image_and_waits_for_what_exists() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert services["service"]["deploy"]["replicas"] == 2
    for service in services.values():
        assert ("image" in service) != ("build" in service)
        assert set(service.get("depends_on", ())) <= set(services)
    assert "service:3000" in (DEPLOY / "nginx.conf").read_text()


def test_the_kubernetes_objects_select_what_they_deploy() -> None:
    found = {document["kind"]: document for document in documents()}
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    pod = found["Deployment"]["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in ("/healthz", "/readyz")
    assert pod["terminationGracePeriodSeconds"] > Settings().scan_timeout


def test_the_dashboard_is_the_one_that_its_script_makes_and_asks_for_metrics_that_exist() -> None:
    made = runpy.run_path(str(DEPLOY / "grafana" / "make_dashboard.py"))["dashboard"]()
    assert json.loads((DEPLOY / "grafana" / "dashboard.json").read_text()) == made
    asked = set(re.findall(r"\bsafepickle_[a-z_]+", json.dumps(made)))
    assert metrics.SCANS in REGISTRY._collector_to_names
    exposed = {name for names in REGISTRY._collector_to_names.values() for name in names}
    assert len(asked) > 10
    assert asked <= exposed


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed here")
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{text}\n}}\n")
    done = subprocess.run(["nginx", "-t", "-c", str(whole), "-p", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
