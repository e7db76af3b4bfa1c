"""Letting go of what has been kept long enough (`core.retention` says how long), guest by guest, in batches.

Doing it again changes nothing more, so a run that was cut off is taken up wherever it is known to have come to, or
begun anew. A dry run counts the same things and changes none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from prefs.core import retention
from prefs.core.changes import Action, Change, KeyChange, Written
from prefs.core.entries import Document
from prefs.core.errors import NotFound
from prefs.core.stays import Stay
from prefs.core.webhooks import LOG_KEPT
from prefs.ports import Clock, Lodging, Lookup, Past, Store
from prefs.services.erasure import Erasure
from prefs.services.surroundings import CatalogueSource
from prefs.services.tellings import FEED_KEPT

PAGE = 200
ACTOR = "retention"
FEED_EVENTS_KEPT = FEED_KEPT + timedelta(days=1)


@dataclass
class Report:
    """`counts` by class; `after` is the last guest that is done with."""

    guests: int = 0
    after: str = ""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(retention.CLASSES, 0))

    def add(self, named: str, count: int) -> None:
        self.counts[named] += count


class Retention:
    def __init__(self, store: Store, catalogues: CatalogueSource, clock: Clock, erasure: Erasure) -> None:
        self.store, self.catalogues, self.clock, self.erasure = store, catalogues, clock, erasure

    async def run(self, *, dry: bool, after: str = "", told: Callable[[Report], None] = lambda _: None) -> Report:
        """Go through all guests after the given one; `told` hears of every page. Raises Unavailable, and then what was
        told last is where to go on."""
        report = Report(after=after)
        report.add("answers", await self.store.forget_answers(dry=dry))
        if not dry:
            await self._waiting(report)
            await self._events()
        while page := await self.store.guests(PAGE, report.after):
            found = await self.store.look_up(Lookup(page, page))
            for guest in page:
                if document := found.documents.get(guest):
                    await self._one(document, found.lodgings[guest], report, dry)
            report.guests, report.after = report.guests + len(page), page[-1]
            told(report)
        return report

    async def _waiting(self, report: Report) -> None:
        while dropped := await self.store.drop_waiting(self.clock.now(), PAGE):
            report.add("waiting", dropped)

    async def _events(self) -> None:
        """What the feed tells beside changes: who comes later begins anew. And what webhooks were told."""
        while await self.store.feed.trim(self.clock.now() - FEED_EVENTS_KEPT, PAGE) == PAGE:
            pass
        while await self.store.webhooks.trim(self.clock.now() - LOG_KEPT, PAGE) == PAGE:
            pass

    async def _one(self, document: Document, lodging: Lodging, report: Report, dry: bool) -> None:
        guest, now = document.guest, self.clock.now()
        if retention.is_inactive(document, lodging.stays, now):
            report.add("stated", 1)
            if not dry:
                await self.erasure.erase_known(guest)
            return
        try:
            await self._live(lodging, report, dry)
            await self._entries(document, lodging.stays, report, dry)
            await self._history(document, lodging.stays, report, dry)
        except NotFound:
            return  # erased meanwhile

    async def _live(self, lodging: Lodging, report: Report, dry: bool) -> None:
        for stay in lodging.stays:
            pressed = lodging.live.get(stay.id, ())
            if pressed and retention.is_over(stay, self.clock.now()):
                report.add("live", len(pressed))
                if not dry:
                    await self.store.put_live(stay, (), list({entry.key for entry in pressed}))

    async def _entries(self, document: Document, stays: Sequence[Stay], report: Report, dry: bool) -> None:
        catalogue, now = await self.catalogues.current(), self.clock.now()
        due = retention.due(retention.around(catalogue, document, stays, now))
        for named, entries in due.items():
            report.add(named, len(entries))
        if not due or dry:
            return

        def apply(document: Document, past: Past) -> Written:
            due = retention.due(retention.around(catalogue, document, stays, now))
            gone = {entry.id for entries in due.values() for entry in entries}
            if not gone:
                return Written(document, None, {})
            left = tuple(entry for entry in document.entries if entry.id not in gone)
            keys = sorted({entry.key for entry in document.entries if entry.id in gone})
            after = replace(document, version=document.version + 1, entries=left, updated_at=now)
            note = ", ".join(f"{len(entries)} {named}" for named, entries in sorted(due.items()))
            # Without the values: they are to be forgotten.
            changed = tuple(KeyChange(key, (), ()) for key in keys)
            change = Change(
                document.guest, after.version, now, ACTOR, "operator", ACTOR, Action.RETENTION, changed, note
            )
            return Written(after, change, {})

        await self.store.write(document.guest, apply)

    async def _history(self, document: Document, stays: Sequence[Stay], report: Report, dry: bool) -> None:
        kept = retention.around(await self.catalogues.current(), document, stays, self.clock.now())
        before = document.version + 1
        while page := await self.store.history(document.guest, PAGE, before):
            if forgetful := retention.forgetting(kept, page):
                report.add("history", len(forgetful))
                if not dry:
                    await self.store.rewrite_history(document.guest, forgetful)
            before = page[-1].version
