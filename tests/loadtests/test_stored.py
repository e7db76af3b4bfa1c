"""Stores of many guests are used again only when they are the ones that are wanted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.bench import guests
from loadtests.bench.stored import MADE, fingerprint, is_made


def test_a_store_is_taken_as_made_only_with_its_own_mark(tmp_path: Path) -> None:
    wanted = fingerprint("sqlite", 1_000)
    assert not is_made(tmp_path, wanted)
    (tmp_path / MADE).write_text("{half", encoding="utf-8")
    assert not is_made(tmp_path, wanted)
    (tmp_path / MADE).write_text(json.dumps(wanted), encoding="utf-8")
    assert is_made(tmp_path, wanted)
    assert not is_made(tmp_path, fingerprint("sqlite", 100_000))
    assert not is_made(tmp_path, fingerprint("postgresql", 1_000))


def test_other_guests_make_another_store(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint("sqlite", 1_000)
    monkeypatch.setitem(guests.TEN_KEYS, "tv.volume_default", 22)
    assert fingerprint("sqlite", 1_000) != before


def test_guests_have_ids_of_the_usual_form_that_rise_with_their_number() -> None:
    ids = [guests.guest_id(number) for number in (0, 9, 10, 999_999)]
    assert ids == sorted(ids) and {len(each) for each in ids} == {36}
