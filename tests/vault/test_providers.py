"""Where wrapping keys come from: what is wrong is said in a sentence, and no key is ever said with it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from prefs.bootstrap import wrapping_keys
from prefs.core.errors import Sealed
from prefs.settings import Settings
from prefs.vault.keys import write
from prefs.vault.providers import CommandProvider, EnvironmentProvider, FileProvider, Provider
from tests.vaults import wrapping_key

SECRET = "ab" * 32


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold"),
        ("[]", "must hold"),
        ('{"keys": []}', "holds no wrapping key"),
        ('{"keys": [{"id": "a"}]}', "must hold"),
        (json.dumps({"keys": [{"id": "a", "key": "zz"}]}), "must hold"),
        (json.dumps({"keys": [{"id": "a", "key": SECRET + "cd"}]}), "a must have 64 hexadecimal digits"),
        (json.dumps({"keys": [{"id": "a b", "key": SECRET}]}), "letters, digits"),
        (json.dumps({"keys": [{"id": "a", "key": SECRET}, {"id": "a", "key": SECRET}]}), "two wrapping keys"),
    ],
)
def test_what_holds_no_keys_is_refused_without_saying_any(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    path.write_text(text, encoding="utf-8")
    printing = CommandProvider(python(f"print({text!r})"))
    for provider in (FileProvider(path), EnvironmentProvider("VARIABLE", text), printing):
        with pytest.raises(Sealed, match=said) as refused:
            provider.load()
        assert SECRET not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Sealed, match="nowhere.json cannot be read: No such file"):
        FileProvider(tmp_path / "nowhere.json").load()
    binary = tmp_path / "vault.json"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(Sealed, match="no file of wrapping keys"):
        FileProvider(binary).load()


def test_a_command_prints_the_keys() -> None:
    keys = [wrapping_key("two"), wrapping_key("one")]
    assert CommandProvider(python(f"print({write(keys)!r})")).load() == keys


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (python("import sys; sys.stderr.write('no such\\nsecret id'); sys.exit(3)"), "exit code 3: no such secret id"),
        ("/nowhere/kms --token hush", "/nowhere/kms for the wrapping keys cannot be run"),
        ("kms 'unclosed", "cannot be run: No closing quotation"),
    ],
)
def test_a_command_that_fails_is_told_in_a_sentence(command: str, said: str) -> None:
    with pytest.raises(Sealed, match=said) as refused:
        CommandProvider(command).load()
    assert "hush" not in str(refused.value)


def test_a_command_that_hangs_is_stopped() -> None:
    provider = CommandProvider(python("import time; time.sleep(60)"), within_s=0.2)
    with pytest.raises(Sealed, match=r"no wrapping keys within 0\.2 s"):
        provider.load()


def test_settings_say_once_where_keys_come_from(tmp_path: Path) -> None:
    plain = Settings(data=tmp_path)
    assert wrapping_keys(plain) == FileProvider(tmp_path / "vault.json")
    text = write([wrapping_key()])
    found: list[Provider] = [
        wrapping_keys(plain.model_copy(update={"vault_keys": text})),
        wrapping_keys(plain.model_copy(update={"vault_command": "kms get"})),
    ]
    assert found == [EnvironmentProvider("GUESTPREFS_VAULT_KEYS", text), CommandProvider("kms get")]
    assert [provider.place for provider in found] == ["the variable GUESTPREFS_VAULT_KEYS", "the command kms"]
    with pytest.raises(Sealed, match="only once"):
        wrapping_keys(plain.model_copy(update={"vault_keys": text, "vault_command": "kms get"}))
    assert "secret" not in repr(plain.model_copy(update={"vault_keys": "secret"}))
