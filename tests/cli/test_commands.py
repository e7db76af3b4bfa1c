"""The commands that do one thing and end: what they say, what they leave, and how they fail."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import shutil
import stat
from datetime import timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite
import pytest

from api.auth import Verifier, load_keys
from api.cli.demo_guests import demo_guest
from prefs.bootstrap import SystemClock, open_house
from prefs.core.callers import Caller, Role
from prefs.core.entries import PROFILE
from prefs.core.errors import Unauthenticated
from prefs.settings import Settings
from tests.cli.served import guestprefs, guestprefs_process
from tests.servers import free_port

COMMANDS = (
    *("serve", "migrate", "seed", "token", "tokens", "keys", "catalogue"),
    *("ledger", "openapi", "doctor", "version"),
    *("backup", "restore", "retention", "receipts"),
)


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """A folder as a first start leaves it."""
    assert guestprefs(tmp_path, "keys").returncode == 0
    assert guestprefs(tmp_path, "migrate").returncode == 0
    return tmp_path


def one_sentence(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("guestprefs: ")
    return lines[0]


def test_help_lists_every_command_with_a_sentence(tmp_path: Path) -> None:
    done = guestprefs(tmp_path, "--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b +\S+ \S+", done.stdout), command


@pytest.mark.parametrize(
    "words", [("serve", "--prot", "1"), ("brew",), ("seed", "--guests", "0"), ("serve", "--port", "x")]
)
def test_a_wrong_command_line_is_exit_code_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = guestprefs(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr


def test_version_names_program_and_python(tmp_path: Path) -> None:
    done = guestprefs_process(tmp_path, "version")
    assert re.fullmatch(r"guestprefs \d+\.\d+\.\d+\S* on Python 3\.\d+\.\d+\n", done.stdout)


def test_a_fault_ends_a_process_with_one_sentence_and_code_1(tmp_path: Path) -> None:
    done = guestprefs_process(tmp_path, "seed")
    assert (done.returncode, done.stdout) == (1, "")
    assert "guestprefs migrate" in one_sentence(done.stderr)


class TestKeysAndTokens:
    def test_the_key_file_is_private_and_never_replaced(self, tmp_path: Path) -> None:
        assert guestprefs(tmp_path, "keys").returncode == 0
        file = tmp_path / "data" / "keys.json"
        made = file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        again = guestprefs(tmp_path, "keys")
        assert again.returncode == 1
        assert "already a key file" in one_sentence(again.stderr)
        assert file.read_bytes() == made

    def test_a_token_is_accepted_for_as_long_as_it_says(self, tmp_path: Path) -> None:
        guestprefs(tmp_path, "keys")
        words = ("--role", "staff", "--surface", "front_desk", "--property", "dallas-plaza", "--hours", "2")
        token = guestprefs(tmp_path, "token", *words).stdout.strip()
        verifier = Verifier(load_keys(tmp_path / "data" / "keys.json"), "guestprefs", "guestprefs")
        now = SystemClock().now()
        caller = verifier.verify(token, now)
        assert (caller.role, caller.surface, caller.properties) == (Role.STAFF, "front_desk", {"dallas-plaza"})
        later = Verifier(load_keys(tmp_path / "data" / "keys.json"), "guestprefs", "guestprefs")
        with pytest.raises(Unauthenticated):
            later.verify(token, now + timedelta(hours=2, minutes=2))

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--role", "guest", "--surface", "guest_app"), "--guest"),
            (("--role", "guest", "--surface", "thermostat", "--guest", "gst_1"), "no surface thermostat"),
            (("--role", "device", "--surface", "tv"), "--property"),
        ],
    )
    def test_a_token_nobody_would_accept_is_not_made(self, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
        guestprefs(tmp_path, "keys")
        done = guestprefs(tmp_path, "token", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in one_sentence(done.stderr)

    def test_without_keys_the_command_to_run_is_named(self, tmp_path: Path) -> None:
        done = guestprefs(tmp_path, "token", "--role", "guest", "--surface", "guest_app", "--guest", "gst_1")
        assert done.returncode == 1
        assert "guestprefs keys" in one_sentence(done.stderr)

    def test_a_broken_key_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "keys.json").write_text("{}")
        token = ("token", "--role", "guest", "--surface", "guest_app", "--guest", "gst_1")
        for words in (token, ("serve", "--port", "0")):
            done = guestprefs(tmp_path, *words)
            assert done.returncode == 1
            assert "keys.json" in one_sentence(done.stderr)


class TestDatabase:
    def test_migrating_twice_does_nothing_the_second_time(self, tmp_path: Path) -> None:
        assert "up to date now" in guestprefs(tmp_path, "migrate").stdout
        assert "nothing to do" in guestprefs(tmp_path, "migrate").stdout

    def test_seeding_twice_makes_nobody_twice(self, migrated: Path) -> None:
        assert guestprefs(migrated, "seed", "--guests", "7").returncode == 0
        file = migrated / "data" / "guestprefs.db"
        first = count(file, "guest"), count(file, "entry"), count(file, "change"), count(file, "stay")
        assert first[0] == 7
        assert guestprefs(migrated, "seed", "--guests", "7").returncode == 0
        assert (count(file, "guest"), count(file, "entry"), count(file, "change"), count(file, "stay")) == first
        assert guestprefs(migrated, "seed", "--guests", "9").returncode == 0
        assert count(file, "guest") == 9

    def test_seeding_an_empty_database_names_the_command_to_run(self, tmp_path: Path) -> None:
        done = guestprefs(tmp_path, "seed")
        assert done.returncode == 1
        assert "guestprefs migrate" in one_sentence(done.stderr)

    def test_memory_is_no_database_for_a_command(self, tmp_path: Path) -> None:
        for command in (("seed",), ("serve", "--port", "0")):
            done = guestprefs(tmp_path, *command, environ={"DATABASE_URL": "memory://"})
            assert done.returncode == 1
            assert "DATABASE_URL" in one_sentence(done.stderr)

    def test_a_database_that_is_not_there_is_a_sentence(self, tmp_path: Path) -> None:
        url = f"postgresql+asyncpg://someone:secret@127.0.0.1:{free_port()}/none"
        done = guestprefs(tmp_path, "migrate", environ={"DATABASE_URL": url})
        assert done.returncode == 1
        assert "secret" not in one_sentence(done.stderr)


def count(file: Path, table: str) -> int:
    connection = sqlite.connect(str(file))
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


class TestDoctor:
    def test_all_is_well_after_keys_and_migrate(self, migrated: Path) -> None:
        done = guestprefs(migrated, "doctor")
        assert done.returncode == 0, done.stdout
        assert "Nothing is wrong." in done.stdout
        assert "WRONG" not in done.stdout

    def test_an_empty_folder_lacks_keys_and_tables(self, tmp_path: Path) -> None:
        done = guestprefs(tmp_path, "doctor")
        assert done.returncode == 1
        assert "Run: guestprefs keys" in done.stdout
        assert "Run: guestprefs migrate" in done.stdout
        assert "2 things are wrong." in done.stdout
        assert not (tmp_path / "data").exists()

    @pytest.mark.parametrize(
        ("variable", "value", "said"),
        [
            ("GUESTPREFS_PORT", "eighty", "GUESTPREFS_PORT is wrong"),
            ("GUESTPREFS_WORKERS", "0", "GUESTPREFS_WORKERS is wrong"),
            ("DATABASE_URL", "mysql://root:secret@db/x", "DATABASE_URL is wrong"),
            ("DRAIN_DELAY", "-1", "DRAIN_DELAY is wrong"),
            ("GUESTPREFS_PROT", "8080", "GUESTPREFS_PROT is not a setting"),
        ],
    )
    def test_wrong_settings_are_named(self, migrated: Path, variable: str, value: str, said: str) -> None:
        done = guestprefs(migrated, "doctor", environ={variable: value})
        assert done.returncode == 1
        assert said in done.stdout
        assert "secret" not in done.stdout + done.stderr

    def test_settings_come_from_a_file_too(self, migrated: Path) -> None:
        (migrated / ".env").write_text("GUESTPREFS_WORKERS=many\n")
        assert "GUESTPREFS_WORKERS is wrong" in guestprefs(migrated, "doctor").stdout

    def test_a_key_file_that_others_can_read_is_wrong(self, migrated: Path) -> None:
        (migrated / "data" / "keys.json").chmod(0o644)
        done = guestprefs(migrated, "doctor")
        assert done.returncode == 1
        assert "chmod 600" in done.stdout

    def test_a_database_that_does_not_answer_is_wrong(self, migrated: Path) -> None:
        url = f"postgresql+asyncpg://someone:secret@127.0.0.1:{free_port()}/none"
        done = guestprefs(migrated, "doctor", environ={"DATABASE_URL": url})
        assert done.returncode == 1
        assert re.search("WRONG +Database", done.stdout)
        assert "secret" not in done.stdout + done.stderr

    def test_the_cache_is_looked_at(self, migrated: Path, postgres_url: str, valkey_url: str) -> None:
        on_postgres = {"DATABASE_URL": postgres_url}
        assert guestprefs(migrated, "migrate", environ=on_postgres).returncode == 0
        for redis_url, said, code in (
            ("", "Cache: none; every read goes to the database", 0),
            (valkey_url, "64 MiB in each process, and redis://", 0),
            (f"redis://:secret@127.0.0.1:{free_port()}", "does not answer", 1),
        ):
            done = guestprefs(migrated, "doctor", environ={**on_postgres, "REDIS_URL": redis_url})
            assert (said in done.stdout, done.returncode) == (True, code), done.stdout
            assert "secret" not in done.stdout + done.stderr
        assert not (migrated / "data" / "cache.key").exists(), "looking makes nothing"

    def test_a_cache_key_that_is_none_is_named(self, migrated: Path, postgres_url: str, valkey_url: str) -> None:
        environ = {"DATABASE_URL": postgres_url, "REDIS_URL": valkey_url}
        assert guestprefs(migrated, "migrate", environ=environ).returncode == 0
        (migrated / "data" / "cache.key").write_text("my secret")
        for words in (("doctor",), ("seed", "--guests", "1")):
            done = guestprefs(migrated, *words, environ=environ)
            assert done.returncode == 1
            assert "cache.key is not a cache key" in done.stdout + done.stderr
            assert "my secret" not in done.stdout + done.stderr

    def test_a_cache_key_is_made_once_for_its_owner_alone(self, migrated: Path, postgres_url: str) -> None:
        environ = {"DATABASE_URL": postgres_url, "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
        key = migrated / "data" / "cache.key"
        assert guestprefs(migrated, "migrate", environ=environ).returncode == 0
        made = set()
        for _ in range(2):
            assert guestprefs(migrated, "seed", "--guests", "1", environ=environ).returncode == 0
            made.add(key.read_text())
        assert len(made) == 1 and len(bytes.fromhex(made.pop())) == 32
        assert key.stat().st_mode & 0o777 == 0o600


class TestCatalogue:
    def test_what_ships_is_in_order(self, tmp_path: Path) -> None:
        done = guestprefs(tmp_path, "catalogue", "check")
        assert done.returncode == 0
        assert "67 definitions, 6 languages" in done.stdout

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        with as_file(files("prefs.definitions")) as standard:
            shutil.copytree(standard, tmp_path / "own", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        return tmp_path / "own"

    def test_a_folder_is_checked_as_a_whole(self, folder: Path) -> None:
        assert guestprefs(folder.parent, "catalogue", "check", "own").returncode == 0
        (folder / "labels" / "ka.toml").write_text("= broken")
        done = guestprefs(folder.parent, "catalogue", "check", "own")
        assert done.returncode == 1
        assert "ka.toml" in one_sentence(done.stderr)

    def test_a_broken_file_is_refused_by_file_key_field_and_reason(self, folder: Path) -> None:
        file = folder / "climate.toml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('merge = "replace"', 'merge = "replce"', 1), encoding="utf-8")
        done = guestprefs(folder.parent, "catalogue", "check", str(file))
        assert done.returncode == 1
        said = one_sentence(done.stderr)
        for part in ("climate.toml", "climate.temperature.occupied", "merge", "must be one of replace"):
            assert part in said

    def test_a_file_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        done = guestprefs(tmp_path, "catalogue", "check", "nothing.toml")
        assert done.returncode == 1
        assert "nothing.toml" in one_sentence(done.stderr)

    def test_an_extension_in_use_is_narrowed_only_with_a_plan_to_migrate(self, migrated: Path) -> None:
        file = migrated / "spa.json"
        file.write_text(json.dumps(SPA), encoding="utf-8")
        applied = guestprefs(migrated, "catalogue", "apply", "spa.json")
        assert applied.returncode == 0, applied.stderr
        assert guestprefs(migrated, "seed", "--guests", "1").returncode == 0
        asyncio.run(state(migrated / "data", "spa.music", "piano"))
        narrower = copy.deepcopy(SPA)
        narrower["definition"]["value"]["choices"] = ["silence", "birds"]
        del narrower["labels"]["en"]["choices"]["piano"]
        file.write_text(json.dumps(narrower), encoding="utf-8")
        refused = guestprefs(migrated, "catalogue", "apply", "spa.json")
        assert refused.returncode == 1
        assert "--migrate" in one_sentence(refused.stderr)
        planned = guestprefs(migrated, "catalogue", "apply", "spa.json", "--plan")
        assert planned.returncode == 0, planned.stderr
        assert guestprefs(migrated, "catalogue", "apply", "spa.json").returncode == 1
        moved = guestprefs(migrated, "catalogue", "apply", "spa.json", "--migrate")
        assert moved.returncode == 0, moved.stderr

    def test_a_wrong_extension_is_refused_by_field(self, migrated: Path) -> None:
        broken = {**SPA, "definition": {**SPA["definition"], "merge": "sum"}}
        (migrated / "spa.json").write_text(json.dumps(broken), encoding="utf-8")
        refused = guestprefs(migrated, "catalogue", "apply", "spa.json")
        assert refused.returncode == 1
        assert "merge" in one_sentence(refused.stderr)

    @pytest.mark.parametrize(("name", "text"), [("a.json", "{"), ("a.toml", "= 1"), ("a.json", "[]"), ("a.json", "{}")])
    def test_a_file_that_is_no_extension_is_said(self, migrated: Path, name: str, text: str) -> None:
        (migrated / name).write_text(text, encoding="utf-8")
        done = guestprefs(migrated, "catalogue", "apply", name)
        assert done.returncode == 1
        assert name in one_sentence(done.stderr)


async def state(data: Path, key: str, value: str) -> None:
    """What the first demo guest says about a key."""
    house = await open_house(Settings(data=data))
    try:
        guest = demo_guest(0, SystemClock().now()).id
        await house.preferences.patch(Caller(guest, Role.GUEST, "guest_app"), guest, PROFILE, {key: value})
    finally:
        await house.close()


SPA: dict[str, Any] = {
    "key": "spa.music",
    "area": "spa",
    "definition": {
        "order": 1,
        "merge": "replace",
        "scopes": ["profile", "stay"],
        "contexts": [],
        "strengths": ["required", "preferred", "no_preference"],
        "sensitivity": "P0",
        "purpose": "service_delivery",
        "surfaces": {"front_desk": "value", "guest_app": "value"},
        "clamp": "nearest_choice",
        "retention": "stated",
        "value": {"kind": "choice", "choices": ["silence", "birds", "piano"]},
    },
    "labels": {
        "en": {
            "area": "Spa",
            "title": "Spa music",
            "help": "What plays during a treatment.",
            "choices": {"silence": "Silence", "birds": "Birds", "piano": "Piano"},
        }
    },
}


def test_openapi_is_the_same_text_each_time(tmp_path: Path) -> None:
    printed = guestprefs(tmp_path, "openapi")
    assert printed.returncode == 0
    assert guestprefs(tmp_path, "openapi", "--out", "openapi.json").returncode == 0
    assert (tmp_path / "openapi.json").read_text(encoding="utf-8") == printed.stdout
    assert json.loads(printed.stdout)["openapi"].startswith("3.")
