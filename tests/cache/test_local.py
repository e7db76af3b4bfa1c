"""The local tier alone, its clock and its messages in the test's hands."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from typing import Any

import pytest

from prefs.cache.codec import encode
from prefs.cache.local import (
    DELTA_S,
    ENDED_MAX,
    NEGATIVE_TTL_S,
    PREPARED_MAX,
    STALE_MAX_S,
    TTL_S,
    UNPACKED_MAX,
    Kept,
    LocalTier,
    Prepared,
    footprint,
)
from prefs.core.entries import Document
from prefs.ports import Record
from tests.store.samples import NOW, entry

KEY, PLACE = "g:gst_1", "aaaaaaaa"


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def document(version: int, entries: int = 1) -> Document:
    return Document("gst_1", version, tuple(entry(f"prf_{n}") for n in range(entries)), (), (), "Ann", NOW, NOW)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def tier(time: Time) -> LocalTier:
    tier = LocalTier(monotonic=time)
    tier.subscribe(PLACE)
    tier.vouch(time.now)
    return tier


def packed(version: int) -> bytes:
    return encode("g", document(version) if version else None)


def keep(tier: LocalTier, version: int = 1, key: str = KEY, namespace: str | None = PLACE) -> Kept | None:
    return tier.keep(key, tier.expect(key), packed(version), version, namespace)


def test_what_was_kept_is_served_while_the_heartbeat_is_new(tier: LocalTier, time: Time) -> None:
    assert keep(tier)
    kept = tier.fresh(KEY)
    assert kept is not None and tier.value(kept) == document(1)
    assert tier.value(kept) is tier.value(kept), "unpacked once"

    time.now += DELTA_S - 0.001
    assert tier.fresh(KEY) is not None
    time.now += 0.002
    assert tier.fresh(KEY) is None
    tier.vouch(time.now)
    assert tier.fresh(KEY) is not None, "one connection, in order: nothing was missed"


def test_a_heartbeat_counts_from_when_it_was_sent(tier: LocalTier, time: Time) -> None:
    keep(tier)
    time.now += 1
    tier.vouch(time.now - DELTA_S)

    assert tier.fresh(KEY) is None


def test_an_older_copy_than_the_reader_knows_is_not_served(tier: LocalTier) -> None:
    keep(tier, 3)

    assert tier.fresh(KEY, 3) is not None
    assert tier.fresh(KEY, 4) is None


@pytest.mark.parametrize(("heard", "served"), [(0, False), (1, True), (2, True), (3, False)])
def test_a_message_ends_older_copies(tier: LocalTier, heard: int, served: bool) -> None:
    keep(tier, 2)
    tier.hear(KEY, heard)

    assert (tier.fresh(KEY) is not None) is served


@pytest.mark.parametrize(("heard", "kept"), [(1, True), (2, True), (3, False)])
def test_what_is_as_new_as_a_message_is_kept(tier: LocalTier, heard: int, kept: bool) -> None:
    """The message of a write comes a moment after its answer: whoever reads at once has read what it tells of."""
    expected = tier.expect(KEY)
    tier.hear(KEY, heard)

    assert (tier.keep(KEY, expected, packed(2), 2, PLACE) is not None) is kept
    assert (tier.fresh(KEY) is not None) is kept


@pytest.mark.parametrize("event", ["unknown", "newer", "purge", "distrust", "subscribe", "another load"])
def test_what_was_disturbed_while_loading_is_not_kept(tier: LocalTier, time: Time, event: str) -> None:
    expected = tier.expect(KEY)
    match event:
        case "unknown":
            tier.hear(KEY, 0)
        case "newer":
            tier.hear(KEY, 2)
        case "purge":
            tier.hear(KEY, 0, purge=True)
        case "distrust":
            tier.distrust()
        case "subscribe":
            tier.subscribe(PLACE)
        case _:
            tier.expect(KEY)
    tier.vouch(time.now)

    assert not tier.keep(KEY, expected, packed(1), 1, PLACE)
    assert tier.fresh(KEY) is None
    assert tier.stale(KEY) is None


def test_what_another_server_said_is_not_fresh(tier: LocalTier) -> None:
    assert not keep(tier, namespace="bbbbbbbb")
    assert tier.fresh(KEY) is None


def test_a_lost_connection_distrusts_everything_for_good(tier: LocalTier, time: Time) -> None:
    keep(tier)
    tier.distrust()
    tier.subscribe(PLACE)
    tier.vouch(time.now)

    assert tier.trusted()
    assert tier.fresh(KEY) is None
    assert tier.stale(KEY) is not None


def test_what_is_loaded_while_nobody_listens_is_kept_for_when_the_store_is_gone(tier: LocalTier, time: Time) -> None:
    """Listening fails again and again meanwhile. Copies of before tell the age that they have."""
    keep(tier, key="g:gst_2")
    time.now += 30
    tier.vouch(time.now)
    tier.distrust()
    for _ in range(2 * ENDED_MAX):
        expected = tier.expect(KEY)
        tier.distrust()
        assert not tier.keep(KEY, expected, packed(1), 1, None)
        assert tier.fresh(KEY) is None
        assert tier.stale(KEY) is not None
    time.now += 10
    known = tier.stale("g:gst_2")

    assert known is not None and known[1] == pytest.approx(10)


def test_copies_end_by_themselves(tier: LocalTier, time: Time) -> None:
    keep(tier)
    keep(tier, 0, "g:gst_2")
    for passed_s, left in ((NEGATIVE_TTL_S, [KEY]), (TTL_S - NEGATIVE_TTL_S, [])):
        time.now += passed_s
        tier.vouch(time.now)
        assert [key for key in (KEY, "g:gst_2") if tier.fresh(key)] == left


def test_a_stale_copy_tells_since_when_it_is_in_doubt(tier: LocalTier, time: Time) -> None:
    keep(tier)
    time.now += 0.1
    tier.vouch(time.now)
    time.now += 30
    tier.distrust()
    time.now += 10

    known = tier.stale(KEY)

    assert known is not None
    assert (known[0].version, known[1]) == (1, pytest.approx(40))
    assert tier.stale(KEY, 2) is None
    time.now += STALE_MAX_S - 40.1
    assert tier.stale(KEY) is not None
    time.now += 0.2
    assert tier.stale(KEY) is None


def test_a_copy_known_to_be_old_stays_for_bad_times_but_not_after_a_withdrawal(tier: LocalTier, time: Time) -> None:
    keep(tier, 1)
    tier.hear(KEY, 2)
    time.now += 5
    known = tier.stale(KEY)
    assert known is not None and known[1] == pytest.approx(5)

    tier.hear(KEY, 3, purge=True)
    assert tier.stale(KEY) is None
    assert (len(tier), tier.size_bytes) == (0, 0)


def test_what_was_read_without_a_server_only_ever_serves_as_stale(tier: LocalTier) -> None:
    keep(tier, namespace=None)

    assert tier.fresh(KEY) is None
    assert tier.stale(KEY) is not None


def test_the_tier_is_bounded_and_keeps_what_is_read(time: Time) -> None:
    tier = LocalTier(bytes_max=50 * footprint(packed(1)), monotonic=time)
    tier.subscribe(PLACE)
    tier.vouch(time.now)
    keep(tier)
    for number in range(500):
        keep(tier, 1, f"g:gst_x{number}")
        assert tier.fresh(KEY) is not None

    assert tier.size_bytes <= 50 * footprint(packed(1))
    assert len(tier) == 50
    assert tier.fresh("g:gst_x0") is None
    assert tier.fresh("g:gst_x499") is not None


def test_prepared_bytes_count_and_go_with_their_value(tier: LocalTier) -> None:
    keep(tier)
    kept = tier.fresh(KEY)
    assert kept is not None
    before = tier.size_bytes
    first, again = (Prepared(("front_desk", "en"), data, (), 1000) for data in (b"first", b"again"))
    tier.prepare(kept, first)
    tier.prepare(kept, again)
    assert tier.size_bytes == before + 1000
    assert kept.answers == (again,)
    assert tier.ready(KEY, ("front_desk", "en")) is again
    for number in range(PREPARED_MAX):
        tier.prepare(kept, Prepared(number, b"another", (), 1000))
    assert len(kept.answers) == PREPARED_MAX
    assert tier.ready(KEY, ("front_desk", "en")) is None, "the oldest goes"
    assert tier.size_bytes == before + 1000 * PREPARED_MAX

    keep(tier, 2)
    tier.prepare(kept, Prepared(("kiosk", "en"), b"late", (), 1000))
    assert tier.size_bytes == before, "bytes of a value that left are not taken in"


@pytest.mark.parametrize("event", ["doubted", "purged", "replaced", "left", "aged", "distrusted", "silence"])
def test_an_answer_holds_as_long_as_every_copy_it_was_made_from(tier: LocalTier, time: Time, event: str) -> None:
    kept, part = keep(tier), keep(tier, 1, "g:gst_2")
    assert kept and part
    tier.prepare(kept, Prepared("kiosk", b"answer", (part,), 10))
    assert tier.ready(KEY, "kiosk") is not None
    match event:
        case "doubted":
            tier.hear("g:gst_2", 2)
        case "purged":
            tier.hear("g:gst_2", 0, purge=True)
        case "replaced":
            keep(tier, 2, "g:gst_2")
        case "left":
            part.used = False
            tier._bytes_max = tier.size_bytes - 1
            keep(tier, 1, "g:gst_3")
        case "aged":
            time.now += TTL_S - 0.01
            tier.vouch(time.now)
            assert keep(tier) is kept
            time.now += 0.02
            tier.vouch(time.now)
        case "distrusted":
            tier.subscribe(PLACE)
            tier.vouch(time.now)
            assert keep(tier) is kept
        case _:
            time.now += DELTA_S

    assert tier.ready(KEY, "kiosk") is None


def test_what_is_loaded_again_unchanged_keeps_its_answers(tier: LocalTier, time: Time) -> None:
    kept = keep(tier)
    assert kept
    tier.prepare(kept, Prepared("kiosk", b"answer", (), 10))
    tier.subscribe(PLACE)
    tier.vouch(time.now)
    assert tier.ready(KEY, "kiosk") is None
    size = tier.size_bytes

    assert keep(tier) is kept
    assert tier.ready(KEY, "kiosk") is not None
    assert tier.size_bytes == size
    changed = encode("g", replace(document(1), display_name="Bea"))
    other = tier.keep(KEY, tier.expect(KEY), changed, 1, PLACE)
    assert other and other is not kept, "a version that lost its history is not the same"
    assert tier.ready(KEY, "kiosk") is None


def test_a_load_that_nobody_vouches_for_takes_nothing_from_a_copy(tier: LocalTier) -> None:
    kept = keep(tier)
    assert kept
    tier.prepare(kept, Prepared("kiosk", b"answer", (), 10))

    assert keep(tier, namespace=None) is None
    assert tier.ready(KEY, "kiosk") is not None
    assert keep(tier, 2, namespace=None) is None
    assert tier.ready(KEY, "kiosk") is None, "it says something newer"


def test_a_withdrawal_leaves_nothing_unpacked_behind(tier: LocalTier) -> None:
    kept = keep(tier)
    assert kept and tier.value(kept) is not None
    tier.hear(KEY, 2, purge=True)
    tier.value(kept)

    assert not tier._unpacked


def test_few_values_lie_unpacked(tier: LocalTier) -> None:
    copies = [keep(tier, 1, f"g:gst_{number}") for number in range(UNPACKED_MAX + 5)]
    for kept in copies:
        assert kept and tier.value(kept) == document(1)

    assert len(tier._unpacked) == UNPACKED_MAX


def deep_size(value: Any, seen: set[int]) -> int:
    if id(value) in seen or isinstance(value, type):
        return 0
    seen.add(id(value))
    return sys.getsizeof(value) + sum(deep_size(part, seen) for part in gc.get_referents(value))


def shared_with_everything() -> set[int]:
    """What a value points at but does not own: enumerations, the empty context, the profile scope, UTC."""
    seen: set[int] = set()
    deep_size([entry("x").strength, entry("x").scope, entry("x").context, NOW.tzinfo, entry("x").provenance.kind], seen)
    return seen


@pytest.mark.parametrize("entries", [0, 1, 5, 40])
def test_footprints_are_about_right(tier: LocalTier, entries: int) -> None:
    held = encode("g", document(1, entries))
    kept = tier.keep(KEY, tier.expect(KEY), held, 1, PLACE)
    assert kept

    real = deep_size(kept, {id(Kept)}) + 2 * sys.getsizeof(KEY)

    assert 0.5 * real <= footprint(held) <= 3 * real, real


def test_footprints_of_facts_are_about_right() -> None:
    record = Record("htl_1", {"rooms": [{"id": str(n), "capabilities": {"bed": ["king"]}} for n in range(50)]}, 1)
    real = deep_size(record, set())

    assert 0.5 * real <= footprint(record) <= 3 * real, real
    assert footprint((1, [record])) > footprint(record)
