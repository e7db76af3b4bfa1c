"""What a safe seals opens where it was sealed and nowhere else, and wrapping keys can be changed under it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prefs.core.errors import Sealed, WrappingKeyMissing
from prefs.vault.envelope import Envelope, GuestSafe
from prefs.vault.keys import WrappingKey, read, write
from prefs.vault.providers import FileProvider
from tests.vaults import vault, wrapping_key

PLACE = ("entry", "prf_a", "food.allergens", "7")


def test_what_is_sealed_opens_at_its_place_and_says_nothing() -> None:
    safe = vault().make("gst_a")
    sealed = safe.seal(b'["peanuts"]', *PLACE)
    assert safe.open(sealed, *PLACE) == b'["peanuts"]'
    assert b"peanuts" not in sealed
    assert safe.seal(b'["peanuts"]', *PLACE) != sealed, "a nonce is used once"


@pytest.mark.parametrize(
    "place",
    [
        ("change", "prf_a", "food.allergens", "7"),
        ("entry", "prf_b", "food.allergens", "7"),
        ("entry", "prf_a", "food.diet", "7"),
        ("entry", "prf_a", "food.allergens", "8"),
        ("entry", "prf_a", "food.allergens"),
    ],
    ids=["kind", "id", "key", "version", "part"],
)
def test_what_was_moved_does_not_open(place: tuple[str, ...]) -> None:
    safe = vault().make("gst_a")
    with pytest.raises(Sealed, match="moved or tampered"):
        safe.open(safe.seal(b"1", *PLACE), *place)


def test_another_guest_or_key_opens_nothing() -> None:
    ours = vault()
    ana, bo = ours.make("gst_a"), ours.make("gst_b")
    sealed = ana.seal(b"1", *PLACE)
    with pytest.raises(Sealed):
        bo.open(sealed, *PLACE)
    with pytest.raises(Sealed, match="data key"):
        ours.unlock("gst_b", ana.key)
    with pytest.raises(Sealed, match="data key"):
        ours.unlock("gst_a", replace(ana.key, id=bo.key.id))
    secret = b"k" * 32
    one = GuestSafe("gst_a", replace(ana.key, id="1"), secret)
    with pytest.raises(Sealed):
        GuestSafe("gst_a", replace(ana.key, id="2"), secret).open(one.seal(b"1", *PLACE), *PLACE)


@pytest.mark.parametrize("at", [0, 5, 20, -1])
def test_a_flipped_bit_is_noticed(at: int) -> None:
    safe = vault().make("gst_a")
    sealed = bytearray(safe.seal(b"a long enough text", *PLACE))
    sealed[at] ^= 1
    with pytest.raises(Sealed):
        safe.open(bytes(sealed), *PLACE)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01short", b"{}"])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(Sealed):
        vault().make("gst_a").open(sealed, *PLACE)


def test_the_newest_wraps_and_all_unwrap() -> None:
    old, both, new = vault("one"), vault("two", "one"), vault("two")
    safe = old.make("gst_a")
    sealed = safe.seal(b"1", *PLACE)
    assert both.make("gst_b").key.wrapped_by == "two"
    assert both.unlock("gst_a", safe.key).open(sealed, *PLACE) == b"1"
    with pytest.raises(WrappingKeyMissing, match="one is not in the variable the test"):
        new.unlock("gst_a", safe.key)
    moved = both.rewrap("gst_a", safe.key)
    assert (moved.id, moved.wrapped_by) == (safe.key.id, "two")
    assert new.unlock("gst_a", moved).open(sealed, *PLACE) == b"1"


class Counted:
    """A provider that counts how often it was asked."""

    place = "a list"

    def __init__(self, *keys: WrappingKey) -> None:
        self.keys, self.asked = list(keys), 0

    def load(self) -> list[WrappingKey]:
        self.asked += 1
        return list(self.keys)


async def test_a_key_that_was_added_is_found_and_one_that_nobody_has_is_not_asked_for_again_and_again() -> None:
    provider = Counted(wrapping_key("one"))
    ours, theirs = Envelope(provider), vault("two")
    safe = theirs.make("gst_a")
    for _ in range(5):
        await ours.renew("two")
    assert provider.asked == 2, "at start, and once for the five"
    provider.keys.insert(0, wrapping_key("two"))
    await ours.renew("three")
    assert ours.unlock("gst_a", safe.key).key == safe.key
    assert list(ours.proofs) == ["two", "one"]
    assert ours.make("gst_b").key.wrapped_by == "two"


def test_keys_are_never_shown() -> None:
    key = wrapping_key()
    assert key.secret.hex() not in repr(key) + key.proof and "secret" not in repr(key)
    assert key.proof != replace(key, secret=b"x" * 32).proof
    assert key.proof != replace(key, id="other").proof
    assert read(write([key]), "x") == [key]


def test_a_file_is_made_once_for_its_owner_alone_and_changed_as_a_whole(tmp_path: Path) -> None:
    provider = FileProvider(tmp_path / "folder" / "vault.json")
    assert provider.make()
    first = provider.load()
    assert not provider.make() and provider.load() == first
    added = provider.add()
    assert provider.load() == [added, *first]
    assert provider.path.stat().st_mode & 0o777 == 0o600
    provider.remove([first[0].id])
    assert provider.load() == [added]
    assert [path.name for path in provider.path.parent.iterdir()] == ["vault.json"]
