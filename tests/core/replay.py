"""Replays the cases of `tests/cases`: reads the written form described in its README, resolves, compares.

The test of every case and the mutants share this: both ask `differences`, which says in words what is not as expected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from prefs.core import values
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.declarations import parse_property
from prefs.core.dictionary import parse_definition
from prefs.core.entries import (
    Consent,
    Context,
    Document,
    Entered,
    Entry,
    Provenance,
    ProvenanceKind,
    Scope,
    ScopeKind,
    Strength,
)
from prefs.core.errors import Fault
from prefs.core.resolve import resolve
from prefs.core.resolved import Resolved
from prefs.core.stays import Facts, Party, Stay, StayStatus
from prefs.core.views import render
from prefs.definitions import load_standard
from tests.core.sights import usual

FOLDER = Path(__file__).parent.parent / "cases"
WRITES = FOLDER / "writes.json"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
GUEST = "gst_case"


@dataclass(frozen=True, slots=True)
class Case:
    """One case as it is written; `theme` is the name of its file."""

    theme: str
    name: str
    rule: str
    body: Mapping[str, Any]

    @property
    def title(self) -> str:
        return f"{self.theme}: {self.name}"


@dataclass(frozen=True, slots=True)
class Question:
    """A case brought to core types: what `resolve` is asked."""

    catalogue: Catalogue
    document: Document
    facts: Facts
    live: tuple[Entry, ...]
    surface: str
    keys: tuple[str, ...] | None


type Resolver = Callable[[Question], Resolved]


@cache
def standard() -> Catalogue:
    return load_standard()


@cache
def cases() -> tuple[Case, ...]:
    found = []
    for file in sorted(FOLDER.glob("*.json")):
        if file == WRITES:
            continue
        for body in json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)["cases"]:
            found.append(Case(file.stem, body["name"], body["rule"], body))
    return tuple(found)


def instant(written: str) -> datetime:
    return datetime.fromisoformat(written)


def catalogue_of(case: Case) -> Catalogue:
    """The standard catalogue, with the case's own definitions added where it brings any."""
    extra = case.body.get("catalogue", "standard")
    if extra == "standard":
        return standard()
    definitions = [parse_definition(case.theme, key, key.split(".")[0], raw) for key, raw in extra.items()]
    return standard().extended(definitions, {}, version=2)


def checked(definition: Definition, written: Mapping[str, Any]) -> tuple[Any, list[Fault]]:
    """The canonical value of a written entry; a negative holds the id of what is not wanted."""
    faults: list[Fault] = []
    strength = Strength(written.get("strength", "preferred"))
    raw = written["value"]
    if strength is Strength.NO_PREFERENCE:
        return None, faults
    if strength.is_negative and definition.fixed_strength is None:
        kind = definition.kind.items if isinstance(definition.kind, values.Sequence) else definition.kind
        if isinstance(kind, values.Object) and isinstance(definition.kind, values.Sequence):
            kind = kind.fields[definition.kind.id_field or ""]
        return kind.check(raw, None, "", faults), faults
    return definition.kind.check(raw, written.get("unit"), "", faults), faults


def entry(catalogue: Catalogue, written: Mapping[str, Any]) -> Entry:
    definition = catalogue.definitions[written["key"]]
    value, faults = checked(definition, written)
    if faults:
        raise ValueError(f"{written}: {faults}")
    kind, _, scope_id = written.get("scope", "profile").partition(":")
    expires = written.get("expires_at")
    typed = Entered(values.entered_number(written["value"]), written["unit"]) if "unit" in written else None
    return Entry(
        id=written["id"],
        key=definition.key,
        value=value,
        strength=Strength(written.get("strength", "preferred")),
        scope=Scope(ScopeKind(kind), scope_id),
        context=Context(**written.get("context", {})),
        provenance=Provenance(
            ProvenanceKind(written.get("provenance", "stated")), GUEST, "guest_app", LONG_AGO, written.get("source", "")
        ),
        version=written.get("version", 1),
        expires_at=instant(expires) if expires else None,
        entered=typed,
    )


def _stay(written: Mapping[str, Any]) -> Stay:
    party = written.get("party")
    return Stay(
        id=written["id"],
        guest=GUEST,
        property=written["property"],
        arrival=instant(written["arrival"]),
        departure=instant(written["departure"]),
        room=written.get("room", ""),
        trip=written.get("trip", ""),
        party=Party(party["adults"], party["children"]) if party else None,
        status=StayStatus(written["status"]),
    )


def _facts(catalogue: Catalogue, written: Mapping[str, Any]) -> Facts:
    place = written.get("property")
    body = {name: part for name, part in place.items() if name != "id"} if place else None
    return Facts(
        at=instant(written["at"]),
        property=parse_property(place["id"], body, catalogue) if place else None,
        stay=_stay(written["stay"]) if "stay" in written else None,
        trip=written.get("trip", ""),
        party=written.get("party", ""),
    )


@cache
def _question(title: str) -> Question:
    case = _by_title()[title]
    body, catalogue = case.body, catalogue_of(case)
    entries = tuple(entry(catalogue, written) for written in body["document"])
    consents = tuple(Consent(purpose, LONG_AGO, GUEST, "guest_app") for purpose in body.get("consents", ()))
    version = max((e.version for e in entries), default=0)
    return Question(
        catalogue=catalogue,
        document=Document(GUEST, version, entries, consents=consents),
        facts=_facts(catalogue, body["facts"]),
        live=tuple(entry(catalogue, written) for written in body.get("live", ())),
        surface=body.get("surface", "guest_app"),
        keys=tuple(body["keys"]) if "keys" in body else None,
    )


@cache
def _by_title() -> dict[str, Case]:
    return {case.title: case for case in cases()}


def question(case: Case) -> Question:
    """What a case asks, read once."""
    return _question(case.title)


def ask(asked: Question) -> Resolved:
    """The resolver as it is."""
    return resolve(
        asked.catalogue,
        asked.document,
        asked.facts,
        keys=asked.keys,
        sight=usual(asked.surface),
        live=asked.live,
        explain=True,
    )


def differences(case: Case, resolver: Resolver = ask) -> list[str]:
    """What a resolver answers otherwise than the case expects; empty where it agrees."""
    asked, body = question(case), case.body
    resolved = resolver(asked)
    labels = asked.catalogue.labels["en"]
    shown = render(asked.catalogue, resolved, usual(asked.surface), labels, explain=True)
    found: list[str] = []
    for key, expected in body.get("expect", {}).items():
        if key not in shown:
            found.append(f"{key} is absent")
            continue
        found.extend(f"{key}.{line}" for line in _unlike(expected, shown[key]))
    found.extend(f"{key} is there: {shown[key]}" for key in body.get("absent", ()) if key in shown)
    if "valid_until" in body and resolved.valid_until != instant(body["valid_until"]):
        found.append(f"valid_until: expected {body['valid_until']}, got {resolved.valid_until}")
    for key, losers in body.get("losers", {}).items():
        codes = {c.get("entry", ""): c["code"] for c in shown.get(key, {}).get("considered", ())}
        for entry_id, code in losers.items():
            if codes.get(entry_id) != code:
                found.append(f"{key}: {entry_id} should have lost as {code}, got {codes.get(entry_id)}")
    return found


def _unlike(expected: Mapping[str, Any], shown: Mapping[str, Any]) -> list[str]:
    """Members named are compared, `reason` by its own members; null stands for a member left out, too."""
    found: list[str] = []
    for member, wanted in expected.items():
        got = shown.get(member)
        if member == "reason" and isinstance(wanted, dict):
            found.extend(f"reason.{line}" for line in _unlike(wanted, got or {}))
        elif member == "not" and wanted and got:
            if sorted(map(_plain, wanted)) != sorted(map(_plain, got)):
                found.append(f"not: expected {wanted}, got {got}")
        elif _plain(wanted) != _plain(got):
            found.append(f"{member}: expected {_plain(wanted)}, got {_plain(got)}")
    return found


def _plain(value: Any) -> str:
    """JSON text in which equal data is equal text: 20 and 20.0 are one number, members are sorted."""
    return json.dumps(_numbers(value), sort_keys=True, ensure_ascii=False)


def _numbers(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float, Decimal)):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _numbers(part) for name, part in value.items()}
    return [_numbers(part) for part in value] if isinstance(value, Sequence) else str(value)
