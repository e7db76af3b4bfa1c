"""The freshness contract over HTTP: three served processes, real Redis and PostgreSQL, and all that may go wrong.

Each promise is checked twice: briefly in `make test`, and at its full numbers in `make prove`. Counts are asserted, of
faults that may not be and of what must have happened for that to mean anything; never times.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

import pytest

from prefs.bootstrap import SystemClock
from prefs.cache.loader import LOADS_MAX
from prefs.cache.local import DELTA_S
from prefs.store.runners import PATIENCE_SLICES
from prefs.store.waiting import SLICE_S
from tests.cli.launch import launching
from tests.histories.checking import FAULTS, Finding, History
from tests.histories.herd import Statements, cold_start, stampede
from tests.histories.nemesis import BLINK, CUT, DROP, EVERY_DEED, EVICT, FREEZE, KILL, RESTART, STOP, Nemesis
from tests.histories.newcomers import Newcomers
from tests.histories.traffic import DEFAULT, DENSE, EVERY_GROUP, NO_CACHE, TOKEN, Group, Traffic
from tests.histories.trio import WORKERS, Trio
from tests.histories.withdrawals import Withdrawals
from tests.servers import PostgresServer

pytestmark = pytest.mark.timeout(300)

# How often each deed comes in one shuffle of the deck. A Redis that restarted is trusted with entries after ten
# seconds only, so a restart must be rare for the tiers to be seen at work.
DECK = [EVICT] * 6 + [CUT] * 2 + [DROP] * 2 + [STOP] * 3 + [FREEZE] * 3 + [KILL] + [RESTART]
PATIENCE_S = 120.0
TURNS_MAX = 15
HERD = 500
type Tell = Callable[[object], None]
COLD_RATE = 300
LEDGER = 1  # connection of each process beside those of its store, which a load takes


@pytest.fixture(scope="module")
def database_url(postgres_server: PostgresServer, migrated_postgres: str) -> Iterator[str]:
    name = "live"
    postgres_server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_postgres}"')
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Trio]:
    with Trio(tmp_path_factory.mktemp("trio"), database_url, launching("tests.chaos.stamped:create_app")) as trio:
        yield trio


@pytest.fixture(autouse=True)
def quick_again(trio: Trio) -> Iterator[None]:
    """Each test begins and ends with a database that answers at once."""
    trio.heal()
    yield
    trio.heal()


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Shows the figures of a test: those of a long one on the terminal, those of a short one if it fails."""

    def said(words: object) -> None:
        with capsys.disabled() if request.node.get_closest_marker("prove") else nullcontext():
            print(words)  # noqa: T201 - the figures of this promise

    return said


@pytest.fixture(scope="module")
def accepted() -> dict[str, datetime]:
    """Guests whose withdrawal was answered 202, and by when it holds: asked about once that has come."""
    return {}


@dataclass(frozen=True, slots=True)
class Least:
    """What must have happened for a history without faults to mean anything."""

    reads: int  # of each kind
    tier: int  # answers from each
    writes: int
    deeds: int  # of each kind

    def missing(self, traffic: Traffic, nemesis: Nemesis) -> list[str]:
        counts = traffic.counts
        had = [
            *((kind, counts.asked[kind], self.reads) for kind in (DEFAULT, NO_CACHE, TOKEN)),
            *((tier, counts.tiers[tier], self.tier) for tier in ("local", "shared", "store")),
            *((deed, nemesis.done[deed], self.deeds) for deed in EVERY_DEED),
            ("not modified", counts.unchanged, self.tier),
            ("written", counts.written, self.writes),
        ]
        return [f"{name}: {count} of {least}" for name, count, least in had if count < least]


async def watch(
    trio: Trio, seconds: float, pause_s: float, least: Least, groups: Sequence[Group] = EVERY_GROUP, seed: int = 5
) -> tuple[Traffic, Nemesis]:
    """On until the least has happened, for some minutes."""
    traffic, nemesis = Traffic(trio, groups, seed), Nemesis(trio, DECK, pause_s, seed)
    await asyncio.to_thread(traffic.prepare)
    await asyncio.to_thread(trio.wait_until_warm)
    given_up_at = time.monotonic() + seconds + PATIENCE_S
    async with nemesis.at_work():
        await traffic.run(seconds, lambda: not least.missing(traffic, nemesis) or time.monotonic() > given_up_at)
    return traffic, nemesis


def broken(history: History) -> list[Finding]:
    return [found for found in history.findings(DELTA_S) if found.fault in FAULTS]


def report(traffic: Traffic, nemesis: Nemesis) -> str:
    history, counts = traffic.history, traffic.counts
    excused = Counter(found.fault for found in history.findings(DELTA_S))
    return (
        f"{len(history.reads)} reads {dict(counts.asked)}, tiers {dict(counts.tiers)}, 304 {counts.unchanged}; "
        f"{counts.written} of {len(history.writes)} writes acknowledged, {counts.degraded} degraded; "
        f"without an answer {counts.unanswered}, refused {dict(counts.refused)}; deeds {dict(nemesis.done)}; "
        f"found {dict(excused)}"
    )


# ---------------------------------------------------------------- P1, P2, P3


async def test_reads_keep_the_contract_whatever_happens(trio: Trio, tell: Tell) -> None:
    """In small. What was excused was read around writes that said themselves that others might not see them yet."""
    least = Least(reads=200, tier=50, writes=100, deeds=1)
    traffic, nemesis = await watch(trio, seconds=16, pause_s=0.35, least=least)
    tell(report(traffic, nemesis))

    assert broken(traffic.history) == []
    assert least.missing(traffic, nemesis) == []
    assert set(traffic.counts.refused) <= {503}


@pytest.mark.prove
@pytest.mark.timeout(1800)
async def test_reads_keep_the_contract_at_length(trio: Trio, tell: Tell) -> None:
    """Three times a minute, and as often more as it takes to have asked enough."""
    asked: Counter[str] = Counter()
    written, turns = 0, 0
    while turns < 3 or written < 10_000 or asked[TOKEN] < 100_000 or asked[NO_CACHE] < 60_000:
        turns += 1
        assert turns <= TURNS_MAX, (written, asked)
        least = Least(reads=1000, tier=100, writes=200, deeds=1)
        traffic, nemesis = await watch(trio, seconds=60, pause_s=1.0, least=least, groups=DENSE, seed=turns)
        tell(report(traffic, nemesis))
        assert broken(traffic.history) == []
        assert least.missing(traffic, nemesis) == []
        assert set(traffic.counts.refused) <= {503}
        asked += traffic.counts.asked
        written += traffic.counts.written


# ---------------------------------------------------------------- P5


async def test_what_was_withdrawn_is_told_by_nobody(trio: Trio, accepted: dict[str, datetime], tell: Tell) -> None:
    withdrawals, nemesis = (
        Withdrawals(trio, guests=8, followed=True),
        Nemesis(trio, [EVICT, CUT, DROP, STOP, FREEZE, BLINK, BLINK], 0.3),
    )
    async with nemesis.at_work():
        tally = await withdrawals.run(seconds=6, enough=300)
    tell(f"{tally.withdrawn} told {dict(tally.judged)}, {len(tally.accepted)} later; {tally.followed}")
    accepted |= tally.accepted

    assert tally.followed.faults(nemesis.stops) == []
    assert min(tally.followed.shown, tally.followed.cleared) >= 5, tally.followed

    assert tally.leaks == []
    assert tally.withdrawn >= 10
    assert tally.shown >= 10 * 2 * WORKERS
    assert sum(tally.judged.values()) >= 300
    assert nemesis.done.total() >= 5


@pytest.mark.prove
@pytest.mark.timeout(900)
async def test_what_was_withdrawn_is_told_by_nobody_in_twenty_thousand_reads(
    trio: Trio, accepted: dict[str, datetime], tell: Tell
) -> None:
    withdrawals, nemesis = Withdrawals(trio, guests=20, followed=True), Nemesis(trio, DECK, 1.0)
    async with nemesis.at_work():
        tally = await withdrawals.run(seconds=30, enough=20_000)
    tell(f"{tally.withdrawn} told {dict(tally.judged)}, {len(tally.accepted)} later; {tally.followed}")
    accepted |= tally.accepted

    assert tally.followed.faults(nemesis.stops) == []
    assert min(tally.followed.shown, tally.followed.cleared) >= 100, tally.followed

    assert tally.leaks == []
    assert sum(tally.judged.values()) >= 20_000
    assert set(nemesis.done) == set(EVERY_DEED)


# ---------------------------------------------------------------- P7


async def test_what_is_made_after_it_was_missed_is_found(trio: Trio, tell: Tell) -> None:
    newcomers, nemesis = Newcomers(trio), Nemesis(trio, [EVICT, CUT, STOP], 0.3)
    async with nemesis.at_work():
        tally = await newcomers.run(seconds=4, enough=200)
    tell(f"{dict(tally.made)}, missed {tally.missed_before}, judged {tally.judged}, excused {tally.excused}")

    assert tally.false == []
    assert tally.judged >= 200
    assert min(tally.made["property"], tally.made["stay"]) >= 3
    assert tally.missed_before >= WORKERS * tally.made.total()


@pytest.mark.prove
@pytest.mark.timeout(900)
async def test_what_is_made_is_found_ten_thousand_times(trio: Trio, tell: Tell) -> None:
    newcomers, nemesis = Newcomers(trio, makers=20), Nemesis(trio, [EVICT, CUT, FREEZE], 0.5)
    async with nemesis.at_work():
        tally = await newcomers.run(seconds=10, enough=10_000)
    tell(f"{dict(tally.made)}, missed {tally.missed_before}, judged {tally.judged}, excused {tally.excused}")

    assert tally.false == []
    assert tally.judged >= 10_000


# ---------------------------------------------------------------- P6


@pytest.mark.alone
async def test_a_herd_costs_a_statement_a_process(trio: Trio, postgres_server: PostgresServer, tell: Tell) -> None:
    """Five hundred readers at once of a guest whose entry is gone, by PostgreSQL's own account of what it was asked."""
    (guest,) = await asyncio.to_thread(trio.make_guests, 1)
    await asyncio.to_thread(trio.wait_until_warm)
    with Statements(postgres_server) as statements:
        costs = [await stampede(trio, guest, HERD, statements) for _ in range(3)]
        trio.make_late((1.0, 0.02))  # nobody has an answer before all have asked
        costs += [await stampede(trio, guest, HERD, statements) for _ in range(3)]
    tell(costs)

    assert min(cost.statements for cost in costs) >= 1
    assert max(cost.statements - cost.given_up for cost in costs) <= WORKERS
    assert any(cost.given_up == 0 for cost in costs)


@pytest.mark.alone
async def test_a_redis_that_comes_back_empty_does_not_flood_the_database(
    trio: Trio, postgres_server: PostgresServer, tell: Tell
) -> None:
    guests = await asyncio.to_thread(trio.make_guests, 200)
    trio.make_late((1.0, 0.1))  # so that reads of the database overlap: without bounds some twenty would
    for _ in range(3):
        for proxy in trio.proxies:
            proxy.most_busy = 0
        start = await cold_start(trio, guests, COLD_RATE, seconds=6, database=postgres_server.dsn())
        at_once = [proxy.most_busy for proxy in trio.proxies]
        tell(f"{dict(start.statuses)}, at once {at_once}, still for {start.still_s:.3f} s")

        assert start.statuses.total() == 6 * COLD_RATE
        assert max(at_once) <= LOADS_MAX + LEDGER
        assert max(at_once) >= 2
        # A database that says nothing for that long is taken for gone, and then it is right to refuse.
        if start.still_s < PATIENCE_SLICES * SLICE_S / 2:
            break
    assert start.statuses[200] >= 0.999 * start.statuses.total()


# ---------------------------------------------------------------- in the end


@pytest.mark.prove
@pytest.mark.timeout(900)
async def test_what_was_accepted_holds_by_when_it_was_said(trio: Trio, accepted: dict[str, datetime]) -> None:
    """A withdrawal that not everybody could be told of was answered 202 and a time. That time is waited for."""
    assert accepted, "Redis was never away from a withdrawal"
    by = max(accepted.values())
    while SystemClock().now() < by:
        await asyncio.to_thread(time.sleep, 1)
    withdrawals = Withdrawals(trio, guests=0)
    assert await withdrawals.leaks_of(list(accepted)) == []
