"""The files that ``serve`` is deployed with: they parse, hang together, and hold no secret."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector import __version__, settings
from connector.cli import parser
from tests.support.places import ROOT

UNIT, CLUSTER, PROXY = (
    ROOT / "deploy" / name
    for name in ("intercom-warehouse.service", "kubernetes.yaml", "Caddyfile")
)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SECRETS = {"INTERCOM_ACCESS_TOKEN", "DATABASE_URL", "INTERCOM_CLIENT_SECRET"}
OTHERS = {"PGPASSWORD", "SYNC_HOUR", "SERVE_HOST", "SERVE_UPSTREAM"}  # read by libpq, shell, Caddy
OTHERS |= {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}


def unit() -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(UNIT.read_text("utf-8"))
    return found


def assigned(key: str) -> dict[str, str]:
    """What the unit assigns under a key that it has several times."""
    lines = re.findall(rf"^{key}=([^=:]+)[=:](.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    return dict(lines)


def documents() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(CLUSTER.read_text("utf-8"))}


def container() -> dict[str, Any]:
    (found,) = documents()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environments() -> Iterator[tuple[str, dict[str, str]]]:
    yield "unit", assigned("Environment")
    yield "cluster", {one["name"]: one["value"] for one in container()["env"]}
    for name, service in COMPOSE["services"].items():
        yield f"compose {name}", service.get("environment", {})


ENVIRONMENTS = dict(environments())


@pytest.mark.parametrize("where", ENVIRONMENTS)
def test_every_setting_that_is_named_exists(where: str) -> None:
    source = Path(settings.__file__).read_text(encoding="utf-8")
    known = set(re.findall(r'source\.\w+\(\s*"([A-Z_]+)"', source)) | OTHERS
    named = {name.removesuffix("_FILE") for name in ENVIRONMENTS[where]}
    assert named <= known


@pytest.mark.parametrize("where", ENVIRONMENTS)
def test_no_secret_stands_in_clear_text(where: str) -> None:
    for name, value in ENVIRONMENTS[where].items():
        if re.search(r"TOKEN|SECRET|PASSWORD", name) and not name.endswith("_FILE"):
            assert value.startswith("${"), name
        assert not re.search(r"://[^/@\s]*:[^/@\s]*@", value), name


@pytest.mark.parametrize("where", ["unit", "cluster"])
def test_secrets_are_files(where: str) -> None:
    files = {name for name in ENVIRONMENTS[where] if name.endswith("_FILE")}
    assert {name.removesuffix("_FILE") for name in files} == SECRETS
    assert not SECRETS & set(ENVIRONMENTS[where])


@pytest.mark.parametrize("where", ["unit", "cluster", "compose serve"])
def test_where_it_listens_can_be_read(where: str, tmp_path: Path) -> None:
    given = {"CONNECTOR_LISTEN": ENVIRONMENTS[where]["CONNECTOR_LISTEN"]}
    host, port = settings.load(given, tmp_path).listen
    assert host == ("127.0.0.1" if where == "unit" else "0.0.0.0")
    assert port == 8088


def test_the_commands_are_ones_that_the_parser_takes() -> None:
    program, *words = unit()["Service"]["ExecStart"].split()
    assert program.endswith("/bin/intercom-warehouse")
    for arguments in (words, container()["args"], COMPOSE["services"]["serve"]["command"]):
        assert parser().parse_args(arguments).name == "serve"


# -- systemd ---------------------------------------------------------------------------------


def test_the_unit_reads_the_credentials_that_it_loads() -> None:
    loaded = assigned("LoadCredential")
    read = {v.removeprefix("%d/") for n, v in ENVIRONMENTS["unit"].items() if n.endswith("_FILE")}
    assert read == set(loaded)
    assert all(path.startswith("/etc/intercom-warehouse/") for path in loaded.values())


def test_the_unit_is_hardened_as_the_nightly_one_and_comes_back() -> None:
    service = dict(unit()["Service"])
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    nightly = text.split("ExecStart=/opt/intercom-warehouse/bin/intercom-warehouse sync")[0]
    hardened = dict(
        re.findall(r"^([A-Z]\w+)=(\S*)$", nightly.split("Type=oneshot")[1], re.MULTILINE)
    )
    for key in set(hardened) - {"LoadCredential", "Environment"}:
        assert service[key] == hardened[key], key
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="asks systemd")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text("utf-8")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert UNIT.name not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


# -- Kubernetes ------------------------------------------------------------------------------


def test_the_cluster_runs_one_of_this_version_as_the_images_user() -> None:
    spec = documents()["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    assert container()["image"].endswith(f":{__version__}")
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    assert container()["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_database_that_is_away_restarts_nothing() -> None:
    probes = {name: one for name, one in container().items() if name.endswith("Probe")}
    assert probes["readinessProbe"]["httpGet"]["path"] == "/health"
    for name in ("startupProbe", "livenessProbe"):
        program, flag, code = probes[name]["exec"]["command"]
        assert (program, flag) == ("python", "-c")
        compile(code, name, "exec")
        assert '"HEAD", "/"' in code
        assert "/health" not in code


def test_labels_ports_and_files_of_the_cluster_fit_together() -> None:
    found = documents()
    deployment, service, ingress = found["Deployment"], found["Service"], found["Ingress"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    (port,) = container()["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert ENVIRONMENTS["cluster"]["CONNECTOR_LISTEN"].endswith(f":{port['containerPort']}")
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] in ingress["spec"]["tls"][0]["hosts"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    (mount,) = container()["volumeMounts"]
    made = re.findall(r"--from-file=(\S+)", CLUSTER.read_text("utf-8"))
    files = [value for name, value in ENVIRONMENTS["cluster"].items() if name.endswith("_FILE")]
    assert sorted(files) == sorted(f"{mount['mountPath']}/{name}" for name in made)


# -- compose and Caddy -----------------------------------------------------------------------


def test_the_proxy_leads_to_the_service_and_keeps_health_inside() -> None:
    text = PROXY.read_text("utf-8")
    assert text.count("{") == text.count("}")
    used = dict(re.findall(r"\{\$(\w+):([^}]+)\}", text))
    port = COMPOSE["services"]["serve"]["environment"]["CONNECTOR_LISTEN"].rpartition(":")[2]
    assert used["SERVE_UPSTREAM"] == f"serve:{port}"
    assert "SERVE_HOST" in COMPOSE["services"]["caddy"]["environment"]
    assert "respond /health 404" in text
    mounted = COMPOSE["services"]["caddy"]["volumes"]
    assert "./deploy/Caddyfile:/etc/caddy/Caddyfile:ro" in mounted


def test_nothing_but_the_proxy_is_reachable_from_outside() -> None:
    for name, service in COMPOSE["services"].items():
        outside = [one for one in service.get("ports", ()) if not one.startswith("127.0.0.1:")]
        assert not outside or name == "caddy"


def test_the_page_names_every_file() -> None:
    page = (ROOT / "docs/live.md").read_text("utf-8")
    for file in (ROOT / "deploy").iterdir():
        assert f"(../deploy/{file.name})" in page
