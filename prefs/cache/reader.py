"""The reading half of `Store` at one level of freshness, for one request; it remembers what was told, from where."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from prefs.cache.keys import CATALOGUE, GUEST, STAYS, id_of
from prefs.cache.loader import Answer, Freshness, Tier
from prefs.cache.local import Kept
from prefs.cache.lookups import found_in, keys_of
from prefs.core.entries import Document, Entry
from prefs.core.stays import Stay
from prefs.ports import Found, Lodging, Lookup, Record

_TIERS = (Tier.LOCAL, Tier.SHARED, Tier.STORE, Tier.STALE)  # from near to far

type Ask = Callable[[Sequence[str], Freshness, int, bool], Awaitable[dict[str, Answer]]]


class Reader:
    """The reading half of `Store` at one level. `tier` is the farthest that answered, `age_s` the greatest age, `parts`
    the local copy of every value that was told, by key; None where there is none, or it changed between two looks."""

    __slots__ = ("_answer", "_level", "_min_version", "_stale", "_traced", "age_s", "parts", "tier")

    def __init__(
        self,
        answer: Ask,
        level: Freshness,
        min_version: int = 0,
        stale: bool = False,
        traced: bool = True,
    ) -> None:
        self._answer = answer
        self._level = level
        self._min_version = min_version
        self._stale = stale
        self.tier = Tier.LOCAL
        self.age_s = 0.0
        self.parts: dict[str, Kept | None] = {}
        self._traced = traced  # what lives as long as the process must not remember everything

    async def get(self, guest: str) -> Document | None:
        return (await self.get_many([guest])).get(guest)

    async def get_many(self, guests: Sequence[str]) -> dict[str, Document]:
        found = await self._ask([GUEST + ":" + guest for guest in guests], self._min_version)
        return {id_of(key): value for key, value in found.items() if value is not None}

    async def stays_of(self, guests: Sequence[str]) -> dict[str, list[Stay]]:
        found = await self._ask([STAYS + ":" + guest for guest in guests])
        return {id_of(key): list(value.stays) for key, value in found.items()}

    async def live(self, stay: Stay) -> list[Entry]:
        key = STAYS + ":" + stay.guest
        lodging: Lodging = (await self._ask([key]))[key]
        return list(lodging.live.get(stay.id, ()))

    async def property(self, property_id: str) -> Record | None:
        return (await self.look_up(Lookup(properties=(property_id,)))).properties.get(property_id)

    async def extensions(self) -> tuple[int, list[Record]]:
        version, records = (await self._ask([CATALOGUE]))[CATALOGUE]
        return version, list(records)

    async def look_up(self, wanted: Lookup) -> Found:
        """What the nearest tiers know, so of one moment only as far as one statement of the store told it."""
        return found_in(await self._ask(keys_of(wanted), self._min_version))

    async def _ask(self, keys: Sequence[str], min_version: int = 0) -> dict[str, Any]:
        """Values in the order asked for."""
        answers = await self._answer(keys, self._level, min_version, self._stale)
        found = {}
        for key in dict.fromkeys(keys):
            answer = answers[key]
            found[key] = answer.value
            if self._traced:
                if self.parts.setdefault(key, answer.copy) is not answer.copy:
                    self.parts[key] = None
            if _TIERS.index(answer.tier) > _TIERS.index(self.tier):
                self.tier = answer.tier
            self.age_s = max(self.age_s, answer.age_s)
        return found
