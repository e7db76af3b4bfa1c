"""Replays `tests/cases/writes.json`: what an edit makes of a document, what it refuses and what it warns of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from prefs.core.callers import Role
from prefs.core.changes import Change
from prefs.core.edits import Edited, edit
from prefs.core.entries import Consent, Document, Entry
from prefs.core.errors import InvalidEdit
from prefs.core.patches import parse_scope
from tests.core import sights
from tests.core.replay import GUEST, LONG_AGO, WRITES, entry, instant, standard

CASES: list[dict[str, Any]] = json.loads(WRITES.read_text(encoding="utf-8"), parse_float=Decimal)["cases"]


class Nothing:
    """The past of a guest whose history no case asks about."""

    def since(self, version: int) -> Sequence[Change]:
        return ()

    def at(self, version: int) -> Change | None:
        return None


def said(one: Entry) -> Entry:
    """An entry without what every write makes anew."""
    provenance = replace(one.provenance, actor=GUEST, surface="guest_app", at=LONG_AGO)
    return replace(one, id="", version=0, provenance=provenance)


def document_of(case: Mapping[str, Any]) -> Document:
    entries = tuple(entry(standard(), written) for written in case["document"])
    consents = tuple(Consent(purpose, LONG_AGO, GUEST, "guest_app") for purpose in case.get("consents", ()))
    return Document(GUEST, 3, entries, consents=consents)


def edited(case: Mapping[str, Any]) -> Edited:
    by = case["author"]
    surface = "front_desk" if by["role"] == "staff" else "guest_app"
    says = "observed" if by["provenance"] == "observed" else ""
    author = sights.author(Role(by["role"]), "somebody", surface, instant(case["at"]), says)
    numbers = iter(range(1, 1000))
    return edit(
        standard(),
        document_of(case),
        Nothing(),
        case["patch"],
        parse_scope(case["scope"]),
        author,
        lambda: f"prf_new_{next(numbers):03}",
    )


@pytest.mark.parametrize("case", [c for c in CASES if "faults" not in c], ids=lambda c: c["name"])
def test_an_edit_that_is_accepted(case: Mapping[str, Any]) -> None:
    result = edited(case)
    expected = [said(entry(standard(), {"id": "", **written})) for written in case["entries"]]
    assert sorted(map(repr, map(said, result.document.entries))) == sorted(map(repr, expected))
    if "warnings" in case:
        warned = [{"key": w.key, "code": w.code, "entry": w.entry} for w in result.warnings]
        assert warned == case["warnings"]
    changes = case.get("changed", True)
    assert result.document.version == (4 if changes else 3)
    assert (result.change is not None) == changes


@pytest.mark.parametrize("case", [c for c in CASES if "faults" in c], ids=lambda c: c["name"])
def test_an_edit_that_is_refused(case: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidEdit) as refused:
        edited(case)
    told = {(fault.pointer, fault.code) for fault in refused.value.faults}
    assert told == {(fault["pointer"], fault["code"]) for fault in case["faults"]}


def test_rule_twelve_has_several_cases() -> None:
    assert sum(case["rule"] == "resolving 12" for case in CASES) >= 5
