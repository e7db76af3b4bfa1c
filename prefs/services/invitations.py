"""Invitations: staff who may not enter special-category data ask the guest to consent to it, and the guest answers.

An invitation names a purpose and keys, and never a value: what staff heard is not kept until the guest has said yes.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.callers import Caller, Role
from prefs.core.catalogue import Catalogue
from prefs.core.changes import Action
from prefs.core.consents import covered, issue
from prefs.core.entries import Document
from prefs.core.errors import Fault, InvalidEdit, NotFound, Refused
from prefs.core.papers import INVITED_FOR, Invitation, Reply, Status
from prefs.core.patches import write_instant
from prefs.core.sights import Relation
from prefs.core.stays import Stay
from prefs.ports import Once, Past
from prefs.services.answers import Answer
from prefs.services.consents import Consents, answered, require_purpose
from prefs.services.guests import Decision
from prefs.services.ids import INVITATION, RECORD

KEYS_MAX = 50
KEPT_MAX = 50  # invitations of one guest; the oldest answered or ended ones make room


class Invitations:
    """Use cases around asking a guest for a consent."""

    def __init__(self, consents: Consents) -> None:
        self.consents, self.guests = consents, consents.guests
        self.clock, self.new_id = consents.clock, consents.new_id

    async def invite(
        self, caller: Caller, guest: str, purpose: str, keys: Sequence[str], *, once: Once | None = None
    ) -> Answer:
        """Ask the guest to consent to a purpose. An open invitation of the same property to it takes the keys along.

        Raises NotFound, NotAllowed, InvalidEdit, Refused where the guest consents already, KeyReused."""
        access.require(caller, Act.INVITE)
        catalogue = await self.guests.catalogues.current()
        _require_keys(catalogue, purpose, keys)
        _, stays = await self.guests.surroundings.reach(caller, Act.INVITE, guest)
        now, place = self.clock.now(), _place(caller, stays, self.clock.now())

        def decide(document: Document, past: Past) -> Decision:
            if purpose in document.purposes_at(now):
                raise Refused(f"The guest consents to {purpose} already.")
            papers = past.papers()
            standing = next(
                (o for o in papers.invitations if o.is_open(now) and (o.purpose, o.property) == (purpose, place)), None
            )
            together = sorted({*keys, *(standing.keys if standing else ())})
            made = Invitation(
                *(standing.id if standing else self.new_id(INVITATION), purpose, tuple(together), place),
                *(caller.subject, caller.surface, now, now + INVITED_FOR),
            )
            others = [one for one in papers.invitations if one is not standing]
            papers = replace(papers, invitations=tuple(_newest(others, now)) + (made,))
            return Decision(document, papers=papers, told=show(made, now), instead=True)

        return await self.guests.change(caller, Act.INVITE, guest, Action.CONSENT, decide, once=once)

    async def listing(self, caller: Caller, guest: str) -> Answer:
        """The guest's invitations; staff are told of those of their properties. Raises NotFound, NotAllowed."""
        access.require(caller, Act.READ_INVITATIONS)
        known, _ = await self.guests.surroundings.reach(caller, Act.READ_INVITATIONS, guest)
        document = await self.guests.surroundings.document(known)
        papers, now = await self.guests.store.papers(known), self.clock.now()
        shown = [show(one, now) for one in papers.invitations if _may_hear(caller, one)]
        return Answer({"guest": known, "invitations": shown}, document.version)

    async def reply(
        self, caller: Caller, guest: str, invitation: str, accepted: bool, *, once: Once | None = None
    ) -> Answer:
        """The guest says yes, which gives the consent, or no, which a receipt records.

        Raises NotFound, NotAllowed, Refused for one that was answered or has ended, KeyReused."""
        access.require(caller, Act.ANSWER_INVITATION)
        manner = self.consents.manner(caller, {})
        catalogue, now = await self.guests.catalogues.current(), self.clock.now()

        def decide(document: Document, past: Past) -> Decision:
            papers = past.papers()
            asked = next((one for one in papers.invitations if one.id == invitation), None)
            if asked is None:
                raise NotFound("There is no such invitation.")
            if not asked.is_open(now):
                raise Refused("This invitation was answered before, or has ended.")
            if accepted:
                return self.consents.given(catalogue, document, past, asked.purpose, manner, now)
            if asked.purpose not in document.purposes_at(now):
                denied = issue(
                    *(catalogue, document.guest, papers, asked.purpose, Status.DENIED, now, manner),
                    *(self.consents.terms, self.new_id(RECORD)),
                )
                papers = replace(papers, receipts=(*papers.receipts, denied))
            return Decision(document, papers=answered(papers, asked.purpose, Reply.DECLINED, now, invitation))

        return await self.guests.change(caller, Act.ANSWER_INVITATION, guest, Action.CONSENT, decide, once=once)


def show(one: Invitation, now: datetime) -> dict[str, Any]:
    status = "expired" if one.reply is Reply.OPEN and not one.is_open(now) else one.reply.value
    body: dict[str, Any] = {
        "id": one.id,
        "purpose": one.purpose,
        "keys": list(one.keys),
        "property": one.property or None,
        "actor": one.actor,
        "surface": one.surface,
        "at": write_instant(one.at),
        "expires_at": write_instant(one.expires_at),
        "status": status,
    }
    return {**body, "answered_at": write_instant(one.answered_at)} if one.answered_at else body


def _require_keys(catalogue: Catalogue, purpose: str, keys: Sequence[str]) -> None:
    require_purpose(purpose)
    known = {definition.key for definition in covered(catalogue, purpose)}
    detail = f"must be a key that needs a consent for {purpose}"
    faults = [Fault(f"/keys/{i}", "UNKNOWN_CHOICE", detail) for i, key in enumerate(keys) if key not in known]
    if not 1 <= len(keys) <= KEYS_MAX:
        faults.append(Fault("/keys", "WRONG_LENGTH", f"must have 1 to {KEYS_MAX} elements"))
    if faults:
        raise InvalidEdit(faults)


def _place(caller: Caller, stays: Sequence[Stay], now: datetime) -> str:
    here = sorted(stay.property for stay in stays if access.tie(caller, [stay], now) is not Relation.NONE)
    return here[0] if here else ""


def _newest(invitations: Sequence[Invitation], now: datetime) -> Sequence[Invitation]:
    ranked = sorted(invitations, key=lambda one: (one.is_open(now), one.at, one.id))
    return ranked[-(KEPT_MAX - 1) :]


def _may_hear(caller: Caller, one: Invitation) -> bool:
    return caller.role is not Role.STAFF or one.property in caller.properties
