"""What goes into an entry comes out again, and nobody else can read, move or change it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefs.cache.codec import UnknownForm, decode, encode
from prefs.cache.keys import EXTENSIONS, GUEST, PROPERTY, STAYS, Heard, cacheable, message, names, read_message
from prefs.cache.sealing import Seal
from prefs.core.entries import Consent, Context, Document, Entered, Entry, Identifier, Scope, ScopeKind, Strength
from prefs.core.stays import Party
from prefs.ports import Lodging, Record
from tests.store.samples import NOW, entry, stay

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MOMENTS = st.integers(-(10**15), 10**15).map(lambda micros: NOW + timedelta(microseconds=micros))
CONTEXTS = st.sampled_from([Context(), Context(trip="business"), Context("sleep", "leisure", "alone", "warm")])
SCOPES = st.sampled_from([Scope(ScopeKind.PROFILE), Scope(ScopeKind.STAY, "sty_1"), Scope(ScopeKind.PROPERTY, "p")])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    made = entry(
        draw(st.text(max_size=8)),
        draw(JSON),
        version=draw(st.integers(1, 2**40)),
        strength=draw(st.sampled_from(Strength)),
        scope=draw(SCOPES),
        context=draw(CONTEXTS),
        expires_at=draw(st.none() | MOMENTS),
        entered=draw(st.none() | st.builds(Entered, JSON, st.text(max_size=5))),
    )
    return replace(made, provenance=replace(made.provenance, at=draw(MOMENTS)))


DOCUMENTS = st.builds(
    Document,
    st.just("gst_1"),
    st.integers(1, 2**40),
    st.lists(entries(), max_size=4).map(tuple),
    st.lists(st.builds(Identifier, st.text(max_size=5), st.text(max_size=5)), max_size=2).map(tuple),
    st.lists(st.builds(Consent, st.text(max_size=5), MOMENTS, st.text(max_size=5), st.just("kiosk"))).map(tuple),
    st.text(max_size=10),
    st.none() | MOMENTS,
    st.none() | MOMENTS,
)


@settings(max_examples=60)
@given(DOCUMENTS)
def test_documents_come_back_as_they_were(document: Document) -> None:
    back = decode(GUEST, encode(GUEST, document))

    assert back == document
    assert repr(back) == repr(document)


@settings(max_examples=30)
@given(st.lists(entries(), max_size=3))
def test_live_presses_come_back_as_they_were(presses: list[Entry]) -> None:
    lodging = Lodging((stay("sty_1", "gst_1", "htl_1"),), {"sty_1": tuple(presses), "sty_2": ()})

    assert decode(STAYS, encode(STAYS, lodging)) == lodging


FACTS: list[tuple[str, Any]] = [
    (STAYS, Lodging()),
    (STAYS, Lodging((stay("sty_1", "gst_1", "htl_1"), stay("sty_2", "gst_1", "htl_1", party=None, room="")))),
    (STAYS, Lodging((stay("sty_1", "gst_1", "htl_1", party=Party(1, 0), version=7),))),
    (PROPERTY, Record("htl_1", {"brand": "b", "rooms": [1, 2.5, None]}, 3)),
    (EXTENSIONS, (0, [])),
    (EXTENSIONS, (4, [Record("spa.oil", {"deleted": False}, 4)])),
    (GUEST, None),
    (PROPERTY, None),
]


@pytest.mark.parametrize(("kind", "value"), FACTS)
def test_facts_come_back_as_they_were(kind: str, value: Any) -> None:
    assert decode(kind, encode(kind, value)) == value


@pytest.mark.parametrize(
    "payload", [b"3[]", b"1[]", b"J[]", b"2[1,2]", b"2{}", b"2nonsense", b"K[", b"\x00", b"2null", b"Z", b"Zrubbish"]
)
def test_what_another_release_wrote_is_not_guessed(payload: bytes) -> None:
    with pytest.raises(UnknownForm):
        decode(GUEST, payload)


def test_a_later_member_is_another_form() -> None:
    """A field that is added changes the length, so that an older release does not take half a document for a whole."""
    data = orjson.loads(encode(GUEST, Document("gst_1", 1))[1:])

    with pytest.raises(UnknownForm):
        decode(GUEST, b"2" + orjson.dumps([*data, "more"]))


def test_large_values_are_deflated() -> None:
    many = Document("gst_1", 1, tuple(entry(f"prf_{n}", "feather_down") for n in range(10)))
    packed = encode(GUEST, many)

    assert packed[:1] == b"Z" and len(packed) < 1000
    assert decode(GUEST, packed) == many


# ---------------------------------------------------------------- sealing


def test_a_sealed_entry_opens_under_its_name_only() -> None:
    seal, sealed = Seal(bytes(32)), Seal(bytes(32)).close("c:a:{g:gst_1}:e", 7, b"feather-free")
    opened = seal.open("c:a:{g:gst_1}:e", sealed)

    assert opened == (7, b"feather-free")
    assert b"feather" not in sealed
    assert seal.open("c:a:{g:gst_2}:e", sealed) is None
    assert Seal(bytes([1] * 32)).open("c:a:{g:gst_1}:e", sealed) is None


def test_a_tampered_entry_does_not_open() -> None:
    seal = Seal(bytes(32))
    sealed = seal.close("name", 7, b"payload")
    opened = [
        place
        for place in range(len(sealed))
        if seal.open("name", sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
    ]

    assert opened == []
    assert [seal.open("name", sealed[:length]) for length in range(len(sealed))] == [None] * len(sealed)


def test_two_seals_of_one_entry_differ() -> None:
    seal = Seal(bytes(32))

    assert len({seal.close("name", 1, b"payload") for _ in range(100)}) == 100


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(b"short")


# ---------------------------------------------------------------- keys and messages


@pytest.mark.parametrize("id", ["", "\0", "a b", "a{b}", "a\ud800", "ก", "a" * 161, "a\nb"])
def test_ids_of_no_known_form_are_not_cached(id: str) -> None:
    assert not cacheable("g:" + id)
    assert cacheable("g:gst_01996f1e-0000-7000-8000-000000000000")


def test_the_three_keys_of_an_entry_live_on_one_node() -> None:
    assert {name.split("{")[1].split("}")[0] for name in names("a1b2c3d4", "g:gst_1")} == {"g:gst_1"}


@pytest.mark.parametrize("heard", [Heard("g:gst_1", 0, False), Heard("s:gst_1", 12, True)])
def test_messages_say_what_was_written(heard: Heard) -> None:
    assert read_message(message(*heard).encode()) == heard


@pytest.mark.parametrize("data", [b"", b"d1", b"x1 g:gst_1", b"dx g:gst_1", b"d1 gst_1", b"d1 g:\xff"])
def test_other_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_message(data)
