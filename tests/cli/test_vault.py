"""`guestprefs vault` and what the other commands do about wrapping keys, as an operator meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prefs.vault.keys import read
from tests.cli.served import guestprefs


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    assert guestprefs(tmp_path, "migrate").returncode == 0
    assert guestprefs(tmp_path, "seed", "--guests", "5").returncode == 0
    return tmp_path


def ids(folder: Path) -> list[str]:
    return [key.id for key in read((folder / "data" / "vault.json").read_text(), "x")]


def test_the_first_start_makes_a_wrapping_key_for_its_owner_alone(seeded: Path) -> None:
    path = seeded / "data" / "vault.json"
    assert path.stat().st_mode & 0o777 == 0o600
    (newest,) = ids(seeded)
    done = guestprefs(seeded, "vault", "status")
    assert done.stdout == f"{newest} of the key file data/vault.json wraps 5 data keys, all there are.\n"
    assert guestprefs(seeded, "seed", "--guests", "6").returncode == 0
    assert ids(seeded) == [newest]


def test_keys_makes_the_file_and_never_replaces_it(tmp_path: Path) -> None:
    done = guestprefs(tmp_path, "keys")
    assert done.returncode == 0 and "Made a wrapping key in data/vault.json" in done.stdout
    made = ids(tmp_path)
    assert guestprefs(tmp_path, "keys").returncode == 1
    (tmp_path / "data" / "keys.json").unlink()
    assert guestprefs(tmp_path, "keys").returncode == 0
    assert ids(tmp_path) == made


@pytest.mark.parametrize("words", [("seed",), ("vault", "status"), ("doctor",)])
def test_a_lost_key_file_is_said_in_a_sentence_that_names_what_to_restore(seeded: Path, words: tuple[str, ...]) -> None:
    (lost,) = ids(seeded)
    (seeded / "data" / "vault.json").rename(seeded / "elsewhere.json")
    done = guestprefs(seeded, *words)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert f"data/vault.json is missing, and what guests said rests sealed under {lost}. Restore that file" in said
    assert not (seeded / "data" / "vault.json").exists(), "a new key would only hide what is wrong"


def test_serve_refuses_to_start_without_its_keys_or_with_others(seeded: Path) -> None:
    path = seeded / "data" / "vault.json"
    (right,), kept = ids(seeded), path.read_text()
    path.unlink()
    done = guestprefs(seeded, "serve", "--port", "0")
    assert (done.returncode, f"sealed under {right}. Restore that file" in done.stderr) == (1, True), done.stderr
    path.write_text(json.dumps({"keys": [{"id": right, "key": "00" * 32}]}))
    path.chmod(0o600)
    done = guestprefs(seeded, "serve", "--port", "0")
    assert (done.returncode, f"{right} is not the one that sealed" in done.stderr) == (1, True), done.stderr
    path.write_text(kept)
    assert guestprefs(seeded, "vault", "status").returncode == 0


def test_rotating_says_what_may_be_removed_and_removing_checks_it(seeded: Path) -> None:
    (old,) = ids(seeded)
    assert "in use" in guestprefs(seeded, "vault", "drop-keys").stdout
    done = guestprefs(seeded, "vault", "rotate")
    new, *rest = ids(seeded)
    assert (done.returncode, rest) == (0, [old]), done.stderr
    assert f"{new} wraps all 5 data keys." in done.stdout
    assert re.search(rf"Nothing here needs {old} any more; backups .* vault drop-keys", done.stdout)
    assert guestprefs(seeded, "seed", "--guests", "6").returncode == 0
    done = guestprefs(seeded, "vault", "drop-keys")
    assert (done.returncode, ids(seeded)) == (0, [new]), done.stdout
    assert "wraps 6 data keys, all" in guestprefs(seeded, "vault", "status").stdout


def test_a_key_that_still_wraps_something_is_not_removed(seeded: Path) -> None:
    (old,) = ids(seeded)
    assert guestprefs(seeded, "vault", "add-key").returncode == 0
    assert guestprefs(seeded, "vault", "drop-keys").returncode == 0
    assert ids(seeded)[1:] == [old]
    assert f"older keys: {old} 5" in guestprefs(seeded, "vault", "status").stdout
    done = guestprefs(seeded, "vault", "rotate")  # begun already: no further key is added
    assert len(ids(seeded)) == 2 and f"Nothing here needs {old}" in done.stdout


def test_rows_of_an_older_release_are_sealed_and_the_file_is_swept(tmp_path: Path) -> None:
    opened = {"GUESTPREFS_SEALING": "false"}
    assert guestprefs(tmp_path, "migrate").returncode == 0
    assert guestprefs(tmp_path, "seed", "--guests", "5", environ=opened).returncode == 0
    done = guestprefs(tmp_path, "doctor", environ=opened)
    assert "GUESTPREFS_SEALING is off, so what guests say rests open" in done.stdout
    assert "off" in guestprefs(tmp_path, "vault", "seal", environ=opened).stderr
    database = tmp_path / "data" / "guestprefs.db"
    said = re.compile(rb"roll_in_shower|cross_contact")
    assert said.search(database.read_bytes()), "there is something to find"
    done = guestprefs(tmp_path, "vault", "seal")
    assert re.search(r"Sealed \d+ rows of 5 guests\.", done.stdout), done.stdout + done.stderr
    assert guestprefs(tmp_path, "vault", "seal").stdout.endswith("Nothing rests open.\n")
    for path in database.parent.glob("guestprefs.db*"):
        assert not said.search(path.read_bytes()), path


def test_keys_of_a_variable_are_not_this_program_s_to_change(seeded: Path) -> None:
    keys = {"GUESTPREFS_VAULT_KEYS": (seeded / "data" / "vault.json").read_text()}
    (seeded / "data" / "vault.json").unlink()
    assert "of the variable GUESTPREFS_VAULT_KEYS wraps 5" in guestprefs(seeded, "vault", "status", environ=keys).stdout
    for words in (("vault", "add-key"), ("vault", "drop-keys")):
        done = guestprefs(seeded, *words, environ=keys)
        assert (done.returncode, "add or remove them there" in done.stderr) == (1, True)
