"""What lies beside a document, and values that go from the past: the same on every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from prefs.core.changes import Erasure, Written
from prefs.core.entries import Consent, Document
from prefs.core.papers import NO_PAPERS, Invitation, Papers, Receipt, Reply, Status, Waiting
from prefs.ports import Apply, Once, Past, Store
from tests.store.samples import NOW, TEMPERATURE, born, change, document, name, put

RECEIPT = Receipt("cns_1", "food_safety", 1, Status.GRANTED, NOW, {"version": 1, "event": {"at": "now", "n": None}})
INVITED = Invitation("inv_1", "food_safety", ("a", "b"), "dallas", "desk", "front_desk", NOW, NOW + timedelta(days=14))
WAITING = Waiting("imp_1", "food_safety", "food.diet", "profile", '["vegan"]', "pms", "", NOW, NOW + timedelta(days=30))


def lay(papers: Papers) -> Apply:
    def apply(document: Document, past: Past) -> Written:
        return Written(document, None, {"version": document.version}, papers=papers)

    return apply


@pytest.mark.parametrize("once", [None, Once("me", "k", "f")])
async def test_papers_are_kept_without_a_new_version(store: Store, once: Once | None) -> None:
    guest = await born(store)
    before = await document(store, guest)
    both = Papers((RECEIPT,), (INVITED,), (WAITING, replace(WAITING, id="imp_0")))
    written = await store.write(guest, lay(both), once)
    assert (written.change, written.document) == (None, before)
    kept = await store.papers(guest)
    assert kept == replace(both, waiting=(replace(WAITING, id="imp_0"), WAITING))
    assert await document(store, guest) == before

    answered = replace(INVITED, reply=Reply.DECLINED, answered_at=NOW)
    renewed = replace(RECEIPT, version=2, status=Status.RENEWED)
    seen: list[Papers] = []

    def look(document: Document, past: Past) -> Written:
        seen.append(past.papers())
        return Written(document, None, {}, papers=Papers((RECEIPT, renewed), (answered,), (WAITING,)))

    await store.write(guest, look)
    assert seen[-1] == kept
    assert await store.papers(guest) == Papers((RECEIPT, renewed), (answered,), (WAITING,))
    assert await store.papers(name("gst")) == await store.papers("\0") == NO_PAPERS


async def test_a_consent_keeps_its_end_and_what_proves_it(store: Store) -> None:
    guest = await born(store)
    given = Consent("food_safety", NOW, "g", "kiosk", NOW + timedelta(days=1), "1.0", "kiosk", 3)

    def give(document: Document, past: Past) -> Written:
        version = document.version + 1
        after = replace(document, version=version, consents=(given,))
        return Written(after, change(guest, version), {}, papers=Papers((RECEIPT,)))

    await store.write(guest, give)
    assert (await document(store, guest)).consents == (given,)
    assert (await store.papers(guest)).receipts == (RECEIPT,)


async def test_an_erasure_leaves_history_and_repeats_without_the_values(store: Store) -> None:
    guest, other = await born(store), await born(store)
    once = Once("me", name("key"), "f")

    def told(value: str) -> Apply:
        def apply(document: Document, past: Past) -> Written:
            written = put("prf_x", value)(document, past)
            entry = {"value": value}
            body = {"preferences": {TEMPERATURE: entry, "b": 1}, "entries": {"profile": {TEMPERATURE: [entry]}}}
            return replace(
                written, answer={**body, "warnings": [{"key": TEMPERATURE}], "version": written.document.version}
            )

        return apply

    await store.write(guest, told("canary"), once)
    await store.write(other, told("canary"), replace(once, key=name("key")))
    standing = await document(store, other)

    def erase(document: Document, past: Past) -> Written:
        left = tuple(replace(one, keys=(), note="erased") for one in past.since(0) if one.keys)
        version = document.version + 1
        after = replace(document, version=version, entries=())
        erasure = Erasure(left, frozenset({TEMPERATURE}))
        return Written(after, change(guest, version), {}, papers=NO_PAPERS, erasure=erasure)

    await store.write(guest, erase)
    history = await store.history(guest, 10)
    assert "canary" not in str(history)
    assert [(one.version, one.note) for one in history] == [(3, "a note"), (2, "erased"), (1, "a note")]
    again = await store.write(guest, told("canary"), once)
    assert again.replayed
    assert again.answer == {"preferences": {"b": 1}, "entries": {}, "warnings": [], "version": 2}
    assert "canary" in str(await store.history(other, 10))
    assert await document(store, other) == standing


async def test_waiting_values_are_dropped_when_their_time_is_over_some_at_a_time(store: Store) -> None:
    guest = await born(store)
    old = [replace(WAITING, id=f"imp_old{n}", expires_at=NOW - timedelta(days=400 + n)) for n in range(3)]
    await store.write(guest, lay(Papers(waiting=(*old, WAITING))))
    until = NOW - timedelta(days=399)
    assert await store.drop_waiting(until, 2) == 2
    assert await store.drop_waiting(until, 2) == 1
    assert await store.drop_waiting(until, 2) == 0
    assert (await store.papers(guest)).waiting == (WAITING,)
