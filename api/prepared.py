"""Answers of the hot read as they lie ready: what one is called, and how one is made from what the typed route said.

Its name holds everything of a question that an answer may depend on and that is no stored value: who asks, as far as
rules look at it, the query and the language, both as they were sent. Values are the tiers' to watch.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime

from api.schemas.representations import MEDIA_TYPE, headers_of
from prefs.core.callers import Caller, Role
from prefs.ports import Traced

PATH_START, PATH_END = "/v1/guests/", "/preferences"
ROUTE = PATH_START + "{guest}" + PATH_END
NAME_BYTES_MAX = 512  # of query and language: longer questions are rare, and would be kept in full
OVERHEAD_BYTES = 1200  # of one answer beside its body: headers, name, the values it points at

BYPASSED = "guestprefs; fwd=bypass; detail=store"  # there are no tiers

type RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedAnswer:
    """`until`: when time alone may change it. Headers are whole but for the request's own id;
    an item of a batch has none."""

    content: bytes
    until: datetime
    etag: str = ""
    headers: RawHeaders = field(default_factory=list)
    headers_unchanged: RawHeaders = field(default_factory=list)  # of a 304

    @property
    def size_bytes(self) -> int:
        return len(self.content) + OVERHEAD_BYTES


def name_of(caller: Caller, query: bytes, language: bytes) -> Hashable:
    """Callers that no rule tells apart share an answer: whoever is staff of the same house reads the same."""
    subject = caller.subject if caller.role is Role.GUEST else ""
    role = caller.role.value
    return query, language, caller.surface, role, caller.properties, caller.stay, subject, caller.permissions


def prepare(content: bytes, etag: str, version: int | None, until: datetime) -> PreparedAnswer:
    owed = {**headers_of(version, etag), "cache-status": cache_status("local")}
    raw = [(name.encode(), value.encode()) for name, value in owed.items()]
    body = [(b"content-length", str(len(content)).encode()), (b"content-type", MEDIA_TYPE.encode())]
    return PreparedAnswer(content, until, etag, [*raw, *body], raw)


def age_of(reads: Traced | None) -> dict[str, str]:
    """What an answer owes its reader where the store was gone and stale knowledge had to do."""
    return {"age": str(int(reads.age_s) + 1)} if reads is not None and reads.age_s else {}


def cache_status(tier: str) -> str:
    """RFC 9211: a hit in a tier, or a miss that the store answered."""
    return f"guestprefs; fwd=miss; detail={tier}" if tier == "store" else f"guestprefs; hit; detail={tier}"
