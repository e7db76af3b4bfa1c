"""P32 over HTTP: wrapping keys are rotated with the command, beside a service that is asked all the while for guests of
whom no process holds a copy; nobody is refused for want of a key, and the old key can go. (Ten thousand data keys:
tests/store/test_rotation.py.)"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.bench import wire
from tests.chaos.grounds import Grounds
from tests.chaos.openloop import Ask, OpenLoop, Reply, failed, percentile, statuses
from tests.cli.launch import launching
from tests.cli.served import Done, guestprefs, guestprefs_process

pytestmark = pytest.mark.timeout(590)
UNRENEWED = launching("tests.chaos.unrenewed:create_app")


type Run = Callable[..., Done]


def command(run: Run, grounds: Grounds, *words: str) -> str:
    done = run(grounds.folder, *words, environ=grounds.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def reads(grounds: Grounds) -> list[Ask]:
    """Of each guest in turn, past the copies of the process."""
    known = [row[0] for row in grounds.postgres.execute("SELECT id FROM guest ORDER BY random()", "chaos")]
    headers = {"cache-control": "no-cache"}
    return [Ask("read", wire.request(grounds.path(id), headers=headers, token=grounds.service), id) for id in known]


@dataclass(frozen=True, slots=True)
class Rotated:
    replies: list[Reply]
    shed: float  # refused since there was too much to do, as a machine of two cores may at times
    keys: list[str]  # how many data keys each rotation wrapped anew


def rotate_under_load(grounds: Grounds, rate: float, seconds: float, pause_s: float, run: Run = guestprefs) -> Rotated:
    """Rotate as long as it is asked for guests, and let each old key go."""
    asks, keys = reads(grounds), list[str]()
    shed = grounds.metric("guestprefs_requests_shed_total")
    with OpenLoop(grounds.server.port, asks, rate) as load:
        time.sleep(1)
        while load.now() < seconds or not keys:
            keys += re.findall(r" wraps all (\d+) data keys", command(run, grounds, "vault", "rotate"))
            command(run, grounds, "vault", "drop-keys")
            time.sleep(pause_s)
    assert f"wraps {len(asks)} data keys, all there are" in command(run, grounds, "vault", "status")
    return Rotated(load.replies, grounds.metric("guestprefs_requests_shed_total") - shed, keys)


def lacking(seen: Rotated) -> list[Reply]:
    """Answers that were none, other than for want of time."""
    refused = [reply for reply in seen.replies if reply.status == 503]
    return [*failed(seen.replies, 503), *(refused if len(refused) > seen.shed else ())]


def opened(folder: Path, guests: int, launch: Sequence[str] | None = None, workers: int = 1) -> Grounds:
    """With this many guests more, whom the service has never read."""
    grounds = Grounds(folder, guests=2, launch=launch, workers=workers).__enter__()
    try:
        done = guestprefs(folder, "seed", "--guests", str(guests), environ=grounds.environ)
        assert done.returncode == 0, done.stderr
    except BaseException:
        grounds.__exit__()
        raise
    return grounds


def test_keys_rotate_beside_a_service_that_is_asked(tmp_path: Path) -> None:
    grounds = opened(tmp_path, guests=300)
    try:
        seen = rotate_under_load(grounds, rate=60, seconds=3, pause_s=0.5)
        assert lacking(seen) == [], statuses(seen.replies)
        assert len(seen.replies) > 60 and all(reply.own for reply in seen.replies)
    finally:
        grounds.__exit__()


@pytest.mark.prove
def test_a_process_that_does_not_look_for_newer_keys_is_noticed(tmp_path: Path) -> None:
    grounds = opened(tmp_path, guests=300, launch=UNRENEWED)
    try:
        assert lacking(rotate_under_load(grounds, rate=60, seconds=3, pause_s=0.5)) != []
    finally:
        grounds.__exit__()


@pytest.mark.prove
@pytest.mark.alone
@pytest.mark.parametrize("workers, rate", [(1, 300), (2, 150)])
def test_p32_at_its_numbers(tmp_path: Path, workers: int, rate: int, capsys: pytest.CaptureFixture[str]) -> None:
    grounds = opened(tmp_path, guests=2_000, workers=workers)
    try:
        seen = rotate_under_load(grounds, rate, seconds=60, pause_s=10, run=guestprefs_process)
        replies, told = seen.replies, statuses(seen.replies)
        with capsys.disabled():
            print(  # noqa: T201 - the figures of this row
                f"{len(seen.keys)} rotations of {seen.keys[0]} data keys beside {len(replies)} reads"
                f" ({len(replies) / replies[-1].at:.0f}/s): {told}, {seen.shed:.0f} for want of time,"
                f" p99 {1000 * percentile(replies, 0.99):.0f} ms"
            )
        assert lacking(seen) == [], told
        assert workers == 1 or set(told) == {200}, "what another process shed is not known here"
        assert told[200] > 60 * rate * 0.99
        grounds.server.terminate()
        grounds.server.start()  # with the newest key alone
        assert all(grounds.read(guest).status_code == 200 for guest in grounds.guests)
    finally:
        grounds.__exit__()
