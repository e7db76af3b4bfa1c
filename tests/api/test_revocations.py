"""What is taken back is refused: here at once, in every other process when it next reads the list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.cli import credentials
from prefs.core.errors import StoreUnavailable
from prefs.core.revocations import Revocable
from prefs.settings import Settings
from tests.api.conftest import opened
from tests.api.front import PROPERTY, Front, StandingClock

FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def other(settings: Settings, clock: StandingClock, front: Front) -> AsyncIterator[Front]:
    """A second process of the same service."""
    async with opened(settings, clock) as other:
        yield other


def jti_of(front: Front, token: str) -> str:
    return str(front.app.state.verifier._checked_claims(token)[1]["jti"])


async def read(front: Front, guest: str, token: str) -> int:
    return (await front.call("GET", f"/v1/guests/{guest}/preferences", token)).status_code


async def revoke(front: Front, kind: str, value: str) -> Any:
    return await front.ok("POST", "/v1/revocations", front.operator(), {"kind": kind, "value": value})


@pytest.mark.parametrize("by", ["token", "subject"])
async def test_a_revocation_reaches_every_process(front: Front, other: Front, clock: StandingClock, by: str) -> None:
    other.key = front.key
    await front.new_property(PROPERTY)
    guest = await front.new_guest()
    token, bystander = front.guest(guest), front.service()
    for process in (front, other):
        for _ in range(2):  # the second is answered from what lies ready
            assert await read(process, guest, token) == 200
    told = await revoke(front, by, jti_of(front, token) if by == "token" else guest)
    assert await read(front, guest, token) == 401
    begun = clock.now()
    while await read(other, guest, token) == 200:
        clock.pass_by(timedelta(seconds=1))
        await other.app.state.watch.tick()
        assert clock.now() - begun < FIVE_MINUTES
    assert clock.now().isoformat().replace("+00:00", "Z") <= told["effective_by"]
    for process in (front, other):
        assert await read(process, guest, bystander) == 200
        clock.pass_by(timedelta(seconds=1))
        assert await read(process, guest, front.guest(guest)) == 200  # a newer one of the same subject


async def test_a_database_that_is_gone_changes_nothing(
    front: Front, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await front.new_property(PROPERTY)
    guest = await front.new_guest()
    token = front.guest(guest)
    await revoke(front, "token", jti_of(front, token))

    async def gone(*_: Any) -> Any:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(front.house.store.credentials, "revocations", gone)
    clock.pass_by(timedelta(minutes=1))
    await front.app.state.watch.tick()
    assert await read(front, guest, token) == 401


async def test_the_command_line_revokes_too(front: Front, settings: Settings, clock: StandingClock) -> None:
    await front.new_property(PROPERTY)
    staff = front.staff()
    assert (await front.call("GET", "/v1/properties", staff)).status_code == 200
    said = await credentials.taken_back(settings, Revocable.TOKEN, jti_of(front, staff))
    assert "refused by every process" in said
    clock.pass_by(timedelta(seconds=15))
    await front.app.state.watch.tick()
    assert (await front.call("GET", "/v1/properties", staff)).status_code == 401
