"""What can be said about the image and the compose file without an engine; `make image-test` tries the image itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import image_rules
from prefs.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def run_stage() -> str:
    return DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def test_the_image_runs_as_a_numbered_account_with_a_health_check() -> None:
    assert re.search(r"^USER 65532:65532$", run_stage(), re.M)
    assert re.search(r"^HEALTHCHECK .*\\\n +CMD \[.*/livez", run_stage(), re.M)
    assert re.search(
        r'^CMD \["guestprefs", "serve", "--host", "0.0.0.0", "--port", "8080", "--data", "/data"\]$', run_stage(), re.M
    )


def test_the_run_stage_installs_nothing() -> None:
    assert not re.search(r"\b(pip|uv|apt|apt-get) +(\S+ +)?install\b", run_stage())


def test_the_image_holds_nothing_secret_and_adds_nothing_from_elsewhere() -> None:
    stages = re.findall(r"^FROM +(\S+)", DOCKERFILE, re.M)
    assert len(stages) == 2 and all(re.search(r":\d+\.\d+[\w.-]*$", stage) for stage in stages), stages
    assert not re.search(r"^ADD\b", DOCKERFILE, re.M), "ADD would fetch and unpack"
    assert not re.search(r"^(ARG|ENV)\b.*(key|secret|password|token|credential)", DOCKERFILE, re.M | re.I)
    assert not re.search(r"--mount=type=secret|curl|wget|git clone", DOCKERFILE)
    assert not {".env", "data", "keys.json", "cache.key"} & {
        name for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M) for name in line.split()
    }


def test_only_the_data_folder_of_the_image_can_be_written() -> None:
    stage = run_stage()
    assert re.search(r"install -d -o 65532 -g 65532 -m 700 /data", stage)
    assert "chown" not in stage and "--chown" not in stage and "chmod" not in stage
    assert "PYTHONDONTWRITEBYTECODE=1" in stage and "GUESTPREFS_DATA=/data" in stage


def test_compose_runs_it_without_any_right_that_it_does_not_need() -> None:
    for name in ("guestprefs", "migrate"):
        service = compose()["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged") and "user" not in service
        assert all(not re.match(r"[./~]", volume) for volume in service["volumes"]), "no folder of the machine"


def test_the_image_test_runs_it_with_nothing_to_write_to_but_its_data() -> None:
    said = (ROOT / "deploy" / "image-test.sh").read_text(encoding="utf-8")
    assert "--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges" in said
    assert '"${inside[@]}" python -c "$(cat deploy/image_rules.py)" $confined' in said
    confined = (ROOT / "deploy" / "confine.sh").read_text(encoding="utf-8")
    assert 'mount -o remount,bind,ro "$root"' in confined
    assert "--clear-groups --bounding-set=-all --inh-caps=-all" in confined and "--no-new-privs" in confined


# ---------------------------------------------------------------- the rules that an image is held to, shown to fail


def test_rights_that_a_container_should_not_have_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    none = "0" * 16
    good = {"Uid": "65532 65532", "Gid": "65532 65532", "NoNewPrivs": "1"}
    good |= {name: none for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    planted = {"Uid": "0 0", "Gid": "65532 0", "NoNewPrivs": "0", "CapBnd": "00000000a80425fb", "CapEff": "1"}
    monkeypatch.setattr(image_rules, "status_of", lambda process: good)
    assert list(image_rules.rights("1")) == []
    for name, value in planted.items():
        monkeypatch.setattr(image_rules, "status_of", lambda process, bad={name: value}: good | bad)
        assert len(list(image_rules.rights("1"))) == 1, name


def test_what_lies_in_an_image_or_open_in_its_data_is_named(tmp_path: Path) -> None:
    root, data = tmp_path / "root", tmp_path / "root" / "data"
    data.mkdir(parents=True, mode=0o700)
    for name in ("keys.json", "vault.json", "ledger.key"):
        (data / name).touch(mode=0o600)
    assert list(image_rules.kept(data)) == []
    (data / "vault.json").chmod(0o644)
    (data / "ledger.key").unlink()
    data.chmod(0o755)
    open_to_others = {f"{data} is open to others", f"{data / 'vault.json'} is open to others"}
    assert list(image_rules.kept(tmp_path / "nowhere")) == [f"{tmp_path / 'nowhere'} is not there"]
    assert set(image_rules.kept(data)) == open_to_others | {f"{data / 'ledger.key'} was not made"}

    (root / "opt").mkdir()
    (root / "opt" / "vault.json").touch()
    assert {f"a secret in its files: {root}/opt/vault.json", "module pytest"} <= set(image_rules.contents(root))
    assert f"{root}/opt can be written to" in set(image_rules.written(root))


def test_the_image_is_made_from_the_locks() -> None:
    installs = re.findall(r"install [^\n&]*-r (\S+)", DOCKERFILE)
    assert installs == ["requirements-tools.txt", "requirements.txt"]
    assert DOCKERFILE.count("--require-hashes") == len(installs)


def test_the_context_holds_what_the_image_copies() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copied = {name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M) for name in line.split()}
    assert copied == let_in


def test_compose_sets_only_what_the_service_knows() -> None:
    service = compose()["services"]["guestprefs"]
    assert set(service["environment"]) - set(Settings.variables()) == set()


def test_compose_names_exact_versions_and_checks_every_server() -> None:
    services = compose()["services"]
    images = {name: service["image"] for name, service in services.items()}
    assert {name: image for name, image in images.items() if not re.search(r":\d+\.\d+(\.\d+)?$", image)} == {}
    assert all("healthcheck" in services[name] for name in ("postgres", "valkey"))
    assert services["guestprefs"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_the_image_is_tagged_with_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert version and compose()["services"]["guestprefs"]["image"] == f"guestprefs:{version[1]}"
