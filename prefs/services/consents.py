"""Consents: given, renewed and withdrawn with a receipt each; what a withdrawal would erase, and what waits for one.

A withdrawal is a strict write: once it is answered 200 no tier of any process tells what rested on it, and the values
themselves are gone from the document, the history and the answers kept for repeats. They cannot be brought back, which
is said before (`withdrawal` of the consent's state).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from prefs.core import access, disclosure, quarantine
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller, Role
from prefs.core.catalogue import GUEST_SURFACE, PURPOSES, Catalogue
from prefs.core.changes import Action
from prefs.core.consents import Manner, Terms, covered, erasure, issue, next_version, resting
from prefs.core.entries import Consent, Document, Entry
from prefs.core.errors import Fault, InvalidEdit, NotAllowed, NotFound
from prefs.core.papers import Papers, Reply, Status
from prefs.core.patches import write_instant
from prefs.core.quarantine import Released
from prefs.core.sights import Relation, Shown, Sight
from prefs.ports import Once, Past
from prefs.services.answers import Answer
from prefs.services.guests import Decision, Guests
from prefs.services.ids import ENTRY, RECORD

PAPER, APP, KIOSK, RELAYED = "paper", "app", "kiosk", "relayed"
METHODS = (APP, KIOSK, PAPER, "telephone", RELAYED)


class Consents:
    """Use cases around what a guest allows."""

    def __init__(self, guests: Guests, terms: Terms) -> None:
        self.guests, self.terms = guests, terms
        self.store, self.clock, self.new_id = guests.store, guests.clock, guests.new_id

    # ------------------------------------------------------------ giving

    async def give(
        self,
        caller: Caller,
        guest: str,
        purpose: str,
        said: Mapping[str, str] | None = None,
        *,
        once: Once | None = None,
    ) -> Answer:
        """The guest consents to a purpose, or a service or staff pass on that they did. `said` may hold the method, the
        reference of a signed form, the language and version of the notice. What was imported and waits for this consent
        is let in.

        Raises NotFound, NotAllowed, InvalidEdit, KeyReused."""
        manner = self.manner(caller, said or {})
        require_purpose(purpose)
        catalogue = await self.guests.catalogues.current()
        now = self.clock.now()

        def decide(document: Document, past: Past) -> Decision:
            return self.given(catalogue, document, past, purpose, manner, now)

        async with self.guests.witness.on_behalf(caller, Deed.CONSENT_GRANT, guest):
            return await self.guests.change(caller, Act.CONSENT, guest, Action.CONSENT, decide, once=once)

    def given(
        self, catalogue: Catalogue, document: Document, past: Past, purpose: str, manner: Manner, now: datetime
    ) -> Decision:
        standing = next((one for one in document.consents if one.purpose == purpose and one.holds(now)), None)
        if standing and not self.terms.renews(standing, now):
            return Decision(document)
        papers, ends = past.papers(), now + self.terms.term
        number = next_version(papers, purpose)
        consent = Consent(
            purpose, now, manner.actor, manner.surface, ends, self.terms.notice_version, manner.method, number
        )
        others = (one for one in document.consents if one.purpose != purpose)
        document = replace(document, consents=tuple(sorted((*others, consent), key=lambda one: one.purpose)))
        status = Status.RENEWED if standing else Status.GRANTED
        receipt = issue(
            *(catalogue, document.guest, papers, purpose, status, now, manner, self.terms),
            self.new_id(RECORD),
            expires_at=ends,
        )
        mine = [one for one in papers.waiting if one.purpose == purpose]
        let_in = quarantine.release(catalogue, document, past, mine, now, lambda: self.new_id(ENTRY))
        papers = replace(
            papers,
            receipts=(*papers.receipts, receipt),
            waiting=tuple(one for one in papers.waiting if one not in mine),
        )
        word = "renewed" if standing else "granted"
        note = f"{word} {purpose}, {len(let_in.keys)} imported" if let_in.keys else f"{word} {purpose}"
        told = _told_of(let_in) if mine else {}
        return Decision(
            let_in.document, note, let_in.changes, answered(papers, purpose, Reply.ACCEPTED, now), told=told
        )

    def manner(self, caller: Caller, said: Mapping[str, str]) -> Manner:
        """How the guest's word came, as this caller may say it. Raises NotAllowed, InvalidEdit."""
        access.require(caller, Act.CONSENT)
        faults: list[Fault] = []
        own = {Role.GUEST: KIOSK if caller.surface == KIOSK else APP, Role.STAFF: "", Role.SERVICE: RELAYED}[
            caller.role
        ]
        method, reference = said.get("method", own), said.get("reference", "")
        if caller.role is Role.STAFF and (caller.surface != "front_desk" or method != PAPER or not reference):
            raise NotAllowed(
                "Staff enter a consent at the front desk, from a signed form: method paper, and reference."
            )
        if caller.role is Role.GUEST and method != own:
            faults.append(Fault("/method", "VALUE_NOT_ALLOWED", f"must be {own} here, or left out"))
        if method not in METHODS:
            faults.append(Fault("/method", "UNKNOWN_CHOICE", "must be one of " + ", ".join(METHODS)))
        notice = said.get("notice_version", self.terms.notice_version)
        if notice != self.terms.notice_version:
            detail = f"the notice in force is {self.terms.notice_version}: show that one to the guest"
            faults.append(Fault("/notice_version", "NOTICE_OUTDATED", detail))
        if faults:
            raise InvalidEdit(faults)
        language = said.get("language", "en")
        return Manner(method, caller.subject, caller.role.value, caller.surface, language, reference)

    # ------------------------------------------------------------ withdrawing

    async def withdraw(
        self, caller: Caller, guest: str, purpose: str, *, reference: str = "", once: Once | None = None
    ) -> Answer:
        """Erase every value that rests on this consent, and what waits for it; the answer says how many keys. Where a
        tier could not be told, it says by when it is done (`effective_by`). Raises as `give`."""
        access.require(caller, Act.CONSENT)
        said = {"method": PAPER, "reference": reference} if caller.role is Role.STAFF else {}
        manner = self.manner(caller, said)
        require_purpose(purpose)
        catalogue = await self.guests.catalogues.current()
        now = self.clock.now()

        def decide(document: Document, past: Past) -> Decision:
            return self.withdrawn(catalogue, document, past, purpose, manner, now)

        async with self.guests.witness.on_behalf(caller, Deed.CONSENT_WITHDRAW, guest):
            return await self.guests.change(caller, Act.CONSENT, guest, Action.CONSENT, decide, once=once, strict=True)

    def withdrawn(
        self, catalogue: Catalogue, document: Document, past: Past, purpose: str, manner: Manner, now: datetime
    ) -> Decision:
        papers, gone = past.papers(), resting(catalogue, document, purpose)
        keys = sorted({entry.key for entry in gone})
        mine = [one for one in papers.waiting if one.purpose == purpose]
        standing = any(one.purpose == purpose for one in document.consents)
        if not (standing or gone or mine):
            return Decision(document)
        if standing:
            receipt = issue(
                *(catalogue, document.guest, papers, purpose, Status.WITHDRAWN, now, manner, self.terms),
                self.new_id(RECORD),
                erased=keys,
            )
            papers = replace(papers, receipts=(*papers.receipts, receipt))
        left = replace(
            document,
            consents=tuple(one for one in document.consents if one.purpose != purpose),
            entries=tuple(entry for entry in document.entries if entry not in gone),
        )
        count = f"{len(keys)} key{'' if len(keys) == 1 else 's'}"
        told = {
            "purpose": purpose,
            "keys": keys,
            "entries": len(gone),
            "waiting": len(mine),
            "receipt": next_version(papers, purpose) - 1 or None,
        }
        return Decision(
            left,
            f"withdrew {purpose}, {count}" if keys else f"withdrew {purpose}",
            papers=replace(papers, waiting=tuple(one for one in papers.waiting if one not in mine)),
            erasure=erasure(catalogue, gone, past.since(0), purpose),
            told={"erased": told} if _whole(manner) else {},
        )

    # ------------------------------------------------------------ reading

    async def states(self, caller: Caller, guest: str) -> Answer:
        """Each purpose: whether the guest consents, until when, and what a withdrawal would erase."""
        access.require(caller, Act.READ_CONSENTS)
        known, stays = await self.guests.surroundings.reach(caller, Act.READ_CONSENTS, guest)
        document = await self.guests.surroundings.document(known)
        catalogue = await self.guests.catalogues.current()
        papers = await self.store.papers(known)
        sight = access.sight_of(caller, access.relation(caller, known, stays, self.clock.now()))
        shown = [self._state(catalogue, document, papers, purpose, sight) for purpose in PURPOSES]
        return Answer({"guest": known, "consents": shown}, document.version)

    async def state(self, caller: Caller, guest: str, purpose: str) -> Answer:
        require_purpose(purpose)
        answer = await self.states(caller, guest)
        (found,) = (one for one in answer.body["consents"] if one["purpose"] == purpose)
        return replace(answer, body={"guest": answer.body["guest"], **found})

    def _state(
        self, catalogue: Catalogue, document: Document, papers: Papers, purpose: str, sight: Sight
    ) -> dict[str, Any]:
        now, receipts = self.clock.now(), papers.of(purpose)
        consent = next((one for one in document.consents if one.purpose == purpose), None)
        gone = resting(catalogue, document, purpose)
        ended = "none" if not receipts else receipts[-1].status.value
        if consent:
            ended = "granted" if consent.holds(now) else "expired"
        keys = sorted({entry.key for entry in gone if _names(catalogue, entry, sight, document.purposes_at(now))})
        body: dict[str, Any] = {
            "purpose": purpose,
            "status": "granted" if ended == "renewed" else ended,
            "ask_again": consent is not None and self.terms.asks_again(consent, now),
            "covers": [definition.key for definition in covered(catalogue, purpose)],
            "receipts": [receipt.version for receipt in receipts],
            "waiting": sum(1 for one in papers.waiting if one.purpose == purpose and one.waits(now)),
            "withdrawal": {"keys": keys, "entries": len(gone), "final": True},
        }
        if consent:
            body["granted_at"] = write_instant(consent.granted_at)
            body |= {"expires_at": write_instant(consent.expires_at)} if consent.expires_at else {}
            body |= {"notice_version": consent.notice} if consent.notice else {}
            body |= {"method": consent.method} if consent.method else {}
        return body

    async def receipt(self, caller: Caller, guest: str, purpose: str, version: int | None = None) -> Answer:
        """One version of a receipt, the newest by default. Raises NotFound, NotAllowed, InvalidEdit."""
        access.require(caller, Act.READ_CONSENTS)
        require_purpose(purpose)
        known, _ = await self.guests.surroundings.reach(caller, Act.READ_CONSENTS, guest)
        found = [one for one in (await self.store.papers(known)).of(purpose) if version in (None, one.version)]
        if not found:
            raise NotFound("There is no such receipt.")
        return Answer(dict(found[-1].body))

    # ------------------------------------------------------------ imported values that wait

    async def waiting(self, caller: Caller, guest: str) -> Answer:
        """What was imported and waits for a consent: for which purpose, from where, until when. The values are shown to
        the guest in their own app and to nobody else."""
        access.require(caller, Act.READ_IMPORTS)
        known, _ = await self.guests.surroundings.reach(caller, Act.READ_IMPORTS, guest)
        document = await self.guests.surroundings.document(known)
        papers, now = await self.store.papers(known), self.clock.now()
        own = caller.role is Role.GUEST and caller.surface == GUEST_SURFACE
        items = [
            {
                "id": one.id,
                "purpose": one.purpose,
                "key": one.key,
                "scope": one.scope,
                "source": one.source,
                "imported_at": write_instant(one.at),
                "expires_at": write_instant(one.expires_at),
                **({"value": quarantine.value_of(one)} if own else {}),
            }
            for one in papers.waiting
            if one.waits(now) and (caller.role is Role.GUEST or one.source == caller.subject)
        ]
        return Answer({"guest": known, "items": items}, document.version)

    async def decline_waiting(self, caller: Caller, guest: str, purpose: str, *, once: Once | None = None) -> Answer:
        """Forget what waits for a purpose. Raises NotFound, NotAllowed, InvalidEdit, KeyReused."""
        access.require(caller, Act.DECLINE_IMPORTS)
        require_purpose(purpose)

        def decide(document: Document, past: Past) -> Decision:
            papers = past.papers()
            left = tuple(one for one in papers.waiting if one.purpose != purpose)
            gone = len(papers.waiting) - len(left)
            return Decision(document, papers=replace(papers, waiting=left) if gone else None, told={"declined": gone})

        return await self.guests.change(caller, Act.DECLINE_IMPORTS, guest, Action.CONSENT, decide, once=once)


def _names(catalogue: Catalogue, entry: Entry, sight: Sight, purposes: frozenset[str]) -> bool:
    """Whether it is told under which key this entry would go: to the guest always, to others who see the entry."""
    definition = catalogue.get(entry.key)
    if sight.tied is Relation.SELF:
        return True
    return definition is not None and disclosure.told(definition, entry, sight, purposes) is not Shown.NOTHING


def require_purpose(purpose: str) -> None:
    if purpose not in PURPOSES:
        raise InvalidEdit([Fault("purpose", "UNKNOWN_CHOICE", "must be one of " + ", ".join(PURPOSES))])


def answered(papers: Papers, purpose: str, reply: Reply, now: datetime, only: str = "") -> Papers:
    """The papers with the open invitations to a purpose answered, or only the one of this id."""
    invitations = tuple(
        replace(one, reply=reply, answered_at=now)
        if one.purpose == purpose and one.is_open(now) and only in ("", one.id)
        else one
        for one in papers.invitations
    )
    return replace(papers, invitations=invitations)


def _told_of(let_in: Released) -> dict[str, Any]:
    return {"imported": {"keys": list(let_in.keys), "dropped": list(let_in.dropped)}}


def _whole(manner: Manner) -> bool:
    """Whether who is answered may hear which keys there were."""
    return manner.role != Role.STAFF.value
