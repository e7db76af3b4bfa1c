"""Consents as events: given, renewed, declined, withdrawn; each leaves a receipt, and a withdrawal takes values along.

A receipt has the shape of ISO/IEC TS 27560: a header, the party that asks, what is processed and for what, and the
event. It names keys and purposes and never holds a value, so it may outlive what it is about.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from prefs.core.catalogue import Catalogue, Definition
from prefs.core.changes import Change, Erasure, KeyChange
from prefs.core.entries import Consent, Document, Entry
from prefs.core.papers import Papers, Receipt, Status
from prefs.core.patches import write_instant

SCHEMA = "ISO/IEC TS 27560:2023, guestprefs 1"
PURPOSE_TEXTS = {
    "room_setup": "Preparing the room for the guest.",
    "service_delivery": "Serving the guest during a stay.",
    "food_safety": "Keeping food and drink safe for the guest.",
    "safety_evacuation": "Bringing the guest to safety in an emergency.",
    "ui_adaptation": "Adapting screens and terminals to the guest.",
}
LAWFUL_BASIS = "Consent: GDPR Article 6(1)(a) and, for special categories of data, Article 9(2)(a)."


@dataclass(frozen=True, slots=True)
class Terms:
    """Who asks for consents here, under which notice, and for how long one holds. `notice_version` is major.minor."""

    controller: str = "The operator of this service"
    contact: str = ""
    notice: str = "privacy-notice"
    notice_version: str = "1.0"
    notice_url: str = ""
    jurisdiction: str = ""
    term: timedelta = timedelta(days=730)

    def asks_again(self, consent: Consent, now: datetime) -> bool:
        """Whether the guest should be asked anew: the consent has ended, or the notice is another one by now. Until
        then, or the end, what was given still holds: a new notice must not hide an allergy from the kitchen."""
        seen, current = (version.partition(".")[0] for version in (consent.notice, self.notice_version))
        return not consent.holds(now) or (bool(seen) and seen != current)

    def renews(self, consent: Consent, now: datetime) -> bool:
        """Whether giving it once more says anything new: under another notice, or past half of its time."""
        ends = consent.expires_at
        return consent.notice != self.notice_version or ends is None or ends - now <= self.term / 2


@dataclass(frozen=True, slots=True)
class Manner:
    """How the guest's word came: by which method, on which surface, told by whom, in which language; `reference` says
    where a form that was signed is filed."""

    method: str
    actor: str
    role: str
    surface: str
    language: str = "en"
    reference: str = ""


def covered(catalogue: Catalogue, purpose: str) -> list[Definition]:
    """Definitions that may hold special-category data and are used for a purpose anywhere."""
    return [
        definition
        for definition in catalogue
        if (definition.is_special_as_a_whole or definition.special_when)
        and (definition.purpose == purpose or purpose in definition.purposes.values())
    ]


def next_version(papers: Papers, purpose: str) -> int:
    return 1 + max((receipt.version for receipt in papers.of(purpose)), default=0)


def issue(
    catalogue: Catalogue,
    guest: str,
    papers: Papers,
    purpose: str,
    status: Status,
    at: datetime,
    manner: Manner,
    terms: Terms,
    record: str,
    *,
    expires_at: datetime | None = None,
    erased: Sequence[str] = (),
) -> Receipt:
    """The next version of the record of this purpose; the record keeps the name it was first given."""
    known = papers.of(purpose)
    name, version = known[0].record if known else record, next_version(papers, purpose)
    definitions = covered(catalogue, purpose)
    body: dict[str, Any] = {
        "schema_version": SCHEMA,
        "record_id": name,
        "version": version,
        "pii_principal_id": guest,
        "language": manner.language,
        "notice": {"id": terms.notice, "version": terms.notice_version, "url": terms.notice_url},
        "controller": {"name": terms.controller, "contact": terms.contact},
        "jurisdiction": terms.jurisdiction,
        "processing": {
            "purpose": purpose,
            "description": PURPOSE_TEXTS[purpose],
            "lawful_basis": LAWFUL_BASIS,
            "data_categories": sorted({definition.area for definition in definitions}),
            "keys": sorted(definition.key for definition in definitions),
            "recipients": sorted(
                {s for definition in definitions for s in definition.surfaces if definition.purpose_at(s) == purpose}
            ),
            "storage": "Until it is withdrawn or erased; used until it ends.",
            "withdrawal": f"DELETE /v1/guests/{guest}/consents/{purpose}",
        },
        "event": {
            "status": status.value,
            "at": write_instant(at),
            "method": manner.method,
            "source": manner.role,
            "actor": manner.actor,
            "surface": manner.surface,
            "reference": manner.reference,
            "expires_at": write_instant(expires_at) if expires_at else None,
            "erased_keys": len(erased),
        },
    }
    return Receipt(name, purpose, version, status, at, body)


# ---------------------------------------------------------------- what a withdrawal takes along


def rests_on(catalogue: Catalogue, entry: Entry, purpose: str) -> bool:
    """Whether an entry may be kept only with the guest's consent for this purpose."""
    definition = catalogue.get(entry.key)
    if definition is None or definition.purpose != purpose:
        return False
    return definition.is_special(entry.strength, entry.value)


def resting(catalogue: Catalogue, document: Document, purpose: str) -> list[Entry]:
    return [entry for entry in document.entries if rests_on(catalogue, entry, purpose)]


def erasure(catalogue: Catalogue, gone: Iterable[Entry], changes: Iterable[Change], purpose: str) -> Erasure:
    """What becomes of the past when everything that rests on a purpose goes: entries leave the changes that told of
    them, and a change says so; who wrote and when stays. Answers kept for repeats lose every key that the purpose opens
    on any surface: a value that stays for others may have been told there."""
    keys = {entry.key for entry in gone} | {definition.key for definition in covered(catalogue, purpose)}
    left: list[Change] = []
    for change in changes:
        kept = tuple(_without(catalogue, key_change, purpose) for key_change in change.keys)
        if kept == change.keys:
            continue
        keys |= {before.key for before, after in zip(change.keys, kept, strict=True) if before != after}
        standing = tuple(key_change for key_change in kept if key_change.removed or key_change.added)
        said = f"erased with the consent for {purpose}"
        left.append(replace(change, keys=standing, note=f"{change.note}; {said}" if change.note else said))
    return Erasure(tuple(left), frozenset(_with_what_they_stand_for(catalogue, keys)))


def lapsed(catalogue: Catalogue, document: Document, now: datetime, since: datetime) -> frozenset[str]:
    """Keys that an answer made after `since` may have told and none may tell any more: of consents that have come to
    their end meanwhile, every key that their purpose opens on any surface."""
    keys: set[str] = set()
    for consent in document.consents:
        if consent.expires_at is not None and since < consent.expires_at <= now:
            keys |= _with_what_they_stand_for(catalogue, (one.key for one in covered(catalogue, consent.purpose)))
    return frozenset(keys)


def _with_what_they_stand_for(catalogue: Catalogue, keys: Iterable[str]) -> set[str]:
    found = set(keys)
    for key in tuple(found):
        definition = catalogue.get(key)
        if definition and definition.stands_for:
            found.add(definition.stands_for.key)
    return found


def without_values(answer: Any, keys: frozenset[str]) -> Any:
    """An answer that was kept for a repeat, without what it told of these keys."""
    if not isinstance(answer, dict):
        return answer
    left = dict(answer)
    if isinstance(preferences := answer.get("preferences"), dict):
        left["preferences"] = {key: told for key, told in preferences.items() if key not in keys}
    if isinstance(entries := answer.get("entries"), dict):
        cut = {scope: {key: told for key, told in by.items() if key not in keys} for scope, by in entries.items()}
        left["entries"] = {scope: by for scope, by in cut.items() if by}
    if isinstance(warnings := answer.get("warnings"), list):
        left["warnings"] = [warned for warned in warnings if warned.get("key") not in keys]
    return left


def _without(catalogue: Catalogue, change: KeyChange, purpose: str) -> KeyChange:
    removed, added = (
        tuple(entry for entry in entries if not rests_on(catalogue, entry, purpose))
        for entries in (change.removed, change.added)
    )
    same = len(removed) == len(change.removed) and len(added) == len(change.added)
    return change if same else KeyChange(change.key, removed, added)
