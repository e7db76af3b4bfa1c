"""kill -9 of whichever process tells a webhook, while others write: another takes over, nothing is lost, each guest's
order is kept, and what comes twice comes under the same id."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.chaos.flapping import Writers
from tests.chaos.taking import Taking
from tests.cli.launch import launching
from tests.cli.served import bearer, guestprefs
from tests.histories.trio import Trio
from tests.receiver import Receiver, receiving

# Starts servers of its own, and each takeover waits for a lease to end.
pytestmark = pytest.mark.timeout(300)

GUESTS = 4
BRIEF = launching("tests.chaos.brief:create_app")
TRUSTING = launching("tests.chaos.trusting:create_app")
PATIENCE_S = 90.0
SETTLED_S = 6.0
SILENCE_S = 10.0
CALM_PAUSE_S = 0.8


@dataclass
class Trial:
    """What came of it."""

    writers: Writers
    taking: Taking
    killed: list[tuple[float, float]] = field(default_factory=list)  # when, and when the next message was taken
    calm_since: float = math.inf

    @property
    def faults(self) -> list[str]:
        return self.taking.faults(self.writers)

    def described(self) -> str:
        """The figures."""
        under_fire, calm = self.taking.delays_ms(self.writers, self.calm_since)
        takeovers = sorted(back - at for at, back in self.killed)
        rates = sorted(sum(back <= one.at < back + 2 for one in self.taking.taken) / 2 for _, back in self.killed)
        return (
            f"{self.writers.count} changes, {len(self.killed)} kills, {len(self.taking.held)} of them over a message"
            f" on its way: {len(self.faults)} faults, {self.taking.repeats} taken twice; takeover"
            f" after {takeovers[0]:.1f} to {takeovers[-1]:.1f} s, median {_share(takeovers, 50):.1f} s; then"
            f" {_share(rates, 50):.0f} deliveries/s, at most {rates[-1]:.0f}; from acknowledgement to receipt"
            f" p50 {_share(under_fire, 50):.0f} ms, p99 {_share(under_fire, 99):.0f} ms under fire, and p50"
            f" {_share(calm, 50):.0f} ms, p99 {_share(calm, 99):.0f} ms for {len(calm)} changes afterwards"
        )


def _share(found: Sequence[float], percent: int) -> float:
    return found[min(len(found) - 1, len(found) * percent // 100)] if found else float("nan")


def run(
    folder: Path,
    url: str,
    kills: int,
    enough: int,
    pause_s: float,
    launch: Sequence[str] | None = BRIEF,
    calm: int = 0,
) -> Trial:
    """What came of so many kills of whoever sends, while at least so many changes are made, and `calm` more after."""
    assert guestprefs(folder, "migrate", environ={"DATABASE_URL": url}).returncode == 0
    environ = {"GUESTPREFS_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    with Trio(folder, url, launch=launch, late=(0.0, 0.0), environ=environ) as trio:
        people = trio.make_guests(GUESTS)
        writers = Writers([one.url for one in trio.workers], {guest: trio.guest_token(guest) for guest in people})
        writers.pause_s = pause_s

        async def trial() -> Trial:
            async with receiving() as receiver:
                made = Trial(writers, Taking(receiver, _endpoint(trio, receiver)))
                await _run(trio, made, kills, enough, calm)
                return made

        return asyncio.run(trial())


def _endpoint(trio: Trio, receiver: Receiver) -> str:
    """Have the receiver told; its secret."""
    body = {"url": receiver.url(), "surface": "guest_app"}
    url = f"{trio.workers[0].url}/v1/webhooks/app"
    put = httpx2.put(url, json=body, headers=bearer(trio.operator_token()), timeout=30)
    assert put.status_code == 201, put.text
    return str(put.json()["secret"])


async def _run(trio: Trio, trial: Trial, kills: int, enough: int, calm: int) -> None:
    """Kills while all write, until there is enough; then as many more changes as are asked for, a few each second."""
    writers, taking, chance = trial.writers, trial.taking, random.Random(27)
    writing = asyncio.ensure_future(_write(writers, 10**9))
    for number in range(kills):
        await taking.takes(chance.randrange(5, 20))
        on_its_way = number % 2 == 0
        sender = trio.process(await asyncio.to_thread(_sender, trio))
        assert sender is not None
        # A server whose worker dies as soon as it was started takes that for a fault that does not pass, and ends.
        await asyncio.sleep(max(0.0, sender.create_time() + SETTLED_S - time.time()))
        if on_its_way:
            await taking.hold()
        sender.kill()
        await asyncio.to_thread(sender.wait, 30)
        at = time.monotonic()
        if on_its_way:
            taking.let_go()
        else:
            await asyncio.sleep(0.5)  # what it sent last has come by then
        await taking.takes(1)
        trial.killed.append((at, taking.taken[-1].at))
        await asyncio.to_thread(trio.wait_until_ready)
    writers.enough = enough
    await writing
    await _caught_up(taking, writers)
    if calm:
        trial.calm_since, writers.pause_s = time.monotonic(), CALM_PAUSE_S
        await _write(writers, writers.count + calm)
        await _caught_up(taking, writers)


async def _write(writers: Writers, enough: int) -> None:
    writers.enough = enough
    chances = enumerate(writers.tokens, writers.count)
    await asyncio.gather(*(writers.write(guest, random.Random(seed)) for seed, guest in chances))


async def _caught_up(taking: Taking, writers: Writers) -> None:
    """Until everything was taken, or nothing comes any more."""
    deadline, seen = time.monotonic() + SILENCE_S, 0
    while not taking.has_all(writers) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        if len(taking.taken) > seen:
            deadline, seen = time.monotonic() + SILENCE_S, len(taking.taken)


def _sender(trio: Trio) -> int:
    """Which worker holds the lease."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for number in range(len(trio.workers)):
            if trio.measured(number).get("guestprefs_webhook_endpoints"):
                return number
    raise AssertionError("nobody tells the webhook")


def test_killed_senders_lose_nothing(tmp_path: Path, postgres_url: str) -> None:
    trial = run(tmp_path, postgres_url, kills=2, enough=60, pause_s=0.1)
    assert trial.faults == []
    (held,) = trial.taking.held
    assert held in {one.id for one in trial.taking.taken}, "what was on its way comes again"


@pytest.mark.prove
def test_a_sender_that_trusts_in_what_it_sent_is_caught(tmp_path: Path, postgres_url: str) -> None:
    """Were this not red, the one above would prove nothing."""
    trial = run(tmp_path, postgres_url, kills=1, enough=40, pause_s=0.1, launch=TRUSTING)
    assert [fault for fault in trial.faults if "is lost" in fault], trial.described()


@pytest.mark.prove
@pytest.mark.parametrize(("kills", "launch"), [(10, BRIEF), (4, None)], ids=["ten-kills", "leases-of-half-a-minute"])
@pytest.mark.timeout(900)
def test_killed_senders_at_length(
    tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str], kills: int, launch: Sequence[str] | None
) -> None:
    """2,000 changes, with leases that end soon and ten kills, and with those of the product."""
    trial = run(tmp_path, postgres_url, kills, 2_000, pause_s=0.25 if launch else 0.5, launch=launch, calm=200)
    with capsys.disabled():
        print(trial.described())  # noqa: T201 - the figures of this row
    assert trial.faults == []
    assert trial.writers.count >= 2_200 and len(trial.killed) == kills
