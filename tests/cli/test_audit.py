"""What `serve` refuses where real guests are served: all of it at once, each with what mends it; and `doctor`."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.audit import findings
from api.cli.first_start import make_keys
from api.keys import DEMO_KEY
from prefs.settings import Settings
from tests.cli.served import Served, guestprefs

DATABASE = "postgresql+asyncpg://guestprefs:{}@127.0.0.1/guestprefs"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a deployment with which nothing is wrong."""
    settings = Settings(data=tmp_path)
    make_keys(settings.keys)
    return settings


def told(settings: Settings, **changed: object) -> list[str]:
    return list(findings(settings.model_copy(update=changed)))


def test_nothing_is_wrong_with_a_first_start(settings: Settings) -> None:
    assert told(settings) == []
    assert told(settings, database_url=DATABASE.format("x7Kq-nine-long-words"), cors_origins="https://a.example") == []


def test_debugging_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ["LOG_LEVEL is debug" in found for found in told(settings, log_level="debug")] == [True]
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    assert [found.split()[0] for found in told(settings)] == ["Python", "PYTHONHASHSEED"]


def test_a_wildcard_is_told(settings: Settings) -> None:
    (found,) = told(settings, cors_origins="*")
    assert "GUESTPREFS_CORS_ORIGINS" in found


def test_the_key_of_a_demo_is_told(settings: Settings) -> None:
    settings.keys.unlink()
    make_keys(settings.keys, DEMO_KEY)
    (found,) = told(settings)
    assert str(settings.keys) in found and "demo" in found


@pytest.mark.parametrize("mode, wrong", [(0o600, 0), (0o640, 0), (0o644, 1), (0o660, 1), (0o604, 1)])
def test_a_key_file_that_others_may_read_or_change_is_told(settings: Settings, mode: int, wrong: int) -> None:
    settings.cache_key.write_text("0123456789abcdef" * 4)
    for path in (settings.keys, settings.cache_key):
        path.chmod(mode)
    found = told(settings)
    assert len(found) == 2 * wrong
    assert all("chmod 600" in one for one in found)


def test_every_file_of_the_settings_is_looked_at(settings: Settings) -> None:
    """One that is added later holds a secret too, as long as nobody says otherwise."""
    files = {
        name: settings.data / name
        for name, field in Settings.model_fields.items()
        if field.annotation in (Path, Path | None) and name != "data"
    }
    for path in files.values():
        path.write_text("{}")
        path.chmod(0o644)
    assert len(told(settings, **files)) == len(files) >= 2


def test_a_folder_that_others_can_change_is_told(settings: Settings) -> None:
    settings.ledger_checkpoints.mkdir(mode=0o755)
    assert told(settings) == []
    settings.ledger_checkpoints.chmod(0o777)
    (found,) = told(settings)
    assert "chmod o-w" in found


@pytest.mark.parametrize(
    "password, wrong", [("letmein", True), ("GUESTPREFS", True), ("", False), ("x9f-3k2-q", False)]
)
def test_a_password_that_everybody_tries_is_told_and_not_repeated(
    settings: Settings, password: str, wrong: bool
) -> None:
    found = told(settings, database_url=DATABASE.format(password), redis_url=f"redis://:{password}@127.0.0.1:6379")
    assert len(found) == (2 if wrong else 0)
    assert not any("letmein" in one for one in found)


def test_a_cache_key_that_nobody_made_by_chance_is_told(settings: Settings) -> None:
    settings.cache_key.write_text("00" * 32)
    settings.cache_key.chmod(0o600)
    (found,) = told(settings)
    assert "not made by chance" in found


def test_serve_tells_all_of_it_and_does_not_start(tmp_path: Path) -> None:
    with Served(tmp_path, "--demo", "--guests", "6") as demo:
        assert demo.terminate() == 0
    (tmp_path / "data" / "keys.json").chmod(0o644)
    environ = {"LOG_LEVEL": "debug", "GUESTPREFS_CORS_ORIGINS": "*"}
    refused = guestprefs(tmp_path, "serve", "--port", "0", environ=environ)
    assert refused.returncode == 1
    assert "4 things are unsafe" in refused.stderr
    listed = [line.removeprefix("  - ") for line in refused.stderr.splitlines() if line.startswith("  - ")]
    assert len(listed) == 4
    examined = guestprefs(tmp_path, "doctor", environ=environ)
    assert examined.returncode == 1
    for finding in listed:
        assert f"Unsafe: {finding}" in examined.stdout


def test_a_demo_may_be_all_that(tmp_path: Path) -> None:
    environ = {"LOG_LEVEL": "debug", "GUESTPREFS_CORS_ORIGINS": "*"}
    with Served(tmp_path, "--demo", "--guests", "6", environ=environ) as demo:
        assert demo.status("/readyz") == 200
