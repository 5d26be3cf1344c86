"""The files in deploy/ agree with the server and with each other: ports, paths, names, settings, times.

There is no container engine and no cluster: a real server takes the settings and answers the probes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.auth.verification_keys import KeyConfigError
from rtcli_server.broker.redis.wire import REQUIRED_ACL
from rtcli_server.metrics.registry import SPECS
from rtcli_server.process.runner import check_settings
from rtcli_server.settings import ENV_PREFIX, Settings
from tests.support.paths import ROOT
from tests.support.processes.rtcli import rtcli
from tests.support.servers.live_server import live_server
from tests.support.servers.nginx import FILE as NGINX

DEPLOY = ROOT / "deploy"
PASSWORD = "0123456789abcdef"
SECRET = PASSWORD * 4


def load(name: str) -> dict[str, Any]:
    """The single document of a YAML file."""
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return loaded


DEPLOYMENT = load("kubernetes/deployment.yaml")["spec"]
POD = DEPLOYMENT["template"]["spec"]
CONTAINER = POD["containers"][0]
COMPOSE = load("compose.yaml")


def kubernetes_environment() -> dict[str, str]:
    """The environment of a container, with a secret of our own."""
    config = load("kubernetes/configmap.yaml")["data"]
    secret = load("kubernetes/secret.yaml")["stringData"]
    environment: dict[str, str] = config | secret | {"RTCLI_SERVER_SECRETS": SECRET}
    return environment


def compose_environment() -> dict[str, str]:
    """The same for compose, with the variables of `.env`."""
    environment: dict[str, str] = COMPOSE["services"]["rtcli-1"]["environment"]
    variables = {"REDIS_PASSWORD": PASSWORD, "RTCLI_SECRET": SECRET}
    return {name: fill_in(value, variables) for name, value in environment.items()}


def fill_in(text: str, variables: dict[str, str]) -> str:
    """Replace `${NAME:?error}` and `${NAME:-default}`."""

    def value(match: re.Match[str]) -> str:
        return variables[match[1]] if match[2] == "?" else variables.get(match[1], match[3])

    return re.sub(r"\$\{(\w+):([?-])([^}]*)\}", value, text)


@pytest.mark.parametrize(
    "environment", [kubernetes_environment(), compose_environment()], ids=["kubernetes", "compose"]
)
def test_the_server_takes_these_settings(environment: dict[str, str]) -> None:
    assert all(isinstance(value, str) for value in environment.values())
    assert all(name.startswith(ENV_PREFIX) for name in environment)
    settings = Settings.from_env(environment)
    check_settings(settings)
    assert settings.host == "0.0.0.0"  # noqa: S104 - within its container
    assert settings.origins
    assert settings.trusted_proxies
    assert re.match(r"redis://rtcli:[^@]+@redis:6379$", settings.store)


def test_nobody_can_start_with_the_secret_of_the_example() -> None:
    secret = load("kubernetes/secret.yaml")["stringData"]["RTCLI_SERVER_SECRETS"]
    with pytest.raises(KeyConfigError):
        Authenticator(secrets=(secret,), public_keys=(), jwks_url=None, audience=None, issuer=None)


# -- Kubernetes --------------------------------------------------------------------------------------------


def test_the_probes_ask_what_the_server_answers() -> None:
    with live_server() as server:
        for kind, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
            probe = CONTAINER[kind]["httpGet"]
            assert probe == {"path": path, "port": "http"}
            assert httpx.get(server.url + probe["path"]).status_code == 200
        scraped = DEPLOYMENT["template"]["metadata"]["annotations"]["prometheus.io/path"]
        assert "rtcli_connections" in httpx.get(server.url + scraped).text


def test_ports_agree() -> None:
    (port,) = CONTAINER["ports"]
    (service,) = load("kubernetes/service.yaml")["spec"]["ports"]
    assert str(port["containerPort"]) == kubernetes_environment()["RTCLI_SERVER_PORT"]
    assert DEPLOYMENT["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(
        port["containerPort"]
    )
    assert service["targetPort"] == port["name"] == "http"


def test_there_is_time_to_drain() -> None:
    (sleep, before_s) = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    drain_s = Settings.from_env(kubernetes_environment()).drain_timeout_s
    assert POD["terminationGracePeriodSeconds"] > float(before_s) + drain_s
    # By then, no load balancer sends clients here any more.
    probe = CONTAINER["readinessProbe"]
    assert float(before_s) > probe["periodSeconds"] * probe["failureThreshold"]


def test_no_service_can_change_a_setting() -> None:
    """A service called rtcli-server would set RTCLI_SERVER_PORT=tcp://… in every pod of its namespace."""
    assert POD["enableServiceLinks"] is False


def test_all_selectors_match_the_same_pods() -> None:
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    assert DEPLOYMENT["selector"]["matchLabels"] == labels
    assert load("kubernetes/service.yaml")["spec"]["selector"] == labels
    assert load("kubernetes/disruption-budget.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert POD["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == labels
    target = load("kubernetes/autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert target["name"] == load("kubernetes/deployment.yaml")["metadata"]["name"]
    for source in CONTAINER["envFrom"]:
        (kind, reference), *_ = source.items()
        file = {"configMapRef": "configmap.yaml", "secretRef": "secret.yaml"}[kind]
        assert load(f"kubernetes/{file}")["metadata"]["name"] == reference["name"]


def test_the_autoscaler_uses_an_existing_metric() -> None:
    spec = load("kubernetes/autoscaler.yaml")["spec"]
    (metric,) = spec["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert name in {spec.name for spec in SPECS}
    assert f"sum({name}{{" in (DEPLOY / "kubernetes/autoscaler.yaml").read_text()
    assert spec["minReplicas"] >= 2
    assert "replicas" not in DEPLOYMENT  # it would reset the number of the autoscaler


def test_every_manifest_is_applied() -> None:
    files = {file.name for file in (DEPLOY / "kubernetes").iterdir()} - {"kustomization.yaml"}
    assert set(load("kubernetes/kustomization.yaml")["resources"]) == files


# -- compose, the image ------------------------------------------------------------------------------------


def test_compose_names_the_instances_of_nginx() -> None:
    port = compose_environment()["RTCLI_SERVER_PORT"]
    named = re.findall(r"^\s*server ([\w-]+):(\d+) ", NGINX.read_text(), re.MULTILINE)
    instances = [name for name in COMPOSE["services"] if name.startswith("rtcli-")]
    assert named == [(name, port) for name in instances]
    assert COMPOSE["services"]["nginx"]["depends_on"] == instances
    listens = re.findall(r"^\s*listen (\d+);", NGINX.read_text(), re.MULTILINE)
    assert [mapping.partition(":")[2] for mapping in COMPOSE["services"]["nginx"]["ports"]] == listens


def test_compose_waits_for_the_drain_and_trusts_its_own_network() -> None:
    instance, other = (COMPOSE["services"][name] for name in ("rtcli-1", "rtcli-2"))
    assert {**instance, "networks": other["networks"]} == other
    settings = Settings.from_env(compose_environment())
    assert float(instance["stop_grace_period"].removesuffix("s")) > settings.drain_timeout_s
    (network,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    assert [str(proxy) for proxy in settings.trusted_proxies] == [network["subnet"]]
    assert all(list(service["networks"]) == ["inside"] for service in COMPOSE["services"].values())
    fixed = {service["networks"]["inside"]["ipv4_address"] for service in (instance, other)}
    assert len(fixed) == 2
    assert all(ip_address(address) in settings.trusted_proxies[0] for address in fixed)


def test_compose_mounts_what_there_is() -> None:
    for service in COMPOSE["services"].values():
        for mounted in service.get("volumes", ()):
            source = mounted.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    build = COMPOSE["services"]["rtcli-1"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_the_redis_of_compose_gets_the_password(tmp_path: Path) -> None:
    """Its command, run by its shell, up to the start of the server."""
    shell, option, script = COMPOSE["services"]["redis"]["command"]
    made = tmp_path / "users.acl"
    for inside, here in (
        ("$$", "$"),
        ("/example.acl", str(DEPLOY / "redis.acl")),
        ("/tmp/users.acl", str(made)),  # noqa: S108 - within its container
        ("docker-entrypoint.sh", "echo"),
    ):
        assert inside in script
        script = script.replace(inside, here)
    environment = {"PATH": "/usr/bin:/bin", "REDIS_PASSWORD": PASSWORD}
    ended = subprocess.run([shell, option, script], env=environment, capture_output=True, check=True)
    assert ended.stdout.decode().startswith(f"redis-server --aclfile {made} --appendonly yes")
    assert made.read_text() == f"user default off\nuser rtcli on >{PASSWORD} {REQUIRED_ACL}\n"


def test_the_redis_user_has_the_rights_that_are_needed_and_no_other() -> None:
    script = ROOT / "scripts" / "_redis_acl.py"
    checked = subprocess.run([sys.executable, script, "--check"], check=False)
    assert checked.returncode == 0, "run: python scripts/_redis_acl.py"


def test_the_image_holds_what_it_copies_and_starts_what_there_is(tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored, name
    environment = dict(re.findall(r"(RTCLI_SERVER_\w+)=(\S+)", text))
    assert f"EXPOSE {Settings.from_env(environment).port}" in text
    assert 'ENTRYPOINT ["rtcli"]\nCMD ["serve"]' in text
    assert CONTAINER["args"] == ["serve"]
    assert rtcli("serve", "--help", home=tmp_path).returncode == 0
    assert f"USER {CONTAINER['securityContext']['runAsUser']}" in text
