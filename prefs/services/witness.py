"""What has to be in the ledger before it is told or done, and what is told where it cannot be.

Every read of special-category data by anybody but the guest is recorded, and every administrative act. A guest who
reads their own data is not: the ledger is there to tell them who else did.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from prefs import telemetry
from prefs.core import access, sightings
from prefs.core.accesses import Access, Deed, Outcome
from prefs.core.callers import Caller, Role
from prefs.core.catalogue import Catalogue
from prefs.core.errors import Conflict, KeyConflict, LedgerUnavailable, PrefsError
from prefs.core.labels import Labels
from prefs.core.sightings import Body, Sighting
from prefs.core.stays import Facts
from prefs.ports import Clock, Ledger
from prefs.services.answers import Answer
from prefs.services.batches import Batch, Item
from prefs.services.ids import guest_id

type Without = Callable[[Body, Sequence[str]], Body]
type Outcomes = dict[Sighting, bool]  # of recording, where what was recorded is read again before it is told

_log = telemetry.logger("ledger")


def owes_record(caller: Caller) -> bool:
    return caller.role is not Role.GUEST


class Witness:
    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger, self.clock = ledger, clock

    async def saw(
        self,
        caller: Caller,
        seen: Sequence[Sighting | None],
        request: str = "",
        outcomes: Outcomes | None = None,
    ) -> bool:
        """Whether these may be shown to the caller: nothing has to be recorded, or the record is durable. What has an
        outcome already is not recorded again."""
        owed = [one for one in seen if one is not None] if owes_record(caller) else []
        if outcomes:
            if not all(outcomes.get(one, True) for one in owed):
                return False
            owed = [one for one in owed if one not in outcomes]
        if not owed:
            return True
        now, recorded = self.clock.now(), True
        try:
            await self.ledger.append([self._read(caller, one, now, request) for one in owed])
        except LedgerUnavailable:
            recorded = False
        if outcomes is not None:
            outcomes.update(dict.fromkeys(owed, recorded))
        return recorded

    async def told(
        self,
        caller: Caller,
        answer: Answer,
        seen: Sighting | None,
        without: Without,
        outcomes: Outcomes | None = None,
    ) -> Answer:
        """The answer, after it was recorded what it shows; without that, where it cannot be."""
        if seen is None or await self.saw(caller, (seen,), outcomes=outcomes):
            return answer
        return withheld(answer, without(answer.body, seen.keys))

    async def preferences(
        self,
        caller: Caller,
        catalogue: Catalogue,
        answer: Answer,
        labels: Labels,
        outcomes: Outcomes | None = None,
    ) -> Answer:
        """Effective preferences."""

        def without(body: Body, keys: Sequence[str]) -> Body:
            return sightings.without_preferences(catalogue, body, keys, access.surface_of(caller), labels)

        return await self.told(caller, answer, answer.sighting, without, outcomes)

    async def edited(
        self, caller: Caller, catalogue: Catalogue, answer: Answer, facts: Facts, labels: Labels
    ) -> Answer:
        """What an edit answers: it may show more than the caller wrote, and may be an answer of long ago."""
        if not owes_record(caller):
            return answer
        place = facts.property.id if facts.property else ""
        seen = sightings.of_written(catalogue, answer.body, access.surface_of(caller), place)
        return await self.preferences(caller, catalogue, replace(answer, sighting=seen), labels)

    async def document(self, caller: Caller, catalogue: Catalogue, answer: Answer) -> Answer:
        """A guest's entries."""
        if not owes_record(caller):
            return answer
        seen = sightings.of_document(catalogue, answer.body, access.surface_of(caller))
        return await self.told(caller, answer, seen, sightings.without_entries)

    async def batch(
        self,
        caller: Caller,
        catalogue: Catalogue,
        items: Sequence[Item],
        beside: Sequence[Sighting],
        labels: Labels,
        outcomes: Outcomes | None = None,
    ) -> Batch:
        """All guests of a batch in one append."""
        seen = [item.answer.sighting for item in items if item.answer]
        if await self.saw(caller, [*beside, *seen], outcomes=outcomes):
            return Batch.of(items, recorded=True)

        surface = access.surface_of(caller)

        def less(item: Item) -> Item:
            if item.answer is None or item.answer.sighting is None:
                return item
            keys, body = item.answer.sighting.keys, item.answer.body
            kept = sightings.without_preferences(catalogue, body, keys, surface, labels)
            return replace(item, answer=withheld(item.answer, kept))

        return Batch.of(map(less, items), recorded=False)

    @asynccontextmanager
    async def conflicts(self, caller: Caller, guest: str, catalogue: Catalogue) -> AsyncIterator[None]:
        """Around a write, whose refusal quotes what stands and what stood before."""
        try:
            yield
        except KeyConflict as error:
            sides = {one.key: [*_entries(one.theirs), *_entries(one.base)] for one in error.conflicts}
            seen = sightings.of_conflict(catalogue, guest, error.current, sides, access.surface_of(caller))
            if seen is None or await self.saw(caller, (seen,)):
                raise
            less = [_without_sides(one) if one.key in seen.keys else one for one in error.conflicts]
            raise KeyConflict(less, error.current) from None

    @asynccontextmanager
    async def act(
        self, caller: Caller, act: Deed, *, guest: str = "", property: str = "", keys: Sequence[str] = ()
    ) -> AsyncIterator[None]:
        """Around an administrative act: it is not begun before that is recorded. Raises LedgerUnavailable."""
        begun = Access(
            at=self.clock.now(),
            actor=caller.subject,
            role=caller.role.value,
            surface=caller.surface,
            act=act,
            outcome=Outcome.BEGUN,
            property=property or place_of(caller),
            guest=guest,
            keys=tuple(keys),
            request=telemetry.REQUEST.get(),
        )
        await self.ledger.append([begun])
        try:
            yield
        except PrefsError:
            await self._ended(begun, Outcome.REFUSED)
            raise
        await self._ended(begun, Outcome.DONE)

    @asynccontextmanager
    async def on_behalf(self, caller: Caller, act: Deed, guest: str) -> AsyncIterator[None]:
        """Around what is a guest's to do: an act only where somebody else does it for them."""
        if not owes_record(caller):
            yield
            return
        async with self.act(caller, act, guest=guest_id(guest)):
            yield

    async def _ended(self, begun: Access, outcome: Outcome) -> None:
        """That it began is on record: it is done, whatever becomes of this."""
        try:
            await self.ledger.append([replace(begun, at=self.clock.now(), outcome=outcome)])
        except LedgerUnavailable:
            _log.error("the end of an act is not on record", act=begun.act, outcome=outcome)

    def _read(self, caller: Caller, seen: Sighting, now: datetime, request: str) -> Access:
        return Access(
            at=now,
            actor=caller.subject,
            role=caller.role.value,
            surface=access.surface_of(caller),
            act=Deed.READ,
            outcome=Outcome.SHOWN,
            property=seen.property or place_of(caller),
            guest=seen.guest,
            version=seen.version,
            keys=seen.keys,
            purposes=seen.purposes,
            request=request or telemetry.REQUEST.get(),
        )


def withheld(answer: Answer, body: Body) -> Answer:
    """An answer of which something was kept back: not one to be kept for the next time."""
    return replace(answer, body=dict(body), sighting=None, holds_until=None)


def place_of(caller: Caller) -> str:
    """Where a caller is, as far as the token says it."""
    return " ".join(sorted(caller.properties)) if access.is_bound(caller) else ""


def _entries(side: object) -> Sequence[Mapping[str, object]]:
    return [one for one in side if isinstance(one, Mapping)] if isinstance(side, list | tuple) else ()


def _without_sides(conflict: Conflict) -> Conflict:
    less = {"status": sightings.WITHHELD}
    return replace(conflict, theirs=less, base=less)
