"""Answers of the hot read as they lie ready: what one is called, and how one is made from what the typed route said.

Its name is that of the question (`name_of`), with query and language as they were sent. Values are the tiers' to watch.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from api.middleware import NOSNIFF, RawHeaders
from api.schemas.representations import MEDIA_TYPE, SHARED_HEADERS
from prefs.core.sightings import Sighting
from prefs.ports import Traced

PATH_START, PATH_END = "/v1/guests/", "/preferences"
ROUTE = PATH_START + "{guest}" + PATH_END
NAMES_MAX = 10_000
NAME_BYTES_MAX = 512  # of query and language: longer questions are rare, and would be kept in full
OVERHEAD_BYTES = 500  # of one answer beside its body

BYPASSED = "guestprefs; fwd=bypass; detail=store"  # there are no tiers


def cache_status(tier: str) -> str:
    """RFC 9211: a hit in a tier, or a miss that the store answered."""
    return f"guestprefs; fwd=miss; detail={tier}" if tier == "store" else f"guestprefs; hit; detail={tier}"


# Headers that all answers of a kind share.
LOCAL, SHARED = ((b"cache-status", cache_status(tier).encode()) for tier in ("local", "shared"))
_OF_ALL = [(name.encode(), value.encode()) for name, value in SHARED_HEADERS.items()]
_OF_ALL.append(NOSNIFF)
_OF_CONTENT = (b"content-type", MEDIA_TYPE.encode())


@dataclass(frozen=True, slots=True, eq=False)
class PreparedAnswer:
    """`until`: the moment, in seconds, when time alone may change it. An item of a batch has no headers. `sighting` is
    what has to be in the ledger each time before it is told; most answers have none."""

    content: bytes
    until: float
    etag: bytes = b""
    version: int = 0
    sighting: Sighting | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.content) + OVERHEAD_BYTES

    def headers(self, status_of_cache: tuple[bytes, bytes]) -> RawHeaders:
        """What every answer owes, also one that says "not modified"; in the order of the typed route."""
        return [*_OF_ALL, (b"etag", self.etag), (b"preferences-version", b"%d" % self.version), status_of_cache]

    def headers_of_content(self) -> RawHeaders:
        return [(b"content-length", b"%d" % len(self.content)), _OF_CONTENT]


class Names:
    """One object for names that are alike: a thousand guests are asked the same question."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names: dict[Hashable, Hashable] = {}
        self._names_max = names_max

    def one(self, name: Hashable) -> Hashable:
        found = self._names.setdefault(name, name)
        if len(self._names) > self._names_max:
            self._names = {found: found}
        return found


def prepare(
    content: bytes, until: datetime, etag: str = "", version: int = 0, sighting: Sighting | None = None
) -> PreparedAnswer:
    # Copied: what a serialiser returns may hold on to a buffer two or three times as long.
    return PreparedAnswer(bytes(memoryview(content)), until.timestamp(), etag.encode(), version, sighting)


def age_of(reads: Traced | None) -> dict[str, str]:
    """What an answer owes its reader where the store was gone and stale knowledge had to do."""
    return {"age": str(int(reads.age_s) + 1)} if reads is not None and reads.age_s else {}
