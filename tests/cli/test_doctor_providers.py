"""What `doctor` says of OpenID providers: a real one from PyPI, and one sentence for everything that can be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc.jwk import OctKey, OKPKey, RSAKey

from tests.api.keyserver import KeyServer, key_server
from tests.api.realprovider import real_provider
from tests.cli.served import Done, guestprefs
from tests.servers import free_port

ISSUERS, ADDRESSES = "GUESTPREFS_OIDC_ISSUERS", "GUESTPREFS_OIDC_JWKS_URLS"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert guestprefs(tmp_path, "keys").returncode == 0
    assert guestprefs(tmp_path, "migrate").returncode == 0
    return tmp_path


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server(OKPKey.generate_key("Ed25519", {"kid": "one", "use": "sig"})) as server:
        yield server


def doctor(folder: Path, issuers: str, urls: str = "", **more: str) -> Done:
    return guestprefs(folder, "doctor", environ={ISSUERS: issuers, ADDRESSES: urls, **more})


def found(done: Done) -> list[str]:
    """What is said of providers, and whether the exit code says the same."""
    lines = [line for line in done.stdout.splitlines() if " Provider" in line]
    assert lines, done.stdout
    assert done.returncode == any(line.startswith("WRONG") for line in lines), done.stdout
    return lines


def wrong(done: Done) -> str:
    (line,) = found(done)
    assert line.startswith("WRONG"), line
    return line


def test_a_real_provider_is_asked_for_its_keys_and_the_time(folder: Path) -> None:
    with real_provider() as issuer:
        (line,) = found(doctor(folder, issuer))
        assert line.startswith("ok") and issuer in line
        assert "1 usable key (RS256)" in line and "clocks agree" in line


@pytest.mark.parametrize(("seconds", "said"), [(600, "ahead of"), (-600, "behind")])
def test_a_provider_with_another_time_is_named(folder: Path, seconds: int, said: str) -> None:
    with real_provider(ahead_seconds=seconds) as issuer:
        line = wrong(doctor(folder, issuer))
    assert f"s {said} this machine's; beyond 30 s good tokens are refused" in line and "(NTP)" in line


def test_without_the_time_it_would_not_be_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: what the provider says of the time is not read."""
    monkeypatch.setattr("api.issuers._sent_at", lambda headers: None)
    with real_provider(ahead_seconds=600) as issuer:
        assert found(doctor(folder, issuer))[0].startswith("ok")


def test_a_clock_within_the_leeway_is_none_of_its_business(folder: Path) -> None:
    with real_provider(ahead_seconds=20) as issuer:
        assert found(doctor(folder, issuer))[0].startswith("ok")


def test_a_dead_port_is_named_with_what_to_look_at(folder: Path, server: KeyServer) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    line = wrong(doctor(folder, dead))
    assert f"Provider {dead}: its configuration at {dead}/.well-known/openid-configuration cannot be read" in line
    assert "it did not answer" in line and ISSUERS in line and ADDRESSES in line
    line = wrong(doctor(folder, server.issuer, f"{dead}/keys"))
    assert f"its keys at {dead}/keys cannot be read: it did not answer" in line


def test_providers_are_told_apart(folder: Path, server: KeyServer) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    lines = found(doctor(folder, f"{dead} {server.issuer}"))
    assert [line.split()[0] for line in lines] == ["WRONG", "ok"]
    assert dead in lines[0] and server.issuer in lines[1]


def test_a_provider_that_calls_itself_otherwise_is_named(folder: Path, server: KeyServer) -> None:
    """A slash at the end is enough, and the commonest of all."""
    line = wrong(doctor(folder, server.issuer + "/"))
    assert f"it calls itself {server.issuer}, so that its tokens are refused. Write it exactly so in {ISSUERS}" in line
    line = wrong(doctor(folder, server.issuer + "/", server.jwks_url))
    assert "it calls itself" in line


def test_keys_that_verify_nothing_here_are_told(folder: Path, server: KeyServer) -> None:
    server.keys = [OctKey.generate_key(256), RSAKey.generate_key(2048, {"use": "enc", "kid": "e"})]
    line = wrong(doctor(folder, server.issuer))
    assert "of its 2 keys none verifies a token here" in line and "Ed25519, ES256, RS256" in line
    server.keys = [OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")]
    assert "its 2 keys have no key id (kid)" in wrong(doctor(folder, server.issuer))
    server.keys = []
    assert "of its 0 keys none" in wrong(doctor(folder, server.issuer))


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("500", "it answered 500"),
        ("nonsense", "is not a JWK set"),
        ("moved", "it answered 302"),
        ("endless", "too long"),
    ],
)
def test_trouble_with_the_keys_is_told(folder: Path, server: KeyServer, mode: str, said: str) -> None:
    server.mode = mode
    line = wrong(doctor(folder, server.issuer, server.jwks_url))
    assert f"its keys at {server.jwks_url} cannot be read: " in line and said in line


def test_keys_at_an_address_that_anybody_can_change_are_not_asked_for(folder: Path, server: KeyServer) -> None:
    server.jwks_url = "http://keys.example.com/set\x1b[2J"
    line = wrong(doctor(folder, server.issuer))
    assert "which anybody on the way can change. It must be https" in line
    assert "\x1b" not in line and "x1b[2J" in line
    assert server.asked == ["/.well-known/openid-configuration"]


def test_settings_that_do_not_fit_are_told_before_anybody_is_asked(folder: Path, server: KeyServer) -> None:
    line = wrong(doctor(folder, server.issuer, f"{server.jwks_url} {server.jwks_url}"))
    assert "there must be as many JWKS addresses as issuers, or none" in line
    line = wrong(doctor(folder, server.issuer, GUESTPREFS_OIDC_CLAIMS="role"))
    assert "'role' is not one of" in line
    assert server.asked == []


def test_without_a_provider_the_local_keys_are_named(folder: Path) -> None:
    (line,) = found(guestprefs(folder, "doctor"))
    assert line.startswith("ok") and "Providers: none; the keys of data/keys.json speak for everybody" in line
