"""What `doctor` says of receivers of webhooks that take nothing, are gone, or missed something for good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from api.cli import doctor
from prefs.bootstrap import SystemClock, furnish, open_store
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.destinations import networks
from prefs.settings import Settings
from tests.cli.served import guestprefs
from tests.receiver import receiving

OPERATOR = Caller("ops", Role.OPERATOR, "front_desk", permissions=frozenset({ALL_GUESTS}))
SERVICE = Caller("pms", Role.SERVICE, "", permissions=frozenset({ALL_GUESTS}))


class ThenClock:
    """It was so long ago."""

    def __init__(self) -> None:
        self.ago = timedelta(0)

    def now(self) -> datetime:
        return SystemClock().now() - self.ago


async def history(settings: Settings, told: Mapping[str, int], agos: tuple[timedelta, ...]) -> None:
    """Somebody checks in, and each endpoint is told so at these times, the longest ago first; `told` is what each of
    the receivers answers."""
    clock = ThenClock()
    clock.ago = agos[0]
    house = furnish(await open_store(settings, clock), clock, own=networks("127.0.0.0/8"))
    house.deliveries.chance = lambda: 0.0
    async with receiving() as receiver:
        receiver.answer = lambda found: told[found.path[1:]]
        for endpoint in told:
            await house.webhooks.put(OPERATOR, endpoint, url=receiver.url(f"/{endpoint}"), surface="front_desk")
        await house.guests.create(SERVICE, "Ana Souza")
        for clock.ago in agos:
            await house.deliveries.settle()
    await house.deliveries.close()
    await house.feed.close()
    await house.store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    found = {"DATABASE_URL": request.getfixturevalue("postgres_url")} if request.param == "postgresql" else {}
    for words in (("keys",), ("migrate",)):
        assert guestprefs(tmp_path, *words, environ=found).returncode == 0
    return found


def said_after(folder: Path, environ: Mapping[str, str], told: Mapping[str, int], *hours: float) -> tuple[bool, str]:
    """Whether all is well with webhooks, and the sentence, after receivers were told so many hours ago."""
    url = environ.get("DATABASE_URL", f"sqlite:///{folder / 'data' / 'guestprefs.db'}")
    settings = Settings(data=folder / "data", database_url=url)
    asyncio.run(history(settings, told, tuple(timedelta(hours=one) for one in hours)))
    done = guestprefs(folder, "doctor", environ=environ)
    (line,) = [line for line in done.stdout.splitlines() if "Webhooks: " in line]
    mark, _, sentence = line.partition("Webhooks: ")
    assert done.returncode == mark.startswith("WRONG"), done.stdout
    return mark.startswith("ok"), sentence


def test_before_there_is_anything_nothing_is_looked_at(tmp_path: Path) -> None:
    assert guestprefs(tmp_path, "keys").returncode == 0
    done = guestprefs(tmp_path, "doctor")
    (line,) = [line for line in done.stdout.splitlines() if "Webhooks: " in line]
    mark, _, sentence = line.partition("Webhooks: ")
    assert (
        mark.startswith("ok") and sentence == "not looked at before the database has its tables and the vault its keys."
    )


def test_receivers_that_take_what_they_are_told_are_counted(tmp_path: Path, environ: dict[str, str]) -> None:
    fine, sentence = said_after(tmp_path, environ, {"boards": 204, "pms": 200}, 2)
    assert fine and sentence == "2 endpoints, none of them refusing; 0 dead letters in the log."


def test_a_receiver_that_refuses_for_long_is_named_and_since_when(tmp_path: Path, environ: dict[str, str]) -> None:
    fine, sentence = said_after(tmp_path, environ, {"boards": 204, "pms": 503}, 2)
    since = SystemClock().now() - timedelta(hours=2)
    said = {f"{since - timedelta(minutes=late):%Y-%m-%d %H:%M}" for late in range(5)}
    assert not fine
    assert any(sentence.startswith(f"pms has taken nothing since {when} UTC; 0 dead letters.") for when in said)
    assert "boards" not in sentence
    assert "GET /v1/webhooks/ID/deliveries" in sentence and "put the webhook again" in sentence


def test_a_receiver_that_refuses_for_a_while_is_no_fault_yet(tmp_path: Path, environ: dict[str, str]) -> None:
    fine, sentence = said_after(tmp_path, environ, {"pms": 503}, 0.9)
    assert fine and sentence == "1 endpoint, none of them refusing; 0 dead letters in the log."


def test_a_receiver_that_is_gone_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    fine, sentence = said_after(tmp_path, environ, {"old": 410, "pms": 503}, 3)
    assert not fine and "pms has taken nothing since" in sentence
    assert "; old said that it is gone (410); 0 dead letters." in sentence


def test_what_was_given_up_is_counted(tmp_path: Path, environ: dict[str, str]) -> None:
    fine, sentence = said_after(tmp_path, environ, {"pms": 500}, 26, 1.5)
    assert not fine and "pms has taken nothing since" in sentence and "; 1 dead letter." in sentence


def test_patience_without_end_would_be_noticed(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault."""
    monkeypatch.setattr(doctor, "WEBHOOK_PATIENCE", timedelta.max)
    fine, sentence = said_after(tmp_path, environ, {"pms": 503}, 2)
    assert fine and sentence.startswith("1 endpoint, none of them refusing")
