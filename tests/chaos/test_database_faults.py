"""P16 and P17 over HTTP: while the database is gone, known guests are read and writes are refused soon and clearly;
when it is back, as it was or as another one, everything goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.chaos.grounds import FOR_FOOD, SEALED, Grounds, wait_until
from tests.chaos.openloop import OpenLoop, Reply, failed, percentile, statuses
from tests.cli.served import bearer

# Each starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

RATE = 100
WRITE_SHARE = 10  # one write in so many questions

AVAILABLE = 0.999  # P16
REFUSED_S = 1.0
LEDGER = 1  # connection of its own, which finds out for itself when it next writes
CONSENT_S = 60
BACK_S = 5.0  # P17


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    with Grounds(tmp_path_factory.mktemp("sql")) as grounds:
        first = grounds.guests[0]
        consent = f"/v1/guests/{first}/consents/{FOR_FOOD}"
        given = grounds.http.put(consent, headers=bearer(grounds.token_of(first)))
        assert given.status_code < 300, given.text
        told = grounds.prefer(first, [{"code": "peanuts"}], SEALED)
        assert told.status_code == 200, told.text
        yield grounds


@pytest.fixture
def grounds(opened: Grounds) -> Iterator[Grounds]:
    opened.wait_for_tier("shared", cache_control="no-cache")
    opened.wait_for_tier("local")
    for guest in opened.guests:
        assert opened.read(guest).status_code == 200
    yield opened
    for server in (opened.postgres, opened.valkey):
        server.start()
    opened.sql.heal()
    opened.redis.heal()
    opened.postgres.execute("ALTER SYSTEM RESET default_transaction_read_only")
    opened.postgres.execute("SELECT pg_reload_conf()")
    wait_until(lambda: opened.prefer(opened.guests[0], 1).status_code == 200, "writes")


FAULTS: dict[str, Callable[[Grounds], None]] = {
    "hung": lambda grounds: setattr(grounds.sql, "hung", True),
    "stopped": lambda grounds: grounds.postgres.freeze(),
    "refused": lambda grounds: grounds.sql.refuse(),
    "killed": lambda grounds: grounds.postgres.kill9(),
}
ENDS: dict[str, Callable[[Grounds], None]] = {
    "hung": lambda grounds: grounds.sql.heal(),
    "stopped": lambda grounds: grounds.postgres.thaw(),
    "refused": lambda grounds: grounds.sql.heal(),
    "killed": lambda grounds: grounds.postgres.start(),
}


def check_refused(replies: list[Reply]) -> None:
    assert replies
    assert {reply.status for reply in replies} == {503}, statuses(replies)
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies)


def outage(grounds: Grounds, fault: str, seconds: float, rate: float) -> tuple[list[Reply], list[Reply], float]:
    """Reads and writes while the database is gone, and the seconds until a write is taken again."""
    asks = []
    for number, read in enumerate(grounds.reads() * WRITE_SHARE):
        asks += [read, *([grounds.writes()[number // WRITE_SHARE]] if number % WRITE_SHARE == 0 else [])]
    FAULTS[fault](grounds)
    with OpenLoop(grounds.server.port, asks, rate, connections=200) as load:
        time.sleep(seconds)
        ended = load.now()
        ENDS[fault](grounds)
        back = wait_until(lambda: grounds.prefer(grounds.guests[0], 5).status_code == 200, "writes")
    # What is asked later may wait until the database is back; twice as long, as the machine may stand still meanwhile.
    during = load.since(0, ended - 2 * REFUSED_S)
    reads = [reply for reply in during if reply.label == "read"]
    return reads, [reply for reply in during if reply.label == "write"], back


@pytest.mark.parametrize("fault", ["hung", "killed"])
def test_known_guests_are_read_and_writes_refused_while_the_database_is_gone(grounds: Grounds, fault: str) -> None:
    reads, writes, _ = outage(grounds, fault, seconds=4, rate=RATE)

    assert failed(reads) == [], statuses(reads)
    check_refused(writes)


def test_what_is_told_without_database_and_redis_is_marked_and_nobody_unknown_is_told(grounds: Grounds) -> None:
    """No tier can be asked whether anything changed: answers bear their age."""
    known = grounds.guests[0]
    unknown = grounds.http.post("/v1/guests", json={"display_name": "New"}, headers=bearer(grounds.service)).json()
    before = grounds.read(known)
    grounds.sql.hung = True
    grounds.redis.refuse()
    wait_until(lambda: "age" in grounds.read(known).headers, "a stale answer")
    with OpenLoop(grounds.server.port, grounds.reads(), RATE) as load:
        time.sleep(1)
        stale = grounds.read(known)
        absent = grounds.read(unknown["guest"])

    assert failed(load.replies) == [], statuses(load.replies)
    assert {reply.headers["cache-status"] for reply in load.replies} == {"guestprefs; hit; detail=stale"}
    assert all(1 <= int(reply.headers["age"]) < CONSENT_S for reply in load.replies)
    assert stale.content == before.content
    assert_refused(absent)
    grounds.sql.heal()
    grounds.redis.heal()
    wait_until(lambda: "age" not in grounds.read(known).headers, "a fresh answer")
    wait_until(lambda: grounds.read(unknown["guest"]).status_code == 200, "the unknown one")


def assert_refused(answer: httpx2.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["code"] == "STORE_UNAVAILABLE"


def demoted(grounds: Grounds) -> None:
    """As after a failover: the same sessions, and the server takes no write in them."""
    grounds.postgres.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    grounds.postgres.execute("SELECT pg_reload_conf()")


def sessions(grounds: Grounds) -> set[int]:
    found = grounds.postgres.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'guestprefs'")
    return {row["pid"] for row in found}


def test_sessions_that_turned_read_only_are_left_and_writes_come_back(grounds: Grounds) -> None:
    """SQLSTATE 25006, as a demoted primary says it, makes the whole pool connect anew."""
    with OpenLoop(grounds.server.port, grounds.writes(), rate=0, connections=16):
        time.sleep(1)
    before = sessions(grounds)
    assert len(before) > 3, "too few to tell a pool from one connection"
    demoted(grounds)
    wait_until(lambda: grounds.prefer(grounds.guests[0], 4).status_code == 503, "a refusal")
    left = before & sessions(grounds)
    assert len(left) <= LEDGER, left
    assert_refused(grounds.prefer(grounds.guests[0], 4))
    assert grounds.read(grounds.guests[0]).status_code == 200
    grounds.postgres.execute("ALTER SYSTEM RESET default_transaction_read_only")
    grounds.postgres.execute("SELECT pg_reload_conf()")
    wait_until(lambda: grounds.prefer(grounds.guests[0], 5).status_code == 200, "writes")
    assert grounds.read(grounds.guests[0], cache_control="no-cache").json()["version"] > 1


@pytest.mark.parametrize("fault", ["restarted", "cut"])
def test_a_database_that_restarts_costs_no_hand(grounds: Grounds, fault: str) -> None:
    if fault == "restarted":
        grounds.postgres.stop()
        assert_refused(grounds.prefer(grounds.guests[0], 6))
        grounds.postgres.start()
    else:
        grounds.sql.cut()
        assert grounds.prefer(grounds.guests[0], 6).status_code == 200, "dialled anew within the call"
    wait_until(lambda: grounds.prefer(grounds.guests[0], 7).status_code == 200, "writes")
    answers = [grounds.prefer(guest, 8).status_code for guest in grounds.guests * 3]
    assert answers == [200] * len(answers), "no dead connection was left in the pool"


# ---------------------------------------------------------------- at their numbers


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS)
def test_p16_and_p17_at_their_numbers(grounds: Grounds, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A minute in the first round; all of three for what must never be, best of three for how soon it is back."""
    rounds = [outage(grounds, fault, seconds=60 if number == 0 else 10, rate=300) for number in range(3)]
    with capsys.disabled():
        for reads, writes, back in rounds:
            said = f"{fault}: reads {statuses(reads)}, writes {statuses(writes)}, refused within"
            print(f"{said} {max(reply.seconds for reply in writes):.2f} s, writes back after {back:.2f} s")  # noqa: T201
    for reads, writes, _ in rounds:
        assert len(failed(reads)) <= (1 - AVAILABLE) * len(reads), statuses(reads)
        check_refused(writes)
        assert percentile(writes, 1.0) <= REFUSED_S
    assert min(back for *_, back in rounds) <= BACK_S


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_what_hangs_on_a_consent_is_withheld_after_a_minute(grounds: Grounds) -> None:
    """It may have been withdrawn meanwhile, where nobody could tell us."""
    known = grounds.guests[0]
    own = bearer(grounds.token_of(known))
    assert grounds.http.get(grounds.path(known), headers=own).json()["preferences"][SEALED]["status"] == "applied"
    grounds.sql.hung = True
    grounds.redis.refuse()
    began = time.monotonic()
    while time.monotonic() < began + CONSENT_S + 4:
        sent = time.monotonic()
        told = grounds.http.get(grounds.path(known), headers=own)
        assert told.status_code == 200, told.text
        status = told.json()["preferences"][SEALED]["status"]
        if sent > began + CONSENT_S + 1:
            assert status == "withheld_no_consent"
        elif time.monotonic() < began + CONSENT_S - 1:
            assert status == "applied"
        time.sleep(0.25)
