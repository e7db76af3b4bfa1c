"""How long what is known of a guest is kept: a rule a class, and what of a document has come to its end.

| class | what | kept |
|---|---|---|
| expired | an entry past the moment it was given for itself | not at all |
| live | presses in a room | 15 minutes after the stay ends |
| stay | what was said for one stay | 30 days after it ends |
| inferred | guesses | 180 days |
| observed | what staff noticed | 12 months |
| special | special-category data | 24 months after it was said, or consent for it given anew |
| special | the same, without a consent | 30 days after the consent came to its end; it may be given anew |
| waiting | imported special-category data that nobody consented to | 30 days |
| stated | all that is known of a guest | 36 months after the guest was last active, then the guest is erased |

A guest is active with every stay and with every entry or consent that is given. History forgets values with the entries
they were of, and special-category values as soon as there is no consent for them; who changed which key remains.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from prefs.core.catalogue import Catalogue
from prefs.core.changes import Change, KeyChange
from prefs.core.entries import Document, Entry, ProvenanceKind, ScopeKind
from prefs.core.stays import Stay, StayStatus

LIVE = timedelta(minutes=15)
STAY = timedelta(days=30)
INFERRED = timedelta(days=180)
OBSERVED = timedelta(days=365)
SPECIAL = timedelta(days=730)
LAPSED = timedelta(days=30)
INACTIVE = timedelta(days=1095)
CLASSES = ("expired", "live", "stay", "inferred", "observed", "special", "history", "answers", "waiting", "stated")


@dataclass(frozen=True, slots=True)
class Around:
    """What beside an entry decides how long it is kept: the guest's stays and consents, the catalogue, the moment."""

    catalogue: Catalogue
    document: Document
    stays: Mapping[str, Stay]
    now: datetime

    def ended(self, entry: Entry) -> str:
        """The class under which an entry has come to its end; empty while it is kept."""
        said, kind = entry.provenance.at, entry.provenance.kind
        if entry.expires_at is not None and entry.expires_at <= self.now:
            return "expired"
        if kind is ProvenanceKind.INFERRED:
            return "inferred" if said + INFERRED <= self.now else ""
        if kind is ProvenanceKind.OBSERVED and said + OBSERVED <= self.now:
            return "observed"
        if entry.scope.kind is ScopeKind.STAY and self._end_of(entry.scope.id, said) + STAY <= self.now:
            return "stay"
        purpose = self._special_purpose(entry)
        if purpose and (self._renewed(purpose, said) + SPECIAL <= self.now or self._lapsed(purpose, said)):
            return "special"
        return ""

    def told_no_more(self, entry: Entry) -> bool:
        """Whether history forgets this value."""
        purpose = self._special_purpose(entry)
        return bool(self.ended(entry)) or (purpose != "" and purpose not in self.document.purposes_at(self.now))

    def _end_of(self, stay: str, said: datetime) -> datetime:
        known = self.stays.get(stay)
        return known.departure if known else said

    def _special_purpose(self, entry: Entry) -> str:
        definition = self.catalogue.get(entry.key)
        special = definition is not None and definition.is_special(entry.strength, entry.value)
        return definition.purpose if definition is not None and special else ""

    def _lapsed(self, purpose: str, said: datetime) -> bool:
        if purpose in self.document.purposes_at(self.now):
            return False
        ends = [one.expires_at for one in self.document.consents if one.purpose == purpose and one.expires_at]
        return max([said, *ends]) + LAPSED <= self.now

    def _renewed(self, purpose: str, said: datetime) -> datetime:
        return max([said, *(one.granted_at for one in self.document.consents if one.purpose == purpose)])


def around(catalogue: Catalogue, document: Document, stays: Iterable[Stay], now: datetime) -> Around:
    return Around(catalogue, document, {stay.id: stay for stay in stays}, now)


def last_active(document: Document, stays: Iterable[Stay]) -> datetime | None:
    """When the guest was last there, or said anything. None for a guest of whom no moment at all is known."""
    moments = [entry.provenance.at for entry in document.entries]
    moments += [consent.granted_at for consent in document.consents]
    moments += [stay.departure for stay in stays]
    return max([*moments, *([document.created_at] if document.created_at else [])], default=None)


def is_inactive(document: Document, stays: Iterable[Stay], now: datetime) -> bool:
    active = last_active(document, stays)
    return active is not None and active + INACTIVE <= now


def is_over(stay: Stay, now: datetime) -> bool:
    """Whether presses of this stay are due to go; one that was checked out early ends with that."""
    return stay.status in (StayStatus.CHECKED_OUT, StayStatus.CANCELLED) or stay.departure + LIVE <= now


def due(kept: Around) -> dict[str, list[Entry]]:
    """Entries that have come to their end, by class."""
    found: dict[str, list[Entry]] = {}
    for entry in kept.document.entries:
        if named := kept.ended(entry):
            found.setdefault(named, []).append(entry)
    return found


def forgetting(kept: Around, changes: Sequence[Change]) -> list[Change]:
    """Those of the changes that hold values to be forgotten, without them."""
    found = []
    for change in changes:
        keys = tuple(_without(kept, one) for one in change.keys)
        if keys != change.keys:
            found.append(replace(change, keys=keys))
    return found


def _without(kept: Around, change: KeyChange) -> KeyChange:
    removed, added = (
        tuple(entry for entry in entries if not kept.told_no_more(entry)) for entries in (change.removed, change.added)
    )
    return KeyChange(change.key, removed, added)
