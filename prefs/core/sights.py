"""Who asks, what ties them to a guest, and how much of that guest they are told: what `access` decides with."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from prefs.core.catalogue import GUEST_SURFACE, Definition, Showing

_TAKES = ("listed", "by_value", "value")


class Standing(StrEnum):
    """Who asks. A guest's token that names a stay (a stay link) stands below the guest's own."""

    GUEST = "guest"
    LINK = "link"
    DEVICE = "device"
    STAFF = "staff"
    SERVICE = "service"
    OPERATOR = "operator"


class Relation(StrEnum):
    """What ties a caller to a guest. Staff and devices are tied by a stay at their property."""

    SELF = "self"
    IN_HOUSE = "in_house"
    ARRIVING = "arriving"
    NONE = "none"


class Shown(StrEnum):
    """How much of an entry is told, from most to least."""

    VALUE = "value"
    ACTION = "action"  # what to do about it, never why
    EXISTENCE = "existence"  # that there is something
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Sight:
    """How much one caller is told of one guest: the rows of SHOWN for this caller, by class of data and consent.

    `special` is the class of an entry, `purposes` what the guest consents to."""

    who: Standing
    surface: str
    tied: Relation
    _applies: Mapping[tuple[bool, bool], str]
    _stored: Mapping[tuple[bool, bool], str]
    _pursued: frozenset[str]

    @property
    def is_own(self) -> bool:
        """The guest's own screen, which is told of everything that is there."""
        return self.surface == GUEST_SURFACE

    def consented(self, definition: Definition, purposes: Collection[str]) -> bool:
        purpose = definition.purpose_at(self.surface)
        return purpose in purposes and purpose in self._pursued

    def takes(self, definition: Definition, special: bool, purposes: Collection[str]) -> bool:
        """Whether an entry may play a part in what is told at all; which form it is told in is another matter."""
        return self._word(self._applies, definition, special, purposes) in _TAKES

    def applied(self, definition: Definition, special: bool, purposes: Collection[str]) -> Shown:
        """How much is told of what applies under this key."""
        word = self._word(self._applies, definition, special, purposes)
        return _shown(word, definition.surfaces.get(self.surface))

    def stored(self, definition: Definition, special: bool, purposes: Collection[str]) -> Shown:
        """How much is told of a stored entry."""
        word = self._word(self._stored, definition, special, purposes)
        return _shown(word, definition.surfaces.get(self.surface))

    def _word(
        self,
        row: Mapping[tuple[bool, bool], str],
        definition: Definition,
        special: bool,
        purposes: Collection[str],
    ) -> str:
        return row.get((special, special and self.consented(definition, purposes)), "-")


def _shown(word: str, listed: Showing | None) -> Shown:
    match word:
        case "value":
            return Shown.VALUE
        case "existence":
            return Shown.EXISTENCE
        case "listed" if listed is not None:
            return Shown(listed.value)
        case "by_value" if listed is Showing.VALUE:
            return Shown.VALUE
    return Shown.NOTHING
